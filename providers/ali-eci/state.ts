/** Converts the service's description of a container group to the contract's instance. Pure. */
import { z } from 'zod';
import { failingEvent } from '../kit/events.ts';
import type { Instance, InstanceReason, InstanceState } from '../provider.ts';
import { fromTags } from './tags.ts';

const event = z.object({
  Reason: z.string().default(''),
  Message: z.string().default(''),
  Type: z.string().default(''),
});

/** An element of `ContainerGroups`. Volumes and environments are not read, as they may contain secrets. */
export const containerGroup = z.object({
  ContainerGroupId: z.string().min(1),
  ContainerGroupName: z.string(),
  Status: z.string(),
  SpotStrategy: z.string().optional(),
  InternetIp: z.string().nullish(),
  IntranetIp: z.string().nullish(),
  Tags: z.array(z.object({ Key: z.string(), Value: z.string().default('') })).nullish(),
  Events: z.array(event).nullish(),
  Containers: z
    .array(
      z.object({
        Image: z.string().nullish(),
        RestartCount: z.number().nullish(),
        CurrentState: z
          .object({
            State: z.string().default(''),
            Reason: z.string().default(''),
            Message: z.string().default(''),
            ExitCode: z.number().optional(),
          })
          .nullish(),
      }),
    )
    .nullish(),
});
export type ContainerGroup = z.infer<typeof containerGroup>;

export const describedGroups = z.object({
  NextToken: z.string().nullish(),
  ContainerGroups: z.array(containerGroup).nullish(),
});

/** An entry of DescribeContainerGroupStatus: fewer fields, but an independent source. */
export const describedStatus = z.object({
  NextToken: z.string().nullish(),
  Data: z.array(z.object({ ContainerGroupId: z.string(), Status: z.string().default('') })).nullish(),
});

/** Undefined if the container group is not ours. Names are not unique at this service: the tags decide. */
export function toInstance(group: ContainerGroup): Instance | undefined {
  const tags = fromTags((group.Tags ?? []).map(({ Key, Value }) => ({ key: Key, value: Value })));
  if (tags === undefined || tags.runner !== group.ContainerGroupName) return undefined;
  const reason = reasonOf(group);
  return {
    ref: { name: tags.runner, id: group.ContainerGroupId },
    state: stateOf(group.Status),
    ...(reason === undefined ? {} : { reason }),
    tags,
  };
}

/** Whether the group is alive, as far as this status tells. */
export function isLive(status: string): boolean {
  return ['Scheduling', 'Pending', 'Running', 'Restarting', 'Updating'].includes(status);
}

function stateOf(status: string): InstanceState {
  switch (status) {
    case 'Scheduling':
    case 'Pending':
      return 'pending';
    case 'Running':
    case 'Restarting':
    case 'Updating':
    // Still within its grace period; once gone it is no longer listed.
    case 'Terminating':
      return 'running';
    case 'Succeeded':
      return 'succeeded';
    case 'Failed':
    case 'ScheduleFailed':
    case 'Expired':
      return 'failed';
    default:
      return 'unknown';
  }
}

const noStock = /^(ContainerGroup\.)?(NoStock|StockClose|StockExhaust|Spot\.?NotMatched|IpNotEnough)/i;
const imagePull = /^(ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull|RegistryUnavailable)$/i;
const pullMessage = /fail(ed)? to pull image|pull image .*fail|manifest .* not found/i;

function reasonOf(group: ContainerGroup): InstanceReason | undefined {
  const events = group.Events ?? [];
  const current = group.Containers?.[0]?.CurrentState ?? undefined;
  const exitCode = current?.ExitCode;
  const code = exitCode === undefined ? {} : { exitCode };
  const said = (test: (found: z.infer<typeof event>) => boolean): string | undefined => {
    const found = events.findLast(test);
    return found === undefined ? undefined : `${found.Reason}: ${found.Message}`;
  };

  const outOfMemory =
    current?.Reason === 'OOMKilled' ? 'the container was killed at its memory limit (OOMKilled)' : undefined;
  const killed = outOfMemory ?? said((found) => found.Reason === 'OOMKilled');
  if (killed !== undefined) return { kind: 'out-of-memory', message: killed, ...code };

  if (group.Status === 'ScheduleFailed') {
    const stock = said((found) => noStock.test(found.Reason));
    if (stock !== undefined) return { kind: 'no-stock', message: stock };
    const last = said((found) => found.Type === 'Warning');
    if (last !== undefined && /^(InsufficientBalance|DiskCapacityQuotaFull|.*Arrear)/i.test(last)) {
      return { kind: 'unknown', message: last };
    }
    // The service found no capacity to run it on, whatever status it reports: try another backend.
    return { kind: 'no-stock', message: last ?? 'the service found nothing to run it on (ScheduleFailed)' };
  }
  const ended = ['Succeeded', 'Failed', 'Expired'].includes(group.Status);
  if (ended) {
    const deadline = said((found) => /DeadlineExceeded/i.test(found.Reason));
    if (deadline !== undefined || /DeadlineExceeded/i.test(current?.Reason ?? '')) {
      return { kind: 'time-limit', message: deadline ?? 'its active deadline has passed', ...code };
    }
    const reclaimed = said((found) => /^Spot.*Released?$/i.test(found.Reason));
    if (reclaimed !== undefined && group.Status !== 'Succeeded') {
      return { kind: 'spot-reclaimed', message: reclaimed, ...code };
    }
  }
  if (group.Status === 'Terminating') return { kind: 'stopped', message: 'it is being deleted (Terminating)' };
  if (group.Status === 'Expired') return { kind: 'unknown', message: 'the service ended it (Expired)', ...code };
  const pull =
    current !== undefined && imagePull.test(current.Reason) ? `${current.Reason}: ${current.Message}` : undefined;
  const failedPull = pull ?? (exitCode === undefined ? said((found) => pullMessage.test(found.Message)) : undefined);
  if (failedPull !== undefined && group.Status !== 'Running') return { kind: 'image-pull-failed', message: failedPull };
  if (ended && exitCode !== undefined) {
    const message = exitCode > 128 ? `ended by signal ${exitCode - 128}` : `exited with ${exitCode}`;
    return { kind: 'exited', message, exitCode };
  }
  if (group.Status === 'Failed') {
    const telling = failingEvent(events, ({ Type, Reason, Message }) => ({
      warning: Type === 'Warning',
      words: `${Reason}: ${Message.replaceAll(/"[^"]*"/g, '')}`,
    }));
    const message =
      telling === undefined ? 'the service says Failed, without a reason' : `${telling.Reason}: ${telling.Message}`;
    return { kind: 'unknown', message };
  }
  return undefined;
}
