/** What a dispatcher.yaml that is there still has to say for imported registrations, and what would be wrong even then. */
import { join } from 'node:path';
import { stringify } from 'yaml';
import { loadProvider } from '../../../providers/index.ts';
import { systemFiles } from '../../config/files.ts';
import { inspectConfiguration } from '../../config/load.ts';
import { isRecord } from '../../config/salvage.ts';
import { matchesGlob } from '../../labels/glob.ts';
import type { Problem } from '../../model/problem.ts';
import { unfitSizes } from '../validate/sizes.ts';
import type { Granting } from './grants.ts';

type Sections = Readonly<Record<string, unknown>>;

/**
 * Without what the file says already. A list is whole, with what it had: lists are replaced, and `registrations` that is
 * not there stands for the tenant's own name.
 */
export function missingIn(dispatcher: Sections, granting: Granting): Granting {
  const backends = without(granting.backends ?? {}, sectionIn(dispatcher, 'backends'));
  const tenants = Object.entries(granting.tenants).flatMap(([tenant, needed]): [string, Sections][] => {
    const had = sectionIn(dispatcher, 'tenants')[tenant];
    if (!isRecord(had)) return [[tenant, needed]];
    const registrations = { registrations: needed['registrations'] ?? [tenant] };
    const known = { registrations: [tenant], ...had };
    const missing = missingOf(had['trusted'] === true ? registrations : { ...registrations, ...needed }, known);
    return Object.keys(missing).length === 0 ? [] : [[tenant, missing]];
  });
  return { ...(Object.keys(backends).length === 0 ? {} : { backends }), tenants: Object.fromEntries(tenants) };
}

export function isNothing({ backends = {}, tenants }: Granting): boolean {
  return Object.keys(backends).length + Object.keys(tenants).length === 0;
}

function missingOf(needed: Sections, had: Sections): Sections {
  return Object.fromEntries(
    Object.entries(needed).flatMap(([field, value]): [string, unknown][] => {
      const before = had[field];
      if (Array.isArray(value)) {
        const list: readonly unknown[] = Array.isArray(before) ? before : [];
        const more = value.filter((one) => !list.some((granted) => covers(granted, one)));
        return more.length === 0 ? [] : [[field, [...list, ...more]]];
      }
      if (isRecord(value)) {
        const missing = missingOf(value, isRecord(before) ? before : {});
        return Object.keys(missing).length === 0 ? [] : [[field, missing]];
      }
      if (typeof value === 'number' && typeof before === 'number' && before >= value) return [];
      return value === before ? [] : [[field, value]];
    }),
  );
}

function covers(granted: unknown, one: unknown): boolean {
  return typeof granted === 'string' && typeof one === 'string' && matchesGlob(granted, one);
}

function without(needed: Sections, had: Sections): Sections {
  return Object.fromEntries(Object.entries(needed).filter(([name]) => !Object.hasOwn(had, name)));
}

/** What `shr validate` would say with these grants that it does not say without the registrations. */
export async function wrongThen(
  { file, folder, dispatcher }: { readonly file: string; readonly folder: string; readonly dispatcher: Sections },
  granting: Granting,
  registrations: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<readonly Problem[]> {
  const text = stringify(merged(dispatcher, granting), { aliasDuplicateObjects: false });
  const problemsWith = async (isThere: (path: string) => boolean): Promise<readonly Problem[]> => {
    const inspection = await inspectConfiguration(
      {
        ...{ dispatcherFile: file, registrationsFolder: folder, environment, provider: loadProvider },
        files: {
          read: async (path, bounds) =>
            path === file ? { text, readableBy: 'owner' } : await systemFiles.read(path, bounds),
          list: async (path) => (await systemFiles.list(path)).filter((name) => isThere(join(path, name))),
        },
        secrets: 'optional',
      },
      'required',
    );
    return [...inspection.problems, ...(await unfitSizes(inspection, 'all')).problems].map((problem) =>
      placeless(problem, file),
    );
  };
  const known = new Set((await problemsWith((path) => !registrations.includes(path))).map(told));
  return (await problemsWith(() => true)).filter((problem) => !known.has(told(problem)));
}

function told({ file, path, message }: Problem): string {
  return `${file}\n${path}\n${message}`;
}

/** The lines are those of a text that nobody sees. */
function placeless(problem: Problem, file: string): Problem {
  const plain = (text: string): string => text.replace(/\bdispatcher\.yaml:\d+(?::\d+)?/g, 'dispatcher.yaml');
  const place = problem.file === file ? { line: 0, column: 0 } : {};
  return { ...problem, ...place, message: plain(problem.message), cure: plain(problem.cure) };
}

function merged(dispatcher: Sections, { backends = {}, tenants }: Granting): Sections {
  const had = sectionIn(dispatcher, 'tenants');
  const together = Object.entries(tenants).map(([tenant, fields]): [string, Sections] => {
    const before = sectionIn(had, tenant);
    const powers = { ...sectionIn(before, 'powers'), ...sectionIn(fields, 'powers') };
    return [tenant, { ...before, ...fields, ...(Object.keys(powers).length === 0 ? {} : { powers }) }];
  });
  return {
    ...dispatcher,
    ...(Object.keys(backends).length === 0 ? {} : { backends: { ...sectionIn(dispatcher, 'backends'), ...backends } }),
    tenants: { ...had, ...Object.fromEntries(together) },
  };
}

function sectionIn(value: Sections, key: string): Sections {
  const section = Object.hasOwn(value, key) ? value[key] : undefined;
  return isRecord(section) ? section : {};
}
