/** What may go wrong, how often, and the dice that decide. */
import type { Stream, Streams } from './random.ts';

/** The share of occasions on which each happens, 0 to 1. */
export interface FaultRates {
  /** Deliveries that never come. */
  readonly webhookLost: number;
  readonly webhookDoubled: number;
  /** Seconds to 40 minutes late, and so out of order. */
  readonly webhookLate: number;
  /** A whole poll pass fails. */
  readonly pollFails: number;
  /** Calls that take up to 25 s. */
  readonly githubSlow: number;
  /** 5xx, nothing happened. */
  readonly github5xx: number;
  /** No answer within 30 s, and it happened. */
  readonly githubTimeoutAfter: number;
  /** No answer within 30 s, and nothing happened. */
  readonly githubTimeoutBefore: number;
  readonly githubRateLimited: number;
  /** A listing without some of the runners. */
  readonly githubListGap: number;
  /** GitHub says idle of a busy runner for up to 15 minutes, and grants its DELETE. */
  readonly staleBusy: number;
  /** A GET of a job answers 404 although it exists. */
  readonly job404: number;
  /** A GET of a job is answered with 502. */
  readonly jobUnread: number;
  /** The runner does not pick up what it was given. */
  readonly pickUpFails: number;
  /** A runner outside of our control takes a job of ours. */
  readonly foreignTakes: number;
  readonly providerSlow: number;
  readonly providerTransient: number;
  /** No answer, and it happened. */
  readonly providerTimeoutAfter: number;
  /** No answer, and it happens a minute later. */
  readonly providerTimeoutLate: number;
  readonly providerCapacity: number;
  readonly providerQuota: number;
  readonly providerThrottled: number;
  readonly providerConflict: number;
  /** `inspect` cannot read the state. */
  readonly unknownState: number;
  /** A listing that is empty or lacks some. */
  readonly providerListGap: number;
  readonly bootFails: number;
  readonly bootNever: number;
  readonly bootSlow: number;
  /** The service takes the instance away, job or not. */
  readonly spotKill: number;
  /** The process does not end after its job, or after its registration is gone. */
  readonly hangs: number;
  /** The runner program loses its connection for good while it is idle, and its container lives on. */
  readonly fallsSilent: number;
  /** The container ends before it has connected. */
  readonly exitsEarly: number;
  /** GitHub gives the job of a vanished runner back to the queue instead of failing it. */
  readonly requeues: number;
  /** What a parked container is handed never comes to it: the connection broke. */
  readonly jitLost: number;
  /** A container that was started ahead of its job never asks for one: an image without the entrypoint. */
  readonly neverAsks: number;
  /** A tenant with a secret of its own signs made-up facts that name others' runners and jobs. */
  readonly forged: number;
}

export type Fault = keyof FaultRates;

const FULL: FaultRates = {
  webhookLost: 0.5,
  webhookDoubled: 0.2,
  webhookLate: 0.2,
  pollFails: 0.3,
  githubSlow: 0.1,
  github5xx: 0.1,
  githubTimeoutAfter: 0.1,
  githubTimeoutBefore: 0.05,
  githubRateLimited: 0.03,
  githubListGap: 0.1,
  staleBusy: 0.5,
  pickUpFails: 0.1,
  foreignTakes: 0.1,
  providerSlow: 0.1,
  providerTransient: 0.1,
  providerTimeoutAfter: 0.12,
  providerTimeoutLate: 0.06,
  providerCapacity: 0.1,
  providerQuota: 0.05,
  providerThrottled: 0.05,
  providerConflict: 0.03,
  unknownState: 0.1,
  providerListGap: 0.1,
  bootFails: 0.08,
  bootNever: 0.08,
  bootSlow: 0.06,
  spotKill: 0.15,
  hangs: 0.2,
  fallsSilent: 0.05,
  exitsEarly: 0.05,
  requeues: 0.5,
  job404: 0.2,
  forged: 1,
  jobUnread: 0.3,
  jitLost: 0.2,
  neverAsks: 0.1,
};

