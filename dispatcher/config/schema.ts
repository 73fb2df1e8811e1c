/**
 * The schemas of `dispatcher.yaml` and `registrations/<name>.yaml`: only their form. Checks that need more than one
 * value (secrets, tenants, ties) are made where the files are read. The JSON Schemas for editors are generated
 * from these.
 */
import { z } from 'zod';
import { parseDuration } from '../labels/duration.ts';
import { nearest } from '../labels/nearest.ts';
import { CARRIED_OUT, isSpotMode, SPOT_MODES } from '../labels/spot-mode.ts';
import type {
  Limits,
  OrganizationPolicy,
  OrganizationShape,
  Policy,
  Powers,
  ShapeDefaults,
} from '../model/registration.ts';
import { networkOf } from './network.ts';

/** One line for each unknown key, in the order of the issue's `keys`. */
function strict<Shape extends z.core.$ZodShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return undefined;
      const known = Object.keys(shape);
      return issue.keys.map((key) => unknownKeyCure(key, known)).join('\n');
    },
  });
}

export function unknownKeyCure(key: string, known: readonly string[]): string {
  const guess = keyMeant(key, known);
  return guess === undefined ? `Known here: ${known.join(', ')}.` : `Did you mean \`${guess}\`?`;
}

/** The key that an unknown one was probably meant to be. */
export function keyMeant(key: string, known: readonly string[]): string | undefined {
  return nearest(key, known) ?? known.find((name) => name.toLowerCase().startsWith(key.toLowerCase()));
}

/** A map by name. */
function atMost<Value extends z.ZodType>(
  most: number,
  key: z.ZodString,
  value: Value,
): z.ZodRecord<z.ZodString, Value> {
  return z.record(key, value).refine((map) => Object.keys(map).length <= most, `it has more than ${most} entries`);
}

const matching = (pattern: RegExp, message: string) => z.string().regex(pattern, message);

/** A registration's, backend's, shape's or credential's name. */
export const NAME = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;
const name = matching(NAME, 'a name has 1 to 32 lower-case letters, digits and inner hyphens');
const host = matching(
  /^(?=.{1,253}(?::|$))[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?$/,
  'a host is a bare name such as github.com, acme.ghe.com or ghes.acme.example, without https://',
);
const owner = matching(
  /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/,
  'not a valid name of a GitHub organization, user or enterprise',
);
const repository = matching(
  /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\/[A-Za-z0-9._-]{1,100}$/,
  'a repository is written owner/name',
);
export const duration = z
  .string()
  .regex(
    /^(?=\d)(?:\d{1,9}d)?(?:\d{1,9}h)?(?:\d{1,9}m)?(?:\d{1,9}s)?(?:\d{1,9}ms)?$/,
    'a duration is written like 90s, 10m, 2h or 1h30m',
  )
  .meta({ examples: ['10m', '1h30m'] });
const cores = z.number().positive().max(1024);
const gib = z.number().positive().max(1_048_576);
const image = matching(
  /^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,511}$/,
  'an image reference is written like ghcr.io/acme/runner:2.335',
);
/** Never all stores at once. */
const SECRET_GLOB = /^(?:azure-key-vault|gcp-secret|alibaba-secret):./;
const globs = z.array(z.string().min(1).max(512)).max(1000);
const runners = z.int().min(1).max(10_000, 'a runner group at GitHub holds at most 10,000 runners');
const reservedRunners = z.int().min(0).max(10_000);
const weight = z.int().min(1).max(1000);
const launchesPerMinute = z.int().min(1).max(10_000);
const reference = z.string().min(1).max(65_536);
const secret = reference
  .describe(
    'A reference: ${env:NAME}, ${file:PATH}, or one to a secret store such as ${azure-key-vault:VAULT/SECRET}; in a registration also ${sealed:…}. Never the secret itself.',
  )
  .meta({ examples: ['${file:secrets/NAME}'] });
const endpointSecrets = z
  .array(secret)
  .min(1)
  .max(2, 'at most two: the new one and the old one, while rotating')
  .meta({ examples: [['${file:secrets/webhook-secret}']] });
/** Beyond it the stable image would be the exception. */
const MAX_CANARY_PERCENT = 50;
/** Named images of one registration. */
const MAX_IMAGES = 500;
/** Per instance, besides ours: Alibaba Cloud allows 20 tags in total, and ours are packed into few. */
const MAX_TAGS = 16;
const architecture = z.enum(['x64', 'arm64']);
const namedImages = atMost(
  MAX_IMAGES,
  matching(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    'a name of an image has 1 to 63 letters, digits, `.`, `_` and `-`, and begins with a letter or digit',
  ),
  image,
);

