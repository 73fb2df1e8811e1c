/** What changes for whom between two states of the configuration, for the review of a pull request. Pure. */
import { readYaml } from '../../config/document.ts';
import { type Inspection, REGISTRATION_BOUNDS } from '../../config/load.ts';
import { foldLabel } from '../../labels/values.ts';
import type { Registration } from '../../model/registration.ts';
import { type Fact, type Facts, factsOf, factsOfGrant } from './facts.ts';

export interface Changes {
  readonly grants: readonly Change[];
  readonly registrations: readonly RegistrationChange[];
  /** What these ask for cannot be read, as their files have problems. */
  readonly unread: readonly string[];
}

export interface Change {
  readonly name: string;
  readonly kind: 'new' | 'removed' | 'changed';
  readonly fields: readonly FieldChange[];
}

export interface RegistrationChange extends Change {
  /** Undefined: the platform's own, or the tenants are not known. */
  readonly tenant: string | undefined;
  readonly overlaps: readonly Overlap[];
}

export interface FieldChange {
  readonly field: string;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Only that it is another is told: it may hold secrets. */
  readonly hidden: boolean;
}

/** Jobs that two registrations ask for: the closer claim gets them, then the grants decide. */
export interface Overlap {
  /** `acme/web`, `acme/*`: where both ask. */
  readonly place: string;
  readonly label: string;
  readonly registration: string;
  readonly tenant: string | undefined;
}

/** For each registration; beyond it they are not listed. */
export const MAX_OVERLAPS = 20;

type State = Pick<Inspection, 'registrations' | 'quarantined' | 'good'> & {
  readonly platform: Pick<Inspection['platform'], 'tenants'>;
};

export function changesBetween(before: State, after: State): Changes {
  const old = new Map(before.registrations.map((registration) => [registration.name, registration]));
  const now = new Map(after.registrations.map((registration) => [registration.name, registration]));
  const names = [...new Set([...old.keys(), ...now.keys()])].sort();
  const texts = [before, after].map(({ good }) => new Map(good.map(({ name: one, text }) => [one, text])));
  const earlier = new OverlapFinder(before);
  const later = new OverlapFinder(after);
  const unread = new Set(after.quarantined.filter(({ name }) => !now.has(name)).map(({ name }) => name));
  const registrations = names.flatMap((name): readonly RegistrationChange[] => {
    const [one, other] = [old.get(name), now.get(name)];
    // It is neither new nor removed.
    if (unread.has(name)) return [];
    const known = new Set(one === undefined ? [] : earlier.of(one).map(keyOf));
    const overlaps = other === undefined ? [] : later.of(other).filter((overlap) => !known.has(keyOf(overlap)));
    const [document, documentThen] = documentsOf(texts.map((known) => known.get(name)));
    const all = changeOf(name, one && factsOf(one, document), other && factsOf(other, documentThen));
    // Of a removed one only whose jobs are not served any more.
    const fields = all.kind === 'removed' ? all.fields.filter(({ field }) => field === 'claims') : all.fields;
    const change = { ...all, fields };
    if (change.fields.length === 0 && overlaps.length === 0) return [];
    return [{ ...change, tenant: (other ?? one)?.grant?.tenant, overlaps: overlaps.slice(0, MAX_OVERLAPS) }];
  });
  return { grants: grantChanges(before, after), registrations, unread: [...unread] };
}

/** Of the two texts of a file, if both are known and differ. */
function documentsOf([before, after]: readonly (string | undefined)[]): readonly unknown[] {
  if (before === undefined || after === undefined || before === after) return [];
  return [before, after].map((text) => readYaml('', text, REGISTRATION_BOUNDS.bytes).value);
}

