/**
 * The admin listener: health, metrics and JSON for people and the command line. No job depends on it, hence express.
 * Loopback by default; `/healthz` and `/readyz` are open, everything else requires the token.
 */
import type { RequestListener } from 'node:http';
import { hasToken, isLoopback } from './admin-access.ts';
import type { AdminLimits, AdminListenerOptions } from './admin-app.ts';
import { AdminDoor } from './admin-door.ts';
import { AdminProblem } from './admin-problem.ts';
import { closeWithin, listenOn } from './listen.ts';
import { createPipelineServer } from './pipelines.ts';
import { SharedLook } from './shared-look.ts';

export const defaultAdminLimits: AdminLimits = {
  maxConnections: 128,
  maxHeaderBytes: 16 * 1024,
  requestTimeoutMs: 10_000,
  answerTimeoutMs: 30_000,
  keepAliveMs: 5_000,
};

/** Pipelined requests waiting on one connection, as at the public listener. */
const MAX_PIPELINED = 16;

/** Open to all, and each check writes to the ledger: unauthenticated clients must not control how often. */
const READINESS_KEPT_MS = 1_000;

export interface AdminListener {
  /**
   * Port 0 picks a free one; returns the port. Rejects with the system's error (such as EADDRINUSE), and with
   * AdminProblem if the address is reachable from other machines and there is no token.
   */
  listen(host: string, port: number): Promise<number>;
  /** Loads what answers requests. Without it the first request does, and waits for it. */
  prepare(): void;
  /** Accepts no more connections, and cuts off whatever is not answered after `withinMs`. */
  close(withinMs: number): Promise<void>;
}

export function createAdminListener(options: AdminListenerOptions): AdminListener {
  const limits: AdminLimits = { ...defaultAdminLimits, ...options.limits };
  const door = new AdminDoor(options, limits);
  const readiness = new SharedLook({ clock: options.clock, keptMs: READINESS_KEPT_MS }, () => options.readiness());
  let app: RequestListener | undefined;
  let loading: Promise<RequestListener> | undefined;
  const load = (): Promise<RequestListener> => {
    loading ??= import('./admin-app.ts').then(({ adminApp }) => {
      app = adminApp(options, { limits, door, readiness });
      return app;
    });
    return loading;
  };
  const server = createPipelineServer(
    {
      maxPipelined: MAX_PIPELINED,
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.requestTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      if (app !== undefined) app(request, response);
      else {
        const answered = load().then((loaded) => loaded(request, response));
        answered.catch((error: unknown) => {
          options.log.error('admin.failed', { method: request.method, error });
          response.destroy();
        });
      }
    },
  );
  // The last resort: here the newest are refused. Before that the oldest unauthenticated ones give way.
  server.maxConnections = 2 * limits.maxConnections;
  server.timeout = limits.answerTimeoutMs + limits.requestTimeoutMs;
  server.on('connection', (socket) => door.arrive(socket));
  return {
    prepare() {
      // A failure is told by the first request.
      load().catch(() => {});
    },
    async listen(host, port) {
      if (!isLoopback(host) && !hasToken(options.token)) {
        throw new AdminProblem(
          500,
          `the admin listener would be open to every client that reaches ${host}`,
          'give it a token (adminToken of dispatcher.yaml), or let it listen on 127.0.0.1',
        );
      }
      return listenOn(server, { host, port });
    },
    close(withinMs) {
      door.close();
      readiness.close();
      return closeWithin(server, withinMs, options.clock);
    },
  };
}
