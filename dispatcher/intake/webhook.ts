/**
 * GitHub's deliveries, independent of the transport: which source signed this, does it cover the repository, and is it
 * durable. Nothing is decided here; the planner does so later, from the ledger.
 *
 * The order of the checks, which is also the order of the answers:
 *
 * | answer | when |
 * |---|---|
 * | 404 | no such endpoint |
 * | 429 | the endpoint is at its bound of deliveries a minute |
 * | 429 | the endpoint has reached its limit of deliveries per minute |
 * | 401 | no `X-Hub-Signature-256`, or it does not match any secret here |
 * | 413 | longer than the limit, announced or met |
 * | 400 | in pieces of a few bytes |
 * | 400 | in chunks of a few bytes |
 * | 503, 408 | the oldest unfinished one when slots or memory run out, or too slow |
 * | 429 | the endpoint is at its bound of deliveries a minute |
 * | 429 | the endpoint has reached its limit of deliveries per minute |
 * | 200 | `ping`, and every event that is not ours: another status would mark the delivery failed in the user's settings |
 * | 400 | the body is not JSON, or lacks the job's identity, status or labels |
 * | 200 | `"workflow_job": null`: there is nothing to record, and a redelivery would bring the same |
 * | 403 | the secret does not cover the repository |
 * | 200 | an unknown status |
 * | 202 / 200 | recorded / already recorded |
 * | 503, 500 | the ledger could not record it |
 *
 * 403, although it marks the delivery failed: the hook, or a tenant's claim, is set up in a way that cannot work, and
 * its owner will look at the failed delivery. A foreign event needs no such check: nothing in it is read.
 *
 * An unknown status records nothing, so that its redelivery after an upgrade is not taken for a duplicate.
 */
import { isUtf8 } from 'node:buffer';
import type { Clock } from '../../time/clock.ts';
import { actionOf, factFromEvent, repositoryOf, workflowJobEventSchema } from '../jobs/workflow-job.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Registration, TenantEntry, WebhookEndpoint } from '../model/registration.ts';
import type { Answer, DeliveryOutcome, IntakeMetrics } from './answer.ts';
import {
  answerOf,
  foreign,
  malformed,
  noJob,
  noSecret,
  noSuchRegistration,
  notOurs,
  overRate,
  pong,
  registrationSetAside,
  signedWithSha1,
  tooLarge,
  unknownStatus,
  unsigned,
  wrongContentType,
} from './answers.ts';
import { KeptBody } from './body.ts';
import { EndpointIndex, type WebhookSource } from './endpoints.ts';
import { GroupCommit } from './group-commit.ts';
import type { Loss, LossCause } from './losses.ts';
import { DeliveryRates } from './rate.ts';
import { DeliveryReception, type Reception } from './reception.ts';
import { claimedDigest, SignatureCheck } from './signature.ts';

export interface IntakeLimits {
  /** For events that are not ours, which are hashed while streaming. GitHub's own limit. */
  readonly maxBodyBytes: number;
  /** For a `workflow_job`, which is buffered until its signature is checked. GitHub's are 8 to 25 KB. */
  readonly maxJobBytes: number;
  /** For all bodies being received, counting what has arrived. Beyond it the oldest of them gives way. */
  readonly maxBufferedBytes: number;
  /** Verified deliveries waiting for a commit, per endpoint; four times as many in total. */
  readonly maxWaiting: number;
  /** Verified deliveries per endpoint, even all at once. */
  readonly maxPerMinute: number;
  /** Deliveries per commit: bounds how long the event loop is blocked. */
  readonly maxGroup: number;
}

export const defaultIntakeLimits: IntakeLimits = {
  maxBodyBytes: 25 * 1024 * 1024,
  maxJobBytes: 1024 * 1024,
  maxBufferedBytes: 64 * 1024 * 1024,
  maxWaiting: 1_024,
  // 20,000 jobs a minute, each queued, started and ended: GitHub's largest customers stay below it.
  maxPerMinute: 60_000,
  maxGroup: 128,
};

export interface IntakeOptions {
  readonly ledger: Pick<Ledger, 'recordDeliveries'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Called for each delivery, so that the configuration can be reloaded: return the same array until then. */
  readonly endpoints: () => readonly WebhookEndpoint[];
  readonly registrations: () => readonly Registration[];
  /** Their grants limit which repositories each secret covers. Absent or undefined: there are no tenants. */
  readonly tenants?: () => readonly TenantEntry[] | undefined;
  /** Those whose configuration has problems: the answers to their deliveries say so. */
  readonly setAside?: (registration: string) => boolean;
  /** Something was recorded: wake the engine. Must not throw. */
  readonly onRecorded: () => void;
  readonly metrics: IntakeMetrics;
  /** Called for each lost delivery that was, or may have been, from GitHub. Must not throw. */
  readonly onLost?: (loss: Loss) => void;
  readonly limits?: Partial<IntakeLimits>;
  /** Default: `setImmediate`, which runs after what the sockets already held was read. */
  readonly defer?: (action: () => void) => void;
}

