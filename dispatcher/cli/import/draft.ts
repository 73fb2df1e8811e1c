/** A registration made of another system's configuration, with what a person has to do about it. */
import { NAME, ownerName } from '../../config/schema.ts';

export interface Draft {
  readonly name: string;
  readonly registration: Readonly<Record<string, unknown>>;
  /** Variables that the registration refers to, and what each has to hold. */
  readonly secrets: readonly { readonly variable: string; readonly holds: string }[];
  /** What has no equivalent, or has to be filled in. */
  readonly left: readonly string[];
}

export interface Imported {
  readonly drafts: readonly Draft[];
  /** What could not be read at all. */
  readonly problems: readonly string[];
}

/** One that may be a registration's name, and that no earlier one of the import has. */
export function nameFrom(text: string, taken: Set<string>): string {
  const folded = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 28)
    .replace(/-+$/, '');
  const stem = NAME.test(folded) ? folded : 'imported';
  let name = stem;
  for (let count = 2; taken.has(name); count += 1) name = `${stem}-${count}`;
  taken.add(name);
  return name;
}

export function variableOf(name: string, what: string): string {
  return `TENANT_${name.toUpperCase().replaceAll('-', '_')}_${what}`;
}

/** The host and the parts of the path. Undefined: that is no address of an owner at GitHub. */
export function ownerIn(url: string): { readonly host: string; readonly parts: readonly string[] } | undefined {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) return undefined;
  const parts = parsed.pathname.split('/').filter((part) => part !== '');
  return ownerName.safeParse(parts[0]).success ? { host: parsed.host, parts } : undefined;
}

/** Where runners run by default, until somebody chooses. */
export function someBackend(needs: { readonly dind?: boolean; readonly arm64?: boolean } = {}): unknown {
  const options = withoutUndefined({
    privileged: needs.dind === true ? true : undefined,
    architecture: needs.arm64 === true ? 'arm64' : undefined,
  });
  return withoutUndefined({ kind: 'docker', options: Object.keys(options).length > 0 ? options : undefined });
}

/** Where jobs come from: `https://github.com/acme/web`. Undefined: that is no address of GitHub. */
export function claimFrom(
  url: string,
): { readonly host: string; readonly claim: Readonly<Record<string, unknown>> } | undefined {
  const owner = ownerIn(url);
  const [first, second, ...more] = owner?.parts ?? [];
  if (owner === undefined || first === undefined || more.length > 0) return undefined;
  const { host } = owner;
  if (first === 'enterprises' && second !== undefined)
    return { host, claim: { enterprise: second, organizations: ['ORGANIZATION'] } };
  if (second === undefined) return { host, claim: { organization: first } };
  return { host, claim: { repositories: [`${first}/${second.replace(/\.git$/, '')}`] } };
}

export const IMAGE_TO_DO = 'defaults.image: write your runner image: docs/runner-image.md';
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
