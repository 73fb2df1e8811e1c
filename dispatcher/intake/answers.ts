/** Every answer of the intake, with its message for the reader of GitHub's delivery log. */
import { MAX_OPEN_JOBS } from '../ledger/ledger.ts';
import { type DeliveryAnswer, retryAfterSeconds } from './answer.ts';
import type { Recorded } from './group-commit.ts';

export const pong: DeliveryAnswer = { status: 200, outcome: 'ping', message: 'pong: the signature is right' };

export const unsigned: DeliveryAnswer = {
  status: 401,
  outcome: 'unsigned',
  message: 'X-Hub-Signature-256 is missing or malformed: give the webhook a secret',
};

export const signedWithSha1: DeliveryAnswer = {
  status: 401,
  outcome: 'unsigned',
  message: 'only X-Hub-Signature (SHA-1) was sent, which is not accepted: X-Hub-Signature-256 is needed',
};

export const noSecret: DeliveryAnswer = {
  status: 401,
  outcome: 'no-secret',
  message: 'no webhook entry in dispatcher.yaml matches: add the App by its id, or an entry without one',
};

export const wrongSignature: DeliveryAnswer = {
  status: 401,
  outcome: 'bad-signature',
  message: "signature mismatch: compare the webhook's secret with the dispatcher's",
};

/** The secret may be the problem: nothing in the delivery can be trusted. Polling finds the job once that is fixed. */
export const registrationSetAside: DeliveryAnswer = {
  status: 503,
  outcome: 'set-aside',
  message: 'the configuration of this registration has problems: `shr validate` names them',
};

export const noSuchRegistration: DeliveryAnswer = {
  status: 404,
  outcome: 'no-endpoint',
  message: 'no registration of this name has a webhook secret',
};

export const noSuchSource: DeliveryAnswer = {
  status: 404,
  outcome: 'no-endpoint',
  message: 'no source of this name has a webhook secret',
};

export const notAPush: DeliveryAnswer = {
  status: 200,
  outcome: 'not-ours',
  message: 'ignored: only push is of interest here',
};

export const pushSeen: DeliveryAnswer = { status: 202, outcome: 'pushed', message: 'the repository is read now' };

export const noJob: DeliveryAnswer = {
  status: 200,
  outcome: 'no-job',
  message: 'ignored: the delivery carries no job',
};

export const unknownStatus: DeliveryAnswer = {
  status: 200,
  outcome: 'unknown-status',
  message: 'ignored: a job status that this version does not know',
};

export function notOurs(event: string): DeliveryAnswer {
  return { status: 200, outcome: 'not-ours', message: `ignored: ${event} is not ours, only workflow_job is` };
}

export function wrongContentType(message: string): DeliveryAnswer {
  return { status: 415, outcome: 'content-type', message };
}

export function tooLarge(maxBytes: number): DeliveryAnswer {
  return { status: 413, outcome: 'too-large', message: `the body is longer than ${maxBytes} bytes` };
}

export function malformed(message: string): DeliveryAnswer {
  return { status: 400, outcome: 'malformed', message };
}

export function foreign(owner: string, repository: string): DeliveryAnswer {
  return {
    status: 403,
    outcome: 'foreign',
    message: `this webhook's secret does not speak for ${owner}/${repository}: nothing was recorded`,
  };
}

export function overloaded(message: string): DeliveryAnswer {
  return { status: 503, outcome: 'overloaded', message, retryAfterSeconds };
}

/** Concerns one endpoint only: the others are still served. */
export function overRate(retryAfterSeconds: number): DeliveryAnswer {
  return {
    status: 429,
    outcome: 'over-rate',
    message:
      'more deliveries a minute than this endpoint may bring: redeliver them later, or ask the platform for more',
    retryAfterSeconds,
  };
}

/** A legitimate sender does not need thousands of chunks for a few kilobytes, and each of them costs time. */
export const fragmented: DeliveryAnswer = {
  status: 400,
  outcome: 'fragmented',
  message: 'the body comes in pieces of a few bytes',
};

export const tooSlow: DeliveryAnswer = { status: 408, outcome: 'slow', message: 'the body came too slowly' };

export const gaveWay: DeliveryAnswer = {
  status: 503,
  outcome: 'gave-way',
  message: 'not complete when others needed its place: the oldest unfinished request goes first',
  retryAfterSeconds,
};

export const answerOf: Readonly<Record<Recorded, DeliveryAnswer>> = {
  recorded: { status: 202, outcome: 'recorded', message: 'recorded' },
  duplicate: { status: 200, outcome: 'duplicate', message: 'this delivery was recorded before' },
  overloaded: overloaded('too many deliveries wait for the ledger'),
  full: {
    status: 429,
    outcome: 'overloaded',
    message: `this webhook already has ${MAX_OPEN_JOBS} open jobs: redeliver it when some have ended`,
    retryAfterSeconds: 60,
  },
  'ledger-unavailable': {
    status: 503,
    outcome: 'ledger-unavailable',
    message: 'the ledger is not accepting writes: see the log of the dispatcher',
    retryAfterSeconds,
  },
  failed: { status: 500, outcome: 'failed', message: 'could not be recorded: see the log of the dispatcher' },
};
