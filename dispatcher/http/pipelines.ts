/** Requests that come on one connection before the earlier ones were answered. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

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

  /** False: the connection was ended, and there is no one to answer. */
  admit({ socket }: IncomingMessage, response: ServerResponse): boolean {
    if (socket.destroyed) return false;
    const open = this.#open.get(socket) ?? 0;
    if (open >= this.#most) {
      socket.destroy();
      return false;
    }
    this.#open.set(socket, open + 1);
    response.once('close', () => this.#open.set(socket, (this.#open.get(socket) ?? 1) - 1));
    return true;
  }
}
