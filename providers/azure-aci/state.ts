/** Converts the service's description of a container group to the contract's instance. Pure. */
import { z } from 'zod';
import { failingEvent } from '../kit/events.ts';
import type { Instance, InstanceReason, InstanceState } from '../provider.ts';
import { fromTags } from './tags.ts';

const event = z.object({
  name: z.string().nullish(),
  message: z.string().nullish(),
  type: z.string().nullish(),
});
type Event = z.infer<typeof event>;

const containerState = z.object({
  state: z.string().nullish(),
  exitCode: z.number().nullish(),
  detailStatus: z.string().nullish(),
});

/** As the SDK gives it, `properties` flattened. Environments, volumes and credentials are not read. */
export const group = z.object({
  name: z.string().min(1),
  tags: z.record(z.string(), z.string()).nullish(),
  identity: z
    .object({
      type: z.string().nullish(),
      userAssignedIdentities: z.record(z.string(), z.object({ clientId: z.string().nullish() }).nullish()).nullish(),
    })
    .nullish(),
  priority: z.string().nullish(),
  provisioningState: z.string().nullish(),
  instanceView: z.object({ state: z.string().nullish(), events: z.array(event).nullish() }).nullish(),
  ipAddress: z.object({ ip: z.string().nullish(), fqdn: z.string().nullish() }).nullish(),
  containers: z
    .array(
      z.object({
        image: z.string().nullish(),
        instanceView: z
          .object({
            restartCount: z.number().nullish(),
            currentState: containerState.nullish(),
            previousState: containerState.nullish(),
            events: z.array(event).nullish(),
          })
          .nullish(),
      }),
    )
    .nullish(),
});
export type Group = z.infer<typeof group>;

/** Undefined if the container group is not ours. */
export function toInstance(given: Group): Instance | undefined {
  const own = fromTags(given.tags ?? {});
  if (own === undefined || own.tags.runner !== given.name) return undefined;
  const state = stateOf(given);
  const reason = reasonOf(given, state);
  return {
    ref: { name: own.tags.runner, id: own.instance },
    state,
    ...(reason === undefined ? {} : { reason }),
    tags: own.tags,
  };
}

/** Another operation is in progress, and the service accepts no second one [code ContainerGroupTransitioning]. */
export function isTransitioning(given: Group): boolean {
  return ['NotSpecified', 'Accepted', 'Pending', 'Creating', 'Updating', 'Repairing', 'Deleting'].includes(
    given.provisioningState ?? '',
  );
}

export function isDeleting(given: Group): boolean {
  return given.provisioningState === 'Deleting';
}

/**
 * A list only tells how the last operation went: after a successful one the containers may be running or have ended.
 */
export function needsDetail(given: Group): boolean {
  const seen = given.instanceView ?? given.containers?.[0]?.instanceView;
  return (seen === null || seen === undefined) && !isTransitioning(given);
}

function stateOf(given: Group): InstanceState {
  // It may still run; once gone it is no longer listed.
  if (isDeleting(given)) return 'running';
  const view = given.containers?.[0]?.instanceView;
  const current = view?.currentState;
  switch (current?.state) {
    case 'Terminated':
      return current.exitCode === null || current.exitCode === undefined
        ? 'unknown'
        : current.exitCode === 0
          ? 'succeeded'
          : 'failed';
    case 'Running':
      return 'running';
    case 'Waiting':
    case undefined:
    case null:
      return stateOfGroup(given);
    default:
      return 'unknown';
  }
}

function stateOfGroup(given: Group): InstanceState {
  switch (given.instanceView?.state) {
    case 'Running':
      return 'running';
    case 'Succeeded':
      return 'succeeded';
    case 'Failed':
    case 'Stopped':
    case 'Terminated':
      return 'failed';
    case 'Pending':
    case undefined:
    case null:
      break;
    default:
      return 'unknown';
  }
  switch (given.provisioningState) {
    // "Does not mean that it stops attempting to succeed" [vendor's page "states"]; but nothing runs, so it counts as
    // failed.
    case 'Failed':
    case 'Canceled':
      return 'failed';
    case 'Succeeded':
      return given.instanceView?.state === 'Pending' ? 'pending' : 'unknown';
    case 'NotSpecified':
    case 'Accepted':
    case 'Pending':
    case 'Creating':
    case 'Updating':
      return 'pending';
    default:
      return 'unknown';
  }
}

