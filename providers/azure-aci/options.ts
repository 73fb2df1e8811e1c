import { z } from 'zod';
import { platformAddresses } from '../kit/addresses.ts';
import { RUNNER_COMMAND } from '../kit/runner-command.ts';
import type { PlatformOption } from '../provider.ts';
import { cloudNames } from './clouds.ts';

const guid = z.guid('must be a GUID, such as 00000000-0000-0000-0000-000000000000');
/** Azure's SDK refuses to send a token over http, even on this machine. */
const address = z.string().regex(/^https:\/\/([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:\d+)?$/, 'write https://HOST[:PORT]');
const tenant = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.-]{0,127}$/, 'write the tenant (directory) id');
const pem = z.string().includes('-----BEGIN', 'must be a PEM text, not a path');

const subnetId = z
  .string()
  .regex(
    /^\/subscriptions\/[^/\s]+\/resourceGroups\/[^/\s]+\/providers\/Microsoft\.Network\/virtualNetworks\/[^/\s]+\/subnets\/[^/\s]+$/i,
    'write the resource id: /subscriptions/…/resourceGroups/…/providers/Microsoft.Network/virtualNetworks/…/subnets/…',
  );
const identityId = z
  .string()
  .regex(
    /^\/subscriptions\/[^/\s]+\/resourceGroups\/[^/\s]+\/providers\/Microsoft\.ManagedIdentity\/userAssignedIdentities\/[^/\s]+$/i,
    'write the resource id of a user-assigned identity: /subscriptions/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/…',
  );

/** How the dispatcher signs in. Not what jobs get: see `runnerIdentities`. */
export const azureCredentials = z.discriminatedUnion(
  'kind',
  [
    /** A service principal and its secret. */
    z.strictObject({
      kind: z.literal('secret'),
      tenantId: tenant,
      clientId: guid,
      clientSecret: z.string().min(1),
    }),
    /** A service principal and its certificate with private key, both in one PEM text. */
    z.strictObject({
      kind: z.literal('certificate'),
      tenantId: tenant,
      clientId: guid,
      certificate: pem.includes('PRIVATE KEY', 'must contain the private key too'),
    }),
    /** The managed identity of the machine or container that the dispatcher runs on. */
    z.strictObject({
      kind: z.literal('managed-identity'),
      /** Client id of a user-assigned identity; without it the system-assigned one is used. */
      clientId: guid.optional(),
    }),
    /**
     * The federated identity of the dispatcher's Kubernetes service account; AZURE_FEDERATED_TOKEN_FILE names the token
     * file.
     */
    z.strictObject({
      kind: z.literal('workload-identity'),
      tenantId: tenant,
      clientId: guid,
    }),
  ],
  'kind must be secret, certificate, managed-identity or workload-identity',
);
export type AzureCredentials = z.infer<typeof azureCredentials>;

const registry = z.union(
  [
    z.strictObject({ server: z.string().min(1), username: z.string().min(1), password: z.string().min(1) }),
    /**
     * The identity is also given to the container group, where jobs can use it: it should have no permission but to
     * pull.
     */
    z.strictObject({ server: z.string().min(1), identity: identityId }),
  ],
  'give server with username and password, or server with identity',
);

const EXAMPLE_GUID = '00000000-0000-0000-0000-000000000000';
const EXAMPLE_CREDENTIALS = {
  kind: 'secret',
  tenantId: EXAMPLE_GUID,
  clientId: EXAMPLE_GUID,
  clientSecret: '${env:AZURE_CLIENT_SECRET}',
};

