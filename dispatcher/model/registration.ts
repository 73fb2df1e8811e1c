/** The configuration after parsing: validated, secrets resolved, defaults filled in. Optional fields are deliberate. */
import type { ProviderPackage } from '../../providers/package.ts';
import type { Architecture, ShapeWish } from '../../providers/provider.ts';
import type { RecurringWindow } from '../../time/recurring-window.ts';
import type { GithubScope } from '../jobs/scope.ts';
import type { SpotModes } from '../labels/spot-mode.ts';
import type { Retention, Role } from '../ledger/ledger.ts';
import type { Problem } from './problem.ts';

/** Keeps a secret out of logs, JSON and error messages. */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return '[secret]';
  }
  toJSON(): string {
    return '[secret]';
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}

export interface AppKey {
  readonly appId: string;
  readonly privateKey: Secret;
}

/** `host`: the one GitHub host that they are sent to, lower case. Absent in tests alone. */
export type Credentials = (
  | { readonly kind: 'token'; readonly token: Secret }
  | ({
      readonly kind: 'app';
      /** Further Apps that share the load. Webhooks come from the first one. */
      readonly others?: readonly AppKey[];
    } & AppKey)
) & { readonly host?: string };

/** Which jobs a registration may claim. */
export type Claim =
  | { readonly kind: 'enterprise'; readonly enterprise: string; readonly organizations: readonly string[] }
  | { readonly kind: 'organization'; readonly organization: string }
  /** A user account: all its repositories, each its own scope. */
  | { readonly kind: 'user'; readonly user: string }
  | {
      readonly kind: 'repositories';
      readonly repositories: readonly { readonly owner: string; readonly repository: string }[];
    };

