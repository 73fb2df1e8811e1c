/** `presets` of dispatcher.yaml: shapes and images that labels may name. */
import type { z } from 'zod';
import type { Presets } from '../model/registration.ts';
import type { Reading } from './reading.ts';
import { dispatcherFile } from './schema.ts';
import { shapeOf } from './shared-sections.ts';

export const NO_PRESETS: Presets = { shapes: {}, images: {}, places: {} };

type PresetFiles = Pick<z.infer<typeof dispatcherFile>, 'shapes' | 'presets'>;

/** Both places of shapes together. */
export function readPresets(reading: Reading): Presets {
  const shapes = reading.section(['shapes'], dispatcherFile.shape.shapes);
  const presets = reading.section(['presets'], dispatcherFile.shape.presets);
  if (shapes === undefined && presets === undefined) return NO_PRESETS;
  for (const name of Object.keys(presets?.shapes ?? {})) {
    if (shapes === undefined || !Object.hasOwn(shapes, name)) continue;
    reading.problem(
      ['presets', 'shapes', name],
      `\`shapes\` has one of that name as well`,
      'Keep this one: `shapes` is the older place.',
    );
  }
  const before = reading.placesOfKeys(['shapes']);
  const after = reading.placesOfKeys(['presets']);
  const places: Record<string, string> = {};
  for (const name of Object.keys(shapes ?? {})) places[`shapes.${name}`] = before.get(name) ?? 'dispatcher.yaml';
  for (const kind of ['shapes', 'images'] as const) {
    for (const name of Object.keys(presets?.[kind] ?? {})) {
      places[`${kind}.${name}`] = after.get(`${kind}.${name}`) ?? 'dispatcher.yaml';
    }
  }
  return presetsOf({ shapes, presets }, places);
}

export function presetsOf({ shapes, presets }: PresetFiles, places: Presets['places']): Presets {
  if (shapes === undefined && presets === undefined) return NO_PRESETS;
  const files = Object.entries({ ...shapes, ...presets?.shapes });
  return {
    shapes: Object.fromEntries(files.map(([name, file]) => [name, shapeOf(file)])),
    images: presets?.images ?? {},
    places,
  };
}