/** Header names in lower case, as node:http gives them. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The transport of a delivery: a connection. */
export interface Carrier {
  /** The sender's address, for display. */
  readonly from: string;
  /** The delivery had to give way: answer so, and stop reading it. */
  turnAway(answer: Answer): void;
}

export interface Intake {
  /** `registration`: the name in `/webhooks/github/<name>`; undefined for the shared endpoint. */
  receive(registration: string | undefined, headers: Headers, carrier: Carrier): Reception | Answer;
}

/** The digit is for `projects_v2_item`. */
const eventName = /^[a-z0-9_]{1,64}$/;
/** A UUID on GitHub; wider here, because the ledger only needs it to be short and plain. */
const deliveryGuid = /^[0-9A-Za-z-]{1,72}$/;

export function createIntake(options: IntakeOptions): Intake {
  const { clock, log, metrics } = options;
  const limits: IntakeLimits = { ...defaultIntakeLimits, ...options.limits };
  const commits = new GroupCommit({
    ledger: options.ledger,
    clock,
    log,
    metrics,
    onRecorded: options.onRecorded,
    defer: options.defer ?? setImmediate,
    maxGroup: limits.maxGroup,
    maxWaiting: limits.maxWaiting,
  });
  const index = indexOnce(options);
  const strangers = new ThrottledLog(clock, log);
  const rates = new DeliveryRates(clock, limits.maxPerMinute);
  /** Those with buffered, incomplete bodies, oldest first. */
  const unfinished = new Set<DeliveryReception>();
  let buffered = 0;

  function makeRoom(bytes: number): boolean {
    for (const oldest of unfinished) {
      if (buffered + bytes <= limits.maxBufferedBytes) return true;
      oldest.giveWay();
    }
    return buffered + bytes <= limits.maxBufferedBytes;
  }

  /** The requester may be the oldest itself: then it was rejected, and its memory is free. */
  function allowanceOf(asks: () => boolean) {
    return {
      reserve(bytes: number) {
        if (buffered + bytes > limits.maxBufferedBytes && !(makeRoom(bytes) && asks())) return false;
        buffered += bytes;
        return true;
      },
      release(bytes: number) {
        buffered -= bytes;
      },
    };
  }

  const lost = (cause: LossCause, verified: boolean, speakers: readonly WebhookSource[], from: string) =>
    options.onLost?.({ cause, verified, speakers, from });

  function answered(answer: Answer): Answer {
    metrics.delivery(answer.outcome);
    return answer;
  }

  function receive(registration: string | undefined, headers: Headers, carrier: Carrier): Reception | Answer {
    const tried = registration === undefined ? index().shared(hookOf(headers)) : index().registration(registration);
    if (tried === undefined) {
      const setAside = registration !== undefined && options.setAside?.(registration) === true;
      return answered(setAside ? registrationSetAside : noSuchRegistration);
    }
    const wrongType = refuseContent(headers);
    if (wrongType !== undefined) return answered(wrongType);

    const claimed = claimedDigest(header(headers, 'x-hub-signature-256') ?? '');
    if (claimed === undefined) {
      strangers.tell('unsigned', registration, carrier.from);
      return answered(header(headers, 'x-hub-signature') === undefined ? unsigned : signedWithSha1);
    }
    if (tried.length === 0) {
      strangers.tell('no-secret', registration, carrier.from);
      return answered(noSecret);
    }

    const event = header(headers, 'x-github-event');
    const keep = event === 'workflow_job';
    const maxBytes = keep ? limits.maxJobBytes : limits.maxBodyBytes;
    // The parser has rejected anything but numbers; a body without a length is chunked.
    const announced = Number(header(headers, 'content-length') ?? maxBytes);
    if (announced > maxBytes) return answered(tooLarge(maxBytes));

    const speakers = tried.map((candidate) => candidate.webhookSource);
    // Only verified deliveries count towards the limit; once it is reached, the rest can be refused unread.
    if (speakers.every(({ endpoint }) => rates.exhausted(endpoint))) {
      lost('rate', false, speakers, carrier.from);
      return answered(overRate(rates.retryAfterSeconds(speakers[0]?.endpoint ?? '')));
    }

    const reception: DeliveryReception = new DeliveryReception({
      check: new SignatureCheck(
        claimed,
        tried.map((candidate) => candidate.key),
      ),
      tried,
      body: keep
        ? new KeptBody(
            allowanceOf(() => unfinished.has(reception)),
            announced,
          )
        : undefined,
      maxBytes,
      turnAway: carrier.turnAway,
      complete() {
        unfinished.delete(reception);
      },
      over(outcome, cause) {
        unfinished.delete(reception);
        metrics.delivery(outcome);
        if (cause !== undefined) lost(cause, false, speakers, carrier.from);
      },
      unknownSigner() {
        strangers.tell('bad-signature', registration, carrier.from);
      },
      async signed(webhookSource, body) {
        if (!rates.take(webhookSource.endpoint)) {
          lost('rate', true, [webhookSource], carrier.from);
          return overRate(rates.retryAfterSeconds(webhookSource.endpoint));
        }
        const answer = await judge(webhookSource, event, header(headers, 'x-github-delivery'), body);
        if (answer.outcome === 'overloaded') lost('queue', true, [webhookSource], carrier.from);
        if (answer.outcome === 'ledger-unavailable' || answer.outcome === 'failed') {
          lost('ledger', true, [webhookSource], carrier.from);
        }
        return answer;
      },
      defect(error) {
        log.error('intake.defect', { error });
      },
    });
    if (keep) unfinished.add(reception);
    return reception;
  }

  async function judge(
    webhookSource: WebhookSource,
    event: string | undefined,
    guid: string | undefined,
    body: Buffer,
  ): Promise<Answer> {
    if (event === undefined || !eventName.test(event)) return malformed('X-GitHub-Event is missing or no event name');
    if (guid === undefined || !deliveryGuid.test(guid)) return malformed('X-GitHub-Delivery is missing or no GUID');
    if (event === 'ping') return pong;
    if (event !== 'workflow_job') return notOurs(event);

    const receivedAtMs = clock.now();
    const content = parseJson(body);
    if (content === undefined) {
      log.warn('intake.malformed', { endpoint: webhookSource.endpoint, guid, reason: 'no JSON' });
      return malformed('the body is not valid UTF-8 JSON');
    }
    if (hasNoJob(content.json)) {
      log.warn('intake.no-job', { endpoint: webhookSource.endpoint, guid });
      return noJob;
    }
    const parsed = workflowJobEventSchema.safeParse(content.json);
    if (!parsed.success) {
      const reason = describe(parsed.error.issues[0]);
      log.warn('intake.malformed', { endpoint: webhookSource.endpoint, guid, reason });
      return malformed(reason);
    }
    const { owner, repository } = repositoryOf(parsed.data);
    if (!webhookSource.mayReport(owner, repository)) {
      log.warn('intake.foreign', { endpoint: webhookSource.endpoint, guid, owner, repository });
      return foreign(owner, repository);
    }
    const mended: string[] = [];
    const onMended = (field: string) => {
      mended.push(field);
      metrics.mended(field);
    };
    const fact = factFromEvent(parsed.data, {
      host: webhookSource.host,
      toldBy: webhookSource.registration,
      observedAtMs: receivedAtMs,
      onMended,
    });
    if (fact === undefined) {
      log.warn('intake.unknown-status', {
        endpoint: webhookSource.endpoint,
        guid,
        status: parsed.data.workflow_job.status,
      });
      return unknownStatus;
    }
    const delivery = {
      endpoint: webhookSource.endpoint,
      guid,
      event,
      action: actionOf(parsed.data, onMended),
      receivedAtMs,
    };
    const result = await commits.record(delivery, fact);
    log.debug('intake.delivery', { endpoint: webhookSource.endpoint, guid, result, mended });
    return answerOf[result];
  }

  return { receive };
}

