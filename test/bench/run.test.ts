import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { z } from 'zod';
import { median, quantile } from '../../bench/parts/benchmark.ts';

const program = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));

async function bench(...args: readonly string[]) {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => {
    said.stdout += String(text);
  });
  child.stderr.on('data', (text) => {
    said.stderr += String(text);
  });
  const [code] = await once(child, 'close');
  return { code: z.int().parse(code), ...said };
}

describe('the bench command', () => {
  it('lists what can be measured', async () => {
    const { code, stdout } = await bench('--help');
    expect(code).to.equal(0);
    expect(stdout).to.match(/^ {2}intake +durable webhooks a second/m);
    expect(stdout).not.to.contain('parts');
  });

  for (const args of [[], ['nothing-of-the-kind'], ['intake', 'dispatch'], ['intake', '--rounds', '0'], ['--fast']]) {
    it(`ends with 2 and says how when called as: bench ${args.join(' ')}`, async () => {
      const { code, stdout, stderr } = await bench(...args);
      expect(code).to.equal(2);
      expect(stdout).to.equal('');
      expect(stderr).to.match(/--rounds/);
    });
  }

  it('measures intake, with one JSON object as the last line', async function () {
    this.timeout(60_000);
    const { code, stdout, stderr } = await bench('intake', '--json', '--rounds', '1');
    expect(stderr).to.contain('round 1 of 1');
    expect(code).to.equal(0);
    const lines = stdout.trimEnd().split('\n');
    const result = z.record(z.string(), z.unknown()).parse(JSON.parse(lines.at(-1) ?? ''));
    for (const field of ['durablePerSecond', 'limitPerSecond', 'ratio', 'p99Ms', 'ceilingPerSecond']) {
      expect(result[field], field).to.be.a('number').greaterThan(0);
    }
    expect(result['rounds']).to.equal(1);
    expect(result['requestBytes']).to.be.within(8_000, 10_000);
  });
});

describe('the arithmetic of benchmarks', () => {
  it('takes the middle, or the mean of the two in the middle', () => {
    expect(median([3, 1, 2])).to.equal(2);
    expect(median([4, 1, 3, 2])).to.equal(2.5);
  });

  it('takes quantiles between the values', () => {
    const values = Array.from({ length: 101 }, (_, index) => index);
    expect(quantile(values, 0.99)).to.equal(99);
    expect(quantile([10, 20], 0.25)).to.equal(12.5);
  });
});
