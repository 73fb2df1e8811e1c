/** A GitHub App's access to one owner: finds the installation, and keeps its token until shortly before it expires. */
import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import { type Clock, type Random, ulid } from '../../time/clock.ts';
import { appJwt } from './app-jwt.ts';
import type { Authorization, Bearer } from './authorization.ts';
import { purposes } from './budget.ts';
import type { GithubDenial } from './denial.ts';
import { aboutOwner, type CallPurpose, GithubError } from './github.ts';
import type { GithubTime } from './github-time.ts';
import type { Requester } from './requester.ts';

/** Where to look for an installation. For repositories, the first one that the App is installed on decides. */
export type InstallationSite =
  | { readonly kind: 'organization'; readonly organization: string }
  | { readonly kind: 'user'; readonly user: string }
  | { readonly kind: 'repositories'; readonly owner: string; readonly repositories: readonly string[] };

export function ownerOf(site: InstallationSite): string {
  switch (site.kind) {
    case 'organization':
      return site.organization;
    case 'user':
      return site.user;
    case 'repositories':
      return site.owner;
  }
}

interface Token extends Bearer {
  readonly issuedAtMs: number;
  /** By GitHub's clock. */
  readonly expiresAtMs: number;
}

/** GitHub's tokens live for an hour. */
const RENEW_BEFORE_END_MS = 300_000;
/** An old token is better than none while GitHub fails, but not one that expires in flight. */
const USABLE_BEFORE_END_MS = 30_000;
/** A fresh token can be refused for a few seconds, until GitHub's replicas know it. */
const REPLICATION_MS = 5_000;
const REPLICATION_PAUSE_MS = 1_000;
/** A refusal is cached for this long, so that waiting calls do not all ask again. */
const REFUSAL_MS = 15_000;
const LOOKED_UP_REPOSITORIES = 5;

const installationAnswer = z.object({ id: z.int().min(1) });
const tokenAnswer = z.object({
  token: z.string().regex(/^[\x21-\x7e]+$/),
  expires_at: z.iso.datetime({ offset: true }),
});

/** Authenticates as the App itself. */
export class AppAuthorization implements Authorization {
  readonly #appId: string;
  readonly #key: () => KeyObject;
  readonly #time: Pick<GithubTime, 'now'>;
  readonly #random: Random;

  constructor(appId: string, key: () => KeyObject, time: Pick<GithubTime, 'now'>, random: Random) {
    this.#appId = appId;
    this.#key = key;
    this.#time = time;
    this.#random = random;
  }

  async bearer(): Promise<Bearer> {
    const nowMs = this.#time.now();
    return { header: `Bearer ${await appJwt(this.#appId, this.#key(), nowMs, ulid(nowMs, this.#random))}` };
  }

  /** If its times were rejected, the refusal revealed GitHub's time: sign again with that. */
  refused(_bearer: Bearer, denial: GithubDenial | undefined): number | undefined {
    return denial === 'clock' ? 0 : undefined;
  }
}

export class InstallationAuthorization implements Authorization {
  readonly #site: InstallationSite;
  /** Calls GitHub as the App. */
  readonly #app: Requester;
  readonly #clock: Clock;
  readonly #time: Pick<GithubTime, 'now'>;
  #installationId: number | undefined;
  #token: Token | undefined;
  /** In flight, with the most urgent purpose: a launch does not wait behind the token of a sweep. */
  #renewal: { readonly purpose: CallPurpose; readonly token: Promise<Token> } | undefined;
  #refusal: { readonly error: GithubError; readonly untilMs: number } | undefined;

  constructor(site: InstallationSite, app: Requester, clock: Clock, time: Pick<GithubTime, 'now'>) {
    this.#site = site;
    this.#app = app;
    this.#clock = clock;
    this.#time = time;
  }

