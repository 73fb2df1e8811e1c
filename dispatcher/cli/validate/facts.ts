/** What a registration and a tenant's grant say, field by field, to be compared with what they said before. Pure. */
import { createHash } from 'node:crypto';
import { formatDuration } from '../../labels/duration.ts';
import { type Backend, type Grant, type Registration, Secret } from '../../model/registration.ts';

/** By field. A list has an item for each entry, a single value is a list of one. */
export type Facts = ReadonlyMap<string, Fact>;

export interface Fact {
  readonly items: readonly string[];
  /** Stands for a value that must not be shown: whether it changed is all that is said. */
  readonly print?: string;
}

/**
 * Without what may be secret: of credentials their kind and whether they are others, as of a backend's options. `document`: the
 * file as it is written, as references that cannot be resolved here look alike; undefined if it is not known.
 */
export function factsOf(registration: Registration, document?: unknown): Facts {
  // All that the platform names is not what this registration may use.
  const { name: _name, presets: _presets, ...own } = registration;
  const { grant, claim, credentials, webhookSecrets, backends, ...others } = own;
  const facts = new Map<string, Fact>();
  flatten(facts, '', grant === undefined ? {} : { tenant: grant.tenant });
  facts.set('claims', { items: claimed(claim) });
  flatten(facts, '', {
    credentials: credentials.kind === 'app' ? `GitHub App ${credentials.appId}` : 'a token',
    webhook: webhookSecrets.length > 0 ? 'an endpoint of its own' : undefined,
  });
  for (const field of ['credentials', 'webhook']) {
    const fact = facts.get(field);
    if (fact !== undefined && document !== undefined)
      facts.set(field, { ...fact, print: printOf(sectionOf(document, field)) });
  }
  flatten(facts, '', { backends: backends.map(({ name }) => name) });
  for (const backend of backends) facts.set(`backends.${backend.name}`, factOfBackend(backend));
  flatten(facts, '', others);
  return facts;
}

export function factsOfGrant({ tenant: _tenant, places: _places, ...granted }: Grant): Facts {
  const facts = new Map<string, Fact>();
  flatten(facts, '', granted);
  return facts;
}

function claimed(claim: Registration['claim']): readonly string[] {
  switch (claim.kind) {
    case 'enterprise':
      return claim.organizations.map((organization) => `${organization}/* (enterprise ${claim.enterprise})`);
    case 'organization':
      return [`${claim.organization}/*`];
    case 'user':
      return [`${claim.user}/*`];
    case 'repositories':
      return claim.repositories.map(({ owner, repository }) => `${owner}/${repository}`);
  }
}

function factOfBackend({ kind, region, maxRunners, shared, weight, options }: Backend): Fact {
  const items = [
    `kind ${kind}`,
    ...(shared === true ? ["the platform's"] : []),
    ...(region === undefined ? [] : [`region ${region}`]),
    `maxRunners ${maxRunners}`,
    ...(weight === undefined ? [] : [`weight ${weight}`]),
  ];
  return { items, print: printOf(options) };
}

function sectionOf(document: unknown, field: string): unknown {
  if (typeof document !== 'object' || document === null) return undefined;
  return Object.entries(document).find(([key]) => key === field)?.[1];
}

function printOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(value) ?? '')
    .digest('hex');
}

function flatten(facts: Map<string, Fact>, above: string, value: object): void {
  for (const [key, item] of Object.entries(value)) {
    const path = above === '' ? key : `${above}.${key}`;
    if (item === undefined || item instanceof Secret) continue;
    if (typeof item === 'number' && key.endsWith('Ms')) {
      facts.set(path.slice(0, -2), { items: [formatDuration(item)] });
    } else if (Array.isArray(item)) {
      if (item.length > 0)
        facts.set(path, { items: item.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))) });
    } else if (typeof item === 'object' && item !== null) flatten(facts, path, item);
    else facts.set(path, { items: [item === null ? 'off' : String(item)] });
  }
}