/** As they are written; of a claim by repositories one for each. */
export function ownersOf(claim: Claim): readonly string[] {
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

export interface Backend {
  /** Unique within the registration; `backend-NAME` selects it. */
  readonly name: string;
  /** The provider's kind: `docker`, `process`, `ali-eci` … */
  readonly kind: string;
  /** Where the kind comes from if it is not built in. */
  readonly from?: ProviderPackage;
  /** Why nothing can be launched on it until the dispatcher is restarted: its package cannot be used. */
  readonly closed?: string;
  readonly region: string | undefined;
  /** Validated by the provider's own schema; undefined if it is closed. */
  readonly options: unknown;
  /** How many instances may exist on it at once. */
  readonly maxRunners: number;
  /** A backend of dispatcher.yaml: a tenant's powers there are those it was granted. */
  readonly shared?: true;
  /** Its share of the launches. Absent (at all backends of the registration): they are tried in their order. */
  readonly weight?: number;
  /** How long an accepted container may wait for stock. Absent: 2 minutes. */
  readonly stockPatienceMs?: number;
  /** As its owner wrote it: for an estimate. */
  readonly price?: Price;
}

export interface Price {
  readonly perCoreHour: number;
  readonly perGiBHour: number;
  /** ISO 4217. */
  readonly currency: string;
}

/**
 * What dispatcher.yaml grants a tenant: what is not in it is not granted. What GitHub compares without case (hosts,
 * owners, repositories, labels) is in lower case.
 */
export interface Grant {
  readonly tenant: string;
  readonly hosts: readonly string[];
  /** `*`: every owner that was not granted to another tenant. */
  readonly owners: readonly string[];
  readonly enterprises: readonly string[];
  /** Globs `owner/name`; the owner is written out. */
  readonly repositories: readonly string[];
  /** Globs. */
  readonly labels: readonly string[];
  readonly maxPriority: number;
  readonly runnerGroups: readonly string[];
  readonly credentials: readonly string[];
  /** Globs. */
  readonly backends: readonly string[];
  readonly backendKinds: readonly string[];
  /** Globs on secrets in the clouds' own stores that the dispatcher reads for it by its own identity. Absent: none. */
  readonly secretStores?: readonly string[];
  /** Globs: bases of dispatcher.yaml that its registrations may extend. Absent: none. */
  readonly bases?: readonly string[];
  /** Globs: presets that its jobs may name. Absent: all. */
  readonly presets?: readonly string[];
  /** Of the dispatcher's runners, so many are kept for it. */
  readonly reservedRunners?: number;
  /** Its share of the others. Absent: 1. */
  readonly weight?: number;
  readonly limits: Limits;
  readonly powers: Powers;
  /** Jobs run in images alone that are proven to carry the job-started hook, and not without its answer. */
  readonly requireHook?: {
    /** Whether an image's own label is proof: the word of whoever built it. */
    readonly labels: boolean;
    /** Globs: images of which the platform itself says so. */
    readonly images: readonly string[];
  };
  /** Position of a field, as `dispatcher.yaml:12:3`, by name, such as `powers.spot`; if absent, that of its section. */
  readonly places: Readonly<Record<string, string>>;
}

/** On every backend. Undefined: no limit; of disk and time on a shared backend: none at all. */
export interface Limits {
  /** Bounds are kept for each registration: a tenant must not multiply them. */
  readonly maxRegistrations: number;
  readonly maxRunners: number | undefined;
  /** Of all its registrations together. Absent: no limit. */
  readonly maxLaunchesPerMinute?: number;
  /** Of one workflow run, over all its registrations. Absent: no limit. */
  readonly maxRunnersPerRun?: number;
  readonly maxCpu: number | undefined;
  readonly maxMemoryGiB: number | undefined;
  readonly maxDiskGiB: number | undefined;
  readonly maxTimeLimitMs: number | undefined;
  /** Globs: only jobs of these. Absent: of all. */
  readonly workflows?: readonly string[];
  readonly branches?: readonly string[];
  readonly events?: readonly string[];
  readonly actors?: readonly string[];
}

/** On shared backends. Lists are globs. */
export interface Powers {
  readonly images: readonly string[];
  readonly buckets: readonly string[];
  readonly subnets: readonly string[];
  readonly securityGroups: readonly string[];
  readonly regions: readonly string[];
  readonly publicRepositories: boolean;
  /** Jobs of private repositories whose code comes from a fork. Absent: not granted. */
  readonly forks?: boolean;
  readonly dockerInDocker: boolean;
  /** `false`: on-demand capacity alone. */
  readonly spot: SpotModes;
}

/** An entry of `tenants` in dispatcher.yaml. */
export interface TenantEntry {
  readonly name: string;
  /** Globs on the names of the registrations that are its. */
  readonly registrations: readonly string[];
  /** Undefined: the platform's own, which has no limits. */
  readonly grant: Grant | undefined;
}

/** What labels may override, and how far. Absent: nothing. */
export interface Policy {
  readonly maxCpu: number | undefined;
  readonly maxMemoryGiB: number | undefined;
  readonly maxDiskGiB: number | undefined;
  readonly maxTimeLimitMs: number | undefined;
  /** Globs (`*` within and across path segments, `?`), matched against the full reference. */
  readonly images: readonly string[];
  readonly subnets: readonly string[];
  readonly securityGroups: readonly string[];
  readonly buckets: readonly string[];
  readonly regions: readonly string[];
  /** Backend names that `backend-B` may select. */
  readonly backends: readonly string[];
  readonly architectures: readonly Architecture[];
  readonly spot: SpotModes;
  readonly dockerInDocker: boolean;
  /** Jobs of public repositories run the code of strangers: refused unless allowed. */
  readonly publicRepositories: boolean;
  /** Jobs whose code comes from a fork. Absent: refused in private repositories; in public ones as `publicRepositories` says. */
  readonly forks?: boolean;
  /** Globs: only jobs of these. Absent: of all. */
  readonly workflows?: readonly string[];
  readonly branches?: readonly string[];
  readonly events?: readonly string[];
  readonly actors?: readonly string[];
}

/**
 * What the `shr.yaml` of an organization narrows. Absent: it says nothing of it. Lists are globs; the empty one covers
 * nothing. A switch is only ever off.
 */
export interface OrganizationPolicy {
  readonly maxCpu?: number;
  readonly maxMemoryGiB?: number;
  readonly maxDiskGiB?: number;
  readonly maxTimeLimitMs?: number;
  readonly images?: readonly string[];
  readonly subnets?: readonly string[];
  readonly securityGroups?: readonly string[];
  readonly workflows?: readonly string[];
  readonly branches?: readonly string[];
  readonly events?: readonly string[];
  readonly actors?: readonly string[];
  readonly spot?: false;
  readonly dockerInDocker?: false;
  readonly publicRepositories?: false;
  readonly forks?: false;
}

/** The `shr.yaml` of an organization's `.github-private` or `.github`. */
export interface OrganizationFile {
  /** `acme/.github-private/shr.yaml` */
  readonly file: string;
  /** Git's own hash of its content. */
  readonly blob: string;
  readonly policy: OrganizationPolicy;
  readonly defaults: OrganizationShape;
  readonly maxRunnersPerRun?: number;
  /** Position of a field, as `acme/.github-private/shr.yaml:3:5`, by name, such as `policy.maxCpu`. */
  readonly places: Readonly<Record<string, string>>;
}

export type OrganizationShape = Pick<ShapeDefaults, 'cpu' | 'memoryGiB' | 'architecture' | 'image' | 'timeLimitMs'>;

/** What of it holds for one registration. */
export interface OrganizationLimits extends Pick<OrganizationFile, 'file' | 'policy' | 'places'> {
  /** Fields of the registration that have their value from there, with the position: `policy.forks`, `maxRunnersPerRun`. */
  readonly decided: Readonly<Record<string, string>>;
}

/**
 * Part of a shape, by name: a registration's default, or a platform's `shape-NAME`. The region follows from the backend,
 * the prefix of a bucket from the repository.
 */
export type ShapeDefaults = Partial<Omit<ShapeWish, 'region' | 'bucketPrefix'>>;

/** What dispatcher.yaml names for labels: `shape-NAME`, `img-NAME`. */
export interface Presets {
  readonly shapes: Readonly<Record<string, ShapeDefaults>>;
  readonly images: Readonly<Record<string, string>>;
  /** Position of each, as `dispatcher.yaml:12:3`, by `shapes.NAME` and `images.NAME`. */
  readonly places: Readonly<Record<string, string>>;
}

export interface Registration {
  /** The file's name: `[a-z0-9-]`, at most 32 characters. */
  readonly name: string;
  /** What its tenant was granted. Absent: the platform's own registration. */
  readonly grant?: Grant;
  readonly host: string;
  /** `https://api.github.com`, `https://HOST/api/v3`, `https://api.HOST` of `*.ghe.com`. */
  readonly apiUrl: string;
  readonly claim: Claim;
  readonly credentials: Credentials;
  /** Of its own endpoint `/webhooks/github/<name>`; empty where the platform's shared endpoint serves it. Two while rotating. */
  readonly webhookSecrets: readonly Secret[];
  readonly runnerGroup: string;
  /** Own labels, a job must carry at least one of them. */
  readonly labels: readonly string[];
  readonly priority: number;
  readonly defaults: ShapeDefaults;
  /** The repository that `img-TAG` completes: `ghcr.io/acme/runner`. */
  readonly imageRepository: string | undefined;
  /** `img-NAME` and `image=NAME` of the one-label form. */
  readonly images: Readonly<Record<string, string>>;
  /** The presets that its policy allows as they are. */
  readonly shapes: Readonly<Record<string, ShapeDefaults>>;
  readonly presetImages?: Readonly<Record<string, string>>;
  /** All of them: any other is judged as if a job had written what it stands for. */
  readonly presets?: Presets;
  readonly policy: Policy;
  /** In order of preference, at least one. */
  readonly backends: readonly Backend[];
  readonly maxRunners: number;
  readonly poll: {
    /** Null: no polling, the webhook alone. */
    readonly intervalMs: number | null;
    /** For an organization or user: only these, or (empty) all that the credentials see. */
    readonly repositories: readonly string[];
  };
  readonly timeouts: { readonly launchMs: number; readonly idleMs: number };
  readonly chargeLabels: Readonly<Record<string, string>>;
  /** Absent: no limit of its own. */
  readonly maxLaunchesPerMinute?: number;
  /** Of the dispatcher's runners, so many are kept for it; of a tenant's registration they are part of the tenant's. */
  readonly reservedRunners?: number;
  /** Its share of the dispatcher's other runners, beside tenants. Only of the platform's own. Absent: 1. */
  readonly weight?: number;
  /** Of one workflow run. Absent: no limit of its own. */
  readonly maxRunnersPerRun?: number;
  /** When nothing is launched. Absent: never. */
  readonly maintenance?: readonly RecurringWindow[];
  /** A job's first step waits for the dispatcher's yes, and the job fails without an answer. Absent: it runs then. */
  readonly requireHook?: true;
  /** Deliveries that never arrived are not asked for again by its credentials. Absent: they are. */
  readonly redelivery?: false;
  /** Its jobs are matched, planned and reported; nothing is launched for them and nothing registered. Absent: they are served. */
  readonly observe?: true;
  /** The `shr.yaml` of its organization is read. Absent: it is not. */
  readonly organizationDefaults?: 'default' | 'forced';
  /** As it was read last: never in a file. */
  readonly organization?: OrganizationLimits;
  /** Why nothing may be admitted yet: what its organization forces is not known. */
  readonly organizationUnknown?: string;
  /** Runners that are started ahead of their jobs. Each pool has a shape, or labels, of its own. */
  readonly standby?: readonly StandbyPool[];
  /** Absent: every launch uses the image of its job. */
  readonly canary?: Canary;
}

/** An image that some launches use in place of the default one, before it becomes that. */
export interface Canary {
  /** The full reference. */
  readonly image: string;
  /** Of the launches whose image is `defaults.image`. */
  readonly percent: number;
}

export interface StandbyPool {
  /**
   * Absent: its containers are parked, and register when their jobs come. `registered`: they have these labels at GitHub, and
   * take the jobs that it gives them.
   */
  readonly mode?: 'registered';
  /**
   * Of parked ones: overrides over the defaults, as in `runs-on`; they serve the jobs whose labels come to the same. Of
   * registered ones: all labels of the jobs that they are for.
   */
  readonly labels: readonly string[];
  /** How many wait for jobs, those that are still starting included; with `demand` the least. */
  readonly size: number;
  /** Absent: it does not follow the demand. */
  readonly demand?: StandbyDemand;
  /** Other sizes at other times: that of the first window that is open. Absent: `size` at all times. */
  readonly schedule?: readonly StandbyTime[];
  /** A container that has waited for this long since its launch is replaced. */
  readonly maxAgeMs: number;
}

/** As many as the most jobs that started within any span of `withinMs` in the last `overMs`. */
export interface StandbyDemand {
  readonly max: number;
  readonly withinMs: number;
  readonly overMs: number;
}

export interface StandbyTime extends RecurringWindow {
  readonly size: number;
}

/** Which jobs a registration asks for. */
export type JobClaims = Pick<Registration, 'name' | 'grant' | 'host' | 'claim' | 'labels' | 'priority'>;

/** A registration that is set aside until its problems are mended. */
export interface Quarantined {
  /** Of the registration; of a file that cannot be one, its whole name. */
  readonly name: string;
  readonly file: string;
  /** At least one. */
  readonly problems: readonly Problem[];
  /**
   * What it asks for, where its file says so rightly: those jobs are refused meanwhile, so that no other registration
   * with a wider claim takes them.
   */
  readonly claims: JobClaims | undefined;
}

/** A registration whose file has problems, and whose last version without them is in force. */
export interface KeptRegistration {
  readonly name: string;
  readonly file: string;
  /** Of the file as it is now; at least one. */
  readonly problems: readonly Problem[];
}

/** Two registrations with the same right to some jobs. Both serve; the jobs in question are refused. */
export interface Conflict {
  readonly registrations: readonly [string, string];
  readonly problem: Problem;
}

/** The platform's own file, `dispatcher.yaml`. */
/** What the members of a group may do. Null: everywhere. */
export interface GroupAccess {
  readonly group: string;
  readonly role: Role;
  readonly tenants: readonly string[] | null;
}

/** How people log in to the admin listener. */
export interface OidcConfig {
  /** As it is written: tokens have to say the same. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: Secret;
  /** The origin at which browsers reach the admin listener. */
  readonly url: string;
  readonly scopes: readonly string[];
  readonly groupsClaim: string;
  readonly access: readonly GroupAccess[];
}

/** A folder of a repository, and whose registrations may be in it. */
export interface SourceFolder {
  /** From the root of the repository; with `*` as its last part, each folder there is its tenant's, by that name. */
  readonly path: string;
  /** Undefined: of all tenants; where `path` ends in `*`, of the one that the folder is named after. */
  readonly tenants?: readonly string[];
  /** The platform's own registrations may be in it too. */
  readonly trusted: boolean;
}

/** A branch of a git repository in which registrations are kept. */
export interface GitSourceConfig {
  readonly name: string;
  /** `https://` or `ssh://`, without credentials. */
  readonly url: string;
  readonly branch: string;
  readonly folders: readonly SourceFolder[];
  readonly intervalMs: number;
  /** Absent: it can be read by everybody. */
  readonly credentials?:
    | { readonly kind: 'token'; readonly user: string; readonly token: Secret }
    /** Paths of files. */
    | { readonly kind: 'ssh'; readonly key: string; readonly knownHosts: string };
  /** Of its endpoint `/webhooks/git/<name>`; empty: it has none. Two while rotating. */
  readonly webhookSecrets: readonly Secret[];
}

export interface PostgresConfig {
  /** `postgresql://…`, which has been found to be valid. */
  readonly url: Secret;
  readonly schema: string;
  /** PEM. */
  readonly ca?: Secret;
  readonly connections: number;
}

export interface DispatcherConfig {
  /** `[a-z0-9-]`, at most 20 characters: part of every runner's name and every instance's tags. Never change it. */
  readonly id: string;
  /** With `postgres`, only of what is kept beside it. */
  readonly ledgerPath: string;
  /** Undefined: the ledger is the file. */
  readonly postgres?: PostgresConfig;
  readonly publicListen: {
    readonly host: string;
    readonly port: number;
    /** Where runners reach it, without a slash at its end; undefined: they make no call-backs. */
    readonly url?: string;
    /** Paths of PEM files. Undefined: it speaks plain HTTP. */
    readonly tls?: { readonly certificate: string; readonly key: string };
  };
  readonly adminListen: { readonly host: string; readonly port: number };
  readonly adminToken: Secret;
  /** Undefined: nobody logs in. */
  readonly oidc?: OidcConfig;
  /** The shared endpoint `/webhooks/github`: one entry a GitHub host and App or platform webhook. */
  readonly webhooks: readonly WebhookEndpoint[];
  /** Where registrations are kept beside the folder, the first before the second. Absent: nowhere. */
  readonly sources?: readonly GitSourceConfig[];
  /** Undefined: there are no tenants, and every registration is the platform's own. */
  readonly tenants: readonly TenantEntry[] | undefined;
  readonly maxRunners: number;
  /** Concurrent launches over all registrations. */
  readonly maxLaunches: number;
  /** Of one webhook endpoint, also all at once. */
  readonly deliveriesPerMinute: number;
  /** Addresses and networks in CIDR notation. */
  readonly trustedProxies: readonly string[];
  /** Stops within this after SIGTERM. */
  readonly shutdownMs: number;
  readonly retention: Retention;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly unsafeProcessBackend: boolean;
}

export interface WebhookEndpoint {
  readonly host: string;
  /** Picks the secrets by `X-GitHub-Hook-Installation-Target-ID`; undefined: a plain webhook. */
  readonly appId: string | undefined;
  /** One, or two while rotating. */
  readonly secrets: readonly Secret[];
  /** The owners that this secret may speak for, lower case; `*` for what no tenant was granted, and for `tenants`. */
  readonly owners: readonly string[];
  /** The tenants for whose repositories it may speak beside that, with `*` for all. Absent: none. */
  readonly tenants?: readonly string[];
}

export interface Configuration {
  readonly dispatcher: DispatcherConfig;
  readonly registrations: readonly Registration[];
  readonly quarantined: readonly Quarantined[];
  readonly conflicts: readonly Conflict[];
  /** Among `registrations`: what their files say now is not in force. */
  readonly kept?: readonly KeptRegistration[];
  /** Of dispatcher.yaml and the folder of registrations as they are now: what was read before stays in force. */
  readonly platformProblems?: readonly Problem[];
  /** What there is beside the folder, in the order of dispatcher.yaml. */
  readonly sources?: readonly SourceState[];
  /** By the name of the registration: the source that it comes from. Others are from the folder. */
  readonly origins?: ReadonlyMap<string, Origin>;
  /** Registrations that are kept in more than one place, and those of them that are not in force. */
  readonly doubles?: readonly Double[];
}

/** What was last read of a source. */
export interface SourceState {
  readonly name: string;
  readonly url: string;
  readonly branch: string;
  /** What is in force of it; null: nothing was read yet. */
  readonly commit: Commit | null;
  /** Why what is there now is not known, or not in force. Null: it is. */
  readonly problem: Problem | null;
}

export interface Commit {
  readonly sha: string;
  readonly authoredAtMs: number;
  /** Without anything shaped like a secret. */
  readonly subject: string;
}

/** Where a registration comes from. */
export interface Origin {
  /** The name of the source. */
  readonly source: string;
  readonly file: string;
}

export interface Double {
  readonly name: string;
  /** Of the file that is not in force. */
  readonly problem: Problem;
}

/** The scope at which runners for a job in this repository register. */
export function scopeFor(claim: Claim, owner: string, repository: string): GithubScope {
  switch (claim.kind) {
    case 'enterprise':
      return { kind: 'enterprise', enterprise: claim.enterprise };
    case 'organization':
      return { kind: 'organization', organization: claim.organization };
    case 'user':
    case 'repositories':
      return { kind: 'repository', owner: owner.toLowerCase(), repository: repository.toLowerCase() };
  }
}

/** The one scope of all its jobs' runners (except those with a bucket); undefined: each repository has its own. */
export function onlyScopeOf(claim: Claim): GithubScope | undefined {
  switch (claim.kind) {
    case 'enterprise':
    case 'organization':
      return scopeFor(claim, '', '');
    case 'user':
      return undefined;
    case 'repositories': {
      const [only, ...others] = claim.repositories;
      return only === undefined || others.length > 0 ? undefined : scopeFor(claim, only.owner, only.repository);
    }
  }
}

/** The stricter of registration and grant. */
export function requiresHook({ requireHook, grant }: Pick<Registration, 'requireHook' | 'grant'>): boolean {
  return requireHook === true || grant?.requireHook !== undefined;
}

/** Whose turn it is where tenants share something: registrations of one tenant wait in one line. */
export function lineOf({ name, grant }: Pick<Registration, 'name' | 'grant'>): string {
  return grant === undefined ? `registration ${name}` : `tenant ${grant.tenant}`;
}