/** Anyone can send unsigned requests: log one line of each kind per ten seconds; the metrics count them all. */
class ThrottledLog {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #quietUntilMs = new Map<DeliveryOutcome, number>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  tell(outcome: 'unsigned' | 'no-secret' | 'bad-signature', registration: string | undefined, from: string): void {
    const nowMs = this.#clock.now();
    if (nowMs < (this.#quietUntilMs.get(outcome) ?? 0)) return;
    this.#quietUntilMs.set(outcome, nowMs + 10_000);
    this.#log.warn('intake.refused', { outcome, registration: registration ?? null, from });
  }
}

/** Rebuilt when the configuration returns different arrays. */
function indexOnce(options: Pick<IntakeOptions, 'endpoints' | 'registrations' | 'tenants'>): () => EndpointIndex {
  let endpoints = options.endpoints();
  let registrations = options.registrations();
  let tenants = options.tenants?.();
  let index = new EndpointIndex(endpoints, registrations, tenants);
  return () => {
    const changed = options.endpoints() !== endpoints || options.registrations() !== registrations;
    if (changed || options.tenants?.() !== tenants) {
      endpoints = options.endpoints();
      registrations = options.registrations();
      tenants = options.tenants?.();
      index = new EndpointIndex(endpoints, registrations, tenants);
    }
    return index;
  };
}

function header(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

function hookOf(headers: Headers) {
  return {
    targetType: header(headers, 'x-github-hook-installation-target-type'),
    targetId: header(headers, 'x-github-hook-installation-target-id'),
    enterpriseHost: header(headers, 'x-github-enterprise-host'),
  };
}

function refuseContent(headers: Headers): Answer | undefined {
  const encoding = header(headers, 'content-encoding')?.toLowerCase() ?? 'identity';
  if (encoding !== 'identity') return wrongContentType('compressed bodies are not taken');
  const type = header(headers, 'content-type')?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === 'application/json') return undefined;
  return wrongContentType(
    type === 'application/x-www-form-urlencoded'
      ? "the webhook sends forms: set its content type to application/json in GitHub's settings"
      : 'the content type must be application/json',
  );
}

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
