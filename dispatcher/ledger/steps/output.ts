/** The end of what a runner printed, kept for people. */
import { LOG_BYTES } from '../../../providers/provider.ts';
import { scrubOutput } from '../../failures/scrub.ts';
import * as timelineQueries from '../queries/timeline.ts';
import * as rows from '../rows.ts';
import { runner } from './runners.ts';
import { type Context, firstOf, type Step } from './step.ts';

export function* keepOutput(context: Context, name: string, output: string, nowMs: number): Step<void> {
  if ((yield* runner(context, name)) === undefined) return;
  yield timelineQueries.putOutput(context.builder, name, lastBytes(scrubOutput(output), LOG_BYTES), nowMs);
}

export function* output(context: Context, name: string): Step<string | undefined> {
  return firstOf(yield timelineQueries.outputOf(context.builder, name), rows.outputOf);
}

/** The end of the text, cut between characters. Containers may print NUL, which PostgreSQL cannot store. */
function lastBytes(text: string, most: number): string {
  const bytes = Buffer.from(text.replaceAll('\0', ''), 'utf8');
  let start = Math.max(0, bytes.length - most);
  // 0b10xxxxxx is a continuation byte in UTF-8.
  while (start < bytes.length && ((bytes[start] ?? 0) & 0b1100_0000) === 0b1000_0000) start += 1;
  return bytes.toString('utf8', start);
}
