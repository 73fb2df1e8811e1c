/**
 * GitHub's deliveries, independent of the transport: which source signed this, does it cover the repository, and is it
 * durable. Nothing is decided here; the planner does so later, from the ledger.
 *
 * The order of the checks, which is also the order of the answers:
 *
 * | answer | when |
 * |---|---|
 * | 404, 503 | no such endpoint, or the registration is set aside |
 * | 415 | compressed, or not announced as JSON |
 * | 401 | no `X-Hub-Signature-256`, or no secret to check it with |
 * | 413 | announced as longer than the limit |
 * | 429 | every endpoint that may have sent it has reached its limit of deliveries per minute |
 * | 413, 400 | while it arrives: longer than the limit, or in chunks of a few bytes |
 * | 503, 408 | the oldest unfinished one when slots or memory run out, or too slow |
 * | 401 | the signature does not match any secret here |
 * | 429 | the endpoint has reached its limit of deliveries per minute |
 * | 400 | the headers do not name an event and a delivery |
 * | 200 | `ping`, and every event that is not ours: another status would mark the delivery failed in the user's settings |
 * | 400 | the body is not JSON, or lacks the job's identity, status or labels |
 * | 200 | `"workflow_job": null`: there is nothing to record, and a redelivery would bring the same |
 * | 403 | the secret does not cover the repository |
 * | 200 | an unknown status |
 * | 202 / 200 | recorded / already recorded |
 * | 429, 503, 500 | the ledger could not record it, or has as many open jobs of the endpoint as it takes |
 *
 * 403, although it marks the delivery failed: the hook, or a tenant's claim, is set up in a way that cannot work, and
 * its owner will look at the failed delivery. A foreign event needs no such check: nothing in it is read.
 *
 * An unknown status records nothing, so that its redelivery after an upgrade is not taken for a duplicate.
 */

import type { Clock } from '../../time/clock.ts';
import { SECOND } from '../../time/units.ts';
import { RatedLog } from '../failures/rated-log.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { DeliveryAnswer, IntakeMetrics } from './answer.ts';
import {
  noSecret,
  noSuchRegistration,
  overRate,
  registrationSetAside,
  signedWithSha1,
  tooLarge,
  unsigned,
} from './answers.ts';
import { KeptBody } from './body.ts';
import { BodyMemory } from './body-memory.ts';
import { type Candidate, CurrentEndpoints, type EndpointsOptions, type WebhookSource } from './endpoints.ts';
import { GroupCommit } from './group-commit.ts';
import { type DeliveryHeaders, header, hookOf, identityOf, refuseContent } from './headers.ts';
import { defaultIntakeLimits, type IntakeLimits } from './limits.ts';
import type { Loss } from './losses.ts';
import { DeliveryRates } from './rate.ts';
import { DeliveryReception, type Reception } from './reception.ts';
import { claimedDigest, SignatureCheck } from './signature.ts';
import { VerifiedDeliveries } from './verified-delivery.ts';
import type { WrongSignatures } from './wrong-signatures.ts';

export interface IntakeOptions extends EndpointsOptions {
  readonly ledger: Pick<Ledger, 'recordDeliveries'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Those whose configuration has problems: the answers to their deliveries say so. */
  readonly setAside?: (registration: string) => boolean;
  /** Something was recorded: wake the engine. Must not throw. */
  readonly onRecorded: () => void;
  readonly metrics: IntakeMetrics;
  /** Called for each lost delivery that was, or may have been, from GitHub. Must not throw. */
  readonly onLost?: (loss: Loss) => void;
  /** A delivery was answered for good, and is recorded nowhere. Must not throw. */
  readonly onAnswered?: (endpoint: string, guid: string) => void;
  /** Told of each signature whether it was right. */
  readonly signatures?: Pick<WrongSignatures, 'right' | 'wrong'>;
  readonly limits?: Partial<IntakeLimits>;
  /** Default: `setImmediate`, which runs after what the sockets already held was read. */
  readonly defer?: (action: () => void) => void;
}

/** The transport of a delivery: a connection. */
export interface Carrier {
  /** The sender's address, for display. */
  readonly from: string;
  /** The delivery had to give way: answer so, and stop reading it. */
  turnAway(answer: DeliveryAnswer): void;
}

