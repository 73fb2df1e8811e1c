/** Logging in and out, and which person a request comes from. */
import type { Request, RequestHandler, Response } from 'express';
import { type Clock, type Random, ulid } from '../../../time/clock.ts';
import { RatedLog } from '../../failures/rated-log.ts';
import type { AuditRow, Ledger } from '../../ledger/ledger.ts';
import type { Log } from '../../log.ts';
import type { GroupAccess, OidcConfig } from '../../model/registration.ts';
import { AdminProblem } from '../admin-problem.ts';
import { SlowAnswers } from '../slow-answers.ts';
import { isWithin, type Rights, type Viewer } from '../viewer.ts';
import { type Cookie, clearing, cookieOf, cookieValue, setting } from './cookies.ts';
import { Issuer, LoginFailure, type LoginFailureCode } from './issuer.ts';
import { PENDING_MS, type PendingLogin, PendingLogins } from './pending-login.ts';
import { returnUrl } from './return-path.ts';
import { rightsOf, widestRole } from './rights.ts';
import { isSameSecret, type Person, type Session, Sessions } from './sessions.ts';

export interface LoginsOptions {
  readonly config: OidcConfig;
  /** As of now: what is taken away there is taken away from sessions too. */
  access(): readonly GroupAccess[];
  readonly ledger: Pick<Ledger, 'beginAudit'>;
  readonly clock: Pick<Clock, 'now' | 'after'>;
  readonly random: Random;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** Of the sender, for what is limited for each. */
  addressOf(request: Request): string;
}

/** Ahead of the name of a person: no token can be called so. */
export const PERSON = 'person:';

const LINES = 3;
const SPAN_MS = 60_000;
const READS: readonly string[] = ['GET', 'HEAD'];
/** The header that a page sends along with a write. */
const CSRF_HEADER = 'x-csrf-token';

export class Logins {
  readonly #options: LoginsOptions;
  readonly #issuer: Issuer;
  readonly #pending: PendingLogins;
  readonly #sessions: Sessions;
  readonly #slow: SlowAnswers;
  readonly #failures: RatedLog;
  readonly #sessionCookie: Cookie;
  readonly #loginCookie: Cookie;

  constructor(options: LoginsOptions) {
    const { config, clock, random, log } = options;
    this.#options = options;
    this.#issuer = new Issuer(config, clock);
    this.#pending = new PendingLogins(clock, random);
    this.#sessions = new Sessions(clock, random);
    this.#slow = new SlowAnswers(clock);
    this.#failures = new RatedLog({ clock, log, lines: LINES, spanMs: SPAN_MS });
    this.#sessionCookie = cookieOf(config.url, 'shr-session');
    this.#loginCookie = cookieOf(config.url, 'shr-login');
  }

