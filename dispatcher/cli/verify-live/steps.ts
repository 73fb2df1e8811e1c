/** What is verified, in order, and which lines of docs/assumptions.md each step confirms. */

export const stepNames = [
  'launch',
  'launch-again',
  'list',
  'inspect',
  'run',
  'output',
  'secrecy',
  'stop',
  'gone',
  'stop-again',
] as const;
export type StepName = (typeof stepNames)[number];

/** The lines that hold for every service. */
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
};

/** The lines of one service, by kind. */
const ofService: Readonly<Record<string, Partial<Readonly<Record<StepName, readonly string[]>>>>> = {
  docker: { 'launch-again': ['D1'], output: ['D5'] },
};

export function linesOf(step: StepName, kind: string): readonly string[] {
  return [everywhere[step], ...(ofService[kind]?.[step] ?? [])];
}
