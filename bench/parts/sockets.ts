/** HTTP for load generators: sockets and ready-made bytes, because an HTTP client would dominate the measurement. */
import { connect, type Socket } from 'node:net';

export function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** One request after the other on one connection. */
export class Requester {
  readonly #socket: Socket;
  #received = '';
  #answered: ((status: number) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('error', (error) => this.#failed?.(error));
    socket.on('close', () => this.#failed?.(new Error('the server closed the connection')));
    socket.on('data', (text: string) => {
      this.#received = this.#received === '' ? text : this.#received + text;
      if (!isComplete(this.#received)) return;
      const status = Number(this.#received.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length));
      this.#received = '';
      this.#answered?.(status);
    });
  }

  /** Resolves with the status. Rejects when the connection breaks first. */
  send(request: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      this.#socket.write(request);
    });
  }
}

function isComplete(response: string): boolean {
  const end = response.indexOf('\r\n\r\n');
  if (end === -1) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(response)?.[1];
  return length !== undefined && response.length === end + 4 + Number(length);
}