  async bearer(purpose: CallPurpose): Promise<Bearer> {
    const nowMs = this.#clock.now();
    const token = this.#token;
    if (token !== undefined && this.#time.now() < token.expiresAtMs - RENEW_BEFORE_END_MS) return token;
    const refusedForMs = this.#refusal === undefined ? 0 : this.#refusal.untilMs - nowMs;
    // Longer than its lifetime: the clock was set back.
    if (this.#refusal !== undefined && refusedForMs > 0 && refusedForMs <= REFUSAL_MS) throw this.#refusal.error;
    try {
      return await this.#renewed(purpose);
    } catch (error) {
      const usable =
        token !== undefined && token === this.#token && this.#time.now() < token.expiresAtMs - USABLE_BEFORE_END_MS;
      if (usable && error instanceof GithubError && (error.kind === 'transient' || error.kind === 'rate-limited')) {
        return token;
      }
      throw error;
    }
  }

  refused(bearer: Bearer): number | undefined {
    const token = this.#token;
    if (token === undefined || token !== bearer) return 0;
    const ageMs = this.#clock.now() - token.issuedAtMs;
    if (ageMs >= 0 && ageMs < REPLICATION_MS) return REPLICATION_PAUSE_MS;
    this.#token = undefined;
    return 0;
  }

  #renewed(purpose: CallPurpose): Promise<Token> {
    const running = this.#renewal;
    if (running !== undefined && purposes.indexOf(running.purpose) <= purposes.indexOf(purpose)) return running.token;
    const token = this.#renew(purpose).finally(() => {
      if (this.#renewal?.token === token) this.#renewal = undefined;
    });
    this.#renewal = { purpose, token };
    return token;
  }

  async #renew(purpose: CallPurpose): Promise<Token> {
    try {
      const token = await this.#tokenOfInstallation(purpose);
      this.#token = token;
      this.#refusal = undefined;
      return token;
    } catch (caught) {
      if (!(caught instanceof GithubError)) throw caught;
      const error = aboutOwner(caught, ownerOf(this.#site));
      if (error.kind !== 'transient' && error.kind !== 'rate-limited') {
        this.#token = undefined;
        this.#refusal = { error, untilMs: this.#clock.now() + REFUSAL_MS };
      }
      throw error;
    }
  }

  async #tokenOfInstallation(purpose: CallPurpose): Promise<Token> {
    const known = this.#installationId;
    if (known !== undefined) {
      try {
        return await this.#create(known, purpose);
      } catch (error) {
        const stale = error instanceof GithubError && (error.kind === 'not-found' || error.kind === 'unauthorized');
        if (!stale) throw error;
        // After a reinstallation the id is different.
        this.#installationId = undefined;
      }
    }
    const found = await this.#find(purpose);
    const token = await this.#create(found, purpose);
    this.#installationId = found;
    return token;
  }

  async #create(installationId: number, purpose: CallPurpose): Promise<Token> {
    const answer = await this.#app.call({
      method: 'POST',
      route: '/app/installations/{installation_id}/access_tokens',
      parameters: { installation_id: installationId },
      purpose,
      answer: tokenAnswer,
      repeatable: true,
    });
    if (answer.accepted) throw new Error('no status was to be accepted');
    return {
      header: `token ${answer.data.token}`,
      issuedAtMs: answer.sentAtMs,
      expiresAtMs: Date.parse(answer.data.expires_at),
    };
  }

  async #find(purpose: CallPurpose): Promise<number> {
    const site = this.#site;
    switch (site.kind) {
      case 'organization':
        return this.#findAt([['/orgs/{org}/installation', { org: site.organization }]], site.organization, purpose);
      case 'user':
        return this.#findAt([['/users/{username}/installation', { username: site.user }]], site.user, purpose);
      case 'repositories':
        return this.#findAt(
          site.repositories
            .slice(0, LOOKED_UP_REPOSITORIES)
            .map((repo) => ['/repos/{owner}/{repo}/installation', { owner: site.owner, repo }]),
          site.owner,
          purpose,
        );
    }
  }

  async #findAt(
    places: readonly [route: string, parameters: Record<string, string>][],
    owner: string,
    purpose: CallPurpose,
  ): Promise<number> {
    for (const [route, parameters] of places) {
      const answer = await this.#app.call({
        method: 'GET',
        route,
        parameters,
        purpose,
        answer: installationAnswer,
        accept: [404],
      });
      if (!answer.accepted) return answer.data.id;
    }
    throw new GithubError(
      'unauthorized',
      `GET ${places[0]?.[0] ?? 'installation'}`,
      `the GitHub App is not installed for ${owner}, or not on its repositories: install it from the App's page, with access to them`,
    );
  }
}
