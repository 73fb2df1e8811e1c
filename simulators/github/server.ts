import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { z } from 'zod';
import { type Credential, limitKey, limitSubject } from './credential.ts';
import { type Call, notFound, Refusal, type Reply, type Route, type Router } from './router.ts';
import type { Context } from './routes/context.ts';
import { parseRunnerRequest } from './sessions.ts';

const bodyAtMost = 1024 * 1024;
const rateLimitDocs = 'https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api';

/** The HTTP layer: node:http, with GitHub's headers, limits, ETags and faults around the handlers. */
export function createWire(router: Router, context: Context): Server {
  return createServer((request, response) => {
    // Ignored if the client has disconnected; every other error is answered.
    answer(router, context, request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({ message: `Simulator error: ${error instanceof Error ? error.message : String(error)}` }),
      );
    });
  });
}

async function answer(
  router: Router,
  context: Context,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const abort = new AbortController();
  response.on('close', () => abort.abort());
  const target = new URL(request.url ?? '/', 'http://simulator.invalid');
  const method = request.method ?? 'GET';
  const body = await read(request);
  if (body === undefined) {
    send(
      response,
      method,
      { 'content-type': 'application/json', connection: 'close' },
      413,
      '{"message":"Payload too large"}',
    );
    return;
  }
  if (target.pathname.startsWith('/_runner/')) {
    const text = await context.sessions.answer(
      target.pathname.slice('/_runner/'.length),
      parseRunnerRequest(body),
      abort.signal,
    );
    if (!response.destroyed) send(response, method, { 'content-type': 'text/plain' }, 200, `${text}\n`);
    return;
  }
  // GHES serves its API under a prefix.
  const prefix = target.pathname.startsWith('/api/v3/') ? '/api/v3' : '';
  const path = target.pathname.slice(prefix.length).replace(/(.)\/$/, '$1');
  const headers = baseHeaders(context);
  const found = router.find(method === 'HEAD' ? 'GET' : method, path);
  const exchange: Exchange = {
    context,
    request,
    response,
    method,
    body,
    headers,
    signal: abort.signal,
    query: target.searchParams,
    url: `${context.urls().api}${prefix}${path}`,
  };
  try {
    if (!found) throw notFound();
    await handle(exchange, found.route, found.params);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    sendRefusal(exchange, error);
  }
}

interface Exchange {
  readonly context: Context;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly body: string;
  readonly headers: Record<string, string>;
  readonly signal: AbortSignal;
  readonly query: URLSearchParams;
  readonly url: string;
}

async function handle(exchange: Exchange, route: Route, params: ReadonlyMap<string, string>): Promise<void> {
  const { context, method, response } = exchange;
  if (route.pattern.startsWith('/_simulator/')) {
    sendReply(exchange, await route.handler(callOf(exchange, route, params, { kind: 'anonymous' })));
    return;
  }
  const { faults, limits, world, authenticator } = context;
  const broken = faults.response(method, route.pattern);
  if (broken) {
    const retry = broken.retryAfterSeconds === undefined ? {} : { 'retry-after': String(broken.retryAfterSeconds) };
    throw new Refusal(broken.status, broken.message ?? (broken.status >= 500 ? 'Server Error' : 'Simulated refusal'), {
      headers: retry,
    });
  }
  const silence = faults.timeout(method, route.pattern);
  if (silence?.effect === 'before') return fallSilent(response, silence.how);
  const credential = authenticator.identify(exchange.request.headers.authorization);
  const key = limitKey(credential);
  if (!route.free) admit(exchange, route, credential, key);
  try {
    const reply = await route.handler(callOf(exchange, route, params, credential));
    if (silence) return fallSilent(response, silence.how);
    const etag =
      method === 'GET' && reply.kind !== 'empty' && reply.status === 200 ? etagOf(exchange, reply) : undefined;
    if (etag) exchange.headers['etag'] = etag;
    const unchanged = etag !== undefined && matches(exchange.request.headers['if-none-match'], etag);
    if (unchanged && !route.free) limits.refund(key);
    addLimitHeaders(exchange, key);
    if (unchanged)
      send(response, method, { ...exchange.headers, ...(reply.kind === 'json' ? reply.headers : {}) }, 304, '');
    else sendReply(exchange, reply);
  } catch (error) {
    if (silence) return fallSilent(response, silence.how);
    addLimitHeaders(exchange, key);
    throw error;
  } finally {
    if (!route.free) limits.done(key);
    world.changed();
  }
}

/** The call has or has not taken effect; the client gets no answer. A hanging call ends when the client gives up. */
function fallSilent(response: ServerResponse, how: 'hang' | 'reset'): void {
  if (how === 'reset') response.socket?.resetAndDestroy();
}

