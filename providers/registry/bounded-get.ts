/** One GET at an address that a tenant chose: bounded in size, and never at an internal address. */
import { type LookupAddress, lookup } from 'node:dns';
import { lookup as resolve } from 'node:dns/promises';
import { type IncomingHttpHeaders, request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isProxied, secureAgent } from '../kit/proxy.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Where it came from; undefined behind a proxy, which does not tell. */
  readonly address: string | undefined;
}

/** An index has a few KB, the largest that registries take has 4 MB. */
const MAX_BYTES = 4 * 2 ** 20;

/**
 * Follows no redirect. `allows` is asked for each address of the host; one that it does not allow ends the call. Behind
 * a proxy it is asked for those that this machine knows: a name that only the proxy can resolve is the proxy's to judge.
 */
export async function get(
  url: URL,
  headers: Readonly<Record<string, string>>,
  allows: (address: string) => boolean,
  signal: AbortSignal,
): Promise<Answer> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  // An address needs no resolver.
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
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_BYTES) response.destroy(new Error(`the answer is larger than ${MAX_BYTES} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        fulfil({ status: response.statusCode ?? 0, headers: response.headers, body, address });
      });
    });
    request.end();
  });
}

export class ForbiddenAddress extends Error {
  constructor(address: string) {
    super(`refusing to connect to ${address}`);
    this.name = 'ForbiddenAddress';
  }
}

/** Where this machine resolves the name, what it finds counts; otherwise the proxy's resolver does. */
async function refuseKnown(host: string, allows: (address: string) => boolean): Promise<void> {
  const known = await resolve(host, { all: true }).catch(() => []);
  const bad = known.find(({ address }) => !allows(address));
  if (bad !== undefined) throw new ForbiddenAddress(bad.address);
}

/** One address that is not allowed is enough: whoever owns the name could have it answer with another one each time. */
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

/** The part that says what happened: `fetch failed` and its like say nothing. Never what was sent. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  return 'code' in error ? String(error.code) : error.name;
}
