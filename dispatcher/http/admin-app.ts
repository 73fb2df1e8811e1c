/** What answers the requests of the admin listener: loaded after the start, because express alone is 130 modules. */
import express, { type ErrorRequestHandler, type Request, type RequestHandler } from 'express';
import type { Clock } from '../../time/clock.ts';
import { LedgerError } from '../ledger/ledger.ts';
import type { GroupAccess, OidcConfig, Secret } from '../model/registration.ts';
import { AdminAccess } from './admin-access.ts';
import type { AdminDoor } from './admin-door.ts';
import { AdminProblem } from './admin-problem.ts';
import { mountEndpoints, roleRefusal } from './admin-routes.ts';
import type { AdminSources } from './admin-sources.ts';
import { metricsOf } from './metrics-of.ts';
import { Logins } from './oidc/logins.ts';
import { sendProblem } from './send-problem.ts';
import type { SharedLook } from './shared-look.ts';
import { sightOf } from './sight.ts';
import type { Viewer } from './viewer.ts';

export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  /** Problems that do not affect readiness. No repository names or third-party messages: anyone may read them. */
  readonly problems?: readonly string[];
  /** The same for registrations, in full: for clients that send the token. */
  readonly details?: readonly string[];
  /** What holds launches although nothing is wrong, in full: for clients that send the token. */
  readonly notes?: readonly string[];
}

export interface AdminListenerOptions extends AdminSources {
  readonly clock: Clock;
  /** Undefined or empty: only programs on this machine may connect. */
  readonly token: Secret | undefined;
  /** Is the ledger writable, the configuration loaded, the first listing done? */
  readiness(): Promise<Readiness>;
  readonly metrics: { expose(): Promise<{ readonly contentType: string; readonly text: string }> };
  /** Addresses and networks whose `X-Forwarded-For` and `Forwarded` are trusted. */
  readonly trustedProxies?: readonly string[];
  readonly limits?: Partial<AdminLimits>;
  /** How people log in; undefined: they do not. */
  readonly people?: { readonly config: OidcConfig; access(): readonly GroupAccess[] } | undefined;
}

export interface AdminLimits {
  /** Beyond it the oldest unauthenticated connection gives way. */
  readonly maxConnections: number;
  readonly maxHeaderBytes: number;
  /** To the end of the request; requests here have no body. */
  readonly requestTimeoutMs: number;
  /** To the response. */
  readonly answerTimeoutMs: number;
  readonly keepAliveMs: number;
}

export interface AdminAppParts {
  readonly limits: AdminLimits;
  readonly door: AdminDoor;
  readonly readiness: SharedLook<Readiness>;
}

export function adminApp(options: AdminListenerOptions, { limits, door, readiness }: AdminAppParts) {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.enable('case sensitive routing');

  app.use(door.received, answeredInTime(options, limits.answerTimeoutMs), hardened, withoutBody);
  app.get('/healthz', (_request, response) => {
    response.json({ alive: true });
  });
  const logins = loginsOf(options, door);
  const access = new AdminAccess({ ...options, people: logins }, door);
  if (logins !== undefined) {
    app.get('/login', logins.begin);
    app.get('/login/callback', logins.complete);
    app.post('/logout', logins.end);
  }
  app.get('/readyz', async (request, response) => {
    const viewer = await access.viewerIfAny(request);
    // Of all registrations, in words that name them: tenants ask for their own.
    const holdsToken = viewer !== undefined && viewer.tenants === null;
    const { ready, reasons, problems = [], details = [], notes = [] } = await readiness.ask();
    const untold = `${details.length} ${details.length === 1 ? 'problem' : 'problems'} of registrations: the admin token shows what they are`;
    const told = holdsToken ? details : details.length === 0 ? [] : [untold];
    const all = [...problems, ...told];
    response.status(ready ? 200 : 503).json({
      ...{ ready, reasons },
      ...(all.length === 0 ? {} : { problems: all }),
      ...(holdsToken && notes.length > 0 ? { notes } : {}),
    });
  });
  const viewers = new WeakMap<Request, Viewer>();
  const viewerOf = (request: Request): Viewer => {
    const viewer = viewers.get(request);
    if (viewer === undefined) throw new Error('a request came past the authentication');
    return viewer;
  };
  app.use(async (request, _response, next) => {
    viewers.set(request, await access.viewer(request));
    next();
  }, door.authenticated);
  app.get('/metrics', async (request, response) => {
    const viewer = viewerOf(request);
    const refusal = roleRefusal(viewer, 'viewer');
    if (refusal !== undefined) throw refusal;
    const { contentType, text } = await options.metrics.expose();
    response.set('Content-Type', contentType).send(metricsOf(text, sightOf(viewer, options)));
  });
  mountEndpoints(app, { ...options, sessions: logins }, viewerOf);
  app.use((request) => {
    throw request.method === 'GET' || request.method === 'HEAD'
      ? new AdminProblem(404, 'nothing here', 'See docs/observability.md for what there is.')
      : new AdminProblem(405, `method not allowed: ${request.method}`, 'See docs/observability.md for what there is.');
  });
  app.use(told(options));
  return app;
}

