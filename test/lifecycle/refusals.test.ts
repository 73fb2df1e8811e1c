import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { GithubError } from '../../dispatcher/github/github.ts';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import type { JobRow } from '../../dispatcher/ledger/ledger.ts';
import { type Provider, ProviderError } from '../../providers/provider.ts';
import {
  type EngineFixture,
  type FixtureOptions,
  MINUTE,
  openEngineFixture,
  registration,
  told,
} from './engine-fixture.ts';

const SECOND = 1000;
const HOUR = 60 * MINUTE;
const REPOSITORY = 'github.com/acme/web';

/** A service whose registry can be broken, and that counts how often it was asked to create. */
function service() {
  const state = { refuses: true, tries: 0 };
  const refusal = () =>
    new ProviderError('invalid', 'aci create', "The image 'runner:1' is not accessible.", {
      code: 'InaccessibleImage',
      requestId: `r-${state.tries}`,
    });
  const provider = (_backend: string, honest: Provider): Partial<Provider> => ({
    async launch(request) {
      state.tries += 1;
      if (state.refuses) throw refusal();
      return await honest.launch(request);
    },
  });
  return { state, provider };
}

// Case 02
describe('an image that the service refuses', () => {
  let fixture: EngineFixture;
  let folder: string;
  let startMs: number;
  /** GitHub's jobs, over restarts. */
  let known: Map<string, JobFact>;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ledger-'));
    known = new Map();
  });
  afterEach(async () => {
    await fixture.close();
    await rm(folder, { recursive: true });
  });

  async function open(options: Partial<FixtureOptions>): Promise<void> {
    const path = join(folder, 'ledger.db');
    fixture = await openEngineFixture({ registrations: [registration('acme')], ledgerPath: path, ...options });
    startMs = fixture.clock.now();
    for (const [key, job] of known) fixture.jobs.set(key, job);
    await fixture.engine.start();
    await fixture.advance(SECOND);
  }

  /** A job that GitHub knows, and that waits. */
  async function queue(jobId: number, change: Partial<JobFact> = {}): Promise<void> {
    const job = told(fixture, { jobId, ...change });
    known.set(`${REPOSITORY}/${jobId}`, job);
    fixture.jobs.set(`${REPOSITORY}/${jobId}`, job);
    await fixture.tell(job);
    await fixture.advance(SECOND);
  }

  async function job(jobId: number): Promise<JobRow> {
    const row = await fixture.ledger.job(`${REPOSITORY}/${jobId}`);
    if (row === undefined) throw new Error(`no job ${jobId}`);
    return row;
  }

  async function untilMinute(minute: number): Promise<void> {
    await fixture.advance(startMs + minute * MINUTE - fixture.clock.now());
  }

  it('once serves its jobs a minute later, and says meanwhile what the service said', async () => {
    const { state, provider } = service();
    await open({ provider });
    await queue(1);
    expect(await job(1)).to.include({ admission: 'lane' });
    const reason = await fixture.engine.laneReason((await job(1)).laneKey ?? '');
    expect(reason).to.include(
      "main: aci create: The image 'runner:1' is not accessible. (InaccessibleImage, request r-1)",
    );
    state.refuses = false;
    await fixture.advance(MINUTE);
    expect([...fixture.instances.keys()]).to.have.length(1);
    expect(await job(1)).to.include({ admission: 'lane' });
    expect(await fixture.engine.laneReason((await job(1)).laneKey ?? '')).to.not.include('accessible');
    await queue(2);
    expect([...fixture.instances.keys()]).to.have.length(2);
    expect(await fixture.ledger.breakers()).to.deep.equal([]);
  });

  it('for long is tried once at a time, and its jobs are refused after half an hour', async () => {
    const { state, provider } = service();
    await open({ provider });
    for (let id = 1; id <= 10; id += 1) await queue(id, { labels: ['acme-runner', `sid-${id}`] });
    await untilMinute(29);
    expect(state.tries, 'one launch at 0, 1, 3, 8 and 23 minutes, however many lanes share the image').to.equal(5);
    for (let id = 1; id <= 10; id += 1) expect(await job(id), `job ${id}`).to.include({ admission: 'lane' });
    await untilMinute(32);
    expect(state.tries).to.equal(6);
    for (let id = 1; id <= 10; id += 1) {
      const row = await job(id);
      expect(row, `job ${id}`).to.include({ admission: 'refused', reasonCode: 'backend-refused' });
      expect(row.reason).to.include('main: ').and.to.include("The image 'runner:1' is not accessible.");
      expect(row.cure).to.include('shr backends reset acme');
    }
  });

  it('is tried by the youngest refused job, and all come back when it heals', async () => {
    const { state, provider } = service();
    await open({ provider });
    await queue(1);
    await fixture.advance(MINUTE);
    await queue(2);
    await untilMinute(35);
    await queue(3);
    expect(await job(3), 'a new job is told at once').to.include({ admission: 'refused' });
    expect(state.tries).to.equal(6);
    await untilMinute(47);
    expect(state.tries, 'a quarter of an hour after the last one').to.equal(7);
    const [last] = await fixture.ledger.runners({ limit: 1 }, 'reject');
    expect(last?.forJobKey).to.equal(`${REPOSITORY}/3`);
    for (const id of [1, 2, 3]) expect(await job(id), `job ${id}`).to.include({ admission: 'refused' });
    state.refuses = false;
    await untilMinute(62);
    for (const id of [1, 2, 3]) expect(await job(id), `job ${id}`).to.include({ admission: 'lane', reason: null });
    expect([...fixture.instances.keys()]).to.have.length(3);
  });

  it('is tried by one job at a time, also while no place is free, and by the next one when that job is cancelled', async () => {
    const { state, provider } = service();
    const broken = (backend: string, honest: Provider): Partial<Provider> => {
      const refusing = provider(backend, honest).launch;
      return {
        launch: (request) =>
          request.shape.image.endsWith(':1') && refusing !== undefined ? refusing(request) : honest.launch(request),
      };
    };
    const images = { good: 'registry.example/runner:2' };
    await open({ provider: broken, registrations: [registration('acme', { images, maxRunners: 1 })] });
    for (let id = 1; id <= 4; id += 1) await queue(id, { labels: ['acme-runner', `sid-${id}`] });
    await untilMinute(32);
    const tries = state.tries;
    await queue(9, { labels: ['acme-runner', 'img-good'] });
    const [busy = ''] = fixture.instances.keys();
    const runner = fixture.runners.get(busy);
    if (runner === undefined) throw new Error('nothing takes the only place');
    Object.assign(runner, { online: true, busy: true });
    const startedAtMs = fixture.clock.now();
    await queue(9, { labels: ['acme-runner', 'img-good'], status: 'in_progress', runnerName: busy, startedAtMs });
    const back = async () => {
      const rows = await Promise.all([1, 2, 3, 4].map(job));
      return rows
        .filter(({ admission, status }) => admission === 'lane' && status === 'queued')
        .map(({ jobId }) => jobId);
    };
    await untilMinute(55);
    expect(state.tries).to.equal(tries);
    const [first, ...others] = await back();
    expect(first).to.not.equal(undefined);
    expect(others).to.deep.equal([]);
    const cancelled = told(fixture, { jobId: first ?? 0, status: 'completed', conclusion: 'cancelled' });
    fixture.jobs.set(`${REPOSITORY}/${first}`, cancelled);
    await fixture.tell(cancelled);
    await fixture.advance(100);
    const second = await back();
    expect(second).to.have.length(1);
    expect(second).to.not.include(first);
  });

  it('is tried by no job that GitHub has given up', async () => {
    const { state, provider } = service();
    await open({ provider });
    await queue(1, { createdAtMs: fixture.clock.now() - 24 * HOUR + 40 * MINUTE });
    await untilMinute(35);
    expect(await job(1)).to.include({ admission: 'refused' });
    expect(state.tries).to.equal(6);
    await untilMinute(65);
    expect(state.tries).to.equal(6);
    expect(await job(1)).to.include({ admission: 'refused' });
  });

  it('stays refused over a restart, without a launch', async () => {
    const { state, provider } = service();
    await open({ provider });
    await queue(1);
    await untilMinute(33);
    const nowMs = fixture.clock.now();
    await fixture.close();
    await open({ provider, startMs: nowMs + MINUTE });
    await fixture.advance(MINUTE);
    expect(await job(1)).to.include({ admission: 'refused' });
    expect(state.tries).to.equal(6);
  });

  // J13
  it('is tried at once, and its jobs are taken back, when the options of the backend were mended', async () => {
    const { state, provider } = service();
    await open({ provider });
    await queue(1);
    await untilMinute(33);
    const nowMs = fixture.clock.now();
    await fixture.close();
    state.refuses = false;
    const [backend] = registration('acme').backends;
    const mended = registration('acme', {
      backends: backend === undefined ? [] : [{ ...backend, options: { registry: 'new' } }],
    });
    await open({ provider, registrations: [mended], startMs: nowMs + MINUTE });
    await fixture.advance(10 * SECOND);
    expect(await job(1)).to.include({ admission: 'lane', reason: null });
    expect([...fixture.instances.keys()]).to.have.length(1);
    expect(await fixture.ledger.breakers()).to.deep.equal([]);
  });

  it('is tried at once when an operator says that it is mended', async () => {
    const { state, provider } = service();
    await open({ provider });
    await queue(1);
    await untilMinute(33);
    expect(await job(1)).to.include({ admission: 'refused' });
    expect(fixture.engine.backends()[0]).to.deep.include({
      registration: 'acme',
      backend: 'main',
      lastSuccessMs: null,
    });
    const [closure] = fixture.engine.backends()[0]?.closures ?? [];
    expect(closure).to.include({ rule: 'refused', state: 'closed', failures: 6, sinceMs: startMs + SECOND });
    expect(closure?.about).to.include('image registry.example/runner:1');
    state.refuses = false;
    expect(await fixture.engine.resetBackends('acme', 'other')).to.equal(undefined);
    expect(await fixture.engine.resetBackends('acme', 'main')).to.have.length(1);
    await fixture.advance(10 * SECOND);
    expect(await job(1)).to.include({ admission: 'lane', reason: null });
    expect([...fixture.instances.keys()]).to.have.length(1);
    expect(fixture.engine.backends()[0]).to.deep.include({
      closures: [],
      lastSuccessMs: fixture.clock.now() - 10 * SECOND,
    });
  });

  it('is refused at once where the adapter itself says that its service never runs the shape', async () => {
    await open({ provider: () => ({ fit: () => ({ fits: false, reason: '8 cores is the largest size' }) }) });
    await queue(1);
    await fixture.advance(SECOND);
    const row = await job(1);
    expect(row).to.include({ admission: 'refused' });
    expect(row.reason).to.include('main: 8 cores is the largest size');
    expect(row.cure).to.not.include('tried again');
  });

  // J11
  it('has its code and request id in the timeline, the breaker and every line of the log', async () => {
    const { provider } = service();
    await open({ provider });
    await queue(1);
    const [runner] = await fixture.ledger.runners({ limit: 1 }, 'reject');
    const failure = { source: 'acme/main', kind: 'invalid', code: 'InaccessibleImage', requestId: 'r-1' };
    expect(runner?.failure).to.include(failure);
    const entries = (await fixture.ledger.timeline(runner?.name ?? '')).filter((entry) => entry.failure !== null);
    expect(entries.map(({ reason }) => reason)).to.deep.equal(['main refused the launch', 'the launch failed']);
    for (const entry of entries) expect(entry.failure).to.include(failure);
    const [breaker] = await fixture.ledger.breakers();
    expect(breaker?.failure).to.include(failure);
    const lines = fixture.logged.filter((line) => line.includes('not accessible'));
    expect(lines.length).to.be.greaterThan(2);
    for (const line of lines) expect(line).to.include('code=InaccessibleImage').and.to.include('requestId=r-1');
  });
});

