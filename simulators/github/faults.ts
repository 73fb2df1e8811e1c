/** Faults on request. Off by default: GitHub then works as documented. */
import { z } from 'zod';
import type { Random } from '../../time/clock.ts';

const probability = z.number().min(0).max(1);

const matcher = {
  method: z.string().optional(),
  /** A part of the route's pattern, such as `generate-jitconfig` or `/repos/:owner/:repo/actions/runs`. */
  route: z.string().optional(),
  probability: probability.default(1),
  /** Ends after this many matches. */
  times: z.number().int().positive().optional(),
};

export const faultSettingsSchema = z.strictObject({
  webhooks: z
    .strictObject({
      /** The receiver never sees it; the log records it as failed, so that it can be redelivered. */
      lose: probability.default(0),
      /** Never created: it is missing even from the log. */
      vanish: probability.default(0),
      /** Delivered twice with one GUID. */
      double: probability.default(0),
      late: probability.default(0),
      lateMs: z.tuple([z.number().min(0), z.number().min(0)]).default([500, 2_000]),
      /** Held back until the next delivery of the same hook has been sent (or 2 s have passed). */
      reorder: probability.default(0),
    })
    .prefault({}),
  /** A definite refusal: the call has no effect. */
  responses: z
    .array(
      z.strictObject({
        ...matcher,
        status: z.number().int().min(400).max(599).default(503),
        message: z.string().optional(),
        retryAfterSeconds: z.number().optional(),
      }),
    )
    .default([]),
  /** The reply never arrives. `after`: the call takes effect anyway. */
  timeouts: z
    .array(
      z.strictObject({
        ...matcher,
        effect: z.enum(['before', 'after']).default('after'),
        how: z.enum(['hang', 'reset']).default('reset'),
      }),
    )
    .default([]),
  /** `busy` reads false while a job runs, and DELETE succeeds in the middle of it (terraform-aws-github-runner#5228). */
  staleBusy: z.boolean().default(false),
  /** Every request that counts against the limit is refused. */
  rateLimit: z
    .strictObject({
      kind: z.enum(['primary', 'secondary']).default('primary'),
      retryAfterSeconds: z.number().default(60),
    })
    .nullable()
    .default(null),
  /** Using the same App JWT twice within a second gives 404. */
  identicalJwt: z.boolean().default(false),
});

export type FaultSettings = z.output<typeof faultSettingsSchema>;
export type FaultInput = z.input<typeof faultSettingsSchema>;

/** Whether a value from the wire is valid for `Faults.set`. */
export function isFaultInput(input: unknown): input is FaultInput {
  return faultSettingsSchema.partial().safeParse(input).success;
}

interface Matcher {
  readonly method?: string | undefined;
  readonly route?: string | undefined;
  readonly probability: number;
  readonly times?: number | undefined;
}

export class Faults {
  readonly #random: Random;
  #settings: FaultSettings = faultSettingsSchema.parse({});
  #hits = new Map<Matcher, number>();

  constructor(random: Random, initial: FaultInput = {}) {
    this.#random = random;
    this.set(initial);
  }

  get settings(): FaultSettings {
    return this.#settings;
  }

  /** Replaces the given sections as a whole, and keeps the others. */
  set(input: FaultInput): FaultSettings {
    const wanted = faultSettingsSchema.partial().parse(input);
    const named = new Set(Object.keys(input));
    this.#settings = faultSettingsSchema.parse({
      ...this.#settings,
      ...Object.fromEntries(Object.entries(wanted).filter(([key]) => named.has(key))),
    });
    this.#hits = new Map();
    return this.#settings;
  }

  clear(): void {
    this.#settings = faultSettingsSchema.parse({});
    this.#hits = new Map();
  }

  happens(chance: number): boolean {
    return chance > 0 && this.#random() < chance;
  }

  between([low, high]: readonly [number, number]): number {
    return low + this.#random() * Math.max(0, high - low);
  }

  response(method: string, route: string): FaultSettings['responses'][number] | undefined {
    return this.#settings.responses.find((rule) => this.#hit(rule, method, route));
  }

  timeout(method: string, route: string): FaultSettings['timeouts'][number] | undefined {
    return this.#settings.timeouts.find((rule) => this.#hit(rule, method, route));
  }

  #hit(rule: Matcher, method: string, route: string): boolean {
    if (rule.method !== undefined && rule.method.toUpperCase() !== method) return false;
    if (rule.route !== undefined && !route.includes(rule.route)) return false;
    const hits = this.#hits.get(rule) ?? 0;
    if (rule.times !== undefined && hits >= rule.times) return false;
    if (!this.happens(rule.probability)) return false;
    this.#hits.set(rule, hits + 1);
    return true;
  }
}
