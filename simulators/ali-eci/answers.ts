/** A container group in the form of the service's answers. */
import { constants } from 'node:os';
import type { Group, GroupEvent } from './group.ts';

const time = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');

/** An element of `ContainerGroups` of DescribeContainerGroups. */
export function described(group: Group, region: string, withEvents: boolean, oddStatus: string | undefined) {
  const { decoded } = group;
  const { container } = decoded;
  return {
    ContainerGroupId: group.id,
    ContainerGroupName: decoded.name,
    RegionId: region,
    ZoneId: group.vSwitch.zone,
    Status: oddStatus ?? group.status,
    Cpu: group.size.cpu,
    Memory: group.size.memory,
    RestartPolicy: decoded.restartPolicy,
    SpotStrategy: decoded.spotStrategy,
    VSwitchId: group.vSwitch.id,
    SecurityGroupId: decoded.securityGroupId ?? '',
    ResourceGroupId: decoded.resourceGroupId ?? 'rg-default',
    EphemeralStorage: decoded.ephemeralStorage ?? 0,
    CreationTime: time(group.createdAtMs),
    IntranetIp: '10.0.0.7',
    ...(decoded.autoCreateEip ? { InternetIp: '203.0.113.8' } : {}),
    ...(decoded.ramRoleName === undefined ? {} : { RamRoleName: decoded.ramRoleName }),
    ...(group.endedAtMs === undefined
      ? {}
      : { [group.status === 'Succeeded' ? 'SucceededTime' : 'FailedTime']: time(group.endedAtMs) }),
    Tags: decoded.tags.map(({ Key, Value }) => ({ Key, Value })),
    Events: withEvents ? group.events.map((event) => eventOf(group, event)) : [],
    Volumes: decoded.volumes.map((volume) => ({
      Name: volume.Name,
      Type: volume.Type,
      // Including the content: anyone allowed to describe the group can read it.
      ConfigFileVolumeConfigFileToPaths: volume.files.map(({ Path, Content }) => ({ Path, Content })),
      ...(volume.Driver === undefined ? {} : { FlexVolumeDriver: volume.Driver }),
      ...(volume.Options === undefined ? {} : { FlexVolumeOptions: volume.Options }),
    })),
    Containers: [
      {
        Name: container.Name,
        Image: container.Image,
        Cpu: container.Cpu ?? group.size.cpu,
        Memory: container.Memory ?? group.size.memory,
        Commands: container.Command,
        Args: container.Arg,
        EnvironmentVars: container.EnvironmentVarHide
          ? []
          : container.EnvironmentVar.map(({ Key, Value }) => ({ Key, Value })),
        VolumeMounts: container.VolumeMount.map(({ Name, MountPath, ReadOnly }) => ({ Name, MountPath, ReadOnly })),
        RestartCount: 0,
        Ready: group.status === 'Running',
        CurrentState: currentState(group),
      },
    ],
  };
}

/** An element of `Data` of DescribeContainerGroupStatus. */
export function statusOf(group: Group) {
  return {
    ContainerGroupId: group.id,
    Name: group.decoded.name,
    Namespace: 'default',
    Status: group.status,
    PodStatus: { Phase: group.status === 'Scheduling' ? 'Pending' : group.status, StartTime: time(group.createdAtMs) },
  };
}

function eventOf(group: Group, event: GroupEvent) {
  return {
    Name: `${group.decoded.name}.${event.atMs.toString(16)}`,
    Type: event.type,
    Reason: event.reason,
    Message: event.message,
    Count: 1,
    FirstTimestamp: time(event.atMs),
    LastTimestamp: time(event.atMs),
  };
}

function currentState(group: Group) {
  const end = group.container?.end;
  if (group.waiting !== undefined) {
    return { State: 'Waiting', Reason: group.waiting.reason, Message: group.waiting.message };
  }
  if (group.container === undefined) return { State: 'Waiting', Reason: 'ContainerCreating', Message: '' };
  if (end === undefined) return { State: 'Running', StartTime: time(group.createdAtMs) };
  const exitCode = 'exitCode' in end ? end.exitCode : 128 + (signals.get(end.signal) ?? 9);
  return {
    State: 'Terminated',
    Reason: group.outOfMemory ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error',
    ExitCode: exitCode,
    ...(group.endedAtMs === undefined ? {} : { FinishTime: time(group.endedAtMs) }),
  };
}

const signals = new Map<string, number>(Object.entries(constants.signals));