/** The `options` of a backend of kind `azure-aci`. */
export const azureAciOptions = z
  .strictObject({
    cloud: z.enum(cloudNames).default('public'),
    subscriptionId: guid.meta({ examples: [EXAMPLE_GUID] }),
    /**
     * Resource group for the container groups. Use one per backend: the role can be limited to it, and listing it shows
     * only this backend's resources.
     */
    resourceGroup: z
      .string()
      .regex(/^[-\w.()]{0,89}[-\w()]$/, 'is not a valid name of a resource group')
      .meta({ examples: ['runners'] }),
    /** Such as `westeurope`. */
    location: z
      .string()
      .regex(/^[a-z0-9]{3,40}$/, 'write a region as Azure does, such as westeurope')
      .meta({ examples: ['westeurope'] }),
    credentials: azureCredentials.meta({ examples: [EXAMPLE_CREDENTIALS] }),

    /** Replaces the cloud's own addresses: for a private link, a proxy or a simulator. */
    endpoint: address.optional(),
    authorityHost: address.optional(),
    /** PEM texts; trusted instead of the system's CAs for these two addresses. */
    ca: pem.optional(),

    /** Confidential runs on encrypted memory, and is the only SKU that allows privileged containers. */
    sku: z.enum(['Standard', 'Confidential']).default('Standard'),
    /**
     * Policy of a Confidential container group, base64, as written by `az confcom`. It fixes image, command and
     * environment.
     */
    ccePolicy: z.base64().optional(),
    /** Lets jobs with `dind` run privileged; requires the SKU Confidential. */
    privileged: z.boolean().default(false),
    /** The locations in which Azure sells spot container groups. */
    spotLocations: z.array(z.string().min(1)).max(100).default(['eastus2', 'westeurope', 'westus']),
    /** The largest size available to this subscription in the region. Default: the largest that the service sells. */
    mostCpu: z.number().min(1).max(31).optional(),
    mostMemoryGiB: z.number().min(1).max(240).optional(),

    /**
     * Subnet to run in; must be delegated to Microsoft.ContainerInstance/containerGroups. Default: no virtual network
     * and no inbound address.
     */
    subnetId: subnetId.optional(),
    dns: z
      .strictObject({
        nameServers: z.array(z.string().min(1)).min(1).max(3),
        searchDomains: z.string().min(1).optional(),
        options: z.string().min(1).optional(),
      })
      .optional(),
    zone: z.enum(['1', '2', '3']).optional(),

    /** User-assigned identities that jobs can use. Default: none. */
    runnerIdentities: z.array(identityId).max(10).default([]),
    registries: z.array(registry).max(10).default([]),

    /** The storage account whose file shares are the buckets (`disk-BUCKET`). */
    files: z
      .strictObject({
        storageAccount: z.string().regex(/^[a-z0-9]{3,24}$/, 'is not a valid storage account name'),
        storageAccountKey: z.string().min(1),
      })
      .optional(),
    /** Sends the runner's output to a Log Analytics workspace, where it outlives the container group. */
    logAnalytics: z
      .strictObject({
        workspaceId: guid,
        workspaceKey: z.string().min(1),
        logType: z.enum(['ContainerInsights', 'ContainerInstanceLogs']).default('ContainerInstanceLogs'),
      })
      .optional(),
    /** Additional tags on every container group, for example to satisfy the subscription's policies. */
    tags: z
      .record(z.string(), z.string().max(256))
      .refine(
        (tags) => Object.keys(tags).every((name) => /^[^<>%&\\?/]{1,512}$/.test(name)),
        'has a tag with <, >, %, &, \\, ? or / in its name, which Azure does not allow',
      )
      .refine(
        (tags) => !Object.keys(tags).some((name) => /^shr\./i.test(name)),
        'has a tag that begins with shr., which is reserved',
      )
      .refine((tags) => Object.keys(tags).length <= 15, 'has more than 15 tags')
      .default({}),

    /** Command of the container. Default: see `RUNNER_COMMAND`. Never a secret. */
    command: z
      .array(z.string().min(1))
      .min(1)
      .max(50)
      .default([...RUNNER_COMMAND]),
    /** The runner's work folder in the container; a share is mounted here. */
    workFolder: z
      .string()
      .regex(/^\/[^:\s]+$/, 'must be an absolute path without a colon')
      .default('/home/runner/_work'),

    /**
     * Creations that the subscription is granted in the region, and as many deletions; Azure raises this on request.
     */
    limits: z
      .strictObject({
        per5Minutes: z.int().min(1).max(1_000_000).default(100),
        perHour: z.int().min(1).max(1_000_000).default(300),
      })
      .prefault({}),
    /** This backend's share of these limits. */
    rateShare: z.number().min(0.01).max(1).default(1),
    /** Time limit for each call to the service. */
    timeoutMs: z.int().min(100).max(300_000).default(20_000),
  })
  .superRefine((options, context) => {
    const refuse = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    if (options.privileged && options.sku !== 'Confidential') {
      refuse('privileged', 'Azure runs privileged containers with the sku Confidential only');
    }
    if (options.ccePolicy !== undefined && options.sku !== 'Confidential') {
      refuse('ccePolicy', 'requires the sku Confidential');
    }
    if (options.sku === 'Confidential' && options.cloud === 'china') refuse('sku', 'is not sold in China');
    const hasIdentity = options.runnerIdentities.length > 0 || options.registries.some((entry) => 'identity' in entry);
    // [vendor's page "Virtual network scenarios and resources", what is not supported]
    if (options.cloud === 'us-government' && options.subnetId !== undefined && hasIdentity) {
      refuse('subnetId', "the US government's cloud has no managed identities in a subnet");
    }
    if (options.dns !== undefined && options.subnetId === undefined)
      refuse('dns', 'requires a subnet: give subnetId too');
    if (options.ca !== undefined && options.endpoint === undefined && options.authorityHost === undefined) {
      refuse('ca', 'applies to your own addresses only: give endpoint or authorityHost too');
    }
    // The tokens of these two are the dispatcher's own: they must not be sent to an address that a registration
    // chooses, nor to this machine, where jobs may listen.
    if (options.credentials.kind === 'managed-identity' || options.credentials.kind === 'workload-identity') {
      for (const name of ['endpoint', 'authorityHost'] as const) {
        if (options[name] !== undefined) {
          refuse(name, `may not be set with credentials of kind ${options.credentials.kind}`);
        }
      }
    }
  });

export type AzureAciOptions = z.infer<typeof azureAciOptions>;

/** Secrets that must never appear in a message, whatever its source. */
export function secretsOf(options: AzureAciOptions): readonly string[] {
  const { credentials: own, files, logAnalytics, registries } = options;
  return [
    ...(own.kind === 'secret' ? [own.clientSecret] : []),
    ...(own.kind === 'certificate' ? [own.certificate] : []),
    ...(files === undefined ? [] : [files.storageAccountKey]),
    ...(logAnalytics === undefined ? [] : [logAnalytics.workspaceKey]),
    ...registries.flatMap((entry) => ('password' in entry ? [entry.password] : [])),
  ];
}

export function platformOptions(options: AzureAciOptions): readonly PlatformOption[] {
  const { credentials, endpoint, authorityHost } = options;
  const ofMachine = credentials.kind === 'managed-identity' || credentials.kind === 'workload-identity';
  const why = 'it acts by the identity of the dispatcher’s own machine';
  return [
    ...(ofMachine ? [{ option: 'credentials.kind', why }] : []),
    ...platformAddresses({ endpoint, authorityHost }),
  ];
}
