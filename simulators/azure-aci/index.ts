/** A simulator of Azure Container Instances and of its sign-in, on the wire, usable with the vendor's own SDK. */
import { randomUUID } from 'node:crypto';
import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { makeCertificate } from './certificate.ts';
import { Entra, SignInRefusal } from './entra.ts';
import { type FaultInput, Faults, faultSchema, type Operation } from './faults.ts';
import type { Group } from './group.ts';
import { type AzureAciSimulatorOptions, demo } from './options.ts';
import { Refusal } from './refusal.ts';
import { type Answer, World } from './world.ts';

export type { Decoded } from './body.ts';
export { makeClientCertificate } from './certificate.ts';
export type { Fault, FaultInput } from './faults.ts';
export { type AzureAciSimulatorOptions, type Call, demo, demoSubnet } from './options.ts';

const MAX_BODY = 4 * 1024 * 1024;

export interface AzureAciSimulator {
  /** `https://127.0.0.1:PORT`: Resource Manager and Entra ID. */
  readonly url: string;
  /** PEM of the CA that signed its certificate. */
  readonly ca: string;
  /** `http://127.0.0.1:PORT`: a machine's endpoint for managed identities, for AZURE_POD_IDENTITY_AUTHORITY_HOST. */
  readonly metadataUrl: string;
  readonly location: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  /** Every existing container group, as it was parsed. */
  readonly groups: readonly Group[];
  named(name: string): Group | undefined;
  /** Activates a fault; the returned function ends it. */
  fault(fault: FaultInput): () => void;
  clearFaults(): void;
  /** Evicts a container group from its machine; the service restarts it on another. */
  reclaim(name: string): Promise<void>;
  /** Kills its container as the kernel does at the memory limit. */
  runOutOfMemory(name: string): Promise<void>;
  /** Reports an undocumented state; undefined ends that. */
  confuse(name: string, state: string | undefined): void;
  close(): Promise<void>;
}

