/** The process as a command sees it: injected, so that tests can run a command without one. */
import type { Command } from 'commander';
import type { ProxySettings } from '../config/proxy.ts';

export interface Terminal {
  /** To standard output: results. */
  out(text: string): void;
  /** To standard error: errors and progress. */
  error(text: string): void;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingFolder: string;
  /** The proxy that the environment prescribes; absent if the process was not told to use it. */
  readonly proxy?: ProxySettings;
  /** Columns to fit a table into; undefined when the output is not a terminal. */
  readonly width: number | undefined;
  /** Prompts the user; absent without a terminal. An empty text means no answer. */
  readonly ask?: (question: string) => Promise<string>;
  /** All of standard input, for `shr seal`; absent in tests of other commands. Rejects when it is longer. */
  readonly input?: (mostBytes: number) => Promise<string>;
  /** Sets the exit code; does not end the process. */
  exit(code: ExitCode): void;
}

/**
 * 0: success. 1: something is not ok, or was refused (a configuration with problems, a job that would not run, a
 * service that answers with an error). 2: invalid usage.
 */
export type ExitCode = 0 | 1 | 2;

/** What a command's module exports. It is imported when the command is called. */
export interface CommandModule {
  /** The command with its options and its action. The action reports its outcome with `terminal.exit`. */
  createCommand(terminal: Terminal): Command;
}

/** Parses an option that may be repeated. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
