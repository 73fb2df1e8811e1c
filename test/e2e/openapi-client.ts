/**
 * A client whose calls are made of the OpenAPI document that the dispatcher serves: what a portal generates ahead, this does
 * while it runs. It sends nothing that the document does not name, and believes no answer that does not fit it.
 */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { z } from 'zod';

const schema = z.record(z.string(), z.unknown());
const operation = z.looseObject({
  operationId: z.string(),
  parameters: z.array(
    z.object({ name: z.string(), in: z.enum(['path', 'query', 'header']), required: z.boolean(), schema }),
  ),
  requestBody: z.object({ content: z.record(z.string(), z.object({ schema })) }).optional(),
  responses: z.record(z.string(), z.looseObject({ content: z.record(z.string(), z.object({ schema })).optional() })),
});
const documentSchema = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.looseObject({ schemas: z.record(z.string(), schema) }),
});

export interface Sent {
  readonly parameters?: Readonly<Record<string, string>>;
  /** Of the first type that the document names. */
  readonly body?: unknown;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

export type Calls = (operationId: string, sent?: Sent) => Promise<Answer>;

export async function openApiClient(base: string, token: string): Promise<Calls> {
  const authorization = `Bearer ${token}`;
  const served = await fetch(`${base}/api/openapi.json`, { headers: { authorization } });
  const { components, paths } = documentSchema.parse(await served.json());
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) => ({ path, method, ...one })),
  );
  return async (operationId, { body, parameters = {} } = {}) => {
    const found = operations.find((one) => one.operationId === operationId);
    if (found === undefined) throw new Error(`the document has no operation ${operationId}`);
    const url = new URL(base + found.path);
    const headers = new Headers({ authorization });
    for (const { in: place, name, required } of found.parameters) {
      const value = parameters[name];
      if (value === undefined && required) throw new Error(`${operationId} needs ${name}`);
      if (value === undefined) continue;
      if (place === 'path') url.pathname = decodeURI(url.pathname).replace(`{${name}}`, encodeURIComponent(value));
      else if (place === 'query') url.searchParams.set(name, value);
      else headers.set(name, value);
    }
    const unknown = Object.keys(parameters).filter((name) => !found.parameters.some((one) => one.name === name));
    if (unknown.length > 0) throw new Error(`${operationId} does not take ${unknown.join(', ')}`);
    const [type] = Object.keys(found.requestBody?.content ?? {});
    if ((body !== undefined) !== (type !== undefined)) throw new Error(`${operationId}: a body, or none`);
    if (type !== undefined) headers.set('content-type', type);
    const response = await fetch(url, {
      ...{ method: found.method.toUpperCase(), headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const said: unknown = await response.json();
    const described = found.responses[String(response.status)] ?? found.responses['default'];
    const [content] = Object.values(described?.content ?? {});
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    const fits = ajv.validate({ ...content?.schema, components }, said);
    if (!fits) throw new Error(`${operationId} answers ${response.status}, and not as described: ${ajv.errorsText()}`);
    return { status: response.status, headers: response.headers, body: said };
  };
}
