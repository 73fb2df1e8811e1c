/** Parses flat wire parameters (`Container.1.EnvironmentVar.2.Key`), and checks them against the vendor's limits. */
import { z } from 'zod';
import { Refusal } from './refusal.ts';

export type Flat = Readonly<Record<string, string>>;

const text = z.string();
const whole = z
  .string()
  .regex(/^-?\d+$/)
  .transform(Number);
const decimal = z
  .string()
  .regex(/^\d+(\.\d+)?$/)
  .transform(Number);
const truth = z.enum(['true', 'false']).transform((value) => value === 'true');

const schema = z.object({
  region: text,
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,126}[a-z0-9]$/),
  clientToken: z
    .string()
    .max(64)
    .regex(/^[\x20-\x7e]*$/)
    .optional(),
  dryRun: truth.default(false),
  cpu: decimal.optional(),
  memory: decimal.optional(),
  cpuArchitecture: z.enum(['AMD64', 'ARM64']).default('AMD64'),
  vSwitchIds: z.array(text).max(10),
  securityGroupId: text.optional(),
  scheduleStrategy: z.enum(['VSwitchOrdered', 'VSwitchRandom']).optional(),
  resourceGroupId: text.optional(),
  restartPolicy: z.enum(['Always', 'Never', 'OnFailure']).default('Always'),
  activeDeadlineSeconds: whole.optional(),
  terminationGracePeriodSeconds: whole.default(30),
  ephemeralStorage: whole.optional(),
  ramRoleName: text.optional(),
  autoCreateEip: truth.default(false),
  eipBandwidth: whole.optional(),
  eipIsp: text.optional(),
  autoMatchImageCache: truth.default(false),
  spotStrategy: z.enum(['NoSpot', 'SpotWithPriceLimit', 'SpotAsPriceGo']).default('NoSpot'),
  spotPriceLimit: decimal.optional(),
  spotDuration: whole.optional(),
  dnsPolicy: z.enum(['None', 'Default']).optional(),
  nameServers: z.array(text),
  searches: z.array(text),
  dnsOptions: z.array(z.object({ Name: text.optional(), Value: text.optional() })),
  hostAliases: z.array(z.object({ Ip: text, Hostname: z.array(text) })),
  registryCredentials: z.array(z.object({ Server: text, UserName: text, Password: text })),
  acrRegistries: z.array(
    z.object({ InstanceId: text, InstanceName: text.optional(), RegionId: text.optional(), Domain: z.array(text) }),
  ),
  tags: z.array(z.object({ Key: z.string().min(1).max(64), Value: z.string().max(128) })).max(20),
  volumes: z.array(
    z.object({
      Name: text,
      Type: text,
      Driver: text.optional(),
      Options: text.optional(),
      files: z.array(z.object({ Path: text, Content: z.base64().max(44_000) })),
    }),
  ),
  container: z.object({
    Name: text,
    Image: z.string().min(1).max(255),
    ImagePullPolicy: text.optional(),
    Cpu: decimal.optional(),
    Memory: decimal.optional(),
    Command: z.array(z.string().max(256)).max(20),
    Arg: z.array(z.string().max(65_535)).max(10),
    EnvironmentVar: z
      .array(z.object({ Key: z.string().min(1).max(128), Value: z.string().max(256).default('') }))
      .max(241),
    EnvironmentVarHide: truth.default(false),
    Privileged: truth.default(false),
    VolumeMount: z.array(z.object({ Name: text, MountPath: text, ReadOnly: truth.default(false) })),
  }),
});

/** CreateContainerGroup as parsed. Tests compare it with their request. */
export type Decoded = z.infer<typeof schema>;