  /** `GET /login?to=PATH` */
  readonly begin: RequestHandler = async (request, response) => {
    const { login, sealed } = this.#pending.begin(returnUrl(this.#options.config.url, request.query['to']));
    const url = await this.#orFail(request, () => this.#issuer.askUrl(login));
    response.append('Set-Cookie', setting(this.#loginCookie, sealed, PENDING_MS / 1000));
    redirect(response, url);
  };

  /** `GET /login/callback`, where the issuer sends the browser back to. */
  readonly complete: RequestHandler = async (request, response) => {
    const answer = new URL(request.url, this.#options.config.url).searchParams;
    // Good for one answer, right or wrong.
    response.append('Set-Cookie', clearing(this.#loginCookie));
    const { login, person, rights, role } = await this.#orFail(request, () => this.#answered(request, answer));
    // A person is let in only with a trace.
    await this.#options.ledger.beginAudit(this.#entry('session.begin', person, rights));
    const before = cookieValue(this.#sessionCookie, request.headers.cookie);
    if (before !== undefined) this.#sessions.end(before);
    const { secret, session } = this.#sessions.begin(person);
    const { subject, name } = person;
    this.#options.log.info('admin.login', { person: name, subject, role, session: session.id });
    const seconds = Math.max(1, Math.floor((session.endsAtMs - this.#options.clock.now()) / 1000));
    response.append('Set-Cookie', setting(this.#sessionCookie, secret, seconds));
    redirect(response, login.returnTo);
  };

  /** `POST /logout` */
  readonly end: RequestHandler = async (request, response) => {
    const found = this.#session(request);
    if (found === undefined) {
      throw new AdminProblem(401, 'no session', 'Only a session can be logged out; a token is revoked.');
    }
    this.#refuseForeign(request, found.session);
    const { person, id } = found.session;
    await this.#options.ledger.beginAudit(this.#entry('session.end', person, found.rights));
    this.#sessions.end(cookieValue(this.#sessionCookie, request.headers.cookie) ?? '');
    this.#options.log.info('admin.logout', { person: person.name, subject: person.subject, session: id });
    response.append('Set-Cookie', clearing(this.#sessionCookie));
    response.json({ loggedOut: true, issuerLogout: (await this.#issuer.endUrl()) ?? null });
  };

  /**
   * Undefined where the request shows no session. Throws an AdminProblem where the session has ended, and where a page
   * of another origin may have sent the request.
   */
  viewer(request: Request): Viewer | undefined {
    const found = this.#session(request);
    if (found === undefined) return undefined;
    const { session, rights } = found;
    const role = widestRole(rights);
    if (role === undefined) throw this.#ended(request);
    if (!READS.includes(request.method)) this.#refuseForeign(request, session);
    return {
      ...{ id: `${PERSON}${session.person.subject}`, name: `${PERSON}${session.person.name}`, role },
      ...{ tenants: rights.viewer, rights, expiresAtMs: session.endsAtMs, csrfToken: session.csrfToken },
      sessionId: session.id,
    };
  }

  /** Whether what was made with the session still holds: it is in force, and its person an administrator of these. */
  stillAdmin(sessionId: string, tenants: readonly string[] | null): boolean {
    const session = this.#sessions.withId(sessionId);
    return session !== undefined && isWithin(tenants, this.#rightsOf(session.person).admin);
  }

  /** Those in force, with what they may do now. */
  all(): readonly { readonly session: Session; readonly rights: Rights }[] {
    return this.#sessions.all().map((session) => ({ session, rights: this.#rightsOf(session.person) }));
  }

  /** Of a person, wherever they are logged in. Returns how many. */
  endAllOf(subject: string): number {
    return this.#sessions.endAllOf(subject);
  }

  #session(request: Request): { readonly session: Session; readonly rights: Rights } | undefined {
    const secret = cookieValue(this.#sessionCookie, request.headers.cookie);
    if (secret === undefined) return undefined;
    const session = this.#sessions.find(secret);
    if (session === undefined) throw this.#ended(request);
    return { session, rights: this.#rightsOf(session.person) };
  }

  #ended(request: Request): AdminProblem {
    request.res?.append('Set-Cookie', clearing(this.#sessionCookie));
    return new AdminProblem(401, 'the session has ended', 'Log in again, at /login.');
  }

  #rightsOf(person: Person): Rights {
    return rightsOf(person.groups, this.#options.access());
  }

  /** A browser sends the cookie with every request, whoever's page makes it. */
  #refuseForeign(request: Request, { csrfToken }: Session): void {
    if (request.get('origin') !== this.#options.config.url) {
      throw new AdminProblem(
        403,
        'the request does not come from a page of the dispatcher',
        `Send it from ${this.#options.config.url}, or with a token in place of a session.`,
      );
    }
    const sent = request.get(CSRF_HEADER);
    if (sent !== undefined && isSameSecret(sent, csrfToken)) return;
    throw new AdminProblem(
      403,
      sent === undefined ? 'the request has no X-CSRF-Token' : 'the X-CSRF-Token is not that of this session',
      'Send along the csrfToken of GET /api/me.',
    );
  }

  async #answered(request: Request, answer: URLSearchParams) {
    const sealed = cookieValue(this.#loginCookie, request.headers.cookie);
    const login: PendingLogin | undefined = this.#pending.take(sealed, answer.get('state') ?? undefined);
    if (login === undefined) {
      throw new LoginFailure('not-begun-here', 'this browser has not begun such a login, or it has come back before');
    }
    const person = await this.#issuer.person(answer, login);
    if (person.expiresAtMs <= this.#options.clock.now()) {
      throw new LoginFailure('not-believed', 'the ID token has expired');
    }
    const rights = this.#rightsOf(person);
    const role = widestRole(rights);
    if (role === undefined) {
      throw new LoginFailure('no-access', `${person.name} (${person.subject}) is in no group that has access`);
    }
    return { login, person, rights, role };
  }

  /** Logs a failure, and answers it later and later. */
  async #orFail<T>(request: Request, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof LoginFailure)) throw error;
      const from = this.#options.addressOf(request);
      this.#failures.warn('admin.login-failed', { code: error.code }, { from, reason: error.message });
      const answerable = this.#slow.wrong(from);
      if (answerable === undefined) {
        request.res?.set({ 'Retry-After': '5', Connection: 'close' });
        throw new AdminProblem(429, 'too many failed logins from this address', 'Find out which program tries.');
      }
      await answerable;
      throw problemOf(error.code);
    }
  }

  #entry(action: string, { subject, name }: Person, { viewer }: Rights): AuditRow {
    const { clock, random, config } = this.#options;
    const atMs = clock.now();
    return {
      ...{ id: ulid(atMs, random), atMs, actorId: `${PERSON}${subject}`, actorName: `${PERSON}${name}` },
      ...{ action, subject: config.issuer, status: 200, outcome: null },
      // Of one who has but one, for that tenant to see.
      tenant: viewer?.length === 1 ? (viewer[0] ?? null) : null,
      share: viewer?.toSorted()[0] ?? '',
    };
  }
}

/** By GET, whatever the request was. */
function redirect(response: Response, url: string): void {
  response.status(303).set('Location', url).end();
}

/** Without what the issuer said: it is in the log, and not for strangers. */
function problemOf(code: LoginFailureCode): AdminProblem {
  const seeLog = 'Try again, at /login. The event admin.login-failed in the log of the dispatcher says why.';
  switch (code) {
    case 'not-begun-here':
      return new AdminProblem(400, 'this browser has not begun this login, or has ended it', 'Begin anew, at /login.');
    case 'denied':
      return new AdminProblem(403, 'the issuer has refused the login', seeLog);
    case 'issuer-failed':
      return new AdminProblem(502, 'the issuer did not answer as it should', seeLog);
    case 'not-believed':
      return new AdminProblem(403, 'the answer of the issuer is not believed', seeLog);
    case 'no-access':
      return new AdminProblem(
        403,
        'you are in no group that has access',
        'Ask an administrator for one: they are under oidc.access in dispatcher.yaml.',
      );
    case 'too-many':
      return new AdminProblem(503, 'too many logins at once', 'Try again in a moment, at /login.');
  }
}
