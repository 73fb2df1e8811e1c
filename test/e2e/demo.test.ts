import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { cloudKinds } from '../../dispatcher/cli/demo/cloud-backend.ts';
import { ask, engineProblem } from '../docker/engine.ts';

const SHR = join(import.meta.dirname, '..', '..', 'dispatcher', 'cli', 'shr.ts');
const LAST_LINE = 'demo: 7 jobs: 5 completed, 1 refused, 1 not ours; 0 runners left, 0 instances left';

async function demo(...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [SHR, 'demo', ...words], { timeout: 90_000 });
  return stdout;
}

describe('shr demo', function () {
  this.timeout(120_000);

  it('runs every kind of job through local processes, and leaves nothing', async () => {
    const output = await demo();
    expect(output.trimEnd().split('\n').at(-1)).to.equal(LAST_LINE);
    expect(output).to.match(/^big +queued .*creating .*starting .*busy .*finishing .*gone/m);
    expect(output).to.match(/^greedy was refused: .*64.*8.*maxCpu/m);
  });

  for (const kind of cloudKinds) {
    it(`does the same through the SDK of ${kind}, on a simulator of its service`, async () => {
      const output = await demo('--backend', kind);
      expect(output.trimEnd().split('\n').at(-1)).to.equal(LAST_LINE);
    });
  }

  it('does the same in real containers', async function () {
    const problem = await engineProblem();
    if (problem !== undefined) {
      console.log(`      ${problem}`);
      this.skip();
    }
    const output = await demo('--backend', 'docker');
    expect(output.trimEnd().split('\n').at(-1)).to.equal(LAST_LINE);
    const left = await ask('GET', `/containers/json?all=1&filters=${encodeURIComponent('{"name":["demo-"]}')}`);
    expect(left).to.deep.equal([]);
  });

  it('says which backends there are when asked for another', async () => {
    const failed = await demo('--backend', 'mainframe').catch((error: unknown) => error);
    expect(failed).to.include({ code: 2 });
    expect(failed).to.have.property('stderr').that.includes('process');
  });
});
