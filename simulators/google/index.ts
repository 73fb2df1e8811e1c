/**
 * The basis of the simulators of Google's services: a gRPC server with long-running operations, self-signed tokens and
 * a token endpoint, Cloud Logging, faults. Contains no service itself: see simulators/gcp-cloud-run,
 * simulators/gcp-batch.
 */
import type { AddressInfo } from 'node:net';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { Faults } from './faults.ts';
import { type Exchange, GrpcServer, type Method } from './grpc.ts';
import { createHttpServer } from './http.ts';
import { Identity } from './identity.ts';
import { Logs } from './logging.ts';
import { Operations } from './operations.ts';

export interface GoogleOptions {
  /** An SDK's `build/protos/protos.json`, parsed. */
  readonly protos: ConstructorParameters<typeof GrpcServer>[0];
  /** By full name, such as `google.cloud.run.v2.Jobs`. google.longrunning.Operations is built in. */
  services(google: Foundation): Readonly<Record<string, Readonly<Record<string, Method>>>>;
  readonly host?: string;
  /** 0, the default, picks a free port. */
  readonly grpcPort?: number;
  readonly httpPort?: number;
  readonly nowMs?: () => number;
  readonly random?: () => number;
  /** Further REST calls, by a caller with a token; undefined for unknown paths. */
  rest?(method: string, path: string, body: unknown, query: URLSearchParams): object | undefined;
  /** For `GET /_simulator/state`. */
  state?(): object;
  /** `POST /_simulator/<name>`; undefined for unknown names. */
  control?(name: string, body: unknown): object | undefined;
}

export interface Foundation {
  readonly identity: Identity;
  readonly operations: Operations;
  readonly logs: Logs;
  readonly faults: Faults;
}

export interface Google extends Foundation {
  /** `http://127.0.0.1:PORT`, for gRPC without TLS. */
  readonly endpoint: string;
  /** Tokens (`/v1/token`), Cloud Logging (`/v2/entries:list`) and control (`/_simulator/…`). */
  readonly httpUrl: string;
  /** The last 20,000 gRPC calls, as on the wire. */
  readonly exchanges: readonly Exchange[];
  readonly requests: readonly { readonly method: string; readonly path: string; readonly body: string }[];
  close(): Promise<void>;
}

const KEPT_EXCHANGES = 20_000;

export async function startGoogle(options: GoogleOptions): Promise<Google> {
  const nowMs = options.nowMs ?? (() => systemClock.now());
  const host = options.host ?? '127.0.0.1';
  const foundation: Foundation = {
    identity: new Identity(nowMs),
    operations: new Operations(),
    logs: new Logs(),
    faults: new Faults(options.random ?? systemRandom),
  };
  const exchanges: Exchange[] = [];
  const requests: Google['requests'][number][] = [];
  const keep = <T>(kept: T[], one: T): void => {
    kept.push(one);
    if (kept.length > KEPT_EXCHANGES) kept.shift();
  };
  const grpc = new GrpcServer(options.protos, foundation.identity, foundation.faults, (exchange) =>
    keep(exchanges, exchange),
  );
  for (const [name, methods] of Object.entries(options.services(foundation))) grpc.add(name, methods);
  grpc.add('google.longrunning.Operations', foundation.operations.methods);
  const http = createHttpServer({
    ...foundation,
    rest: (method, path, body, query) => options.rest?.(method, path, body, query),
    state: () => options.state?.() ?? {},
    control: (name, body) => options.control?.(name, body),
    onRequest: (request) => keep(requests, request),
  });
  const grpcPort = await grpc.listen(host, options.grpcPort ?? 0);
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject);
    http.listen(options.httpPort ?? 0, host, resolve);
  });
  const address: AddressInfo | string | null = http.address();
  const httpPort = address === null || typeof address === 'string' ? 0 : address.port;
  return {
    ...foundation,
    endpoint: `http://${host}:${grpcPort}`,
    httpUrl: `http://${host}:${httpPort}`,
    exchanges,
    requests,
    close: () => {
      grpc.close();
      http.closeAllConnections();
      return new Promise((resolve) => http.close(() => resolve()));
    },
  };
}
