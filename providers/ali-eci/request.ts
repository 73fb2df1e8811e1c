/**
 * Converts a launch request to the parameters of CreateContainerGroup, flat as on the wire (`Container.1.Name`). Pure.
 */
import { createHash } from 'node:crypto';
import { type LaunchRequest, ProviderError, type Shape } from '../provider.ts';
import type { AliEciOptions } from './options.ts';
import { toTags } from './tags.ts';

/** What a parameter can be: lists become `Name.1`, `Name.2` …, objects `Name.Field`. */
export type Value = string | number | boolean | readonly Value[] | { readonly [name: string]: Value | undefined };

/** Name of the only container in each group; DescribeContainerLog uses it. */
export const CONTAINER = 'runner';
const SECRETS_FOLDER = '/etc/shr';
/** Maximum size of a ConfigFile volume. */
const MAX_FILE_BYTES = 32 * 1024;
const MAX_FILES_BYTES = 60 * 1024;
/** Maximum length of an environment variable's value [vendor's page of CreateContainerGroup]. */
const MAX_VALUE = 256;
/** Maximum number of EnvironmentVar entries (maxItems in the API description). */
const MAX_VARIABLES = 241;
/** The tag key with which the vendor enables image builds inside a container group. */
export const DOCKER_BUILD_TAG = 'k8s.aliyun.com/eci-docker-build-enable';

/**
 * `retired` is the id of a removed container group that had this name: the service may remember a client token for
 * longer than the group existed.
 */
export function clientToken(dispatcher: string, name: string, retired = ''): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([dispatcher, name, retired]))
    .digest('hex');
  return `shr-${digest.slice(0, 56)}`;
}

export function createParameters(
  request: LaunchRequest,
  options: AliEciOptions,
  token: string,
): Readonly<Record<string, string>> {
  const { shape } = request;
  const carried = carry(request, options);
  const volumes: Value[] = [];
  const mounts: Value[] = [];
  if (carried.files.length > 0) {
    volumes.push({
      Name: 'secrets',
      Type: 'ConfigFileVolume',
      ConfigFileVolume: {
        ConfigFileToPath: carried.files.map(({ name, text }) => ({
          Path: name,
          Content: Buffer.from(text).toString('base64'),
        })),
      },
    });
    mounts.push({ Name: 'secrets', MountPath: SECRETS_FOLDER, ReadOnly: true });
  }
  if (shape.bucket !== undefined) {
    volumes.push({
      Name: 'work',
      Type: 'FlexVolume',
      FlexVolume: { Driver: 'alicloud/oss', Options: JSON.stringify(ossOptions(shape, shape.bucket, options)) },
    });
    mounts.push({ Name: 'work', MountPath: options.workFolder });
  }
  const dockerBuild = shape.dockerInDocker && options.privileged;
  return flatten({
    RegionId: options.region,
    ContainerGroupName: request.name,
    ClientToken: token,
    Cpu: shape.cpu,
    Memory: shape.memoryGiB,
    CpuArchitecture: shape.architecture === 'arm64' ? 'ARM64' : 'AMD64',
    VSwitchId: shape.subnet ?? options.vSwitchIds.join(','),
    SecurityGroupId: shape.securityGroup ?? options.securityGroupId,
    ScheduleStrategy:
      shape.subnet === undefined && options.vSwitchIds.length > 1 ? options.scheduleStrategy : undefined,
    ResourceGroupId: options.resourceGroupId,
    RestartPolicy: 'Never',
    ActiveDeadlineSeconds: Math.min(
      Math.ceil((shape.timeLimitMs ?? Number.POSITIVE_INFINITY) / 1000),
      options.longestLifeS,
    ),
    TerminationGracePeriodSeconds: options.stopGraceS,
    EphemeralStorage: shape.diskGiB === undefined ? undefined : Math.ceil(shape.diskGiB),
    RamRoleName: options.ramRoleName,
    ...(options.publicAddress === undefined
      ? {}
      : { AutoCreateEip: true, EipBandwidth: options.publicAddress.bandwidthMbit, EipISP: options.publicAddress.line }),
    AutoMatchImageCache: options.imageCache === 'auto',
    ...registryParameters(options),
    ...(shape.spot
      ? {
          SpotStrategy: options.spot.strategy,
          SpotPriceLimit: options.spot.strategy === 'SpotWithPriceLimit' ? options.spot.priceLimit : undefined,
          SpotDuration: options.spot.protectionHours,
        }
      : {}),
    ...(options.dns === undefined
      ? {}
      : {
          DnsPolicy: options.dns.nameServers.length > 0 ? 'None' : 'Default',
          'DnsConfig.NameServer': options.dns.nameServers,
          'DnsConfig.Search': options.dns.searches,
          'DnsConfig.Option': options.dns.options.map(({ name, value }) => ({ Name: name, Value: value })),
        }),
    HostAliase: options.hostAliases.map(({ ip, hostnames }) => ({ Ip: ip, Hostname: hostnames })),
    Tag: [...toTags(request.tags), ...(dockerBuild ? [{ key: DOCKER_BUILD_TAG, value: 'true' }] : [])].map(
      ({ key, value }) => ({ Key: key, Value: value }),
    ),
    Volume: volumes,
    Container: [
      {
        Name: CONTAINER,
        Image: shape.image,
        ImagePullPolicy: 'IfNotPresent',
        Cpu: shape.cpu,
        Memory: shape.memoryGiB,
        // An item of Command has at most 256 characters; one of Arg 65,535.
        Command: ['/bin/sh', '-c'],
        Arg: [carried.script],
        EnvironmentVar: carried.variables.map(([Key, text]) => ({ Key, Value: text })),
        EnvironmentVarHide: true,
        SecurityContextPrivileged: dockerBuild ? true : undefined,
        VolumeMount: mounts,
      },
    ],
  });
}

