/** What several of the other systems have in common: labels, a runner group, how many runners, runners ahead of jobs. */
import { isBuiltIn } from '../../labels/grammar.ts';
import { foldLabel } from '../../labels/values.ts';
import { type Names, selectingLabels } from './draft.ts';
import type { Fields } from './fields.ts';

export type Path = readonly (string | number)[];

export interface FoundLabel {
  /** Undefined: no field says it, such as the name of a file. */
  readonly path: Path | undefined;
  readonly text: string;
}

/** Each text of a list, or the one text that is there; of a list of lists, all. */
export function textsAt(fields: Fields, path: Path): readonly FoundLabel[] {
  const value = fields.get(...path);
  if (typeof value === 'string' || typeof value === 'number') return [{ path, text: String(value) }];
  return Array.isArray(value) ? value.flatMap((_, index) => textsAt(fields, [...path, index])) : [];
}

export interface Claiming {
  readonly names: Names;
  /** Of the registration. */
  readonly name: string;
  /** Where a label can select one registration. */
  readonly place: string;
}

/** Undefined: none of them selects a registration. */
export function takeLabels(
  fields: Fields,
  found: readonly FoundLabel[],
  { names, name, place }: Claiming,
  toDo: string[],
): readonly string[] | undefined {
  const selecting = selectingLabels(
    found.map(({ text }) => text),
    toDo,
  );
  const owners = new Map(selecting.map((label) => [foldLabel(label), names.ownerOf(label, place, name)]));
  for (const { path, text } of found) {
    if (path === undefined || text.trim() === '') continue;
    const owner = owners.get(foldLabel(text.trim()));
    if (isBuiltIn(foldLabel(text.trim()))) fields.none(path, 'every self-hosted runner has that label');
    else if (owner === undefined || owner === name) fields.taken(path, 'labels');
    else fields.toDo(path, takenBy(owner));
  }
  const labels = selecting.filter((label) => owners.get(foldLabel(label)) === name);
  if (selecting.length === 0) return undefined;
  // One that no workflow has yet.
  return labels.length === 0 ? [name] : labels;
}

function takenBy(owner: string): string {
  return `that label selects ${owner}, as it can select one registration of a place; if they differ in the architecture alone, keep that one with \`policy: { architectures: [x64, arm64] }\` and remove this one, else write a label of its own here and into the workflows`;
}

/** Runners of a repository are in no group that one could choose. */
export function takeGroup(fields: Fields, path: Path, isOfRepository: boolean): string | undefined {
  const group = fields.text(...path);
  if (group === undefined) return undefined;
  if (isOfRepository) {
    fields.none(path, 'runners of a repository have no group');
    return undefined;
  }
  fields.taken(path, 'runnerGroup');
  return group.toLowerCase() === 'default' ? 'Default' : group;
}

const MOST = 10_000;

export function takeMost(fields: Fields, path: Path): number | undefined {
  const most = fields.number(...path);
  if (most === undefined) return undefined;
  if (most >= 1) {
    fields.taken(path, 'maxRunners');
    return Math.min(MOST, Math.round(most));
  }
  fields.toDo(path, `${most}: write the most that may run at once into \`maxRunners\` (default: 10)`);
  return undefined;
}

export function tellIdle(fields: Fields, path: Path): void {
  const size = fields.number(...path);
  if (size === undefined) return;
  if (size > 0) {
    fields.toDo(
      path,
      `${size} runners ahead of jobs: \`standby: [{ size: ${size} }]\`, with what docs/registrations.md says under "Standby"`,
    );
  } else fields.none(path, 'without `standby`, no runner is started ahead of its job');
}

export function takeArchitecture(fields: Fields, path: Path): 'x64' | 'arm64' | undefined {
  const text = fields.text(...path);
  if (text === undefined) return undefined;
  const architecture = { amd64: 'x64', x86_64: 'x64', x64: 'x64', arm64: 'arm64', aarch64: 'arm64' }[
    text.toLowerCase()
  ];
  if (architecture !== 'x64' && architecture !== 'arm64') {
    fields.none(path, 'runners are of x64 or arm64');
    return undefined;
  }
  fields.taken(path, 'defaults.architecture');
  return architecture;
}

export function tellSystem(fields: Fields, path: Path): void {
  const system = fields.text(...path);
  if (system === 'linux') fields.none(path, 'all runners are Linux containers');
  else if (system !== undefined)
    fields.toDo(path, 'there are only Linux containers: leave such jobs where they are, and remove the registration');
}
