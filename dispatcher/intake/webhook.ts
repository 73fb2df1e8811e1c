/**
 * GitHub's deliveries, whatever carries them: who said this, is it about something that they may speak of, and is it
 * durable. Nothing is decided here; that is the planner's, later, from the ledger.
 *
 * The order of the checks, which is also the order of the answers:
 *
 * | answer | when |
 * |---|---|
 * | 404 | no such endpoint |
 * | 503 | too many at once |
 * | 415 | not `application/json`, or compressed |
 * | 401 | no `X-Hub-Signature-256`, or nobody here could have signed it |
 * | 413 | longer than the limit, announced or met |
 * | 503 | no memory for this body now |
 * | 401 | the signature is wrong |
 * | 400 | `X-GitHub-Event` or `X-GitHub-Delivery` is missing or malformed |
 * | 200 | `ping`, and every event that is not ours: another status would mark the delivery failed in the user's settings |
 * | 400 | the body is not JSON, or its job cannot be told: identity, status, labels |
 * | 200 | `"workflow_job": null`: there is nothing to record, and a redelivery would bring the same |
 * | 403 | the repository is not one that the secret speaks for |
 * | 200 | a status that we do not know |
 * | 202 / 200 | recorded / recorded before |
 * | 503, 500 | the ledger does not take it |
 *
 * 403, although it marks the delivery failed: somebody set up a hook, or a tenant's claim, that cannot work, and the
 * failed delivery with its reason is where they will look. A foreign event needs no such check: nothing is read of it.
 *
 * An unknown status writes nothing, so that its redelivery after an upgrade is not taken for a double.
 */
import { isUtf8 } from 'node:buffer';
import type { Clock } from '../clock.ts';
import type { Registration, TenantEntry, WebhookEndpoint } from '../config/model.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../lifecycle/engine.ts';
import { type Answer, type DeliveryOutcome, type IntakeMetrics, retryAfterSeconds } from './answer.ts';
import { type Allowance, KeptBody } from './body.ts';
import { type Candidate, EndpointIndex, type Speaker } from './endpoints.ts';
import { GroupCommit, type Recorded } from './group-commit.ts';
import { claimedDigest, SignatureCheck } from './signature.ts';
import { actionOf, factFromEvent, repositoryOf, workflowJobEventSchema } from './workflow-job.ts';

export interface IntakeLimits {
  /** Of events that are not ours, which are hashed as they stream by. GitHub's own limit. */
  readonly maxBodyBytes: number;
  /** Of a `workflow_job`, which is kept until its signature is checked. GitHub's are 8 to 25 KB. */
  readonly maxJobBytes: number;
  /** Of all bodies that are kept at one time. */
  readonly maxBufferedBytes: number;
  /** Deliveries between their headers and their answer. */
  readonly maxInFlight: number;
  /** Deliveries that wait for a commit. */
  readonly maxWaiting: number;
  /** Deliveries in one commit: a bound on how long the event loop stands still. */
  readonly maxGroup: number;
}

export const defaultIntakeLimits: IntakeLimits = {
  maxBodyBytes: 25 * 1024 * 1024,
  maxJobBytes: 1024 * 1024,
  maxBufferedBytes: 64 * 1024 * 1024,
  maxInFlight: 1_024,
  maxWaiting: 1_024,
  maxGroup: 128,
};

export interface IntakeOptions {
  readonly ledger: Pick<Ledger, 'recordDeliveries'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Asked for each delivery, so that the configuration can be swapped while running: answer the same array until then. */
  readonly endpoints: () => readonly WebhookEndpoint[];
  readonly registrations: () => readonly Registration[];
  /** What they were granted bounds whom each secret may speak for. Absent or undefined: there are none. */
  readonly tenants?: () => readonly TenantEntry[] | undefined;
  /** Those whose configuration has problems: their deliveries are told so. */
  readonly setAside?: (registration: string) => boolean;
  /** Something was recorded: wake the engine. Must not throw. */
  readonly onRecorded: () => void;
  readonly metrics: IntakeMetrics;
  readonly limits?: Partial<IntakeLimits>;
  /** Default: `setImmediate`, which runs when what the sockets held by now was read. */
  readonly defer?: (action: () => void) => void;
}

/** Header names in lower case, as node:http gives them. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** One delivery whose headers were accepted. Ends with exactly one answer, or with `abandon`. */
export interface Reception {
  /** An answer here is final: the rest of the body is of no interest. */
  take(chunk: Buffer): Answer | undefined;
  /** The body is complete. Resolves when what is to be written is durable. Never rejects. */
  finish(): Promise<Answer>;
  /** The sender went away. */
  abandon(): void;
}

export interface Intake {
  /** `registration`: the name in `/webhooks/github/<name>`; undefined for the shared endpoint. */
  receive(registration: string | undefined, headers: Headers): Reception | Answer;
}

