/** The endpoint of a Google API: Google's own host, or another one for tests and private endpoints. */
import { z } from 'zod';
import { isLoopbackName } from '../registry/address-kind.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** True for `http://`, which is only allowed on this machine, because the connection is unprotected. */
  readonly insecure: boolean;
}

/**
 * Undefined for an invalid endpoint. Our token is sent there, and tenants may set the option, so it has to be a Google
 * host (private ones end in p.googleapis.com) or this machine. A path is refused: gRPC does not support path prefixes.
 */
export function parseEndpoint(text: string): Endpoint | undefined {
  const url = URL.parse(text);
  if (url === null || url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '') {
    return undefined;
  }
  const insecure = url.protocol === 'http:';
  if (!insecure && url.protocol !== 'https:') return undefined;
  if (insecure ? !isLoopbackName(url.hostname) : !/(^|\.)googleapis\.com$/.test(url.hostname)) return undefined;
  const port = url.port === '' ? (insecure ? 80 : 443) : Number(url.port);
  return { host: url.hostname, port, insecure };
}

export function isLoopback(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && isLoopbackName(url.hostname);
}

/** An option that overrides an endpoint. */
export const endpointOption = z
  .string()
  .refine(
    (text) => parseEndpoint(text) !== undefined,
    'write https:// and a host of googleapis.com, nothing behind it (http:// only for this machine: 127.0.0.1, localhost)',
  );

export function endpointOf(text: string): Endpoint {
  const endpoint = parseEndpoint(text);
  if (endpoint === undefined) throw new TypeError('an endpoint that its option should have refused');
  return endpoint;
}
