/** kill -9 again and again, at moments that nobody chose. */
import { systemRandom } from '../../time/clock.ts';
import { startService } from '../e2e/service-fixture.ts';
import type { Experiment } from './experiment.ts';
import { aftermath, allCompleted, completed, push, rest } from './load.ts';

/** To be believed gone, what a kill may have left must be missed three times over three minutes. */
const PROOF_MS = 6 * 60_000;
const MAX_LIFE_MS = 3_000;

export const kill: Experiment<'jobs' | 'kills'> = {
  title: 'the process is killed again and again under load',
  sizes: {
    jobs: { default: 400, least: 1, what: 'jobs' },
    kills: { default: 20, least: 1, what: 'times that it is killed, within 3 s of each start' },
  },
  async run({ jobs, kills }, say) {
    const service = await startService({ maxRunners: 16 });
    try {
      push(service, jobs, 0.2);
      for (let times = 0; times < kills; times += 1) {
        await rest(systemRandom() * MAX_LIFE_MS);
        await service.end('SIGKILL');
        await service.restart();
      }
      say(`${completed(service)} of ${jobs} jobs were completed at the last kill`);
      const ms = await allCompleted(service, PROOF_MS + jobs * 2_000);
      return [
        { what: 'all jobs done after', value: ms / 1000, most: (PROOF_MS + jobs * 1_000) / 1000, unit: 's' },
        ...(await aftermath(service, PROOF_MS)),
      ];
    } finally {
      await service.close();
    }
  },
};
