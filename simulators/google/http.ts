/** Google's HTTP endpoints beside gRPC: tokens and log entries; and the simulator's own control. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { z } from 'zod';
import type { Faults } from './faults.ts';
import type { Identity } from './identity.ts';
import type { Logs } from './logging.ts';
import { GoogleRefusal, toHttp } from './status.ts';

const MAX_BODY = 1024 * 1024;

export interface Side {
  readonly identity: Identity;
  readonly logs: Logs;
  readonly faults: Faults;
  /** For `GET /_simulator/state`. */
  state(): object;
  /** Called with each call, without its token. */
  onRequest(request: { readonly method: string; readonly path: string; readonly body: string }): void;
  /** Further REST calls of the service, by a caller with a token. Undefined: not found. */
  rest(method: string, path: string, body: unknown, query: URLSearchParams): object | undefined;
  /** The service's own control: `POST /_simulator/<name>`. Undefined: there is none of that name. */
  control(name: string, body: unknown): object | undefined;
}

interface Reply {
  readonly status: number;
  readonly body: object;
}

export function createHttpServer(side: Side): Server {
  return createServer((request, response) => {
    answer(side, request)
      .catch((error: unknown): Reply => {
        if (error instanceof GoogleRefusal) return toHttp(error);
        if (error instanceof z.ZodError || error instanceof SyntaxError) {
          return toHttp(new GoogleRefusal('INVALID_ARGUMENT', error.message));
        }
        return toHttp(new GoogleRefusal('INTERNAL', String(error)));
      })
      .then((reply) => {
        if (reply === undefined) return;
        response.writeHead(reply.status, { 'content-type': 'application/json; charset=UTF-8' });
        response.end(JSON.stringify(reply.body));
      })
      .catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
}

/** Undefined: never answers. */
async function answer(side: Side, request: IncomingMessage): Promise<Reply | undefined> {
  const method = request.method ?? 'GET';
  const { pathname: path, searchParams: query } = new URL(request.url ?? '/', 'http://simulator.invalid');
  const body = await read(request);
  if (path.startsWith('/_simulator/')) return control(side, method, path.slice('/_simulator/'.length), body);
  side.onRequest({ method, path, body: path === '/v1/token' ? '' : body });
  const { latencyMs } = side.faults.settings;
  if (latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, latencyMs));
  const refusal = side.faults.refusal(path);
  if (refusal !== undefined) throw refusal;
  if (side.faults.silence(path) !== undefined) return undefined;
  if (method === 'POST' && path === '/v1/token') return side.identity.token(new URLSearchParams(body));
  const caller = side.identity.caller(request.headers.authorization);
  if (method === 'POST' && path === '/v2/entries:list') return { status: 200, body: side.logs.list(parse(body)) };
  const impersonated = /^\/v1\/projects\/-\/serviceAccounts\/([^/:]+):generateAccessToken$/.exec(path)?.[1];
  if (method === 'POST' && impersonated !== undefined && caller.email !== '') {
    return { status: 200, body: side.identity.impersonate(decodeURIComponent(impersonated)) };
  }
  const own = side.rest(method, path, parse(body), query);
  if (own !== undefined) return { status: 200, body: own };
  throw new GoogleRefusal('NOT_FOUND', `Requested entity was not found: ${method} ${path}`);
}

function control(side: Side, method: string, name: string, body: string): Reply {
  if (name === 'faults') {
    if (method === 'POST') return { status: 200, body: side.faults.set(parse(body)) };
    if (method === 'DELETE') side.faults.clear();
    return { status: 200, body: side.faults.settings };
  }
  if (name === 'state') return { status: 200, body: side.state() };
  const reply = method === 'POST' ? side.control(name, parse(body)) : undefined;
  if (reply === undefined) throw new GoogleRefusal('NOT_FOUND', `no control of the simulator is called ${name}`);
  return { status: 200, body: reply };
}

function parse(body: string): unknown {
  return body.trim() === '' ? {} : JSON.parse(body);
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes > MAX_BODY) throw new GoogleRefusal('INVALID_ARGUMENT', 'Request payload size exceeds the limit.');
    chunks.push(piece);
  }
  return Buffer.concat(chunks).toString('utf8');
}
