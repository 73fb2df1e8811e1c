/** The only Cloud KMS key: any caller with a token may `encrypt`; machines decrypt. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { GoogleRefusal } from '../google/status.ts';

const encryptRequest = z.strictObject({ plaintext: z.base64() });
const dictionary = z.record(z.string(), z.string());
const IV_BYTES = 12;
const TAG_BYTES = 16;

export class Kms {
  /** Its name. */
  readonly key: string;
  readonly #secret = randomBytes(32);

  constructor(project: string, region: string) {
    this.key = `projects/${project}/locations/${region}/keyRings/shr/cryptoKeys/runners`;
  }

  /** `POST /v1/<key>:encrypt`. Undefined for any other call. */
  encrypt(path: string, body: unknown): object | undefined {
    const [, key] = /^\/v1\/(projects\/.+\/cryptoKeys\/[^/:]+):encrypt$/.exec(path) ?? [];
    if (key === undefined) return undefined;
    if (key !== this.key) throw new GoogleRefusal('NOT_FOUND', `CryptoKey ${key} not found.`);
    const { plaintext } = encryptRequest.parse(body);
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#secret, iv);
    const bytes = Buffer.concat([cipher.update(plaintext, 'base64'), cipher.final()]);
    return {
      name: `${key}/cryptoKeyVersions/1`,
      ciphertext: Buffer.concat([iv, cipher.getAuthTag(), bytes]).toString('base64'),
    };
  }

  /** Decrypts a job's variables as its machine does. Throws if they were not encrypted with this key. */
  variables(key: string, cipherText: string): Record<string, string> {
    if (key !== this.key) throw new TypeError(`${key} is not known`);
    const bytes = Buffer.from(cipherText, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', this.#secret, bytes.subarray(0, IV_BYTES));
    decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
    const plain = Buffer.concat([decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]);
    return dictionary.parse(JSON.parse(plain.toString('utf8')));
  }
}
