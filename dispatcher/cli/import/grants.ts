/**
 * Imported registrations as those of tenants, and what dispatcher.yaml has to grant for them. What is imported may be
 * anybody's: a text of it that would grant more than one thing there, such as `*`, is left out, and told.
 */
import { z } from 'zod';
import { ownerName, repositoryName } from '../../config/schema.ts';
import { isGlob } from '../../labels/glob.ts';
import { DEFAULT_LABEL } from '../../labels/grammar.ts';
import { BACKEND_TO_DO, type Draft, tenantPrefix, withoutUndefined } from './draft.ts';

/** Of dispatcher.yaml: sections to be added. */
export interface Granting {
  readonly backends?: Readonly<Record<string, unknown>>;
  readonly tenants: Readonly<Record<string, Grant>>;
}

type Grant = Readonly<Record<string, unknown>>;

const SHARED = 'build-host';
/** A person is to copy it, and sees what it is. */
const HIDDEN = /[\p{Cc}\p{Cf}\u2028\u2029]/u;

/** Its variables begin as those of its tenant do. */
export function ofTenant(draft: Draft): Draft {
  const { tenant, registration, secrets } = draft;
  const prefix = tenantPrefix(tenant);
  const own = (variable: string): string => (variable.startsWith(prefix) ? variable : `${prefix}${variable}`);
  const renamed = (value: unknown): unknown => {
    if (typeof value === 'string')
      return value.replace(/^\$\{env:([\w.-]+)\}$/, (_, name: string) => `\${env:${own(name)}}`);
    if (Array.isArray(value)) return value.map(renamed);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, renamed(item)]));
  };
  return {
    ...draft,
    registration: Object.fromEntries(Object.entries(registration).map(([key, value]) => [key, renamed(value)])),
    secrets: secrets.map(({ variable, holds }) => ({ variable: own(variable), holds })),
  };
}

/**
 * On a backend of dispatcher.yaml: the only kind of backend that a tenant may have on the dispatcher's own machine.
 * `name` undefined: one that is still to be chosen there.
 */
export function onShared(draft: Draft, name: string | undefined): Draft {
  if (!draft.isBackendOpen) return draft;
  const use = name ?? sharedName(draft);
  const toDo = `backends: \`${use}\` of dispatcher.yaml is a stand-in; say there where the runners should run: docs/providers.md`;
  return {
    ...draft,
    registration: { ...draft.registration, backends: [{ use }] },
    left: draft.left.flatMap((one) => (one !== BACKEND_TO_DO ? [one] : name === undefined ? [toDo] : [])),
  };
}

const standIn = z
  .object({ options: z.object({ architecture: z.string(), privileged: z.boolean() }).partial() })
  .partial();

/** An engine has one architecture. */
function sharedName({ registration }: Draft): string {
  const [backend] = z.array(standIn).catch([]).parse(registration['backends']);
  return backend?.options?.architecture === 'arm64' ? `${SHARED}-arm64` : SHARED;
}

const form = z.object({
  host: z.string().default('github.com'),
  organization: ownerName.optional(),
  organizations: z.array(ownerName).default([]),
  enterprise: ownerName.optional(),
  repositories: z.array(repositoryName).default([]),
  labels: z.array(z.string()).default([DEFAULT_LABEL]),
  priority: z.number().optional(),
  runnerGroup: z.string().default('Default'),
  defaults: z.object({ image: z.string().optional(), dockerInDocker: z.boolean().optional() }).default({}),
  backends: z.array(z.object({ kind: z.string().optional(), use: z.string().optional() })).default([]),
});