function grantChanges(before: State, after: State): readonly Change[] {
  const [old, now] = [grantsOf(before), grantsOf(after)];
  return [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((tenant) => {
    const change = changeOf(tenant, old.get(tenant), now.get(tenant));
    return change.kind === 'changed' && change.fields.length === 0 ? [] : [change];
  });
}

function grantsOf({ platform }: State): ReadonlyMap<string, Facts> {
  return new Map(
    (platform.tenants ?? []).map(({ name, registrations, grant }) => {
      const facts = new Map(grant === undefined ? [['trusted', { items: ['true'] }]] : factsOfGrant(grant));
      return [name, facts.set('registrations', { items: registrations })];
    }),
  );
}

function changeOf(name: string, before: Facts | undefined, after: Facts | undefined): Change {
  const kind = before === undefined ? 'new' : after === undefined ? 'removed' : 'changed';
  const fields = [...new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])])].flatMap((field) => {
    const change = fieldChange(field, before?.get(field), after?.get(field));
    return change === undefined ? [] : [change];
  });
  return { name, kind, fields };
}

function fieldChange(field: string, before: Fact | undefined, after: Fact | undefined): FieldChange | undefined {
  const [old, now] = [before?.items ?? [], after?.items ?? []];
  const added = now.filter((item) => !old.includes(item));
  const removed = old.filter((item) => !now.includes(item));
  const hidden = before?.print !== undefined && after?.print !== undefined && before.print !== after.print;
  // The order of a list counts: backends are tried in it.
  const moved = added.length + removed.length === 0 && old.join('\n') !== now.join('\n');
  if (moved) return { field, added: now, removed: old, hidden };
  return added.length + removed.length === 0 && !hidden ? undefined : { field, added, removed, hidden };
}

function keyOf({ place, label, registration }: Overlap): string {
  return JSON.stringify([place, label, registration]);
}

interface Asking {
  readonly registration: Registration;
  /** Undefined: all repositories of the owner. */
  readonly repository: string | undefined;
}

/** Finds the others that ask for the same jobs by owner and label, so that one of 10,000 costs what it overlaps. */
class OverlapFinder {
  readonly #asking = new Map<string, Asking[]>();
  readonly #tenantsKnown: boolean;

  constructor({ registrations, platform }: State) {
    this.#tenantsKnown = platform.tenants !== undefined;
    for (const registration of registrations) {
      for (const { key, repository } of placesOf(registration)) {
        const list = this.#asking.get(key) ?? [];
        this.#asking.set(key, list);
        list.push({ registration, repository });
      }
    }
  }

  of(registration: Registration): readonly Overlap[] {
    const found = new Map<string, Overlap>();
    for (const { key, owner, repository, label } of placesOf(registration)) {
      for (const other of this.#asking.get(key) ?? []) {
        if (!this.#isAnothers(registration, other.registration)) continue;
        const apart = repository !== undefined && other.repository !== undefined && repository !== other.repository;
        if (apart) continue;
        const overlap = {
          place: `${owner}/${repository ?? other.repository ?? '*'}`,
          label,
          registration: other.registration.name,
          tenant: other.registration.grant?.tenant,
        };
        found.set(keyOf(overlap), overlap);
      }
    }
    return [...found.values()];
  }

  /** Two of one tenant with the same right to a job are a problem of their own, and not told again. */
  #isAnothers(one: Registration, other: Registration): boolean {
    if (one.name === other.name) return false;
    return !this.#tenantsKnown || one.grant?.tenant !== other.grant?.tenant;
  }
}

function placesOf({ host, claim, labels }: Registration): readonly {
  readonly key: string;
  readonly owner: string;
  readonly repository: string | undefined;
  readonly label: string;
}[] {
  const places =
    claim.kind === 'repositories'
      ? claim.repositories.map(({ owner, repository }) => ({ owner, repository: repository.toLowerCase() }))
      : ownersIn(claim).map((owner) => ({ owner, repository: undefined }));
  return places.flatMap(({ owner, repository }) =>
    labels.map((text) => {
      const label = foldLabel(text);
      return { key: `${host} ${owner.toLowerCase()} ${label}`, owner: owner.toLowerCase(), repository, label };
    }),
  );
}

function ownersIn(claim: Exclude<Registration['claim'], { kind: 'repositories' }>): readonly string[] {
  return claim.kind === 'enterprise'
    ? claim.organizations
    : [claim.kind === 'organization' ? claim.organization : claim.user];
}
