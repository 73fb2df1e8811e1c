/**
 * A cloud's own store of secrets, which the credentials of a backend may open. It is part of the adapter, because they sign
 * in alike.
 */

/** One secret, as a reference in a file names it. */
export interface SecretAddress {
  /**
   * Always the same for one secret, without its version: what grants name. With the scheme, such as
   * `azure-key-vault:acme/db-token`.
   */
  readonly secret: string;
  /** Of which version; the store's own word for it. */
  readonly version: string;
  /** Where it is, in the store's own terms. Made by `parse` alone: a host is never taken from a file. */
  readonly place: string;
}

export interface SecretStoreHost {
  /** Runs `action` once after `ms`; the returned function cancels it. */
  after(ms: number, action: () => void): () => void;
  /** Follows no redirects. */
  readonly fetch: (url: string, request: SecretRequest) => Promise<Response>;
  /** Of the process, for what the machine's own identity is. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface SecretRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

export interface SecretReader {
  /**
   * Its text. Rejects with SecretFailure. Who calls it sets the time limit: a vendor's sign-in does not heed the signal.
   */
  read(address: SecretAddress, signal: AbortSignal): Promise<string>;
}

/** What a backend signs in with. Only the store that made it looks into it; it can be written as JSON. */
export type StoreKey = Readonly<Record<string, unknown>>;

export interface SecretStore {
  /** Of the reference: `${scheme:…}`. */
  readonly scheme: string;
  /** How a reference is written, for messages. */
  readonly form: string;
  /** Pure. Undefined: the text names no secret of this store. */
  parse(text: string): SecretAddress | undefined;
  /**
   * What `options` of a backend, as they stand in a file, sign in with at this address. Undefined: they have no key of their
   * own, act by the identity of the dispatcher's machine, or are of another cloud.
   */
  keyOf(options: unknown, address: SecretAddress): StoreKey | undefined;
  /** Makes no remote calls. Undefined instead of a key: the identity of the dispatcher's own machine. */
  open(key: StoreKey | undefined, host: SecretStoreHost): SecretReader;
}

/** Classified by what it means for a value that was read before. */
export type SecretFailureKind =
  /** It may not be read with these credentials. */
  | 'denied'
  /** There is no such secret, or no such version. */
  | 'absent'
  /** It is there, and disabled, destroyed, no text or too large. */
  | 'unusable'
  /** Too many requests. */
  | 'throttled'
  /** No answer, or none that says anything about the secret. */
  | 'away';

/** In our own words: those of a service may name accounts and identities that a tenant should not learn. */
export class SecretFailure extends Error {
  readonly kind: SecretFailureKind;
  readonly cure: string;
  readonly retryAfterMs: number | undefined;

  constructor(kind: SecretFailureKind, message: string, cure: string, details: { retryAfterMs?: number } = {}) {
    super(message);
    this.name = 'SecretFailure';
    this.kind = kind;
    this.cure = cure;
    this.retryAfterMs = details.retryAfterMs;
  }
}
