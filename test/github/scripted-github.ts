/** A GitHub on the wire that answers what a test tells it to, and remembers what it was asked. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface Says {
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** `hang`: no answer ever. `reset`: the connection is cut. */
export type Script = (asked: Asked) => Says | 'hang' | 'reset' | Promise<Says>;

export interface ScriptedGithub {
  readonly apiUrl: string;
  readonly asked: readonly Asked[];
  /** Resolves when so many requests have come in. */
  heard(count: number): Promise<void>;
  close(): Promise<void>;
}

export async function scriptedGithub(script: Script): Promise<ScriptedGithub> {
  const asked: Asked[] = [];
  const listeners = new Set<() => void>();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const url = new URL(request.url ?? '/', 'http://github');
    const one: Asked = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: Buffer.concat(chunks).toString(),
    };
    asked.push(one);
    for (const listener of listeners) listener();
    const says = await script(one);
    if (says === 'hang') return;
    if (says === 'reset') {
      request.socket.resetAndDestroy();
      return;
    }
    const { status = 200, body, headers = {} } = says;
    // The machine's own time, where a test has a time of its own.
    response.sendDate = false;
    response.writeHead(status, {
      'x-github-request-id': `REQ:${asked.length}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' }),
      ...headers,
    });
    response.end(typeof body === 'string' ? body : body === undefined ? undefined : JSON.stringify(body));
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      // A status that nobody repeats, so that a mistake in a script is seen and not retried.
      response.writeHead(418, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ message: `the script failed: ${String(error)}` }));
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    apiUrl: `http://127.0.0.1:${address.port}`,
    asked,
    heard: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (asked.length < count) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        look();
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
