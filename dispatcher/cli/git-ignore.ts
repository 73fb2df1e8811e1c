/** What git ignores, according to git itself: rules come from many files, and the last match wins. */
import { execFile } from 'node:child_process';

/** `git check-ignore` of a handful of files takes milliseconds, even in a large clone. */
const GIT_MS = 10_000;
const MAX_ANSWER_BYTES = 1024 * 1024;

/**
 * The paths (absolute) that git ignores, each with the rule: `.gitignore:5 (/registrations/*.yaml)`. Undefined if the
 * folder is not in a clone, or git is not installed.
 */
export function ignoredByGit(
  folder: string,
  paths: readonly string[],
): Promise<ReadonlyMap<string, string> | undefined> {
  const words = ['-C', folder, 'check-ignore', '--verbose', '--no-index', '-z', '--stdin'];
  return new Promise((resolve) => {
    const git = execFile('git', words, { timeout: GIT_MS, maxBuffer: MAX_ANSWER_BYTES }, (error, stdout) => {
      // 0: some are ignored; 1: none; 128 and others: error.
      const code = error === null ? 0 : error.code;
      if (code === 0) resolve(parsed(stdout));
      else resolve(code === 1 ? new Map() : undefined);
    });
    // Outside a clone it exits before it has read its input.
    git.stdin?.on('error', () => {});
    git.stdin?.end(paths.map((path) => `${path}\0`).join(''));
  });
}

/** Four NUL-terminated fields each: file of the rule, line, pattern, path. */
function parsed(answer: string): ReadonlyMap<string, string> {
  const fields = answer.split('\0');
  const ignored = new Map<string, string>();
  for (let at = 0; at + 3 < fields.length; at += 4) {
    const [file = '', line = '', pattern = '', path = ''] = fields.slice(at, at + 4);
    // A negated rule is listed too: the path is not ignored.
    if (!pattern.startsWith('!')) ignored.set(path, `${file}:${line} (${pattern})`);
  }
  return ignored;
}
