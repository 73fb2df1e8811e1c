/** Limits HTTP pipelining: requests that arrive on a connection before the earlier ones were answered. */
import {
  createServer,
  IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

export interface PipelineOptions extends Omit<ServerOptions, 'IncomingMessage' | 'requireHostHeader'> {
  /** Maximum number of requests waiting on one connection. One more closes the connection. */
  readonly maxPipelined: number;
}

/**
 * A server that bounds the requests waiting on each connection. The listener gets every request within the bound;
 * one without a Host header was answered already.
 *
 * Node parses everything in one read (3,600 requests without a body in 64 KB) before the first answer can be sent,
 * and continues after the socket was destroyed: each connection blocks the process for a fifth of a second. Only an
 * upgrade stops its parser, because what follows is not HTTP. So the request beyond the bound is treated as one.
 */
export function createPipelineServer(options: PipelineOptions, listener: RequestListener): Server {
  const { maxPipelined, ...serverOptions } = options;
  const waiting = new WeakMap<Duplex, Set<ServerResponse>>();

  class PipelinedRequest extends IncomingMessage {
    readonly #isBeyond: boolean;

    constructor(socket: Socket) {
      super(socket);
      this.#isBeyond = socket.destroyed || (waiting.get(socket)?.size ?? 0) >= maxPipelined;
    }

    /** Node reads this when the headers are complete. */
    get upgrade(): boolean {
      return this.#isBeyond || this.method === 'CONNECT';
    }

    /** A client that asks for another protocol is answered in this one. */
    set upgrade(_asked: boolean | null) {}
  }

  const server = createServer(
    {
      ...serverOptions,
      IncomingMessage: PipelinedRequest,
      // Node would refuse those without by itself, uncounted and in any number.
      requireHostHeader: false,
    },
    (request, response) => {
      const { socket } = request;
      const responses = waiting.get(socket) ?? new Set();
      waiting.set(socket, responses.add(response));
      response.once('close', () => responses.delete(response));
      // RFC 9112, 3.2: in HTTP/1.1 the server has to refuse it.
      if (request.httpVersion !== '1.1' || request.headers.host !== undefined) listener(request, response);
      else response.writeHead(400, { connection: 'close', 'content-length': 0 }).end();
    },
  );
  // Likewise for an expectation that Node does not know.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));

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
