/** Kubernetes' own description of its objects, with unknown fields as errors: what the API server says under `--validate=strict`. */
import { existsSync, readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import { z } from 'zod';

const FILE = new URL('../../../shared/specs/kubernetes-v1.36-objects.swagger.json', import.meta.url);

const anything = z.record(z.string(), z.unknown());
const documentSchema = z.object({ definitions: z.record(z.string(), anything) });
const kindsSchema = z.array(z.object({ group: z.string(), version: z.string(), kind: z.string() }));

/** Undefined when the file is not there; in CI that is a failure. */
export function readKubernetes(): Kubernetes | undefined {
  if (existsSync(FILE)) return new Kubernetes(JSON.parse(readFileSync(FILE, 'utf8')));
  if (process.env['REQUIRE_DESCRIPTIONS'] === '1') {
    throw new Error(`REQUIRE_DESCRIPTIONS=1 requires the description of Kubernetes: ${FILE.pathname}`);
  }
  return undefined;
}

export class Kubernetes {
  readonly #ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
  readonly #names = new Map<string, string>();

  constructor(document: unknown) {
    const { definitions } = documentSchema.parse(document);
    const strict = Object.fromEntries(Object.entries(definitions).map(([name, one]) => [name, strictly(one)]));
    for (const [name, one] of Object.entries(definitions)) {
      for (const { group, version, kind } of kindsSchema.safeParse(one['x-kubernetes-group-version-kind']).data ?? []) {
        this.#names.set(`${group === '' ? version : `${group}/${version}`} ${kind}`, name);
      }
    }
    this.#ajv.addSchema({ $id: 'kubernetes', definitions: strict });
  }

  /** What is wrong with the object; empty when nothing is. */
  objections(object: { readonly apiVersion: string; readonly kind: string }): readonly string[] {
    const { apiVersion, kind } = object;
    const name = this.#names.get(`${apiVersion} ${kind}`);
    const validate: ValidateFunction | undefined =
      name === undefined ? undefined : this.#ajv.getSchema(`kubernetes#/definitions/${name}`);
    if (validate === undefined) return [`${apiVersion} ${kind} is not described`];
    if (validate(object)) return [];
    return (validate.errors ?? []).map(({ instancePath, message, params }) => {
      return `${kind}${instancePath} ${message} ${JSON.stringify(params)}`;
    });
  }
}

function strictly(definition: Record<string, unknown>): Record<string, unknown> {
  if (definition['format'] === 'int-or-string') return { type: ['string', 'integer'] };
  return definition['properties'] === undefined ? definition : { ...definition, additionalProperties: false };
}
