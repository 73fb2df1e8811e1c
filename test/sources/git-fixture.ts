/** A repository that a test commits to, as people do. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Worktree {
  /** Of the work tree; another git can fetch from it. */
  readonly folder: string;
  write(files: Readonly<Record<string, string | Buffer | undefined>>): Promise<void>;
  link(path: string, target: string): Promise<void>;
  git(...words: readonly string[]): Promise<string>;
  /** Returns its name. */
  commit(message: string): Promise<string>;
  remove(): Promise<void>;
}

export async function worktree(): Promise<Worktree> {
  const folder = await mkdtemp(join(tmpdir(), 'shr-git-'));
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_NAME: 'Ann',
    GIT_AUTHOR_EMAIL: 'ann@example.com',
    GIT_COMMITTER_NAME: 'Ann',
    GIT_COMMITTER_EMAIL: 'ann@example.com',
    GIT_AUTHOR_DATE: '2026-11-29T10:00:00Z',
    GIT_COMMITTER_DATE: '2026-11-29T10:00:00Z',
  };
  const git = async (...words: readonly string[]): Promise<string> => {
    const { stdout } = await run('git', words, { cwd: folder, env, maxBuffer: 64 * 1024 * 1024 });
    return stdout.trim();
  };
  await git('init', '--quiet', '--initial-branch=main');
  // As GitHub allows it.
  await git('config', 'uploadpack.allowFilter', 'true');
  return {
    folder,
    git,
    async write(files) {
      for (const [path, content] of Object.entries(files)) {
        const file = join(folder, path);
        await mkdir(dirname(file), { recursive: true });
        if (content === undefined) await rm(file);
        else await writeFile(file, content);
      }
    },
    link: (path, target) => symlink(target, join(folder, path)),
    async commit(message) {
      await git('add', '--all');
      await git('commit', '--quiet', '--allow-empty', '--message', message);
      return await git('rev-parse', 'HEAD');
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
