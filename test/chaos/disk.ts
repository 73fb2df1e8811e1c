/** The file system that the ledger is on fills up while runners start, and has room again later. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withReferences } from '../../dispatcher/cli/demo/references.ts';
import { demoOptions, startAliEciSimulator } from '../../simulators/ali-eci/index.ts';
import { eventually, startService } from '../e2e/service-fixture.ts';
import type { Experiment } from './experiment.ts';
import { aftermath, allCompleted, push, rest } from './load.ts';

const RUNNER = join(import.meta.dirname, '..', '..', 'simulators', 'github', 'runner.mjs');
const IMAGE = 'chaos/runner:1';
const BLOCK = Buffer.alloc(4096, 1);
/** A container starts in the middle of the time for which there is no room. */
const PULL_MS = 20_000;
const WAIT_MS = 4 * 60_000;
const LEFT_MS = 5 * 60_000;
const WINDOW_S = 10;

export const disk: Experiment<'runners' | 'full' | 'kib'> = {
  title: "the ledger's disk fills up while runners start, and has room again later (needs the right to mount)",
  sizes: {
    runners: { default: 15, least: 1, what: 'runners that start, for a job each' },
    full: { default: 40, least: 10, what: 'seconds without room' },
    kib: { default: 16_384, least: 8_192, what: 'KiB of the file system; the write-ahead log alone grows to 4 MiB' },
  },
  async run({ runners, full, kib }, say) {
    const mounted = await mountSmall(kib);
    let calls = 0;
    const cloud = await startAliEciSimulator({
      images: { [IMAGE]: [RUNNER] },
      substitutions: { '/home/runner/run.sh': RUNNER },
      timings: { imageMs: PULL_MS },
      onCall: () => {
        calls += 1;
      },
    });
    const { options, secrets } = withReferences(demoOptions(cloud), 'CHAOS_CLOUD');
    const alive = () => cloud.groups.filter(({ endedAtMs }) => endedAtMs === undefined).length;
    try {
      const service = await startService({
        maxRunners: runners,
        dispatcher: { ledger: join(mounted, 'ledger.db') },
        environment: secrets,
        registration: {
          defaults: { image: IMAGE, cpu: 1, memoryGiB: 2 },
          backends: [{ name: 'cloud', kind: 'ali-eci', options }],
        },
      });
      try {
        push(service, runners, 1);
        await eventually('all runners start', 60_000, () => (cloud.groups.length >= runners ? true : undefined));
        await fill(join(mounted, 'filler'));
        const from = { calls, output: service.output().length };
        await rest(full * 1000);
        const spent = calls - from.calls;
        const lines = service.output().slice(from.output).split('\n');
        const errors = lines.filter((line) => line.includes('"level":"error"')).length;
        const unnoticed = lines.some((line) => line.includes('"event":"ledger-closed"')) ? 0 : 1;
        say(`${spent} calls of the service and ${errors} errors logged in ${full} s without room`);
        await rm(join(mounted, 'filler'));
        const ms = await allCompleted(service, WAIT_MS);
        return [
          { what: 'calls a runner in 10 s', value: spent / runners / (full / WINDOW_S), most: 1 },
          { what: 'errors logged', value: errors, most: 2 },
          { what: 'not noticed', value: unnoticed, most: 0 },
          { what: 'all jobs done after', value: ms / 1000, most: 120, unit: 's of room' },
          ...(await aftermath(service, LEFT_MS, alive)),
        ];
      } finally {
        await service.close();
      }
    } finally {
      await cloud.close();
      await promisify(execFile)('umount', [mounted]);
      await rm(mounted, { recursive: true });
    }
  },
};

async function mountSmall(kib: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'shr-disk-'));
  try {
    await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', `size=${kib}k`, 'tmpfs', folder]);
  } catch (error) {
    await rm(folder, { recursive: true });
    throw new Error('a small file system could not be mounted: this experiment needs root', { cause: error });
  }
  await chmod(folder, 0o700);
  return folder;
}

/** Up to the last block that there is. */
async function fill(path: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (;;) await file.write(BLOCK);
  } catch (error) {
    const isFull = error instanceof Error && 'code' in error && error.code === 'ENOSPC';
    if (!isFull) throw error;
  } finally {
    await file.close();
  }
}
