/** `registrations/<name>.yaml`: whose jobs are served, on what; a tenant's is checked against its grant (held.ts). */
import { isGlob, MAX_GLOB_CHARACTERS, matchesAny } from '../labels/glob.ts';
import { DEFAULT_LABEL, isBuiltIn } from '../labels/grammar.ts';
import { foldLabel } from '../labels/values.ts';
import {
  type Backend,
  type Claim,
  type Credentials,
  type Grant,
  type JobClaims,
  ownersOf,
  type Policy,
  type Registration,
  type ShapeDefaults,
} from '../model/registration.ts';
import { defaultApiUrl, judgeApiUrl } from './api-url.ts';
import type { Platform } from './dispatcher.ts';
import { holdClaim, holdDefaults, holdImages, holdNamed, holdPolicy, holdRunners, holdShape } from './held.ts';
import type { Reading } from './reading.ts';
import { readBackends } from './registration-backends.ts';
import type { RegistrationContext } from './registration-context.ts';
import { durationMs, type RegistrationFile, registrationFile } from './schema.ts';
import { readCredentials, shapeOf } from './shared-sections.ts';

const DEFAULT_MAX_RUNNERS = 10;
const LAUNCH_MS = 10 * 60_000;
const IDLE_MS = 5 * 60_000;
const POLL_ALONE_MS = 30_000;
const POLL_BESIDE_WEBHOOK_MS = 5 * 60_000;
const MIN_POLL_MS = 1000;

const form = registrationFile.shape;

export interface RegistrationRead {
  /** Undefined when something essential is missing. */
  readonly registration: Registration | undefined;
  /** Undefined if missing or invalid. */
  readonly claims: JobClaims | undefined;
}

/** The fields that determine whose jobs a registration claims. */
const CLAIM_KEYS = [
  'host',
  'enterprise',
  'organizations',
  'organization',
  'user',
  'repositories',
  'labels',
  'priority',
] as const;

/** Its problems are in the reading. */
export async function readRegistration(reading: Reading, context: RegistrationContext): Promise<RegistrationRead> {
  if (!reading.readable || !reading.topLevel(registrationFile)) return { registration: undefined, claims: undefined };
  const host = (reading.section(['host'], form.host) ?? 'github.com').toLowerCase();
  const apiUrl = readApiUrl(reading, host, context);
  const claim = readClaim(reading);
  const { grant } = context;
  const credentials = readOwnCredentials(reading, host, context);
  if (claim?.kind === 'enterprise' && credentials?.kind === 'app') {
    reading.problem(
      ['credentials'],
      'a GitHub App cannot register runners at an enterprise',
      'Use a classic token with the scope `manage_runners:enterprise`, or a registration for each organization.',
    );
  }
  const webhook = reading.section(['webhook'], form.webhook);
  const webhookSecrets = (webhook?.secrets ?? []).map((text, index) =>
    reading.chosenSecret(['webhook', 'secrets', index], text),
  );
  const maxRunners = readMaxRunners(reading, grant);
  const backends = await readBackends(reading, context, maxRunners);
  const imageRepository = reading.section(['imageRepository'], form.imageRepository);
  const defaults = readDefaults(reading, backends);
  const images = reading.section(['images'], form.images) ?? {};
  const policyFile = reading.section(['policy'], form.policy);
  const policy = policyOf(reading, policyFile, imageRepository);
  const runnerGroup = readRunnerGroup(reading, claim);
  const labels = readLabels(reading);
  const priority = reading.section(['priority'], form.priority) ?? 0;
  if (grant !== undefined) {
    if (claim !== undefined) holdClaim(reading, grant, { host, claim, labels, priority, runnerGroup });
    holdDefaults(reading, grant, defaults, backends);
    holdImages(reading, grant, images, backends);
    holdPolicy(reading, grant, policy, backends);
  }
  const shapes = takeShapes(reading, policyFile?.shapes ?? [], backends, context);
  const timeouts = reading.section(['timeouts'], form.timeouts);
  const poll = readPoll(reading, { host, webhook: reading.mentions(['webhook']), claim, context });
  const registration = {
    name: context.name,
    host,
    apiUrl,
    webhookSecrets,
    runnerGroup,
    labels,
    priority,
    defaults,
    imageRepository,
    images,
    shapes,
    policy,
    backends,
    maxRunners,
    poll,
    timeouts: { launchMs: durationMs(timeouts?.launch, LAUNCH_MS), idleMs: durationMs(timeouts?.idle, IDLE_MS) },
    chargeLabels: reading.section(['chargeLabels'], form.chargeLabels) ?? {},
  };
  if (claim === undefined) return { registration: undefined, claims: undefined };
  const granted = grant === undefined ? {} : { grant };
  const wrong = CLAIM_KEYS.some((key) => reading.isWrong(key));
  const claims = wrong ? undefined : { name: context.name, host, claim, labels, priority, ...granted };
  if (credentials === undefined || backends.length === 0) return { registration: undefined, claims };
  return { registration: { ...registration, ...granted, claim, credentials }, claims };
}