export interface Intake {
  /** `registration`: the name in `/webhooks/github/<name>`; undefined for the shared endpoint. */
  receive(registration: string | undefined, headers: DeliveryHeaders, carrier: Carrier): Reception | DeliveryAnswer;
}

export function createIntake(options: IntakeOptions): Intake {
  const { clock, ledger, log, metrics, onRecorded } = options;
  const limits: IntakeLimits = { ...defaultIntakeLimits, ...options.limits };
  const commits = new GroupCommit({
    ledger,
    clock,
    log,
    metrics,
    onRecorded,
    defer: options.defer ?? setImmediate,
    maxGroup: limits.maxGroup,
    maxWaiting: limits.maxWaiting,
  });
  return new WebhookIntake({
    log,
    metrics,
    limits,
    endpoints: new CurrentEndpoints(options),
    isSetAside: (registration) => options.setAside?.(registration) === true,
    unauthenticated: new RatedLog({ log, clock, lines: 1, spanMs: 10 * SECOND }),
    rates: new DeliveryRates(clock, limits.maxPerMinute),
    memory: new BodyMemory(limits.maxBufferedBytes),
    verified: new VerifiedDeliveries({
      clock,
      log,
      metrics,
      record: (delivery, fact) => commits.record(delivery, fact),
      onAnswered: options.onAnswered,
    }),
    onLost: (loss) => options.onLost?.(loss),
    signatures: options.signatures,
  });
}

interface WebhookIntakeOptions {
  readonly log: Pick<Log, 'error'>;
  readonly metrics: Pick<IntakeMetrics, 'delivery'>;
  readonly limits: Pick<IntakeLimits, 'maxBodyBytes' | 'maxJobBytes'>;
  readonly endpoints: CurrentEndpoints;
  readonly isSetAside: (registration: string) => boolean;
  /** Anyone can send unsigned requests; the metrics count them all. */
  readonly unauthenticated: RatedLog;
  readonly rates: DeliveryRates;
  readonly memory: BodyMemory;
  readonly verified: VerifiedDeliveries;
  readonly onLost: (loss: Loss) => void;
  readonly signatures: IntakeOptions['signatures'];
}

/** A request whose headers say that a known sender may have signed it. Nothing of it is verified yet. */
interface Arriving {
  /** The name in the URL; undefined for the shared endpoint. */
  readonly registration: string | undefined;
  readonly headers: DeliveryHeaders;
  readonly carrier: Carrier;
  /** The digest that the sender claims. */
  readonly claimed: Buffer;
  /** Whose secrets are tried. Never empty. */
  readonly candidates: readonly Candidate[];
}

class WebhookIntake implements Intake {
  readonly #options: WebhookIntakeOptions;

  constructor(options: WebhookIntakeOptions) {
    this.#options = options;
  }

  receive(registration: string | undefined, headers: DeliveryHeaders, carrier: Carrier): Reception | DeliveryAnswer {
    const received = this.#receive(registration, headers, carrier);
    if ('outcome' in received) this.#options.metrics.delivery(received.outcome);
    return received;
  }

