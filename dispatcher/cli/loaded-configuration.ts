/** The configuration for a command that uses the real services: complete with all secrets, or not at all. */
import { basename, extname, resolve } from 'node:path';
import type { Command } from 'commander';
import { loadProvider } from '../../providers/index.ts';
import { systemFiles } from '../config/files.ts';
import { type ConfigurationSources, type Loaded, loadConfiguration } from '../config/load.ts';
import { nearest } from '../labels/nearest.ts';
import { formatProblem, type Problem } from '../model/problem.ts';
import type { Configuration, Registration } from '../model/registration.ts';
import { configurationFiles } from './configuration-files.ts';
import { printable } from './output.ts';
import { systemSecretValues } from './secret-values.ts';
import { shownPath } from './shown-path.ts';
import type { Terminal } from './terminal.ts';

/** Includes the problems of registrations that are set aside, and the notes on the others. */
export type LoadedConfiguration =
  | {
      readonly ok: true;
      readonly configuration: Configuration;
      readonly problems: readonly Problem[];
      readonly notes: readonly Problem[];
      readonly good: Extract<Loaded, { readonly ok: true }>['good'];
      readonly isComplete: boolean;
      readonly several: Extract<Loaded, { readonly ok: true }>['several'];
    }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly notes: readonly Problem[] };

export async function loadedConfiguration(
  folder: string,
  config: string | undefined,
  terminal: Terminal,
  options: Pick<ConfigurationSources, 'knownValues' | 'secrets'> = {},
): Promise<LoadedConfiguration> {
  return loadedFrom({ ...(await sourcesIn(folder, config, terminal)), ...options }, terminal);
}

/** The configuration in a folder, and the terminal's environment. */
export async function sourcesIn(
  folder: string,
  config: string | undefined,
  terminal: Terminal,
): Promise<ConfigurationSources> {
  const at = (path: string): string => resolve(terminal.workingFolder, path);
  const places = await configurationFiles(at(folder), config === undefined ? undefined : at(config));
  const { environment } = terminal;
  const secretValues = systemSecretValues(environment);
  return { ...places, environment, files: systemFiles, provider: loadProvider, secretValues };
}

/** The same, from wherever its files are. */
export async function loadedFrom(
  sources: Omit<ConfigurationSources, 'provider'>,
  terminal: Pick<Terminal, 'workingFolder'>,
): Promise<LoadedConfiguration> {
  const loaded = await loadConfiguration({ provider: loadProvider, ...sources });
  const shown = (problem: Problem): Problem => ({
    ...problem,
    file: shownPath(terminal.workingFolder, problem.file),
  });
  const problems = loaded.problems.map(shown);
  const notes = loaded.notes.map(shown);
  if (!loaded.ok) return { ok: false, problems, notes };
  const { configuration, good, isComplete, several } = loaded;
  return { ok: true, configuration, problems, notes, good, isComplete, several };
}

/** The registration that a command works with. Undefined after all problems were printed and the exit code was set. */
export async function loadedRegistration(
  folder: string,
  { config, registration: name }: { readonly config?: string; readonly registration: string },
  command: Command,
  terminal: Terminal,
): Promise<Registration | undefined> {
  const loaded = await loadedConfiguration(folder, config, terminal);
  if (!loaded.ok) {
    for (const problem of loaded.problems) terminal.error(`${printable(formatProblem(problem))}\n`);
    terminal.exit(1);
    return undefined;
  }
  const { registrations, quarantined } = loaded.configuration;
  const found = registrations.find((registration) => registration.name === name);
  if (found === undefined && quarantined.some((one) => one.name === name)) {
    // Problems of other registrations do not matter here.
    const own = loaded.problems.filter(({ file }) => basename(file, extname(file)) === name);
    for (const problem of own) terminal.error(`${printable(formatProblem(problem))}\n`);
    terminal.exit(1);
    return undefined;
  }
  return found ?? command.error(`error: ${unknownRegistration(name, registrations)}`);
}

/** The message for a name that is not in the configuration. */
export function unknownRegistration(name: string, registrations: readonly Registration[]): string {
  const names = registrations.map((registration) => registration.name);
  const guess = nearest(name, names);
  if (guess !== undefined) return `there is no registration '${name}'; did you mean '${guess}'?`;
  return names.length === 0
    ? `there is no registration '${name}': registrations/ is empty`
    : `there is no registration '${name}'; there are ${names.slice(0, 10).join(', ')}`;
}
