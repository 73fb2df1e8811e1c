/**
 * Durable webhook intake, compared with the minimum that any webhook receiver must do. Budget: half of its requests a
 * second.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchmarkOptions, type BenchmarkResult, median, rounded } from './parts/benchmark.ts';
import { Child } from './parts/child.ts';
import { listening } from './parts/intake-server.ts';
import { fired, prepared } from './parts/load.ts';

export const about =
  'durable webhooks a second, beside a bare node:http server that checks the HMAC and parses the JSON';

/**
 * A burst of a large matrix. Writes are committed in groups, so fewer connections make smaller and less efficient
 * groups.
 */
const connections = 128;
const requestsARound = 6_000;
const timeLimitMs = 60_000;

export async function run({ rounds = 9, progress }: BenchmarkOptions): Promise<BenchmarkResult> {
  const folder = mkdtempSync(join(tmpdir(), 'shr-bench-'));
  const load = new Child('./load.ts', []);
  const servers = {
    durable: new Child('./intake-server.ts', ['durable', join(folder, 'ledger.sqlite')]),
    limit: new Child('./intake-server.ts', ['limit']),
    nothing: new Child('./intake-server.ts', ['nothing']),
  };
  try {
    const ports = {
      durable: (await servers.durable.ask({}, listening)).port,
      limit: (await servers.limit.ask({}, listening)).port,
      nothing: (await servers.nothing.ask({}, listening)).port,
    };
    const results = { durable: [], limit: [], nothing: [] } satisfies Record<keyof typeof ports, number[]>;
    return await measure({ load, ports, folder, rounds, progress, perSecond: results });
  } finally {
    await Promise.all([load, ...Object.values(servers)].map((child) => child.end()));
    rmSync(folder, { recursive: true, force: true });
  }
}

type Kind = 'durable' | 'limit' | 'nothing';

interface Measurement {
  readonly load: Child;
  readonly ports: Readonly<Record<Kind, number>>;
  readonly folder: string;
  readonly rounds: number;
  progress(line: string): void;
  readonly perSecond: Record<Kind, number[]>;
}

/** This disk's time for one durable write the size of a group: durable intake cannot be faster than its disk. */
function fdatasyncMs(folder: string): number {
  const file = openSync(join(folder, 'probe'), 'w');
  const pages = Buffer.alloc(128 * 1024, 1);
  const timesMs: number[] = [];
  for (let write = 0; write < 20; write += 1) {
    writeSync(file, pages, 0, pages.length, 0);
    const startedAtMs = performance.now();
    fdatasyncSync(file);
    timesMs.push(performance.now() - startedAtMs);
  }
  closeSync(file);
  return median(timesMs);
}

async function measure(measurement: Measurement): Promise<BenchmarkResult> {
  const { load, ports, folder, rounds, progress, perSecond } = measurement;
  const disk: number[] = [];
  const p50Ms: number[] = [];
  const p99Ms: number[] = [];
  const ratios: number[] = [];
  let meanBytes = 0;
  // Round 0 warms up the engines and does not count.
  for (let round = 0; round <= rounds; round += 1) {
    ({ meanBytes } = await load.ask({ kind: 'prepare', series: round, count: requestsARound }, prepared));
    const diskMs = fdatasyncMs(folder);
    const order: readonly Kind[] = round % 2 === 0 ? ['durable', 'limit', 'nothing'] : ['nothing', 'limit', 'durable'];
    const speeds: Record<Kind, number> = { durable: 0, limit: 0, nothing: 0 };
    for (const kind of order) {
      const shots = { kind: 'fire', port: ports[kind], connections, expectedStatus: 202, timeLimitMs };
      const result = await load.ask(shots, fired);
      speeds[kind] = result.perSecond;
      if (round === 0) continue;
      perSecond[kind].push(result.perSecond);
      if (kind !== 'durable') continue;
      p50Ms.push(result.p50Ms);
      p99Ms.push(result.p99Ms);
    }
    const ratio = speeds.durable / speeds.limit;
    if (round > 0) {
      ratios.push(ratio);
      disk.push(diskMs);
    }
    progress(
      `round ${round} of ${rounds}: durable ${speeds.durable.toFixed(0)}/s, limit ${speeds.limit.toFixed(0)}/s, ` +
        `ceiling ${speeds.nothing.toFixed(0)}/s, ratio ${ratio.toFixed(2)}, fdatasync ${diskMs.toFixed(2)} ms${round === 0 ? ' (warm-up)' : ''}`,
    );
  }
  return {
    durablePerSecond: rounded(median(perSecond.durable), 0),
    limitPerSecond: rounded(median(perSecond.limit), 0),
    ratio: rounded(median(ratios)),
    p50Ms: rounded(median(p50Ms)),
    p99Ms: rounded(median(p99Ms)),
    rounds,
    ceilingPerSecond: rounded(median(perSecond.nothing), 0),
    fdatasyncMs: rounded(median(disk)),
    connections,
    requestsPerRound: requestsARound,
    requestBytes: rounded(meanBytes, 0),
  };
}
