/** What every client of a Google SDK is made with: endpoint, credentials, and no surprises. */
import { credentials as grpcCredentials, Metadata } from '@grpc/grpc-js';
import { ProviderError } from '../provider.ts';
import { type Credentials, credentialsOf } from './credentials.ts';
import { type Endpoint, endpointOf } from './endpoint.ts';

/** The part of google-auth-library's GoogleAuth in use: `client.auth` of every SDK client, whatever its major. */
export interface GoogleAuth {
  getClient(): Promise<unknown>;
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

interface Client {
  readonly auth: GoogleAuth & { fromJSON(json: Credentials): unknown; cachedCredential: unknown };
}

/** A client that is signed in, and the options of further ones that share its token. */
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
 * Large replies are bounded: gax sets no limit of its own. It would ask for credentials when a client is made, keep a
 * failure of that for the client's life, and throw it where nobody can catch it; so each call asks, and the next one
 * may have more luck.
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
    // A call is repeated by the dispatcher, which looks first; not by the channel.
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
 * google-auth-library 11 warns on standard error of every JSON that is handed to it, as an option or like this: some
 * kinds name URLs to call and programs to run. Ours were checked, see credentials.ts. Nothing else can speak meanwhile:
 * `make` is synchronous.
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
 * The options of one call. gRPC sends no token over a connection without TLS, so it goes as a header there; that is
 * this machine alone (see endpoint.ts). Retries of gax are off: its tables have none for these methods, and
 * `retry: null` would bring back the defaults.
 */
export async function callOptions(
  auth: GoogleAuth,
  endpoint: Endpoint | undefined,
  timeoutMs: number,
): Promise<{ timeout: number; otherArgs?: { headers: Record<string, string> } }> {
  if (endpoint?.insecure !== true) {
    // What is wrong with the credentials is said in their own words, before there is a connection.
    await auth.getClient();
    return { timeout: timeoutMs };
  }
  const authorization = (await auth.getRequestHeaders()).get('authorization');
  if (authorization === null) throw new ProviderError('unauthorized', 'google token', 'the credentials give no token');
  return { timeout: timeoutMs, otherArgs: { headers: { authorization } } };
}
