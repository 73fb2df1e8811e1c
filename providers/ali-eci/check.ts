/** What `shr doctor` prints about a backend: one finding per subject, with its cure. */
import { z } from 'zod';
import type { Finding, NetworkRoom, ProviderErrorKind } from '../provider.ts';
import type { Service } from './calls.ts';
import { type CallName, classify, isDryRunSuccess } from './errors.ts';
import { countHidden } from './hidden.ts';
import type { AliEciOptions } from './options.ts';
import { flatten } from './request.ts';
import { describedGroups, describedStatus } from './state.ts';

const anything = z.object({});
const usage = z.object({ Attributes: z.record(z.string(), z.unknown()).nullish() });
const vSwitches = z.object({
  VSwitches: z
    .object({
      VSwitch: z
        .array(z.object({ VSwitchId: z.string(), ZoneId: z.string().default(''), AvailableIpAddressCount: z.number() }))
        .default([]),
    })
    .nullish(),
});

/** Small, public and the vendor's own; a dry run does not pull it. */
const dryImage = 'registry.cn-hangzhou.aliyuncs.com/eci_open/busybox:1.30';

export async function check(options: AliEciOptions, service: Service): Promise<readonly Finding[]> {
  const first = await credentials(options, service);
  if (!first.ok) return [first];
  const rest = await Promise.all([
    reading(options, service),
    identity(options),
    creating(options, service),
    network(options, service),
    quota(options, service),
  ]);
  return [first, ...rest.flat()];
}

async function credentials({ region }: AliEciOptions, service: Service): Promise<Finding> {
  try {
    await service.call('DescribeRegions', {}, anything);
    return { subject: 'credentials', ok: true, message: `the key is accepted in ${region}` };
  } catch (error) {
    const said = classify('DescribeRegions', error);
    return said.kind === 'unauthorized'
      ? {
          subject: 'credentials',
          ok: false,
          message: said.message,
          cure: 'check accessKeyId, accessKeySecret and securityToken (or the role), and that the key is of the account site (China or international) of the region',
        }
      : {
          subject: 'region',
          ok: false,
          message: said.message,
          cure: `check that this machine reaches the endpoint of ${region} over https, and its clock (15 min off is refused)`,
        };
  }
}

/** The one permission whose absence looks like an empty account. */
async function reading({ region }: AliEciOptions, service: Service): Promise<Finding> {
  const cure =
    'grant eci:DescribeContainerGroups, eci:DescribeContainerGroupStatus and eci:ListUsage together (policy in providers/ali-eci/README.md)';
  try {
    const groups = await service.call(
      'DescribeContainerGroups',
      flatten({ RegionId: region, Limit: 20 }),
      describedGroups,
    );
    if ((groups.ContainerGroups ?? []).length > 0) {
      await service.call('DescribeContainerGroupStatus', flatten({ RegionId: region, Limit: 1 }), describedStatus);
      return { subject: 'permissions', ok: true, message: 'container groups can be read' };
    }
    const alive = await countHidden(service, region, {});
    return alive > 0
      ? {
          subject: 'permissions',
          ok: false,
          message: `DescribeContainerGroups shows nothing, DescribeContainerGroupStatus shows ${alive}: container groups are hidden from this key`,
          cure,
        }
      : { subject: 'permissions', ok: true, message: 'no container groups exist, and no call was refused' };
  } catch (error) {
    return { subject: 'permissions', ok: false, message: classify('DescribeContainerGroups', error).message, cure };
  }
}

function identity({ ramRoleName, ecsRamRole }: AliEciOptions): Finding {
  if (ramRoleName === undefined) {
    return { subject: 'permissions', ok: true, message: 'jobs have no identity at the cloud' };
  }
  return ramRoleName === ecsRamRole
    ? {
        subject: 'permissions',
        ok: false,
        message: `jobs would have the dispatcher's own role, ${ramRoleName}`,
        cure: 'give ramRoleName a role of its own, with only what jobs need',
      }
    : { subject: 'permissions', ok: true, message: `jobs have the role ${ramRoleName}` };
}

