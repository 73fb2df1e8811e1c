/**
 * Whether `listen.public.url` leads to this dispatcher. It asks there now and then, and knows the answer as its own. That it
 * gets none proves little: many networks do not let a machine reach its own public address. So a call-back of a runner that
 * was launched with this URL, and can only have come by it, counts more.
 */
import { type Clock, jitter, type Random } from '../../time/clock.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import { isTokenFor } from '../lifecycle/callback-token.ts';
import type { Log } from '../log.ts';
import { type AddressWay, answerInWords, type CallAddress } from './address-call.ts';
import { newNonce, PROOF_PATH, proofForm, proverOf } from './address-proof.ts';

/** `unknown`: it was not asked often enough yet. */
export type AddressState = 'itself' | 'other' | 'unreached' | 'unknown';

export interface AddressStatus {
  readonly url: string;
  readonly state: AddressState;
  /** Who answered, or why nothing did; empty where it answered itself. */
  readonly words: string;
  readonly way: AddressWay;
  readonly sinceMs: number;
  /** When it answered itself last; null: never in this process. */
  readonly itselfAtMs: number | null;
  /** When a runner that was launched with this URL called last; null: none has since the start. */
  readonly calledAtMs: number | null;
}

export interface OwnAddressOptions {
  readonly url: string;
  readonly id: string;
  /** Of this process alone. */
  readonly key: string;
  /** Whether the environment prescribes a proxy for what leaves this machine. */
  readonly hasProxy: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Log, 'info' | 'warn'>;
  readonly call: CallAddress;
}

/** A proxy in front needs a moment to see that this process listens. */
const FIRST_MS = 5 * SECOND;
const AGAIN_MS = 15 * SECOND;
const EVERY_MS = MINUTE;
/** In a row: one that fails is no state. */
const FAILURES = 2;
const LINES_APART_MS = 10 * MINUTE;

interface Look {
  readonly state: Exclude<AddressState, 'unknown'>;
  readonly words: string;
  readonly way: AddressWay;
}

export class OwnAddress {
  readonly #options: OwnAddressOptions;
  #shown: Look | undefined;
  #sinceMs: number;
  #failures = 0;
  #itselfAtMs: number | null = null;
  #calledAtMs: number | null = null;
  /** What the log said last; undefined: nothing that is not over. */
  #logged: string | undefined;
  #loggedAtMs = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: OwnAddressOptions) {
    this.#options = options;
    this.#sinceMs = options.clock.now();
  }

  start(): void {
    this.#schedule(FIRST_MS);
  }

  /** What is under way ends by its own limit, and counts no more. */
  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  /** A call-back came with this token of a living runner. One that was launched with another URL called that one;
   * one of a version that marked no token does not say which. */
  heardRunner(token: string): void {
    if (!isTokenFor(this.#options.url, token)) return;
    this.#calledAtMs = this.#options.clock.now();
    if (this.#logged !== undefined && !isAmiss(this.status())) this.#tell();
  }

  status(): AddressStatus {
    return {
      url: this.#options.url,
      state: this.#shown?.state ?? 'unknown',
      words: this.#shown?.words ?? '',
      way: this.#shown?.way ?? 'direct',
      sinceMs: this.#sinceMs,
      itselfAtMs: this.#itselfAtMs,
      calledAtMs: this.#calledAtMs,
    };
  }

  #schedule(ms: number): void {
    const { clock, random } = this.#options;
    this.#cancel = clock.after(jitter(ms, random), () => {
      void this.#ask();
    });
  }

  async #ask(): Promise<void> {
    const look = await this.#look();
    if (this.#stopped) return;
    this.#take(look);
    this.#schedule(look.state !== 'itself' && this.#failures < FAILURES ? AGAIN_MS : EVERY_MS);
  }

  /** The first way on which it answers itself; else what the first way met. */
  async #look(): Promise<Look> {
    const straight = await this.#lookBy('direct');
    if (straight.state === 'itself' || !this.#options.hasProxy) return straight;
    const proxied = await this.#lookBy('proxy');
    return proxied.state === 'itself' ? proxied : straight;
  }

  async #lookBy(way: AddressWay): Promise<Look> {
    const { call, id, key, random, url } = this.#options;
    const nonce = newNonce(random);
    const reply = await call({ url: `${url}${PROOF_PATH}`, form: proofForm(nonce), way });
    if (reply.kind === 'none') return { state: 'unreached', words: `${reply.cause}: ${reply.words}`, way };
    const prover = proverOf(reply.text, nonce, { key, id });
    if (prover === 'process') return { state: 'itself', words: '', way };
    if (prover === 'something else') return { state: 'other', words: answerInWords(reply), way };
    return { state: 'other', words: prover === 'dispatcher' ? 'another process of this dispatcher' : prover, way };
  }

  #take(look: Look): void {
    const now = this.#options.clock.now();
    this.#failures = look.state === 'itself' ? 0 : this.#failures + 1;
    if (look.state === 'itself') this.#itselfAtMs = now;
    else if (this.#failures < FAILURES) return;
    if (this.#shown?.state !== look.state) this.#sinceMs = now;
    this.#shown = look;
    this.#tell();
  }

  /** When it begins to be amiss, when it is over, and in between no more than a few lines an hour. */
  #tell(): void {
    const { clock, log, url } = this.#options;
    const status = this.status();
    const about = isAmiss(status)
      ? 'amiss'
      : status.state === 'unreached' && status.calledAtMs === null
        ? 'unsure'
        : 'well';
    const before = this.#logged;
    if (about === 'well') {
      this.#logged = undefined;
      if (before !== undefined)
        log.info('public-url-reached', { url, by: status.state === 'itself' ? 'itself' : 'runners' });
      return;
    }
    if (about === before || (about === 'amiss' && clock.now() - this.#loggedAtMs < LINES_APART_MS)) return;
    this.#logged = about;
    this.#loggedAtMs = clock.now();
    log[about === 'amiss' ? 'warn' : 'info']('public-url-not-reached', { url, reason: addressInWords(status) });
  }
}

/** Whether runners' call-backs are likely not to arrive: not where only this machine cannot reach the address. */
export function isAmiss({ state, sinceMs, itselfAtMs, calledAtMs }: AddressStatus): boolean {
  if (state === 'itself' || state === 'unknown') return false;
  if (calledAtMs !== null && calledAtMs >= sinceMs) return false;
  return state === 'other' || itselfAtMs !== null;
}

export function addressInWords(status: AddressStatus): string {
  const { url, state, words, way, sinceMs, itselfAtMs, calledAtMs } = status;
  if (state === 'unknown') return `${url} has not been asked yet`;
  if (state === 'itself')
    return `${url} leads to this dispatcher${way === 'proxy' ? ', through the proxy of its environment' : ''}`;
  const found =
    state === 'other'
      ? `${url} is answered by something else when it is asked from here (${words})`
      : `${url} could not be reached from here (${words})`;
  if (calledAtMs !== null && calledAtMs >= sinceMs)
    return `${found}; runners reach it: one called at ${iso(calledAtMs)}`;
  const before =
    calledAtMs === null
      ? 'no runner that was launched with it by this version has called since the start'
      : `the last runner that was launched with it by this version called at ${iso(calledAtMs)}`;
  if (!isAmiss(status)) return `${found}; runners may reach it: ${before}`;
  const until = itselfAtMs === null ? '' : `, and was until ${iso(itselfAtMs)}`;
  return `${found}${until}; ${before}. ${ADDRESS_CURE}`;
}

export const ADDRESS_CURE =
  'Let its name and the proxy in front lead to the public listener, or correct `listen.public.url` in dispatcher.yaml';

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