/** With a digit in `projects_v2_item`. */
const eventName = /^[a-z0-9_]{1,64}$/;
/** A UUID on GitHub; wider here, because the ledger needs only that it is short and plain. */
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
  const strangers = new Quietly(clock, log);
  let inFlight = 0;
  let buffered = 0;
  const allowance: Allowance = {
    reserve(bytes) {
      if (buffered + bytes > limits.maxBufferedBytes) return false;
      buffered += bytes;
      return true;
    },
    release(bytes) {
      buffered -= bytes;
    },
  };

  function answered(answer: Answer): Answer {
    metrics.delivery(answer.outcome);
    return answer;
  }

  function receive(registration: string | undefined, headers: Headers): Reception | Answer {
    const tried = registration === undefined ? index().shared(hookOf(headers)) : index().registration(registration);
    if (tried === undefined) {
      const setAside = registration !== undefined && options.setAside?.(registration) === true;
      return answered(setAside ? registrationSetAside : noSuchRegistration);
    }
    if (inFlight >= limits.maxInFlight) return answered(overloaded('too many deliveries at once'));
    const wrongType = refuseContent(headers);
    if (wrongType !== undefined) return answered(wrongType);

    const claimed = claimedDigest(header(headers, 'x-hub-signature-256') ?? '');
    if (claimed === undefined) {
      strangers.tell('unsigned', registration);
      return answered(header(headers, 'x-hub-signature') === undefined ? unsigned : signedWithSha1);
    }
    if (tried.length === 0) {
      strangers.tell('no-secret', registration);
      return answered(noSecret);
    }

    const event = header(headers, 'x-github-event');
    const keep = event === 'workflow_job';
    const maxBytes = keep ? limits.maxJobBytes : limits.maxBodyBytes;
    // The parser refused what is no number; a body without a length comes in chunks.
    const announced = Number(header(headers, 'content-length') ?? maxBytes);
    if (announced > maxBytes) return answered(tooLarge(maxBytes));

    inFlight += 1;
    return new DeliveryReception({
      check: new SignatureCheck(
        claimed,
        tried.map((candidate) => candidate.key),
      ),
      tried,
      body: keep ? new KeptBody(allowance, announced) : undefined,
      maxBytes,
      over(outcome) {
        inFlight -= 1;
        metrics.delivery(outcome);
      },
      unknownSigner() {
        strangers.tell('bad-signature', registration);
      },
      signed(speaker, body) {
        return judge(speaker, event, header(headers, 'x-github-delivery'), body);
      },
      defect(error) {
        log.error('intake.defect', { error });
      },
    });
  }

  async function judge(
    speaker: Speaker,
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
      log.warn('intake.malformed', { endpoint: speaker.endpoint, guid, reason: 'no JSON' });
      return malformed('the body is no JSON in UTF-8');
    }
    if (hasNoJob(content.json)) {
      log.warn('intake.no-job', { endpoint: speaker.endpoint, guid });
      return noJob;
    }
    const parsed = workflowJobEventSchema.safeParse(content.json);
    if (!parsed.success) {
      const reason = describe(parsed.error.issues[0]);
      log.warn('intake.malformed', { endpoint: speaker.endpoint, guid, reason });
      return malformed(reason);
    }
    const { owner, repository } = repositoryOf(parsed.data);
    if (!speaker.speaksFor(owner, repository)) {
      log.warn('intake.foreign', { endpoint: speaker.endpoint, guid, owner, repository });
      return foreign(owner, repository);
    }
    const mended: string[] = [];
    const onMended = (field: string) => {
      mended.push(field);
      metrics.mended(field);
    };
    const fact = factFromEvent(parsed.data, {
      host: speaker.host,
      toldBy: speaker.registration,
      observedAtMs: receivedAtMs,
      onMended,
    });
    if (fact === undefined) {
      log.warn('intake.unknown-status', {
        endpoint: speaker.endpoint,
        guid,
        status: parsed.data.workflow_job.status,
      });
      return unknownStatus;
    }
    const delivery = {
      endpoint: speaker.endpoint,
      guid,
      event,
      action: actionOf(parsed.data, onMended),
      receivedAtMs,
    };
    const result = await commits.record(delivery, fact);
    log.debug('intake.delivery', { endpoint: speaker.endpoint, guid, result, mended });
    return answerOf[result];
  }

  return { receive };
}

interface ReceptionOptions {
  readonly check: SignatureCheck;
  readonly tried: readonly Candidate[];
  /** Undefined: hashed only. */
  readonly body: KeptBody | undefined;
  readonly maxBytes: number;
  /** Called once, with what became of it. */
  over(outcome: DeliveryOutcome): void;
  unknownSigner(): void;
  signed(speaker: Speaker, body: Buffer): Promise<Answer>;
  defect(error: unknown): void;
}

class DeliveryReception implements Reception {
  readonly #options: ReceptionOptions;
  #receivedBytes = 0;
  #open = true;

  constructor(options: ReceptionOptions) {
    this.#options = options;
  }

