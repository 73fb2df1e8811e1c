/**
 * An endpoint of the admin API: its path, what it takes and answers, and who may use it. Everything that a request meets
 * before its handler (role, scope, parameters, audit trail) follows from this declaration, and so does the document that
 * describes the API.
 */
import type { z } from 'zod';
import type { Role } from '../ledger/ledger.ts';
import { AdminProblem } from './admin-problem.ts';
import type { Sight } from './sight.ts';
import type { Viewer } from './viewer.ts';

/**
 * - `tenants`: a token of tenants sees what is theirs, and changes that alone; what is another's is not there for it.
 * - `anyone`: the same for every token.
 * - `platform`: only for tokens of the whole platform.
 */
export type EndpointScope = 'tenants' | 'anyone' | 'platform';

export interface Asked<Params, Query> {
  readonly viewer: Viewer;
  readonly sight: Sight;
  readonly params: Params;
  readonly query: Query;
  readonly sent: Sent;
}

/** What came with a request beside its parameters. */
export interface Sent {
  /** The body, of an endpoint that takes one. Rejects with an AdminProblem. */
  document(): Promise<string>;
  /** What the target has to be like: of this tag, absent (null), there at all (`any`), or anything. */
  readonly expected: string | null | 'any' | undefined;
}

export interface Answered<Body = unknown> {
  /** Default 200. */
  readonly status?: number;
  readonly body: Body;
  /** Of what is written with If-Match; the answer may change without it. Default: that of the whole answer. */
  readonly tag?: string | undefined;
  /** For the audit trail. */
  readonly remark?: string;
}

/** What a write is done to, for the audit trail. */
export interface Target {
  readonly subject: string;
  /** Of the registration that it belongs to; null: none, or it is not known. */
  readonly registration: string | null;
  /** Of what belongs to a tenant without a registration. */
  readonly tenants?: readonly string[] | null;
}

export interface EndpointDescription {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** As Express writes it: `/api/runners/:name`. */
  readonly path: string;
  readonly summary: string;
  readonly role: Role;
  readonly scope: EndpointScope;
  readonly params: z.ZodType;
  readonly query: z.ZodType;
  readonly answer: z.ZodType;
  /** It takes a document of this type as its body, and If-Match. */
  readonly document?: 'registration';
  /** Of success; default 200 alone. */
  readonly statuses?: readonly number[];
  /** Of a write, for the audit trail: `runner.forget`. */
  readonly action?: string;
}

export interface Endpoint extends EndpointDescription {
  /** Parses, and answers. Rejects with an AdminProblem. */
  ask(asked: Asked<unknown, unknown>): {
    target(): Promise<Target>;
    answer(): Promise<Answered>;
  };
}

interface Handlers<Params extends z.ZodType, Query extends z.ZodType> {
  readonly params: Params;
  readonly query: Query;
  target?(asked: Asked<z.output<Params>, z.output<Query>>): Target | Promise<Target>;
  handle(asked: Asked<z.output<Params>, z.output<Query>>): Answered | Promise<Answered>;
}

export function endpoint<Params extends z.ZodType, Query extends z.ZodType>({
  handle,
  target,
  ...description
}: EndpointDescription & Handlers<Params, Query>): Endpoint {
  return {
    ...description,
    ask({ viewer, sight, sent, params, query }) {
      const asked = {
        ...{ viewer, sight, sent },
        params: parse<Params>(description.params, params),
        query: parse<Query>(description.query, query),
      };
      return {
        target: async () => (await target?.(asked)) ?? { subject: description.path, registration: null },
        answer: async () => await handle(asked),
      };
    },
  };
}

/** Names the parameter and its valid values; never repeats the input. */
function parse<Schema extends z.ZodType>(schema: Schema, given: unknown): z.output<Schema> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') ?? '';
  throw new AdminProblem(
    400,
    where === '' ? 'a parameter is not known or given twice' : `the parameter ${where} is not valid`,
    issue?.message ?? 'see docs/observability.md',
  );
}