export const FAULTS = [
  'webhookLost',
  'webhookDoubled',
  'webhookLate',
  'pollFails',
  'githubSlow',
  'github5xx',
  'githubTimeoutAfter',
  'githubTimeoutBefore',
  'githubRateLimited',
  'githubListGap',
  'staleBusy',
  'pickUpFails',
  'foreignTakes',
  'providerSlow',
  'providerTransient',
  'providerTimeoutAfter',
  'providerTimeoutLate',
  'providerCapacity',
  'providerQuota',
  'providerThrottled',
  'providerConflict',
  'unknownState',
  'providerListGap',
  'bootFails',
  'bootNever',
  'bootSlow',
  'spotKill',
  'hangs',
  'fallsSilent',
  'exitsEarly',
  'requeues',
  'job404',
  'forged',
  'jobUnread',
  'jitLost',
  'neverAsks',
] as const satisfies readonly Fault[];

export function isFault(name: string): name is Fault {
  return FAULTS.some((fault) => fault === name);
}

export function ratesFrom(rateOf: (fault: Fault, full: number) => number): FaultRates {
  const rates = { ...FULL };
  for (const name of FAULTS) rates[name] = rateOf(name, FULL[name]);
  return rates;
}

export const NO_FAULTS: FaultRates = ratesFrom(() => 0);

/**
 * Each fault is in the world or not, by a coin of its own (a world where everything fails hides what one fault does
 * alone), and those that are come in their own strength.
 */
export function drawRates(stream: Stream): FaultRates {
  const level = stream.pick([0.3, 0.6, 1]);
  return ratesFrom((_fault, full) => (stream.chance(0.5) ? full * level * stream.between(0.2, 1) : 0));
}

/** Of these a launch can be the victim: each may cost one more runner. */
const COSTS_A_RUNNER: ReadonlySet<Fault> = new Set<Fault>([
  'webhookLost',
  'webhookLate',
  'pollFails',
  'githubTimeoutAfter',
  'githubTimeoutBefore',
  'github5xx',
  'githubListGap',
  'staleBusy',
  'job404',
  'jobUnread',
  'pickUpFails',
  'foreignTakes',
  'providerTransient',
  'providerTimeoutAfter',
  'providerTimeoutLate',
  'providerConflict',
  'unknownState',
  'providerListGap',
  'bootFails',
  'bootNever',
  'bootSlow',
  'spotKill',
  'hangs',
  'fallsSilent',
  'exitsEarly',
  'requeues',
  'jitLost',
  'neverAsks',
]);

/** These hit one launch or container; the others hide something from the dispatcher, or keep it from asking, for a while. */
const HITS_A_RUNNER: ReadonlySet<Fault> = new Set<Fault>([
  'pickUpFails',
  'providerTimeoutAfter',
  'providerTimeoutLate',
  'providerConflict',
  'bootFails',
  'bootNever',
  'bootSlow',
  'spotKill',
  'fallsSilent',
  'exitsEarly',
  'requeues',
  'jitLost',
  'neverAsks',
]);

export class Dice {
  readonly #rates: FaultRates;
  readonly #streams: Streams;
  #active = true;
  /** How often each has happened. */
  readonly seen = new Map<Fault, number>();
  /** How many faults happened that can cost a runner. */
  costly = 0;
  /** How many of them hit one launch or container. */
  direct = 0;
  total = 0;

  constructor(rates: FaultRates, streams: Streams) {
    this.#rates = rates;
    this.#streams = streams;
  }

  /** From now on nothing goes wrong any more. What is already broken stays so. */
  calm(): void {
    this.#active = false;
  }

  get active(): boolean {
    return this.#active;
  }

  /** Something went wrong that no dice were cast for, such as an outage that was part of the plan. */
  suffer(): void {
    this.total += 1;
    this.costly += 1;
  }

  hits(fault: Fault): boolean {
    const hit = this.#streams(`fault ${fault}`).chance(this.#rates[fault]) && this.#active;
    if (hit) {
      this.total += 1;
      this.seen.set(fault, (this.seen.get(fault) ?? 0) + 1);
      if (COSTS_A_RUNNER.has(fault)) this.costly += 1;
      if (HITS_A_RUNNER.has(fault)) this.direct += 1;
    }
    return hit;
  }

  /** The stream that the details of a part's behaviour are drawn from. */
  stream(part: string): Stream {
    return this.#streams(part);
  }
}
