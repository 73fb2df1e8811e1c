import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

// J14
describe('a registration that is taken out of the configuration', () => {
  let folder: string;
  let fixture: EngineFixture;
  let starts: number;

  /** Job 1 runs and job 2 waits, with a runner on its way. */
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-absent-'));
    starts = 0;
    await start([registration('acme')]);
    await fixture.tell(told(fixture, { jobId: 1 }));
    await fixture.advance(MINUTE);
    const [runner] = await fixture.ledger.runners({ limit: 1 }, 'reject');
    await fixture.tell(told(fixture, { jobId: 1, status: 'in_progress', runnerName: runner?.name ?? 'none' }));
    await fixture.tell(told(fixture, { jobId: 2 }));
    await fixture.advance(MINUTE);
  });
  afterEach(async () => {
    await fixture.close();
    await rm(folder, { recursive: true });
  });

  async function start(registrations: readonly Registration[], setAside: readonly string[] = []): Promise<void> {
    fixture = await openEngineFixture({
      registrations,
      setAside: (name) => setAside.includes(name),
      ledgerPath: join(folder, 'ledger.db'),
      startMs: Date.UTC(2026, 10, 1, 8) + starts * 10 * MINUTE,
    });
    starts += 1;
    await fixture.engine.start();
    await fixture.advance(MINUTE);
  }

  async function restart(registrations: readonly Registration[], setAside: readonly string[] = []): Promise<void> {
    await fixture.close();
    await start(registrations, setAside);
  }

  it('keeps its jobs, and says that it is gone and that its runners finish', async () => {
    await restart([]);
    for (const id of [1, 2]) {
      const job = await fixture.ledger.job(`github.com/acme/web/${id}`);
      expect(job).to.include({ admission: 'refused', registration: 'acme', reasonCode: 'registration-removed' });
      expect(job?.reason).to.match(/^its registration is no longer in the configuration: .*finish their jobs/);
      expect(job?.cure).to.match(/^Put the registration back/);
    }
  });

  it('says so of a job that its runner took without an admission', async () => {
    await restart([]);
    const runners = await fixture.ledger.runners({ limit: 5 }, 'reject');
    const idle = runners.find(({ jobKey }) => jobKey === null);
    expect(idle).to.not.equal(undefined);
    await fixture.tell(
      told(fixture, { jobId: 3, status: 'in_progress', runnerName: idle?.name ?? 'none', labels: ['x'] }),
    );
    expect(await fixture.ledger.job('github.com/acme/web/3')).to.include({
      admission: 'refused',
      registration: 'acme',
      reasonCode: 'registration-removed',
    });
  });

  it('says of one that is set aside that its file is to be corrected', async () => {
    await restart([], ['acme']);
    const job = await fixture.ledger.job('github.com/acme/web/2');
    expect(job).to.include({ admission: 'refused', reasonCode: 'registration-set-aside' });
    expect(job?.cure).to.match(/^Fix the problems that `shr validate`/);
  });

  it('gives its jobs to another registration that asks for them', async () => {
    await restart([registration('globex')]);
    expect(await fixture.ledger.job('github.com/acme/web/2')).to.include({ registration: 'acme' });
    await restart([registration('globex', { labels: ['acme-runner'] })]);
    expect(await fixture.ledger.job('github.com/acme/web/2')).to.include({ admission: 'lane', registration: 'globex' });
  });

  it('takes its jobs up again when it is back', async () => {
    await restart([]);
    await restart([registration('acme')]);
    expect(await fixture.ledger.job('github.com/acme/web/2')).to.include({ admission: 'lane', registration: 'acme' });
  });
});
