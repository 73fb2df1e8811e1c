import { z } from 'zod';
import { platformAddresses } from '../kit/addresses.ts';
import { RUNNER_COMMAND } from '../kit/runner-command.ts';
import type { PlatformOption } from '../provider.ts';
import { eciEndpoint, regions } from './endpoints.ts';

const id = (prefix: string) =>
  z.string().regex(new RegExp(`^${prefix}[a-z0-9-]{1,60}$`), `write an id such as ${prefix}bp1abc`);

const address = z
  .string()
  .regex(
    /^(https:\/\/[A-Za-z0-9.-]+(:\d+)?|http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d+)?)$/,
    'write https://HOST[:PORT]; http:// is allowed for this machine only',
  );

/** The `options` of a backend of kind `ali-eci`. */
export const aliEciOptions = z
  .strictObject({
    /** Such as `cn-hangzhou` or `eu-central-1`. */
    region: z
      .string()
      .regex(/^[a-z]{2}-[a-z0-9-]{2,40}$/, 'write a region id, such as cn-hangzhou')
      .meta({ examples: ['cn-hangzhou'] }),

    /** An access key of a RAM user, or temporary credentials together with `securityToken`. */
    accessKeyId: z.string().min(1).optional(),
    accessKeySecret: z.string().min(1).optional(),
    securityToken: z.string().min(1).optional(),
    /** Instead of a key: the RAM role of the ECS instance (or container group) that the dispatcher runs on. */
    ecsRamRole: z.string().min(1).max(64).optional(),

    /** Replaces the region's own endpoint, for example with a VPC endpoint or a simulator. */
    endpoint: address.optional(),
    vpcEndpoint: address.optional(),

    /** One or more, each in its own zone: the service tries the next one when a zone has no stock. */
    vSwitchIds: z
      .array(id('vsw-'))
      .min(1)
      .max(10)
      .meta({ examples: [['vsw-bp1abc']] }),
    securityGroupId: id('sg-').meta({ examples: ['sg-bp1abc'] }),
    /** `VSwitchOrdered` tries the vSwitches in the order given. */
    scheduleStrategy: z.enum(['VSwitchOrdered', 'VSwitchRandom']).default('VSwitchOrdered'),
    resourceGroupId: z.string().min(1).optional(),
    /**
     * A public address for each runner, for vSwitches without a NAT gateway. Billed; accounts have a small default
     * quota.
     */
    publicAddress: z
      .strictObject({
        bandwidthMbit: z.int().min(1).max(500).default(5),
        line: z.enum(['BGP', 'BGP_PRO']).default('BGP'),
      })
      .optional(),

    /** The RAM role available to jobs. Default: none. Required for buckets. */
    ramRoleName: z.string().min(1).max(64).optional(),

    /** `auto`: uses a matching image cache of the account. */
    imageCache: z.enum(['auto', 'off']).default('auto'),
    registries: z
      .array(
        z.strictObject({
          server: z.string().min(1),
          username: z.string().min(1),
          password: z.string().min(1).max(1024),
        }),
      )
      .max(10)
      .default([]),
    /**
     * A Container Registry instance (Enterprise Edition) of the account; images are pulled from it without a password.
     */
    acrRegistry: z
      .strictObject({
        instanceId: z.string().min(1),
        instanceName: z.string().min(1).optional(),
        region: z.string().min(1).optional(),
        domains: z.array(z.string().min(1)).max(10).default([]),
      })
      .optional(),

    /** Command of the container. Default: see `RUNNER_COMMAND`. Never a secret. */
    command: z
      .array(z.string().min(1))
      .min(1)
      .max(50)
      .default([...RUNNER_COMMAND]),
    /** The runner's work folder in the container; a bucket is mounted here. */
    workFolder: z.string().startsWith('/', 'must be an absolute path').default('/home/runner/_work'),
    /**
     * How the JIT configuration reaches the container. `config-file`: a file whose content the service also shows to
     * anyone allowed to describe the container group. `hidden-environment`: pieces of at most 256 characters in
     * environment variables that it does not show.
     */
    secretsBy: z.enum(['config-file', 'hidden-environment']).default('config-file'),

    spot: z
      .strictObject({
        strategy: z.enum(['SpotAsPriceGo', 'SpotWithPriceLimit']).default('SpotAsPriceGo'),
        /** Maximum price per hour, for `SpotWithPriceLimit`. */
        priceLimit: z.number().positive().optional(),
        /** Hours during which the instance is not reclaimed. */
        protectionHours: z.int().min(0).max(1).default(1),
      })
      .prefault({}),
    /** Lets jobs with `dind` run privileged. The vendor must have enabled this for the account. */
    privileged: z.boolean().default(false),

    dns: z
      .strictObject({
        nameServers: z.array(z.string().min(1)).max(3).default([]),
        searches: z.array(z.string().min(1)).max(10).default([]),
        options: z
          .array(z.strictObject({ name: z.string().min(1), value: z.string().optional() }))
          .max(10)
          .default([]),
      })
      .optional(),
    hostAliases: z
      .array(z.strictObject({ ip: z.string().min(1), hostnames: z.array(z.string().min(1)).min(1).max(20) }))
      .max(50)
      .default([]),

    /** Endpoint of the bucket service. Default: the region's internal endpoint. */
    ossEndpoint: z.string().min(1).optional(),
    /** The service ends an instance after this time, even without the dispatcher. Default: 6 days. */
    longestLifeS: z.int().min(60).max(2_592_000).default(518_400),
    /** Grace period between SIGTERM and SIGKILL. */
    stopGraceS: z.int().min(0).max(120).default(10),
    /** This backend's share of the account's API rate (1000 creations a minute …). */
    rateShare: z.number().min(0.01).max(1).default(0.8),
    /** Time limit for each call to the service. */
    timeoutMs: z.int().min(100).max(300_000).default(20_000),
  })
  .superRefine((options, context) => {
    const refuse = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    const keys = options.accessKeyId !== undefined && options.accessKeySecret !== undefined;
    if ((options.accessKeyId === undefined) !== (options.accessKeySecret === undefined)) {
      refuse('accessKeySecret', 'accessKeyId and accessKeySecret go together');
    } else if (keys && options.ecsRamRole !== undefined) {
      refuse('ecsRamRole', 'cannot be combined with an access key: give one of them, not both');
    } else if (!keys && options.ecsRamRole === undefined) {
      refuse('accessKeyId', 'is missing: give accessKeyId and accessKeySecret, or ecsRamRole');
    }
    if (options.securityToken !== undefined && !keys) {
      refuse('securityToken', 'belongs to temporary credentials: give accessKeyId and accessKeySecret too');
    }
    if (options.endpoint === undefined && eciEndpoint(options.region) === undefined) {
      refuse('region', `is not a known region: write one of ${regions.join(', ')}, or give endpoint too`);
    }
    if (options.spot.strategy === 'SpotWithPriceLimit' && options.spot.priceLimit === undefined) {
      refuse('spot', 'SpotWithPriceLimit needs priceLimit, the highest price per hour');
    }
    if (options.command.reduce((sum, word) => sum + word.length, 0) > 8192) {
      refuse('command', 'is longer than 8192 characters');
    }
  });

export type AliEciOptions = z.infer<typeof aliEciOptions>;

export function platformOptions(options: AliEciOptions): readonly PlatformOption[] {
  const { ecsRamRole, endpoint, vpcEndpoint } = options;
  const why = 'it acts by the role of the dispatcher’s own machine';
  return [
    ...(ecsRamRole === undefined ? [] : [{ option: 'ecsRamRole', why }]),
    ...platformAddresses({ endpoint, vpcEndpoint }),
  ];
}