// ── what it claims ───────────────────────────────────────────────────────────────────────────────────────────────────

function readClaim(reading: Reading): Claim | undefined {
  const kinds = ['enterprise', 'organization', 'user', 'repositories'] as const;
  const enterprise = reading.section(['enterprise'], form.enterprise);
  const organizations = reading.section(['organizations'], form.organizations);
  const organization = reading.section(['organization'], form.organization);
  const user = reading.section(['user'], form.user);
  const repositories = reading.section(['repositories'], form.repositories);
  const present = kinds.filter((kind) => reading.has([kind]));
  if (present.length === 0 && kinds.some((kind) => reading.mentions([kind]))) return undefined;
  if (present.length !== 1) {
    const message = present.length === 0 ? 'it claims no jobs' : `it has ${present.join(' and ')}`;
    reading.problem(
      present.slice(1, 2),
      message,
      'Name exactly one of `enterprise`, `organization`, `user`, `repositories`.',
    );
    return undefined;
  }
  if (organizations !== undefined && !reading.mentions(['enterprise'])) {
    reading.problem(
      ['organizations'],
      '`organizations` requires `enterprise`',
      'Remove it, or write one registration for each organization.',
    );
  }
  if (enterprise !== undefined) {
    if (organizations !== undefined) return { kind: 'enterprise', enterprise, organizations };
    if (!reading.mentions(['organizations'])) {
      reading.problem(
        ['enterprise'],
        'it does not name the organizations of the enterprise',
        'Add `organizations: [NAME, …]`.',
      );
    }
    return undefined;
  }
  if (organization !== undefined) return { kind: 'organization', organization };
  if (user !== undefined) return { kind: 'user', user };
  if (repositories === undefined) return undefined;
  return { kind: 'repositories', repositories: repositories.map(splitRepository) };
}

function splitRepository(text: string): { readonly owner: string; readonly repository: string } {
  const slash = text.indexOf('/');
  return { owner: text.slice(0, slash), repository: text.slice(slash + 1) };
}

/** A tenant that could redirect the API would receive the platform's credentials. */
function readApiUrl(reading: Reading, host: string, { grant }: RegistrationContext): string {
  const text = reading.section(['apiUrl'], form.apiUrl);
  if (text === undefined) return defaultApiUrl(host);
  if (grant !== undefined) {
    reading.problem(
      ['apiUrl'],
      "a tenant's file may not set it",
      `Remove it: ${defaultApiUrl(host)} follows from the host.`,
    );
  }
  const wrong = reading.unresolved(['apiUrl']) ? undefined : judgeApiUrl(text);
  if (wrong !== undefined) reading.problem(['apiUrl'], `${wrong}`, 'Write it like https://ghes.acme.example/api/v3.');
  return text.replace(/\/+$/, '');
}

function readOwnCredentials(
  reading: Reading,
  host: string,
  { platform, grant, keys }: RegistrationContext,
): Credentials | undefined {
  const file = reading.section(['credentials'], form.credentials);
  if (file === undefined) return undefined;
  if (file.use === undefined) {
    const own = readCredentials(reading, ['credentials'], file, keys);
    return own === undefined ? undefined : { ...own, host };
  }
  if (file.app !== undefined || file.furtherApps !== undefined || file.token !== undefined) {
    reading.problem(['credentials'], 'it has `use` and credentials of its own', 'Keep one of them.');
    return undefined;
  }
  const path = ['credentials', 'use'];
  if (!holdNamed(reading, path, grant, 'credentials', file.use)) return undefined;
  const shared = platform.credentials.get(file.use);
  if (shared === undefined && platform.config !== undefined) {
    reading.problem(path, `dispatcher.yaml has no credentials \`${file.use}\``, 'Correct the name, or add them there.');
  }
  if (shared === undefined && !platform.known) {
    reading.problem(path, 'there is no dispatcher.yaml to take them from', 'Name the file with `--config`.');
  }
  if (shared === undefined) return undefined;
  const { credentials, place } = shared;
  if (credentials.host !== undefined && credentials.host !== host) {
    reading.problem(
      path,
      `the credentials \`${file.use}\` belong to ${credentials.host}, and would be sent to ${host} (${place})`,
      `Use credentials of ${host}; if these are, write \`credentials.${file.use}.host: ${host}\` in dispatcher.yaml.`,
    );
    return undefined;
  }
  return { ...credentials, host };
}

