/**
 * Which launches use the candidate image of a registration (`canary`), and when it is stopped. Pure.
 *
 * The lane's own image is called the stable one. Only the first launch for a job may use the candidate: whatever becomes
 * of that, the next one for the job uses the stable image.
 */
import { createHash } from 'node:crypto';
import type { Failure } from '../failures/failure.ts';
import type { Canary } from '../model/registration.ts';
import { ruleFor } from './breaker-rules.ts';

/** What is known of a candidate, since it was last begun with. */
export interface CanaryState extends Canary {
  /** Of its last starts, the latest at the end: `+` came online, `-` failed. */
  readonly starts: string;
  /** Null: it is in use. */
  readonly stopped: { readonly atMs: number; readonly reason: string; readonly failure: Failure } | null;
}

/** So many failed starts in a row stop it, as they close a backend for an image. */
const FAILURES_IN_A_ROW = 3;
/** With this many starts, their share of failures may stop it. */
const LEAST_STARTS = 10;
const MOST_FAILED = 0.2;
/** Older starts are forgotten: a hundred good ones must not hide that it has become bad. */
const STARTS_KEPT = 20;
/** That may be on their way before one of it has come online: a bad image delays no more jobs than these. */
export const MAX_UNPROVEN = 3;

export function newCanary({ image, percent }: Canary): CanaryState {
  return { image, percent, starts: '', stopped: null };
}

export function isSameCanary(one: Canary, other: Canary): boolean {
  return one.image === other.image && one.percent === other.percent;
}

/** Whether the launch is one of the share. By its runner's name, which is new for each attempt. */
export function isDrawn(percent: number, runner: string): boolean {
  const draw = createHash('sha256').update(runner).digest().readUInt32BE(0) / 2 ** 32;
  return draw * 100 < percent;
}

export function isProven({ starts }: CanaryState): boolean {
  return starts.includes('+');
}

/** Whether it may be the image's fault. What closes a backend whatever the image, such as a quota, is not. */
export function isOfImage({ kind, source }: Failure): boolean {
  if (source === 'github') return false;
  const rule = ruleFor(kind)?.name;
  return kind === 'unfit' || rule === 'start' || rule === 'refused';
}

export function afterStart(state: CanaryState): CanaryState {
  return { ...state, starts: kept(`${state.starts}+`) };
}

export function afterFailedStart(state: CanaryState, failure: Failure, nowMs: number): CanaryState {
  const starts = kept(`${state.starts}-`);
  const reason = whyStopped(starts);
  return { ...state, starts, stopped: reason === undefined ? null : { atMs: nowMs, reason, failure } };
}

export function failedOf({ starts }: CanaryState): number {
  return [...starts].filter((start) => start === '-').length;
}

function whyStopped(starts: string): string | undefined {
  if (starts.endsWith('-'.repeat(FAILURES_IN_A_ROW))) return `${FAILURES_IN_A_ROW} starts in a row failed`;
  const failed = [...starts].filter((start) => start === '-').length;
  if (starts.length < LEAST_STARTS || failed < MOST_FAILED * starts.length) return undefined;
  return `${failed} of its last ${starts.length} starts failed`;
}

function kept(starts: string): string {
  return starts.slice(-STARTS_KEPT);
}
