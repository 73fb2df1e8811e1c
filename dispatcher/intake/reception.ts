/** A delivery being received: buffers its bytes until its signature can be checked. */
import type { DeliveryAnswer, DeliveryOutcome } from './answer.ts';
import { answerOf, fragmented, gaveWay, tooLarge, tooSlow, wrongSignature } from './answers.ts';
import type { KeptBody } from './body.ts';
import type { Candidate, WebhookSource } from './endpoints.ts';
import type { LossCause } from './losses.ts';
import type { SignatureCheck } from './signature.ts';

/** One delivery whose headers were accepted. Ends with exactly one answer, or with `abandon`. */
export interface Reception {
  /** An answer here is final: the rest of the body is ignored. */
  take(chunk: Buffer): DeliveryAnswer | undefined;
  /** The body is complete. Resolves when everything to be written is durable. Never rejects. */
  finish(): Promise<DeliveryAnswer>;
  /** The sender disconnected. */
  abandon(): void;
  /** Its connection was needed, or it was too slow. */
  cutOff(why: 'connections' | 'slow'): DeliveryAnswer;
}

export interface ReceptionOptions {
  readonly check: SignatureCheck;
  readonly tried: readonly Candidate[];
  /** Undefined: the body is hashed but not kept. */
  readonly body: KeptBody | undefined;
  readonly maxBytes: number;
  /** The body has arrived: from here on we process it to the end. */
  complete(): void;
  /** It had to give way to other bodies: the carrier answers, and stops reading it. */
  turnAway(answer: DeliveryAnswer): void;
  /** Called once, with the outcome; `cause` if it was cut off. */
  over(outcome: DeliveryOutcome, cause?: LossCause): void;
  unknownSigner(): void;
  signed(webhookSource: WebhookSource, body: Buffer): Promise<DeliveryAnswer>;
  defect(error: unknown): void;
}

export class DeliveryReception implements Reception {
  readonly #options: ReceptionOptions;
  #receivedBytes = 0;
  #pieces = 0;
  #open = true;

  constructor(options: ReceptionOptions) {
    this.#options = options;
  }

  take(chunk: Buffer): DeliveryAnswer | undefined {
    if (!this.#open) return undefined;
    const { check, body, maxBytes } = this.#options;
    this.#receivedBytes += chunk.length;
    if (this.#receivedBytes > maxBytes) return this.#close(tooLarge(maxBytes));
    this.#pieces += 1;
    if (tooManyPieces(this.#pieces, this.#receivedBytes)) return this.#close(fragmented);
    check.take(chunk);
    if (body !== undefined && !body.append(chunk)) return this.#open ? this.#close(gaveWay, 'memory') : undefined;
    return undefined;
  }

  async finish(): Promise<DeliveryAnswer> {
    const { check, tried, body, complete, unknownSigner, signed, defect } = this.#options;
    complete();
    try {
      const signer = tried[check.signer()];
      if (signer !== undefined) {
        const answer = signed(signer.webhookSource, body?.content() ?? nothing);
        // Everything needed from it has been read: its memory need not be held while waiting for the disk.
        body?.free();
        return this.#close(await answer);
      }
      unknownSigner();
      return this.#close(wrongSignature);
    } catch (error) {
      // The input is untrusted: a defect must cost only this delivery, not the dispatcher.
      defect(error);
      return this.#close(answerOf.failed);
    }
  }

  abandon(): void {
    if (this.#open) this.#end('aborted');
  }

  cutOff(why: 'connections' | 'slow'): DeliveryAnswer {
    const answer = why === 'slow' ? tooSlow : gaveWay;
    return this.#open ? this.#close(answer, why) : answer;
  }

  /** The oldest unfinished body gives way when there is no memory for another. */
  giveWay(): void {
    if (this.#open) this.#options.turnAway(this.#close(gaveWay, 'memory'));
  }

  #close(answer: DeliveryAnswer, cause?: LossCause): DeliveryAnswer {
    this.#end(answer.outcome, cause);
    return answer;
  }

  #end(outcome: DeliveryOutcome, cause?: LossCause): void {
    this.#open = false;
    this.#options.body?.free();
    this.#options.over(outcome, cause);
  }
}

const nothing = Buffer.alloc(0);

/**
 * Every chunk of a body wakes the process, whatever its length. GitHub's come by the segment or in records of 16 KB; a
 * sender of single bytes would occupy a whole CPU for 200 KB per second.
 */
export function tooManyPieces(pieces: number, bytes: number): boolean {
  return pieces > 256 + bytes / 128;
}
