/** Stands in front of the engine's socket, on the wire, and does what a bad day does: loses answers, changes them, fails. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { ENGINE_SOCKET } from './engine.ts';

export interface SeenCall {
  readonly method: string;
  readonly url: string;
}

export type Fault =
  /** The engine does it; nobody hears of it. `onEffect` is called when it is done. */
  | { readonly kind: 'lose-answer'; readonly onEffect: () => void }
  /** The connection is cut when the engine has done it. */
  | { readonly kind: 'cut' }
  /** Answered here; the engine hears nothing. */
  | { readonly kind: 'answer'; readonly status: number; readonly body: unknown }
  /** The headers and the first bytes arrive, then nothing. */
  | { readonly kind: 'stall'; readonly onEffect: () => void };

export class EngineProxy {
  readonly socketPath: string;
  readonly calls: SeenCall[] = [];
  readonly #server: Server;
  #fault: { readonly matches: (call: SeenCall) => boolean; readonly fault: Fault } | undefined;
  #rewrite: ((call: SeenCall, body: string) => string) | undefined;
  #refusal: { readonly status: number; readonly body: unknown } | undefined;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
    this.#server = createServer((incoming, outgoing) => this.#serve(incoming, outgoing));
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject).listen(this.socketPath, () => resolve());
    });
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  /** For the next call that matches. */
  failNext(method: string, path: RegExp, fault: Fault): void {
    this.#fault = { matches: (call) => call.method === method && path.test(call.url), fault };
  }

  /** Every call is answered here, from now on. */
  refuseAll(status: number, body: unknown): void {
    this.#refusal = { status, body };
  }

  /** For every answer, until it is taken back with undefined. */
  rewriteAnswers(rewrite: ((call: SeenCall, body: string) => string) | undefined): void {
    this.#rewrite = rewrite;
  }

  #serve(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const call = { method: incoming.method ?? '', url: incoming.url ?? '' };
    this.calls.push(call);
    const fault = this.#fault?.matches(call) === true ? this.#fault.fault : undefined;
    if (fault !== undefined) this.#fault = undefined;
    const answer = fault?.kind === 'answer' ? fault : this.#refusal;
    if (answer !== undefined) {
      incoming.resume();
      outgoing.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body));
      return;
    }
    const forward = request(
      { socketPath: ENGINE_SOCKET, method: call.method, path: call.url, headers: incoming.headers },
      (answer) => {
        if (fault !== undefined || this.#rewrite !== undefined) this.#answerChanged(call, fault, answer, outgoing);
        else {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(outgoing);
        }
      },
    );
    forward.on('error', () => outgoing.destroy());
    incoming.pipe(forward);
  }

  #answerChanged(call: SeenCall, fault: Fault | undefined, answer: IncomingMessage, outgoing: ServerResponse): void {
    const chunks: Buffer[] = [];
    answer.on('data', (chunk: Buffer) => chunks.push(chunk));
    answer.on('end', () => {
      const body = Buffer.concat(chunks);
      if (fault?.kind === 'lose-answer') {
        fault.onEffect();
        return;
      }
      if (fault?.kind === 'cut') {
        outgoing.destroy();
        return;
      }
      const changed = this.#rewrite === undefined ? body : Buffer.from(this.#rewrite(call, body.toString()));
      const { 'content-length': _, 'transfer-encoding': __, ...headers } = answer.headers;
      outgoing.writeHead(answer.statusCode ?? 502, { ...headers, 'content-length': changed.length });
      if (fault?.kind === 'stall') {
        outgoing.write(changed.subarray(0, 1));
        fault.onEffect();
        return;
      }
      outgoing.end(changed);
    });
  }
}
