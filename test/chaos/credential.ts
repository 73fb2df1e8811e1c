/** Many jobs at once through one credential, whose budget for GitHub is the only thing that binds. */
import { githubLimits } from '../../dispatcher/github/budget.ts';
import { startService } from '../e2e/service-fixture.ts';
import type { Experiment } from './experiment.ts';
import { aftermath, allCompleted, push } from './load.ts';

/** A launch costs one write, of 5 points: docs.github.com, "Rate limits for the REST API". */
const LAUNCH_POINTS = 5;
/** GitHub's bound on the jobs of one matrix. */
const MAX_MATRIX = 256;
/** The budget of the first minute may be spent at once: what counts is what comes after it. */
const FIRST_MS = 61_000;
const MAX_RUNNERS = 400;
const LEFT_MS = 10 * 60_000;

export const credential: Experiment<'jobs'> = {
  title: 'many jobs at once through one credential, with its budget for GitHub as the only bound',
  sizes: { jobs: { default: 2_000, least: 500, what: 'jobs' } },
  async run({ jobs }, say) {
    const launchesAMinute = githubLimits.pointsPerMinute / LAUNCH_POINTS;
    const service = await startService({ maxRunners: MAX_RUNNERS });
    try {
      for (let pushed = 0; pushed < jobs; pushed += MAX_MATRIX) push(service, Math.min(MAX_MATRIX, jobs - pushed), 0);
      const ms = await allCompleted(service, (2 * jobs * 60_000) / launchesAMinute);
      say(`${jobs} jobs were completed after ${Math.round(ms / 1000)} s`);

      const startsMs = service.github
        .executions()
        .map(({ startedAtMs }) => startedAtMs)
        .sort((a, b) => a - b);
      const [firstMs = 0] = startsMs;
      const later = startsMs.filter((atMs) => atMs > firstMs + FIRST_MS);
      const minutes = ((startsMs.at(-1) ?? firstMs) - firstMs - FIRST_MS) / 60_000;
      const gaps = startsMs.map((atMs, index) => atMs - (startsMs[index - 1] ?? atMs));
      return [
        {
          what: 'budget left unused after the first minute',
          value: 100 * (1 - later.length / (minutes * launchesAMinute)),
          most: 10,
          unit: '%',
        },
        { what: 'longest gap between two starts', value: Math.max(...gaps) / 1000, most: 5, unit: 's' },
        ...(await aftermath(service, LEFT_MS)),
      ];
    } finally {
      await service.close();
    }
  },
};
