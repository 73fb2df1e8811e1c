/** What was written while the clock was ahead. */
import { breakerUpTo, runnerUpTo } from '../future.ts';
import * as breakerQueries from '../queries/breakers.ts';
import * as jobQueries from '../queries/jobs.ts';
import * as runnerQueries from '../queries/runners.ts';
import * as rows from '../rows.ts';
import { putBreaker } from './breakers.ts';
import type { Context, Step } from './step.ts';

/** Returns how many runners, jobs and breakers had times in the future. */
export function* cutToNow(context: Context): Step<number> {
  const { builder, nowMs } = context;
  let cut = (yield jobQueries.cutJobsToNow(builder, nowMs)).changed;
  cut += (yield jobQueries.cutEndedJobsToNow(builder, nowMs)).changed;
  for (const runner of rows.readable((yield runnerQueries.liveRunners(builder)).rows, rows.runnerRow, () => {})) {
    const inOrder = runnerUpTo(nowMs, runner);
    if (inOrder === runner) continue;
    yield runnerQueries.putRunner(builder, rows.runnerColumns(inOrder));
    cut += 1;
  }
  for (const breaker of rows.readable((yield breakerQueries.allBreakers(builder)).rows, rows.breaker, () => {})) {
    const inOrder = breakerUpTo(nowMs, breaker);
    if (inOrder === breaker) continue;
    yield* putBreaker(context, inOrder);
    cut += 1;
  }
  return cut;
}
