/**
 * What a request to the public address is answered with, so that the asker knows who is there: a digest of its nonce under a
 * key that this process alone has, and one under the dispatcher's id, which is in the name of every runner and no secret.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Random } from '../../time/clock.ts';
import { newCallbackToken } from '../lifecycle/callback-token.ts';
import type { CallAnswer, CallReception } from './calls.ts';

/** Below `listen.public.url`, beside the paths that runners call: a proxy in front treats it as it treats theirs. */
export const PROOF_PATH = '/runners/proof';

const FORM = /^nonce=([a-z2-7]{32})$/;
const MAX_FORM_BYTES = 64;
const ANSWER = /^shr-proof 1 ([0-9a-f]{64}) ([0-9a-f]{64})\n?$/;

const malformed: CallAnswer = { status: 400, text: 'a nonce is expected\n', verified: false };

export function newNonce(random: Random): string {
  return newCallbackToken(random).token;
}

export function proofForm(nonce: string): string {
  return `nonce=${nonce}`;
}

/** `process`: it is the process that has the key. `dispatcher`: it says that it has the id, as anyone could. */
export type Prover = 'process' | 'dispatcher' | 'another dispatcher' | 'something else';

/** `key`: absent for an asker outside of the process. */
export function proverOf(text: string, nonce: string, known: { readonly key?: string; readonly id: string }): Prover {
  const [, byKey, byId] = ANSWER.exec(text) ?? [];
  if (byKey === undefined || byId === undefined) return 'something else';
  if (known.key !== undefined && isSame(byKey, digest(known.key, nonce))) return 'process';
  return isSame(byId, digest(known.id, nonce)) ? 'dispatcher' : 'another dispatcher';
}

/** The route: a stranger's question costs two digests, and tells nothing that holds for another nonce. */
export function createAddressProof(known: { readonly key: string; readonly id: string }): { receive(): CallReception } {
  return { receive: () => new Question(known) };
}

class Question implements CallReception {
  readonly #known: { readonly key: string; readonly id: string };
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(known: { readonly key: string; readonly id: string }) {
    this.#known = known;
  }

  take(chunk: Buffer): CallAnswer | undefined {
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_FORM_BYTES) return malformed;
    this.#chunks.push(chunk);
    return undefined;
  }

  async finish(): Promise<CallAnswer> {
    const [, nonce] = FORM.exec(Buffer.concat(this.#chunks).toString('latin1')) ?? [];
    if (nonce === undefined) return malformed;
    const { key, id } = this.#known;
    return { status: 200, text: `shr-proof 1 ${digest(key, nonce)} ${digest(id, nonce)}\n`, verified: false };
  }

  abandon(): void {}

  left(): void {}

  cutOff(why: 'connections' | 'slow'): CallAnswer {
    return { status: why === 'slow' ? 408 : 503, text: 'this was cut off: ask again\n', verified: false };
  }
}

function digest(key: string, nonce: string): string {
  return createHmac('sha256', key).update(nonce).digest('hex');
}

function isSame(one: string, other: string): boolean {
  return timingSafeEqual(Buffer.from(one), Buffer.from(other));
}
