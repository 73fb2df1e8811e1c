/** What `shr doctor` prints about a backend: one finding per subject, with its cure. */

import { type Finding, ProviderError } from '../provider.ts';
import { coresInWords } from '../shape-words.ts';
import type { Service } from './calls.ts';
import type { AzureAciOptions } from './options.ts';
import { identitiesOf } from './request.ts';
import { MIN, mostOf, sellsSpot } from './sizes.ts';
import { type Group, toInstance } from './state.ts';
import { DELEGATE } from './subnet.ts';

export async function check(options: AzureAciOptions, service: Service): Promise<readonly Finding[]> {
  let groups: readonly Group[];
  try {
    groups = await service.list();
  } catch (error) {
    return [unusable(options, error)];
  }
  const rest = await Promise.all([region(options, service), quota(options, service), network(options, service)]);
  return [
    {
      subject: 'credentials',
      ok: true,
      message: `signed in (${options.credentials.kind}); ${options.resourceGroup} can be read, ${groups.length} container groups`,
    },
    ...rest,
    ...identity(options, groups),
  ];
}

function unusable(options: AzureAciOptions, error: unknown): Finding {
  const said = error instanceof ProviderError ? error : new ProviderError('transient', 'azure-aci list', String(error));
  const { message, kind, code = '' } = said;
  if (kind !== 'unauthorized') {
    return {
      subject: 'region',
      ok: false,
      message,
      cure: `check that this machine reaches the Azure cloud ${options.cloud} over https, sign-in included; then try again`,
    };
  }
  if (/^Missing\w*Registration|SubscriptionRegistrationState$|^SubscriptionNotRegistered$/i.test(code)) {
    return {
      subject: 'permissions',
      ok: false,
      message,
      cure: 'az provider register --namespace Microsoft.ContainerInstance',
    };
  }
  if (/^(ResourceGroupNotFound|Subscription|InvalidSubscription|Disabled|ReadOnly)/i.test(code)) {
    return {
      subject: 'permissions',
      ok: false,
      message,
      cure: 'check subscriptionId, resourceGroup and cloud; make the resource group if it is missing (az group create)',
    };
  }
  if (/^(AuthorizationFailed|LinkedAuthorizationFailed|Forbidden)/i.test(code)) {
    return {
      subject: 'permissions',
      ok: false,
      message,
      cure: `give the identity the role of providers/azure-aci/README.md on the resource group ${options.resourceGroup}`,
    };
  }
  const cures = {
    secret: 'check tenantId, clientId and clientSecret (az ad app credential list shows when it ends), and cloud',
    certificate: 'check tenantId, clientId and certificate (is it at the app registration, and not ended?), and cloud',
    'managed-identity': 'does this machine have a managed identity, and is it the one of clientId?',
    'workload-identity':
      'check tenantId and clientId, the federated credential at the app registration, and AZURE_FEDERATED_TOKEN_FILE',
  } as const;
  return { subject: 'credentials', ok: false, message, cure: cures[options.credentials.kind] };
}

async function region(options: AzureAciOptions, service: Service): Promise<Finding> {
  const most = mostOf(options, false);
  try {
    const linux = (await service.capabilities()).filter((entry) => entry.osType?.toLowerCase() === 'linux');
    const cpu = Math.max(0, ...linux.map((entry) => entry.capabilities?.maxCpu ?? 0));
    const memory = Math.max(0, ...linux.map((entry) => entry.capabilities?.maxMemoryInGB ?? 0));
    if (cpu < MIN.cpu) {
      return {
        subject: 'region',
        ok: false,
        message: `Azure Container Instances has no Linux containers in ${options.location}`,
        cure: 'choose another location (az provider show --namespace Microsoft.ContainerInstance lists them)',
      };
    }
    const told = `${options.location}: up to ${coresInWords(cpu)} and ${memory} GB a container group`;
    return cpu < most.cpu || memory < most.memoryGiB
      ? {
          subject: 'region',
          ok: true,
          note: true,
          message: `${told}; larger wishes are tried all the same: set mostCpu and mostMemoryGiB to refuse them early`,
        }
      : { subject: 'region', ok: true, message: told };
  } catch (error) {
    return {
      subject: 'region',
      ok: false,
      message: error instanceof Error ? error.message : String(error),
      cure: 'grant Microsoft.ContainerInstance/locations/capabilities/read, and check location',
    };
  }
}

