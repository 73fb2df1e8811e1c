/** A delivery that is being received: its bytes, until it is known who signed them. */
import type { Answer, DeliveryOutcome } from './answer.ts';
import { answerOf, fragmented, gaveWay, tooLarge, tooSlow, wrongSignature } from './answers.ts';
import type { KeptBody } from './body.ts';
import type { Candidate, WebhookSource } from './endpoints.ts';
import type { LossCause } from './losses.ts';
import type { SignatureCheck } from './signature.ts';

/** One delivery whose headers were accepted. Ends with exactly one answer, or with `abandon`. */
export interface Reception {
  /** An answer here is final: the rest of the body is of no interest. */
  take(chunk: Buffer): Answer | undefined;
  /** The body is complete. Resolves when what is to be written is durable. Never rejects. */
  finish(): Promise<Answer>;
  /** The sender went away. */
  abandon(): void;
  /** Its connection was needed, or it was too slow. */
  cutOff(why: 'connections' | 'slow'): Answer;
}

export interface ReceptionOptions {
  readonly check: SignatureCheck;
  readonly tried: readonly Candidate[];
  /** Undefined: hashed only. */
  readonly body: KeptBody | undefined;
  readonly maxBytes: number;
  /** The body has arrived: from here on it is ours to finish. */
  complete(): void;
  /** It had to give way to others' bodies: the carrier answers, and reads no more of it. */
  turnAway(answer: Answer): void;
  /** Called once, with what became of it; `cause` where it was cut off. */
  over(outcome: DeliveryOutcome, cause?: LossCause): void;
  unknownSigner(): void;
  signed(webhookSource: WebhookSource, body: Buffer): Promise<Answer>;
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

  take(chunk: Buffer): Answer | undefined {
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

  async finish(): Promise<Answer> {
    const { check, tried, body, complete, unknownSigner, signed, defect } = this.#options;
    complete();
    try {
      const signer = tried[check.signer()];
      if (signer !== undefined) {
        const answer = signed(signer.webhookSource, body?.content() ?? nothing);
        // What is needed of it was read by now: a body does not wait for a disk.
        body?.free();
        return this.#close(await answer);
      }
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

  cutOff(why: 'connections' | 'slow'): Answer {
    const answer = why === 'slow' ? tooSlow : gaveWay;
    return this.#open ? this.#close(answer, why) : answer;
  }

  /** The oldest unfinished body gives way when there is no memory for another. */
  giveWay(): void {
    if (this.#open) this.#options.turnAway(this.#close(gaveWay, 'memory'));
  }

  #close(answer: Answer, cause?: LossCause): Answer {
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
 * Every piece of a body wakes the program, whatever its length. GitHub's come by the segment or in records of 16 KB; a
 * sender of single bytes would have a whole processor for 200 KB a second.
 */
export function tooManyPieces(pieces: number, bytes: number): boolean {
  return pieces > 256 + bytes / 128;
}
