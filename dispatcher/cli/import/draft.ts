/** A registration made of another system's configuration, with what a person has to do about it. */
import { NAME, ownerName } from '../../config/schema.ts';
import { isBuiltIn } from '../../labels/grammar.ts';
import { foldLabel } from '../../labels/values.ts';
import type { Fates } from './fields.ts';

export interface Draft {
  readonly name: string;
  /** Whose it is, where dispatcher.yaml has tenants. */
  readonly tenant: string;
  /** `backends` is a stand-in: the other system does not say where runners could run here. */
  readonly isBackendOpen: boolean;
  readonly registration: Readonly<Record<string, unknown>>;
  /** Variables that the registration refers to, and what each has to hold. */
  readonly secrets: readonly { readonly variable: string; readonly holds: string }[];
  /** What has to be done about no field in particular. */
  readonly left: readonly string[];
  /** Of each field that was read. */
  readonly fates: Fates;
}

export interface Imported {
  readonly drafts: readonly Draft[];
  /** What could not be read at all. */
  readonly problems: readonly string[];
}

/** In the place of a tenant's name. */
export const EACH = 'one for each owner';

/** What one import has given out: no two registrations have a name, or a label in the same place. */
export class Names {
  readonly #tenant: string | undefined;
  readonly #names = new Set<string>();
  readonly #tenants = new Map<string, string>();
  readonly #labels = new Map<string, string>();

  /**
   * `tenant`: whose all of them are. EACH: what belongs to one owner is one tenant's, called as its first
   * registration. Undefined: there are no tenants.
   */
  constructor(tenant: string | undefined) {
    this.#tenant = tenant;
  }

  /** One that may be a registration's name. */
  registration(text: string): string {
    const folded = text
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-+|-+$/g, '')
      .slice(0, 28)
      .replace(/-+$/, '');
    const stem = NAME.test(folded) ? folded : 'imported';
    let name = stem;
    for (let count = 2; this.#names.has(name); count += 1) name = `${stem}-${count}`;
    this.#names.add(name);
    return name;
  }

  tenantOf(owner: string, registration: string): string {
    if (this.#tenant === undefined) return registration;
    const tenant = this.#tenant === EACH ? (this.#tenants.get(owner) ?? registration) : this.#tenant;
    this.#tenants.set(owner, tenant);
    return tenant;
  }

  /** The registration that has this label there: the one that asks, unless an earlier one has it. */
  ownerOf(label: string, place: string, registration: string): string {
    const key = JSON.stringify([place.toLowerCase(), foldLabel(label)]);
    const owner = this.#labels.get(key) ?? registration;
    this.#labels.set(key, owner);
    return owner;
  }
}

/** Begins as the variables of that tenant do. */
export function variableOf({ tenant, name }: Pick<Draft, 'tenant' | 'name'>, what: string): string {
  const own = name === tenant || name.startsWith(`${tenant}-`) ? name : `${tenant}-${name}`;
  return `${tenantPrefix(own)}${what}`;
}

export function tenantPrefix(tenant: string): string {
  return `TENANT_${tenant.toUpperCase().replaceAll('-', '_')}_`;
}

export interface Variable {
  readonly variable: string;
  /** Of the registration. */
  readonly field: string;
}

/** Those that a registration refers to beside its secrets: they have to be set as well. */
export function variablesIn({ registration, secrets }: Draft): readonly Variable[] {
  const known = new Set(secrets.map(({ variable }) => variable));
  const found: Variable[] = [];
  const walk = (value: unknown, field: string): void => {
    const variable = typeof value === 'string' ? /^\$\{env:([\w.-]+)\}$/.exec(value)?.[1] : undefined;
    if (variable !== undefined && !known.has(variable)) {
      known.add(variable);
      found.push({ variable, field });
    }
    if (Array.isArray(value)) for (const [index, item] of value.entries()) walk(item, `${field}[${index}]`);
    else if (typeof value === 'object' && value !== null)
      for (const [key, item] of Object.entries(value)) walk(item, field === '' ? key : `${field}.${key}`);
  };
  walk(registration, '');
  return found;
}

/** Labels that select a registration. GitHub's own ones do not: every runner has them. */
export function selectingLabels(texts: readonly string[], toDo: string[]): readonly string[] {
  const known = new Map(
    texts
      .map((text) => text.trim())
      .filter((text) => text !== '')
      .map((text) => [foldLabel(text), text]),
  );
  const builtIn = [...known].filter(([folded]) => isBuiltIn(folded)).map(([, text]) => text);
  const labels = [...known].filter(([folded]) => !isBuiltIn(folded)).map(([, text]) => text);
  const some = labels[0] ?? 'serverless-hosted-runner';
  if (builtIn.length > 0) {
    toDo.push(
      `labels: every self-hosted runner has ${builtIn.map((text) => `\`${text}\``).join(', ')}, so a job is not taken by these alone: add a label of the registration to such workflows, \`runs-on: [${[...builtIn, some].join(', ')}]\``,
    );
  } else if (labels.length === 0) toDo.push(`labels: jobs have to carry one, by default \`runs-on: ${some}\``);
  return labels;
}

