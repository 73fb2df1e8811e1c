/** Shared setup of all Google SDK clients: endpoint, credentials and safe defaults. */
import { credentials as grpcCredentials, Metadata } from '@grpc/grpc-js';
import { ProviderError } from '../provider.ts';
import { type Credentials, credentialsOf } from './credentials.ts';
import { type Endpoint, endpointOf } from './endpoint.ts';

/** The subset of google-auth-library's GoogleAuth in use: `client.auth` of every SDK client, in any major version. */
export interface GoogleAuth {
  getClient(): Promise<unknown>;
  getRequestHeaders(url?: string): Promise<Headers>;
  request(request: {
    url: string;
    method: 'GET' | 'POST' | 'DELETE';
    data?: object;
    signal?: AbortSignal;
    retry?: boolean;
    timeout?: number;
  }): Promise<{ data: unknown }>;
}

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';

export interface Connection {
  /** Google's own host if the option is not set. */
  readonly endpoint?: string | undefined;
  readonly credentials: string;
}

interface Client {
  readonly auth: GoogleAuth & { fromJSON(json: Credentials): unknown; cachedCredential: unknown };
}

/** An authenticated client, and the options for further ones that share its token. */
export function connect<C extends Client>(
  Client: new (options: ReturnType<typeof channelOptions>) => C,
  connection: Connection,
): { readonly client: C; readonly shared: ReturnType<typeof channelOptions> & { readonly auth: C['auth'] } } {
  const options = channelOptions(connection, () => client.auth);
  const client: C = new Client(options);
  const credentials = credentialsOf(connection.credentials);
  if (credentials !== undefined) {
    client.auth.cachedCredential = withoutWarning(() => client.auth.fromJSON(credentials));
  }
  return { client, shared: { ...options, auth: client.auth } };
}

/**
 * Limits the size of replies, which gax does not. gax would load credentials when a client is created, cache a failure
 * for the client's lifetime, and throw it where it cannot be caught; so each call loads them, and the next one may
 * succeed.
 */
function channelOptions(connection: Connection, auth: () => GoogleAuth) {
  const endpoint = connection.endpoint === undefined ? undefined : endpointOf(connection.endpoint);
  const token = grpcCredentials.createFromMetadataGenerator(({ service_url }, callback) => {
    auth()
      .getRequestHeaders(service_url)
      .then((headers) => callback(null, metadataOf(headers)), callback);
  });
  return {
    ...(endpoint === undefined ? {} : { apiEndpoint: endpoint.host, port: endpoint.port }),
    sslCreds:
      endpoint?.insecure === true
        ? grpcCredentials.createInsecure()
        : grpcCredentials.combineChannelCredentials(grpcCredentials.createSsl(), token),
    scopes: [SCOPE],
    fallback: false,
    'grpc.max_receive_message_length': 64 * 1024 * 1024,
    // Calls are repeated by the dispatcher, which looks first; not by the channel.
    'grpc.enable_retries': 0,
    'grpc.keepalive_time_ms': 60_000,
  };
}

function metadataOf(headers: Headers): Metadata {
  const metadata = new Metadata();
  headers.forEach((value, key) => {
    metadata.set(key, value);
  });
  return metadata;
}

/**
 * google-auth-library 11 warns on standard error about every JSON passed to it, as an option or like this: some kinds
 * contain URLs to call and programs to run. Ours have been checked, see credentials.ts. No other warning can be lost
 * meanwhile: `make` is synchronous.
 */
function withoutWarning<T>(make: () => T): T {
  const { warn } = console;
  console.warn = (...words: unknown[]) => {
    if (!String(words[0]).includes('/externally-sourced-credentials')) warn(...words);
  };
  try {
    return make();
  } finally {
    console.warn = warn;
  }
}

/**
 * The options of one call. gRPC sends no token over a connection without TLS, so there it goes as a header, which is
 * only allowed on this machine (see endpoint.ts). Retries of gax are off: its tables have none for these methods, and
 * `retry: null` would bring back the defaults.
 */
export async function callOptions(
  auth: GoogleAuth,
  endpoint: Endpoint | undefined,
  timeoutMs: number,
): Promise<{ timeout: number; otherArgs?: { headers: Record<string, string> } }> {
  if (endpoint?.insecure !== true) {
    // Credential problems are reported in their own words, before there is a connection.
    await auth.getClient();
    return { timeout: timeoutMs };
  }
  const authorization = (await auth.getRequestHeaders()).get('authorization');
  if (authorization === null) throw new ProviderError('unauthorized', 'google token', 'the credentials give no token');
  return { timeout: timeoutMs, otherArgs: { headers: { authorization } } };
}
