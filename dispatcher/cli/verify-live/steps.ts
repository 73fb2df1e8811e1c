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
  'ali-eci': {
    launch: ['ECI1'],
    'launch-again': ['ECI2'],
    list: ['ECI3'],
    run: ['ECI7'],
    output: ['ECI4'],
    secrecy: ['ECI5'],
    gone: ['ECI6'],
  },
  'azure-aci': {
    'launch-again': ['ACI1'],
    list: ['ACI2'],
    run: ['ACI6'],
    output: ['ACI3', 'ACI4'],
    secrecy: ['ACI3'],
    gone: ['ACI5'],
  },
  'gcp-cloud-run': {
    launch: ['CR3'],
    'launch-again': ['CR1'],
    list: ['CR1', 'CR2'],
    inspect: ['CR1'],
    run: ['CR4'],
    output: ['CR5'],
    stop: ['CR6'],
    gone: ['CR6'],
  },
  'gcp-batch': {
    'launch-again': ['GB1'],
    list: ['GB2'],
    run: ['GB3', 'GB6'],
    output: ['GB4', 'GB5'],
    gone: ['GB7'],
  },
};

export function linesOf(step: StepName, kind: string): readonly string[] {
  return [everywhere[step], ...(ofService[kind]?.[step] ?? [])];
}
