/** `shr explain` of a dispatcher that runs: by what is in force there, as far as the token sees it. */
import { type Clock, systemClock } from '../../time/clock.ts';
import { type Explanation, explanationSchema } from '../http/admin-shapes.ts';
import { AdminClient } from './admin-client.ts';
import { AdminClientError } from './admin-client-error.ts';
import { adminTarget } from './admin-target.ts';
import { printable, printFields, printJson, printTable } from './output.ts';
import type { Terminal } from './terminal.ts';

export interface JobOptions {
  readonly repo: { readonly owner: string; readonly repository: string };
  readonly host: string;
  readonly public?: boolean;
  readonly fork?: boolean;
  readonly workflow?: string;
  readonly branch?: string;
  readonly event?: string;
  readonly actor?: string;
  readonly json?: boolean;
}

/** Which dispatcher. */
export interface RunningOptions {
  readonly url?: string;
  readonly tokenFile?: string;
  readonly profile?: string;
}

export async function explainRunning(
  labels: readonly string[],
  options: JobOptions & RunningOptions,
  terminal: Terminal,
  clock: Clock = systemClock,
): Promise<void> {
  try {
    const { base, token, tokenFrom } = await adminTarget(options, terminal);
    const client = new AdminClient(base, token, clock, tokenFrom);
    const explained = await client.get(['explain'], queryOf(labels, options), explanationSchema);
    if (options.json === true) printJson(terminal, explained);
    else print(explained, base, terminal);
    terminal.exit(explained.outcome === 'lane' ? 0 : 1);
  } catch (error) {
    if (!(error instanceof AdminClientError)) throw error;
    terminal.error(`shr: ${printable(error.message)}\n     ${printable(error.cure)}\n`);
    terminal.exit(error.exitCode);
  }
}

function queryOf(labels: readonly string[], options: JobOptions) {
  const { actor, branch, event, fork, host, repo, workflow } = options;
  const plain = labels.filter((label) => !label.includes(','));
  return {
    repository: `${repo.owner}/${repo.repository}`,
    host,
    labels: plain.join(','),
    label: labels.filter((label) => label.includes(',')),
    visibility: options.public === true ? 'public' : 'private',
    // Earlier versions do not know it.
    ...(fork === true ? { fork: 'true' } : {}),
    ...{ actor, branch, event, workflow },
  };
}

function print(explained: Explanation, base: URL, terminal: Terminal): void {
  const by = ['asked', base.origin] as const;
  switch (explained.outcome) {
    case 'not-ours':
      printFields(terminal, [['outcome', 'not ours: no runner will be started'], ['reason', explained.reason], by]);
      return;
    case 'refused': {
      const { code, cure, field, place, reason, registration } = explained;
      const decided = place ?? field;
      printFields(terminal, [
        ['outcome', `refused (${code})`],
        ['registration', registration],
        ['reason', reason],
        ['cure', cure],
        ...(decided === null ? [] : [['decided by', decided] as const]),
        by,
      ]);
      return;
    }
    case 'lane': {
      const { backends, granted, lane, observes, registration, runnerGroup, scope, shape } = explained;
      const lines = granted?.lines.map(({ field, place }) => `${field} (${place})`).join(', ');
      printFields(terminal, [
        ['outcome', observes ? 'a runner, if the registration did not only observe: none is launched' : 'a runner'],
        ['registration', registration],
        ...(granted === null ? [] : [['tenant', granted.tenant] as const]),
        ...(lines === undefined ? [] : [['granted by', lines] as const]),
        ['lane', lane],
        ['registers at', `${scope}, runner group ${runnerGroup}`],
        ['shape', shape],
        by,
      ]);
      terminal.out('\n');
      printTable(terminal, backends, [{ title: 'backend', value: (backend) => backend }]);
    }
  }
}
