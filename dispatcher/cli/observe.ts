/** `shr observe`: what a registration that only observes would have run, beside what really happened. */
import type { Command } from 'commander';
import { type Clock, systemClock } from '../../time/clock.ts';
import { SECOND } from '../../time/units.ts';
import { type ObservedView, observedSchema } from '../http/admin-shapes.ts';
import { formatDuration } from '../labels/duration.ts';
import { moneyWords } from '../model/price.ts';
import { adminCommand, answering, filters } from './admin-client.ts';
import { leftOut, more, told } from './admin-text.ts';
import { counted, printable, printFields, printTable } from './output.ts';
import type { Terminal } from './terminal.ts';

type ObservedJob = ObservedView['jobs'][number];

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  return adminCommand(
    'observe',
    'what a registration with `observe: true` would have run, how long jobs would have waited, and the cost',
    terminal,
  )
    .argument('<registration>', 'the name, as `shr registrations` shows it')
    .option('--since <duration>', 'how far back, up to 90d (default 7d)')
    .option('--limit <count>', 'how many jobs to list (default 100, at most 500); the total is of all')
    .action(async (registration: string, _options: unknown, command: Command) =>
      answering(
        { command, terminal, clock },
        (client) =>
          client.get(['registrations', registration, 'observed'], filters(command, ['since', 'limit']), observedSchema),
        (answer) => print(terminal, answer),
      ),
    );
}

function print(terminal: Terminal, answer: ObservedView): void {
  const { jobs, registration, refused, since, total } = answer;
  if (!answer.observes) {
    terminal.out(printable(`${registration} does not observe: \`observe: true\` in its file lets it.`));
    terminal.out('\n');
  }
  if (total.jobs === 0 && refused.length === 0) {
    terminal.out(`No jobs were observed since ${since}.\n`);
    return;
  }
  printTotal(terminal, answer);
  if (jobs.length > 0) {
    terminal.out('\n');
    printTable(terminal, jobs, [
      { title: 'job', value: ({ key }) => key },
      { title: 'state', value: ({ state }) => state },
      { title: 'would run on', value: ({ would }) => would.backend },
      { title: 'size', value: sizeOf },
      { title: 'would wait', value: ({ would }) => span(would.waitSeconds), align: 'right' },
      { title: 'cost', value: ({ would }) => (would.cost === null ? null : money(would.cost)), align: 'right' },
      { title: 'waited', value: ({ really }) => span(really.waitSeconds), align: 'right' },
      { title: 'ran', value: ({ really }) => span(really.runSeconds), align: 'right' },
      { title: 'taken by', value: takenBy },
      { title: 'image', value: ({ would }) => would.image },
    ]);
  }
  terminal.out(more(answer.more, 'jobs'));
  terminal.out(leftOut(answer.unreadable));
  terminal.out(`\nWould wait: ${answer.model}\n`);
}

function printTotal(terminal: Terminal, { refused, registration, since, total }: ObservedView): void {
  const unknown = total.costUnknown === 0 ? '' : `not known of ${counted(total.costUnknown, 'job')}`;
  const costs = [...total.costs.map(money), ...(unknown === '' ? [] : [unknown])].join(' + ');
  printFields(
    terminal,
    told([
      ['registration', registration],
      ['since', `${since}${total.cut ? ', the newest jobs alone: there are more in that time' : ''}`],
      ['jobs', `${total.jobs}: ${total.ran} ran, ${total.runs} run, ${total.waits} wait, ${total.neverRan} never ran`],
      ['would run on', total.backends.map(({ jobs, name }) => `${name} ${jobs}`).join(', ') || null],
      ['at once', `${total.mostAtOnce} at most`],
      ['would wait', waits(total.wouldWait)],
      ['really waited', waits(total.reallyWaited)],
      ['would cost', costs === '' ? null : `about ${costs}`],
      [
        'taken by',
        total.takenBy.map(({ jobs, runnerGroup }) => `${runnerGroup ?? 'unknown'} ${jobs}`).join(', ') || null,
      ],
      ['would refuse', refused.map(({ code, jobs, latest }) => `${jobs} ${code} (${latest})`).join(', ') || null],
    ]),
  );
}

function waits({ known, longestSeconds, medianSeconds, p95Seconds }: ObservedView['total']['wouldWait']): string {
  if (known === 0) return 'not known of any job';
  const times = `half ${span(medianSeconds)} or less, 95 % ${span(p95Seconds)} or less, the longest ${span(longestSeconds)}`;
  return `${times} (${counted(known, 'job')})`;
}

function sizeOf({ would: { cpu, memoryGiB } }: ObservedJob): string | null {
  const parts = [...(cpu === null ? [] : [`${cpu} cpu`]), ...(memoryGiB === null ? [] : [`${memoryGiB} GiB`])];
  return parts.length === 0 ? null : parts.join(', ');
}

function takenBy({ really: { runner, runnerGroup } }: ObservedJob): string | null {
  return runner === null || runnerGroup === null ? runner : `${runner} (${runnerGroup})`;
}

function money({ amount, currency }: { readonly amount: number; readonly currency: string }): string {
  return `${moneyWords(amount)} ${currency}`;
}

function span(seconds: number | null): string | null {
  return seconds === null ? null : formatDuration(Math.round(seconds) * SECOND);
}
