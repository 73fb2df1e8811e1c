/** The process stands still while GitHub's deliveries fail, and nothing polls: what it missed it must ask for. */
import { eventually, startService } from '../e2e/service-fixture.ts';
import type { Experiment } from './experiment.ts';
import { aftermath, allCompleted, push, rest } from './load.ts';

const WAIT_MS = 4 * 60_000;
const LEFT_MS = 5 * 60_000;

export const gap: Experiment<'jobs' | 'stopped'> = {
  title: 'the process is stopped for a while, the webhooks of that while are lost, and polling is off',
  sizes: {
    jobs: { default: 10, least: 1, what: 'jobs that GitHub tells of meanwhile' },
    stopped: { default: 90, least: 15, what: 'seconds' },
  },
  async run({ jobs, stopped }, say) {
    const service = await startService({ maxRunners: 10, registration: { poll: { interval: 'off' } } });
    try {
      await eventually('the first look is over', 60_000, () =>
        service.output().includes('"poll.pass"') ? true : undefined,
      );
      push(service, 3, 5);
      await eventually('three jobs run', 60_000, () => (service.github.executions().length === 3 ? true : undefined));
      service.process.kill('SIGSTOP');
      service.github.faults.set({ webhooks: { lose: 1 } });
      push(service, jobs, 0.2);
      await rest(stopped * 1000);
      service.github.faults.set({ webhooks: { lose: 0 } });
      service.process.kill('SIGCONT');
      const ms = await allCompleted(service, WAIT_MS);
      say(`${jobs + 3} jobs are completed`);
      return [
        { what: `all ${jobs} jobs done after`, value: ms / 1000, most: 30, unit: 's of going on' },
        ...(await aftermath(service, LEFT_MS)),
      ];
    } finally {
      service.process.kill('SIGCONT');
      await service.close();
    }
  },
};
