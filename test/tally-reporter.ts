/** Mocha's `dot` reporter, which also writes the tally to the file that TALLY_FILE names. */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import mocha from 'mocha';

export default class TallyReporter extends mocha.reporters.Dot {
  constructor(runner: mocha.Runner, options: mocha.MochaOptions) {
    super(runner, options);
    const pending: string[] = [];
    const failures: string[] = [];
    const seconds = new Map<string, number>();
    let passed = 0;
    runner.on('pass', () => {
      passed += 1;
    });
    runner.on('test end', ({ duration = 0, file = '' }) => {
      const name = relative(process.cwd(), file);
      seconds.set(name, (seconds.get(name) ?? 0) + duration / 1000);
    });
    runner.on('fail', (test, error: Error) => {
      failures.push(`${test.fullTitle()}: ${firstLine(error)}`);
    });
    runner.on('pending', (test) => {
      pending.push(test.fullTitle());
    });
    runner.on('end', () => {
      const file = process.env['TALLY_FILE'];
      if (file !== undefined) writeFileSync(file, JSON.stringify({ passed, failures, pending, seconds: [...seconds] }));
    });
  }
}

/** Enough to tell what it was; the whole is in the reporter's own account. */
function firstLine(error: Error): string {
  const [line = ''] = error.message.split('\n');
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
