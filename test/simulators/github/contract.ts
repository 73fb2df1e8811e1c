/** Judges every reply of the simulator by GitHub's own API description, as far as it describes the call. */
import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';
import { z } from 'zod';

/** The second adds paths and components to the first. */
const specUrls = ['github-rest-actions-runners', 'github-rest-more'].map(
  (name) => new URL(`../../../../shared/specs/${name}.openapi.json`, import.meta.url),
);

const specSchema = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), z.unknown())),
  components: z.record(z.string(), z.record(z.string(), z.unknown())),
});
const operationSchema = z.looseObject({ responses: z.record(z.string(), z.unknown()) });
const responseSchema = z.union([
  z.object({ $ref: z.string() }).transform(({ $ref }) => ({ ref: $ref, hasBody: true })),
  z
    .looseObject({ content: z.looseObject({ 'application/json': z.unknown() }).optional() })
    .transform(({ content }) => ({
      ref: undefined,
      hasBody: content !== undefined,
    })),
]);

export interface Contract {
  /** How many replies were judged. */
  judged: number;
  /** Throws when the reply is not what GitHub describes. */
  judge(method: string, url: string, status: number, body: unknown): void;
}

/** Undefined where the description is not at hand; then CI fails and everybody else is told. */
export function loadContract(): Contract | undefined {
  let texts: readonly string[];
  try {
    texts = specUrls.map((url) => readFileSync(url, 'utf8'));
  } catch (error) {
    if (process.env['REQUIRE_DESCRIPTIONS'] === '1')
      throw new Error('REQUIRE_DESCRIPTIONS=1 requires the API descriptions in ../shared/specs', { cause: error });
    return undefined;
  }
  const document = texts.map((text) => specSchema.parse(withNullables(JSON.parse(text)))).reduce(merged);
  const { paths } = document;
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: true });
  formats.default(ajv);
  ajv.addSchema({ $id: 'github', ...document });
  const compiled = new Map<string, ValidateFunction>();
  const templates = Object.keys(paths).map((path) => ({ path, segments: path.split('/') }));

  const find = (path: string): string | undefined => {
    const parts = path.split('/');
    const fitting = templates.filter(
      ({ segments }) =>
        segments.length === parts.length &&
        segments.every((segment, index) => segment.startsWith('{') || segment === parts[index]),
    );
    fitting.sort((a, b) => a.segments.filter(isParameter).length - b.segments.filter(isParameter).length);
    return fitting[0]?.path;
  };

  const contract: Contract = {
    judged: 0,
    judge(method, url, status, body) {
      const path = new URL(url).pathname.replace(/^\/api\/v3/, '').replace(/^\/enterprises\//, '/orgs/');
      const template = find(path);
      const operation = template === undefined ? undefined : paths[template]?.[method.toLowerCase()];
      if (template === undefined || operation === undefined) return;
      const pointer = responsePointer(template, method, status, operation);
      // 401, 403 and the like are common to all calls and described with few of them.
      const reference = pointer ?? (status >= 400 ? '#/components/schemas/basic-error' : undefined);
      if (reference === undefined) throw new Error(`${method} ${template}: GitHub never answers ${status}`);
      if (reference === '') return;
      let validate = compiled.get(reference);
      if (!validate) {
        validate = ajv.compile({ $ref: `github${reference}` });
        compiled.set(reference, validate);
      }
      if (!validate(body)) {
        throw new Error(
          `${method} ${template} ${status}: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(body).slice(0, 2_000)}`,
        );
      }
      contract.judged += 1;
    },
  };
  return contract;
}

/** Where the schema of a reply's body is; '' for a reply without a body, undefined for one that is not described. */
function responsePointer(template: string, method: string, status: number, operation: unknown): string | undefined {
  const response = operationSchema.parse(operation).responses[String(status)];
  if (response === undefined) return undefined;
  const { ref, hasBody } = responseSchema.parse(response);
  if (!hasBody) return '';
  const escaped = template.replaceAll('/', '~1').replaceAll('{', '%7B').replaceAll('}', '%7D');
  const base = ref ?? `#/paths/${escaped}/${method.toLowerCase()}/responses/${status}`;
  return base.endsWith('not_modified') ? '' : `${base}/content/application~1json/schema`;
}

function merged(first: z.infer<typeof specSchema>, second: z.infer<typeof specSchema>): z.infer<typeof specSchema> {
  const components = { ...second.components };
  for (const [section, entries] of Object.entries(first.components))
    components[section] = { ...components[section], ...entries };
  return { ...first, paths: { ...second.paths, ...first.paths }, components };
}

function isParameter(segment: string): boolean {
  return segment.startsWith('{');
}

/**
 * OpenAPI 3.0 allows `nullable` beside `allOf` and friends; JSON Schema wants it spelled out. And where the
 * `installation` component says that an account is a user or an enterprise (`anyOf`), its copies inside the paths ask
 * for both at once (`allOf`), which nothing can be.
 */
function withNullables(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withNullables);
  if (typeof node !== 'object' || node === null) return node;
  const { nullable, allOf, ...plain } = Object.fromEntries(
    Object.entries(node).map(([key, value]) => [key, withNullables(value)]),
  );
  const alternatives = Array.isArray(allOf) && allOf.length > 1 && /"title":"Enterprise"/.test(JSON.stringify(allOf));
  const rest = allOf === undefined ? plain : { ...plain, [alternatives ? 'anyOf' : 'allOf']: allOf };
  if (nullable !== true) return rest;
  const { enum: values, ...others } = rest;
  return { anyOf: [{ type: 'null' }, Array.isArray(values) ? { ...others, enum: values } : others] };
}
