/** Requests that come on one connection before the earlier ones were answered. */
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
  /** Requests of one connection that wait for their answer. One more ends the connection. */
  readonly maxPipelined: number;
}

/**
 * A server that bounds what waits on each connection. The listener gets every request within the bound; without a Host
 * it was answered already.
 *
 * Node parses all that one read brings, 3,600 requests without a body in 64 KB, before the first of their answers can
 * leave, and goes on after the socket was destroyed: a fifth of a second of everybody's time for each connection. An
 * upgrade alone stops its parser, because what follows is no longer HTTP. So the request beyond the bound is taken for one.
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

    /** Read by Node when the headers are complete. */
    get upgrade(): boolean {
      return this.#isBeyond || this.method === 'CONNECT';
    }

    /** A sender that asks for another protocol gets its answer in this one. */
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
      // RFC 9112, 3.2: in HTTP/1.1 it is the server's to refuse.
      if (request.httpVersion !== '1.1' || request.headers.host !== undefined) listener(request, response);
      else response.writeHead(400, { connection: 'close', 'content-length': 0 }).end();
    },
  );
  // The same of an expectation that Node does not know.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));

  function end(_request: IncomingMessage, socket: Duplex): void {
    // Node no longer tells the requests of this connection that it is closed.
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
