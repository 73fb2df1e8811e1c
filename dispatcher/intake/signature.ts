/** `X-Hub-Signature-256`: HMAC-SHA256 over the raw body. */
import { createHmac, type Hmac, type KeyObject, timingSafeEqual } from 'node:crypto';

/** The digest claimed by the sender; undefined when the header is not a SHA-256 signature. */
export function claimedDigest(header: string): Buffer | undefined {
  const match = /^sha256=([0-9a-f]{64})$/i.exec(header);
  return match?.[1] === undefined ? undefined : Buffer.from(match[1], 'hex');
}

/** Checks a streamed body against all keys at once. Keeps no part of it. */
export class SignatureCheck {
  readonly #claimed: Buffer;
  readonly #hmacs: readonly Hmac[];

  constructor(claimed: Buffer, keys: readonly KeyObject[]) {
    this.#claimed = claimed;
    this.#hmacs = keys.map((key) => createHmac('sha256', key));
  }

  take(chunk: Buffer): void {
    for (const hmac of this.#hmacs) hmac.update(chunk);
  }

  /** The index of the key that signed, or -1. Call once. Compares every key, so that timing does not reveal which. */
  signer(): number {
    let signer = -1;
    for (const [index, hmac] of this.#hmacs.entries()) {
      if (timingSafeEqual(hmac.digest(), this.#claimed) && signer === -1) signer = index;
    }
    return signer;
  }
}
