/** Converts the engine's description of a container to the contract's instance. Pure. */
import { z } from 'zod';
import { decodeTags } from '../kit/tags.ts';
import type { Instance, InstanceReason, InstanceState } from '../provider.ts';

const labels = z.record(z.string(), z.string()).nullish();

/** Answer of `GET /containers/ID/json`. */
export const inspected = z.object({
  Id: z.string().min(1),
  /** With a leading slash. */
  Name: z.string(),
  Config: z.object({ Labels: labels }),
  State: z.object({
    Status: z.string(),
    ExitCode: z.number().optional(),
    OOMKilled: z.boolean().optional(),
    Error: z.string().optional(),
  }),
});

/** An element of `GET /containers/json`. */
export const listed = z.array(
  z.object({
    Id: z.string().min(1),
    Names: z.array(z.string()).nullish(),
    Labels: labels,
    State: z.string(),
    /** For people: `Exited (3) 2 seconds ago`. The only place where the list has the exit code. */
    Status: z.string().optional(),
  }),
);

/** Undefined if the container is not ours: the engine also matches a prefix of another container's id. */
export function fromInspected(container: z.infer<typeof inspected>, name: string): Instance | undefined {
  const tags = decodeTags(container.Config.Labels ?? {});
  if (tags === undefined || tags.runner !== name) return undefined;
  const { Status, ExitCode, OOMKilled, Error: error } = container.State;
  const ended = ['exited', 'dead'].includes(Status);
  const reason = reasonOf(ended, ExitCode, OOMKilled === true, error ?? '');
  return {
    ref: { name, id: container.Id },
    state: stateOf(Status, ExitCode),
    ...(reason === undefined ? {} : { reason }),
    tags,
  };
}

export function fromListed(container: z.infer<typeof listed>[number]): Instance | undefined {
  const tags = decodeTags(container.Labels ?? {});
  if (tags === undefined) return undefined;
  const exitCode = /^Exited \((\d+)\)/.exec(container.Status ?? '')?.[1];
  const code = exitCode === undefined ? undefined : Number(exitCode);
  const reason = reasonOf(['exited', 'dead'].includes(container.State), code, false, '');
  return {
    ref: { name: tags.runner, id: container.Id },
    state: stateOf(container.State, code),
    ...(reason === undefined ? {} : { reason }),
    tags,
  };
}

function stateOf(status: string, exitCode: number | undefined): InstanceState {
  switch (status) {
    case 'created':
      return 'pending';
    case 'running':
    case 'paused':
    case 'restarting':
      return 'running';
    case 'exited':
      return exitCode === undefined ? 'unknown' : exitCode === 0 ? 'succeeded' : 'failed';
    case 'dead':
      return 'failed';
    default:
      // `removing`, or any status that a later engine adds: not known to be gone.
      return 'unknown';
  }
}

/**
 * The engine records an out-of-memory kill of any process in the container, even if the first one survived and exited
 * with 0, as the runner does when a step of its job was killed. So it is reported regardless of the exit code.
 */
function reasonOf(
  ended: boolean,
  exitCode: number | undefined,
  outOfMemory: boolean,
  error: string,
): InstanceReason | undefined {
  const code = ended && exitCode !== undefined ? { exitCode } : {};
  if (outOfMemory) {
    return { kind: 'out-of-memory', message: 'the kernel killed a process at the memory limit (OOMKilled)', ...code };
  }
  if (error !== '') return { kind: 'unknown', message: error, ...code };
  if (!ended || exitCode === undefined) return undefined;
  const message = exitCode > 128 ? `ended by signal ${exitCode - 128}` : `exited with ${exitCode}`;
  return { kind: 'exited', message, exitCode };
}
