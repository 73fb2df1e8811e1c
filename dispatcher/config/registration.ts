/** `registrations/<name>.yaml`: one tenant's entry, held to what the platform's file allows it. */

import { formatDuration } from '../labels/duration.ts';
import { matchesAny } from '../labels/glob.ts';
import { DEFAULT_LABEL, foldLabel, isBuiltIn } from '../labels/grammar.ts';
import { defaultApiUrl, judgeApiUrl } from './api-url.ts';
import type { Platform } from './dispatcher.ts';
import type { Backend, Claim, Credentials, Policy, Registration, ShapeDefaults } from './model.ts';
import type { Path } from './problem.ts';
import type { Reading } from './reading.ts';
import { durationMs, type RegistrationFile, registrationFile, type TenantFile } from './schema.ts';
import { type ProviderLookup, readBackend, readCredentials, shapeOf } from './shared-sections.ts';

export interface RegistrationContext {
  readonly name: string;
  readonly platform: Platform;
  /** What the platform allows this file; undefined: it is the platform's own. */
  readonly tenant: TenantFile | undefined;
  readonly provider: ProviderLookup;
}

const DEFAULT_MAX_RUNNERS = 10;
const LAUNCH_MS = 10 * 60_000;
const IDLE_MS = 5 * 60_000;
const POLL_ALONE_MS = 30_000;
const POLL_BESIDE_WEBHOOK_MS = 5 * 60_000;
const SHORTEST_POLL_MS = 1000;

const form = registrationFile.shape;

