/** What every client of a Google SDK is made with: endpoint, credentials, and no surprises. */
import { credentials as grpcCredentials } from '@grpc/grpc-js';
import { ProviderError } from '../provider.ts';
import { credentialsOf } from './credentials.ts';
import { type Endpoint, endpointOf } from './endpoint.ts';

/** The part of google-auth-library's GoogleAuth in use: `client.auth` of every SDK client, whatever its major. */
export interface GoogleAuth {
  getRequestHeaders(url?: string): Promise<Headers>;
  request(request: {
    url: string;
    method: 'GET' | 'POST';
    data?: object;
    signal?: AbortSignal;
    retry?: boolean;
    timeout?: number;
  }): Promise<{ data: unknown }>;
}

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';

export interface Connection {
  /** Google's own host where the option says nothing. */
  readonly endpoint?: string | undefined;
  readonly credentials: string;
}

/**
 * The options of a client. Give `auth` of the first client to those that follow, so that they share one token.
 * Large replies are bounded: gax sets no limit of its own.
 */
export function clientOptions(connection: Connection) {
  const endpoint = connection.endpoint === undefined ? undefined : endpointOf(connection.endpoint);
  const credentials = credentialsOf(connection.credentials);
  return {
    ...(credentials === undefined ? {} : { credentials }),
    ...(endpoint === undefined ? {} : { apiEndpoint: endpoint.host, port: endpoint.port }),
    ...(endpoint?.insecure === true ? { sslCreds: grpcCredentials.createInsecure() } : {}),
    scopes: [SCOPE],
    fallback: false,
    'grpc.max_receive_message_length': 64 * 1024 * 1024,
    // A call is repeated by the dispatcher, which looks first; not by the channel.
    'grpc.enable_retries': 0,
    'grpc.keepalive_time_ms': 60_000,
  };
}

/**
 * The options of one call. gRPC sends no token over a connection without TLS, so it goes as a header there; that is
 * this machine alone (see endpoint.ts). Retries of gax are off: its tables have none for these methods, and
 * `retry: null` would bring back the defaults.
 */
export async function callOptions(
  auth: GoogleAuth,
  endpoint: Endpoint | undefined,
  timeoutMs: number,
): Promise<{ timeout: number; otherArgs?: { headers: Record<string, string> } }> {
  if (endpoint?.insecure !== true) return { timeout: timeoutMs };
  const authorization = (await auth.getRequestHeaders()).get('authorization');
  if (authorization === null) throw new ProviderError('unauthorized', 'google token', 'the credentials give no token');
  return { timeout: timeoutMs, otherArgs: { headers: { authorization } } };
}
