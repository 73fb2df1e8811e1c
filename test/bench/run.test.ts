import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { z } from 'zod';
import { median, quantile } from '../../bench/parts/benchmark.ts';
import { providerKinds } from '../../providers/index.ts';

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

  for (const args of [
    [],
    ['nothing-of-the-kind'],
    ['intake', 'dispatch'],
    ['intake', '--rounds', '0'],
    ['burst', '--jobs', 'all'],
    ['--fast'],
  ]) {
    it(`ends with 2 and says how when called as: bench ${args.join(' ')}`, async () => {
      const { code, stdout, stderr } = await bench(...args);
      expect(code).to.equal(2);
      expect(stdout).to.equal('');
      expect(stderr).to.match(/--(rounds|jobs)/);
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

  it('measures dispatch, where each job is launched', async function () {
    this.timeout(60_000);
    const { code, stdout, stderr } = await bench('dispatch', '--json', '--rounds', '1');
    expect(code, stderr).to.equal(0);
    expect(z.looseObject({ p50Ms: z.number(), p99Ms: z.number() }).parse(lastLine(stdout)).p50Ms).to.be.greaterThan(0);
  });

  it('measures a burst, on this disk and on a slow one, where each job is launched once', async function () {
    this.timeout(120_000);
    const { code, stdout, stderr } = await bench('burst', '--json', '--rounds', '1', '--jobs', '300');
    expect(code, stderr).to.equal(0);
    const disk = z.object({ ratio: z.number().positive(), webhookP99Ms: z.number().positive() });
    const result = disk.extend({ slowDisk: disk, lost: z.int(), twice: z.int() }).parse(lastLine(stdout));
    expect(result).to.include({ lost: 0, twice: 0 });
  });
});

function lastLine(stdout: string): unknown {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
}

describe('the benchmarks of providers', function () {
  this.timeout(120_000);
  const rows = z.object({ providers: z.record(z.string(), z.record(z.string(), z.number().positive())) });
  const measured = async (name: string) => {
    const { code, stdout, stderr } = await bench(name, '--json', '--rounds', '1');
    expect(code, stderr).to.equal(0);
    return rows.parse(JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')).providers;
  };

  it('compare a launch through each cloud’s adapter with its SDK', async () => {
    const providers = await measured('launch');
    expect(Object.keys(providers)).to.deep.equal(['ali-eci', 'azure-aci', 'gcp-batch', 'gcp-cloud-run']);
    for (const [kind, row] of Object.entries(providers)) {
      expect(row, kind).to.have.all.keys('ratio', 'cpuMs', 'sdkCpuMs', 'bytes', 'sdkBytes');
      expect(row['bytes'], kind).to.be.within(4_000, 20_000);
    }
  });

  it('tell what importing each kind costs', async () => {
    const providers = await measured('imports');
    expect(Object.keys(providers).sort()).to.deep.equal([...providerKinds]);
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
