/** The body of a creation, as the service parses it. Unknown fields are refused. */
import { z } from 'zod';
import { Refusal } from './refusal.ts';

const text = z.string();
const environmentVariable = z.strictObject({
  name: text.regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/, 'a valid environment variable name'),
  value: text.optional(),
  secureValue: text.optional(),
});

const container = z.strictObject({
  name: text.regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
  properties: z.strictObject({
    image: text.min(1),
    command: z.array(text).default([]),
    environmentVariables: z.array(environmentVariable).default([]),
    resources: z.strictObject({
      requests: z.strictObject({ cpu: z.number().positive(), memoryInGB: z.number().positive() }),
    }),
    volumeMounts: z
      .array(z.strictObject({ name: text, mountPath: text.regex(/^[^:]+$/), readOnly: z.boolean().default(false) }))
      .default([]),
    ports: z
      .array(z.strictObject({ port: z.int().min(1).max(65_535), protocol: z.enum(['TCP', 'UDP']).default('TCP') }))
      .default([]),
    securityContext: z
      .strictObject({ privileged: z.boolean().optional(), allowPrivilegeEscalation: z.boolean().optional() })
      .optional(),
  }),
});

const volume = z.strictObject({
  name: text.regex(/^(?!.*--)[a-z0-9]([a-z0-9-]{3,61}[a-z0-9])$/),
  azureFile: z
    .strictObject({
      shareName: text.min(3).max(63),
      readOnly: z.boolean().default(false),
      storageAccountName: text.min(3).max(24),
      storageAccountKey: text.min(1),
    })
    .optional(),
  emptyDir: z.record(text, z.never()).optional(),
  /** By file, in base64. */
  secret: z.record(text.min(1), z.base64()).optional(),
});

const containerGroup = z.strictObject({
  location: text.min(1),
  tags: z.record(text, text).default({}),
  zones: z.array(text).max(1).optional(),
  identity: z
    .strictObject({
      type: z.enum(['UserAssigned', 'SystemAssigned', 'SystemAssigned, UserAssigned', 'None']),
      userAssignedIdentities: z.record(text, z.strictObject({})).optional(),
    })
    .optional(),
  properties: z.strictObject({
    containers: z.array(container).min(1).max(60),
    osType: z.enum(['Linux', 'Windows']),
    restartPolicy: z.enum(['Always', 'OnFailure', 'Never']).default('Always'),
    sku: z.enum(['Standard', 'Dedicated', 'Confidential']).default('Standard'),
    priority: z.enum(['Regular', 'Spot']).optional(),
    imageRegistryCredentials: z
      .array(
        z.strictObject({
          server: text.min(1),
          username: text.optional(),
          password: text.optional(),
          identity: text.optional(),
        }),
      )
      .optional(),
    subnetIds: z
      .array(z.strictObject({ id: text, name: text.optional() }))
      .max(1)
      .optional(),
    ipAddress: z
      .strictObject({
        type: z.enum(['Public', 'Private']),
        ports: z.array(z.strictObject({ port: z.int(), protocol: z.enum(['TCP', 'UDP']).default('TCP') })).min(1),
        dnsNameLabel: text.regex(/^[a-z][a-z0-9-]{1,61}[a-z0-9]$/).optional(),
      })
      .optional(),
    dnsConfig: z
      .strictObject({ nameServers: z.array(text).min(1), searchDomains: text.optional(), options: text.optional() })
      .optional(),
    volumes: z.array(volume).max(20).optional(),
    diagnostics: z
      .strictObject({
        logAnalytics: z.strictObject({
          workspaceId: text,
          workspaceKey: text,
          logType: z.enum(['ContainerInsights', 'ContainerInstanceLogs']).optional(),
        }),
      })
      .optional(),
    confidentialComputeProperties: z.strictObject({ ccePolicy: text.optional() }).optional(),
  }),
});

export type Decoded = z.infer<typeof containerGroup>;

export interface Rules {
  readonly location: string;
  readonly spotLocations: readonly string[];
  readonly subnets: readonly string[];
  readonly hasImage: (image: string) => boolean;
}

const largest = { Standard: [31, 240], Dedicated: [31, 240], Confidential: [31, 180] } as const;