// ── what its runners are ─────────────────────────────────────────────────────────────────────────────────────────────

function readMaxRunners(reading: Reading, grant: Grant | undefined): number {
  const most = grant?.limits.maxRunners;
  const asked = reading.section(['maxRunners'], form.maxRunners);
  if (asked === undefined) return Math.min(DEFAULT_MAX_RUNNERS, most ?? DEFAULT_MAX_RUNNERS);
  if (grant !== undefined) holdRunners(reading, grant, asked);
  return asked;
}

/** A process backend has no image, but admission needs a name all the same. */
const NO_IMAGE = 'host';

function readDefaults(reading: Reading, backends: readonly Backend[]): ShapeDefaults {
  const file = reading.section(['defaults'], form.defaults);
  const defaults = shapeOf(file);
  if (defaults.image !== undefined || reading.mentions(['defaults', 'image'])) return defaults;
  if (backends.length > 0 && backends.every(({ kind }) => kind === 'process')) return { ...defaults, image: NO_IMAGE };
  reading.problem(
    ['defaults'],
    'there is no default image',
    'Add `defaults.image`, the full reference of a runner image.',
  );
  return defaults;
}

function policyOf(reading: Reading, file: RegistrationFile['policy'], imageRepository: string | undefined): Policy {
  const policy: Policy = {
    maxCpu: file?.maxCpu,
    maxMemoryGiB: file?.maxMemoryGiB,
    maxDiskGiB: file?.maxDiskGiB,
    maxTimeLimitMs: file?.maxTimeout === undefined ? undefined : durationMs(file.maxTimeout, 0),
    // A registration that names a repository for `img-TAG` allows its tags.
    images: file?.images ?? (imageRepository === undefined ? [] : [`${imageRepository}:*`]),
    subnets: file?.subnets ?? [],
    securityGroups: file?.securityGroups ?? [],
    buckets: file?.buckets ?? [],
    regions: file?.regions ?? [],
    backends: file?.backends ?? [],
    architectures: file?.architectures ?? [],
    spot: file?.spot ?? false,
    dockerInDocker: file?.dockerInDocker ?? false,
    publicRepositories: file?.publicRepositories ?? false,
  };
  boundGlobs(reading, policy);
  return policy;
}

/** Each label of a job may be compared with each of these, on the thread that serves all tenants. */
function boundGlobs(reading: Reading, policy: Policy): void {
  const lists = [policy.images, policy.subnets, policy.securityGroups, policy.buckets, policy.regions, policy.backends];
  const characters = lists.flat().reduce((sum, glob) => sum + (isGlob(glob) ? glob.length : 0), 0);
  if (characters <= MAX_GLOB_CHARACTERS) return;
  reading.problem(
    ['policy'],
    `its globs have ${characters} characters together, and the limit is ${MAX_GLOB_CHARACTERS}`,
    'Use fewer and shorter globs; names without `*` and `?` do not count.',
  );
}

/** Those of the platform's shapes that the policy names. */
function takeShapes(
  reading: Reading,
  globs: readonly string[],
  backends: readonly Backend[],
  { platform, grant }: RegistrationContext,
): Readonly<Record<string, ShapeDefaults>> {
  const names = Object.keys(platform.shapes);
  for (const [index, glob] of globs.entries()) {
    if (names.some((name) => matchesAny([glob], name)) || platform.config === undefined) continue;
    const known = names.length === 0 ? 'none' : names.slice(0, 10).join(', ');
    reading.problem(['policy', 'shapes', index], `dispatcher.yaml has no shape \`${glob}\``, `It has: ${known}.`);
  }
  const taken: Record<string, ShapeDefaults> = {};
  for (const [name, shape] of Object.entries(platform.shapes)) {
    if (!matchesAny(globs, name)) continue;
    if (grant !== undefined && !holdShape(reading, grant, { name, shape, globs }, backends)) continue;
    taken[name] = shape;
  }
  return taken;
}