async function quota(options: AzureAciOptions, service: Service): Promise<Finding> {
  try {
    const usages = (await service.usage()).flatMap(({ name, currentValue, limit }) => {
      const value = name?.value ?? '';
      return value === '' || typeof currentValue !== 'number' || typeof limit !== 'number'
        ? []
        : [{ name: value, used: currentValue, limit }];
    });
    const cores =
      options.sku === 'Confidential' ? /^(ContainerGroups|ConfidentialCores)$/i : /^(ContainerGroups|StandardCores)$/i;
    const ours = usages.filter(({ name }) => cores.test(name));
    // Some subscriptions start with a spot quota of 0: report it, but do not fail a backend that runs everything else.
    const spot = sellsSpot(options) ? usages.filter(({ name }) => /^StandardSpotCores$/i.test(name)) : [];
    const told = [...ours, ...spot].map(({ name, used, limit }) => `${name} ${used} of ${limit}`).join(', ');
    const full = ours.find(({ used, limit }) => used >= limit);
    return full === undefined
      ? { subject: 'quota', ok: true, message: told === '' ? 'no limits reported' : told }
      : {
          subject: 'quota',
          ok: false,
          message: told,
          cure: `ask for more ${full.name} in ${options.location} (a support request of the kind quota), or delete what is not needed`,
        };
  } catch (error) {
    return {
      subject: 'quota',
      ok: false,
      message: error instanceof Error ? error.message : String(error),
      cure: 'grant Microsoft.ContainerInstance/locations/usages/read',
    };
  }
}

/** We never request a system-assigned identity, but a policy of the subscription may add one, with any roles. */
function identity(options: AzureAciOptions, groups: readonly Group[]): Finding[] {
  const given = groups.find(
    (group) => toInstance(group) !== undefined && /SystemAssigned/i.test(group.identity?.type ?? ''),
  );
  if (given !== undefined) {
    return [
      {
        subject: 'permissions',
        ok: false,
        message: `the container group ${given.name} has an identity of its own (system-assigned) that was not requested`,
        cure: 'find the policy that adds it (az policy assignment list), exempt the resource group, and look at its roles',
      },
    ];
  }
  const own = options.credentials.kind === 'managed-identity' ? options.credentials.clientId : undefined;
  // An identity's resource id does not reveal its client id; a container group that uses it does.
  const shared = groups
    .filter((group) => toInstance(group) !== undefined)
    .flatMap((group) => Object.entries(group.identity?.userAssignedIdentities ?? {}))
    .find(([, assigned]) => own !== undefined && assigned?.clientId?.toLowerCase() === own.toLowerCase());
  if (shared !== undefined) {
    return [
      {
        subject: 'permissions',
        ok: false,
        message: `jobs have the dispatcher's own identity, ${shared[0].slice(shared[0].lastIndexOf('/') + 1)}`,
        cure: 'give runnerIdentities (and registries) identities of their own, with only what jobs need',
      },
    ];
  }
  const identities = identitiesOf(options);
  if (identities.length === 0) {
    return [{ subject: 'permissions', ok: true, message: 'jobs have no identity at Azure' }];
  }
  const names = identities.map((id) => id.slice(id.lastIndexOf('/') + 1)).join(', ');
  return [
    {
      subject: 'permissions',
      ok: true,
      message: `jobs can use the identities ${names}`,
    },
  ];
}

export async function network(
  { subnetId }: Pick<AzureAciOptions, 'subnetId'>,
  service: Pick<Service, 'subnet'>,
): Promise<Finding> {
  if (subnetId === undefined) {
    const message = 'no virtual network: the containers accept no inbound connections';
    return { subject: 'network', ok: true, message };
  }
  const name = subnetId.slice(subnetId.lastIndexOf('/') + 1);
  try {
    const { delegated, natGateway } = await service.subnet(subnetId);
    if (!delegated) {
      return {
        subject: 'network',
        ok: false,
        message: `the subnet ${name} is not delegated to container groups`,
        cure: `az network vnet subnet update --ids ${subnetId} --delegations ${DELEGATE}`,
      };
    }
    const out = natGateway
      ? 'has a NAT gateway'
      : 'has no NAT gateway: runners reach GitHub by routes of yours, or not';
    return { subject: 'network', ok: true, message: `the subnet ${name} is delegated to container groups and ${out}` };
  } catch (error) {
    const said =
      error instanceof ProviderError ? error : new ProviderError('transient', 'azure-aci subnet', String(error));
    if (said.code !== undefined && /^(AuthorizationFailed|Forbidden|403)$/i.test(said.code)) {
      const message = `the subnet ${name} was not checked: that requires Microsoft.Network/virtualNetworks/subnets/read`;
      return { subject: 'network', ok: true, note: true, message };
    }
    const absent = /NotFound$/i.test(said.code ?? '');
    return {
      subject: 'network',
      ok: false,
      message: said.message,
      cure: absent
        ? `check subnetId: az network vnet subnet show --ids ${subnetId}`
        : 'try again; launches go on meanwhile',
    };
  }
}
