/**
 * Sealed values: secrets that anybody with the platform's public key can write into a registration's file, and only
 * the dispatcher can read. X25519 with a key pair made for each value, HKDF-SHA256, AES-256-GCM. The name of the
 * registration and the field are authenticated, so that a value copied elsewhere does not open there.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import type { Path } from '../model/problem.ts';

/** What opens a value of one registration at one field. */
export interface SealedPlace {
  readonly registration: string;
  /** As `fieldOf` says it. */
  readonly field: readonly string[];
}

export interface SealingKey {
  /** Of the public key, so that nothing has to be kept beside it. */
  readonly id: string;
  /** 32 bytes. */
  readonly publicKey: Buffer;
}

/** `unreadable`: not what `seal` gave. `elsewhere`: it is, but of another place, or changed since. */
export type Opened =
  | { readonly ok: true; readonly value: string }
  | { readonly ok: false; readonly why: 'unreadable' | 'elsewhere' };

export const MAX_SEALED_VALUE_BYTES = 65_536;
const VERSION = '1';
const PURPOSE = 'serverless-hosted-runner sealed value 1';
const PUBLIC_PREFIX = 'x25519:';
const CIPHER = 'aes-256-gcm';
const PUBLIC_BYTES = 32;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ID_BYTES = 8;

/**
 * A list's index is not part of a field: a new webhook secret moves the old one down, and the order of backends may
 * change. Both stay the registration's own.
 */
export function fieldOf(path: Path): readonly string[] {
  return path.filter((step) => typeof step === 'string');
}

export function newKeyPair(): { readonly key: SealingKey; readonly privateKeyPem: string } {
  const pair = generateKeyPairSync('x25519');
  const key = keyOf(rawOf(pair.publicKey));
  return { key, privateKeyPem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/** `x25519:…`, as it is published. */
export function publicKeyText({ publicKey }: SealingKey): string {
  return `${PUBLIC_PREFIX}${publicKey.toString('base64url')}`;
}

/** Undefined if it is not a public key. */
export function parsePublicKey(text: string): SealingKey | undefined {
  const raw = Buffer.from(text.slice(PUBLIC_PREFIX.length), 'base64url');
  const key = keyOf(raw);
  return raw.length === PUBLIC_BYTES && publicKeyText(key) === text ? key : undefined;
}

/** Undefined if the text is not a private key of X25519 in PEM. */
export function parsePrivateKey(pem: string): { readonly key: SealingKey; readonly privateKey: KeyObject } | undefined {
  try {
    const privateKey = createPrivateKey(pem);
    if (privateKey.asymmetricKeyType !== 'x25519') return undefined;
    return { key: keyOf(rawOf(createPublicKey(privateKey))), privateKey };
  } catch {
    // The parser's error may quote the key.
    return undefined;
  }
}

/** The text between `${sealed:` and `}`. */
export function seal(value: string, place: SealedPlace, key: SealingKey): string {
  const once = generateKeyPairSync('x25519');
  const oncePublic = rawOf(once.publicKey);
  const shared = diffieHellman({ privateKey: once.privateKey, publicKey: publicKeyOf(key.publicKey) });
  const { secret, nonce } = derived(shared, oncePublic, key);
  const cipher = createCipheriv(CIPHER, secret, nonce, { authTagLength: TAG_BYTES }).setAAD(authenticated(place, key));
  const sealed = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()]);
  return `${VERSION}.${key.id}.${Buffer.concat([oncePublic, sealed, cipher.getAuthTag()]).toString('base64url')}`;
}

/** The key that it was sealed for; undefined if the text is not a sealed value, or one of another version. */
export function keyIdIn(text: string): string | undefined {
  const [version, id, body, ...more] = text.split('.');
  const whole = version === VERSION && id !== undefined && body !== undefined && body !== '' && more.length === 0;
  if (!whole || !/^[0-9a-f]{16}$/.test(id) || !/^[\w-]+$/.test(body)) return undefined;
  return isLongEnough(Buffer.from(body, 'base64url')) ? id : undefined;
}

/** For any value: what lost its end may still have the form. */
function isLongEnough(bytes: Buffer): boolean {
  return bytes.length > PUBLIC_BYTES + TAG_BYTES;
}

export function open(
  text: string,
  place: SealedPlace,
  { key, privateKey }: { readonly key: SealingKey; readonly privateKey: KeyObject },
): Opened {
  const bytes = Buffer.from(text.slice(text.lastIndexOf('.') + 1), 'base64url');
  const most = PUBLIC_BYTES + MAX_SEALED_VALUE_BYTES + TAG_BYTES;
  if (!isLongEnough(bytes) || bytes.length > most) return { ok: false, why: 'unreadable' };
  const oncePublic = bytes.subarray(0, PUBLIC_BYTES);
  const sealed = bytes.subarray(PUBLIC_BYTES, -TAG_BYTES);
  try {
    const shared = diffieHellman({ privateKey, publicKey: publicKeyOf(oncePublic) });
    const { secret, nonce } = derived(shared, oncePublic, key);
    const decipher = createDecipheriv(CIPHER, secret, nonce, { authTagLength: TAG_BYTES })
      .setAAD(authenticated(place, key))
      .setAuthTag(bytes.subarray(-TAG_BYTES));
    const value = Buffer.concat([decipher.update(sealed), decipher.final()]);
    return { ok: true, value: new TextDecoder('utf-8', { fatal: true }).decode(value) };
  } catch {
    return { ok: false, why: 'elsewhere' };
  }
}

/** The nonce is derived too: each value has a key of its own, used once. Both public keys are bound to it, as in HPKE. */
function derived(
  shared: Buffer,
  oncePublic: Buffer,
  { publicKey }: SealingKey,
): { readonly secret: Buffer; readonly nonce: Buffer } {
  const salt = Buffer.concat([oncePublic, publicKey]);
  const bytes = Buffer.from(hkdfSync('sha256', shared, salt, PURPOSE, KEY_BYTES + NONCE_BYTES));
  return { secret: bytes.subarray(0, KEY_BYTES), nonce: bytes.subarray(KEY_BYTES) };
}

/** JSON, so that no two places give the same bytes. */
function authenticated({ registration, field }: SealedPlace, { id }: SealingKey): Buffer {
  return Buffer.from(JSON.stringify([PURPOSE, id, registration, ...field]));
}

function keyOf(publicKey: Buffer): SealingKey {
  return {
    id: createHash('sha256')
      .update(publicKey)
      .digest('hex')
      .slice(0, 2 * ID_BYTES),
    publicKey,
  };
}

function rawOf(key: KeyObject): Buffer {
  return Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url');
}

function publicKeyOf(raw: Buffer): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: raw.toString('base64url') }, format: 'jwk' });
}
