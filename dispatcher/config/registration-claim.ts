/** Whose jobs a registration claims, and by which labels. */
import { DEFAULT_LABEL, isBuiltIn } from '../labels/grammar.ts';
import { foldLabel } from '../labels/values.ts';
import type { Claim } from '../model/registration.ts';
import type { Reading } from './reading.ts';
import { registrationFile } from './schema.ts';

const form = registrationFile.shape;

export function readClaim(reading: Reading): Claim | undefined {
  const kinds = ['enterprise', 'organization', 'user', 'repositories'] as const;
  const enterprise = reading.section(['enterprise'], form.enterprise);
  const organizations = reading.section(['organizations'], form.organizations);
  const organization = reading.section(['organization'], form.organization);
  const user = reading.section(['user'], form.user);
  const repositories = reading.section(['repositories'], form.repositories);
  const present = kinds.filter((kind) => reading.has([kind]));
  if (present.length === 0 && kinds.some((kind) => reading.mentions([kind]))) return undefined;
  if (present.length !== 1) {
    const message = present.length === 0 ? 'it claims no jobs' : `it has ${present.join(' and ')}`;
    reading.problem(
      present.slice(1, 2),
      message,
      'Name exactly one of `enterprise`, `organization`, `user`, `repositories`.',
    );
    return undefined;
  }
  if (organizations !== undefined && !reading.mentions(['enterprise'])) {
    reading.problem(
      ['organizations'],
      '`organizations` requires `enterprise`',
      'Remove it, or write one registration for each organization.',
    );
  }
  if (enterprise !== undefined) {
    if (organizations !== undefined) return { kind: 'enterprise', enterprise, organizations };
    if (!reading.mentions(['organizations'])) {
      reading.problem(
        ['enterprise'],
        'it does not name the organizations of the enterprise',
        'Add `organizations: [NAME, …]`.',
      );
    }
    return undefined;
  }
  if (organization !== undefined) return { kind: 'organization', organization };
  if (user !== undefined) return { kind: 'user', user };
  if (repositories === undefined) return undefined;
  return { kind: 'repositories', repositories: repositories.map(splitRepository) };
}

export function splitRepository(text: string): { readonly owner: string; readonly repository: string } {
  const slash = text.indexOf('/');
  return { owner: text.slice(0, slash), repository: text.slice(slash + 1) };
}

export function readLabels(reading: Reading): readonly string[] {
  const labels = reading.section(['labels'], form.labels) ?? [DEFAULT_LABEL];
  const seen = new Map<string, number>();
  for (const [index, label] of labels.entries()) {
    const folded = foldLabel(label);
    const path = ['labels', index];
    const earlier = seen.get(folded);
    seen.set(folded, index);
    if (earlier !== undefined)
      reading.problem(path, `labels[${earlier}] is the same (case does not count)`, 'Remove one.');
    if (isBuiltIn(folded)) {
      reading.problem(
        path,
        `${label} is one of GitHub's built-in labels, which every self-hosted runner has: it cannot select this registration`,
        'Choose a label of your own, and add it to `runs-on` of the jobs that should run here.',
      );
    }
    if (folded.startsWith('shr='))
      reading.problem(path, '`shr=…` is the one-label form of overrides', 'Choose another label.');
    if (label !== label.trim() || label.includes(','))
      reading.problem(
        path,
        'a label must not contain a comma, or begin or end with a blank',
        'Write one label per entry.',
      );
  }
  return labels;
}
