/** Faults on request. Off by default: the service then works as documented. */
import { z } from 'zod';
import { Switchboard } from '../switchboard.ts';
import { Refusal } from './refusal.ts';

export const operations = [
  'create',
  'get',
  'list',
  'delete',
  'logs',
  'usages',
  'capabilities',
  'operation',
  'subnet',
  'token',
] as const;
export type Operation = (typeof operations)[number];

const which = {
  /** Absent: every call, except `token`, which has to be named. */
  operation: z.enum(operations).optional(),
  /** Ends after this many calls. */
  times: z.int().positive().optional(),
};

export const faultSchema = z.discriminatedUnion('kind', [
  /** Delays the answer by this much, but not the effect. */
  z.strictObject({ kind: z.literal('latency'), ...which, ms: z.number().min(0).max(600_000) }),
  /** Refused, without any effect. Stock and quota only apply to creations. */
  z.strictObject({ kind: z.literal('no-stock'), ...which }),
  z.strictObject({ kind: z.literal('quota'), ...which }),
  z.strictObject({ kind: z.literal('throttling'), ...which, retryAfterS: z.int().positive().default(10) }),
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
  /**
   * The role assignment is missing. Resource Manager then refuses; within a resource group it never answers an empty
   * list.
   */
  z.strictObject({ kind: z.literal('no-permission'), ...which }),
  /** Accepted, but fails afterwards. */
  z.strictObject({
    kind: z.literal('fails-later'),
    times: z.int().positive().optional(),
    how: z.enum(['no-stock', 'quota', 'image-pull', 'timeout']).default('no-stock'),
  }),
]);
export type Fault = z.infer<typeof faultSchema>;
export type FaultInput = z.input<typeof faultSchema>;

export class Faults {
  readonly #location: string;
  readonly #switched = new Switchboard<Fault>();

  constructor(location: string) {
    this.#location = location;
  }

  /** The returned function ends it. */
  add(input: FaultInput): () => void {
    return this.#switched.add(faultSchema.parse(input));
  }

  clear(): void {
    this.#switched.clear();
  }

  latencyMs(operation: Operation): number {
    return this.#take('latency', operation)?.ms ?? 0;
  }

  /** Throws the refusal of this call. */
  refuse(operation: Operation): void {
    const own = this.#take('refusal', operation);
    if (own !== undefined) throw new Refusal(own.status, own.code, own.message);
    if (this.#take('no-permission', operation) !== undefined) {
      throw new Refusal(
        403,
        'AuthorizationFailed',
        `The client does not have authorization to perform action 'Microsoft.ContainerInstance/${operation}' over scope.`,
      );
    }
    const throttled = this.#take('throttling', operation);
    if (throttled !== undefined) {
      throw new Refusal(429, 'TooManyRequests', 'The request is being throttled.', throttled.retryAfterS);
    }
    if (this.#take('server-error', operation) !== undefined) {
      throw new Refusal(500, 'InternalServerError', 'Encountered internal server error.');
    }
    if (operation !== 'create') return;
    if (this.#take('quota', operation) !== undefined)
      throw new Refusal(400, 'ContainerGroupQuotaReached', this.quotaWords());
    if (this.#take('no-stock', operation) !== undefined)
      throw new Refusal(409, 'ServiceUnavailable', this.stockWords());
  }

  lostAnswer(operation: Operation): 'hang' | 'reset' | undefined {
    return this.#take('lost-answer', operation)?.how;
  }

  failsLater(): Extract<Fault, { kind: 'fails-later' }>['how'] | undefined {
    return this.#take('fails-later', 'create')?.how;
  }

  stockWords(): string {
    return `The requested resource is not available in the location '${this.#location}' at this moment. Please retry with a different resource request or in another location. Resource requested: '1' CPU '1' GB memory 'Linux' OS`;
  }

  quotaWords(): string {
    return `Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota 'StandardCores' exceeded in region '${this.#location}'. Limit: '10', Usage: '10' Requested: '1'.`;
  }

  #take<Kind extends Fault['kind']>(kind: Kind, operation: Operation): Extract<Fault, { kind: Kind }> | undefined {
    return this.#switched.take(kind, (fault) => {
      const wished = 'operation' in fault ? fault.operation : undefined;
      return wished === undefined ? operation !== 'token' : wished === operation;
    });
  }
}
