/** Jobs that wait in an engine, the runners that are launched for them, and why none is. */
import { type EngineFixture, told } from './engine-fixture.ts';

/** `fixture`: of the test that runs. */
export function queuedJobs(fixture: () => EngineFixture) {
  return {
    /** A job that GitHub knows too. */
    async queue(jobId: number, labels = ['acme-runner']): Promise<void> {
      const job = told(fixture(), { jobId, labels });
      fixture().jobs.set(`github.com/acme/web/${jobId}`, job);
      await fixture().tell(job);
      await fixture().advance(5_000);
    },
    runners: async (name: string): Promise<number> =>
      (await fixture().ledger.runners({ registrations: [name], limit: 100 }, 'reject')).length,
    reasonOf: async (jobId: number) => {
      const job = await fixture().ledger.job(`github.com/acme/web/${jobId}`);
      return job === undefined ? 'no job' : await fixture().engine.jobReason(job);
    },
  };
}