/** A dry run: permission, network, role and stock, without creating anything. */
async function creating(options: AliEciOptions, service: Service): Promise<Finding> {
  try {
    await service.call(
      'CreateContainerGroup',
      flatten({
        RegionId: options.region,
        ContainerGroupName: 'shr-dry-run',
        DryRun: true,
        Cpu: 0.25,
        Memory: 0.5,
        VSwitchId: options.vSwitchIds.join(','),
        SecurityGroupId: options.securityGroupId,
        ResourceGroupId: options.resourceGroupId,
        RamRoleName: options.ramRoleName,
        RestartPolicy: 'Never',
        Container: [{ Name: 'runner', Image: dryImage }],
      }),
      anything,
    );
    // Not refused as a dry run should be: something other than the service answered.
    return {
      subject: 'permissions',
      ok: false,
      message: 'the dry run was answered as a real one; a container group shr-dry-run may exist',
      cure: 'look for it and delete it; check the option endpoint',
    };
  } catch (error) {
    if (isDryRunSuccess(error)) return { subject: 'permissions', ok: true, message: 'a dry run of a creation passes' };
    const said = classify('CreateContainerGroup', error);
    const subjects: Partial<Record<ProviderErrorKind, Finding['subject']>> = {
      invalid: 'network',
      quota: 'quota',
      capacity: 'region',
      throttled: 'region',
      transient: 'region',
    };
    const cures: Partial<Record<ProviderErrorKind, string>> = {
      invalid: 'check vSwitchIds, securityGroupId and ramRoleName: they must exist in the region, and in one VPC',
      quota: 'ask for a higher quota in the Quota Center, or wait',
      capacity: 'add a vSwitch of another zone to vSwitchIds',
      throttled: 'try again in a minute',
      transient: 'try again; if it stays, look at the status page of the vendor',
    };
    return {
      subject: subjects[said.kind] ?? 'permissions',
      ok: false,
      message: said.message,
      cure:
        cures[said.kind] ??
        'grant eci:CreateContainerGroup (and ram:PassRole for ramRoleName), and open ECI in the console once',
    };
  }
}

async function vSwitch(id: string, { region }: AliEciOptions, service: Service) {
  const answer = await service.call('DescribeVSwitches', flatten({ RegionId: region, VSwitchId: id }), vSwitches);
  return (answer.VSwitches?.VSwitch ?? []).find((one) => one.VSwitchId === id);
}

/** Empty where no call of VPC can be made. Rejects with what the service says. */
export async function freeAddresses(options: AliEciOptions, service: Service): Promise<readonly NetworkRoom[]> {
  if (!service.knowsNetwork) return [];
  const found = await Promise.all(options.vSwitchIds.map((id) => vSwitch(id, options, service)));
  return found.flatMap((one) =>
    one === undefined ? [] : [{ network: one.VSwitchId, free: one.AvailableIpAddressCount }],
  );
}

async function network(options: AliEciOptions, service: Service): Promise<readonly Finding[]> {
  if (!service.knowsNetwork) return [];
  return Promise.all(
    options.vSwitchIds.map(async (id): Promise<Finding> => {
      try {
        const found = await vSwitch(id, options, service);
        if (found === undefined) {
          return {
            subject: 'network',
            ok: false,
            message: `${id} is not in ${options.region}, or hidden from this key`,
            cure: 'check vSwitchIds, and grant vpc:DescribeVSwitches',
          };
        }
        const free = found.AvailableIpAddressCount;
        return free > 0
          ? { subject: 'network', ok: true, message: `${id} (${found.ZoneId}) has ${free} free addresses` }
          : {
              subject: 'network',
              ok: false,
              message: `${id} (${found.ZoneId}) has no free address`,
              cure: 'add a vSwitch with a larger range to vSwitchIds',
            };
      } catch (error) {
        return {
          subject: 'network',
          ok: false,
          message: classify('DescribeVSwitches' satisfies CallName, error).message,
          cure: 'grant vpc:DescribeVSwitches, and check vSwitchIds',
        };
      }
    }),
  );
}

async function quota({ region }: AliEciOptions, service: Service): Promise<Finding> {
  try {
    const { Attributes } = await service.call('ListUsage', flatten({ RegionId: region }), usage);
    const told = Object.entries(Attributes ?? {})
      .slice(0, 20)
      .map(([name, value]) => `${name} ${String(value)}`);
    return { subject: 'quota', ok: true, message: told.length === 0 ? 'no limits reported' : told.join(', ') };
  } catch (error) {
    return {
      subject: 'quota',
      ok: false,
      message: classify('ListUsage', error).message,
      cure: 'grant eci:ListUsage',
    };
  }
}
