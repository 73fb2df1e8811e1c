/** A way to a PostgreSQL server that can be cut, at once or when a certain message passes, and that keeps what was sent. */
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * `before`: the message does not arrive, and the session breaks. `after`: it arrives, and its answer does not. `silent`: it does
 * not arrive, and the session does not break. `frozen`: the same for all that follows, of all sessions.
 */
type Cut = 'before' | 'after' | 'silent' | 'frozen';

export class CuttingProxy {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #port = 0;
  /** What clients have sent; a test may empty it. */
  sent = '';
  readonly #traps: { readonly text: string; readonly when: Cut }[] = [];
  #frozen = false;

  /** `target`: the path of the server's socket. */
  constructor(target: string) {
    this.#server = createServer((client) => {
      const server = connect(target);
      const pair = [client, server] as const;
      this.#pairs.add(pair);
      const end = () => {
        client.destroy();
        server.destroy();
        this.#pairs.delete(pair);
      };
      for (const socket of pair) socket.on('error', end).on('close', end);
      let silenced = false;
      client.on('data', (chunk: Buffer) => {
        if (this.#frozen) return;
        this.sent += chunk.toString('latin1');
        const trap = this.#traps.find(({ text }) => chunk.includes(text));
        if (trap === undefined) {
          server.write(chunk);
          return;
        }
        this.#traps.splice(this.#traps.indexOf(trap), 1);
        if (trap.when === 'frozen') this.#frozen = true;
        else if (trap.when === 'before') end();
        else if (trap.when === 'after') {
          silenced = true;
          server.once('data', end);
          server.write(chunk);
        }
      });
      server.on('data', (chunk: Buffer) => {
        silenced ||= this.#frozen;
        if (!silenced && this.#pairs.has(pair)) client.write(chunk);
      });
    });
  }

  get port(): number {
    return this.#port;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('it listens on a port');
    this.#port = address.port;
  }

  /** Once, when the text passes on its way to the server. */
  cutAt(text: string, when: Cut): void {
    this.#traps.push({ text, when });
  }

  /** Takes what comes, and answers nothing. */
  freeze(frozen: boolean): void {
    this.#frozen = frozen;
  }

  cutAll(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  async close(): Promise<void> {
    this.cutAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
