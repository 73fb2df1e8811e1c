/** One POST over a connection that is kept, with bounds on time, size and number. */
import * as http from 'node:http';
import * as https from 'node:https';
import { plainAgent, secureAgent } from '../kit/proxy.ts';

export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

/** The largest that a page of 20 container groups can be, with ConfigFiles of 60 KB each, and room to spare. */
const MAX_BYTES = 8 * 1024 * 1024;

export class Transport {
  readonly host: string;
  readonly #url: URL;
  readonly #agent: http.Agent;
  readonly #request: typeof http.request;
  #closed = false;

  constructor(place: string) {
    this.#url = new URL(place);
    this.host = this.#url.host;
    // Idle connections are dropped before a load balancer drops them.
    const kept = { keepAlive: true, maxSockets: 64, timeout: 10_000 };
    const secure = this.#url.protocol === 'https:';
    this.#agent = secure ? secureAgent(kept) : plainAgent(kept);
    this.#request = secure ? https.request : http.request;
  }

  /**
   * Rejects with Node's error of the socket. `isStale` tells the one that is no news about the service: the other side
   * had closed a kept connection. Never sends twice.
   */
  post(headers: Readonly<Record<string, string>>, body: string, signal: AbortSignal): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const request = this.#request({
        agent: this.#agent,
        hostname: this.#url.hostname.replace(/^\[|\]$/g, ''),
        port: this.#url.port,
        path: '/',
        method: 'POST',
        headers: { ...headers, 'content-length': Buffer.byteLength(body) },
        signal,
      });
      request.on('error', (error) => {
        // A reset of our own making, by `close`, is not to be answered by sending anew.
        reject(request.reusedSocket && isReset(error) && !this.#closed ? new StaleConnection(error) : error);
      });
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > MAX_BYTES) response.destroy(new Error('the answer is too long'));
          else chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString('utf8'),
          });
        });
      });
      request.end(body);
    });
  }

  /** Ends what is on its way, too. */
  close(): void {
    this.#closed = true;
    this.#agent.destroy();
  }
}

export class StaleConnection extends Error {
  readonly code = 'ECONNRESET';

  constructor(cause: Error) {
    super('the kept connection had been closed', { cause });
    this.name = 'StaleConnection';
  }
}

function isReset(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ECONNRESET' || error.code === 'EPIPE';
}
