/** GitHub's `push` deliveries for sources of registrations. Nothing in them is read: they only say that it is time to look. */
import { createSecretKey } from 'node:crypto';
import type { Clock } from '../../time/clock.ts';
import { SECOND } from '../../time/units.ts';
import { RatedLog } from '../failures/rated-log.ts';
import type { Log } from '../log.ts';
import type { GitSourceConfig } from '../model/registration.ts';
import type { DeliveryAnswer, IntakeMetrics } from './answer.ts';
import { noSuchSource, notAPush, pong, pushSeen, signedWithSha1, tooLarge, unsigned } from './answers.ts';
import type { Candidate } from './endpoints.ts';
import { type DeliveryHeaders, header, refuseContent } from './headers.ts';
import { defaultIntakeLimits } from './limits.ts';
import { DeliveryReception, type Reception } from './reception.ts';
import { claimedDigest, SignatureCheck } from './signature.ts';
import type { Carrier } from './webhook.ts';

export interface PushIntakeOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<IntakeMetrics, 'delivery'>;
  /** As they are now. */
  readonly sources: () => readonly Pick<GitSourceConfig, 'name' | 'webhookSecrets'>[];
  /** Must not throw. */
  readonly onPush: (source: string) => void;
}

export class PushIntake {
  readonly #options: PushIntakeOptions;
  /** Anyone can send unsigned requests; the metrics count them all. */
  readonly #unauthenticated: RatedLog;

  constructor(options: PushIntakeOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#unauthenticated = new RatedLog({ log, clock, lines: 1, spanMs: 10 * SECOND });
  }

  receive(source: string, headers: DeliveryHeaders, carrier: Carrier): Reception | DeliveryAnswer {
    const received = this.#receive(source, headers, carrier);
    if ('outcome' in received) this.#options.metrics.delivery(received.outcome);
    return received;
  }

  #receive(source: string, headers: DeliveryHeaders, { from, turnAway }: Carrier): Reception | DeliveryAnswer {
    const { log, metrics, onPush, sources } = this.#options;
    const secrets = sources().find(({ name }) => name === source)?.webhookSecrets ?? [];
    if (secrets.length === 0) return noSuchSource;
    const refused = refuseContent(headers);
    if (refused !== undefined) return refused;
    const claimed = claimedDigest(header(headers, 'x-hub-signature-256') ?? '');
    if (claimed === undefined) {
      this.#unauthenticated.warn('intake.refused', { outcome: 'unsigned' }, { source, from });
      return header(headers, 'x-hub-signature') === undefined ? unsigned : signedWithSha1;
    }
    const maxBytes = defaultIntakeLimits.maxBodyBytes;
    if (Number(header(headers, 'content-length') ?? 0) > maxBytes) return tooLarge(maxBytes);
    const event = header(headers, 'x-github-event');
    const keys = secrets.map((secret) => createSecretKey(Buffer.from(secret.reveal())));
    return new DeliveryReception({
      check: new SignatureCheck(claimed, keys),
      tried: keys.map((key): Candidate => ({ key, webhookSource: nobody })),
      body: undefined,
      maxBytes,
      turnAway,
      complete: () => {},
      over: (outcome) => metrics.delivery(outcome),
      unknownSigner: () => this.#unauthenticated.warn('intake.refused', { outcome: 'bad-signature' }, { source, from }),
      signed: async () => {
        if (event === 'ping') return pong;
        if (event !== 'push') return notAPush;
        onPush(source);
        return pushSeen;
      },
      defect: (error) => log.error('intake.defect', { error }),
    });
  }
}

/** What is signed so speaks of no job. */
const nobody = { endpoint: 'push', host: '', registration: null, mayReport: () => false } as const;
