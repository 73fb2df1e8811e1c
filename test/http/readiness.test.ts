import { expect } from 'chai';
import type { FailureKind } from '../../dispatcher/failures/failure.ts';
import { readinessOf } from '../../dispatcher/http/readiness.ts';
import { type Breaker, LedgerError } from '../../dispatcher/ledger/ledger.ts';
import type { RegistrationProblem } from '../../dispatcher/observability/problems.ts';
import { breaker, failure } from '../failures/examples.ts';
import { registration } from '../registration-fixture.ts';

const NOW = 1_000_000;

const askedWith = (
  ledger: Partial<Parameters<typeof readinessOf>[0]['ledger']>,
  problems: readonly RegistrationProblem[] = [],
) =>
  readinessOf({
    configuration: { registrations: [registration({ name: 'acme' })], quarantined: [] },
    ledger: { putCursor: async () => {}, liveCounts: async () => [], breakers: async () => [], ...ledger },
    clock: { now: () => NOW },
    engine: { pauses: () => [], unlisted: () => new Map() },
    shedding: () => [{ name: 'deliveries', count: 3 }],
    problems: () => problems,
  });

describe('readiness', () => {
  it('says why the ledger cannot be written to, once, and goes on to say what else is wrong', async () => {
    const sick = new LedgerError('full', 'No room for the ledger');
    const reject = async () => {
      throw sick;
    };
    const answer = await askedWith({ putCursor: reject }, [
      { kind: 'ledger', about: null, message: 'nothing can be written down: No room for the ledger', sinceMs: 1 },
      { kind: 'poll', about: 'acme/web', message: 'not found', sinceMs: 1 },
    ]);
    expect(answer).to.deep.equal({
      ready: false,
      reasons: ['nothing can be written down: No room for the ledger'],
      problems: ['requests are turned away: deliveries (3 so far)'],
      details: ['acme: poll: acme/web: not found'],
      notes: [],
    });
  });

  it('notes what is paused, the pause of all first, and stays ready', async () => {
    const pause = { by: 'ops-a', byPlatform: true, sinceMs: NOW } as const;
    const many = Array.from({ length: 25 }, (_, at) => ({ ...pause, registration: `team-${at}`, reason: null }));
    const { ready, problems, notes } = await readinessOf({
      configuration: { registrations: [], quarantined: [] },
      ledger: { putCursor: async () => {}, liveCounts: async () => [], breakers: async () => [] },
      clock: { now: () => NOW },
      engine: {
        pauses: () => [...many, { ...pause, registration: null, reason: 'the registry moves' }],
        unlisted: () => new Map(),
      },
      shedding: () => [],
      problems: () => [],
    });
    expect([ready, problems]).to.deep.equal([true, []]);
    expect([notes?.[0], notes?.[1], notes?.at(-1), notes?.length]).to.deep.equal([
      'all registrations are paused since 1970-01-01 00:16 UTC by ops-a (the registry moves): no runner is launched',
      'team-0: its registration is paused since 1970-01-01 00:16 UTC by ops-a: no runner is launched',
      '6 more pauses: see shr pause',
      21,
    ]);
  });

  it('says that the public address leads elsewhere, without the address or who answered there', async () => {
    const asked = (state: 'other' | 'unreached') =>
      readinessOf({
        configuration: { registrations: [], quarantined: [] },
        ledger: { putCursor: async () => {}, liveCounts: async () => [], breakers: async () => [] },
        clock: { now: () => NOW },
        engine: { pauses: () => [], unlisted: () => new Map() },
        shedding: () => [],
        problems: () => [],
        publicAddress: {
          ...{ url: 'https://secret-host.example', state, words: 'status 404', way: 'direct' },
          ...{ sinceMs: NOW, itselfAtMs: null, calledAtMs: null },
        },
      });
    const { ready, problems } = await asked('other');
    expect(ready).to.equal(true);
    expect(problems).to.have.length(1);
    expect(problems?.[0])
      .to.include('listen.public.url does not lead to this dispatcher')
      .and.not.include('secret-host');
    expect((await asked('unreached')).problems).to.deep.equal([]);
  });

  it('tells of wrong signatures at the shared endpoint, to those who may read details, and stays ready', async () => {
    const message = '2 deliveries have a wrong signature';
    const answer = await readinessOf({
      configuration: { registrations: [], quarantined: [] },
      ledger: { putCursor: async () => {}, liveCounts: async () => [], breakers: async () => [] },
      clock: { now: () => NOW },
      engine: { pauses: () => [], unlisted: () => new Map() },
      shedding: () => [],
      problems: () => [],
      webhookProblems: [{ kind: 'webhook', about: '/webhooks/github', message, sinceMs: NOW }],
    });
    expect(answer).to.deep.equal({
      ...{ ready: true, reasons: [], problems: [] },
      details: [`the platform: webhook: /webhooks/github: ${message}`],
      notes: [],
    });
  });

  it('names the whole command that shows problems of the platform: its file may be what is broken', async () => {
    const problem = { file: 'dispatcher.yaml', line: 1, column: 1, path: '', message: 'no YAML', cure: 'Correct it.' };
    const { problems } = await readinessOf({
      configuration: { registrations: [], quarantined: [], platformProblems: [problem] },
      ledger: { putCursor: async () => {}, liveCounts: async () => [], breakers: async () => [] },
      clock: { now: () => NOW },
      engine: { pauses: () => [], unlisted: () => new Map() },
      shedding: () => [],
      problems: () => [],
    });
    expect(problems).to.deep.equal([
      "the platform's configuration has a problem, and what was read before stays in force: see shr registrations --url http://HOST:PORT --token-file FILE",
    ]);
  });

  it('leaves a defect to the one who asked', async () => {
    const defect = new TypeError('defect');
    const failed = await askedWith({
      putCursor: async () => {
        throw defect;
      },
    }).catch((error: unknown) => error);
    expect(failed).to.equal(defect);
  });

  it('tells the backends that are left alone for now, as shr registrations does', async () => {
    const closed = (over: Partial<Breaker>) =>
      breaker({ registration: 'acme', backend: 'aci', subject: null, ...over });
    const answer = await askedWith({
      breakers: async () => [
        closed({ closedUntilMs: NOW + 1 }),
        closed({ backend: 'eci', closedUntilMs: NOW }),
        closed({ registration: 'other', closedUntilMs: NOW + 1 }),
      ],
    });
    expect(answer.ready).to.equal(true);
    expect(answer.details).to.have.length(1);
    expect(answer.details?.[0]).to.match(/^acme: backend: aci: /);
  });

  it('says what to do about a backend, where the kind of failure has a cure', async () => {
    const told = async (kind: FailureKind) => {
      const refused = failure({ kind, message: 'docker create: No such image: runner:2', code: '404' });
      const closed = { registration: 'acme', backend: 'main', subject: 'image runner:2', closedUntilMs: NOW + 1 };
      return (await askedWith({ breakers: async () => [breaker({ ...closed, failure: refused })] })).details?.[0];
    };
    const words = 'acme: backend: main (image runner:2): docker create: No such image: runner:2 (404)';
    expect(await told('invalid')).to.equal(
      `${words}. Correct the image, shape or option that it names (\`shr doctor\` checks them): then \`shr backends reset acme/main\` tries it at once`,
    );
    expect(await told('conflict')).to.include('Remove or rename what holds the name');
    expect(await told('capacity'), 'passes by itself').to.equal(words);
    expect(await told('unauthorized'), "may be the platform's account").to.equal(words);
  });

  it('stays ready where the row of a backend cannot be read, and says so', async () => {
    const answer = await askedWith({
      breakers: async (unreadable) => {
        if (typeof unreadable !== 'function') throw new Error('it would fail all others');
        unreadable({ key: 'acme/main', registration: 'acme', fault: 'column rule: Invalid input' });
        return [];
      },
    });
    expect(answer.ready).to.equal(true);
    expect(answer.details).to.have.length(1);
    expect(answer.details?.[0]).to.match(/^acme: backend: acme\/main: .*cannot be read \(column rule: Invalid input\)/);
  });
});
