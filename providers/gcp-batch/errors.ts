/** What Batch says beside Google's usual codes, sorted by what follows from it. Pure. */

import { classifyGoogle, type Words } from '../google/errors.ts';
import type { ProviderError } from '../provider.ts';

export type Call = 'CreateJob' | 'GetJob' | 'ListJobs' | 'ListTasks' | 'DeleteJob' | 'logs' | 'compute' | 'encrypt';

/**
 * Looked at before the code. Compute Engine's words arrive at a create as seldom as its codes, because Batch accepts
 * first and asks for a machine later; but where they do, they mean the same.
 */
const words: Words = [
  [/RESOURCE_POOL_EXHAUSTED|does not have enough resources|stockout/i, 'capacity'],
  [/CODE_GCE_QUOTA_EXCEEDED|quota '[\w-]+' exceeded/i, 'quota'],
  // The dispatcher's account may not act as the runner's (INVALID_ARGUMENT or PERMISSION_DENIED).
  [
    /iam\.serviceAccounts\.actAs|does not have access to service account|service account .* does not exist/i,
    'unauthorized',
  ],
  // The key of Cloud KMS: a matter of the backend, not of one job.
  [/cryptoKeys\/\S+ (was )?not found|cryptoKeyVersions\/\d+ is not enabled/i, 'unauthorized'],
  // A location that a project may not use, or an organization policy: no request would do.
  [/constraints\/[\w.]+ violated|location .* is not (found|allowed)|access to region .* denied/i, 'unauthorized'],
];

export function classify(call: Call, error: unknown): ProviderError {
  return classifyGoogle(`gcp-batch ${call}`, error, words);
}

/** Says whether a NOT_FOUND is of the job, and not of something above it. */
export function isAbsent(error: ProviderError): boolean {
  return error.code === 'NOT_FOUND' && !/\b(project|location|service)\b[^/]* (was )?not found/i.test(error.message);
}
