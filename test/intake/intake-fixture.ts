/** A real public listener with an intake behind it, and GitHub's way of calling it. */
import { createHmac } from 'node:crypto';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import {
  createPublicListener,
  type PublicLimits,
  type PublicListener,
  type PublicListenerOptions,
} from '../../dispatcher/http/public.ts';
import type { IntakeMetrics } from '../../dispatcher/intake/answer.ts';
import type { IntakeLimits } from '../../dispatcher/intake/limits.ts';
import type { Loss } from '../../dispatcher/intake/losses.ts';
import { createIntake } from '../../dispatcher/intake/webhook.ts';
import type { WrongSignatures } from '../../dispatcher/intake/wrong-signatures.ts';
import type { Delivery, JobFact } from '../../dispatcher/jobs/facts.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import type { Log } from '../../dispatcher/log.ts';
import {
  type Registration,
  Secret,
  type TenantEntry,
  type WebhookEndpoint,
} from '../../dispatcher/model/registration.ts';
import { systemClock } from '../../time/clock.ts';
import { closedPolicy, registration } from '../registration-fixture.ts';
import { workflowJobExamples } from './examples.ts';

export const secret = 'a secret of the platform';

export function plainEndpoint(changes: Partial<WebhookEndpoint> = {}): WebhookEndpoint {
  return { host: 'github.com', appId: undefined, secrets: [new Secret(secret)], owners: ['*'], ...changes };
}

export function tenant(name: string, changes: Partial<Registration> = {}): Registration {
  return registration({
    name,
    claim: { kind: 'organization', organization: name },
    webhookSecrets: [new Secret(`a secret of ${name}`)],
    labels: ['serverless-hosted-runner'],
    policy: closedPolicy,
    ...changes,
  });
}

type Batch = Parameters<Ledger['recordDeliveries']>[0];

/** A ledger that remembers, and that can be told to fail, or to wait. */
export class Recorder implements Pick<Ledger, 'recordDeliveries'> {
  readonly batches: Batch[] = [];
  readonly recorded: { readonly delivery: Delivery; readonly fact: JobFact | null }[] = [];
  /** Asked before each batch: throws what the ledger would. */
  obstacle: (batch: Batch) => void = () => {};
  /** Each batch waits for it. */
  gate: Promise<void> = Promise.resolve();
  readonly #seen = new Set<string>();

