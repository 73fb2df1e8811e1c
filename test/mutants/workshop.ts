/** Copies of the tree in which one mutation at a time is tried. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { z } from 'zod';

/** What a test loop is asked. `text`: what the file `path` holds instead, for this run. Paths are relative to its folder. */
export const order = z.object({
  specs: z.array(z.string()),
  change: z.object({ path: z.string(), text: z.string() }).optional(),
});
export type Order = z.infer<typeof order>;

export const outcome = z.object({
  passed: z.boolean(),
  /** The first test that failed, and how. */
  failure: z.string().optional(),
  /** What the tests of each spec file took, in milliseconds. */
  durations: z.record(z.string(), z.number()),
});
export type Outcome = z.infer<typeof outcome>;

/** `timeout`: the tests did not end, which is noticed too. */
export type Verdict = 'killed' | 'timeout' | 'types' | 'survived';

export interface Bench {
  readonly folder: string;
  /** Answers at the first test that fails. */
  judge(file: string, mutated: string, original: string, stages: readonly Stage[]): Promise<Verdict>;
  /** Undefined: not done in time. */
  runSpecs(order: Order, timeoutMs: number): Promise<Outcome | undefined>;
  close(): Promise<void>;
}

export type Stage = { readonly timeoutMs: number } & (
  | { readonly kind: 'specs'; readonly specs: readonly string[] }
  | { readonly kind: 'types' | 'tests'; readonly words: readonly string[] }
);

/** Modules stay in memory once they are loaded. */
const RUNS_A_PROCESS = 50;

/** Every tracked file is copied; the dependencies and the API descriptions are linked. */
export async function openBench(root: string, files: readonly string[]): Promise<Bench> {
  const parent = await mkdtemp(join(tmpdir(), 'shr-mutants-'));
  // Some tests start a program of the tree as another user.
  await chmod(parent, 0o755);
  const folder = join(parent, 'tree');
  for (const file of files) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await copyFile(join(root, file), join(folder, file));
  }
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  await symlink(join(root, '..', 'shared'), join(parent, 'shared'));

  let loop: { readonly child: ChildProcess; runs: number } | undefined;

  function endLoop(): void {
    loop?.child.kill('SIGKILL');
    loop = undefined;
  }

  async function runSpecs(order: Order, timeoutMs: number): Promise<Outcome | undefined> {
    if (loop !== undefined && loop.runs >= RUNS_A_PROCESS) endLoop();
    loop ??= { child: fork(join(import.meta.dirname, 'test-loop.ts'), { cwd: folder, stdio: 'ignore' }), runs: 0 };
    loop.runs += 1;
    const { child } = loop;
    const answer = await new Promise<unknown>((resolve) => {
      const end = setTimeout(resolve, timeoutMs);
      const done = (message: unknown) => {
        clearTimeout(end);
        child.removeAllListeners();
        resolve(message);
      };
      child.on('message', done).on('exit', () => done({ passed: false, durations: {} }));
      child.send(order);
    });
    if (answer === undefined || child.exitCode !== null) endLoop();
    return answer === undefined ? undefined : outcome.parse(answer);
  }

  async function judge(file: string, mutated: string, original: string, stages: readonly Stage[]): Promise<Verdict> {
    await writeFile(join(folder, file), mutated);
    try {
      for (const stage of stages) {
        if (stage.kind === 'specs') {
          const ran = await runSpecs(
            { specs: [...stage.specs], change: { path: file, text: mutated } },
            stage.timeoutMs,
          );
          if (ran?.passed !== true) return ran === undefined ? 'timeout' : 'killed';
          continue;
        }
        const ended = await execute(folder, stage.words, stage.timeoutMs);
        if (ended === 'timeout') return 'timeout';
        if (ended === 'failed') return stage.kind === 'types' ? 'types' : 'killed';
      }
      return 'survived';
    } finally {
      await writeFile(join(folder, file), original);
    }
  }

  async function close(): Promise<void> {
    endLoop();
    await rm(parent, { recursive: true, force: true });
  }

  return { folder, judge, runSpecs, close };
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