// ── how its jobs come in ─────────────────────────────────────────────────────────────────────────────────────────────

function readLabels(reading: Reading): readonly string[] {
  const labels = reading.section(['labels'], form.labels) ?? [DEFAULT_LABEL];
  const seen = new Map<string, number>();
  for (const [index, label] of labels.entries()) {
    const folded = foldLabel(label);
    const path = ['labels', index];
    const earlier = seen.get(folded);
    seen.set(folded, index);
    if (earlier !== undefined)
      reading.problem(path, `labels[${earlier}] is the same (case does not count)`, 'Remove one.');
    if (isBuiltIn(folded)) {
      reading.problem(
        path,
        `${label} is one of GitHub's built-in labels, which every self-hosted runner has: it cannot select this registration`,
        'Choose a label of your own, and add it to `runs-on` of the jobs that should run here.',
      );
    }
    if (folded.startsWith('shr='))
      reading.problem(path, '`shr=…` is the one-label form of overrides', 'Choose another label.');
    if (label !== label.trim() || label.includes(','))
      reading.problem(
        path,
        'a label must not contain a comma, or begin or end with a blank',
        'Write one label per entry.',
      );
  }
  return labels;
}

function readRunnerGroup(reading: Reading, claim: Claim | undefined): string {
  const group = reading.section(['runnerGroup'], form.runnerGroup);
  if (group === undefined) return 'Default';
  if (claim?.kind === 'user' || claim?.kind === 'repositories') {
    reading.problem(['runnerGroup'], 'runner groups exist only at organizations and enterprises', 'Remove it.');
  }
  return group;
}

function readPoll(
  reading: Reading,
  {
    host,
    webhook,
    claim,
    context: { platform, grant },
  }: {
    readonly host: string;
    readonly webhook: boolean;
    readonly claim: Claim | undefined;
    readonly context: RegistrationContext;
  },
): Registration['poll'] {
  const file = reading.section(['poll'], form.poll);
  const hasWebhook = webhook || (claim !== undefined && isCovered(host, claim, platform, grant));
  const repositories = file?.repositories ?? [];
  if (repositories.length > 0 && claim?.kind === 'repositories') {
    reading.problem(['poll', 'repositories'], 'the registration names its repositories already', 'Remove it here.');
  }
  const owners = claim === undefined ? [] : ownersOf(claim).map((owner) => owner.toLowerCase());
  for (const [index, repository] of repositories.entries()) {
    if (claim === undefined || owners.includes(splitRepository(repository).owner.toLowerCase())) continue;
    reading.problem(
      ['poll', 'repositories', index],
      `${repository} is not among what the registration claims`,
      'Correct or remove it.',
    );
  }
  if (file?.interval === 'off') {
    if (!hasWebhook && platform.known) {
      reading.problem(
        ['poll', 'interval'],
        'without polling and without a webhook, no job is ever found',
        'Add `webhook.secrets`, or remove `interval: off`.',
      );
    }
    return { intervalMs: null, repositories };
  }
  const intervalMs = durationMs(file?.interval, hasWebhook ? POLL_BESIDE_WEBHOOK_MS : POLL_ALONE_MS);
  if (intervalMs < MIN_POLL_MS) {
    reading.problem(['poll', 'interval'], 'it is less than a second', 'Write `1s` or more, or `off`.');
  }
  return { intervalMs, repositories };
}

/** Whether a shared webhook of dispatcher.yaml covers all of the claim. */
function isCovered(host: string, claim: Claim, platform: Platform, grant: Grant | undefined): boolean {
  const webhooks = platform.webhooks.filter((webhook) => webhook.host === host);
  const owners = new Set(webhooks.flatMap((webhook) => webhook.owners));
  const everywhere = webhooks.some(({ owners: named, tenants = [] }) => {
    if (!named.includes('*')) return false;
    return grant === undefined || tenants.includes('*') || tenants.includes(grant.tenant);
  });
  return everywhere || ownersOf(claim).every((owner) => owners.has(owner.toLowerCase()));
}