  async recordDeliveries(batch: Batch, committed: Parameters<Ledger['recordDeliveries']>[1] = () => {}) {
    this.batches.push([...batch]);
    await this.gate;
    this.obstacle(batch);
    const results = batch.map(({ delivery, fact }) => {
      const key = `${delivery.endpoint} ${delivery.guid}`;
      if (this.#seen.has(key)) return 'duplicate' as const;
      this.#seen.add(key);
      this.recorded.push({ delivery, fact });
      return 'recorded' as const;
    });
    committed(results);
    return results;
  }
}

export class LogLines implements Log {
  readonly lines: { readonly level: string; readonly event: string; readonly fields: unknown }[] = [];
  debug(event: string, fields?: unknown) {
    this.lines.push({ level: 'debug', event, fields });
  }
  info(event: string, fields?: unknown) {
    this.lines.push({ level: 'info', event, fields });
  }
  warn(event: string, fields?: unknown) {
    this.lines.push({ level: 'warn', event, fields });
  }
  error(event: string, fields?: unknown) {
    this.lines.push({ level: 'error', event, fields });
  }
}

export class Counts implements IntakeMetrics {
  readonly outcomes = new Map<string, number>();
  readonly mendings = new Map<string, number>();
  readonly commits: { readonly size: number; readonly ok: boolean }[] = [];
  delivery(outcome: string) {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }
  mended(field: string) {
    this.mendings.set(field, (this.mendings.get(field) ?? 0) + 1);
  }
  commit(size: number, _ms: number, ok: boolean) {
    this.commits.push({ size, ok });
  }
}

export interface FixtureOptions {
  readonly ledger?: Pick<Ledger, 'recordDeliveries'>;
  readonly endpoints?: () => readonly WebhookEndpoint[];
  readonly registrations?: () => readonly Registration[];
  readonly tenants?: () => readonly TenantEntry[];
  readonly setAside?: (registration: string) => boolean;
  readonly signatures?: WrongSignatures;
  readonly limits?: Partial<IntakeLimits>;
  readonly publicLimits?: Partial<PublicLimits>;
  readonly trustedProxies?: readonly string[];
  readonly addressProof?: PublicListenerOptions['addressProof'];
}

export interface Fixture {
  readonly port: number;
  readonly recorder: Recorder;
  readonly log: LogLines;
  readonly counts: Counts;
  readonly listener: PublicListener;
  readonly agent: Agent;
  readonly losses: Loss[];
  /** Endpoint and GUID of what was answered for good, and is recorded nowhere. */
  readonly answered: string[];
  /** Connections without a request that gave way. */
  yielded(): number;
  wakes(): number;
  send(delivery: DeliveryToSend): Promise<Reply>;
  close(): Promise<void>;
}

export interface DeliveryToSend {
  readonly body?: string | Buffer;
  readonly path?: string;
  readonly method?: string;
  readonly secret?: string;
  /** Added to GitHub's own; undefined takes one away. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

export interface Reply {
  readonly status: number;
  readonly outcome: string;
  readonly message: string;
  readonly text: string;
  readonly headers: IncomingHttpHeaders;
}

let deliveries = 0;

/** Unlike any other of this process. */
export function nextGuid(): string {
  deliveries += 1;
  return `72d3162e-cc78-11e3-81ab-${deliveries.toString(16).padStart(12, '0')}`;
}

export function sign(body: string | Buffer, key = secret): string {
  return `sha256=${createHmac('sha256', key).update(body).digest('hex')}`;
}

export function exampleBody(index = 5): string {
  return JSON.stringify(workflowJobExamples()[index]);
}

export async function openFixture(options: FixtureOptions = {}): Promise<Fixture> {
  const recorder = new Recorder();
  const log = new LogLines();
  const counts = new Counts();
  const plain = [plainEndpoint()];
  const nobody: Registration[] = [];
  let wakes = 0;
  let yielded = 0;
  const losses: Loss[] = [];
  const answered: string[] = [];
  const intake = createIntake({
    ledger: options.ledger ?? recorder,
    clock: systemClock,
    log,
    metrics: counts,
    endpoints: options.endpoints ?? (() => plain),
    registrations: options.registrations ?? (() => nobody),
    onRecorded: () => {
      wakes += 1;
    },
    onLost: (loss) => losses.push(loss),
    onAnswered: (endpoint, guid) => answered.push(`${endpoint} ${guid}`),
    ...(options.tenants === undefined ? {} : { tenants: options.tenants }),
    ...(options.setAside === undefined ? {} : { setAside: options.setAside }),
    ...(options.signatures === undefined ? {} : { signatures: options.signatures }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const listener = createPublicListener({
    intake,
    clock: systemClock,
    metrics: counts,
    onYield: () => {
      yielded += 1;
    },
    ...(options.trustedProxies === undefined ? {} : { trustedProxies: options.trustedProxies }),
    ...(options.publicLimits === undefined ? {} : { limits: options.publicLimits }),
    ...(options.addressProof === undefined ? {} : { addressProof: options.addressProof }),
  });
  const port = await listener.listen('127.0.0.1', 0);
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  return {
    port,
    recorder,
    log,
    counts,
    listener,
    agent,
    losses,
    answered,
    yielded: () => yielded,
    wakes: () => wakes,
    send: (delivery) => send(port, agent, delivery),
    async close() {
      agent.destroy();
      await listener.close(1_000);
    },
  };
}

/** As GitHub sends it, signed with `secret`, unless told otherwise. */
export function send(port: number, agent: Agent, delivery: DeliveryToSend): Promise<Reply> {
  const body = delivery.body ?? exampleBody();
  const headers: Record<string, string> = {};
  const given: Record<string, string | undefined> = {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    'user-agent': 'GitHub-Hookshot/044aadd',
    'x-github-delivery': nextGuid(),
    'x-github-event': 'workflow_job',
    'x-hub-signature-256': sign(body, delivery.secret),
    ...delivery.headers,
  };
  for (const [name, value] of Object.entries(given)) if (value !== undefined) headers[name] = value;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port,
        agent,
        method: delivery.method ?? 'POST',
        path: delivery.path ?? '/webhooks/github',
        headers,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode ?? 0, text, headers: response.headers, ...wordsOf(text) });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function wordsOf(text: string): { readonly outcome: string; readonly message: string } {
  const words: unknown = text.startsWith('{') ? JSON.parse(text) : undefined;
  if (typeof words !== 'object' || words === null || !('outcome' in words) || !('message' in words)) {
    return { outcome: '', message: text };
  }
  return { outcome: String(words.outcome), message: String(words.message) };
}