/** The field of a file for a field of what is read from it: durations have a unit there. */
type InFile<Field> = Field extends 'timeLimitMs' ? 'timeLimit' : Field extends 'maxTimeLimitMs' ? 'maxTimeout' : Field;

/** Of runners by default: what launches can do. */
const spotMode = z.union([
  z.boolean(),
  z.enum(CARRIED_OUT, {
    error: ({ input }) =>
      typeof input === 'string' && isSpotMode(input)
        ? `${input} is not carried out by this version, which does not fall back from spot to on-demand capacity`
        : undefined,
  }),
]);

/** A list, or a single mode; `true` and `false` as before there were modes. */
const spotModes = z.union([z.boolean(), z.enum(SPOT_MODES), z.array(z.enum(SPOT_MODES)).min(1)]);

const shapeFields = {
  cpu: cores.optional().describe('Cores; 0.5 is half a core.'),
  memoryGiB: gib.optional(),
  architecture: architecture.optional(),
  image: image.optional().describe('The full reference, as the backend pulls it.'),
  diskGiB: gib.optional().describe('Scratch disk at the work folder.'),
  bucket: z.string().min(3).max(63).optional().describe('Mounted at the work folder, under a prefix per repository.'),
  subnet: z.string().min(1).max(512).optional(),
  securityGroup: z.string().min(1).max(512).optional(),
  spot: spotMode.optional().describe('only: spot capacity, also written true; never: on-demand, also written false.'),
  dockerInDocker: z.boolean().optional(),
  timeLimit: duration
    .optional()
    .describe('The job is ended after this. Without it, GitHub ends it after 5 days at the latest.'),
} satisfies Record<InFile<keyof ShapeDefaults>, z.ZodType>;

const app = strict({
  id: z
    .union([z.int().positive(), z.string().min(1).max(100)])
    .describe("The App's id, or its client id.")
    .meta({ examples: [123456] }),
  privateKey: secret,
});

const shape = strict(shapeFields);

/** GitHub's limits apply per App; needing more than a few means that the load belongs on several dispatchers. */
export const MAX_FURTHER_APPS = 9;

const credentials = strict({
  app: app.optional().describe('A GitHub App.'),
  furtherApps: z
    .array(app)
    .max(MAX_FURTHER_APPS)
    .optional()
    .describe('Apps that share its load, each with limits of its own. Only `app` subscribes to events.'),
  token: secret.optional().describe('A personal access token.'),
});

const sharedCredentials = credentials.extend({
  host: host
    .optional()
    .describe('The one host that they are sent to. Default: github.com; without `tenants`, the host that uses them.'),
});

const registrationCredentials = credentials.extend({
  use: name.optional().describe('The name of credentials in dispatcher.yaml.'),
});

const backend = strict({
  kind: z
    .string()
    .min(1)
    .max(64)
    .describe('docker, process, …')
    .meta({ examples: ['docker'] }),
  region: z.string().min(1).max(64).optional(),
  maxRunners: runners.optional().describe('Instances at once. Default: maxRunners of the registration.'),
  options: z.record(z.string(), z.unknown()).optional().describe("The provider's own: see its README."),
});

const price = strict({
  perCoreHour: z
    .number()
    .min(0)
    .max(1000)
    .meta({ examples: [0.04] }),
  perGiBHour: z
    .number()
    .min(0)
    .max(1000)
    .describe('Of memory.')
    .meta({ examples: [0.005] }),
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/, 'write three capital letters, such as EUR')
    .describe('As ISO 4217 has it.')
    .meta({ examples: ['USD'] }),
});

const registrationBackend = strict({
  name: name.optional().describe('`backend-NAME` selects it. Default: the kind, or the name in `use`.'),
  use: name.optional().describe('The name of a backend in dispatcher.yaml.'),
  kind: backend.shape.kind.optional(),
  region: backend.shape.region,
  maxRunners: backend.shape.maxRunners,
  weight: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe('Spreads launches over the backends by their weights, instead of trying them in their order.'),
  patience: duration
    .optional()
    .describe('How long an accepted container may wait for stock before another backend gets the job. Default: 2m.'),
  price: price.optional().describe('For the estimate at the end of a job; nothing is chosen by it.'),
  options: backend.shape.options,
});

