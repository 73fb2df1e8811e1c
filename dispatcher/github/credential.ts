/** A registration's credentials, as requesters that authenticate with them. */
import { createHash, type KeyObject } from 'node:crypto';
import { request } from '@octokit/request';
import type { Clock, Random } from '../../time/clock.ts';
import type { Claim, Credentials, Secret } from '../model/registration.ts';
import { readAppKey } from './app-jwt.ts';
import type { Authorization, Bearer } from './authorization.ts';
import { boundedFetch } from './bounded-fetch.ts';
import type { BudgetPool } from './budget-pool.ts';
import { GithubError } from './github.ts';
import type { GithubTimes } from './github-time.ts';
import { AppAuthorization, InstallationAuthorization, type InstallationSite, ownerOf } from './installation.ts';
import { SharedLoad } from './load-sharing.ts';
import { type Caller, Requester, type Send } from './requester.ts';

export interface CredentialOptions {
  /** The GitHub host behind `apiUrl`. */
  readonly host: string;
  readonly apiUrl: string;
  readonly claim: Claim;
  readonly credentials: Credentials;
  readonly budgets: BudgetPool;
  /** Whose calls they are: see `lineOf`. Absent: no other tenant uses the credentials now. */
  readonly line?: string;
  readonly times: GithubTimes;
  readonly clock: Clock;
  readonly random: Random;
}

/** The requester for an owner's resources: an App has one installation per owner, each with its own limits. */
export type RequesterFor = (owner: string) => Caller;

export function requestersFor(options: CredentialOptions): RequesterFor {
  const { apiUrl, claim, credentials, budgets, clock, line = '', random } = options;
  const time = options.times.at(apiUrl);
  const send = senderAt(apiUrl.replace(/\/+$/, ''));
  const host = hostOf(apiUrl);
  const requester = (authorization: Authorization, name: string, secret?: Secret) => {
    const gate = budgets.gate({ name: `${name} at ${host}`, proof: secret && proofOf(secret) }, apiUrl);
    return new Requester({ send, authorization, gate, line, clock, time, random });
  };

  const { host: home = options.host } = credentials;
  if (home !== options.host) {
    const stray = requester(new StrayAuthorization(home, options.host), `credentials of ${home}`);
    return () => stray;
  }
  if (credentials.kind === 'token') {
    const one = requester(
      new TokenAuthorization(credentials.token),
      `token ${proofOf(credentials.token).slice(0, 8)}`,
      credentials.token,
    );
    return () => one;
  }
  const apps = [credentials, ...(credentials.others ?? [])].map(({ appId, privateKey }) => {
    const name = `app ${appId}`;
    const authorization = new AppAuthorization(appId, onceRead(privateKey), time, random);
    return { name, privateKey, webhookSource: requester(authorization, name, privateKey) };
  });
  const byOwner = new Map<string, Caller>();
  return (owner) => {
    const site = siteOf(claim, owner);
    // Not cached: the number of owners outside the claim is unbounded.
    if (site === undefined) {
      return requester(new ImpossibleAuthorization(claim, owner), `app ${credentials.appId}`, credentials.privateKey);
    }
    const key = ownerOf(site).toLowerCase();
    const known = byOwner.get(key);
    if (known !== undefined) return known;
    const members = apps.map(({ name, privateKey, webhookSource }) =>
      requester(new InstallationAuthorization(site, webhookSource, clock, time), `${name} for ${key}`, privateKey),
    );
    const [only] = members;
    const found = only !== undefined && members.length === 1 ? only : new SharedLoad(members, clock);
    byOwner.set(key, found);
    return found;
  };
}

/**
 * Calls GitHub as the App itself, of several the first: webhooks come from it. Undefined: the credentials are a token, or
 * belong to another host.
 */
export function appCaller(options: CredentialOptions): Caller | undefined {
  const { apiUrl, budgets, clock, credentials, host, line = '', random } = options;
  if (credentials.kind !== 'app' || (credentials.host ?? host) !== host) return undefined;
  const { appId, privateKey } = credentials;
  const time = options.times.at(apiUrl);
  const gate = budgets.gate({ name: appGateName(appId, apiUrl), proof: proofOf(privateKey) }, apiUrl);
  const authorization = new AppAuthorization(appId, onceRead(privateKey), time, random);
  return new Requester({ send: senderAt(apiUrl.replace(/\/+$/, '')), authorization, gate, line, clock, time, random });
}

