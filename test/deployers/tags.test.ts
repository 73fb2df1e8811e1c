import { expect } from 'chai';
import { lastLines } from '../../deployers/tags.ts';

describe('the last lines of a dispatcher that does not start', () => {
  it('have the line that tells why, above a stack', () => {
    const output = [
      'file:///opt/shr/node_modules/serverless-hosted-runner/dist/dispatcher/cli/shr.mjs:6',
      "import { enableCompileCache } from 'node:module';",
      '         ^^^^^^^^^^^^^^^^^^',
      "SyntaxError: The requested module 'node:module' does not provide an export named 'enableCompileCache'",
      '    at ModuleJob._instantiate (node:internal/modules/esm/module_job:180:21)',
      '    at async ModuleJob.run (node:internal/modules/esm/module_job:263:5)',
      '    at async ModuleLoader.import (node:internal/modules/esm/loader:578:5)',
      '    at async asyncRunEntryPointWithESMLoader (node:internal/modules/run_main:117:5)',
      '',
      'Node.js v20.20.2',
      '',
    ].join('\n');
    expect(lastLines(output).split('\n')).to.include(
      "SyntaxError: The requested module 'node:module' does not provide an export named 'enableCompileCache'",
    );
    expect(lastLines('')).to.equal('It printed nothing.');
    expect(lastLines('a\nb\n')).to.equal('Its last lines:\na\nb');
  });
});