/** Undefined when something essential is missing; its problems are in the reading. */
export async function readRegistration(
  reading: Reading,
  context: RegistrationContext,
): Promise<Registration | undefined> {
  if (!reading.readable || !reading.topLevel(registrationFile)) return undefined;
  const host = (reading.section(['host'], form.host) ?? 'github.com').toLowerCase();
  const apiUrl = readApiUrl(reading, host, context);
  const claim = readClaim(reading);
  if (claim !== undefined) holdClaim(reading, claim, host, context);
  const credentials = readOwnCredentials(reading, context);
  if (claim?.kind === 'enterprise' && credentials?.kind === 'app') {
    reading.problem(
      ['credentials'],
      'a GitHub App cannot register runners at an enterprise',
      'Use a classic token with the scope `manage_runners:enterprise`, or a registration for each organization.',
    );
  }
  const webhook = reading.section(['webhook'], form.webhook);
  const webhookSecrets = (webhook?.secrets ?? []).map((text, index) =>
    reading.secret(['webhook', 'secrets', index], text),
  );
  const maxRunners = readMaxRunners(reading, context);
  const backends = await readBackends(reading, context, maxRunners);
  const imageRepository = reading.section(['imageRepository'], form.imageRepository);
  const defaults = readDefaults(reading, backends, context);
  const { policy, shapes } = readPolicy(reading, imageRepository, context);
  const timeouts = reading.section(['timeouts'], form.timeouts);
  const poll = readPoll(reading, { host, webhook: webhookSecrets.length > 0, claim, platform: context.platform });
  const registration = {
    name: context.name,
    host,
    apiUrl,
    webhookSecrets,
    runnerGroup: readRunnerGroup(reading, claim),
    labels: readLabels(reading),
    priority: reading.section(['priority'], form.priority) ?? 0,
    defaults,
    imageRepository,
    images: reading.section(['images'], form.images) ?? {},
    shapes,
    policy,
    backends,
    maxRunners,
    poll,
    timeouts: { launchMs: durationMs(timeouts?.launch, LAUNCH_MS), idleMs: durationMs(timeouts?.idle, IDLE_MS) },
    chargeLabels: reading.section(['chargeLabels'], form.chargeLabels) ?? {},
  };
  if (claim === undefined || credentials === undefined || backends.length === 0) return undefined;
  return { ...registration, claim, credentials };
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
  if (present.length !== 1) {
    const message = present.length === 0 ? 'it claims no jobs' : `it claims by ${present.join(' and ')}`;
    reading.problem(
      present.slice(1, 2),
      message,
      'Name exactly one of `enterprise`, `organization`, `user`, `repositories`.',
    );
    return undefined;
  }
  if (organizations !== undefined && !reading.has(['enterprise'])) {
    reading.problem(
      ['organizations'],
      '`organizations` goes with `enterprise` alone',
      'Remove it, or write one registration for each organization.',
    );
  }
  if (enterprise !== undefined) {
    if (organizations !== undefined) return { kind: 'enterprise', enterprise, organizations };
    if (!reading.has(['organizations'])) {
      reading.problem(
        ['enterprise'],
        'it does not say which organizations of the enterprise',
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

function holdClaim(reading: Reading, claim: Claim, host: string, { tenant, name }: RegistrationContext): void {
  if (tenant === undefined) return;
  const hosts = (tenant.hosts ?? ['github.com']).map((allowed) => allowed.toLowerCase());
  if (!hosts.includes(host)) {
    reading.problem(['host'], `the host ${host} is not this tenant's`, platformCure(name, 'hosts', hosts));
  }
  const allowed = new Set((tenant.owners ?? []).map((owner) => owner.toLowerCase()));
  const hold = (path: Path, owner: string): void => {
    if (allowed.has('*') || allowed.has(owner.toLowerCase())) return;
    reading.problem(path, `the owner ${owner} is not this tenant's`, platformCure(name, 'owners', [...allowed]));
  };
  switch (claim.kind) {
    case 'enterprise': {
      const enterprises = (tenant.enterprises ?? []).map((enterprise) => enterprise.toLowerCase());
      if (!enterprises.includes(claim.enterprise.toLowerCase())) {
        reading.problem(
          ['enterprise'],
          `the enterprise ${claim.enterprise} is not this tenant's`,
          platformCure(name, 'enterprises', enterprises),
        );
      }
      for (const [index, organization] of claim.organizations.entries()) hold(['organizations', index], organization);
      return;
    }
    case 'organization':
      hold(['organization'], claim.organization);
      return;
    case 'user':
      hold(['user'], claim.user);
      return;
    case 'repositories':
      for (const [index, { owner }] of claim.repositories.entries()) hold(['repositories', index], owner);
  }
}

function platformCure(name: string, field: string, allowed: readonly string[]): string {
  const list = allowed.length === 0 ? 'none' : allowed.slice(0, 10).join(', ');
  return `dispatcher.yaml allows it ${list}; its owner can change \`tenants.${name}.${field}\`.`;
}

/** A tenant that could point the API elsewhere would get the platform's credentials sent there. */
function readApiUrl(reading: Reading, host: string, { tenant }: RegistrationContext): string {
  const text = reading.section(['apiUrl'], form.apiUrl);
  if (text === undefined) return defaultApiUrl(host);
  if (tenant !== undefined) {
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
  { platform, tenant, name }: RegistrationContext,
): Credentials | undefined {
  const file = reading.section(['credentials'], form.credentials);
  if (file === undefined) return undefined;
  if (file.use === undefined) return readCredentials(reading, ['credentials'], file);
  if (file.app !== undefined || file.token !== undefined) {
    reading.problem(['credentials'], 'it has `use` and credentials of its own', 'Keep one of them.');
    return undefined;
  }
  const path = ['credentials', 'use'];
  if (tenant !== undefined && !(tenant.credentials ?? []).includes(file.use)) {
    reading.problem(
      path,
      `the credentials \`${file.use}\` are not this tenant's`,
      platformCure(name, 'credentials', tenant.credentials ?? []),
    );
    return undefined;
  }
  const shared = platform.credentials.get(file.use);
  if (shared === undefined && platform.config !== undefined) {
    reading.problem(path, `dispatcher.yaml has no credentials \`${file.use}\``, 'Correct the name, or add them there.');
  }
  if (shared === undefined && !platform.known) {
    reading.problem(path, 'there is no dispatcher.yaml to take them from', 'Name the file with `--config`.');
  }
  return shared;
}

// ── what its runners are ─────────────────────────────────────────────────────────────────────────────────────────────

function readMaxRunners(reading: Reading, { tenant, name }: RegistrationContext): number {
  const most = tenant?.limits?.maxRunners;
  const asked = reading.section(['maxRunners'], form.maxRunners);
  if (asked === undefined) return Math.min(DEFAULT_MAX_RUNNERS, most ?? DEFAULT_MAX_RUNNERS);
  if (most !== undefined && asked > most) {
    reading.problem(
      ['maxRunners'],
      `${asked} runners are more than this tenant may have`,
      platformCure(name, 'limits.maxRunners', [String(most)]),
    );
  }
  return asked;
}

async function readBackends(
  reading: Reading,
  context: RegistrationContext,
  maxRunners: number,
): Promise<readonly Backend[]> {
  const files = reading.section(['backends'], form.backends) ?? [];
  const backends: Backend[] = [];
  const names = new Map<string, number>();
  for (const [index, file] of files.entries()) {
    const path: Path = ['backends', index];
    const name = file.name ?? file.use ?? file.kind ?? `backend-${index}`;
    const earlier = names.get(name);
    if (earlier !== undefined) {
      reading.problem(
        [...path, 'name'],
        `backends[${earlier}] is called \`${name}\` too`,
        'Give each backend a `name` of its own.',
      );
    }
    names.set(name, index);
    const backend =
      file.use === undefined
        ? await readOwnBackend(reading, path, name, file, context, maxRunners)
        : takeSharedBackend(reading, path, name, file, context, maxRunners);
    if (backend === undefined) continue;
    backends.push({
      ...backend,
      ...(file.weight === undefined ? {} : { weight: file.weight }),
      ...(file.patience === undefined ? {} : { stockPatienceMs: durationMs(file.patience, 0) }),
    });
  }
  const unweighted = files.findIndex(({ weight }) => weight === undefined);
  if (unweighted >= 0 && files.some(({ weight }) => weight !== undefined)) {
    reading.problem(
      ['backends', unweighted],
      'it has no `weight`, and another backend has one',
      'Give every backend a `weight`, or none: then they are tried in their order.',
    );
  }
  return backends;
}

type BackendEntry = RegistrationFile['backends'][number];

async function readOwnBackend(
  reading: Reading,
  path: Path,
  name: string,
  file: BackendEntry,
  { platform, tenant, provider, name: registration }: RegistrationContext,
  defaultMaxRunners: number,
): Promise<Backend | undefined> {
  const { kind } = file;
  if (kind === undefined) {
    reading.problem(
      path,
      'the backend has neither `kind` nor `use`',
      'Add `kind: docker` or another kind, or `use: NAME` of dispatcher.yaml.',
    );
    return undefined;
  }
  const kinds = tenant?.backendKinds ?? [];
  if (tenant !== undefined && !kinds.includes(kind)) {
    reading.problem(
      [...path, 'kind'],
      `this tenant may configure no backend of kind ${kind}`,
      platformCure(registration, 'backendKinds', kinds),
    );
    return undefined;
  }
  const { unsafeProcessBackend } = platform;
  const ofTenant = tenant !== undefined;
  const own = { ...file, kind };
  return readBackend(reading, path, name, own, { provider, unsafeProcessBackend, defaultMaxRunners, ofTenant });
}

function takeSharedBackend(
  reading: Reading,
  path: Path,
  name: string,
  file: BackendEntry,
  { platform, tenant, name: registration }: RegistrationContext,
  defaultMaxRunners: number,
): Backend | undefined {
  const use = file.use ?? '';
  const usePath = [...path, 'use'];
  for (const key of ['kind', 'region', 'options'] as const) {
    if (file[key] !== undefined)
      reading.problem([...path, key], `\`${key}\` comes from dispatcher.yaml with \`use\``, 'Remove it here.');
  }
  if (tenant !== undefined && !(tenant.backends ?? []).includes(use)) {
    reading.problem(
      usePath,
      `the backend \`${use}\` is not this tenant's`,
      platformCure(registration, 'backends', tenant.backends ?? []),
    );
    return undefined;
  }
  const shared = platform.backends.get(use);
  if (shared === undefined) {
    if (!platform.known)
      reading.problem(usePath, 'there is no dispatcher.yaml to take it from', 'Name the file with `--config`.');
    else if (platform.config !== undefined)
      reading.problem(usePath, `dispatcher.yaml has no backend \`${use}\``, 'Correct the name, or add it there.');
    return undefined;
  }
  const most = shared.maxRunners ?? Number.POSITIVE_INFINITY;
  if (file.maxRunners !== undefined && file.maxRunners > most) {
    reading.problem([...path, 'maxRunners'], `the backend \`${use}\` has ${most} at the most`, 'Lower it.');
  }
  return { ...shared, name, maxRunners: file.maxRunners ?? Math.min(most, defaultMaxRunners) };
}

/** On a process backend there is no image; admission wants a word all the same. */
const NO_IMAGE = 'host';

function readDefaults(reading: Reading, backends: readonly Backend[], context: RegistrationContext): ShapeDefaults {
  const file = reading.section(['defaults'], form.defaults);
  const defaults = shapeOf(file);
  holdShape(reading, ['defaults'], defaults, context);
  if (defaults.image !== undefined || reading.has(['defaults', 'image'])) return defaults;
  if (backends.length > 0 && backends.every(({ kind }) => kind === 'process')) return { ...defaults, image: NO_IMAGE };
  reading.problem(
    ['defaults'],
    'there is no default image',
    'Add `defaults.image`, the full reference of a runner image.',
  );
  return defaults;
}

const LIMITS = [
  { limit: 'maxCpu', shape: 'cpu', field: 'cpu', unit: 'cores' },
  { limit: 'maxMemoryGiB', shape: 'memoryGiB', field: 'memoryGiB', unit: 'GiB' },
  { limit: 'maxDiskGiB', shape: 'diskGiB', field: 'diskGiB', unit: 'GiB of disk' },
] as const;

function holdShape(reading: Reading, path: Path, shape: ShapeDefaults, { tenant, name }: RegistrationContext): void {
  const limits = tenant?.limits;
  if (limits === undefined) return;
  for (const { limit, shape: key, field, unit } of LIMITS) {
    const most = limits[limit];
    const value = shape[key];
    if (most === undefined) continue;
    if (value === undefined) {
      // What the file leaves open the service fills in, perhaps above the limit.
      if (limit !== 'maxDiskGiB')
        reading.problem(
          path,
          `this tenant has a limit of ${most} ${unit}, and no default says how many a runner takes`,
          `Add \`${formatField(path, field)}\`.`,
        );
    } else if (value > most) {
      reading.problem(
        [...path, field],
        `${value} ${unit} are more than this tenant may take`,
        platformCure(name, `limits.${limit}`, [String(most)]),
      );
    }
  }
  const most = limits.maxTimeout === undefined ? undefined : durationMs(limits.maxTimeout, 0);
  if (most !== undefined && (shape.timeLimitMs ?? Number.POSITIVE_INFINITY) > most) {
    reading.problem(
      [...path, 'timeLimit'],
      'the time limit is more than this tenant may take, or missing',
      platformCure(name, 'limits.maxTimeout', [formatDuration(most)]),
    );
  }
}

function formatField(path: Path, field: string): string {
  return [...path, field].join('.');
}

function readPolicy(
  reading: Reading,
  imageRepository: string | undefined,
  context: RegistrationContext,
): { readonly policy: Policy; readonly shapes: Readonly<Record<string, ShapeDefaults>> } {
  const file = reading.section(['policy'], form.policy);
  const { tenant, name } = context;
  const bound = (field: 'maxCpu' | 'maxMemoryGiB' | 'maxDiskGiB'): number | undefined => {
    const most = tenant?.limits?.[field];
    const value = file?.[field];
    if (most !== undefined && value !== undefined && value > most) {
      reading.problem(
        ['policy', field],
        `${value} is more than this tenant may allow`,
        platformCure(name, `limits.${field}`, [String(most)]),
      );
    }
    return value;
  };
  const maxTimeLimitMs = file?.maxTimeout === undefined ? undefined : durationMs(file.maxTimeout, 0);
  const mostMs = tenant?.limits?.maxTimeout === undefined ? undefined : durationMs(tenant.limits.maxTimeout, 0);
  if (maxTimeLimitMs !== undefined && mostMs !== undefined && maxTimeLimitMs > mostMs) {
    reading.problem(
      ['policy', 'maxTimeout'],
      'it is more than this tenant may allow',
      platformCure(name, 'limits.maxTimeout', [formatDuration(mostMs)]),
    );
  }
  const policy: Policy = {
    maxCpu: bound('maxCpu'),
    maxMemoryGiB: bound('maxMemoryGiB'),
    maxDiskGiB: bound('maxDiskGiB'),
    maxTimeLimitMs,
    // Whoever names a repository for `img-TAG` means its tags.
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
  return { policy, shapes: takeShapes(reading, file?.shapes ?? [], context) };
}

/** Of the platform's shapes those that the policy names. */
function takeShapes(
  reading: Reading,
  globs: readonly string[],
  context: RegistrationContext,
): Readonly<Record<string, ShapeDefaults>> {
  const { platform, tenant } = context;
  const names = Object.keys(platform.shapes);
  for (const [index, glob] of globs.entries()) {
    if (names.some((name) => matchesAny([glob], name)) || platform.config === undefined) continue;
    const known = names.length === 0 ? 'none' : names.slice(0, 10).join(', ');
    reading.problem(['policy', 'shapes', index], `dispatcher.yaml has no shape \`${glob}\``, `It has: ${known}.`);
  }
  const taken: Record<string, ShapeDefaults> = {};
  for (const [name, shape] of Object.entries(platform.shapes)) {
    if (!matchesAny(globs, name)) continue;
    if (isOverLimit(shape, tenant)) {
      const index = globs.indexOf(name);
      const message = `the shape \`${name}\` is larger than this tenant's limits`;
      if (index >= 0) reading.problem(['policy', 'shapes', index], message, 'Take a smaller one.');
      else reading.note(['policy', 'shapes'], `${message}, and left out`, 'Name the shapes that are meant.');
      continue;
    }
    taken[name] = shape;
  }
  return taken;
}

function isOverLimit(shape: ShapeDefaults, tenant: TenantFile | undefined): boolean {
  const limits = tenant?.limits;
  if (limits === undefined) return false;
  const mostMs = limits.maxTimeout === undefined ? undefined : durationMs(limits.maxTimeout, 0);
  return (
    LIMITS.some(({ limit, shape: key }) => (shape[key] ?? 0) > (limits[limit] ?? Number.POSITIVE_INFINITY)) ||
    (shape.timeLimitMs ?? 0) > (mostMs ?? Number.POSITIVE_INFINITY)
  );
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
        `${label} is one of GitHub's own labels, which any job may carry beside others`,
        'Choose a label of your own; jobs may still list this one too.',
      );
    }
    if (folded.startsWith('shr='))
      reading.problem(path, '`shr=…` is the one-label form of overrides', 'Choose another label.');
    if (label !== label.trim() || label.includes(','))
      reading.problem(path, 'a label has no comma, and no blank at its ends', 'Write one label an entry.');
  }
  return labels;
}

function readRunnerGroup(reading: Reading, claim: Claim | undefined): string {
  const group = reading.section(['runnerGroup'], form.runnerGroup);
  if (group === undefined) return 'Default';
  if (claim?.kind === 'user' || claim?.kind === 'repositories') {
    reading.problem(['runnerGroup'], 'runner groups exist at organizations and enterprises alone', 'Remove it.');
  }
  return group;
}

function readPoll(
  reading: Reading,
  {
    host,
    webhook,
    claim,
    platform,
  }: {
    readonly host: string;
    readonly webhook: boolean;
    readonly claim: Claim | undefined;
    readonly platform: Platform;
  },
): Registration['poll'] {
  const file = reading.section(['poll'], form.poll);
  const hasWebhook = webhook || (claim !== undefined && isCovered(host, claim, platform));
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
        'with polling off and no webhook no job ever comes in',
        'Add `webhook.secrets`, or remove `interval: off`.',
      );
    }
    return { intervalMs: null, repositories };
  }
  const intervalMs = durationMs(file?.interval, hasWebhook ? POLL_BESIDE_WEBHOOK_MS : POLL_ALONE_MS);
  if (intervalMs < SHORTEST_POLL_MS) {
    reading.problem(['poll', 'interval'], 'it is less than a second', 'Take 1s or more, or `off`.');
  }
  return { intervalMs, repositories };
}

/** Whether a shared webhook of dispatcher.yaml speaks for all of it. */
function isCovered(host: string, claim: Claim, platform: Platform): boolean {
  const owners = new Set(
    platform.webhooks.filter((webhook) => webhook.host === host).flatMap((webhook) => webhook.owners),
  );
  return owners.has('*') || ownersOf(claim).every((owner) => owners.has(owner.toLowerCase()));
}

function ownersOf(claim: Claim): readonly string[] {
  switch (claim.kind) {
    case 'enterprise':
      return claim.organizations;
    case 'organization':
      return [claim.organization];
    case 'user':
      return [claim.user];
    case 'repositories':
      return claim.repositories.map(({ owner }) => owner);
  }
}