function admit(exchange: Exchange, route: Route, credential: Credential, key: string): void {
  const { context, method, headers } = exchange;
  const nowMs = context.world.now();
  const fault = context.faults.settings.rateLimit;
  const verdict = fault
    ? { kind: fault.kind, retryAfterS: fault.retryAfterSeconds }
    : context.limits.admit(key, method, route.createsContent ?? false, nowMs);
  if (verdict.kind === 'ok') return;
  addLimitHeaders(exchange, key);
  if (verdict.kind === 'primary') {
    headers['x-ratelimit-remaining'] = '0';
    if (fault) headers['x-ratelimit-reset'] = String(Math.ceil(nowMs / 1_000) + verdict.retryAfterS);
    throw new Refusal(403, `API rate limit exceeded for ${limitSubject(credential)}`, {
      documentationUrl: rateLimitDocs,
    });
  }
  throw new Refusal(403, 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.', {
    documentationUrl: `${rateLimitDocs}#about-secondary-rate-limits`,
    headers: { 'retry-after': String(verdict.retryAfterS) },
  });
}

function addLimitHeaders({ context, headers }: Exchange, key: string): void {
  const budget = context.limits.budget(key, context.world.now());
  headers['x-ratelimit-limit'] ??= String(budget.limit);
  headers['x-ratelimit-remaining'] ??= String(budget.remaining);
  headers['x-ratelimit-used'] ??= String(budget.used);
  headers['x-ratelimit-reset'] ??= String(budget.resetS);
  headers['x-ratelimit-resource'] ??= 'core';
}

function baseHeaders(context: Context): Record<string, string> {
  const { world } = context;
  const id = `${world.hex(4)}:${world.hex(5)}:${world.hex(6)}:${world.hex(6)}:${world.hex(8)}`.toUpperCase();
  return {
    date: new Date(world.now()).toUTCString(),
    server: 'github.com',
    'cache-control': 'private, max-age=60, s-maxage=60',
    vary: 'Accept, Authorization, Cookie, X-GitHub-OTP',
    'x-github-media-type': 'github.v3; format=json',
    'x-github-api-version-selected': '2022-11-28',
    'x-github-request-id': id,
  };
}

function callOf(exchange: Exchange, route: Route, params: ReadonlyMap<string, string>, credential: Credential): Call {
  const param = (name: string): string => {
    const value = params.get(name);
    if (value === undefined) throw new Error(`${route.pattern} has no :${name}`);
    return value;
  };
  return {
    method: exchange.method,
    route: route.pattern,
    url: exchange.url,
    query: exchange.query,
    accept: exchange.request.headers.accept ?? '',
    credential,
    param,
    id(name) {
      const value = param(name);
      if (!/^\d{1,15}$/.test(value)) throw notFound();
      return Number(value);
    },
    body<T>(schema: z.ZodType<T>): T {
      return parseBody(exchange.body, schema);
    },
    rawBody: exchange.body,
    signal: exchange.signal,
  };
}

function parseBody<T>(text: string, schema: z.ZodType<T>): T {
  let input: unknown;
  try {
    input = text === '' ? {} : JSON.parse(text);
  } catch {
    throw new Refusal(400, 'Problems parsing JSON');
  }
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`);
  throw new Refusal(422, `Invalid request.\n\n${errors.join('\n')}`, { errors });
}

/** Undefined if it exceeds the size limit of requests. */
async function read(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request) {
    const buffer = Buffer.from(part);
    bytes += buffer.length;
    if (bytes > bodyAtMost) return undefined;
    parts.push(buffer);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Differs between credentials, as on GitHub: a new installation token invalidates old ETags. */
function etagOf({ request }: Exchange, reply: Reply & { kind: 'json' | 'text' }): string {
  const hash = createHash('sha256')
    .update(request.headers.authorization ?? '')
    .update(JSON.stringify(reply.body));
  return `W/"${hash.digest('hex')}"`;
}

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  const bare = (text: string): string => text.trim().replace(/^W\//, '');
  return header.split(',').some((one) => one.trim() === '*' || bare(one) === bare(etag));
}

function sendReply({ response, method, headers }: Exchange, reply: Reply): void {
  if (reply.kind === 'empty') {
    send(response, method, headers, reply.status, '');
    return;
  }
  if (reply.kind === 'text') {
    send(
      response,
      method,
      { ...headers, 'content-type': `${reply.mediaType ?? 'text/plain'}; charset=utf-8` },
      reply.status,
      reply.body,
    );
    return;
  }
  const all = { ...headers, ...reply.headers, 'content-type': 'application/json; charset=utf-8' };
  send(response, method, all, reply.status, JSON.stringify(reply.body));
}

function sendRefusal({ response, method, headers }: Exchange, refusal: Refusal): void {
  const all = { ...headers, ...refusal.headers, 'content-type': 'application/json; charset=utf-8' };
  send(response, method, all, refusal.status, JSON.stringify(refusal.body));
}

function send(
  response: ServerResponse,
  method: string,
  headers: Record<string, string>,
  status: number,
  body: string,
): void {
  const bytes = Buffer.from(body);
  const hasBody = status !== 204 && status !== 304;
  response.writeHead(status, hasBody ? { ...headers, 'content-length': String(bytes.length) } : headers);
  response.end(hasBody && method !== 'HEAD' ? bytes : undefined);
}
