/** Faults on request. Off by default: the service then works as documented. */
import { z } from 'zod';
import { Switchboard } from '../switchboard.ts';

/** A definite refusal by name, with the service's own code and message. */
const refusals = {
  'no-stock': {
    status: 403,
    code: 'OperationDenied.NoStock',
    message:
      'Sales of this resource are temporarily suspended in the specified zone. We recommend that you use the multi-zone creation function to avoid the risk of insufficient resource.',
  },
  quota: { status: 403, code: 'QuotaExceeded', message: 'Vcpu quota exceeded.' },
  throttling: {
    status: 400,
    code: 'Throttling',
    message: 'You have made too many requests within a short time; your request is denied due to request throttling',
  },
  'server-error': {
    status: 503,
    code: 'ServiceUnavailable',
    message: 'The request has failed due to a temporary failure of the server.',
  },
} as const;
export type RefusalName = keyof typeof refusals;

const which = {
  /** Such as `CreateContainerGroup`; absent: every call. */
  action: z.string().optional(),
  /** Ends after this many calls. */
  times: z.int().positive().optional(),
};

export const faultSchema = z.discriminatedUnion('kind', [
  /** Delays the answer by this much, but not the effect. */
  z.strictObject({ kind: z.literal('latency'), ...which, ms: z.number().min(0).max(600_000) }),
  /** Refused, without any effect. */
  z.strictObject({ kind: z.literal('no-stock'), ...which }),
  z.strictObject({ kind: z.literal('quota'), ...which }),
  z.strictObject({ kind: z.literal('throttling'), ...which, retryAfterMs: z.int().positive().optional() }),
  z.strictObject({ kind: z.literal('server-error'), ...which }),
  z.strictObject({
    kind: z.literal('refusal'),
    ...which,
    status: z.int().min(400).max(599),
    code: z.string().min(1),
    message: z.string(),
  }),
  /** The call takes effect, but the answer never arrives: `hang` keeps the connection open, `reset` breaks it. */
  z.strictObject({ kind: z.literal('lost-answer'), ...which, how: z.enum(['hang', 'reset']).default('hang') }),
  /** The permission is missing. DescribeContainerGroups then answers an empty list; every other call is refused. */
  z.strictObject({ kind: z.literal('no-permission'), ...which }),
  /** Accepted, but fails afterwards: without capacity, or for the reason in the event. */
  z.strictObject({
    kind: z.literal('fails-later'),
    times: z.int().positive().optional(),
    status: z.enum(['ScheduleFailed', 'Failed', 'Expired']).default('ScheduleFailed'),
    reason: z.string().default('NoStock'),
    message: z.string().default('Create ECI failed because the specified instance is out of stock. cn-simulated-a'),
  }),
]);
export type Fault = z.infer<typeof faultSchema>;
export type FaultInput = z.input<typeof faultSchema>;

export interface RefusalWords {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs?: number;
}

export class Faults {
  readonly #switched = new Switchboard<Fault>();

  /** The returned function ends it. */
  add(input: FaultInput): () => void {
    return this.#switched.add(faultSchema.parse(input));
  }

  clear(): void {
    this.#switched.clear();
  }

  latencyMs(action: string): number {
    return this.#take('latency', action)?.ms ?? 0;
  }

  refusal(action: string): RefusalWords | undefined {
    const other = this.#take('refusal', action);
    if (other !== undefined) return other;
    const throttling = this.#take('throttling', action);
    if (throttling !== undefined) {
      const { retryAfterMs } = throttling;
      return { ...refusals.throttling, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
    }
    for (const kind of ['server-error', 'quota', 'no-stock'] as const) {
      // Only a creation can fail for stock or quota.
      const fits = kind === 'server-error' || action === 'CreateContainerGroup';
      if (fits && this.#take(kind, action) !== undefined) return refusals[kind];
    }
    return undefined;
  }

  noPermission(action: string): boolean {
    return this.#take('no-permission', action) !== undefined;
  }

  lostAnswer(action: string): 'hang' | 'reset' | undefined {
    return this.#take('lost-answer', action)?.how;
  }

  failsLater(): Extract<Fault, { kind: 'fails-later' }> | undefined {
    return this.#take('fails-later', 'CreateContainerGroup');
  }

  #take<Kind extends Fault['kind']>(kind: Kind, action: string): Extract<Fault, { kind: Kind }> | undefined {
    return this.#switched.take(
      kind,
      (fault) => !('action' in fault) || fault.action === undefined || fault.action === action,
    );
  }
}
