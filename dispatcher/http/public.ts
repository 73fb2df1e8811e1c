/**
 * The public listener, on node:http itself: no framework stands in this path. It carries bytes and bounds the senders;
 * what a delivery means is the intake's.
 */
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../clock.ts';
import type { Answer, IntakeMetrics } from '../intake/answer.ts';
import type { Intake } from '../intake/webhook.ts';

export interface PublicLimits {
  readonly maxConnections: number;
  readonly maxHeaderBytes: number;
  /** From the connection, or the end of the request before, to the end of the headers. */
  readonly headersTimeoutMs: number;
  /** To the end of the body. GitHub itself gives up after 10 s (Enterprise Server: 30 s). */
  readonly requestTimeoutMs: number;
  /** An idle connection stays open; longer than the 60 s of common load balancers, which must close first. */
  readonly keepAliveMs: number;
  /** A refused request is read on, so that its sender gets to read the answer, but not beyond this. */
  readonly maxDiscardedBytes: number;
}

export const defaultPublicLimits: PublicLimits = {
  maxConnections: 2_048,
  maxHeaderBytes: 16 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveMs: 65_000,
  maxDiscardedBytes: 26 * 1024 * 1024,
};

export interface PublicListenerOptions {
  readonly intake: Intake;
  readonly clock: Clock;
  readonly metrics: Pick<IntakeMetrics, 'delivery'>;
  readonly limits?: Partial<PublicLimits>;
}

export interface PublicListener {
  /** Port 0 takes a free one; answers the port. Rejects with the system's error, such as EADDRINUSE. */
  listen(host: string, port: number): Promise<number>;
  /** Takes no more connections, answers what is in flight, and cuts off what is not done after `withinMs`. */
  close(withinMs: number): Promise<void>;
}

const sharedPath = '/webhooks/github';
const registrationPath = /^\/webhooks\/github\/([a-z0-9-]{1,32})$/;

export function createPublicListener(options: PublicListenerOptions): PublicListener {
  const { intake, clock, metrics } = options;
  const limits: PublicLimits = { ...defaultPublicLimits, ...options.limits };
  let closing = false;

  const server = createServer(
    {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveMs,
      // Node looks for late requests only this often (default 30 s).
      connectionsCheckingInterval: 1_000,
      noDelay: true,
    },
    (request, response) => {
      const path = pathOf(request.url ?? '');
      const registration = path === sharedPath ? undefined : registrationPath.exec(path)?.[1];
      if (path !== sharedPath && registration === undefined) {
        metrics.delivery('no-endpoint');
        refuse(request, response, noSuchPath);
      } else if (request.method !== 'POST') {
        metrics.delivery('no-method');
        refuse(request, response, onlyPost);
      } else {
        carry(request, response, registration);
      }
    },
  );
  server.maxConnections = limits.maxConnections;
  server.on('clientError', (error, socket) => {
    const code = 'code' in error ? error.code : undefined;
    if (code === 'ERR_HTTP_REQUEST_TIMEOUT') metrics.delivery('slow');
    endBroken(socket, code);
  });

  function carry(request: IncomingMessage, response: ServerResponse, registration: string | undefined): void {
    const reception = intake.receive(registration, request.headers);
    if ('status' in reception) {
      refuse(request, response, reception);
      return;
    }
    let over = false;
    request.on('data', (chunk: Buffer) => {
      if (over) return;
      const refusal = reception.take(chunk);
      if (refusal === undefined) return;
      over = true;
      refuse(request, response, refusal);
    });
    request.on('end', () => {
      if (over) return;
      over = true;
      void reception.finish().then((result) => answer(response, result));
    });
    request.on('close', () => {
      if (!over && !request.complete) reception.abandon();
    });
    request.on('error', ignoreReset);
  }

  /** Answers before the request has ended, and reads on for a while: a closed socket could swallow the answer. */
  function refuse(request: IncomingMessage, response: ServerResponse, result: Answer): void {
    answer(response, result);
    let discardedBytes = 0;
    request.on('data', (chunk: Buffer) => {
      discardedBytes += chunk.length;
      if (discardedBytes > limits.maxDiscardedBytes) request.destroy();
    });
    request.on('error', ignoreReset);
  }

  function answer(response: ServerResponse, result: Answer): void {
    const body = JSON.stringify({ outcome: result.outcome, message: result.message });
    const headers: OutgoingHttpHeaders = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    };
    if (result.retryAfterSeconds !== undefined) headers['retry-after'] = String(result.retryAfterSeconds);
    if (result.outcome === 'no-method') headers['allow'] = 'POST';
    if (closing) headers['connection'] = 'close';
    response.writeHead(result.status, headers);
    response.end(body);
  }

  return {
    listen(host, port) {
      return new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, () => {
          server.off('error', reject);
          const address = server.address();
          resolve(typeof address === 'object' && address !== null ? address.port : port);
        });
      });
    },
    close(withinMs) {
      closing = true;
      return new Promise((resolve) => {
        const cancel = clock.after(withinMs, () => server.closeAllConnections());
        server.close(() => {
          cancel();
          resolve();
        });
      });
    },
  };
}

function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
}

/** The sender is gone; `close` follows and gives back what it held. */
function ignoreReset(): void {}

/** What is no HTTP, or came too slowly, has no response object to answer with. */
function endBroken(socket: Duplex, code: unknown): void {
  if (!socket.writable || code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const line =
    code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? '408 Request Timeout'
      : code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : '400 Bad Request';
  socket.end(`HTTP/1.1 ${line}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}

const noSuchPath: Answer = {
  status: 404,
  outcome: 'no-endpoint',
  message: 'nothing here: webhooks go to /webhooks/github or /webhooks/github/<registration>',
};

const onlyPost: Answer = { status: 405, outcome: 'no-method', message: 'webhooks come by POST' };