const noStock =
  /insufficient ?capacity|not available in the location|allocation ?failed|out of capacity|quota .*(exceeded|reached)|QuotaReached/i;
const failedPull = /fail(ed)? to pull image|ErrImagePull|ImagePullBackOff|back-off pulling image|InaccessibleImage/i;
/** Exit codes that the platform sets itself [vendor's page "Troubleshoot common issues"]. */
const platformCodes: readonly number[] = [7147, 7148];
const platformEnd = /platform initiated|evict|preempt/i;
/** Events contain the image name, which is arbitrary text. */
const quoted = /"[^"]*"/g;

function reasonOf(given: Group, state: InstanceState): InstanceReason | undefined {
  const view = given.containers?.[0]?.instanceView;
  const current = view?.currentState;
  const exitCode = current?.state === 'Terminated' ? (current.exitCode ?? undefined) : undefined;
  const code = exitCode === undefined ? {} : { exitCode };
  const events = [...(given.instanceView?.events ?? []), ...(view?.events ?? [])];
  const said = (pattern: RegExp): string | undefined => {
    const found = events.findLast((one) => pattern.test(words(one).replaceAll(quoted, '')));
    return found === undefined ? undefined : words(found);
  };

  if (isDeleting(given)) return { kind: 'stopped', message: 'it is being deleted', ...code };

  const killed = [current, view?.previousState].find((one) => /OOM/i.test(one?.detailStatus ?? ''));
  const outOfMemory = killed?.detailStatus ?? said(/OOMKill/i);
  if (outOfMemory !== undefined) return { kind: 'out-of-memory', message: outOfMemory, ...code };

  const reclaimed = said(platformEnd);
  const byPlatform = reclaimed !== undefined || (exitCode !== undefined && platformCodes.includes(exitCode));
  const restarts = view?.restartCount ?? 0;
  // The service restarts an evicted spot container group, without the job that it had.
  if (given.priority === 'Spot' && (byPlatform || restarts > 0)) {
    return {
      kind: 'spot-reclaimed',
      message: reclaimed ?? `the service took the spot container away (${restarts} restarts)`,
      ...code,
    };
  }
  if (byPlatform && exitCode !== undefined && exitCode !== 0) {
    return { kind: 'unknown', message: reclaimed ?? `the platform ended the container (${exitCode})`, ...code };
  }
  if (exitCode === 137) {
    return {
      kind: 'out-of-memory',
      message: 'killed (exit code 137), which at this service is typically the memory limit',
      exitCode,
    };
  }
  if (exitCode !== undefined) {
    const again = restarts > 0 ? `, after ${restarts} restarts by the service` : '';
    const message = exitCode > 128 && exitCode < 192 ? `ended by signal ${exitCode - 128}` : `exited with ${exitCode}`;
    return { kind: 'exited', message: `${message}${again}`, exitCode };
  }
  if (state === 'running') {
    return restarts === 0
      ? undefined
      : { kind: 'unknown', message: `the service started the container again (${restarts} times)` };
  }
  const stock = said(noStock);
  if (stock !== undefined) return { kind: 'no-stock', message: stock };
  const pull =
    said(failedPull) ?? (failedPull.test(current?.detailStatus ?? '') ? (current?.detailStatus ?? '') : undefined);
  if (pull !== undefined) return { kind: 'image-pull-failed', message: pull };
  if (state !== 'failed') return undefined;
  if (given.instanceView?.state === 'Stopped') return { kind: 'stopped', message: 'the container group was stopped' };
  // Azure gives failures the type Normal too, such as those of mounts [vendor's page "Troubleshoot common issues"].
  const telling = failingEvent(events, (one) => ({
    warning: one.type === 'Warning',
    words: words(one).replaceAll(quoted, ''),
  }));
  const detail = current?.detailStatus ?? '';
  const bare = `the service says ${given.provisioningState ?? 'failed'}${detail === '' ? '' : `, ${detail}`}, without a reason`;
  return { kind: 'unknown', message: telling === undefined ? bare : words(telling) };
}

function words(one: Event): string {
  return [one.name, one.message].filter((text) => text !== null && text !== undefined && text !== '').join(': ');
}