export async function startAzureAciSimulator(options: AzureAciSimulatorOptions): Promise<AzureAciSimulator> {
  const faults = new Faults(options.location ?? demo.location);
  const world = new World(options, faults);
  const entra = new Entra(
    options.tenantId ?? demo.tenantId,
    options.audience ?? demo.audience,
    options.clients ?? [{ id: demo.clientId, secret: demo.clientSecret }],
    options.managedIdentities ?? [demo.managedIdentity],
  );
  const { certificate, privateKey } = makeCertificate();
  const hanging = new Set<ServerResponse>();
  let origin = '';

  const reclaim = async (name: string): Promise<void> => {
    // Resolves when it has left its machine; the restart shows later.
    void world.named(name)?.evict();
  };
  const runOutOfMemory = async (name: string): Promise<void> => {
    await world.named(name)?.killForMemory();
  };

  const control = async (path: string, method: string, body: unknown): Promise<unknown> => {
    if (path === '/_simulator/faults' && method === 'POST') {
      faults.add(faultSchema.parse(body));
      return {};
    }
    if (path === '/_simulator/faults' && method === 'DELETE') {
      faults.clear();
      return {};
    }
    const { name } = z.object({ name: z.string() }).parse(body);
    if (path === '/_simulator/reclaim' && method === 'POST') await reclaim(name);
    else if (path === '/_simulator/out-of-memory' && method === 'POST') await runOutOfMemory(name);
    else throw new Error('there is no such control');
    return {};
  };

  const signIn = (url: URL, body: string): Answer => {
    const [, tenant = '', ...rest] = url.pathname.split('/');
    try {
      faults.refuse('token');
      if (rest.join('/') === 'v2.0/.well-known/openid-configuration') {
        return { status: 200, body: entra.configuration(origin, tenant) };
      }
      return { status: 200, body: entra.token(origin, tenant, new URLSearchParams(body), Date.now()) };
    } catch (error) {
      if (!(error instanceof SignInRefusal)) throw error;
      return { status: error.status, body: oauthError(error) };
    }
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', origin);
    const method = request.method ?? '';
    const bytes = await read(request);
    if (url.pathname.startsWith('/_simulator/')) {
      const answer = await control(url.pathname, method, parse(bytes)).then(
        (body) => ({ status: 200, body }),
        (error: unknown) => ({ status: 400, body: { message: error instanceof Error ? error.message : 'refused' } }),
      );
      send(response, answer);
      return;
    }
    let operation: Operation | 'unknown' = 'unknown';
    let answer: Answer;
    try {
      if (isSignIn(url)) {
        operation = 'token';
        await delay(faults.latencyMs('token'));
        answer = signIn(url, bytes.toString());
      } else {
        entra.verify(request.headers.authorization ?? '', Date.now());
        const route = world.route(method, url);
        operation = route.operation;
        await delay(faults.latencyMs(operation));
        faults.refuse(operation);
        answer = world.answer({
          operation,
          name: route.name,
          origin,
          url,
          headers: request.headers,
          body: parse(bytes),
        });
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { status, code, message, retryAfterS } = error;
      answer = {
        status,
        body: { error: { code, message } },
        ...(retryAfterS === undefined ? {} : { headers: { 'retry-after': String(retryAfterS) } }),
      };
    }
    options.onCall?.({
      operation,
      method,
      url: request.url ?? '',
      headers: request.headers,
      body: method === 'PUT' ? parse(bytes) : undefined,
      status: answer.status,
      answer: operation === 'token' ? undefined : answer.body,
    });
    const lost = operation === 'unknown' ? undefined : faults.lostAnswer(operation);
    if (lost === 'reset') {
      request.socket.destroy();
      return;
    }
    if (lost === 'hang') {
      hanging.add(response);
      response.once('close', () => hanging.delete(response));
      return;
    }
    send(response, answer);
  };

  const metadata = (request: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(request.url ?? '/', 'http://metadata');
    request.resume();
    // Requiring this header protects against forged requests (SSRF).
    if (
      request.headers['metadata']?.toString().toLowerCase() !== 'true' ||
      !/^\/metadata\/identity\/oauth2\/token\/?$/.test(url.pathname)
    ) {
      send(response, {
        status: 400,
        body: { error: 'invalid_request', error_description: 'Required metadata header not specified' },
      });
      return;
    }
    try {
      send(response, { status: 200, body: entra.managedToken(url.searchParams, Date.now()) });
    } catch (error) {
      if (!(error instanceof SignInRefusal)) throw error;
      send(response, { status: error.status, body: oauthError(error) });
    }
  };

  const host = options.host ?? '127.0.0.1';
  const server = createServer({ cert: certificate, key: privateKey }, (request, response) => {
    serve(request, response).catch((error: unknown) => {
      const message = error instanceof Error ? error.message : 'unknown';
      if (response.headersSent) response.destroy();
      else send(response, { status: 500, body: { error: { code: 'InternalServerError', message } } });
    });
  });
  const metadataServer = createPlainServer(metadata);
  origin = `https://${host}:${await listen(server, options.port ?? 0, host)}`;
  const metadataPort = await listen(metadataServer, 0, '127.0.0.1');

  return {
    url: origin,
    ca: certificate,
    metadataUrl: `http://127.0.0.1:${metadataPort}`,
    location: world.location,
    subscriptionId: world.place.subscriptionId,
    resourceGroup: world.place.resourceGroup,
    get groups() {
      return world.groups;
    },
    named: (name) => world.named(name),
    fault: (fault) => faults.add(fault),
    clearFaults: () => faults.clear(),
    reclaim,
    runOutOfMemory,
    confuse: (name, state) => {
      const group = world.named(name);
      if (group !== undefined) group.confusion = state;
    },
    close: async () => {
      for (const response of hanging) response.destroy();
      for (const one of [server, metadataServer]) {
        const closed = new Promise((resolve) => one.close(resolve));
        one.closeAllConnections();
        await closed;
      }
      await world.close();
    },
  };
}

/** The `options` of a backend of kind `azure-aci` that uses this simulator. */
export function demoOptions(simulator: AzureAciSimulator): Readonly<Record<string, unknown>> {
  return {
    subscriptionId: simulator.subscriptionId,
    resourceGroup: simulator.resourceGroup,
    location: simulator.location,
    credentials: {
      kind: 'secret',
      tenantId: demo.tenantId,
      clientId: demo.clientId,
      clientSecret: demo.clientSecret,
    },
    endpoint: simulator.url,
    authorityHost: simulator.url,
    ca: simulator.ca,
  };
}

function isSignIn(url: URL): boolean {
  return /^\/[^/]+\/(v2\.0\/\.well-known\/openid-configuration|oauth2\/v2\.0\/token)$/.test(url.pathname);
}

function oauthError(error: SignInRefusal): unknown {
  return {
    error: error.error,
    error_description: `${error.message} Trace ID: ${randomUUID()}`,
    error_codes: [Number(/AADSTS(\d+)/.exec(error.message)?.[1] ?? 0)],
    correlation_id: randomUUID(),
  };
}

function parse(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString());
  } catch {
    throw new Refusal(400, 'InvalidRequestContent', 'The request content was invalid and could not be deserialized.');
  }
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > MAX_BODY) throw new Error('the body is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, { status, body, headers = {} }: Answer): void {
  response.writeHead(status, {
    'x-ms-request-id': randomUUID(),
    'x-ms-correlation-request-id': randomUUID(),
    ...(body === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' }),
    ...headers,
  });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve(portOf(server.address()));
    });
  });
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}
