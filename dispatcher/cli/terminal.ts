/** The process as a command sees it: passed in, so that tests run a command without one. */
import type { Command } from 'commander';
import type { ProxySettings } from '../config/proxy.ts';

export interface Terminal {
  /** To standard output: results. */
  out(text: string): void;
  /** To standard error: what went wrong, and progress. */
  error(text: string): void;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingFolder: string;
  /** The way out that the environment prescribes; absent where the process was not told to obey it. */
  readonly proxy?: ProxySettings;
  /** Columns to fit a table into; undefined when the output is no terminal. */
  readonly width: number | undefined;
  /** Asks the person who sits there; absent where nobody does. An empty text is no answer. */
  readonly ask?: (question: string) => Promise<string>;
  /** Sets what the process will exit with; it does not end anything. */
  exit(code: ExitCode): void;
}

/**
 * 0: done, nothing to complain of. 1: a finding or refusal (a configuration with problems, a job that would not run, a
 * service that answers with an error). 2: the command was called wrongly.
 */
export type ExitCode = 0 | 1 | 2;

/** What the file of a command exports. It is imported when the command is called. */
export interface CommandModule {
  /** The command with its options and its action. The action reports its outcome with `terminal.exit`. */
  createCommand(terminal: Terminal): Command;
}

/** Reads an option that may be repeated. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