/** `before`: as they were read, with the stand-ins for backends. Undefined: dispatcher.yaml has the backend that they use. */
export function grantsFor(
  drafts: readonly Draft[],
  before: readonly Draft[] | undefined,
): { readonly granting: Granting; readonly left: readonly string[] } {
  const left: string[] = [];
  const byTenant = Map.groupBy(drafts, ({ tenant }) => tenant);
  const tenants = [...byTenant].map(([tenant, own]): [string, Grant] => [tenant, grantOf(tenant, own, left)]);
  const backends = before === undefined ? {} : sharedBackends(drafts, before);
  return {
    granting: {
      ...(Object.keys(backends).length === 0 ? {} : { backends }),
      tenants: Object.fromEntries(tenants),
    },
    left,
  };
}

function sharedBackends(drafts: readonly Draft[], before: readonly Draft[]): Readonly<Record<string, unknown>> {
  const found = new Map<string, { kind: string; options: Record<string, unknown> }>();
  for (const [index, { registration }] of drafts.entries()) {
    const former = before[index];
    const [used] = form.shape.backends.catch([]).parse(registration['backends']);
    if (used?.use === undefined || former === undefined) continue;
    const [stand] = z.array(standIn).catch([]).parse(former.registration['backends']);
    const known = found.get(used.use);
    found.set(used.use, { kind: 'docker', options: { ...known?.options, ...stand?.options } });
  }
  return Object.fromEntries(
    [...found].map(([name, { kind, options }]) => [
      name,
      Object.keys(options).length === 0 ? { kind } : { kind, options },
    ]),
  );
}

function grantOf(tenant: string, drafts: readonly Draft[], left: string[]): Grant {
  const read = drafts.flatMap(({ name, registration }) => {
    const parsed = form.safeParse(registration);
    if (parsed.success) return [parsed.data];
    left.push(`tenants.${tenant}: ${name} is not in it, as it has problems: see \`shr validate\``);
    return [];
  });
  const exact = (field: string, values: readonly string[]): readonly string[] | undefined => {
    const plain = [...new Set(values)].filter((value) => {
      const why = isGlob(value) ? 'is a glob there' : HIDDEN.test(value) ? 'holds control characters' : undefined;
      if (why !== undefined) left.push(`tenants.${tenant}.${field}: \`${value}\` ${why}; decide whether to grant it`);
      return why === undefined;
    });
    return plain.length === 0 ? undefined : plain;
  };
  const names = drafts.map(({ name }) => name);
  const shared = read.filter(({ backends }) => backends.some(({ use }) => use !== undefined));
  const ofOwners = read.filter(({ repositories }) => repositories.length === 0);
  const priority = Math.max(0, ...read.map((one) => one.priority ?? 0));
  const powers = withoutUndefined({
    images: exact(
      'powers.images',
      shared.flatMap(({ defaults }) => defaults.image ?? []),
    ),
    dockerInDocker: shared.some(({ defaults }) => defaults.dockerInDocker === true) ? true : undefined,
  });
  return withoutUndefined({
    registrations: names.length === 1 && names[0] === tenant ? undefined : names,
    hosts: exact(
      'hosts',
      read.map(({ host }) => host.toLowerCase()),
    ),
    owners: exact(
      'owners',
      read.flatMap(({ organization, organizations }) => [
        ...(organization === undefined ? [] : [organization]),
        ...organizations,
      ]),
    ),
    enterprises: exact(
      'enterprises',
      read.flatMap(({ enterprise }) => enterprise ?? []),
    ),
    repositories: exact(
      'repositories',
      read.flatMap(({ repositories }) => repositories),
    ),
    labels: exact(
      'labels',
      read.flatMap(({ labels }) => labels),
    ),
    priority: priority === 0 ? undefined : priority,
    runnerGroups: exact(
      'runnerGroups',
      ofOwners.map(({ runnerGroup }) => runnerGroup),
    ),
    backends: exact(
      'backends',
      read.flatMap(({ backends }) => backends.flatMap(({ use }) => use ?? [])),
    ),
    backendKinds: exact(
      'backendKinds',
      read.flatMap(({ backends }) => backends.flatMap(({ kind }) => kind ?? [])),
    ),
    powers: Object.keys(powers).length === 0 ? undefined : powers,
  });
}
