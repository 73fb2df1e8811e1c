/** Classifies Batch's own errors, beyond Google's usual codes, by what to do about them. Pure. */

import { classifyGoogle, type Words } from '../google/errors.ts';
import type { ProviderError } from '../provider.ts';

export type CallName = 'CreateJob' | 'GetJob' | 'ListJobs' | 'ListTasks' | 'DeleteJob' | 'logs' | 'compute' | 'encrypt';

/**
 * Checked before the code. A create rarely returns Compute Engine's messages or codes, because Batch accepts first and
 * requests a machine later; when it does, they mean the same.
 */
const words: Words = [
  [/RESOURCE_POOL_EXHAUSTED|does not have enough resources|stockout/i, 'capacity'],
  [/CODE_GCE_QUOTA_EXCEEDED|quota '[\w-]+' exceeded/i, 'quota'],
  // The dispatcher's account may not act as the runner's (INVALID_ARGUMENT or PERMISSION_DENIED).
  [
    /iam\.serviceAccounts\.actAs|does not have access to service account|service account .* does not exist/i,
    'unauthorized',
  ],
  // The Cloud KMS key: concerns the backend, not a single job.
  [/cryptoKeys\/\S+ (was )?not found|cryptoKeyVersions\/\d+ is not enabled/i, 'unauthorized'],
  // A location that the project may not use, or an organization policy: every request would fail.
  [/constraints\/[\w.]+ violated|location .* is not (found|allowed)|access to region .* denied/i, 'unauthorized'],
];

export function classify(call: CallName, error: unknown): ProviderError {
  return classifyGoogle(`gcp-batch ${call}`, error, words);
}

/** Whether a NOT_FOUND refers to the job, and not to one of its parent resources. */
export function isAbsent(error: ProviderError): boolean {
  return error.code === 'NOT_FOUND' && !/\b(project|location|service)\b[^/]* (was )?not found/i.test(error.message);
}
