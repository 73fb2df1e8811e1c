/**
 * The public listener, directly on node:http: no framework in this path. It transports bytes and limits senders;
 * interpreting deliveries is up to the intake.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../time/clock.ts';
import { PROOF_PATH } from '../callbacks/address-proof.ts';
import type { CallAnswer, CallReception, RunnerCalls } from '../callbacks/calls.ts';
import { type DeliveryAnswer, type IntakeMetrics, isVerified } from '../intake/answer.ts';
import type { PushIntake } from '../intake/pushes.ts';
import { type Reception, tooManyPieces } from '../intake/reception.ts';
import type { Carrier, Intake } from '../intake/webhook.ts';
import type { KeyPair, ListenerCertificate } from './certificate.ts';
import { addressKey, clientAddress, TrustedProxies } from './client-address.ts';
import { closeWithin, listenOn } from './listen.ts';
import { createPipelineServer } from './pipelines.ts';
import { type Place, type PlaceLimits, Places } from './places.ts';

export interface PublicLimits extends PlaceLimits {
  /**
   * Connections that the system completes before we accept them: as many as may arrive between two event loop turns.
   * Linux caps it at `net.core.somaxconn`, 4,096. Senders beyond that try again a second later.
   */
  readonly backlog: number;
  readonly maxHeaderBytes: number;
  /** From the connection, or the first byte of a later request, to the end of the headers. */
  readonly headersTimeoutMs: number;
  /** To the end of the body. GitHub itself gives up after 10 s (Enterprise Server: 30 s). */
  readonly requestTimeoutMs: number;
  /** An idle connection stays open; longer than the 60 s of common load balancers, which must close first. */
  readonly keepAliveMs: number;
  /** A refused request is still read, so that its sender gets to see the answer, but only up to this size. */
  readonly maxDiscardedBytes: number;
  /** Maximum number of requests waiting on one connection. GitHub and common proxies send one at a time. */
  readonly maxPipelined: number;
}

export const defaultPublicLimits: PublicLimits = {
  maxConnections: 2_048,
  backlog: 4_096,
  // A burst from GitHub through one ingress has a few hundred in flight; each is complete in a fraction of a second.
  maxUnfinishedPerAddress: 512,
  bodyGraceMs: 3_000,
  // This gives a 25 KB delivery 9 s, about as long as GitHub waits.
  minBodyBytesPerSecond: 4 * 1024,
  maxHeaderBytes: 16 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveMs: 65_000,
  maxDiscardedBytes: 26 * 1024 * 1024,
  maxPipelined: 16,
};

export interface PublicListenerOptions {
  readonly intake: Intake;
  readonly clock: Clock;
  readonly metrics: Pick<IntakeMetrics, 'delivery'>;
  /** Addresses and networks whose `X-Forwarded-For` and `Forwarded` are trusted. */
  readonly trustedProxies?: readonly string[];
  /** A connection that carried no request gave way. Must not throw. */
  readonly onYield?: (from: string) => void;
  readonly limits?: Partial<PublicLimits>;
  /** With it, the listener speaks TLS, and nothing else. */
  readonly certificate?: Pick<ListenerCertificate, 'open' | 'close'>;
  /** Without it there is nothing at `/runners/`. */
  readonly calls?: RunnerCalls;
  /** Answers who asks whether this process is here. */
  readonly addressProof?: { receive(): CallReception };
  /** Without it there is nothing at `/webhooks/git/`. */
  readonly pushes?: Pick<PushIntake, 'receive'>;
}

export interface PublicListener {
  /**
   * Port 0 picks a free one; returns the port. Rejects with the system's error, such as EADDRINUSE, or with
   * CertificateError.
   */
  listen(host: string, port: number): Promise<number>;
  /** Accepts no more connections, answers what is in flight, and cuts off what is not done after `withinMs`. */
  close(withinMs: number): Promise<void>;
}

type Answer = DeliveryAnswer | CallAnswer;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly place: Place;
}

const sharedPath = '/webhooks/github';
const runnerPath = /^\/runners\/([a-z0-9-]{1,63})\/([a-z-]{1,20})$/;
const sourcePath = /^\/webhooks\/git\/([a-z0-9-]{1,32})$/;
const registrationPath = /^\/webhooks\/github\/([a-z0-9-]{1,32})$/;

