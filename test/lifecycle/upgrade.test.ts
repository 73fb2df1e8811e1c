import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect } from 'chai';
import type { RunnerState } from '../../dispatcher/ledger/ledger.ts';
import type { Instance } from '../../providers/provider.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

/** When the ledger of 0.1 was last written. */
const LEFT_AT_MS = Date.UTC(2026, 10, 1, 8);
const LIVE: readonly RunnerState[] = ['creating', 'starting', 'online', 'busy', 'finishing', 'draining'];

/** Written by version 0.1 itself, and kept as the SQL that makes the same file: 20 busy runners, and one that is gone. */
const LEDGER_0_1 = new URL('../ledger/ledger-0.1.sql', import.meta.url);

// W3: job keys of 0.1 do not hold the repository.
describe('a ledger of version 0.1 with 20 busy runners', () => {
  let folder: string;
  let fixture: EngineFixture;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ledger-'));
    const ledgerPath = join(folder, 'ledger.db');
    const old = new Sqlite(ledgerPath);
    old.exec(await readFile(LEDGER_0_1, 'utf8'));
    old.close();
    fixture = await openEngineFixture({
      registrations: [registration('acme')],
      ledgerPath,
      startMs: LEFT_AT_MS + MINUTE,
    });
    for (const runner of await fixture.ledger.runners({ states: ['busy'] }, 'reject')) {
      const { name, scope, githubRunnerId, instanceId, instanceDeadlineAtMs, createdAtMs } = runner;
      const instance: Instance = {
        ref: { name, id: instanceId ?? '' },
        state: 'running',
        tags: {
          dispatcher: 'd1',
          registration: 'acme',
          lane: runner.laneKey,
          scope,
          runner: name,
          createdAtMs,
          deadlineAtMs: instanceDeadlineAtMs,
          charge: {},
        },
      };
      fixture.instances.set(name, instance);
      fixture.runners.set(name, { id: githubRunnerId ?? 0, name, scope, online: true, busy: true });
      const job = await fixture.ledger.job(runner.jobKey ?? '');
      if (job === undefined) throw new Error(`${name} has lost its job ${runner.jobKey}`);
      const { visibility, ...told } = job;
      fixture.jobs.set(job.key, {
        ...told,
        visibility: visibility ?? undefined,
        source: 'read',
        toldBy: 'acme',
        observedAtMs: 0,
      });
    }
  });

  afterEach(async () => {
    await fixture.close();
    await rm(folder, { recursive: true });
  });

  it('names each job with its repository, in runners too', async () => {
    const runners = await fixture.ledger.runners({ states: ['busy'] }, 'reject');
    expect(runners).to.have.length(20);
    for (const { jobKey, forJobKey } of runners) {
      expect(jobKey).to.match(/^github\.com\/acme\/(web|api)\/1\d\d$/);
      expect(forJobKey).to.equal(jobKey);
      expect(await fixture.ledger.job(jobKey ?? '')).to.include({ key: jobKey, launches: 1, admission: 'lane' });
    }
  });

  it('opens a second time as it is', async () => {
    const before = await fixture.ledger.jobs({}, 'reject');
    await fixture.ledger.close();
    const again = await openEngineFixture({ registrations: [], ledgerPath: join(folder, 'ledger.db') });
    expect(await again.ledger.jobs({}, 'reject')).to.deep.equal(before);
    await again.close();
    fixture = await openEngineFixture({ registrations: [] });
  });

  it('is worked on: none is killed, none launched twice, and each ends with its job', async () => {
    await fixture.engine.start();
    // What polls and webhooks tell of jobs that are known already must meet the rows that are there.
    for (let minute = 0; minute < 30; minute += 1) {
      await fixture.tell(
        ...[...fixture.jobs.values()].map((job) => ({
          ...job,
          source: 'poll' as const,
          observedAtMs: fixture.clock.now(),
        })),
      );
      await fixture.advance(MINUTE);
    }
    expect(await fixture.ledger.jobs({ limit: 100 }, 'reject')).to.have.length(20);
    expect(await fixture.ledger.runners({ states: ['busy'] }, 'reject')).to.have.length(20);
    expect(fixture.calls.filter((call) => !call.startsWith('read '))).to.deep.equal([]);

    for (const job of fixture.jobs.values()) {
      await fixture.tell(
        told(fixture, {
          ...job,
          source: 'webhook',
          toldBy: null,
          status: 'completed',
          conclusion: 'success',
          observedAtMs: fixture.clock.now(),
        }),
      );
      const name = job.runnerName ?? '';
      fixture.runners.delete(name);
      const instance = fixture.instances.get(name);
      if (instance !== undefined) fixture.instances.set(name, { ...instance, state: 'succeeded' });
    }
    await fixture.advance(5 * MINUTE);
    expect(await fixture.ledger.runners({ states: LIVE }, 'reject')).to.deep.equal([]);
    expect(fixture.calls.filter((call) => /^(jit|launch|delete) /.test(call))).to.deep.equal([]);
  });
});
