/** What becomes of a delivery whose signature is valid: its job is recorded, or the answer says why not. */

import { isUtf8 } from 'node:buffer';
import type { Clock } from '../../time/clock.ts';
import { SECOND } from '../../time/units.ts';
import { RatedLog } from '../failures/rated-log.ts';
import type { Delivery, JobFact } from '../jobs/facts.ts';
import {
  actionOf,
  factFromEvent,
  repositoryOf,
  type WorkflowJobEvent,
  workflowJobEventSchema,
} from '../jobs/workflow-job.ts';
import type { Log } from '../log.ts';
import type { DeliveryAnswer, DeliveryOutcome, IntakeMetrics } from './answer.ts';
import { answerOf, foreign, malformed, noJob, notOurs, pong, unknownStatus } from './answers.ts';
import type { WebhookSource } from './endpoints.ts';
import type { Recorded } from './group-commit.ts';

export interface VerifiedDeliveryOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Pick<Log, 'warn' | 'debug'>;
  readonly metrics: Pick<IntakeMetrics, 'mended'>;
  /** Resolves when the delivery is durable, or cannot become so. */
  readonly record: (delivery: Delivery, fact: JobFact) => Promise<Recorded>;
  /** It was answered for good, and is recorded nowhere. Must not throw. */
  readonly onAnswered?: ((endpoint: string, guid: string) => void) | undefined;
}

export interface VerifiedDelivery {
  readonly webhookSource: WebhookSource;
  readonly event: string;
  readonly guid: string;
  /** Read before the first await: the caller may reuse it afterwards. */
  readonly body: Buffer;
}

type Parsed = { readonly event: WorkflowJobEvent } | DeliveryAnswer;

export class VerifiedDeliveries {
  readonly #options: VerifiedDeliveryOptions;
  /** A tenant can sign any number of deliveries; the metrics count them all. */
  readonly #faults: RatedLog;

  constructor(options: VerifiedDeliveryOptions) {
    this.#options = options;
    const { clock, log } = options;
    this.#faults = new RatedLog({ log, clock, lines: 1, spanMs: 10 * SECOND });
  }

  async take(delivery: VerifiedDelivery): Promise<DeliveryAnswer> {
    const answer = await this.#take(delivery);
    if (FINAL.has(answer.outcome)) this.#options.onAnswered?.(delivery.webhookSource.endpoint, delivery.guid);
    return answer;
  }

  async #take(delivery: VerifiedDelivery): Promise<DeliveryAnswer> {
    if (delivery.event === 'ping') return pong;
    if (delivery.event !== 'workflow_job') return notOurs(delivery.event);
    const receivedAtMs = this.#options.clock.now();
    const parsed = this.#parse(delivery);
    if ('status' in parsed) return parsed;
    const { webhookSource, guid } = delivery;
    const { owner, repository } = repositoryOf(parsed.event);
    if (!webhookSource.mayReport(owner, repository)) {
      this.#faults.warn('intake.foreign', { endpoint: webhookSource.endpoint }, { guid, owner, repository });
      return foreign(owner, repository);
    }
    return await this.#record(delivery, parsed.event, receivedAtMs);
  }

  #parse({ webhookSource, guid, body }: VerifiedDelivery): Parsed {
    const { endpoint } = webhookSource;
    const content = parseJson(body);
    if (content === undefined) {
      this.#faults.warn('intake.malformed', { endpoint }, { guid, reason: 'no JSON' });
      return malformed('the body is not valid UTF-8 JSON');
    }
    if (hasNoJob(content.json)) {
      this.#faults.warn('intake.no-job', { endpoint }, { guid });
      return noJob;
    }
    const parsed = workflowJobEventSchema.safeParse(content.json);
    if (parsed.success) return { event: parsed.data };
    const reason = describe(parsed.error.issues[0]);
    this.#faults.warn('intake.malformed', { endpoint }, { guid, reason });
    return malformed(reason);
  }

  async #record({ webhookSource, event, guid }: VerifiedDelivery, content: WorkflowJobEvent, receivedAtMs: number) {
    const { log, metrics, record } = this.#options;
    const { endpoint, host, registration } = webhookSource;
    const mended: string[] = [];
    const onMended = (field: string) => {
      mended.push(field);
      metrics.mended(field);
    };
    const fact = factFromEvent(content, { host, toldBy: registration, observedAtMs: receivedAtMs, onMended });
    if (fact === undefined) {
      this.#faults.warn('intake.unknown-status', { endpoint }, { guid, status: content.workflow_job.status });
      return unknownStatus;
    }
    const result = await record({ endpoint, guid, event, action: actionOf(content, onMended), receivedAtMs }, fact);
    log.debug('intake.delivery', { endpoint, guid, result, mended });
    return answerOf[result];
  }
}

/** The same delivery would get the same answer again. */
const FINAL: ReadonlySet<DeliveryOutcome> = new Set(['malformed', 'no-job', 'foreign', 'unknown-status']);

/** Wrapped, because `null` is JSON too. */
function parseJson(body: Buffer): { readonly json: unknown } | undefined {
  if (!isUtf8(body)) return undefined;
  try {
    return { json: JSON.parse(body.toString('utf8')) };
  } catch {
    // The engine's message quotes the body, which must not appear in answers or logs.
    return undefined;
  }
}

function hasNoJob(json: unknown): boolean {
  return typeof json === 'object' && json !== null && 'workflow_job' in json && json.workflow_job === null;
}

function describe(issue: { readonly path: readonly PropertyKey[]; readonly message: string } | undefined): string {
  if (issue === undefined) return 'not a workflow_job';
  return `${issue.path.map(String).join('.') || 'body'}: ${issue.message}`;
}