  take(chunk: Buffer): Answer | undefined {
    if (!this.#open) return undefined;
    const { check, body, maxBytes } = this.#options;
    this.#receivedBytes += chunk.length;
    if (this.#receivedBytes > maxBytes) return this.#close(tooLarge(maxBytes));
    check.take(chunk);
    if (body !== undefined && !body.append(chunk)) return this.#close(overloaded('no memory for this delivery now'));
    return undefined;
  }

  async finish(): Promise<Answer> {
    const { check, tried, body, unknownSigner, signed, defect } = this.#options;
    try {
      const signer = tried[check.signer()];
      if (signer !== undefined) return this.#close(await signed(signer.speaker, body?.content() ?? nothing));
      unknownSigner();
      return this.#close(wrongSignature);
    } catch (error) {
      // Strangers decide what comes in here: a defect costs this delivery, not the dispatcher.
      defect(error);
      return this.#close(answerOf.failed);
    }
  }

  abandon(): void {
    if (this.#open) this.#end('aborted');
  }

  #close(answer: Answer): Answer {
    this.#end(answer.outcome);
    return answer;
  }

  #end(outcome: DeliveryOutcome): void {
    this.#open = false;
    this.#options.body?.free();
    this.#options.over(outcome);
  }
}

const nothing = Buffer.alloc(0);

/** Anybody can send what nobody signed: one log line for each kind in ten seconds, the metrics count them all. */
class Quietly {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #quietUntilMs = new Map<DeliveryOutcome, number>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  tell(outcome: 'unsigned' | 'no-secret' | 'bad-signature', registration: string | undefined): void {
    const nowMs = this.#clock.now();
    if (nowMs < (this.#quietUntilMs.get(outcome) ?? 0)) return;
    this.#quietUntilMs.set(outcome, nowMs + 10_000);
    this.#log.warn('intake.refused', { outcome, registration: registration ?? null });
  }
}

/** Made again when the configuration answers other arrays. */
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
    // The engine's message quotes the body, which stays out of answers and logs.
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

// ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────

const pong: Answer = { status: 200, outcome: 'ping', message: 'pong: the signature is right' };

const unsigned: Answer = {
  status: 401,
  outcome: 'unsigned',
  message: 'X-Hub-Signature-256 is missing or malformed: give the webhook a secret',
};

const signedWithSha1: Answer = {
  status: 401,
  outcome: 'unsigned',
  message: 'only X-Hub-Signature (SHA-1) was sent, which is not taken: X-Hub-Signature-256 is needed',
};

const noSecret: Answer = {
  status: 401,
  outcome: 'no-secret',
  message: 'no webhook of dispatcher.yaml fits: add the App by its id, or an entry without one',
};

const wrongSignature: Answer = {
  status: 401,
  outcome: 'bad-signature',
  message: "the signature does not fit: compare the webhook's secret with the dispatcher's",
};

/** Its secret may be what is wrong: nothing of the delivery can be believed. Polling finds the job after the cure. */
const registrationSetAside: Answer = {
  status: 503,
  outcome: 'set-aside',
  message: 'the configuration of this registration has problems: `shr validate` names them',
};

const noSuchRegistration: Answer = {
  status: 404,
  outcome: 'no-endpoint',
  message: 'no registration of this name has a webhook secret',
};

const noJob: Answer = { status: 200, outcome: 'no-job', message: 'ignored: the delivery carries no job' };

const unknownStatus: Answer = {
  status: 200,
  outcome: 'unknown-status',
  message: 'ignored: a job status that this version does not know',
};

function notOurs(event: string): Answer {
  return { status: 200, outcome: 'not-ours', message: `ignored: ${event} is not ours, only workflow_job is` };
}

function wrongContentType(message: string): Answer {
  return { status: 415, outcome: 'content-type', message };
}

function tooLarge(maxBytes: number): Answer {
  return { status: 413, outcome: 'too-large', message: `the body is longer than ${maxBytes} bytes` };
}

function malformed(message: string): Answer {
  return { status: 400, outcome: 'malformed', message };
}

function foreign(owner: string, repository: string): Answer {
  return {
    status: 403,
    outcome: 'foreign',
    message: `this webhook's secret does not speak for ${owner}/${repository}: nothing was recorded`,
  };
}

function overloaded(message: string): Answer {
  return { status: 503, outcome: 'overloaded', message, retryAfterSeconds };
}

const answerOf: Readonly<Record<Recorded, Answer>> = {
  recorded: { status: 202, outcome: 'recorded', message: 'recorded' },
  duplicate: { status: 200, outcome: 'duplicate', message: 'this delivery was recorded before' },
  overloaded: overloaded('too many deliveries wait for the ledger'),
  'ledger-unavailable': {
    status: 503,
    outcome: 'ledger-unavailable',
    message: 'the ledger takes nothing now: see the log of the dispatcher',
    retryAfterSeconds,
  },
  failed: { status: 500, outcome: 'failed', message: 'could not be recorded: see the log of the dispatcher' },
};
