/**
 * A login between our page and the issuer's. It is kept by the browser that began it, sealed: strangers who begin
 * logins take no memory of ours, and no other browser can end it.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Clock, Random } from '../../../time/clock.ts';
import { secretText } from './secret-text.ts';

const pendingSchema = z.object({
  /** Comes back with the code: that the answer belongs to this browser's question. */
  state: z.string(),
  /** Comes back in the ID token: that the token was made for this question. */
  nonce: z.string(),
  /** Goes with the code: that who redeems it is who asked for it. */
  verifier: z.string(),
  returnTo: z.string(),
  untilMs: z.number(),
});

export type PendingLogin = z.output<typeof pendingSchema>;

const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** A second factor takes its time. */
export const PENDING_MS = 600_000;
/** States that came back, each until it would have ended anyhow. */
const MAX_SPENT = 10_000;
const MAX_SEALED_LENGTH = 2_048;

export class PendingLogins {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #random: Random;
  /** Of this start alone: a login that is under way during a restart begins anew. */
  readonly #key = randomBytes(32);
  readonly #spent = new Map<string, number>();

  constructor(clock: Pick<Clock, 'now'>, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  begin(returnTo: string): { readonly login: PendingLogin; readonly sealed: string } {
    const login = {
      state: secretText(this.#random),
      nonce: secretText(this.#random),
      verifier: secretText(this.#random),
      returnTo,
      untilMs: this.#clock.now() + PENDING_MS,
    };
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, iv, { authTagLength: TAG_BYTES });
    const text = Buffer.concat([cipher.update(JSON.stringify(login)), cipher.final()]);
    return { login, sealed: Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url') };
  }

  /** Of this browser, with this state, in time, and for the first time; otherwise undefined. */
  take(sealed: string | undefined, state: string | undefined): PendingLogin | undefined {
    const login = sealed === undefined || sealed.length > MAX_SEALED_LENGTH ? undefined : this.#opened(sealed);
    const nowMs = this.#clock.now();
    if (login === undefined || state !== login.state || login.untilMs <= nowMs) return undefined;
    for (const [spent, untilMs] of this.#spent) if (untilMs <= nowMs) this.#spent.delete(spent);
    if (this.#spent.has(login.state)) return undefined;
    this.#spent.set(login.state, login.untilMs);
    const [oldest] = this.#spent.keys();
    if (this.#spent.size > MAX_SPENT && oldest !== undefined) this.#spent.delete(oldest);
    return login;
  }

  #opened(sealed: string): PendingLogin | undefined {
    const bytes = Buffer.from(sealed, 'base64url');
    if (bytes.length <= IV_BYTES + TAG_BYTES) return undefined;
    try {
      const decipher = createDecipheriv(CIPHER, this.#key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
      const text = Buffer.concat([decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]);
      return pendingSchema.parse(JSON.parse(text.toString()));
    } catch {
      // Sealed before a restart, or made up.
      return undefined;
    }
  }
}