  #receive(registration: string | undefined, headers: DeliveryHeaders, carrier: Carrier): Reception | DeliveryAnswer {
    const candidates = this.#candidatesFor(registration, headers);
    if (candidates === undefined) return this.#noEndpoint(registration);
    const refused = refuseContent(headers);
    if (refused !== undefined) return refused;
    const claimed = claimedDigest(header(headers, 'x-hub-signature-256') ?? '');
    if (claimed === undefined) {
      this.#options.unauthenticated.warn(
        'intake.refused',
        { outcome: 'unsigned' },
        { registration: registration ?? null, from: carrier.from },
      );
      this.#options.signatures?.wrong(
        candidates.map(({ webhookSource }) => webhookSource),
        'missing',
      );
      return header(headers, 'x-hub-signature') === undefined ? unsigned : signedWithSha1;
    }
    if (candidates.length === 0) {
      this.#options.unauthenticated.warn(
        'intake.refused',
        { outcome: 'no-secret' },
        { registration: registration ?? null, from: carrier.from },
      );
      return noSecret;
    }
    return this.#open({ registration, headers, carrier, claimed, candidates });
  }

  #candidatesFor(registration: string | undefined, headers: DeliveryHeaders): readonly Candidate[] | undefined {
    const endpoints = this.#options.endpoints.current();
    return registration === undefined ? endpoints.shared(hookOf(headers)) : endpoints.registration(registration);
  }

  #noEndpoint(registration: string | undefined): DeliveryAnswer {
    const setAside = registration !== undefined && this.#options.isSetAside(registration);
    return setAside ? registrationSetAside : noSuchRegistration;
  }

  #open(arriving: Arriving): Reception | DeliveryAnswer {
    const { limits } = this.#options;
    const { candidates, carrier, headers } = arriving;
    const isJob = header(headers, 'x-github-event') === 'workflow_job';
    const maxBytes = isJob ? limits.maxJobBytes : limits.maxBodyBytes;
    // The parser has rejected anything but numbers; a body without a length is chunked.
    const announcedBytes = Number(header(headers, 'content-length') ?? maxBytes);
    if (announcedBytes > maxBytes) return tooLarge(maxBytes);
    const overRate = this.#refuseAtLimit(
      candidates.map(({ webhookSource }) => webhookSource),
      carrier.from,
    );
    return overRate ?? this.#reception(arriving, { isJob, announcedBytes, maxBytes });
  }

  /** Only verified deliveries count towards the limit; once it is reached, the rest can be refused unread. */
  #refuseAtLimit(sources: readonly WebhookSource[], from: string): DeliveryAnswer | undefined {
    const { onLost, rates } = this.#options;
    if (!sources.every(({ endpoint }) => rates.exhausted(endpoint))) return undefined;
    onLost({ cause: 'rate', verified: false, sources, from });
    return overRate(rates.retryAfterSeconds(sources[0]?.endpoint ?? ''));
  }

  /** A job is kept until its signature is checked; other events are hashed as they arrive. */
  #reception(
    { registration, headers, carrier, claimed, candidates }: Arriving,
    size: { readonly isJob: boolean; readonly announcedBytes: number; readonly maxBytes: number },
  ): Reception {
    const { log, memory, metrics, onLost, signatures, unauthenticated } = this.#options;
    const sources = candidates.map(({ webhookSource }) => webhookSource);
    const allowance = memory.allowanceOf(() => reception);
    const reception: DeliveryReception = new DeliveryReception({
      check: new SignatureCheck(
        claimed,
        candidates.map(({ key }) => key),
      ),
      tried: candidates,
      body: size.isJob ? new KeptBody(allowance, size.announcedBytes) : undefined,
      maxBytes: size.maxBytes,
      turnAway: carrier.turnAway,
      complete: () => memory.delete(reception),
      over: (outcome, cause) => {
        memory.delete(reception);
        metrics.delivery(outcome);
        if (cause !== undefined) onLost({ cause, verified: false, sources, from: carrier.from });
      },
      unknownSigner: () => {
        unauthenticated.warn(
          'intake.refused',
          { outcome: 'bad-signature' },
          { registration: registration ?? null, from: carrier.from },
        );
        signatures?.wrong(sources, 'mismatch');
      },
      signed: (webhookSource, body) => this.#verified({ webhookSource, headers, body, from: carrier.from }),
      defect: (error) => log.error('intake.defect', { error }),
    });
    if (size.isJob) memory.add(reception);
    return reception;
  }

  async #verified(signed: {
    readonly webhookSource: WebhookSource;
    readonly headers: DeliveryHeaders;
    readonly body: Buffer;
    readonly from: string;
  }): Promise<DeliveryAnswer> {
    const { onLost, rates, signatures, verified } = this.#options;
    const { webhookSource, body, from } = signed;
    signatures?.right(webhookSource);
    const lost = { verified: true, sources: [webhookSource], from };
    if (!rates.take(webhookSource.endpoint)) {
      onLost({ cause: 'rate', ...lost });
      return overRate(rates.retryAfterSeconds(webhookSource.endpoint));
    }
    const identity = identityOf(signed.headers);
    if ('outcome' in identity) return identity;
    const answer = await verified.take({ webhookSource, ...identity, body });
    const cause = lossOf(answer);
    if (cause !== undefined) onLost({ cause, ...lost });
    return answer;
  }
}

function lossOf({ outcome }: DeliveryAnswer): 'queue' | 'ledger' | undefined {
  if (outcome === 'overloaded') return 'queue';
  return outcome === 'ledger-unavailable' || outcome === 'failed' ? 'ledger' : undefined;
}