// J11
describe('a registration that GitHub refuses', () => {
  it('has its status and request id in the timeline and the log', async () => {
    const fixture = await openEngineFixture({
      registrations: [registration('acme')],
      github: (honest) => ({
        ...honest,
        createJitRunner: async () => {
          throw new GithubError('forbidden', 'POST /jit', 'Resource not accessible', {
            status: 403,
            requestId: 'GH:1',
          });
        },
      }),
    });
    try {
      await fixture.engine.start();
      await fixture.advance(SECOND);
      await fixture.tell(told(fixture, { jobId: 1 }));
      await fixture.advance(SECOND);
      const [runner] = await fixture.ledger.runners({ limit: 1 }, 'reject');
      expect(runner?.failure).to.include({ source: 'github', kind: 'forbidden', code: '403', requestId: 'GH:1' });
      const lines = fixture.logged.filter((line) => line.includes('Resource not accessible'));
      expect(lines).to.have.length.greaterThan(0);
      for (const line of lines) expect(line).to.include('code=403').and.to.include('requestId=GH:1');
    } finally {
      await fixture.close();
    }
  });
});

describe('containers that do not come online', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  async function open(provider: (honest: Provider) => Partial<Provider>): Promise<void> {
    fixture = await openEngineFixture({
      registrations: [registration('acme')],
      provider: (_backend, honest) => provider(honest),
    });
    await fixture.engine.start();
    await fixture.advance(SECOND);
  }

  async function queue(jobId: number): Promise<void> {
    const job = told(fixture, { jobId, labels: ['acme-runner', `sid-${jobId}`] });
    fixture.jobs.set(`${REPOSITORY}/${jobId}`, job);
    await fixture.tell(job);
  }

  const launches = () => fixture.calls.filter((call) => call.startsWith('launch ')).length;

  /** Every container ends at once with exit code 0. */
  const hasty = (honest: Provider): Partial<Provider> => ({
    inspect: async (ref) => {
      const found = await honest.inspect(ref);
      return found === undefined
        ? undefined
        : { ...found, state: 'succeeded', reason: { kind: 'exited', message: 'exit code 0', exitCode: 0 } };
    },
  });

  // T7, X8
  it('close their image after the third, and each time when it is due one container tries it', async () => {
    await open(hasty);
    for (let id = 1; id <= 10; id += 1) await queue(id);
    await fixture.advance(30 * SECOND);
    const [breaker] = await fixture.ledger.breakers();
    expect(breaker).to.include({ rule: 'start', backend: 'main' });
    expect(breaker?.failure).to.include({ kind: 'exited', code: '0' });
    expect(breaker?.subject).to.include('image registry.example/runner:1');
    const first = launches();
    expect(first).to.be.within(3, 10);
    const seen: number[] = [];
    for (let minute = 0; minute < 30; minute += 1) {
      const before = launches();
      await fixture.advance(MINUTE);
      seen.push(launches() - before);
    }
    expect(Math.max(...seen), `launches a minute: ${seen.join(' ')}`).to.equal(1);
    expect(launches() - first).to.be.within(3, 6);
    const lane = (await fixture.ledger.job(`${REPOSITORY}/1`))?.laneKey ?? '';
    expect(await fixture.engine.laneReason(lane)).to.include('exit code 0');
  });

  // X8
  it('are followed by all the rest as soon as one came online', async () => {
    let mended = false;
    await open((honest) => ({
      inspect: async (ref) => (mended ? await honest.inspect(ref) : await hasty(honest).inspect?.(ref)),
    }));
    for (let id = 1; id <= 10; id += 1) await queue(id);
    await fixture.advance(30 * SECOND);
    mended = true;
    while (fixture.instances.size === 0) await fixture.advance(SECOND);
    const before = launches();
    await fixture.advance(10 * SECOND);
    expect(launches(), 'one tries').to.equal(before);
    for (const runner of fixture.runners.values()) runner.online = true;
    await fixture.advance(20 * SECOND);
    expect(fixture.instances.size, 'then the rest').to.equal(10);
    expect(await fixture.ledger.breakers()).to.deep.equal([]);
  });
});

