import { createHmac, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly event: string;
  readonly action: string;
  readonly guid: string;
  readonly body: string;
  /** By the raw body and the receiver's secret. */
  readonly signed: boolean;
  readonly payload: Record<string, unknown>;
}

export interface Receiver {
  readonly url: string;
  readonly received: readonly Received[];
  /** What it answers from now on; `undefined` never answers. */
  answerWith(status: number | undefined): void;
  /** Resolves once so many deliveries have come in all. */
  until(count: number): Promise<void>;
  close(): Promise<void>;
}

/** A webhook endpoint that checks signatures and keeps what it gets. */
export async function startReceiver(secret: string): Promise<Receiver> {
  const received: Received[] = [];
  const waiting = new Set<{ count: number; resolve: () => void }>();
  let status: number | undefined = 200;
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const raw = Buffer.concat(parts);
      const body = raw.toString('utf8');
      const payload: unknown = JSON.parse(body);
      const record = Object.fromEntries(Object.entries(typeof payload === 'object' && payload !== null ? payload : {}));
      const expected = Buffer.from(`sha256=${createHmac('sha256', secret).update(raw).digest('hex')}`);
      const given = Buffer.from(String(request.headers['x-hub-signature-256'] ?? ''));
      received.push({
        headers: request.headers,
        event: String(request.headers['x-github-event']),
        action: String(record['action'] ?? ''),
        guid: String(request.headers['x-github-delivery']),
        body,
        signed: given.length === expected.length && timingSafeEqual(given, expected),
        payload: record,
      });
      for (const one of [...waiting]) if (received.length >= one.count && waiting.delete(one)) one.resolve();
      if (status === undefined) return;
      response.writeHead(status);
      response.end('seen');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}/webhooks/github`,
    received,
    answerWith(next) {
      status = next;
    },
    until(count) {
      if (received.length >= count) return Promise.resolve();
      return new Promise((resolve) => waiting.add({ count, resolve }));
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