export const policyFile = strict({
  maxCpu: cores.optional(),
  maxMemoryGiB: gib.optional(),
  maxDiskGiB: gib.optional(),
  maxTimeout: duration.optional(),
  images: globs.optional().describe('Globs on the full reference. Default: every tag of imageRepository.'),
  subnets: globs.optional(),
  securityGroups: globs.optional(),
  buckets: globs.optional(),
  regions: globs.optional(),
  backends: globs.optional().describe('Backends that `backend-NAME` may select.'),
  shapes: globs.optional().describe('Presets that `shape-NAME` may name as they are, whatever the other fields say.'),
  imagePresets: globs.optional().describe('Presets that `img-NAME` may name, before a tag of imageRepository.'),
  architectures: z.array(architecture).optional(),
  spot: spotModes
    .optional()
    .describe('Modes that labels may ask for: never, prefer, wait, only. true: all. Default: what a job gets anyway.'),
  dockerInDocker: z.boolean().optional(),
  publicRepositories: z.boolean().optional().describe('Jobs of public repositories run the code of strangers.'),
  forks: z
    .boolean()
    .optional()
    .describe(
      'Jobs whose code comes from a fork. Default: not of private repositories; of public ones as publicRepositories says.',
    ),
  workflows: globs.optional().describe('Globs on the name: only jobs of these workflows. Default: of all.'),
  branches: globs.optional().describe('Globs on the name: only jobs of these branches. Default: of all.'),
  events: globs.optional().describe('Globs on what starts the run, such as push: only jobs of these. Default: of all.'),
  actors: globs
    .optional()
    .describe('Globs on the login of who starts the run, and who starts it again. Default: of all.'),
} satisfies Record<InFile<keyof Policy> | 'shapes' | 'imagePresets', z.ZodType>);

const off = z
  .literal(false, 'only `false` has a meaning here: this file can narrow, and never allows anything')
  .optional();

/** `shr.yaml` of an organization: nothing in it can widen what a grant or a registration allows. */
export const organizationFile = strict({
  policy: strict({
    maxCpu: cores.optional(),
    maxMemoryGiB: gib.optional(),
    maxDiskGiB: gib.optional(),
    maxTimeout: duration.optional(),
    images: globs.optional(),
    subnets: globs.optional(),
    securityGroups: globs.optional(),
    workflows: globs.optional(),
    branches: globs.optional(),
    events: globs.optional(),
    actors: globs.optional(),
    spot: off,
    dockerInDocker: off,
    publicRepositories: off,
    forks: off,
  } satisfies Record<InFile<keyof OrganizationPolicy>, z.ZodType>).optional(),
  defaults: strict({
    cpu: cores.optional(),
    memoryGiB: gib.optional(),
    architecture: architecture.optional(),
    image: image.optional(),
    timeLimit: duration.optional(),
  } satisfies Record<InFile<keyof OrganizationShape>, z.ZodType>).optional(),
  maxRunnersPerRun: runners.optional(),
});

export { owner as ownerName, repository as repositoryName };

const extended = z
  .union([name, z.array(name).min(1).max(5)], 'write the name of a base, or a list of at most 5')
  .describe('Bases: NAME.base.yaml beside this file, or `bases` of dispatcher.yaml. What stands here goes before them.')
  .meta({ examples: ['common'] });

/** Of a standby pool. */
const poolSize = z.int().min(0).max(10_000);