/** Images, and how to pull them: the same for a container group and for an image cache. */
export function registryParameters(options: AliEciOptions): { readonly [name: string]: Value | undefined } {
  return {
    ImageRegistryCredential: options.registries.map(({ server, username, password }) => ({
      Server: server,
      UserName: username,
      Password: password,
    })),
    AcrRegistryInfo:
      options.acrRegistry === undefined
        ? []
        : [
            {
              InstanceId: options.acrRegistry.instanceId,
              InstanceName: options.acrRegistry.instanceName,
              RegionId: options.acrRegistry.region ?? options.region,
              Domain: options.acrRegistry.domains,
            },
          ],
  };
}

/** `Name.1.Field`, counted from 1; undefined values and empty lists are left out. */
export function flatten(values: { readonly [name: string]: Value | undefined }): Record<string, string> {
  const flat: Record<string, string> = {};
  const add = (name: string, value: Value | undefined): void => {
    if (value === undefined) return;
    if (typeof value !== 'object') flat[name] = String(value);
    else if (isList(value))
      value.forEach((item, index) => {
        add(`${name}.${index + 1}`, item);
      });
    else for (const [field, item] of Object.entries(value)) add(`${name}.${field}`, item);
  };
  for (const [name, value] of Object.entries(values)) add(name, value);
  return flat;
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** Why the requested bucket cannot be mounted; undefined if it can. */
export function refuseBucket(bucket: string, prefix: string | undefined): string | undefined {
  if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket)) return `${JSON.stringify(bucket)} is not a valid bucket name`;
  const odd = (prefix ?? '')
    .split('/')
    .find((segment) => segment !== '' && !/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(segment));
  return odd === undefined ? undefined : `${JSON.stringify(odd)} cannot be a folder of a bucket`;
}

function ossOptions(shape: Shape, bucket: string, options: AliEciOptions): Record<string, string | undefined> {
  return {
    bucket,
    url: options.ossEndpoint ?? `oss-${options.region}-internal.aliyuncs.com`,
    path: `/${(shape.bucketPrefix ?? '').replace(/^\/+|\/+$/g, '')}`,
    // The runner is not root in the container.
    otherOpts: '-o allow_other -o mp_umask=000',
    ramRole: options.ramRoleName,
  };
}

interface Carried {
  readonly files: readonly { readonly name: string; readonly text: string }[];
  readonly variables: readonly (readonly [name: string, text: string])[];
  readonly script: string;
}

/**
 * Values that are secret, or too long for a variable, are passed as a file or in pieces. A small shell script
 * reassembles them and then execs the command; the script itself names only variables and files.
 */
function carry(request: LaunchRequest, options: AliEciOptions): Carried {
  const files: { name: string; text: string }[] = [];
  const variables: [string, string][] = [];
  const lines: string[] = [];
  const all = [
    ...Object.entries(request.environment).map(([name, text]) => ({ name, text, plain: text.length <= MAX_VALUE })),
    ...Object.entries(request.secretEnvironment).map(([name, text]) => ({ name, text, plain: false })),
  ];
  for (const { name, text, plain } of all) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      refuse(`${JSON.stringify(name)} is not a valid environment variable name`);
    if (plain) {
      variables.push([name, text]);
    } else if (options.secretsBy === 'config-file') {
      if (Buffer.byteLength(text) > MAX_FILE_BYTES) refuse(`${name} is longer than the 32 KB of a ConfigFile`);
      files.push({ name, text });
      // `$(…)` drops trailing newlines; the x preserves them.
      lines.push(`${name}=$(cat ${SECRETS_FOLDER}/${name} && printf x) || exit 78`, `export ${name}="\${${name}%x}"`);
    } else {
      const pieces = [...slices(text)];
      pieces.forEach((piece, index) => {
        variables.push([`SHR_${index + 1}_${name}`, piece]);
      });
      const names = pieces.map((_, index) => `SHR_${index + 1}_${name}`);
      lines.push(`export ${name}="${names.map((piece) => `\${${piece}}`).join('')}"`, `unset ${names.join(' ')}`);
    }
  }
  if (files.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0) > MAX_FILES_BYTES) {
    refuse('the secret environment is longer than the 60 KB of a ConfigFile volume');
  }
  if (variables.length > MAX_VARIABLES) refuse(`the environment has more than ${MAX_VARIABLES} pieces`);
  return { files, variables, script: [...lines, `exec ${options.command.map(quoted).join(' ')}`].join('\n') };
}

/**
 * The forms in which a request carries its secrets, in case the service repeats one. A very short piece is left out,
 * because redacting it would also remove unrelated words.
 */
export function carriedTexts(secretEnvironment: LaunchRequest['secretEnvironment']): readonly string[] {
  return Object.values(secretEnvironment).flatMap((text) => [
    text,
    Buffer.from(text).toString('base64'),
    ...[...slices(text)].filter((piece) => piece.length >= 16),
  ]);
}

/** Pieces of at most 256 characters, never splitting a character. */
function* slices(text: string): Generator<string> {
  let piece = '';
  for (const character of text) {
    if (piece.length + character.length > MAX_VALUE) {
      yield piece;
      piece = '';
    }
    piece += character;
  }
  yield piece;
}

function quoted(word: string): string {
  return /^[A-Za-z0-9_/.:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function refuse(message: string): never {
  throw new ProviderError('invalid', 'ali-eci launch', message);
}
