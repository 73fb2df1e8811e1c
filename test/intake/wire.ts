/** HTTP by hand on one kept-open connection: sends what no client library would, and is fast. */
import { connect, type Socket } from 'node:net';
import type { Sent } from './mutation-world.ts';

export interface WireReply {
  readonly status: number;
  readonly outcome: string;
}

export class Wire {
  readonly #socket: Socket;
  #received = '';
  #waiting: { resolve(reply: WireReply): void; reject(error: Error): void } | undefined;

  static open(port: number): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new Wire(socket));
      });
    });
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    socket.on('close', () => this.#waiting?.reject(new Error('the server closed the connection')));
    socket.on('data', (text: string) => this.#read(text));
  }

  /** One at a time. */
  send({ method, path, headers, body }: Sent): Promise<WireReply> {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `${method} ${path} HTTP/1.1\r\n${lines.join('')}content-length: ${body.length}\r\n\r\n`;
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.cork();
      this.#socket.write(head, 'latin1');
      this.#socket.write(body);
      this.#socket.uncork();
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    this.#received += text;
    const end = this.#received.indexOf('\r\n\r\n');
    if (end === -1) return;
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(this.#received)?.[1] ?? Number.NaN);
    const content = this.#received.slice(end + 4);
    if (Buffer.byteLength(content) < length) return;
    const status = Number(this.#received.slice(9, 12));
    this.#received = '';
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve({ status, outcome: /"outcome":"([a-z-]+)"/.exec(content)?.[1] ?? '' });
  }
}
