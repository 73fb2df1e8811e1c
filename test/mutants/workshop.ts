/** Copies of the tree in which one mutation at a time is tried. */
import { spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

/** `timeout`: the tests did not end, which is noticed too. */
export type Verdict = 'killed' | 'timeout' | 'types' | 'survived';

export interface Bench {
  readonly folder: string;
  /** Answers at the first test that fails. */
  judge(file: string, mutated: string, original: string, stages: readonly Stage[]): Promise<Verdict>;
  close(): Promise<void>;
}

export interface Stage {
  readonly kind: 'tests' | 'types';
  readonly words: readonly string[];
  readonly timeoutMs: number;
}

/** Every tracked file is copied; the dependencies and the API descriptions are linked. */
export async function openBench(root: string, files: readonly string[]): Promise<Bench> {
  const parent = await mkdtemp(join(tmpdir(), 'shr-mutants-'));
  const folder = join(parent, 'tree');
  for (const file of files) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await copyFile(join(root, file), join(folder, file));
  }
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  await symlink(join(root, '..', 'shared'), join(parent, 'shared'));

  async function judge(file: string, mutated: string, original: string, stages: readonly Stage[]): Promise<Verdict> {
    await writeFile(join(folder, file), mutated);
    try {
      for (const { kind, words, timeoutMs } of stages) {
        const outcome = await execute(folder, words, timeoutMs);
        if (outcome === 'timeout') return 'timeout';
        if (outcome === 'failed') return kind === 'types' ? 'types' : 'killed';
      }
      return 'survived';
    } finally {
      await writeFile(join(folder, file), original);
    }
  }

  return { folder, judge, close: () => rm(parent, { recursive: true, force: true }) };
}

/** What the program prints is dropped; its whole process group is ended at the time limit. */
export function execute(
  folder: string,
  words: readonly string[],
  timeoutMs: number,
): Promise<'passed' | 'failed' | 'timeout'> {
  return new Promise((resolve, reject) => {
    const [program, ...rest] = words;
    if (program === undefined) throw new Error('a stage names a program');
    const path = `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`;
    const child = spawn(program, rest, {
      cwd: folder,
      stdio: 'ignore',
      detached: true,
      env: { ...process.env, PATH: path },
    });
    let late = false;
    const end = setTimeout(() => {
      late = true;
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, timeoutMs);
    child.on('error', reject);
    child.on('exit', (code) => {
      clearTimeout(end);
      resolve(late ? 'timeout' : code === 0 ? 'passed' : 'failed');
    });
  });
}
