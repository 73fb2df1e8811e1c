/**
 * Environment variables hidden from anyone allowed to view jobs: encrypted with a Cloud KMS key, decrypted by the
 * machine. Calls REST with the SDK's own credentials, which avoids loading another SDK for one method.
 */
import { z } from 'zod';
import type { GoogleAuth } from '../google/connection.ts';
import { ProviderError } from '../provider.ts';

const answer = z.object({ ciphertext: z.string().min(1) });

export interface Encryption {
  readonly auth: GoogleAuth;
  /** `https://cloudkms.googleapis.com`, or a simulator. */
  readonly endpoint: string;
  /** `projects/P/locations/L/keyRings/R/cryptoKeys/K` */
  readonly key: string;
  /** Runs one call with a deadline; see providers/kit/deadlines.ts. */
  call(request: (signal: AbortSignal) => Promise<{ data: unknown }>): Promise<{ data: unknown }>;
}

/**
 * In the form of a job's `Environment.encryptedVariables`: a JSON dictionary, in base64 as returned by `encrypt`. A
 * software key encrypts up to 64 KiB at once, a hardware key 8 KiB; a JIT configuration has about 4 KB.
 */
export async function encrypt(variables: Readonly<Record<string, string>>, encryption: Encryption): Promise<string> {
  const { data } = await encryption.call((signal) =>
    encryption.auth.request({
      url: `${encryption.endpoint}/v1/${encryption.key}:encrypt`,
      method: 'POST',
      data: { plaintext: Buffer.from(JSON.stringify(variables)).toString('base64') },
      signal,
      retry: false,
    }),
  );
  const parsed = answer.safeParse(data);
  if (parsed.success) return parsed.data.ciphertext;
  throw new ProviderError('transient', 'gcp-batch encrypt', 'an answer of Cloud KMS that cannot be read');
}