export const registrationFile = strict({
  extends: extended.optional(),
  host: host.optional().describe('Default: github.com.'),
  apiUrl: z.string().max(512).optional().describe('Where it is not the usual one of the host. Not in a tenant’s file.'),
  enterprise: owner.optional().describe('Claims the jobs of its `organizations`; runners register at the enterprise.'),
  organizations: z.array(owner).min(1).max(10_000).optional(),
  organization: owner.optional().describe('Claims the jobs of all its repositories.'),
  user: owner.optional().describe('Claims the jobs of all repositories of a user account.'),
  repositories: z.array(repository).min(1).max(10_000).optional().describe('Claims the jobs of these: owner/name.'),
  credentials: registrationCredentials.meta({ examples: [{ token: '${file:secrets/NAME/github-token}' }] }),
  webhook: strict({ secrets: endpointSecrets })
    .optional()
    .describe('Of its own endpoint /webhooks/github/<name>. Two secrets while rotating.'),
  requireHook: z
    .boolean()
    .optional()
    .describe('Jobs fail where the dispatcher cannot be asked in the runner whether they may run there.'),
  runnerGroup: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe('By name; at an organization or enterprise. Default: Default.'),
  labels: z
    .array(z.string().min(1).max(256))
    .min(1)
    .max(100)
    .optional()
    .describe('A job must carry at least one of them, and no foreign one. Default: serverless-hosted-runner.'),
  priority: z
    .int()
    .min(-1000)
    .max(1000)
    .optional()
    .describe('Decides between claims of the same level: the higher wins.'),
  defaults: shape.optional().describe('What a runner is made of when the labels say nothing.'),
  imageRepository: image.optional().describe('`img-TAG` completes it: ghcr.io/acme/runner.'),
  images: namedImages.optional().describe('`img-NAME` takes the image of that name.'),
  policy: policyFile.optional().describe('How far labels may override. What is absent is not allowed at all.'),
  backends: z
    .array(registrationBackend)
    .min(1)
    .max(20)
    .describe('In order of preference.')
    .meta({ examples: [[{ kind: 'docker' }]] }),
  maxRunners: runners.optional().describe('At once, over all backends. Default: 10.'),
  standby: z
    .array(
      strict({
        mode: z
          .enum(['parked', 'registered'])
          .optional()
          .describe('Registered: with labels at GitHub, ahead of a job. Default: parked, without a registration.'),
        labels: z
          .array(z.string().min(1).max(256))
          .max(20)
          .optional()
          .describe('Overrides over the defaults, as in runs-on; registered: all labels of the jobs. Default: none.')
          .meta({ examples: [['cpu-4']] }),
        size: z
          .union([
            poolSize,
            strict({
              min: poolSize.optional().describe('Default: 0.'),
              max: poolSize,
              within: duration.optional().describe('Default: 10m.'),
              over: duration.optional().describe('Default: 24h. At most 7d.'),
            }),
          ])
          .describe(
            'How many wait for jobs, those that are starting included. With min and max: as many as the most jobs that started within any 10m (within) of the last 24h (over).',
          )
          .meta({ examples: [2] }),
        schedule: z
          .array(
            strict({
              cron: z
                .string()
                .min(1)
                .max(128)
                .describe('When it begins: minute, hour, day of the month, month, day of the week.')
                .meta({ examples: ['0 8 * * 1-5'] }),
              duration: duration.describe('How long it holds, up to 2d.'),
              timeZone: z.string().min(1).max(64).optional().describe('Of IANA. Default: Etc/UTC.'),
              size: z
                .int()
                .min(0)
                .max(10_000)
                .meta({ examples: [5] }),
            }),
          )
          .max(10)
          .optional()
          .describe('Other sizes at other times: that of the first window that is open.'),
        maxAge: duration.optional().describe('Since its launch; then another takes its place. Default: 6h.'),
      }),
    )
    .min(1)
    .max(20)
    .optional()
    .describe('Runners that are started ahead of their jobs. Parked ones need listen.public.url in dispatcher.yaml.')
    .meta({ examples: [[{ size: 2 }]] }),
  canary: strict({
    image: image
      .describe('As `img-…` of a job would name it: an image of `images`, a tag, a preset or a full reference.')
      .meta({ examples: ['ghcr.io/acme/runner:2.336'] }),
    percent: z
      .int()
      .min(1)
      .max(MAX_CANARY_PERCENT, 'the rest stays on the stable image: at most half are on the candidate')
      .meta({ examples: [10] }),
  })
    .optional()
    .describe('So many of the launches with `defaults.image` use this one. It is stopped when too many starts fail.')
    .meta({ examples: [{ image: 'ghcr.io/acme/runner:2.336', percent: 10 }] }),
  poll: strict({
    interval: z.union([z.literal('off'), duration]).optional(),
    repositories: z
      .array(repository)
      .max(10_000)
      .optional()
      .describe('Only these, of an organization, user or enterprise.'),
  })
    .optional()
    .describe('Default: every 5m beside a webhook, every 30s without one.'),
  redelivery: z
    .boolean()
    .optional()
    .describe('Asks GitHub again for deliveries that never arrived, where the credentials may. Default: true.'),
  maxLaunchesPerMinute: launchesPerMinute.optional().describe('Default: no limit of its own.'),
  observe: z
    .boolean()
    .optional()
    .describe('Reports what would run, and launches nothing: jobs are left to other runners. Default: false.'),
  maxRunnersPerRun: runners.optional().describe('At once, of one workflow run. Default: no limit of its own.'),
  reservedRunners: reservedRunners
    .optional()
    .describe("Kept for it, of the dispatcher's runners; of a tenant's registration, of the tenant's. Default: 0."),
  weight: weight
    .optional()
    .describe("Its share of the dispatcher's runners beside others. Not in a tenant’s file. Default: 1."),
  organizationDefaults: z
    .enum(['off', 'default', 'forced'])
    .optional()
    .describe(
      'Whether shr.yaml of the organization’s .github-private or .github is read: for what is not said here, or as a limit of its own. Default: off.',
    ),
  maintenance: z
    .array(
      strict({
        cron: z
          .string()
          .min(1)
          .max(128)
          .describe('When a window begins: minute, hour, day of the month, month, day of the week.')
          .meta({ examples: ['0 2 * * 6'] }),
        duration: duration.describe('How long it is open, up to 2d.'),
        timeZone: z.string().min(1).max(64).optional().describe('Of IANA. Default: Etc/UTC.'),
      }),
    )
    .max(5)
    .optional()
    .describe('Windows in which jobs are taken in, and no runner is launched.'),
  timeouts: strict({ launch: duration.optional(), idle: duration.optional() }).optional(),
  chargeLabels: atMost(
    MAX_TAGS,
    z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9_-]{0,62}$/, 'a tag name begins with a letter, then letters, digits, `_`, `-`'),
    z.string().max(63),
  )
    .optional()
    .describe('Tags on every instance, such as a cost centre.'),
});