/** One for each API, as many as the configuration names: it holds no credential. */
const senders = new Map<string, Send>();

function senderAt(baseUrl: string): Send {
  let send = senders.get(baseUrl);
  if (send === undefined) {
    send = request.defaults({
      baseUrl,
      headers: { 'user-agent': 'serverless-hosted-runner' },
      request: { fetch: boundedFetch, log: SILENT },
    });
    senders.set(baseUrl, send);
  }
  return send;
}

/** The same as of the calls for its installations' tokens: GitHub counts them together. */
function appGateName(appId: string, apiUrl: string): string {
  return `app ${appId} at ${hostOf(apiUrl)}`;
}

function hostOf(apiUrl: string): string {
  return URL.canParse(apiUrl) ? new URL(apiUrl).host : apiUrl;
}

/** Undefined: the claim gives an App no access there. */
function siteOf(claim: Claim, owner: string): InstallationSite | undefined {
  switch (claim.kind) {
    case 'enterprise':
      return undefined;
    // The owner of a job may differ in case or be a former name: use the claim's.
    case 'organization':
      return { kind: 'organization', organization: claim.organization };
    case 'user':
      return { kind: 'user', user: claim.user };
    case 'repositories': {
      const repositories = claim.repositories.filter((one) => one.owner.toLowerCase() === owner.toLowerCase());
      if (repositories.length === 0) return undefined;
      return { kind: 'repositories', owner, repositories: repositories.map((one) => one.repository) };
    }
  }
}

/** A personal access token, classic or fine-grained. */
class TokenAuthorization implements Authorization {
  readonly #token: Secret;

  constructor(token: Secret) {
    this.#token = token;
  }

  async bearer(): Promise<Bearer> {
    const token = this.#token.reveal();
    // `fetch` quotes a header that it cannot send in its error message.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      throw new GithubError(
        'unauthorized',
        'personal access token',
        'the token is empty or holds spaces, line feeds or other characters that no token has: write it again',
      );
    }
    return { header: `token ${token}` };
  }

  refused(): undefined {
    return undefined;
  }
}

/** A second check after the configuration's: credentials for another host are not even read. */
class StrayAuthorization implements Authorization {
  readonly #home: string;
  readonly #host: string;

  constructor(home: string, host: string) {
    this.#home = home;
    this.#host = host;
  }

  async bearer(): Promise<Bearer> {
    throw new GithubError(
      'unauthorized',
      'credentials',
      `they belong to ${this.#home} and are not sent to ${this.#host}: give the registration credentials for ${this.#host}`,
    );
  }

  refused(): undefined {
    return undefined;
  }
}

class ImpossibleAuthorization implements Authorization {
  readonly #claim: Claim;
  readonly #owner: string;

  constructor(claim: Claim, owner: string) {
    this.#claim = claim;
    this.#owner = owner;
  }

  async bearer(): Promise<Bearer> {
    throw new GithubError(
      'unauthorized',
      'GitHub App',
      this.#claim.kind === 'enterprise'
        ? "a GitHub App cannot manage an enterprise's runners: give the registration a classic personal access token with manage_runners:enterprise and repo"
        : `${this.#owner} is not an owner that the registration claims: name its repositories there`,
      { owner: this.#owner },
    );
  }

  refused(): undefined {
    return undefined;
  }
}

/** Reading the key takes a millisecond and may fail: do it only when needed, so that the failure is that call's. */
function onceRead(privateKey: Secret): () => KeyObject {
  let key: KeyObject | undefined;
  return () => {
    key ??= sharedKey(privateKey);
    return key;
  };
}

/** By the hash of the text: a key takes 6 KB outside the heap, and thousands of registrations may have the same App. */
const sharedKeys = new Map<string, KeyObject>();

function sharedKey(privateKey: Secret): KeyObject {
  const name = createHash('sha256').update(privateKey.reveal()).digest('base64url');
  const key = sharedKeys.get(name) ?? readAppKey(privateKey);
  sharedKeys.set(name, key);
  return key;
}

/** Tells two credentials apart: anyone may write an App's id. What is displayed of it does not allow guessing the secret. */
function proofOf(secret: Secret): string {
  return createHash('sha256').update(secret.reveal()).digest('hex');
}

const nothing = () => {};
/** Octokit would log deprecations and failed requests to the console. */
const SILENT = { debug: nothing, info: nothing, warn: nothing, error: nothing };
