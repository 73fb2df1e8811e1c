/**
 * The last step: the command that real runners run, with a configuration that GitHub would refuse. It tells "the
 * image has no runner" from "it runs"; nothing is registered anywhere.
 */
import {
  type Instance,
  type LaunchRequest,
  type Provider,
  ProviderError,
  type ProviderErrorKind,
} from '../../../providers/provider.ts';
import type { Clock } from '../../../time/clock.ts';
import { pause } from '../../../time/deadline.ts';

export interface RunnerTrial {
  /** From the backend as configured. */
  readonly provider: Provider;
  readonly request: LaunchRequest;
  readonly clock: Clock;
  readonly patience: { readonly runMs: number; readonly goneMs: number };
  readonly signal: AbortSignal;
  /** Bounds one call. */
  readonly call: <T>(call: Promise<T>) => Promise<T>;
}

const LOOK_MS = 500;
/** By then a runner has printed its banner, and most containers without a runner have exited. */
const WORDS_MS = 30_000;
/** A shell that cannot find its program says so and exits within this time. */
const SETTLED_MS = 3_000;
/** Exit codes of shells, engines and clouds: the program is missing, or not executable. */
const NO_PROGRAM: ReadonlySet<number> = new Set([125, 126, 127, 128]);
const noProgram =
  /no such file|executable file not found|not found in \$?PATH|does not exist or is not executable|exec format error|permission denied|unable to start container process/i;
const REFUSED: readonly ProviderErrorKind[] = ['invalid'];

/** In GitHub's format, for a runner that it does not know and with a key that does not exist. */
export function refusedConfiguration(host: string, name: string): string {
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64');
  const url = `https://${host}/`;
  return encoded({
    '.runner': encoded({
      AgentId: '1',
      AgentName: name,
      PoolId: '1',
      PoolName: 'Default',
      Ephemeral: 'true',
      ServerUrl: url,
      GitHubUrl: url,
      WorkFolder: '_work',
    }),
    '.credentials': encoded({
      Scheme: 'OAuth',
      Data: { ClientId: '00000000-0000-0000-0000-000000000000', AuthorizationUrl: url },
    }),
    '.credentials_rsaparams': encoded({}),
  });
}

/** Describes what the command did. Rejects if the image apparently has no runner; removes the container. */
export async function tryRunner(trial: RunnerTrial): Promise<string> {
  const { provider, request, call } = trial;
  try {
    try {
      await call(provider.launch(request));
    } catch (error) {
      const refused = error instanceof ProviderError && REFUSED.includes(error.kind) && noProgram.test(error.message);
      throw refused ? new Error(`the image has no runner that can be started: ${error.message}`) : error;
    }
    return await watch(trial);
  } finally {
    await takeAway(trial);
  }
}

async function watch({ provider, request, clock, patience, signal, call }: RunnerTrial): Promise<string> {
  const { name } = request;
  const startedAtMs = clock.now();
  let ranAtMs: number | undefined;
  for (;;) {
    const found = await call(provider.inspect({ name }));
    if (found === undefined) throw new Error('the container was gone before its command was seen running');
    if (found.state !== 'pending' && found.state !== 'unknown') ranAtMs ??= clock.now();
    if (ranAtMs === undefined) {
      if (clock.now() - startedAtMs >= patience.runMs) throw new Error('it did not start');
    } else {
      const output = (await call(provider.logs({ name })))?.trim() ?? '';
      const late = clock.now() - ranAtMs >= WORDS_MS;
      const settled = clock.now() - ranAtMs >= SETTLED_MS;
      if (isOver(found) || late || (settled && output !== '')) {
        const verdict = judge(found, output, late);
        if (verdict !== undefined) return verdict;
      }
    }
    await pause(clock, LOOK_MS, signal);
  }
}

/** Undefined: look again, its output may be delayed. */
function judge(found: Instance, output: string, late: boolean): string | undefined {
  const last = output.split('\n').at(-1)?.trim() ?? '';
  const { reason } = found;
  if (isOver(found)) {
    const how = reason === undefined ? found.state : reason.message;
    if (reason?.exitCode !== undefined && NO_PROGRAM.has(reason.exitCode)) {
      throw new Error(`the image has no runner that can be started: ${how}${last === '' ? '' : `; ${last}`}`);
    }
    if (reason?.kind === 'image-pull-failed') throw new Error(how);
    if (output === '' && !late) return undefined;
    if (output === '' && found.state === 'failed') {
      throw new Error(`its command ended at once (${how}) and printed nothing: a runner says why it ends`);
    }
  }
  const words = last === '' ? 'it has printed nothing so far' : `its last words: ${last.slice(0, 200)}`;
  return `its own command runs, as it must with a configuration that GitHub refuses; ${words}`;
}

function isOver({ state }: Instance): boolean {
  return state === 'succeeded' || state === 'failed';
}

async function takeAway({ provider, request, clock, patience, call }: RunnerTrial): Promise<void> {
  const { name } = request;
  const endsAtMs = clock.now() + patience.goneMs;
  const never = new AbortController().signal;
  for (;;) {
    await call(provider.stop({ name }));
    if ((await call(provider.inspect({ name }))) === undefined) return;
    if (clock.now() >= endsAtMs) throw new Error(`${name} could not be taken away`);
    await pause(clock, LOOK_MS, never);
  }
}