/** A base of dispatcher.yaml: any part of a registration. */
export const baseForm = registrationFile.omit({ extends: true }).partial();

const listen = matching(
  /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/,
  'an address is written host:port, such as 127.0.0.1:9090',
).meta({ examples: ['127.0.0.1:9090'] });

/** Behind which the runners find the public listener. */
const publicUrl = matching(
  /^https?:\/\/(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?(?:\/[A-Za-z0-9._~/-]*)?$/,
  'the URL is written https://HOST, with a port or path where it has one',
).meta({ examples: ['https://shr.example.com'] });

const publicListen = z.union([
  listen,
  strict({
    address: listen.optional().describe('Default: 0.0.0.0:8080.'),
    url: publicUrl
      .optional()
      .describe('Where runners reach this listener, for their call-backs. Without it there are none.'),
    tls: strict({
      certificate: z
        .string()
        .min(1)
        .max(4096)
        .describe('A PEM file, with the chain. From here or absolute.')
        .meta({ examples: ['secrets/tls.crt'] }),
      key: z
        .string()
        .min(1)
        .max(4096)
        .describe('Its private key, a PEM file. From here or absolute.')
        .meta({ examples: ['secrets/tls.key'] }),
    })
      .optional()
      .describe('The listener speaks TLS itself. Both files are read again when they change.'),
    unsafeHttpUrl: z
      .boolean()
      .optional()
      .describe('Lets the URL be plain http, over which tokens and runner configurations can be read by others.'),
  }),
]);

const repositoryGlob = matching(
  /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\/[A-Za-z0-9._*?-]{1,100}$/,
  'repositories are written owner/name, or owner/glob such as acme/mobile-*',
);
const registrationGlob = matching(
  /^[a-z0-9*?](?:[a-z0-9*?-]{0,30}[a-z0-9*?])?$/,
  'a registration is named as its file without .yaml; `*` and `?` stand for others',
);
const backendGlob = matching(
  /^[a-z0-9*?](?:[a-z0-9*?-]{0,30}[a-z0-9*?])?$/,
  'a backend is named as under `backends`; `*` and `?` stand for others',
);
const text = z.string().min(1).max(256);

export const tenantLimits = strict({
  maxRegistrations: z.int().min(1).max(10_000).optional().describe('Files that it may have. Default: 100.'),
  maxRunners: runners.optional(),
  maxLaunchesPerMinute: launchesPerMinute.optional().describe('Of all its registrations together.'),
  maxRunnersPerRun: runners.optional().describe('At once, of one workflow run over all its registrations.'),
  maxCpu: cores.optional(),
  maxMemoryGiB: gib.optional(),
  maxDiskGiB: gib.optional().describe('On shared backends also: whether it may have disks at all.'),
  maxTimeout: duration.optional().describe('On shared backends also: whether it may set time limits at all.'),
  workflows: globs.optional().describe('Globs on the name: only jobs of these workflows. Default: of all.'),
  branches: globs.optional().describe('Globs on the name: only jobs of these branches. Default: of all.'),
  events: globs.optional().describe('Globs on what starts the run, such as push: only jobs of these. Default: of all.'),
  actors: globs
    .optional()
    .describe('Globs on the login of who starts the run, and who starts it again. Default: of all.'),
} satisfies Record<InFile<keyof Limits>, z.ZodType>);

export const tenantPowers = strict({
  images: globs.optional().describe('Globs on the full reference.'),
  buckets: globs.optional(),
  subnets: globs.optional(),
  securityGroups: globs.optional(),
  regions: globs.optional(),
  publicRepositories: z.boolean().optional().describe('Jobs of public repositories run the code of strangers.'),
  forks: z.boolean().optional().describe('Jobs of private repositories whose code comes from a fork.'),
  dockerInDocker: z.boolean().optional().describe('A privileged container on most services.'),
  spot: spotModes
    .optional()
    .describe('Modes: never, prefer, wait, only. true: all. Default: never, which a list has to name.'),
} satisfies Record<keyof Powers, z.ZodType>);

export const tenantFile = strict({
  trusted: z.boolean().optional().describe("Its registrations are the platform's own: nothing below limits them."),
  registrations: z
    .array(registrationGlob)
    .min(1)
    .max(1000)
    .optional()
    .describe("Which files are its: names or globs. Default: the tenant's own name."),
  hosts: z.array(host).max(100).optional(),
  owners: z
    .array(z.union([z.literal('*'), owner]))
    .max(10_000)
    .optional()
    .describe('Organizations and users, with all their repositories; "*": all that no other tenant was granted.'),
  enterprises: z.array(owner).max(100).optional().describe('Beside the `owners` that are their organizations.'),
  repositories: z.array(repositoryGlob).max(10_000).optional().describe('Of any owner: owner/name, owner/glob.'),
  labels: z.array(text).max(1000).optional().describe('That its registrations may listen to: names or globs.'),
  priority: z.int().min(-1000).max(1000).optional().describe('The highest. Default: 0.'),
  runnerGroups: z.array(text).max(1000).optional().describe('At organizations and enterprises; also `Default`.'),
  credentials: z
    .array(matching(NAME, 'credentials are granted by name, of 1 to 32 lower-case letters, digits and inner hyphens'))
    .optional()
    .describe("Which of this file's credentials it may use, besides its own."),
  backends: z
    .array(backendGlob)
    .max(1000)
    .optional()
    .describe("Which of this file's backends it may use: names, or globs on them, also on those added later."),
  backendKinds: z
    .array(z.string().min(1).max(64))
    .optional()
    .describe('Of which kinds it may configure its own backends.'),
  bases: globs.optional().describe("Which of this file's bases its registrations may extend."),
  presets: globs.optional().describe("Which of this file's presets its jobs may name. Default: all."),
  secretStores: z
    .array(matching(SECRET_GLOB, 'write it as azure-key-vault:…, gcp-secret:… or alibaba-secret:…').max(512))
    .max(1000)
    .optional()
    .describe(
      'Which secrets in the clouds’ own stores it may read by the identity of the dispatcher: globs such as azure-key-vault:acme/*.',
    ),
  requireHook: z
    .union([z.boolean(), z.literal('listed')], 'write true, false, or `listed`')
    .optional()
    .describe(
      'Jobs run in images alone that are proven to carry the job-started hook, by their label or `hookImages`; `listed`: by `hookImages` alone.',
    ),
  hookImages: globs
    .optional()
    .describe('Images that carry the hooks, as you know: globs on the full reference, best with digests.'),
  reservedRunners: reservedRunners
    .optional()
    .describe("Kept for it, of the dispatcher's runners: others cannot take them. Default: 0."),
  weight: weight.optional().describe("Its share of the dispatcher's other runners. Default: 1."),
  limits: tenantLimits.optional().describe('On all backends.'),
  powers: tenantPowers.optional().describe("On this file's backends, beyond plain cores and memory."),
});

/** Both are read further by `readOidc`. */
const webUrl = matching(
  /^https?:\/\/[^\s/?#@]+(?:\/[^\s?#]*)?$/,
  'a URL is written https://HOST, with a port or path where it has one',
);

export const oidcFile = strict({
  issuer: webUrl
    .max(2048)
    .describe(
      'As the issuer writes itself, to the letter. Its configuration is below /.well-known/openid-configuration.',
    )
    .meta({ examples: ['https://login.example.com'] }),
  clientId: z
    .string()
    .min(1)
    .max(512)
    .meta({ examples: ['shr'] }),
  clientSecret: secret,
  url: webUrl
    .max(512)
    .describe('Where browsers reach the admin listener. Its /login/callback is registered at the issuer.')
    .meta({ examples: ['https://shr-admin.example.com'] }),
  scopes: z
    .array(matching(/^[\x21\x23-\x5B\x5D-\x7E]{1,128}$/, 'a scope has no spaces, quotes or backslashes'))
    .min(1)
    .max(20)
    .optional()
    .describe('Besides openid. Default: profile and email.'),
  groupsClaim: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('The claim that lists the groups of a person. Default: groups.'),
  access: z
    .array(
      strict({
        group: z
          .string()
          .min(1)
          .max(512)
          .describe('As the claim names it.')
          .meta({ examples: ['platform-team'] }),
        role: z.enum(['viewer', 'operator', 'admin']).meta({ examples: ['viewer'] }),
        tenants: z.array(name).min(1).max(1000).optional().describe('What is theirs.'),
        platform: z.literal(true).optional().describe('Everything, in place of `tenants`.'),
      }),
    )
    .max(1000)
    .optional()
    .describe('Who may log in. Default: nobody.'),
});

/** From the root of a repository, without `.` and `..`. */
const repositoryFolder = matching(
  /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))(?!\/)[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*(?:\/\*)?$/,
  'a folder is written from the root of the repository, like registrations or teams/acme; teams/* for a folder a tenant',
);
const path = z.string().min(1).max(4096);

export const sourceFile = strict({
  name: name.meta({ examples: ['tenants'] }),
  git: z
    .string()
    .min(1)
    .max(2048)
    .describe('https://HOST/PATH, or ssh://USER@HOST/PATH. Without credentials.')
    .meta({ examples: ['https://github.com/acme/runners.git'] }),
  branch: matching(
    /^(?!.*(?:\.\.|\/\/|@\{|\.lock(?:\/|$)|\/\.))[A-Za-z0-9_][A-Za-z0-9._/+-]{0,254}(?<![./])$/,
    'not a valid name of a branch',
  )
    .optional()
    .describe('Default: main.'),
  folders: z
    .array(
      strict({
        path: repositoryFolder.meta({ examples: ['registrations'] }),
        tenants: z
          .array(name)
          .min(1)
          .max(10_000)
          .optional()
          .describe(
            'Whose registrations may be in it. Default: of all; of teams/*, of the tenant named as the folder.',
          ),
        trusted: z.boolean().optional().describe("The platform's own registrations may be in it too."),
      }),
    )
    .min(1)
    .max(1000)
    .optional()
    .describe('Default: registrations.'),
  interval: duration.optional().describe('How often it is asked, beside its webhook. Default: 1m; at least 10s.'),
  token: secret.optional().describe('For https.'),
  user: matching(/^[A-Za-z0-9._@+-]{1,100}$/, 'not a valid user name')
    .optional()
    .describe('That goes with the token. Default: x-access-token, as GitHub wants it.'),
  key: path.optional().describe('For ssh: the file of the private key. From here or absolute.'),
  knownHosts: path.optional().describe('For ssh: the file with the keys of the host. From here or absolute.'),
  webhook: strict({ secrets: endpointSecrets })
    .optional()
    .describe('Of its endpoint /webhooks/git/<name>, for the event *push*. Two secrets while rotating.'),
});

/** Name and version. */
export const PROVIDER_PACKAGE =
  /^((?:@[a-z0-9][a-z0-9._-]{0,99}\/)?[a-z0-9][a-z0-9._-]{0,99})@(\d{1,9}\.\d{1,9}\.\d{1,9}(?:-[0-9A-Za-z.-]{1,64})?)$/;

const ledgerPath = z.string().min(1).max(4096);

const ledgerFile = z.union([
  ledgerPath,
  strict({
    postgres: strict({
      url: secret.meta({ examples: ['${env:SHR_POSTGRES_URL}'] }),
      schema: matching(
        /^(?!pg_)[a-z_][a-z0-9_]{0,62}$/,
        'the schema has at most 63 lower-case letters, digits and underscores, and begins with neither a digit nor pg_',
      )
        .optional()
        .describe('Made if it does not exist. Of this dispatcher alone. Default: the id, with _ for each hyphen.'),
      ca: secret
        .optional()
        .describe(
          'A reference to a PEM file with the authorities that may have signed its certificate. Default: those of Node.',
        )
        .meta({ examples: ['${file:secrets/postgres-ca.crt}'] }),
      connections: z.int().min(2).max(100).optional().describe('At most, of which one writes. Default: 5.'),
    }),
    folder: ledgerPath
      .optional()
      .describe('What need not be kept: fetched registrations, parsed files. From here or absolute. Default: data.'),
  }),
]);

export const dispatcherFile = strict({
  id: matching(
    /^[a-z](?:[a-z0-9-]{0,18}[a-z0-9])?$/,
    'the id has at most 20 lower-case letters, digits and inner hyphens, and begins with a letter',
  )
    .describe('In the name of every runner and the tags of every instance. Never change it.')
    .meta({ examples: ['shr'] }),
  ledger: ledgerFile
    .optional()
    .describe('A file, from here or absolute, or a PostgreSQL server. Default: data/ledger.db.'),
  listen: strict({ public: publicListen.optional(), admin: listen.optional() })
    .optional()
    .describe('Default: 0.0.0.0:8080 and 127.0.0.1:9090.'),
  adminToken: secret,
  oidc: oidcFile.optional().describe('Lets people log in to the admin listener. Default: tokens only.'),
  trustedProxies: z
    .array(
      z
        .string()
        .max(64)
        .refine((text) => networkOf(text) !== undefined, 'write an IP address, or a network such as 10.0.0.0/8'),
    )
    .max(1_000)
    .optional()
    .describe('Addresses and networks of proxies whose X-Forwarded-For and Forwarded are believed.'),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).optional(),
  webhooks: z
    .array(
      strict({
        host: host.optional(),
        appId: z.union([z.int().positive(), z.string().min(1).max(100)]).optional(),
        secrets: endpointSecrets,
        owners: z
          .array(z.union([z.literal('*'), owner]))
          .min(1)
          .meta({ examples: [['acme']] }),
        tenants: z
          .array(z.union([z.literal('*'), name]))
          .max(10_000)
          .optional()
          .describe('Beside `owners: ["*"]`: the tenants whose repositories it may speak for as well; "*" for all.'),
      }),
    )
    .max(100)
    .optional()
    .describe('Of the shared endpoint /webhooks/github.'),
  limits: strict({
    maxRunners: z.int().min(1).max(100_000).optional(),
    maxLaunches: z.int().min(1).max(1000).optional(),
    deliveriesPerMinute: z
      .int()
      .min(60)
      .max(10_000_000)
      .optional()
      .describe(
        'Webhook deliveries of one endpoint, also all at once. Beyond it that endpoint gets 429. Default: 60000.',
      ),
    shutdown: duration.optional(),
  }).optional(),
  retention: strict({
    deliveries: duration.optional(),
    jobs: duration.optional(),
    runners: duration.optional(),
    maxDeliveries: z.int().min(1).optional(),
    maxJobs: z.int().min(1).optional(),
    maxRunners: z.int().min(1).optional(),
  }).optional(),
  credentials: z.record(name, sharedCredentials).optional().describe('That registrations may `use`.'),
  backends: z.record(name, backend).optional().describe('That registrations may `use`.'),
  shapes: z.record(name, shape).optional().describe('The older place of `presets.shapes`.'),
  bases: z
    .record(name, z.record(z.string(), z.unknown()))
    .optional()
    .describe('Parts of registrations that these may extend, by name. Without references.')
    .meta({ examples: [{ common: { labels: ['acme'] } }] }),
  presets: strict({
    shapes: z.record(name, shape).optional().describe('That `shape-NAME` names.'),
    images: namedImages.optional().describe('That `img-NAME` names: the full reference.'),
  })
    .optional()
    .describe('Names for labels. They grant nothing: what one stands for has to be allowed.'),
  providers: z
    .record(
      name,
      matching(
        PROVIDER_PACKAGE,
        'a package is written name@version, with the whole version: acme-runners@1.4.0 or @acme/runners@1.4.0',
      ),
    )
    .optional()
    .describe('Kinds that packages bring: the installed package, and exactly this version. Its code runs here.')
    .meta({ examples: [{ acme: '@acme/runners@1.4.0' }] }),
  sealing: strict({
    keys: z
      .array(
        strict({
          publicKey: z
            .string()
            .min(1)
            .max(256)
            .describe('For `shr seal`; everybody may know it.')
            .meta({ examples: ['x25519:KEY'] }),
          privateKey: secret,
        }),
      )
      .min(1)
      .max(2, 'at most two: the new one and the old one, while rotating')
      .meta({ examples: [[{ publicKey: 'x25519:KEY', privateKey: '${file:secrets/NAME}' }]] }),
  })
    .optional()
    .describe('Key pairs of `shr seal keygen`: the first one seals, both open.'),
  tenants: z
    .record(name, tenantFile)
    .optional()
    .describe("What each may reach. Without this section every registration is the platform's own."),
  sources: z
    .array(sourceFile)
    .max(20)
    .optional()
    .describe('Git repositories in which registrations are kept, beside the folder, the first before the second.'),
  unsafeProcessBackend: z
    .boolean()
    .optional()
    .describe('Lets jobs run as the own user of the dispatcher. For demo and tests.'),
});

export type RegistrationFile = z.infer<typeof registrationFile>;
export type BackendFile = z.infer<typeof backend>;
export type TenantFile = z.infer<typeof tenantFile>;
export type ShapeFile = z.infer<typeof shape>;

/** For values that have passed `duration`. */
export function durationMs(text: string | undefined, fallback: number): number {
  return text === undefined ? fallback : (parseDuration(text) ?? fallback);
}

/** For editors: `# yaml-language-server: $schema=…`. */
export function jsonSchemaOf(file: 'registration' | 'dispatcher'): unknown {
  const json = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input', target: 'draft-7' });
  if (file === 'dispatcher') return { title: 'dispatcher.yaml', ...json(dispatcherFile) };
  const { $schema, required, ...registration } = json(registrationFile);
  // What it extends may have what is missing.
  const one = { ...registration, if: { required: ['extends'] }, else: { required } };
  const several = {
    type: 'object',
    properties: {
      registrations: {
        type: 'object',
        description: 'Several of them, by name, each as a file of its own has it.',
        minProperties: 1,
        maxProperties: 100,
        propertyNames: { pattern: NAME.source },
        additionalProperties: { $ref: '#/definitions/registration' },
      },
    },
    required: ['registrations'],
    additionalProperties: false,
  };
  return {
    title: 'A registration of serverless-hosted-runner',
    $schema,
    definitions: { registration: one },
    // Each says only what holds otherwise: an object with `then` would be taken for a promise.
    allOf: [
      { if: { required: ['registrations'] }, else: { $ref: '#/definitions/registration' } },
      { if: { not: { required: ['registrations'] } }, else: several },
    ],
  };
}
