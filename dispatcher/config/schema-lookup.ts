/** What a schema says of the value at a path: its keys, its kind, an example. Pure. */
import { z } from 'zod';
import type { Path } from '../model/problem.ts';
import { duration } from './schema.ts';

/** The schema of the value at the path; of a union, its map is followed. Undefined if that leaves it open. */
export function schemaAt(root: unknown, path: Path): unknown {
  let schema = unwrapped(root);
  for (const step of path) {
    if (schema instanceof z.ZodUnion) schema = schema.options.map(unwrapped).find((one) => one instanceof z.ZodObject);
    if (schema instanceof z.ZodObject) schema = unwrapped(schema.shape[String(step)]);
    else if (schema instanceof z.ZodArray) schema = unwrapped(schema.element);
    else if (schema instanceof z.ZodRecord) schema = unwrapped(schema.valueType);
    else return undefined;
  }
  return schema;
}

/** The keys that a map may have at the path; empty if the schema does not say. */
export function keysAt(root: unknown, path: Path): readonly string[] {
  const schema = schemaAt(root, path);
  const members = schema instanceof z.ZodUnion ? schema.options : [schema];
  return [
    ...new Set(members.map(unwrapped).flatMap((one) => (one instanceof z.ZodObject ? Object.keys(one.shape) : []))),
  ];
}

function unwrapped(schema: unknown): unknown {
  let inner = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
    inner = inner.unwrap();
  }
  return inner;
}

export function isDuration(schema: unknown): boolean {
  if (schema instanceof z.ZodUnion) return schema.options.some((option) => isDuration(unwrapped(option)));
  return schema === duration;
}

export function exampleOf(schema: unknown): unknown {
  if (schema instanceof z.ZodUnion) return schema.options.map(exampleOf).find((example) => example !== undefined);
  const examples = schema instanceof z.ZodType ? schema.meta()?.examples : undefined;
  return Array.isArray(examples) ? examples[0] : undefined;
}

/** On one line, as it would be written by hand. */
export function inYaml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inYaml).join(', ')}]`;
  if (isMap(value)) {
    const entries = Object.entries(value).map(([key, item]) => `${key}: ${inYaml(item)}`);
    return `{ ${entries.join(', ')} }`;
  }
  // Numbers, signs and words that YAML would read as something else stay in quotes.
  const plain =
    typeof value === 'string' && /^(?=.*[A-Za-z])[\w/](?:[\w./@:-]*[\w/-])?$/.test(value) && !TRUTHS.has(value);
  return plain ? value : JSON.stringify(value);
}

/** Its type, if there is no better example. */
export function placeholder(schema: unknown): string {
  if (schema instanceof z.ZodArray) return `[${placeholder(unwrapped(schema.element))}]`;
  if (schema instanceof z.ZodBoolean) return 'true';
  if (schema instanceof z.ZodNumber) return '1';
  if (schema instanceof z.ZodEnum) return String(schema.options[0]);
  if (schema instanceof z.ZodObject || schema instanceof z.ZodRecord) return '{ KEY: VALUE }';
  return 'VALUE';
}

/** Words that people write for `true` and `false`; YAML reads some of them so. */
export const TRUTHS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['yes', true],
  ['on', true],
  ['y', true],
  ['false', false],
  ['no', false],
  ['off', false],
  ['n', false],
]);

export function isMap(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
