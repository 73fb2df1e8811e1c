/** `bases` of dispatcher.yaml: parts of registrations that tenants may extend where they were granted. */
import type { Base } from './layers.ts';
import type { Reading } from './reading.ts';
import { baseForm, dispatcherFile } from './schema.ts';

export type PlatformBases = ReadonlyMap<string, Base>;

export function readBases(reading: Reading): PlatformBases {
  const files = reading.section(['bases'], dispatcherFile.shape.bases) ?? {};
  const referring = new Set<unknown>();
  for (const path of reading.referencesIn('bases')) {
    referring.add(path[1]);
    // It would have a value by the platform's rules, and a tenant would get it.
    reading.problem(
      path,
      'it is a reference, and a base is for all who may extend it',
      'Write it in the registrations, each by its own rules.',
    );
  }
  const places = reading.placesOfKeys(['bases']);
  const kept = Object.entries(files).filter(([name]) => !referring.has(name));
  for (const [name] of kept) reading.section(['bases', name], baseForm);
  return basesOf(Object.fromEntries(kept), Object.fromEntries(kept.map(([name]) => [name, places.get(name) ?? ''])));
}

/** `places`: as `dispatcher.yaml:12:3`, by name. */
export function basesOf(
  files: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  places: Readonly<Record<string, string>>,
): PlatformBases {
  return new Map(
    Object.entries(files).map(([name, value]) => {
      const place = { line: 0, column: 0, note: `in the base \`${name}\`, ${places[name] || 'dispatcher.yaml'}` };
      const yaml = {
        ...{ file: 'dispatcher.yaml', value, problems: [] },
        placeOf: () => place,
        placeOfKey: () => place,
        placesOfKeys: () => new Map(),
        release: () => {},
      };
      return [name, { yaml, bytes: JSON.stringify(value).length }];
    }),
  );
}