export function decodeCreate(flat: Flat): Decoded {
  const containers = items(flat, 'Container');
  if (containers.length !== 1)
    throw new Refusal(400, 'InvalidParameter', 'This simulator runs exactly one container a group.');
  const [container = {}] = containers;
  const parsed = schema.safeParse({
    region: flat['RegionId'],
    name: flat['ContainerGroupName'],
    clientToken: flat['ClientToken'],
    dryRun: flat['DryRun'],
    cpu: flat['Cpu'],
    memory: flat['Memory'],
    cpuArchitecture: flat['CpuArchitecture'],
    vSwitchIds: (flat['VSwitchId'] ?? '').split(',').filter((id) => id !== ''),
    securityGroupId: flat['SecurityGroupId'],
    scheduleStrategy: flat['ScheduleStrategy'],
    resourceGroupId: flat['ResourceGroupId'],
    restartPolicy: flat['RestartPolicy'],
    activeDeadlineSeconds: flat['ActiveDeadlineSeconds'],
    terminationGracePeriodSeconds: flat['TerminationGracePeriodSeconds'],
    ephemeralStorage: flat['EphemeralStorage'],
    ramRoleName: flat['RamRoleName'],
    autoCreateEip: flat['AutoCreateEip'],
    eipBandwidth: flat['EipBandwidth'],
    eipIsp: flat['EipISP'],
    autoMatchImageCache: flat['AutoMatchImageCache'],
    spotStrategy: flat['SpotStrategy'],
    spotPriceLimit: flat['SpotPriceLimit'],
    spotDuration: flat['SpotDuration'],
    dnsPolicy: flat['DnsPolicy'],
    nameServers: texts(flat, 'DnsConfig.NameServer'),
    searches: texts(flat, 'DnsConfig.Search'),
    dnsOptions: items(flat, 'DnsConfig.Option'),
    hostAliases: items(flat, 'HostAliase').map((alias) => ({ ...alias, Hostname: texts(alias, 'Hostname') })),
    registryCredentials: items(flat, 'ImageRegistryCredential'),
    acrRegistries: items(flat, 'AcrRegistryInfo').map((acr) => ({ ...acr, Domain: texts(acr, 'Domain') })),
    tags: items(flat, 'Tag').map((tag) => ({ Value: '', ...tag })),
    volumes: items(flat, 'Volume').map((volume) => ({
      ...volume,
      ...(volume['FlexVolume.Driver'] === undefined ? {} : { Driver: volume['FlexVolume.Driver'] }),
      ...(volume['FlexVolume.Options'] === undefined ? {} : { Options: volume['FlexVolume.Options'] }),
      files: items(volume, 'ConfigFileVolume.ConfigFileToPath'),
    })),
    container: {
      ...container,
      Command: texts(container, 'Command'),
      Arg: texts(container, 'Arg'),
      EnvironmentVar: items(container, 'EnvironmentVar'),
      VolumeMount: items(container, 'VolumeMount'),
      Privileged: container['SecurityContextPrivileged'],
    },
  });
  if (parsed.success) return checked(parsed.data);
  const issue = parsed.error.issues[0];
  throw new Refusal(
    400,
    'InvalidParameter',
    `${issue?.path.join('.') ?? 'a parameter'}: ${issue?.message ?? 'is invalid'}`,
  );
}

function checked(decoded: Decoded): Decoded {
  const names = new Set(decoded.volumes.map((volume) => volume.Name));
  if (names.size !== decoded.volumes.length) {
    throw new Refusal(
      400,
      'InvalidParameter.DuplicatedVolumeName',
      'The container group includes volumes with duplicate names.',
    );
  }
  for (const mount of decoded.container.VolumeMount) {
    if (!names.has(mount.Name)) throw new Refusal(400, 'InvalidParameter', `volume ${mount.Name} is not declared`);
  }
  for (const volume of decoded.volumes) {
    const bytes = volume.files.map(({ Content }) => Buffer.from(Content, 'base64').length);
    if (bytes.some((size) => size > 32 * 1024) || bytes.reduce((sum, size) => sum + size, 0) > 60 * 1024) {
      throw new Refusal(400, 'InvalidParameter', 'a ConfigFile has at most 32 KB, and all together 60 KB');
    }
    if (volume.Options !== undefined) JSON.parse(volume.Options);
  }
  if (decoded.spotStrategy === 'SpotWithPriceLimit' && decoded.spotPriceLimit === undefined) {
    throw new Refusal(400, 'MissingParameter', 'SpotPriceLimit is required with SpotWithPriceLimit.');
  }
  return decoded;
}

/** `Name.1`, `Name.2` … without gaps. */
export function texts(flat: Flat, name: string): string[] {
  const found: string[] = [];
  for (let index = 1; ; index += 1) {
    const value = flat[`${name}.${index}`];
    if (value === undefined) return found;
    found.push(value);
  }
}

/** `Name.1.Field` …: the fields of each item, still flat. */
export function items(flat: Flat, name: string): Flat[] {
  const found: Record<string, string>[] = [];
  for (const [key, value] of Object.entries(flat)) {
    if (!key.startsWith(`${name}.`)) continue;
    const match = /^(\d+)\.(.+)$/.exec(key.slice(name.length + 1));
    if (match === null) continue;
    const index = Number(match[1]) - 1;
    if (index < 0 || index > 1000) throw new Refusal(400, 'InvalidParameter', `${key}: lists are counted from 1`);
    found[index] = { ...found[index], [match[2] ?? '']: value };
  }
  for (let index = 0; index < found.length; index += 1) {
    if (found[index] === undefined) throw new Refusal(400, 'InvalidParameter', `${name}.${index + 1} is missing`);
  }
  return found;
}