export function createPublicListener(options: PublicListenerOptions): PublicListener {
  const { intake, clock, metrics } = options;
  const limits: PublicLimits = { ...defaultPublicLimits, ...options.limits };
  const proxies = new TrustedProxies(options.trustedProxies ?? []);
  const places = new Places({ limits, clock, onYield: (from) => options.onYield?.(from) });
  const placeOf = new WeakMap<Socket, Place>();
  const handshakes = new Map<string, Place>();
  let closing = false;

  const server = createPipelineServer(
    {
      maxPipelined: limits.maxPipelined,
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveMs,
      // Node checks for late requests only this often (default 30 s).
      connectionsCheckingInterval: 1_000,
      noDelay: true,
      ...(options.certificate === undefined ? {} : { tls: { handshakeTimeout: limits.headersTimeoutMs } }),
    },
    (request, response) => {
      const place = placeOf.get(request.socket);
      if (place === undefined) return;
      const path = pathOf(request.url ?? '');
      const { calls, pushes } = options;
      const [, runner, event] = (calls === undefined ? null : runnerPath.exec(path)) ?? [];
      const proof = path === PROOF_PATH ? options.addressProof : undefined;
      const registration = path === sharedPath ? undefined : registrationPath.exec(path)?.[1];
      const source = pushes === undefined ? undefined : sourcePath.exec(path)?.[1];
      if (calls !== undefined && runner !== undefined && event !== undefined) {
        const exchange = { request, response, place };
        if (request.method === 'POST')
          carry(exchange, () => calls.receive(runner, event, request.headers.authorization));
        else refuse(exchange, onlyPost);
      } else if (proof !== undefined) {
        const exchange = { request, response, place };
        if (request.method === 'POST') carry(exchange, () => proof.receive());
        else refuse(exchange, onlyPost);
      } else if (pushes !== undefined && source !== undefined && request.method === 'POST') {
        carry({ request, response, place }, (carrier) => pushes.receive(source, request.headers, carrier));
      } else if (path !== sharedPath && registration === undefined && source === undefined) {
        metrics.delivery('no-endpoint');
        refuse({ request, response, place }, noSuchPath);
      } else if (request.method !== 'POST') {
        metrics.delivery('no-method');
        refuse({ request, response, place }, onlyPost);
      } else {
        carry({ request, response, place }, (carrier) => intake.receive(registration, request.headers, carrier));
      }
    },
  );
  // The last resort: here the newest are refused. Before that the oldest unfinished give way.
  server.maxConnections = limits.maxConnections + limits.backlog;
  // A sender that never reads its answers counts as idle, too.
  server.timeout = limits.keepAliveMs + limits.requestTimeoutMs;
  server.on('connection', (socket: Socket) => {
    const peer = socket.remoteAddress ?? '';
    const place = places.arrive(proxies.has(peer) ? undefined : addressKey(peer), { end: () => socket.destroy() });
    placeOf.set(socket, place);
    socket.once('close', () => place.leave());
    if (options.certificate !== undefined) {
      // Counted before its handshake. The requests come on another socket, which has the same peer.
      const key = peerOf(socket);
      handshakes.set(key, place);
      // The next one of that port may have come before this one's end is told.
      socket.once('close', () => void (handshakes.get(key) === place && handshakes.delete(key)));
    }
  });
  server.on('secureConnection', (socket: Socket) => {
    const place = handshakes.get(peerOf(socket));
    if (place === undefined) socket.destroy();
    else placeOf.set(socket, place);
  });
  server.on('clientError', (error, socket) => {
    const code = 'code' in error ? error.code : undefined;
    if (code === 'ERR_HTTP_REQUEST_TIMEOUT') metrics.delivery('slow');
    endBroken(socket, code);
  });

  function addressOf({ request, place }: Exchange): string {
    return place.peer ?? addressKey(clientAddress(request.socket.remoteAddress ?? '', request.headers, proxies));
  }

  function carry(exchange: Exchange, receive: (carrier: Carrier) => Reception | CallReception | Answer): void {
    const { request, response, place } = exchange;
    const from = addressOf(exchange);
    let over = false;
    const turnAway = (result: Answer) => {
      over = true;
      cutOff(exchange, result);
    };
    const reception = receive({ from, turnAway });
    if ('status' in reception) {
      refuse(exchange, reception, from);
      return;
    }
    place.begin(from, (why) => turnAway(reception.cutOff(why)));
    request.on('data', (chunk: Buffer) => {
      if (over) return;
      place.received(chunk.length);
      const refusal = reception.take(chunk);
      if (refusal === undefined) return;
      over = true;
      refuse(exchange, refusal, from);
    });
    request.on('end', () => {
      if (over) return;
      over = true;
      place.complete();
      // A call that waits for something may be left by its sender.
      response.on('close', () => {
        if (!response.writableFinished && 'left' in reception) reception.left();
      });
      void reception.finish().then((result) => {
        answer(response, result);
        place.answered('outcome' in result ? isVerified(result.outcome) : result.verified);
      });
    });
    request.on('close', () => {
      if (!over && !request.complete) reception.abandon();
    });
    request.on('error', ignoreReset);
  }

  /** Answers before the request has ended, and keeps reading for a while: closing the socket could lose the answer. */
  function refuse(exchange: Exchange, result: Answer, from = addressOf(exchange)): void {
    const { request, response, place } = exchange;
    answer(response, result);
    place.begin(from, () => request.socket.destroy());
    let discardedBytes = 0;
    let pieces = 0;
    request.on('data', (chunk: Buffer) => {
      discardedBytes += chunk.length;
      pieces += 1;
      place.received(chunk.length);
      const endless = discardedBytes > limits.maxDiscardedBytes || tooManyPieces(pieces, discardedBytes);
      if (endless) request.socket.destroy();
    });
    request.on('end', () => place.discarded());
    request.on('error', ignoreReset);
  }

  /** Its connection is needed: stop reading. */
  function cutOff({ request, response, place }: Exchange, result: Answer): void {
    place.leave();
    response.setHeader('connection', 'close');
    answer(response, result);
    response.once('finish', () => request.socket.destroy());
    // If the system has not sent it by now, the sender does not read answers and would keep an uncounted connection.
    setImmediate(() => {
      if (request.socket.writableLength > 0) request.socket.destroy();
    });
    request.pause();
  }

  function answer(response: ServerResponse, result: Answer): void {
    if ('text' in result) {
      const type = { 'content-type': 'text/plain; charset=utf-8' };
      const length = result.status === 204 ? {} : { ...type, 'content-length': Buffer.byteLength(result.text) };
      const headers = { ...length, ...fromDispatcher };
      response.writeHead(result.status, closing ? { ...headers, connection: 'close' } : headers);
      response.end(result.text);
      return;
    }
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
    async listen(host, port) {
      if (options.certificate !== undefined && 'setSecureContext' in server) {
        const set = (pair: KeyPair) => server.setSecureContext({ ...pair, minVersion: 'TLSv1.2' });
        set(await options.certificate.open(set));
      }
      return await listenOn(server, { host, port, backlog: limits.backlog });
    },
    close(withinMs) {
      closing = true;
      options.calls?.close();
      options.certificate?.close();
      places.close();
      return closeWithin(server, withinMs, clock);
    },
  };
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
}

/** The sender is gone; `close` follows and releases what it held. */
function ignoreReset(): void {}

/** Input that is not HTTP, or came too slowly, has no response object to answer with. */
function endBroken(socket: Duplex, code: unknown): void {
  // What went wrong in a handshake cannot be answered: the sender does not understand TLS, or not ours.
  const inHandshake = typeof code === 'string' && /^ERR_(?:SSL|TLS)_/.test(code);
  if (!socket.writable || code === 'ECONNRESET' || inHandshake) {
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

/** Tells a container that its call has come to a dispatcher, and not to a proxy or another website. */
const fromDispatcher = { 'shr-dispatcher': '1' };

const noSuchPath: DeliveryAnswer = {
  status: 404,
  outcome: 'no-endpoint',
  message: 'nothing here: webhooks go to /webhooks/github or /webhooks/github/<registration>',
};

const onlyPost: DeliveryAnswer = { status: 405, outcome: 'no-method', message: 'method not allowed: use POST' };
