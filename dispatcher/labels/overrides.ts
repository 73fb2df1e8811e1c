/** All of a job's overrides together. Pure. */
import { coresInWords } from '../../providers/shape-words.ts';
import { formatDuration } from './duration.ts';
import type { JobLabel, Mistake, Reading } from './reading.ts';
import { spotInWords } from './spot-mode.ts';
import { unreachable } from './unreachable.ts';
import { type Override, type OverrideKey, type OverrideOf, quote } from './values.ts';

/** What a job's labels ask for, and what is wrong with them. */
export interface Overrides {
  /** At most one per key. */
  readonly overrides: readonly Override[];
  readonly mistakes: readonly Mistake[];
}

/**
 * What these labels request together. Repeating a value is fine; two different ones are an error. The result does
 * not depend on the order of the labels.
 */
export function collectOverrides(labels: readonly JobLabel[]): Overrides {
  const mistakes: Mistake[] = [];
  const byKey = new Map<OverrideKey, Override>();
  const sorted = [...labels].sort((a, b) => (a.folded < b.folded ? -1 : a.folded > b.folded ? 1 : 0));
  for (const { reading } of sorted) {
    if (reading.kind === 'malformed') mistakes.push(reading.mistake);
    if (reading.kind === 'one-label') mistakes.push(...reading.mistakes);
    for (const override of overridesIn(reading)) {
      const clash =
        override.key === 'disk' ? byKey.get('bucket') : override.key === 'bucket' ? byKey.get('disk') : undefined;
      const earlier = clash ?? byKey.get(override.key);
      if (earlier === undefined) byKey.set(override.key, override);
      else if (override.key !== 'unique' && (clash !== undefined || earlier.value !== override.value)) {
        mistakes.push({
          kind: 'contradiction',
          label: override.label,
          position: 1,
          problem: `it asks for ${describe(override)}, and ${quote(earlier.label)} for ${describe(earlier)}`,
          cure: 'Keep one of them.',
        });
      }
    }
  }
  return { overrides: [...byKey.values()], mistakes };
}

/** The override of that key, if a label asks for it. */
export function override<K extends OverrideKey>(overrides: readonly Override[], key: K): OverrideOf<K> | undefined {
  return overrides.find((candidate): candidate is OverrideOf<K> => candidate.key === key);
}

function overridesIn(reading: Reading): readonly Override[] {
  switch (reading.kind) {
    case 'override':
      return [reading.override];
    case 'built-in':
      return reading.override === undefined ? [] : [reading.override];
    case 'one-label':
      return reading.overrides;
    case 'malformed':
    case 'plain':
      return [];
  }
}

/** Describes an override: `4 cores`, `8 GiB of memory`. */
export function describe(override: Override): string {
  switch (override.key) {
    case 'cpu':
      return coresInWords(override.value);
    case 'memory':
      return `${override.value} GiB of memory`;
    case 'disk':
      return `${override.value} GiB of disk`;
    case 'timeout':
      return `a time limit of ${formatDuration(override.value)}`;
    case 'spot':
      return spotInWords(override.value);
    case 'dind':
      return 'Docker in Docker';
    case 'securityGroup':
      return `the security group ${quote(override.value)}`;
    case 'image':
    case 'subnet':
    case 'bucket':
    case 'shape':
    case 'architecture':
    case 'region':
    case 'backend':
      return `the ${override.key} ${quote(override.value)}`;
    case 'unique':
      return 'a runner of its own';
    default:
      return unreachable(override);
  }
}
