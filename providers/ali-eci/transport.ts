/** Sends one POST over a keep-alive connection, with limits on time, size and connections. */
import * as http from 'node:http';
import * as https from 'node:https';
import { readBounded } from '../kit/bounded-body.ts';
import { plainAgent, secureAgent } from '../kit/proxy.ts';

export interface EciAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

/** The largest possible page of 20 container groups, with ConfigFiles of 60 KB each, plus a margin. */
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
    // Drop idle connections before a load balancer does.
    const kept = { keepAlive: true, maxSockets: 64, timeout: 10_000 };
    const secure = this.#url.protocol === 'https:';
    this.#agent = secure ? secureAgent(kept) : plainAgent(kept);
    this.#request = secure ? https.request : http.request;
  }

  /**
   * Rejects with Node's socket error. `isStale` recognizes the one that says nothing about the service: the other side
   * had closed a keep-alive connection. Never sends twice.
   */
  post(headers: Readonly<Record<string, string>>, body: string, signal: AbortSignal): Promise<EciAnswer> {
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
        // A reset caused by our own `close` must not trigger a resend.
        reject(request.reusedSocket && isReset(error) && !this.#closed ? new StaleConnection(error) : error);
      });
      request.on('response', (response) => {
        readBounded(response, MAX_BYTES).then((body) => {
          const { statusCode: status = 0, headers } = response;
          resolve({ status, headers, text: body.toString('utf8') });
        }, reject);
      });
      request.end(body);
    });
  }

  /** Also aborts requests in flight. */
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