// J12
describe('a defect during a launch', () => {
  it('that nothing contains leaves no runner in creating: it is taken down at once, and told as a defect', async () => {
    let broken = true;
    const fixture = await openEngineFixture({
      registrations: [registration('acme')],
      provider: (_backend, honest) => ({
        launch: async (request) => {
          if (broken) throw new TypeError("Cannot read properties of undefined (reading 'id')");
          return await honest.launch(request);
        },
      }),
    });
    try {
      await fixture.engine.start();
      await fixture.advance(SECOND);
      const job = told(fixture, { jobId: 1 });
      fixture.jobs.set(`${REPOSITORY}/1`, job);
      await fixture.tell(job);
      await fixture.advance(SECOND);
      const [runner] = await fixture.ledger.runners({ limit: 1 }, 'reject');
      expect(runner?.state).to.equal('draining');
      expect(runner?.failure).to.include({ source: 'dispatcher', kind: 'defect' });
      expect(runner?.failure?.message).to.include('TypeError: Cannot read properties');
      expect(fixture.logged.filter((line) => line.startsWith('error launch-broken'))).to.have.length.greaterThan(0);
      broken = false;
      await fixture.advance(5 * MINUTE);
      expect(fixture.instances.size, 'the job is served').to.equal(1);
    } finally {
      await fixture.close();
    }
  });
});

