/** Faults on request. Off by default: Google then works as documented. */
import { z } from 'zod';
import type { Random } from '../../time/clock.ts';
import { type CodeName, codeNames, GoogleRefusal, isCodeName } from './status.ts';

const matcher = {
  /** Part of the call's path: `RunJob`, `Jobs/`, `entries:list`, `/v1/token`. Default: all calls. */
  call: z.string().default(''),
  probability: z.number().min(0).max(1).default(1),
  /** Ends after this many matches. */
  times: z.int().positive().optional(),
};

const code = z
  .string()
  .refine(isCodeName, `one of ${codeNames.join(', ')}`)
  .transform((text): CodeName => (isCodeName(text) ? text : 'UNKNOWN'));

export const faultSettings = z.strictObject({
  /** Before each call. */
  latencyMs: z.number().min(0).default(0),
  /** The call has no effect. Covers 5xx, throttling, quota and lost permissions. */
  refusals: z
    .array(
      z.strictObject({
        ...matcher,
        code: code.default('UNAVAILABLE'),
        message: z.string().default('The service is currently unavailable.'),
        reason: z.string().optional(),
        retryAfterSeconds: z.number().min(0).optional(),
      }),
    )
    .default([]),
  /** The call has no effect, but gets a successful answer: a long-running operation that has already failed. */
  failedOperations: z
    .array(
      z.strictObject({ ...matcher, code: code.default('INTERNAL'), message: z.string().default('Internal error') }),
    )
    .default([]),
  /** The answer never arrives. `after`: the call takes effect anyway. */
  silences: z.array(z.strictObject({ ...matcher, effect: z.enum(['before', 'after']).default('after') })).default([]),
  /** Delays the answers of these calls by this much, after the effect. */
  delays: z.array(z.strictObject({ ...matcher, ms: z.number().min(0) })).default([]),
});

export type FaultSettings = z.output<typeof faultSettings>;
export type FaultInput = z.input<typeof faultSettings>;

interface Matcher {
  readonly call: string;
  readonly probability: number;
  readonly times?: number | undefined;
}

export class Faults {
  readonly #random: Random;
  #settings: FaultSettings = faultSettings.parse({});
  #hits = new Map<Matcher, number>();

  constructor(random: Random) {
    this.#random = random;
  }

  get settings(): FaultSettings {
    return this.#settings;
  }

  /** Replaces all faults. Throws zod's error for invalid input. */
  set(input: unknown): FaultSettings {
    this.#settings = faultSettings.parse(input);
    this.#hits = new Map();
    return this.#settings;
  }

  clear(): void {
    this.set({});
  }

  refusal(call: string): GoogleRefusal | undefined {
    const rule = this.#settings.refusals.find((refusal) => this.#hit(refusal, call));
    return rule === undefined ? undefined : new GoogleRefusal(rule.code, rule.message, rule);
  }

  failedOperation(call: string): { readonly code: CodeName; readonly message: string } | undefined {
    return this.#settings.failedOperations.find((failure) => this.#hit(failure, call));
  }

  silence(call: string): 'before' | 'after' | undefined {
    return this.#settings.silences.find((silence) => this.#hit(silence, call))?.effect;
  }

  delayMs(call: string): number {
    return this.#settings.delays.find((delay) => this.#hit(delay, call))?.ms ?? 0;
  }

  #hit(rule: Matcher, call: string): boolean {
    if (!call.includes(rule.call)) return false;
    const hits = this.#hits.get(rule) ?? 0;
    if (rule.times !== undefined && hits >= rule.times) return false;
    if (this.#random() >= rule.probability) return false;
    this.#hits.set(rule, hits + 1);
    return true;
  }
}