/** The host and the parts of the path. Undefined: that is no address of an owner at GitHub. */
export function ownerIn(url: string): { readonly host: string; readonly parts: readonly string[] } | undefined {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) return undefined;
  const parts = parsed.pathname.split('/').filter((part) => part !== '');
  return ownerName.safeParse(parts[0]).success ? { host: parsed.host, parts } : undefined;
}

/** Of an address such as `https://ghes.acme.example`. */
export function hostIn(url: string): string | undefined {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  return parsed !== undefined && /^https?:$/.test(parsed.protocol) && parsed.host !== '' ? parsed.host : undefined;
}

/** Where runners run by default, until somebody chooses. */
export function someBackend(needs: { readonly dind?: boolean; readonly arm64?: boolean } = {}): unknown {
  const options = withoutUndefined({
    privileged: needs.dind === true ? true : undefined,
    architecture: needs.arm64 === true ? 'arm64' : undefined,
  });
  return withoutUndefined({ kind: 'docker', options: Object.keys(options).length > 0 ? options : undefined });
}

export interface Origin {
  readonly host: string;
  readonly owner: string;
  readonly claim: Readonly<Record<string, unknown>>;
}

/** Where jobs come from: `https://github.com/acme/web`. Undefined: that is no address of GitHub. */
export function claimFrom(url: string): Origin | undefined {
  const { host, parts } = ownerIn(url) ?? { host: '', parts: [] };
  const [owner, second, ...more] = parts;
  if (owner === undefined || more.length > 0) return undefined;
  if (owner === 'enterprises' && second !== undefined)
    return { host, owner: second, claim: { enterprise: second, organizations: ['ORGANIZATION'] } };
  if (second === undefined) return { host, owner, claim: { organization: owner } };
  return { host, owner, claim: { repositories: [`${owner}/${second.replace(/\.git$/, '')}`] } };
}

export const IMAGE_TO_DO = 'defaults.image: write your runner image: docs/runner-image.md';
export const BACKEND_TO_DO = 'backends: write where the runners should run: docs/providers.md';
export const POLICY_TO_DO =
  'policy: jobs of public repositories, and those whose code comes from a fork, are refused until `policy: { publicRepositories: true }` or `policy: { forks: true }` allows them';
/** Valid, and pulled nowhere. */
export const NO_IMAGE = 'registry.invalid/runner:latest';

export function withoutUndefined(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/**
 * A text from outside must not become a reference: nobody would see that the registration reads a secret. Undefined: none does.
 * `isOurs`: of one that the import wrote itself.
 */
export function foreignReference(
  value: unknown,
  isOurs: (reference: string) => boolean,
  path: readonly string[] = [],
): string | undefined {
  if (typeof value === 'string') {
    const others = value.replaceAll(/\$\{[^{}]*\}/g, (found) => (isOurs(found) ? ' ' : found));
    if (!others.includes('${')) return undefined;
    return `\`${path.join('.')}\` holds \${, which would be a reference here: write this registration by hand`;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, item] of Object.entries(value)) {
    const found = foreignReference(item, isOurs, [...path, key]);
    if (found !== undefined) return found;
  }
  return undefined;
}
