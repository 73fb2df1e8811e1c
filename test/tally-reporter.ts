/** Mocha's `dot` reporter, which also writes the tally to the file that TALLY_FILE names. */
import { writeFileSync } from 'node:fs';
import mocha from 'mocha';

export default class TallyReporter extends mocha.reporters.Dot {
  constructor(runner: mocha.Runner, options: mocha.MochaOptions) {
    super(runner, options);
    const pending: string[] = [];
    let passed = 0;
    let failed = 0;
    runner.on('pass', () => {
      passed += 1;
    });
    runner.on('fail', () => {
      failed += 1;
    });
    runner.on('pending', (test) => {
      pending.push(test.fullTitle());
    });
    runner.on('end', () => {
      const file = process.env['TALLY_FILE'];
      if (file !== undefined) writeFileSync(file, JSON.stringify({ passed, failed, pending }));
    });
  }
}
