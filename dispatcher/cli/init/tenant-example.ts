/**
 * The example of a registration, made of what its tenant was granted, where that is known: with a backend of the platform's,
 * it has no problems as it is. Pure.
 */
import { stringify } from 'yaml';
import { offeredBackend } from '../../config/held-claim.ts';
import { formatDuration } from '../../labels/duration.ts';
import { matchesAny } from '../../labels/glob.ts';
import type { Grant, TenantEntry } from '../../model/registration.ts';

/** What of platform.json an example needs. */
export interface Offered {
  readonly tenants: readonly TenantEntry[];
  readonly backends: ReadonlyMap<string, { readonly maxRunners?: number | undefined }>;
  readonly credentials: ReadonlyMap<string, { readonly credentials: { readonly host?: string } }>;
}

export interface Example {
  /** Of the registration. */
  readonly name: string;
  readonly text: string;
}

/** More tenants than this read the one of another. */
const MAX_EXAMPLES = 20;

/** `name`: the tenant or registration that was asked for; undefined: one of each tenant. Empty: none of them is there. */
export function grantedExamples(offered: Offered, name: string | undefined, organization: string): readonly Example[] {
  const examples = offered.tenants.flatMap(({ name: tenant, registrations, grant }) => {
    if (grant === undefined) return [];
    const own = registrations.map(fromGlob);
    const registration = own.includes(tenant) ? tenant : (own[0] ?? tenant);
    if (name !== undefined && name !== tenant && !matchesAny(registrations, name)) return [];
    const called = name !== undefined && matchesAny(registrations, name) ? name : registration;
    return [{ name: called, text: exampleOf(grant, offered, organization) }];
  });
  return examples.slice(0, MAX_EXAMPLES);
}

function exampleOf(grant: Grant, offered: Offered, organization: string): string {
  const host = grant.hosts.includes('github.com') ? undefined : grant.hosts[0];
  const { owner, lines: claim } = claimOf(grant, organization);
  const backend = offeredBackend(grant, [...offered.backends.keys()]);
  const { maxCpu, maxMemoryGiB, maxTimeLimitMs, maxRunners = 10 } = grant.limits;
  const most = backend?.use === undefined ? maxRunners : (offered.backends.get(backend.use)?.maxRunners ?? maxRunners);
  return exampleText({
    claim: [...(host === undefined ? [] : [`host: ${inline(host)}`]), ...claim],
    credentials: credentialsOf(grant, offered, host ?? 'github.com'),
    label: grantedName(grant.labels, 'serverless-hosted-runner'),
    image: imageOf(grant.powers.images, owner),
    cpu: Math.min(2, maxCpu ?? 2),
    memoryGiB: Math.min(4, maxMemoryGiB ?? 4),
    timeLimit: maxTimeLimitMs === undefined ? undefined : formatDuration(maxTimeLimitMs),
    maxCpu: Math.min(4, maxCpu ?? 4),
    maxMemoryGiB: Math.min(16, maxMemoryGiB ?? 16),
    backend: backend ?? { kind: 'docker' },
    backendNote: noteOf(backend),
    maxRunners: Math.min(10, maxRunners, most),
  });
}

const USUAL_NOTE = "In order of preference. The platform's own are taken with `use: NAME`.";

function noteOf(backend: ReturnType<typeof offeredBackend>): string {
  if (backend === undefined) return 'You were granted none yet: ask the platform team for one, and write it here.';
  return backend.use === undefined
    ? `In order of preference. One of your own: add the \`options\` of its kind.`
    : USUAL_NOTE;
}

/** An organization where all of it was granted with its runner group, else single repositories. */
function claimOf(grant: Grant, organization: string): { readonly owner: string; readonly lines: readonly string[] } {
  const owner = grant.owners.find((one) => one !== '*') ?? (grant.owners.includes('*') ? organization : undefined);
  const group = grant.runnerGroups.includes('Default') ? undefined : grant.runnerGroups[0];
  if (owner !== undefined && grant.runnerGroups.length > 0) {
    const grouped = group === undefined ? [] : [`runnerGroup: ${inline(group)}`];
    return { owner, lines: [`organization: ${inline(owner)}`, ...grouped] };
  }
  const repository = owner === undefined ? grant.repositories[0] : `${owner}/*`;
  const named = repository?.replace(/[*]+/g, 'name').replaceAll('?', 'x') ?? `${organization}/name`;
  const other = repository === named ? '' : ' # put your own in its place';
  return { owner: named.split('/')[0] ?? organization, lines: ['repositories:', `  - ${inline(named)}${other}`] };
}

