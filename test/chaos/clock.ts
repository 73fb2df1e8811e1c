/** Somebody sets the machine's clock, and sets it right again. The process is a real one; libfaketime is its clock. */
import { access, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, startService } from '../e2e/service-fixture.ts';
import type { Experiment, Figure } from './experiment.ts';
import { aftermath, allCompleted, push, rest } from './load.ts';

/** Where Debian's package `libfaketime` puts it, for each machine it is built for. */
const LIBRARIES = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(
  (machine) => `/usr/lib/${machine}/faketime/libfaketime.so.1`,
);
const WAIT_MS = 4 * 60_000;
const LEFT_MS = 5 * 60_000;

export const clock: Experiment<'jobs' | 'wrong' | 'ahead' | 'behind'> = {
  title: 'the clock is set an hour ahead under load, and right again after a while',
  sizes: {
    jobs: { default: 30, least: 3, what: 'jobs: a third before, a third meanwhile, a third after' },
    wrong: { default: 30, least: 1, what: 'seconds for which the clock is wrong' },
    ahead: { default: 3600, least: 0, what: 'seconds by which it is ahead' },
    behind: { default: 0, least: 0, what: 'seconds by which it is behind, in place of ahead' },
  },
  async run({ jobs, wrong, ahead, behind }, say) {
    const library = await firstOf(LIBRARIES);
    const folder = await mkdtemp(join(tmpdir(), 'shr-clock-'));
    const file = join(folder, 'time');
    // Renamed into place: the process reads it at any moment.
    const set = async (offset: string) => {
      await writeFile(`${file}.new`, offset);
      await rename(`${file}.new`, file);
    };
    await set('+0');
    const service = await startService({
      maxRunners: 10,
      environment: {
        LD_PRELOAD: library,
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        // The name that versions before 0.9.9 read.
        DONT_FAKE_MONOTONIC: '1',
      },
    });
    try {
      const third = Math.floor(jobs / 3);
      push(service, third, 1);
      await eventually('a job runs', 60_000, () => (service.github.executions().length > 0 ? true : undefined));
      await set(behind > 0 ? `-${behind}` : `+${ahead}`);
      push(service, third, 1);
      await rest(wrong * 1000);
      say(`${service.github.executions().length} of ${2 * third} jobs ran while the clock was wrong`);
      await set('+0');
      push(service, jobs - 2 * third, 1);
      const ms = await allCompleted(service, WAIT_MS);
      const unnoticed = service.output().includes('"event":"clock-set"') ? 0 : 1;
      const figures: readonly Figure[] = [
        { what: `all ${jobs} jobs done after`, value: ms / 1000, most: 30, unit: 's of the right clock' },
        { what: 'not noticed', value: unnoticed, most: 0 },
      ];
      return [...figures, ...(await aftermath(service, LEFT_MS))];
    } finally {
      await service.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function firstOf(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  throw new Error('libfaketime is missing: apt-get install faketime');
}
