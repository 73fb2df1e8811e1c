/** Classifies Cloud Run's own messages by what to do about them; the codes are in ../google/errors.ts. Pure. */
import { classifyGoogle, kindOfWords, type Words } from '../google/errors.ts';
import { ProviderError, type ProviderErrorKind } from '../provider.ts';

export type CallName =
  | 'CreateJob'
  | 'GetJob'
  | 'ListJobs'
  | 'DeleteJob'
  | 'RunJob'
  | 'GetExecution'
  | 'ListExecutions'
  | 'CancelExecution'
  | 'DeleteExecution'
  | 'ListTasks'
  | 'CreateService'
  | 'GetService'
  | 'ListServices'
  | 'DeleteService'
  | 'secret'
  | 'logs'
  | 'token';

/** First match wins, before the code: "Quota violated" comes with INVALID_ARGUMENT. */
const words: Words = [
  [/quota violated|(CpuAlloc|MemAlloc)PerProjectRegion|maximum number of .*(jobs|executions)/i, 'quota'],
  [/no available (capacity|resources)|not enough (capacity|resources)|insufficient (capacity|resources)/i, 'capacity'],
  [/currently (at|out of) capacity|resources? (is|are) (currently )?unavailable/i, 'capacity'],
  // Concerns the project or the backend's options, not this job.
  [/billing|has not been used in project|API .*disabled|service account .*(not exist|not found)/i, 'unauthorized'],
  [/actAs|constraints\/[\w.]+ violated|organization policy/i, 'unauthorized'],
];

export function classify(call: CallName, error: unknown): ProviderError {
  return classifyGoogle(`gcp-cloud-run ${call}`, error, words);
}

/** Why a Job's definition did not become ready, by `Condition.CommonReason`. */
export const jobReasons: Readonly<Record<string, ProviderErrorKind>> = {
  CONTAINER_MISSING: 'invalid',
  CONTAINER_PERMISSION_DENIED: 'invalid',
  CONTAINER_IMAGE_UNAUTHORIZED: 'invalid',
  CONTAINER_IMAGE_AUTHORIZATION_CHECK_FAILED: 'invalid',
  ENCRYPTION_KEY_PERMISSION_DENIED: 'unauthorized',
  ENCRYPTION_KEY_CHECK_FAILED: 'unauthorized',
  SECRETS_ACCESS_CHECK_FAILED: 'unauthorized',
  VPC_NETWORK_NOT_FOUND: 'invalid',
  PROGRESS_DEADLINE_EXCEEDED: 'transient',
  WAITING_FOR_OPERATION: 'transient',
  IMMEDIATE_RETRY: 'transient',
  POSTPONED_RETRY: 'transient',
  // Only for services.
  REVISION_FAILED: 'transient',
  UNKNOWN: 'transient',
  INTERNAL: 'transient',
};

/** For reasons that say little. */
const definitionWords: Words = [...words, [/image .*(not found|denied|unauthorized)|network .*not found/i, 'invalid']];

export function jobFailure(reason: string | undefined, message: string): ProviderError {
  const byReason = jobReasons[reason ?? ''] ?? 'transient';
  const kind = byReason === 'transient' ? (kindOfWords(message, definitionWords) ?? byReason) : byReason;
  return new ProviderError(kind, 'gcp-cloud-run CreateJob', message || 'the definition did not become ready', {
    ...(reason === undefined ? {} : { code: reason }),
  });
}
