/** How a job may run on spot capacity, which is cheaper and may be reclaimed at any time. */
import { nearest } from './nearest.ts';

/**
 * - `never`: on-demand capacity alone.
 * - `prefer`: spot capacity where there is some, else on-demand.
 * - `wait`: spot capacity for a time, then on-demand.
 * - `only`: spot capacity, however long that takes.
 */
export const SPOT_MODES = ['never', 'prefer', 'wait', 'only'] as const;
export type SpotMode = (typeof SPOT_MODES)[number];

/** Modes that may be used. `true`: all of them; `false`: none beyond what is had without asking. */
export type SpotModes = boolean | readonly SpotMode[];

/** What launches can do today: a runner is launched on spot capacity or not, and there is no falling back. */
export const CARRIED_OUT = ['never', 'only'] as const satisfies readonly SpotMode[];

export function isCarriedOut(mode: SpotMode): boolean {
  return CARRIED_OUT.some((one) => one === mode);
}

export function isSpotMode(text: string): text is SpotMode {
  return SPOT_MODES.some((mode) => mode === text);
}

export function spotModeMeant(text: string): SpotMode | undefined {
  return SPOT_MODES.find((mode) => mode === nearest(text, SPOT_MODES));
}

export function spotModeOf(isSpot: boolean): SpotMode {
  return isSpot ? 'only' : 'never';
}

/** Without `true` and without a list that has it, only what is had anyway. */
export function allowsSpotMode(modes: SpotModes, mode: SpotMode): boolean {
  return typeof modes === 'boolean' ? modes : modes.includes(mode);
}

export function spotInWords(mode: SpotMode): string {
  switch (mode) {
    case 'never':
      return 'on-demand capacity';
    case 'prefer':
      return 'spot capacity where there is some, else on-demand';
    case 'wait':
      return 'spot capacity for a time, then on-demand';
    case 'only':
      return 'spot capacity';
  }
}
