import type { z } from 'zod';
import type { Credential } from './credential.ts';

/** A refusal with GitHub's status and message. */
export class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    message: string,
    details: {
      documentationUrl?: string;
      errors?: readonly unknown[];
      headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.headers = details.headers ?? {};
    this.body = {
      message,
      ...(details.errors ? { errors: details.errors } : {}),
      documentation_url: details.documentationUrl ?? 'https://docs.github.com/rest',
      status: String(status),
    };
  }
}

export function notFound(): Refusal {
  return new Refusal(404, 'Not Found');
}

export type Reply =
  | {
      readonly kind: 'json';
      readonly status: number;
      readonly body: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: 'text';
      readonly status: number;
      readonly body: string;
      /** Default: `text/plain`. */
      readonly mediaType?: string;
    }
  | { readonly kind: 'empty'; readonly status: number };

export function json(body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Reply {
  return { kind: 'json', status, body, headers };
}

export const noContent: Reply = { kind: 'empty', status: 204 };

/** One request after authentication. */
export interface Call {
  readonly method: string;
  /** The route's pattern. */
  readonly route: string;
  /** The client's base address, without the query, for pagination links. */
  readonly url: string;
  readonly query: URLSearchParams;
  /** The header. */
  readonly accept: string;
  readonly credential: Credential;
  /** A path parameter; throws when the pattern does not have it. */
  param(name: string): string;
  /** A numeric path parameter; anything else is a 404, as no resource has such an id. */
  id(name: string): number;
  /** Parses the body by a schema; 422 in GitHub's format if it does not match. */
  body<T>(schema: z.ZodType<T>): T;
  readonly rawBody: string;
  /** Aborts when the client disconnects. */
  readonly signal: AbortSignal;
}

export type Handler = (call: Call) => Reply | Promise<Reply>;

export interface RouteTraits {
  /** Creates content that triggers notifications, which has its own rate limit. */
  readonly createsContent?: boolean;
  /** Exempt from every limit, such as `/rate_limit`. */
  readonly free?: boolean;
}

export interface Route extends RouteTraits {
  readonly method: string;
  readonly pattern: string;
  readonly segments: readonly string[];
  readonly handler: Handler;
}

export class Router {
  readonly #routes = new Map<string, Route[]>();

  add(method: string, pattern: string, handler: Handler, traits: RouteTraits = {}): void {
    const segments = pattern.split('/').slice(1);
    const key = `${method} ${segments.length}`;
    const routes = this.#routes.get(key) ?? [];
    // A literal segment takes precedence over a parameter: `/app/hook` before `/app/:slug`.
    routes.push({ method, pattern, segments, handler, ...traits });
    this.#routes.set(key, routes);
  }

  find(method: string, path: string): { route: Route; params: ReadonlyMap<string, string> } | undefined {
    const parts = path.split('/').slice(1);
    for (const route of this.#routes.get(`${method} ${parts.length}`) ?? []) {
      const params = match(route.segments, parts);
      if (params) return { route, params };
    }
    return undefined;
  }
}

function match(segments: readonly string[], parts: readonly string[]): ReadonlyMap<string, string> | undefined {
  const params = new Map<string, string>();
  for (const [index, segment] of segments.entries()) {
    const part = parts[index] ?? '';
    if (segment.startsWith(':')) {
      if (part === '') return undefined;
      try {
        params.set(segment.slice(1), decodeURIComponent(part));
      } catch {
        return undefined;
      }
    } else if (segment !== part) return undefined;
  }
  return params;
}

/** `per_page` up to 100, `page` from 1, and the corresponding `Link` header. */
export function paginate<T>(
  call: Call,
  items: readonly T[],
  limit = Number.POSITIVE_INFINITY,
): { page: T[]; headers: Record<string, string> } {
  const size = pageSize(call);
  const page = Math.max(1, Math.trunc(Number(call.query.get('page') ?? 1)) || 1);
  const reachable = items.slice(0, limit);
  const last = Math.max(1, Math.ceil(reachable.length / size));
  const links: string[] = [];
  const link = (to: number, relation: string): void => {
    const query = new URLSearchParams(call.query);
    query.set('page', String(to));
    links.push(`<${call.url}?${query}>; rel="${relation}"`);
  };
  if (page > 1) link(Math.min(page - 1, last), 'prev');
  if (page < last) {
    link(page + 1, 'next');
    link(last, 'last');
  }
  if (page > 1) link(1, 'first');
  return {
    page: reachable.slice((page - 1) * size, page * size),
    headers: links.length > 0 ? { link: links.join(', ') } : {},
  };
}

export function pageSize(call: Call): number {
  return Math.min(100, Math.max(1, Math.trunc(Number(call.query.get('per_page') ?? 30)) || 30));
}
