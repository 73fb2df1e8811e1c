/**
 * The calls for one image, by the OCI distribution specification
 * (https://github.com/opencontainers/distribution-spec/blob/main/spec.md) and the token flow that registries share
 * (https://distribution.github.io/distribution/spec/auth/token/).
 *
 * The author of a registration chooses the reference, and so the server that we call. Only https is allowed (http if
 * the reference names this machine), no metadata service, and only GETs of a manifest, of its configuration and of the
 * token realm. A login is only sent to the registry that it belongs to and to the realm that this registry names.
 */
import { z } from 'zod';
import { isLoopbackName, kindOfAddress } from './address-kind.ts';
import { get, type RegistryAnswer } from './bounded-get.ts';
import type { Caller } from './image-findings.ts';
import { DOCKER_HUB, type ImageReference, loginFor } from './image-reference.ts';
import type { Login, Puller } from './puller.ts';

const MAX_REDIRECTS = 3;

const tokenAnswer = z.object({ token: z.string().optional(), access_token: z.string().optional() });
const errorAnswer = z.object({ errors: z.array(z.object({ code: z.string().regex(/^[A-Z_]{1,40}$/) })).min(1) });

export const MANIFESTS = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

export class Visit {
  readonly #reference: ImageReference;
  readonly #puller: Puller;
  readonly #signal: AbortSignal;
  readonly #base: URL;
  readonly #loopback: boolean;
  readonly #login: Login | undefined;
  #caller: Caller = 'anonymous';
  #authorization: string | undefined;
  /** The registry answered from an internal network: then others that it names may be internal too. */
  #inside = false;
  #identified = false;

  constructor(reference: ImageReference, puller: Puller, signal: AbortSignal) {
    const { registry } = reference;
    const host = registry === DOCKER_HUB ? 'registry-1.docker.io' : registry;
    this.#reference = reference;
    this.#puller = puller;
    this.#signal = signal;
    const secure = new URL(`https://${host}`);
    this.#loopback = isLoopbackName(secure.hostname);
    this.#base = this.#loopback ? new URL(`http://${host}`) : secure;
    this.#login = loginFor(registry, puller.logins);
  }

  /** As whom the registry was asked. */
  get caller(): Caller {
    return this.#caller;
  }

  /** With the backend's own account, where that has a token for this registry. Before anything is read. */
  async #identify(): Promise<void> {
    if (this.#identified || this.#login !== undefined) return;
    this.#identified = true;
    const token = await this.#puller.tokenAt?.(this.#reference.registry);
    if (token === undefined) return;
    this.#caller = 'account';
    this.#authorization = `Bearer ${token}`;
  }

  /** Reads from the repository; repeats once with the authentication that the registry asks for. Rejects with Error. */
  async read(path: string, accept: string): Promise<RegistryAnswer> {
    await this.#identify();
    const url = new URL(`/v2/${this.#reference.repository}/${path}`, this.#base);
    const first = await this.#follow(url, accept);
    if (first.status !== 401 || this.#authorization !== undefined) return first;
    this.#authorization = await this.#authorize(first.headers['www-authenticate'] ?? '');
    return this.#authorization === undefined ? first : this.#follow(url, accept);
  }

  async #follow(start: URL, accept: string): Promise<RegistryAnswer> {
    let url = start;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
      // Our credentials are for this registry only, not for another port of its host.
      const known = url.origin === this.#base.origin && this.#authorization !== undefined;
      const answer = await this.#get(url, { accept, ...(known ? { authorization: this.#authorization } : {}) });
      const { location } = answer.headers;
      if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return answer;
      const next = URL.parse(location, url.href);
      if (next === null) throw new Error('it redirects to an invalid URL');
      url = next;
    }
    throw new Error(`it redirects more than ${MAX_REDIRECTS} times`);
  }

  /** The Authorization header to retry with; undefined if none can be obtained. */
  async #authorize(challenges: string): Promise<string | undefined> {
    const login = this.#login;
    const basic =
      login === undefined
        ? undefined
        : `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`;
    if (login !== undefined) this.#caller = 'login';
    const bearer = parametersOf('bearer', challenges);
    if (bearer === undefined) return parametersOf('basic', challenges) === undefined ? undefined : basic;
    const realm = URL.parse(bearer.get('realm') ?? '');
    if (realm === null) throw new Error('it requires a token but does not name a token server');
    const service = bearer.get('service');
    if (service !== undefined) realm.searchParams.set('service', service);
    realm.searchParams.set('scope', `repository:${this.#reference.repository}:pull`);
    const answer = await this.#get(realm, basic === undefined ? {} : { authorization: basic });
    if (answer.status === 401 || answer.status === 403) return undefined;
    // Also on a redirect: the login was for this host only.
    if (answer.status !== 200) throw new Error(`${realm.host} answers ${statusOf(answer)}`);
    const read = tokenAnswer.safeParse(jsonOf(answer.body));
    const token = read.success ? (read.data.token ?? read.data.access_token) : undefined;
    if (token === undefined || !/^[\x21-\x7e]{1,16384}$/.test(token)) throw new Error(`${realm.host} gives no token`);
    return `Bearer ${token}`;
  }

  async #get(url: URL, headers: { readonly accept?: string; readonly authorization?: string | undefined }) {
    const plain = url.protocol === 'http:' && this.#loopback && isLoopbackName(url.hostname);
    if ((url.protocol !== 'https:' && !plain) || url.username !== '' || url.password !== '') {
      throw new Error(`it sends its callers to ${url.protocol}//${url.host}, which is not asked`);
    }
    const { accept, authorization } = headers;
    const sent = {
      ...(accept === undefined ? {} : { accept }),
      ...(authorization === undefined ? {} : { authorization }),
    };
    const answer = await get(url, sent, (address) => this.#allows(url, address), this.#signal);
    const { address } = answer;
    if (url.host === this.#base.host && address !== undefined) this.#inside ||= kindOfAddress(address) !== 'public';
    return answer;
  }

  #allows(url: URL, address: string): boolean {
    switch (kindOfAddress(address)) {
      case 'public':
        return true;
      case 'private':
        // A registry in an internal network is normal; an external one that redirects us into it is not.
        return url.host === this.#base.host || this.#inside;
      case 'loopback':
        return this.#loopback;
      case 'never':
        return false;
    }
  }
}

/** One challenge of `WWW-Authenticate` (RFC 9110, 11.6.1), in lower case; undefined if that scheme is not offered. */
function parametersOf(scheme: 'bearer' | 'basic', challenges: string): ReadonlyMap<string, string> | undefined {
  const start = new RegExp(`(?:^|,)\\s*${scheme}(?=\\s|,|$)`, 'i').exec(challenges.slice(0, 4096));
  if (start === null) return undefined;
  const parameters = new Map<string, string>();
  const each = /\s*,?\s*([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/iy;
  each.lastIndex = start.index + start[0].length;
  for (let found = each.exec(challenges); found !== null; found = each.exec(challenges)) {
    const [, name = '', quoted, plain = ''] = found;
    parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain);
  }
  return parameters;
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Only the code: the rest of a registry's answer may repeat what it was sent. */
export function statusOf({ status, body }: RegistryAnswer): string {
  const said = errorAnswer.safeParse(jsonOf(body));
  return said.success ? `${status} ${said.data.errors[0]?.code ?? ''}` : String(status);
}
