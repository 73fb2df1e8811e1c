// J12
import { expect } from 'chai';
import {
  type Containment,
  containProvider,
  type Defect,
  outerLimits,
} from '../../dispatcher/backends/contained-provider.ts';
import { isProviderError, LOG_BYTES, type Provider, ProviderError } from '../../providers/provider.ts';
import { honestProvider } from '../lifecycle/small-fixture.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';

const REQUEST = {
  name: 'acme-1',
  shape: { architecture: 'x64', image: 'runner:1', spot: false, dockerInDocker: false, cpu: 1, memoryGiB: 2 },
  tags: {
    dispatcher: 'acme',
    registration: 'web',
    lane: 'lane1',
    scope: 'orgs/acme',
    runner: 'acme-1',
    createdAtMs: 1,
    deadlineAtMs: 2,
    charge: {},
  },
  environment: {},
  secretEnvironment: { JIT: 'eyJzZWNyZXQiOiJ0cnVlIn0=' },
} as const;

/** What an adapter may answer when it goes wrong: types do not hold where a JSON answer was trusted. */
const rubbish = (json: string) => async () => JSON.parse(json);

describe('a contained provider', () => {
  let clock: VirtualClock;
  let defects: Defect[];
  let mended: string[];

  beforeEach(() => {
    clock = new VirtualClock(0);
    defects = [];
    mended = [];
  });

  function contained(changes: Partial<Provider>, limits: Containment['limits'] = { callMs: 1_000, launchMs: 5_000 }) {
    return containProvider(honestProvider(changes), {
      kind: 'acme',
      clock,
      limits,
      onDefect: (defect) => defects.push(defect),
      onMended: (operation, times) => mended.push(`${operation} after ${times}`),
    });
  }

  async function refusal(call: Promise<unknown>): Promise<ProviderError> {
    try {
      await call;
    } catch (error) {
      if (error instanceof ProviderError) return error;
      throw error;
    }
    throw new Error('it was not refused');
  }

  const calls: Readonly<Record<string, (provider: Provider) => Promise<unknown>>> = {
    launch: (provider) => provider.launch(REQUEST),
    inspect: (provider) => provider.inspect({ name: 'acme-1' }),
    list: (provider) => provider.list({ dispatcher: 'acme' }),
    stop: (provider) => provider.stop({ name: 'acme-1' }),
    logs: (provider) => provider.logs({ name: 'acme-1' }),
  };

  for (const [method, call] of Object.entries(calls)) {
    it(`makes what ${method} throws transient, thrown at once or later`, async () => {
      const later = contained({ [method]: () => Promise.reject(new TypeError('x is not a function')) });
      const atOnce = contained({
        [method]: () => {
          throw 'a string';
        },
      });
      for (const provider of [later, atOnce]) {
        const error = await refusal(call(provider));
        expect(error).to.include({ kind: 'transient', operation: `acme ${method}`, code: 'defect' });
      }
      expect(defects.map(({ message }) => message)).to.deep.equal([
        'TypeError: x is not a function',
        'it threw string',
      ]);
    });

    it(`ends a ${method} that never answers`, async () => {
      const provider = contained({ [method]: () => new Promise(() => {}) });
      const waiting = refusal(call(provider));
      await clock.advance(method === 'launch' ? 5_000 : 1_000);
      expect(await waiting).to.include({ kind: 'transient', code: 'defect' });
      expect(clock.armed, 'timers').to.equal(0);
    });

    it(`leaves what an honest ${method} says as it is, and no timer behind`, async () => {
      const words = new ProviderError('quota', `acme ${method}`, 'too many groups', { code: 'Q', requestId: 'r-1' });
      expect(await refusal(call(contained({ [method]: () => Promise.reject(words) })))).to.equal(words);
      await call(contained({}));
      expect(clock.armed, 'timers').to.equal(0);
      expect(defects).to.deep.equal([]);
    });
  }

  it('knows an error of another copy of the contract by its brand', async () => {
    /** As an npm package brings it along: the same brand, another class. */
    class Theirs extends Error {
      readonly kind: string;
      readonly operation = 'acme create';
      readonly code = 'Zone.Full';
      readonly retryAfterMs = 7_000;
      constructor(kind: string) {
        super('acme create: the zone is full');
        this.kind = kind;
        Object.defineProperty(this, Symbol.for('serverless-hosted-runner.provider-error'), { value: true });
      }
    }
    const error = await refusal(contained({ launch: () => Promise.reject(new Theirs('capacity')) }).launch(REQUEST));
    expect(error).to.include({ kind: 'capacity', code: 'Zone.Full', retryAfterMs: 7_000 });
    expect(error.message).to.equal('acme launch: the zone is full');
    expect(isProviderError(new Theirs('sunny'))).to.equal(false);
    expect(
      (await refusal(contained({ launch: () => Promise.reject(new Theirs('sunny')) }).launch(REQUEST))).kind,
    ).to.equal('transient');
    expect(isProviderError(Object.assign(new Error('x'), { kind: 'quota', operation: 'o' }))).to.equal(false);
  });

  for (const [what, method, json] of [
    ['an instance without an id', 'launch', '{"ref":{"name":"acme-1"},"state":"pending"}'],
    ['nothing for a launch', 'launch', 'null'],
    ['an instance of another name', 'launch', '{"ref":{"name":"acme-2","id":"1"},"state":"pending"}'],
    ['a state that nobody knows', 'inspect', '{"ref":{"name":"acme-1","id":"1"},"state":"gone"}'],
    ['null for "not there"', 'inspect', 'null'],
    ['an instance of another name', 'inspect', '{"ref":{"name":"acme-10","id":"1"},"state":"running"}'],
    ['a list that is none', 'list', '{"items":[]}'],
    ['one bad entry among good ones', 'list', '[{"ref":{"name":"acme-1","id":"1"},"state":"running"},{}]'],
    [
      "another dispatcher's instance",
      'list',
      '[{"ref":{"name":"b-1","id":"1"},"state":"running","tags":{"dispatcher":"b","registration":"r","lane":"l","scope":"s","runner":"b-1","createdAtMs":1,"deadlineAtMs":2,"charge":{}}}]',
    ],
    ['a log that is no text', 'logs', '{"lines":[]}'],
  ] as const) {
    it(`turns ${what} from ${method} into a defect`, async () => {
      const provider = contained({ [method]: rubbish(json) });
      expect(await refusal(calls[method]?.(provider) ?? Promise.resolve())).to.include({
        kind: 'transient',
        code: 'defect',
      });
      expect(defects).to.have.length(1);
    });
  }

  it('refuses an instance with another id than the one that was asked for', async () => {
    const provider = contained({ inspect: rubbish('{"ref":{"name":"acme-1","id":"new"},"state":"running"}') });
    expect(await refusal(provider.inspect({ name: 'acme-1', id: 'old' }))).to.include({ code: 'defect' });
    expect((await provider.inspect({ name: 'acme-1' }))?.ref.id).to.equal('new');
  });

  it('cuts a log that is longer than the contract allows', async () => {
    const provider = contained({ logs: async () => `${'é'.repeat(LOG_BYTES)}the end` });
    const text = (await provider.logs({ name: 'acme-1' })) ?? '';
    expect(Buffer.byteLength(text)).to.be.at.most(LOG_BYTES);
    expect(text).to.match(/é{1000}the end$/);
  });

  it('never rejects a check: a broken one is a finding with a cure', async () => {
    for (const check of [() => Promise.reject(new TypeError('x')), rubbish('{"ok":true}')]) {
      const [finding, ...more] = await contained({ check }).check();
      expect(more).to.deep.equal([]);
      expect(finding?.ok).to.equal(false);
      expect(finding?.cure).to.match(/acme/);
    }
  });

  it('never rejects a question for labels: what is broken is not known, and what an adapter lacks it has not', async () => {
    const of = (imageLabels: Provider['imageLabels']) =>
      contained(imageLabels === undefined ? {} : { imageLabels }).imageLabels?.('acme/runner:1', 'x64');
    expect(contained({}).imageLabels).to.equal(undefined);
    const good = { kind: 'read', labels: { 'serverless-hosted-runner.contract': '1' } } as const;
    expect(await of(async () => good)).to.deep.equal(good);
    for (const bad of [rubbish('{"kind":"read","labels":{"a":1}}'), rubbish('null'), rubbish('"1"')]) {
      expect((await of(bad))?.kind).to.equal('unknown');
    }
    expect((await of(() => Promise.reject(new TypeError('x is not a function'))))?.kind).to.equal('unknown');
  });

  it('rejects free addresses that are none, and has no such question where an adapter has not', async () => {
    expect(contained({}).freeAddresses).to.equal(undefined);
    const good = [{ network: 'vsw-1', free: 3 }];
    expect(await contained({ freeAddresses: async () => good }).freeAddresses?.()).to.deep.equal(good);
    for (const bad of ['[{"network":"","free":1}]', '[{"network":"a","free":-1}]', '{}']) {
      const asked = contained({ freeAddresses: rubbish(bad) }).freeAddresses?.();
      expect(await asked?.catch((error: Error) => error.name), bad).to.equal('ProviderError');
    }
  });

  it('tells a defect as a state: as it begins, when the words change, and when it is over', async () => {
    let words: string | undefined = 'first';
    const provider = contained({
      stop: async () => {
        if (words !== undefined) throw new TypeError(words);
      },
    });
    for (const next of ['first', 'first', 'second', 'second', undefined, undefined]) {
      words = next;
      await provider.stop({ name: 'acme-1' }).catch(() => undefined);
    }
    expect(defects.map(({ message }) => message)).to.deep.equal(['TypeError: first', 'TypeError: second']);
    expect(mended).to.deep.equal(['acme stop after 4']);
  });

  it('waits longer than an adapter may that keeps its promise', () => {
    expect(outerLimits({ timeoutMs: 300_000, pullTimeoutMs: 3_600_000 })).to.deep.equal({
      callMs: 1_260_000,
      launchMs: 4_860_000,
    });
    expect(outerLimits(undefined)).to.deep.equal({ callMs: 180_000, launchMs: 180_000 });
    expect(outerLimits({ timeoutMs: 'soon' })).to.deep.equal({ callMs: 180_000, launchMs: 180_000 });
  });
});
