/** A simulator of Alibaba Cloud's Elastic Container Instance on the wire, usable with the vendor's own SDK. */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { type FaultInput, Faults, faultSchema } from './faults.ts';
import type { Group } from './group.ts';
import { type AliEciSimulatorOptions, demoKey, demoSecurityGroup, demoVSwitches } from './options.ts';
import { Refusal } from './refusal.ts';
import { Signatures } from './signature.ts';
import { type Answer, World } from './world.ts';

export type { Fault, FaultInput } from './faults.ts';
export type { AliEciSimulatorOptions, Call } from './options.ts';
export type { Decoded } from './parameters.ts';

const MAX_BODY = 1024 * 1024;
const versions: Readonly<Record<string, string>> = { DescribeVSwitches: '2016-04-28' };

export interface AliEciSimulator {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly region: string;
  /** Every existing container group, as it was parsed. */
  readonly groups: readonly Group[];
  named(name: string): Group | undefined;
  /** Activates a fault; the returned function ends it. */
  fault(fault: FaultInput): () => void;
  clearFaults(): void;
  /** Reclaims a spot instance, after the vendor's warning. */
  reclaim(name: string): Promise<void>;
  /** Kills its container as the kernel does at the memory limit. */
  runOutOfMemory(name: string): Promise<void>;
  /** Reports an undocumented status; undefined ends that. */
  confuse(name: string, status: string | undefined): void;
  close(): Promise<void>;
}

export async function startAliEciSimulator(options: AliEciSimulatorOptions): Promise<AliEciSimulator> {
  const faults = new Faults();
  const world = new World(options, faults);
  const signatures = new Signatures(options.accessKeys ?? [demoKey]);
  const rates = new Rates(options.rates ?? { write: 1000, read: 2000, log: 500 });
  const hanging = new Set<ServerResponse>();

  const reclaim = async (name: string): Promise<void> => {
    await world.named(name)?.kill({
      status: 'Failed',
      reason: 'SpotToBeReleased',
      message: 'Spot ECI will be released in 3 minutes',
    });
  };
  const runOutOfMemory = async (name: string): Promise<void> => {
    await world.named(name)?.killForMemory();
  };

  const control = async (path: string, method: string, body: Buffer): Promise<unknown> => {
    const parsed: unknown = body.length === 0 ? {} : JSON.parse(body.toString());
    if (path === '/_simulator/faults' && method === 'POST') {
      faults.add(faultSchema.parse(parsed));
      return {};
    }
    if (path === '/_simulator/faults' && method === 'DELETE') {
      faults.clear();
      return {};
    }
    const { name } = z.object({ name: z.string() }).parse(parsed);
    if (path === '/_simulator/reclaim' && method === 'POST') await reclaim(name);
    else if (path === '/_simulator/out-of-memory' && method === 'POST') await runOutOfMemory(name);
    else throw new Error('there is no such control');
    return {};
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://simulator');
    const body = await read(request);
    if (url.pathname.startsWith('/_simulator/')) {
      const [status, said] = await control(url.pathname, request.method ?? '', body).then(
        (answer) => [200, answer] as const,
        (error: unknown) => [400, { message: error instanceof Error ? error.message : 'refused' }] as const,
      );
      send(response, status, said);
      return;
    }
    const action = headerOf(request, 'x-acs-action');
    const version = headerOf(request, 'x-acs-version');
    const isForm = headerOf(request, 'content-type').startsWith('application/x-www-form-urlencoded');
    const query = Object.fromEntries(url.searchParams);
    const form = isForm ? Object.fromEntries(new URLSearchParams(body.toString())) : {};
    const requestId = randomUUID().toUpperCase();
    let status = 200;
    let answer: Answer;
    const headers: Record<string, string> = {};
    try {
      signatures.verify(
        { method: request.method ?? '', path: url.pathname, query: url.searchParams, headers: request.headers, body },
        Date.now(),
      );
      if (version !== (versions[action] ?? '2018-08-08')) {
        throw new Refusal(400, 'InvalidVersion', 'Specified parameter Version is not valid.');
      }
      await delay(faults.latencyMs(action));
      rates.take(action, Date.now());
      const refused = faults.refusal(action);
      if (refused !== undefined) {
        if (refused.retryAfterMs !== undefined) headers['x-acs-retry-after'] = String(refused.retryAfterMs);
        throw new Refusal(refused.status, refused.code, refused.message);
      }
      if (faults.noPermission(action)) {
        if (action !== 'DescribeContainerGroups') {
          throw new Refusal(
            403,
            'Forbidden.RAM',
            "User not authorized to operate on the specified resource, or this API doesn't support RAM.",
          );
        }
        answer = { RequestId: requestId, ...world.nothing() };
      } else {
        answer = { RequestId: requestId, ...world.answer(action, { ...query, ...form }) };
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      status = error.status;
      answer = { RequestId: requestId, HostId: 'simulator', Code: error.code, Message: error.message };
    }
    options.onCall?.({
      action,
      version,
      method: request.method ?? '',
      url: request.url ?? '',
      query,
      form,
      status,
      answer,
    });
    const lost = faults.lostAnswer(action);
    if (lost === 'reset') {
      request.socket.destroy();
      return;
    }
    if (lost === 'hang') {
      hanging.add(response);
      response.once('close', () => hanging.delete(response));
      return;
    }
    send(response, status, answer, headers);
  };

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else send(response, 500, { Code: 'InternalError', Message: error instanceof Error ? error.message : 'unknown' });
    });
  });
  await listen(server, options.port ?? 0, options.host ?? '127.0.0.1');
  const { port } = addressOf(server);

  return {
    url: `http://${options.host ?? '127.0.0.1'}:${port}`,
    region: world.region,
    get groups() {
      return world.groups;
    },
    named: (name) => world.named(name),
    fault: (fault) => faults.add(fault),
    clearFaults: () => faults.clear(),
    reclaim,
    runOutOfMemory,
    confuse: (name, status) => world.confuse(name, status),
    close: async () => {
      for (const response of hanging) response.destroy();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      await world.close();
    },
  };
}

