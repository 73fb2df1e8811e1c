/** Requests that come on one connection before the earlier ones were answered. */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';

/**
 * A server whose listener gets every request. Node refuses some by itself (HTTP/1.1 without Host, an expectation that it
 * does not know), uncounted and in any number. The listener lets each pass through `Pipelines.admit` first.
 */
export function createCountedServer(options: ServerOptions, listener: RequestListener): Server {
  const server = createServer({ ...options, requireHostHeader: false }, listener);
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  return server;
}

/**
 * Counted from the headers to the end of the answer, whatever becomes of them. Node parses all that one read brings, two
 * thousand requests without a body in 64 KB, before the first of their answers can leave: without a bound here a hundred
 * connections take half a gigabyte, and seconds of everybody's time.
 */
export class Pipelines {
  readonly #most: number;
  readonly #open = new WeakMap<Socket, number>();

  constructor(most: number) {
    this.#most = most;
  }

  /** False: it was answered, or the connection was ended. */
  admit(request: IncomingMessage, response: ServerResponse): boolean {
    const { socket } = request;
    if (socket.destroyed) return false;
    const open = this.#open.get(socket) ?? 0;
    if (open >= this.#most) {
      socket.destroy();
      return false;
    }
    this.#open.set(socket, open + 1);
    response.once('close', () => this.#open.set(socket, (this.#open.get(socket) ?? 1) - 1));
    // RFC 9112, 3.2: in HTTP/1.1 it is the server's to refuse.
    if (request.httpVersion !== '1.1' || request.headers.host !== undefined) return true;
    response.writeHead(400, { connection: 'close', 'content-length': 0 }).end();
    return false;
  }
}