function loginsOf(options: AdminListenerOptions, door: AdminDoor): Logins | undefined {
  if (options.people === undefined) return undefined;
  const { ledger, clock, random, log } = options;
  return new Logins({ ...options.people, ledger, clock, random, log, addressOf: (request) => door.addressOf(request) });
}

const hardened: RequestHandler = (_request, response, next) => {
  response.set({
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
  });
  next();
};

const TAKES_BODY = /^\/api\/registrations\/[^/]+$/;

/** Requests here have no body, but for one endpoint: the smallest possible limit. */
const withoutBody: RequestHandler = (request, response, next) => {
  if (request.method === 'PUT' && TAKES_BODY.test(request.path)) {
    // It is read when it is known who sends it. Until then, and if it is refused, it stays unread.
    response.set('Connection', 'close');
    next();
    return;
  }
  if (request.headers['transfer-encoding'] === undefined && Number(request.headers['content-length'] ?? 0) === 0) {
    next();
    return;
  }
  // An unread body must not block the next request of the connection.
  response.set('Connection', 'close');
  throw new AdminProblem(413, 'requests here have no body', 'Send it without one, with the parameters in the query.');
};

function answeredInTime(options: AdminListenerOptions, withinMs: number): RequestHandler {
  return (request, response, next) => {
    const cancel = options.clock.after(withinMs, () => {
      options.log.error('admin.timeout', { method: request.method, path: request.path, afterMs: withinMs });
      if (response.headersSent) response.destroy();
      else {
        response.set('Connection', 'close');
        const cure = 'the dispatcher is overloaded: see its log';
        sendProblem(response, new AdminProblem(503, 'no answer in time', cure));
      }
    });
    response.on('close', cancel);
    next();
  };
}

/** The last one: turns every failure into a problem with its cure. Express tells an error handler by its four parameters. */
function told(options: AdminListenerOptions): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    if (response.headersSent) {
      // It was already answered as too late, and logged.
      response.destroy();
      return;
    }
    if (!(error instanceof AdminProblem)) options.log.error('admin.failed', { method: request.method, error });
    sendProblem(response, problemOf(error));
  };
}

function problemOf(error: unknown): AdminProblem {
  if (error instanceof AdminProblem) return error;
  if (error instanceof LedgerError) {
    return new AdminProblem(503, `the ledger is ${error.kind}`, error.message);
  }
  // Express and its router reject a malformed path (a broken %-escape) with an error that carries its status.
  if (error instanceof URIError) return new AdminProblem(400, 'the path is malformed', 'Check its %-escapes.');
  return new AdminProblem(500, 'a defect of the dispatcher', 'See the event admin.failed in its log.');
}