/** The `options` of a backend of kind `ali-eci` that uses this simulator. */
export function demoOptions(simulator: AliEciSimulator): Readonly<Record<string, unknown>> {
  return {
    region: simulator.region,
    endpoint: simulator.url,
    vpcEndpoint: simulator.url,
    accessKeyId: demoKey.id,
    accessKeySecret: demoKey.secret,
    vSwitchIds: demoVSwitches.map(({ id }) => id),
    securityGroupId: demoSecurityGroup,
  };
}

/** Calls per minute, by the vendor's classes. */
class Rates {
  readonly #perMinute: { readonly write: number; readonly read: number; readonly log: number };
  readonly #recent = { write: [] as number[], read: [] as number[], log: [] as number[] };

  constructor(perMinute: { readonly write: number; readonly read: number; readonly log: number }) {
    this.#perMinute = perMinute;
  }

  take(action: string, nowMs: number): void {
    const kind = /^(Create|Delete)/.test(action) ? 'write' : action === 'DescribeContainerLog' ? 'log' : 'read';
    const recent = this.#recent[kind];
    while (recent[0] !== undefined && recent[0] <= nowMs - 60_000) recent.shift();
    if (recent.length >= this.#perMinute[kind]) {
      throw new Refusal(
        400,
        'Throttling',
        'You have made too many requests within a short time; your request is denied due to request throttling',
      );
    }
    recent.push(nowMs);
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

function headerOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === 'string' ? value : '';
}

function send(response: ServerResponse, status: number, answer: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json;charset=utf-8', ...headers });
  response.end(JSON.stringify(answer));
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function addressOf(server: Server): AddressInfo {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address;
}