/** Refuses as the service does before it accepts. */
export function decode(name: string, body: unknown, rules: Rules): Decoded {
  const parsed = containerGroup.safeParse(body);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Refusal(
      400,
      'InvalidRequestContent',
      `The request content was invalid: ${issue?.message} Path '${issue?.path.join('.')}'.`,
    );
  }
  const { data } = parsed;
  const { properties } = data;
  if (data.location !== rules.location) {
    throw new Refusal(
      400,
      'LocationNotAvailableForResourceType',
      `The provided location '${data.location}' is not available for resource type 'Microsoft.ContainerInstance/containerGroups'.`,
    );
  }
  const tags = Object.entries(data.tags);
  if (tags.length > 50) throw new Refusal(400, 'InvalidTags', 'A resource can have at most 50 tags.');
  const bad = tags.find(([key, value]) => !/^[^<>%&\\?/]{1,512}$/.test(key) || value.length > 256);
  if (bad !== undefined) throw new Refusal(400, 'InvalidTagNameCharacters', `The tag '${bad[0]}' is invalid.`);
  if (new Set(tags.map(([key]) => key.toLowerCase())).size < tags.length) {
    throw new Refusal(400, 'InvalidTags', 'Duplicate tag names.');
  }

  const cpu = sum(data, ({ cpu: cores }) => cores);
  const memory = sum(data, ({ memoryInGB }) => memoryInGB);
  const [mostCpu, mostMemory] = properties.priority === 'Spot' ? [4, 16] : largest[properties.sku];
  if (cpu > mostCpu || memory > mostMemory) {
    throw new Refusal(
      400,
      'ResourceRequestsNotSupported',
      `The resource requests of container group '${name}' exceed '${mostCpu}' CPU and '${mostMemory}' GB.`,
    );
  }
  const privileged = properties.containers.some(({ properties: own }) => own.securityContext?.privileged === true);
  if (privileged && properties.sku !== 'Confidential') {
    throw new Refusal(
      400,
      'PrivilegedContainerNotSupported',
      `Privileged containers are only supported for Confidential container groups.`,
    );
  }
  if (properties.priority === 'Spot') {
    if (!rules.spotLocations.includes(data.location)) {
      throw new Refusal(400, 'SpotPriorityNotSupported', `Spot is not supported in location '${data.location}'.`);
    }
    if (properties.subnetIds !== undefined || properties.sku === 'Confidential' || data.zones !== undefined) {
      throw new Refusal(
        400,
        'SpotPriorityNotSupported',
        'Spot is not supported with a subnet, a zone or the Confidential SKU.',
      );
    }
  }
  const subnet = properties.subnetIds?.[0]?.id;
  if (subnet !== undefined && !rules.subnets.includes(subnet)) {
    throw new Refusal(400, 'SubnetNotFound', `The subnet '${subnet}' was not found.`);
  }
  if (properties.ipAddress?.type === 'Public' && subnet !== undefined) {
    throw new Refusal(400, 'PublicIPNotSupported', 'A public address is not supported in a virtual network.');
  }
  const open = new Set(properties.containers.flatMap(({ properties: own }) => own.ports.map(({ port }) => port)));
  const closed = properties.ipAddress?.ports.find(({ port }) => !open.has(port));
  if (closed !== undefined) {
    throw new Refusal(400, 'InvalidContainerPort', `The port '${closed.port}' is exposed by no container.`);
  }
  for (const { properties: own } of properties.containers) {
    const lost = own.volumeMounts.find(
      (mount) => !(properties.volumes ?? []).some(({ name: has }) => has === mount.name),
    );
    if (lost !== undefined) throw new Refusal(400, 'InvalidVolumeMount', `The volume '${lost.name}' is not defined.`);
    if (!rules.hasImage(own.image)) {
      throw new Refusal(
        400,
        'InaccessibleImage',
        `The image '${own.image}' in container group '${name}' is not accessible. Please check the image and registry credential.`,
      );
    }
  }
  return data;
}

export function sum(
  group: Decoded,
  part: (requests: { readonly cpu: number; readonly memoryInGB: number }) => number,
): number {
  return group.properties.containers.reduce((total, one) => total + part(one.properties.resources.requests), 0);
}
