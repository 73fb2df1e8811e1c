/**
 * Runs the `git` of this machine with none of its configuration, bounded in time, memory and size. What a repository holds
 * was written by others: nothing of it is run, checked out or followed.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import type { Clock } from '../../time/clock.ts';

export interface GitCommand {
  readonly arguments: readonly string[];
  /** Of `git -c`, which everybody on this machine may see. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The same, for secrets: only the own user sees the environment of a process. */
  readonly secretSettings?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly withinMs: number;
  readonly maxBytes: number;
  /** Git may warn of what it leaves out, and end well. With one of these words it has failed. */
  readonly failsWith?: RegExp;
}

export interface GitPlace {
  /** A bare repository. */
  readonly folder: string;
  /** The largest file that git may write: a pack. */
  readonly maxFileBytes: number;
  /** Those of PATH, and of proxies. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Pick<Clock, 'after'>;
}

/** `failed`: git's own answer. `interrupted`: it gave none, as it was killed or had no memory, processes or files. */
export class GitError extends Error {
  readonly kind: 'absent' | 'failed' | 'interrupted' | 'too-large' | 'too-slow' | 'ended';
  constructor(kind: GitError['kind'], message: string) {
    super(message);
    this.name = 'GitError';
    this.kind = kind;
  }
}

/** It says nothing of the repository: the same may be right a little later. */
export function isPassing(error: unknown): boolean {
  return error instanceof GitError && ['absent', 'ended', 'interrupted', 'too-slow'].includes(error.kind);
}

/** Words of git for people: the last lines say it. */
const MAX_WORDS = 4_096;
/** Deltas in a small pack can unfold to any size: memory is bounded beside the pack. */
const MAX_MEMORY_KIB = 1024 * 1024;
const MAX_CPU_SECONDS = 120;

/** Codes of the shell. */
const NOT_LIMITED = 97;
const NOT_RUN = 126;
/** What the machine lacks: the same may be right a little later. */
const LACKS =
  /out of memory|cannot allocate memory|resource temporarily unavailable|too many open files|unable to create thread|input\/output error|died of signal/i;

/** Not everywhere can all be limited; the size of a file can. */
const SCRIPT = [
  `ulimit -f "$1" || exit ${NOT_LIMITED}`,
  `ulimit -v ${MAX_MEMORY_KIB} 2>/dev/null`,
  `ulimit -t ${MAX_CPU_SECONDS} 2>/dev/null`,
  'shift',
  'exec git "$@"',
].join('\n');
const BLOCK_BYTES = 512;

const PASSED_ON = ['PATH', 'HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy'] as const;

/** Nothing is run, nothing is asked for, nothing else is reached. */
const SETTINGS: Readonly<Record<string, string>> = {
  'core.hooksPath': '/dev/null',
  'core.fsmonitor': 'false',
  'core.bigFileThreshold': '1m',
  'credential.helper': '',
  'gc.auto': '0',
  'maintenance.auto': 'false',
  'fetch.unpackLimit': '1',
  'fetch.recurseSubmodules': 'false',
  'pack.threads': '1',
  'protocol.version': '2',
  'transfer.bundleURI': 'false',
  // A redirection could take the token to another host.
  'http.followRedirects': 'false',
  'http.lowSpeedLimit': '100',
  'http.lowSpeedTime': '20',
};

export function runGit(command: GitCommand, place: GitPlace): Promise<Buffer> {
  const { folder, maxFileBytes, clock } = place;
  const blocks = String(Math.ceil(maxFileBytes / BLOCK_BYTES));
  const settings = Object.entries({ ...SETTINGS, ...command.settings }).flatMap(([key, value]) => [
    '-c',
    `${key}=${value}`,
  ]);
  return new Promise((resolve, reject) => {
    const child = started([blocks, ...settings, ...command.arguments], folder, environmentOf(command, place));
    const chunks: Buffer[] = [];
    let bytes = 0;
    let words = '';
    let failure: GitError | undefined;
    const end = (why: GitError): void => {
      failure ??= why;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    };
    const cancel = clock.after(command.withinMs, () =>
      end(new GitError('too-slow', `git took longer than ${Math.round(command.withinMs / 1000)} s`)),
    );
    running.add(end);
    const settled = (): void => {
      cancel();
      running.delete(end);
    };
    child.on('error', (error) => {
      settled();
      reject(notStarted(error));
    });
    // It may have none of its streams then.
    if (child.pid === undefined) return;
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > command.maxBytes) end(new GitError('too-large', `git printed more than ${command.maxBytes} bytes`));
      else chunks.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      words = (words + chunk.toString('utf8')).slice(-MAX_WORDS);
    });
    child.on('close', (code, signal) => {
      settled();
      if (failure !== undefined) reject(failure);
      else if (code === 0 && command.failsWith?.test(words) !== true) resolve(Buffer.concat(chunks));
      else reject(failureOf(code, signal, words));
    });
    // Git may end before it has read all of it.
    child.stdin.on('error', () => {});
    child.stdin.end(command.input ?? '');
  });
}

/** In a group of its own, so that what git starts ends with it. */
function started(words: readonly string[], folder: string, env: NodeJS.ProcessEnv): ChildProcessWithoutNullStreams {
  try {
    return spawn('/bin/sh', ['-c', SCRIPT, 'git', ...words], {
      cwd: folder,
      detached: true,
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  } catch (error) {
    // Of some failures, such as ENOMEM, there is no event.
    throw notStarted(error);
  }
}

function notStarted(error: unknown): GitError {
  return new GitError(
    'interrupted',
    `git could not be started: ${error instanceof Error ? error.message : 'no reason'}`,
  );
}

type End = (why: GitError) => void;
const running = new Set<End>();

/** At the end of the process: nothing that it started goes on. */
export function endAllGit(): void {
  for (const end of running) end(new GitError('ended', 'the dispatcher stops'));
}

function environmentOf(command: GitCommand, { environment, folder }: GitPlace): NodeJS.ProcessEnv {
  const passed = PASSED_ON.flatMap((key) => (environment[key] === undefined ? [] : [[key, environment[key]]]));
  const secrets = Object.entries(command.secretSettings ?? {});
  return {
    ...Object.fromEntries(passed),
    HOME: folder,
    XDG_CONFIG_HOME: folder,
    LC_ALL: 'C',
    GIT_DIR: folder,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '/bin/false',
    GIT_LITERAL_PATHSPECS: '1',
    GIT_NO_LAZY_FETCH: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_ALLOW_PROTOCOL: '',
    ...command.environment,
    GIT_CONFIG_COUNT: String(secrets.length),
    ...Object.fromEntries(
      secrets.flatMap(([key, value], index) => [
        [`GIT_CONFIG_KEY_${index}`, key],
        [`GIT_CONFIG_VALUE_${index}`, value],
      ]),
    ),
  };
}

function failureOf(code: number | null, signal: NodeJS.Signals | null, words: string): GitError {
  if (code === 127 || /git: (?:not found|command not found)/.test(words))
    return new GitError('absent', 'there is no `git` on this machine');
  const lines = words
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const said = lines
    .filter((line) => /^(?:fatal|error|remote|ssh|git@|Host|Permission|ERROR)/i.test(line))
    .slice(-3)
    .join('; ');
  const isAnswer = signal === null && code !== NOT_LIMITED && code !== NOT_RUN && !LACKS.test(words);
  return new GitError(
    isAnswer ? 'failed' : 'interrupted',
    said === '' ? (lines.at(-1) ?? `git ended with ${code ?? signal}`) : said,
  );
}
