/** Which assumptions in docs/assumptions.md each verification step confirms. */
import { type ProviderModule, type VerifyStep, verifySteps } from '../../../providers/provider.ts';

export const stepNames = verifySteps;
export type StepName = VerifyStep;

/** The assumptions common to every service. */
const everywhere: Readonly<Record<StepName, string>> = {
  launch: 'V1',
  'launch-again': 'V2',
  list: 'V3',
  inspect: 'V4',
  run: 'V5',
  output: 'V6',
  secrecy: 'V7',
  stop: 'V8',
  gone: 'V9',
  'stop-again': 'V10',
  runner: 'V11',
};

export function linesOf(step: StepName, module: Pick<ProviderModule, 'assumptions'>): readonly string[] {
  return [everywhere[step], ...(module.assumptions?.[step] ?? [])];
}
