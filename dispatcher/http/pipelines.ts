/** Limits HTTP pipelining: requests that arrive on a connection before the earlier ones were answered. */
import type { IncomingMessage, RequestListener, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';

// Not imported: an import of node:http looks at each of its exports, and the one of WebSocket loads undici, 45 ms of CPU.
const http = process.getBuiltinModule('node:http');

export interface PipelineOptions extends Omit<ServerOptions, 'IncomingMessage' | 'requireHostHeader'> {
  /** Maximum number of requests waiting on one connection. One more closes the connection. */
  readonly maxPipelined: number;
  /** With it, the server speaks TLS. */
  readonly tls?: SecureContextOptions & { readonly handshakeTimeout: number };
}

export type PipelineServer = Server | SecureServer;

/**
 * A server that bounds the requests waiting on each connection. The listener gets every request within the bound;
 * one without exactly one Host line was answered already.
 *
 * Node parses everything in one read (3,600 requests without a body in 64 KB) before the first answer can be sent,
 * and continues after the socket was destroyed: each connection blocks the process for a fifth of a second. Only an
 * upgrade stops its parser, because what follows is not HTTP. So the request beyond the bound is treated as one.
 */
export function createPipelineServer(options: PipelineOptions, listener: RequestListener): PipelineServer {
  const { maxPipelined, tls, ...serverOptions } = options;
  const waiting = new WeakMap<Duplex, Set<ServerResponse>>();
  /** Few: each is one beyond the bound. */
  const beyond = new WeakSet<IncomingMessage>();

  class PipelinedRequest extends http.IncomingMessage {
    constructor(socket: Socket) {
      super(socket);
      if (!socket.destroyed && (waiting.get(socket)?.size ?? 0) < maxPipelined) return;
      beyond.add(this);
      // Node sets it from the headers, and reads it when they are complete.
      Object.defineProperty(this, 'upgrade', { get: () => true, set() {} });
    }
  }

  const own = {
    ...serverOptions,
    IncomingMessage: PipelinedRequest,
    // A client that asks for another protocol is answered in this one.
    shouldUpgradeCallback: (request: IncomingMessage) => beyond.has(request),
    // Node would refuse those without by itself, uncounted and in any number.
    requireHostHeader: false,
  };
  const serve: RequestListener = (request, response) => {
    const { socket } = request;
    const responses = waiting.get(socket) ?? new Set();
    waiting.set(socket, responses.add(response));
    response.on('close', forget);
    if (hosts(request) === 1 || request.httpVersion !== '1.1') listener(request, response);
    else response.writeHead(400, { connection: 'close', 'content-length': 0 }).end();
  };
  const server: PipelineServer =
    tls === undefined
      ? http.createServer(own, serve)
      : process.getBuiltinModule('node:https').createServer({ ...own, ...tls }, serve);
  // Likewise for an expectation that Node does not know.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));

  /** One for all responses: this runs for each request. */
  function forget(this: ServerResponse): void {
    waiting.get(this.req.socket)?.delete(this);
  }

  function end(_request: IncomingMessage, socket: Duplex): void {
    // Node no longer tells this connection's requests that it is closed.
    for (const response of waiting.get(socket) ?? []) {
      response.req.destroy();
      response.destroy();
    }
    socket.destroy();
  }
  server.on('upgrade', end);
  server.on('connect', end);
  return server;
}

/** How many Host lines it has. RFC 9112, 3.2: in HTTP/1.1 a server has to refuse a request with none, or with several. */
function hosts({ rawHeaders }: IncomingMessage): number {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') count += 1;
  }
  return count;
}
