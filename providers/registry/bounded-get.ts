/** One GET to an address that a tenant chose: limited in size, and never to an internal address. */
import { type LookupAddress, lookup } from 'node:dns';
import { lookup as resolve } from 'node:dns/promises';
import { type IncomingHttpHeaders, request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { readBounded } from '../kit/bounded-body.ts';
import { isProxied, secureAgent } from '../kit/proxy.ts';

/** Of whatever status. */
export interface RegistryAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The server's address; undefined behind a proxy, which does not reveal it. */
  readonly address: string | undefined;
}

/** An index has a few KB, the largest that registries accept has 4 MB. */
const MAX_BYTES = 4 * 2 ** 20;

/**
 * Follows no redirects. `allows` is called for each address of the host; one refusal ends the call. Behind a proxy it
 * is called for the addresses that this machine can resolve: a name that only the proxy resolves is for the proxy to
 * judge.
 */
export async function get(
  url: URL,
  headers: Readonly<Record<string, string>>,
  allows: (address: string) => boolean,
  signal: AbortSignal,
): Promise<RegistryAnswer> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  // A literal address needs no resolver.
  if (isIP(host) !== 0 && !allows(host)) throw new ForbiddenAddress(host);
  const proxied = isProxied(url);
  if (proxied && isIP(host) === 0) await refuseKnown(host, allows);
  return await new Promise((fulfil, reject) => {
    const send = url.protocol === 'https:' ? requestSecure : requestPlain;
    const request = send(url, {
      ...(proxied ? { agent: secureAgent({}) } : { agent: false, lookup: lookupAmong(allows) }),
      headers: { 'user-agent': 'serverless-hosted-runner', ...headers },
      signal,
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const address = proxied ? undefined : (response.socket.remoteAddress ?? '');
      readBounded(response, MAX_BYTES).then((body) => {
        const { statusCode: status = 0, headers } = response;
        fulfil({ status, headers, body: body.toString('utf8'), address });
      }, reject);
    });
    request.end();
  });
}

/** The host has an address that may not be called. Nothing was sent. */
export class ForbiddenAddress extends Error {
  constructor(address: string) {
    super(`refusing to connect to ${address}`);
    this.name = 'ForbiddenAddress';
  }
}

/** If this machine resolves the name, its result counts; otherwise the proxy's resolver does. */
async function refuseKnown(host: string, allows: (address: string) => boolean): Promise<void> {
  const known = await resolve(host, { all: true }).catch(() => []);
  const bad = known.find(({ address }) => !allows(address));
  if (bad !== undefined) throw new ForbiddenAddress(bad.address);
}

/** One forbidden address is enough: the name's owner could return a different address each time. */
function lookupAmong(allows: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error: Error | null, addresses: LookupAddress[]) => {
      const bad = error === null ? addresses.find(({ address }) => !allows(address)) : undefined;
      const [first] = addresses ?? [];
      if (error !== null || bad !== undefined || first === undefined) {
        callback(error ?? new ForbiddenAddress(bad?.address ?? hostname), '');
      } else if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

/** The part that says what happened: messages like `fetch failed` are not specific. Never includes what was sent. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  return 'code' in error ? String(error.code) : error.name;
}
