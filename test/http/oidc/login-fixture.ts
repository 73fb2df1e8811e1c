/** Logins before a simulated issuer, on a real socket, and browsers that keep cookies. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type ErrorRequestHandler } from 'express';
import { AdminProblem } from '../../../dispatcher/http/admin-problem.ts';
import { Logins } from '../../../dispatcher/http/oidc/logins.ts';
import type { AuditRow } from '../../../dispatcher/ledger/ledger.ts';
import { type OidcConfig, Secret } from '../../../dispatcher/model/registration.ts';
import { type IssuerOptions, type SimulatedIssuer, startIssuer } from '../../../simulators/oidc/index.ts';
import { type Clock, systemClock, systemRandom } from '../../../time/clock.ts';

const CLIENT_SECRET = 'a client secret: with ünusual characters';

export interface LoginFixture {
  readonly issuer: SimulatedIssuer;
  /** Where the dispatcher says that it is. */
  readonly origin: string;
  /** Added to the time of the dispatcher. */
  readonly time: { aheadMs: number };
  /** What dispatcher.yaml says, as of now. */
  readonly say: { access: OidcConfig['access'] };
  /** Of `admin.login-failed`, and other lines. */
  readonly logged: (readonly [string, Readonly<Record<string, unknown>>])[];
  readonly audit: AuditRow[];
  /** Of a failed login, the last one. */
  reason(): unknown;
  browser(): Browser;
  close(): Promise<void>;
}

export interface Fixed {
  /** Default: over plain http, on the loopback interface. */
  readonly origin?: string;
  readonly access?: OidcConfig['access'];
  readonly issuer?: Partial<IssuerOptions>;
  /** Waits pass so many times as fast. */
  readonly haste?: number;
  /** Default: the one that listens. */
  readonly issuerUrl?: string;
}

export async function openLogins({
  origin,
  access,
  issuer: change,
  issuerUrl,
  haste = 1,
}: Fixed = {}): Promise<LoginFixture> {
  const time = { aheadMs: 0 };
  const clock = { now: () => systemClock.now() + time.aheadMs, after: hastened(haste) };
  const say = { access: access ?? [{ group: 'platform', role: 'admin' as const, tenants: null }] };
  const logged: (readonly [string, Readonly<Record<string, unknown>>])[] = [];
  const audit: AuditRow[] = [];
  const app = express();
  app.set('query parser', 'simple');
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const here = `http://127.0.0.1:${port}`;
  const url = origin ?? here;
  const issuer = await startIssuer(
    {
      clientId: 'shr',
      clientSecret: CLIENT_SECRET,
      redirectUri: `${url}/login/callback`,
      clock: systemClock,
      ...change,
    },
    { sub: 'u-1', email: 'ada@example.com', groups: ['everyone', 'platform'] },
  );
  const logins = new Logins({
    config: {
      issuer: issuerUrl ?? issuer.issuer,
      clientId: 'shr',
      clientSecret: new Secret(CLIENT_SECRET),
      url,
      scopes: ['openid', 'profile', 'email'],
      groupsClaim: 'groups',
      access: say.access,
    },
    access: () => say.access,
    ledger: {
      async beginAudit(row) {
        audit.push(row);
      },
    },
    clock,
    random: systemRandom,
    log: {
      info: (event, fields) => logged.push([event, fields ?? {}]),
      warn: (event, fields) => logged.push([event, fields ?? {}]),
    },
    addressOf: (request) => request.socket.remoteAddress ?? '',
  });
  app.get('/login', logins.begin);
  app.get('/login/callback', logins.complete);
  app.post('/logout', logins.end);
  app.all('/who', (request, response) => {
    const viewer = logins.viewer(request);
    response.json({
      name: viewer?.name ?? null,
      rights: viewer?.rights ?? null,
      csrfToken: viewer?.csrfToken ?? null,
    });
  });
  const told: ErrorRequestHandler = (error: unknown, _request, response, _next) => {
    if (!(error instanceof AdminProblem)) throw error;
    response.status(error.status).json({ error: error.message, cure: error.cure });
  };
  app.use(told);
  return {
    issuer,
    origin: url,
    time,
    say,
    logged,
    audit,
    reason: () => logged.findLast(([event]) => event === 'admin.login-failed')?.[1]['reason'],
    browser: () => new Browser(here, url),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await issuer.close();
    },
  };
}

function hastened(times: number): Clock['after'] {
  return (ms, action) => systemClock.after(ms / times, action);
}

export interface Seen {
  readonly status: number;
  readonly location: string | undefined;
  readonly setCookies: readonly string[];
  readonly body: Readonly<Record<string, unknown>>;
}

/** One person's browser: it keeps the cookies of the dispatcher, as that sets them. */
export class Browser {
  readonly cookies = new Map<string, string>();
  readonly #here: string;
  readonly #origin: string;

  constructor(here: string, origin: string) {
    this.#here = here;
    this.#origin = origin;
  }

  async send(method: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Seen> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(`${this.#here}${path}`, {
      method,
      redirect: 'manual',
      headers: { ...(cookie === '' ? {} : { cookie }), ...headers },
    });
    const setCookies = response.headers.getSetCookie();
    for (const set of setCookies) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
      if (set.includes('Max-Age=0')) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    const text = await response.text();
    const location = response.headers.get('location') ?? undefined;
    return { status: response.status, location, setCookies, body: text === '' ? {} : JSON.parse(text) };
  }

  /** To the issuer, where whoever is at it agrees at once, and as far as the address that it sends the browser back to. */
  async ask(path = '/login'): Promise<string> {
    const begun = await this.send('GET', path);
    if (begun.location === undefined) throw new Error(`no login: ${JSON.stringify(begun.body)}`);
    const agreed = await fetch(begun.location, { redirect: 'manual' });
    const back = agreed.headers.get('location') ?? '';
    if (!back.startsWith(`${this.#origin}/`)) throw new Error(`the issuer sends the browser to ${back}`);
    return back.slice(this.#origin.length);
  }

  async login(path = '/login'): Promise<Seen> {
    return this.send('GET', await this.ask(path));
  }
}