// T9
describe('the weights of backends', () => {
  it('share the launches out', async () => {
    const backend = { kind: 'simulated', region: undefined, options: {}, maxRunners: 400 };
    const counts = new Map<string, number>();
    const fixture = await openEngineFixture({
      registrations: [
        registration('acme', {
          backends: [
            { ...backend, name: 'one', weight: 1 },
            { ...backend, name: 'four', weight: 4 },
          ],
          maxRunners: 400,
        }),
      ],
      provider: (name, honest) => ({
        launch: async (request) => {
          counts.set(name, (counts.get(name) ?? 0) + 1);
          return await honest.launch(request);
        },
      }),
    });
    try {
      await fixture.engine.start();
      await fixture.advance(SECOND);
      for (let id = 1; id <= 100; id += 1) await fixture.tell(told(fixture, { jobId: id }));
      await fixture.advance(30 * SECOND);
      const [one = 0, four = 0] = [counts.get('one'), counts.get('four')];
      expect(one + four).to.equal(100);
      expect(one, `${one} to ${four}`).to.be.within(8, 35);
    } finally {
      await fixture.close();
    }
  });
});

describe('a backend that one launch tries again', () => {
  it('sends the other launches on to the next one, and no more of them than that has room for', async () => {
    const backend = { kind: 'simulated', region: undefined, options: {} };
    const calls: string[] = [];
    let full = true;
    const fixture = await openEngineFixture({
      registrations: [
        registration('acme', {
          backends: [
            { ...backend, name: 'first', maxRunners: 50 },
            { ...backend, name: 'second', maxRunners: 1 },
          ],
        }),
      ],
      provider: (name, honest) => ({
        launch: async (request) => {
          calls.push(name);
          if (name === 'first' && full) throw new ProviderError('capacity', 'create', 'no stock');
          // The one that tries again takes its time.
          if (name === 'first') await new Promise<void>((resolve) => fixture.clock.after(20 * SECOND, resolve));
          return await honest.launch(request);
        },
      }),
    });
    try {
      await fixture.engine.start();
      await fixture.advance(SECOND);
      await fixture.tell(told(fixture, { jobId: 1 }));
      await fixture.advance(5 * SECOND);
      expect(calls).to.deep.equal(['first', 'second']);
      await fixture.tell(told(fixture, { jobId: 1, status: 'completed', conclusion: 'cancelled' }));
      for (const name of [...fixture.instances.keys()]) fixture.instances.delete(name);
      fixture.runners.clear();
      await fixture.advance(25 * MINUTE);
      full = false;
      calls.length = 0;
      await fixture.tell(...[2, 3, 4, 5].map((jobId) => told(fixture, { jobId })));
      await fixture.advance(5 * SECOND);
      expect(calls.filter((name) => name === 'first')).to.have.length(1);
      expect(calls.filter((name) => name === 'second')).to.have.length(1);
      await fixture.advance(2 * MINUTE);
      expect(calls.filter((name) => name === 'first')).to.have.length(3);
      expect(calls.filter((name) => name === 'second')).to.have.length(1);
    } finally {
      await fixture.close();
    }
  });

  it('takes no place that another launch of the same moment was promised', async () => {
    const backend = { kind: 'simulated', region: undefined, options: {} };
    const calls: string[] = [];
    let full = true;
    const fixture = await openEngineFixture({
      registrations: [
        registration('acme', {
          backends: [
            { ...backend, name: 'first', maxRunners: 3 },
            { ...backend, name: 'second', maxRunners: 2 },
          ],
        }),
      ],
      provider: (name, honest) => ({
        launch: async (request) => {
          calls.push(name);
          if (name === 'first' && full) throw new ProviderError('throttled', 'create', 'slow down');
          if (name === 'first') await new Promise<void>((resolve) => fixture.clock.after(20 * SECOND, resolve));
          return await honest.launch(request);
        },
      }),
    });
    try {
      await fixture.engine.start();
      await fixture.advance(SECOND);
      await fixture.tell(told(fixture, { jobId: 1 }));
      await fixture.advance(5 * SECOND);
      await fixture.tell(told(fixture, { jobId: 1, status: 'completed', conclusion: 'cancelled' }));
      fixture.instances.clear();
      fixture.runners.clear();
      await fixture.advance(25 * MINUTE);
      full = false;
      calls.length = 0;
      await fixture.tell(...Array.from({ length: 12 }, (_, index) => told(fixture, { jobId: index + 2 })));
      await fixture.advance(10 * SECOND);
      expect(calls.filter((name) => name === 'second')).to.have.length(2);
    } finally {
      await fixture.close();
    }
  });
});