function credentialsOf(grant: Grant, { credentials }: Offered, host: string): readonly string[] {
  const shared = grant.credentials.find((name) => (credentials.get(name)?.credentials.host ?? 'github.com') === host);
  if (shared !== undefined) return ["# The platform's own.", 'credentials:', `  use: ${inline(shared)}`];
  return ownToken(grant.tenant);
}

function ownToken(tenant: string): readonly string[] {
  return [
    '# Never the secret itself: a variable of the dispatcher, or a value that `shr seal` made.',
    'credentials:',
    `  token: \${env:TENANT_${tenant.toUpperCase().replaceAll('-', '_')}_TOKEN}`,
  ];
}

function imageOf(globs: readonly string[], owner: string): string {
  const usual = usualImage(owner);
  if (globs.length === 0 || matchesAny(globs, usual)) return usual;
  const [glob = ''] = globs;
  // A tag is missing where there is no colon after the last slash.
  const last = glob.slice(glob.lastIndexOf('/') + 1).includes(':') ? 'latest' : 'runner:latest';
  const star = glob.lastIndexOf('*');
  if (star === -1) return glob;
  return `${fromGlob(glob.slice(0, star))}${last}${glob.slice(star + 1)}`;
}

function usualImage(owner: string): string {
  return `ghcr.io/${owner.toLowerCase()}/runner:latest`;
}

/** The usual name where it was granted, else one that was, or that a glob covers. */
function grantedName(globs: readonly string[], usual: string): string {
  return globs.length === 0 || matchesAny(globs, usual) ? usual : fromGlob(globs[0] ?? usual);
}

function fromGlob(glob: string): string {
  return glob.replace(/[*]+/g, 'runner').replaceAll('?', 'x');
}

/** Where no grant is known. */
export function usualExample(name: string, organization: string): string {
  return exampleText({
    claim: [`organization: ${inline(organization)}`],
    credentials: ownToken(name),
    label: 'serverless-hosted-runner',
    image: usualImage(organization),
    cpu: 2,
    memoryGiB: 4,
    timeLimit: undefined,
    maxCpu: 4,
    maxMemoryGiB: 16,
    backend: { kind: 'docker' },
    backendNote: USUAL_NOTE,
    maxRunners: 10,
  });
}

interface Parts {
  readonly claim: readonly string[];
  readonly credentials: readonly string[];
  readonly label: string;
  readonly image: string;
  readonly cpu: number;
  readonly memoryGiB: number;
  readonly timeLimit: string | undefined;
  readonly maxCpu: number;
  readonly maxMemoryGiB: number;
  readonly backendNote: string;
  readonly backend: { readonly use?: string | undefined; readonly kind?: string | undefined };
  readonly maxRunners: number;
}

function exampleText(parts: Parts): string {
  const [way, backend] =
    parts.backend.use === undefined ? ['kind', parts.backend.kind ?? ''] : ['use', parts.backend.use];
  return `# yaml-language-server: $schema=registration.schema.json
#
# The file's name is the registration's name. Every field: docs/registrations.md of serverless-hosted-runner.

${parts.claim.join('\n')}

${parts.credentials.join('\n')}

# A job needs one of these, and may add overrides such as \`cpu-4\`.
labels:
  - ${inline(parts.label)}

# What a runner is when the labels say nothing.
defaults:
  image: ${inline(parts.image)}
  cpu: ${parts.cpu}
  memoryGiB: ${parts.memoryGiB}
${parts.timeLimit === undefined ? '' : `  timeLimit: ${parts.timeLimit}\n`}
# How far labels may go. What is absent is not allowed at all.
policy:
  maxCpu: ${parts.maxCpu}
  maxMemoryGiB: ${parts.maxMemoryGiB}

# ${parts.backendNote}
backends:
  - ${way}: ${inline(backend)}

maxRunners: ${parts.maxRunners}
`;
}

/** Quoted where YAML would read something else. */
function inline(text: string): string {
  return stringify(text).trim();
}
