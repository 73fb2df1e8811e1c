/** Containers that were started ahead of their jobs ask for their JIT configuration over HTTP. */
import { expect } from 'chai';
import { type CallOutcome, createRunnerCalls } from '../../dispatcher/callbacks/calls.ts';
import { createPublicListener, type PublicListener } from '../../dispatcher/http/public.ts';
import { createIntake } from '../../dispatcher/intake/webhook.ts';
import type { LaunchRequest } from '../../providers/provider.ts';
import { systemClock } from '../../time/clock.ts';
import { Counts, LogLines, Recorder } from '../intake/intake-fixture.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from '../lifecycle/engine-fixture.ts';

const BLOB = 'canary-of-the-jit-configuration';

describe('a container that waits for a job', () => {
  let fixture: EngineFixture;
  let listener: PublicListener;
  let base: string;
  let log: LogLines;
  let isOpen: boolean;
  const launched: LaunchRequest[] = [];
  const outcomes: CallOutcome[] = [];

  beforeEach(async () => {
    launched.length = 0;
    outcomes.length = 0;
    fixture = await openEngineFixture({
      registrations: [registration('acme', { standby: [{ labels: [], size: 1, maxAgeMs: 60 * MINUTE }] })],
      callbackUrl: 'https://shr.acme.example',
      provider: (_backend, honest) => ({
        launch: (request) => {
          launched.push(request);
          return honest.launch(request);
        },
      }),
      github: (honest) => ({
        ...honest,
        createJitRunner: async (request) => ({ ...(await honest.createJitRunner(request)), encodedJitConfig: BLOB }),
      }),
    });
    log = new LogLines();
    const counts = new Counts();
    const intake = createIntake({
      ...{ ledger: new Recorder(), clock: systemClock, log, metrics: counts },
      endpoints: () => [],
      registrations: () => [],
      onRecorded: () => {},
    });
    const calls = createRunnerCalls({
      ...{ ledger: fixture.ledger, engine: fixture.engine, log },
      registration: () => undefined,
      now: () => fixture.clock.now(),
      metrics: { runnerCall: (_event, outcome) => outcomes.push(outcome) },
    });
    listener = createPublicListener({ intake, clock: systemClock, metrics: counts, calls });
    base = `http://127.0.0.1:${await listener.listen('127.0.0.1', 0)}`;
    isOpen = true;
    await fixture.engine.start();
    await fixture.advance(2_000);
  });
  afterEach(async () => {
    if (isOpen) await listener.close(0);
    await fixture.close();
  });

  const name = () => launched[0]?.name ?? '';

  async function ask(
    token = launched[0]?.secretEnvironment['SHR_CALLBACK_TOKEN'] ?? '',
    signal?: AbortSignal,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`${base}/runners/${name()}/jit`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: '',
      ...(signal === undefined ? {} : { signal }),
    });
    return { status: response.status, text: await response.text() };
  }

  /** The real network has brought what was sent, and the engine has looked at it. */
  async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
    while (!(await holds())) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await fixture.advance(0);
    }
  }
  const isReady = async () => (await fixture.ledger.runner(name()))?.standby === 'ready';

  it('is answered with 204 while there is none, with the JIT configuration once, and then with 410', async () => {
    const asked = ask();
    await until(isReady);
    await fixture.advance(25_000);
    expect(await asked).to.deep.equal({ status: 204, text: '' });
    const second = ask();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await fixture.tell(told(fixture, { jobId: 1, labels: ['acme-runner', 'sid-1'] }));
    await fixture.advance(500);
    expect(await second).to.deep.equal({ status: 200, text: BLOB });
    const third = await ask();
    expect(third.status).to.equal(410);
    expect((await fixture.ledger.runner(name()))?.state).to.equal('draining');
    expect(outcomes).to.deep.equal(['not-yet', 'handed-over', 'never']);
    const kept = [await fixture.ledger.runner(name()), await fixture.ledger.timeline(name()), fixture.logged, log];
    expect(JSON.stringify(kept)).not.to.include(BLOB);
  });

  it('has its own token to show', async () => {
    expect((await ask('a'.repeat(32))).status).to.equal(404);
    expect(await isReady()).to.equal(false);
  });

  it('that closes its connection gets no job, until it asks again', async () => {
    const control = new AbortController();
    const asked = ask(undefined, control.signal).catch(() => 'closed');
    await until(isReady);
    control.abort();
    expect(await asked).to.equal('closed');
    await until(() => outcomes.includes('not-yet'));
    await fixture.tell(told(fixture, { jobId: 1 }));
    await fixture.advance(500);
    expect((await fixture.ledger.runner(name()))?.state).to.equal('parked');
  });

  it('is answered at once when the dispatcher stops', async () => {
    const asked = ask();
    await until(isReady);
    isOpen = false;
    await listener.close(5_000);
    expect((await asked).status).to.equal(204);
  });

  it('asks as often as any runner may call, and no more', async () => {
    await fixture.tell(told(fixture, { jobId: 1 }));
    const statuses: number[] = [];
    for (let count = 0; count < 40; count += 1) {
      const asked = ask();
      if (count > 0) await new Promise((resolve) => setTimeout(resolve, 5));
      void asked.then(({ status }) => statuses.push(status));
    }
    await until(() => statuses.includes(429));
    isOpen = false;
    await listener.close(5_000);
  });
});
