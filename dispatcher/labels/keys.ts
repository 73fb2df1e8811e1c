/** Synonyms for the keys of overrides. */
import { nearest } from './nearest.ts';
import type { Flag, Prefix } from './values.ts';

const MEANT: Readonly<Record<OverrideWord, readonly string[]>> = {
  cpu: ['cpus', 'vcpu', 'vcpus', 'core', 'cores', 'processors'],
  memory: ['mem', 'ram', 'memories', 'memorygib', 'memorygb'],
  img: ['image', 'images'],
  disk: ['disc', 'storage', 'bucket', 'diskgib', 'diskgb'],
  shape: ['size', 'family', 'flavor', 'flavour'],
  arch: ['architecture'],
  timeout: ['timelimit', 'timeouts', 'maxtime', 'timeoutminutes'],
  region: ['regions', 'location'],
  backend: ['backends'],
  subnet: ['subnets', 'subnetwork'],
  vsw: ['vswitch', 'vswitches'],
  sg: ['securitygroup', 'secgroup', 'nsg'],
  sid: ['uid', 'unique'],
  spot: ['preemptible', 'spotinstance', 'spotinstances'],
  dind: ['docker', 'dockerindocker'],
};

/** `bucket` exists in the one-label form alone, and counts as a word for `disk`. */
export type OverrideWord = Exclude<Prefix, 'bucket'> | Flag;

const WORDS = keysOf(MEANT);

const BY_WORD: ReadonlyMap<string, OverrideWord> = new Map(
  WORDS.flatMap((key) => [[key, key] as const, ...MEANT[key].map((word) => [word, key] as const)]),
);

/** Words that are not overrides, although their names resemble one. */
const NOT_OFFERED = new Set(
  ['gpu', 'gpus', 'tpu', 'npu', 'vpu', 'dpu', 'fpga', 'cuda'].filter((word) => !BY_WORD.has(word)),
);

function keysOf<Key extends string>(record: Readonly<Record<Key, unknown>>): readonly Key[] {
  const keys: Key[] = [];
  for (const key in record) keys.push(key);
  return keys;
}

/**
 * The key that a word stands for: a synonym, or a typo. With three letters only a transposition counts as a typo:
 * `gpu` and `npu` are as close to `cpu` as any typo.
 */
export function keyMeantBy(word: string): OverrideWord | undefined {
  const folded = word.toLowerCase().replaceAll(/[-_ ]/g, '');
  const known = BY_WORD.get(folded);
  if (known !== undefined || NOT_OFFERED.has(folded)) return known;
  if (folded.length > 3) {
    const near = nearest(
      folded,
      [...BY_WORD.keys()].filter((candidate) => candidate.length > 3),
    );
    return near === undefined ? undefined : BY_WORD.get(near);
  }
  const letters = [...folded].sort().join('');
  return WORDS.find((key) => key.length === 3 && [...key].sort().join('') === letters);
}

/** A word that users try, and that has no override here. */
export function isNotOffered(word: string): boolean {
  return NOT_OFFERED.has(word.toLowerCase());
}
