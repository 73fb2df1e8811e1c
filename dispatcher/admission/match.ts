/**
 * Which registration serves a job. Pure. The index answers by host, owner, repository and label, so that a job looks
 * only at registrations that listen to one of its labels, however many others there are.
 */

import type { JobSubject } from '../jobs/lane.ts';
import { DEFAULT_LABEL } from '../labels/grammar.ts';
import type { JobLabel } from '../labels/reading.ts';
import { foldLabel, quote } from '../labels/values.ts';
import type { Claim, JobClaims, Registration, TenantEntry } from '../model/registration.ts';
import { hintFor, listed, NAMED, whyUnheard } from './hints.ts';
import { type Holding, Territory, type Withheld } from './territory.ts';

/** The closer claim wins: a repository's own before its owner's before the enterprise's. */
type ClaimLevel = 'repository' | 'owner' | 'enterprise';
const LEVELS: readonly ClaimLevel[] = ['repository', 'owner', 'enterprise'];

interface Entry {
  readonly registration: JobClaims;
  /** Undefined: it is set aside, and keeps its jobs from other registrations. */
  readonly serving: Registration | undefined;
  /** Case folded. */
  readonly labels: ReadonlySet<string>;
}

/** The registrations by what they claim and listen to. */
export interface RegistrationIndex {
  /** By `placeKey` and label. */
  readonly byLabel: ReadonlyMap<string, readonly Entry[]>;
  /** By `placeKey`: which registrations claim it at all, for the reason when no label matches. */
  readonly byPlace: ReadonlyMap<string, readonly Entry[]>;
  readonly territory: Territory;
}

/** Which registration gets a job, or why none does. `candidates`: how many were compared. */
export type Match =
  | {
      readonly outcome: 'matched';
      readonly registration: Registration;
      /** The job's labels that are not the registration's own: possible overrides. */
      readonly rest: readonly JobLabel[];
      readonly candidates: number;
    }
  /** Two registrations with equal claims to it. `shr validate` reports these in advance. */
  | { readonly outcome: 'tie'; readonly registrations: readonly JobClaims[]; readonly candidates: number }
  /** Its registration would take it, but was not granted it. */
  | {
      readonly outcome: 'withheld';
      readonly registration: JobClaims;
      readonly withheld: Withheld;
      readonly candidates: number;
    }
  /** Its registration is set aside until its configuration is fixed. */
  | { readonly outcome: 'set-aside'; readonly registration: JobClaims; readonly candidates: number }
  | { readonly outcome: 'none'; readonly reason: string; readonly candidates: number };

/** Every place (level and owner, or repository) that a claim covers, as keys of the index. */
export function placesOf(host: string, claim: Claim): readonly string[] {
  switch (claim.kind) {
    case 'enterprise':
      return claim.organizations.map((organization) => placeKey('enterprise', host, organization));
    case 'organization':
      return [placeKey('owner', host, claim.organization)];
    case 'user':
      return [placeKey('owner', host, claim.user)];
    case 'repositories':
      return claim.repositories.map(({ owner, repository }) => placeKey('repository', host, `${owner}/${repository}`));
  }
}

function placeKey(level: ClaimLevel, host: string, place: string): string {
  return `${level} ${host.toLowerCase()} ${place.toLowerCase()}`;
}

/** A label may contain spaces, so it comes last. */
function labelKey(place: string, folded: string): string {
  return `${place} ${folded}`;
}

/** Made anew when the configuration changes. `setAside`: they keep their claims, and serve nothing. */
export function indexRegistrations(
  registrations: readonly Registration[],
  tenants?: readonly TenantEntry[],
  setAside: readonly JobClaims[] = [],
): RegistrationIndex {
  const byLabel = new Map<string, Entry[]>();
  const byPlace = new Map<string, Entry[]>();
  const claims = [
    ...registrations.map((serving) => ({ registration: serving, serving })),
    ...setAside.map((registration) => ({ registration, serving: undefined })),
  ];
  for (const { registration, serving } of claims) {
    const entry: Entry = { registration, serving, labels: new Set(registration.labels.map(foldLabel)) };
    for (const place of new Set(placesOf(registration.host, registration.claim))) {
      for (const label of entry.labels) append(byLabel, labelKey(place, label), entry);
      append(byPlace, place, entry);
    }
  }
  return { byLabel, byPlace, territory: new Territory(tenants, [...registrations, ...setAside]) };
}

function append(map: Map<string, Entry[]>, key: string, entry: Entry): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [entry]);
  else list.push(entry);
}

/** The closest claim wins, then the higher priority; what still ties is refused. */
export function match(index: RegistrationIndex, job: JobSubject, labels: readonly JobLabel[]): Match {
  let candidates = 0;
  let near: Near | undefined;
  let held: { readonly entry: Entry; readonly withheld: Withheld } | undefined;
  const holding = index.territory.whose(job.host, job.owner, job.repository);
  for (const level of LEVELS) {
    const place = placeKey(level, job.host, level === 'repository' ? `${job.owner}/${job.repository}` : job.owner);
    const listening = listeningAt(index, place, labels);
    candidates += listening.length;
    const found: Entry[] = [];
    for (const entry of listening) {
      const withheld = index.territory.withheld(entry.registration, job, holding, ownLabels(entry, labels));
      if (withheld === undefined) found.push(entry);
      else if (held === undefined && foreignLabels(entry, labels).length === 0) held = { entry, withheld };
    }
    const matching = found.filter((entry) => foreignLabels(entry, labels).length === 0);
    if (matching.length > 0) return choose(matching, labels, candidates);
    near = nearer(near, found, labels);
  }
  if (held !== undefined) {
    const { entry, withheld } = held;
    if (withheld.others) return { outcome: 'none', reason: withheld.reason, candidates };
    return { outcome: 'withheld', registration: entry.registration, withheld, candidates };
  }
  const reason = near === undefined ? unheard(index, job, holding, labels) : almost(near);
  return { outcome: 'none', reason, candidates };
}

/** Those of the job's labels that belong to the registration; the one-label form alone stands for the default one. */
function ownLabels(entry: Entry, labels: readonly JobLabel[]): readonly string[] {
  const own = labels.filter(({ folded }) => entry.labels.has(folded)).map(({ folded }) => folded);
  return own.length === 0 ? [DEFAULT_LABEL] : own;
}

/** The registrations of a place that listen to at least one of the labels. */
function listeningAt(index: RegistrationIndex, place: string, labels: readonly JobLabel[]): readonly Entry[] {
  const found = new Set<Entry>();
  for (const label of labels) {
    for (const entry of index.byLabel.get(labelKey(place, label.folded)) ?? []) found.add(entry);
  }
  // The one-label form leaves no room for an own label: by itself, it stands for the default one.
  if (found.size === 0 && labels.some(({ reading }) => reading.kind === 'one-label')) {
    return index.byLabel.get(labelKey(place, DEFAULT_LABEL)) ?? [];
  }
  return [...found];
}

/** Labels that are neither the registration's own, nor built in, nor (well or badly written) overrides. */
function foreignLabels(entry: Entry, labels: readonly JobLabel[]): readonly JobLabel[] {
  return labels.filter(({ folded, reading }) => reading.kind === 'plain' && !entry.labels.has(folded));
}

function choose(matching: readonly Entry[], labels: readonly JobLabel[], candidates: number): Match {
  const highest = Math.max(...matching.map(({ registration }) => registration.priority));
  const tenants = new Set(matching.map(({ registration }) => registration.grant?.tenant));
  // Labels of two tenants in one job: priority only decides between registrations of one tenant.
  const chosen = tenants.size > 1 ? matching : matching.filter(({ registration }) => registration.priority === highest);
  const [only, ...others] = chosen;
  if (only === undefined || others.length > 0) {
    const registrations = chosen.map(({ registration }) => registration).sort((a, b) => (a.name < b.name ? -1 : 1));
    return { outcome: 'tie', registrations, candidates };
  }
  if (only.serving === undefined) return { outcome: 'set-aside', registration: only.registration, candidates };
  const rest = labels.filter(({ folded }) => !only.labels.has(folded));
  return { outcome: 'matched', registration: only.serving, rest, candidates };
}

interface Near {
  readonly entry: Entry;
  readonly foreign: readonly JobLabel[];
}

/** Fewest foreign labels first, then by name, so that the same job always gets the same reason. */
function nearer(best: Near | undefined, entries: readonly Entry[], labels: readonly JobLabel[]): Near | undefined {
  let near = best;
  for (const entry of entries) {
    const foreign = foreignLabels(entry, labels);
    if (
      near === undefined ||
      foreign.length < near.foreign.length ||
      (foreign.length === near.foreign.length && entry.registration.name < near.entry.registration.name)
    ) {
      near = { entry, foreign };
    }
  }
  return near;
}

function almost({ entry, foreign }: Near): string {
  const names = foreign.map(({ text }) => quote(text)).slice(0, NAMED);
  const hint = hintFor(foreign, [...entry.labels]);
  const count = foreign.length === 1 ? 'label' : 'labels';
  return (
    `registration ${quote(entry.registration.name)} would take it without the ${count} ${names.join(', ')}, ` +
    `neither its own nor an override; ${hint ?? `its labels: ${listed([...entry.labels])}`}`
  );
}

function unheard(
  index: RegistrationIndex,
  job: JobSubject,
  holding: Holding | undefined,
  labels: readonly JobLabel[],
): string {
  const where = `${job.owner}/${job.repository} on ${job.host}`;
  const entries = LEVELS.flatMap((level) => {
    const place = level === 'repository' ? `${job.owner}/${job.repository}` : job.owner;
    const claiming = index.byPlace.get(placeKey(level, job.host, place))?.slice(0, NAMED) ?? [];
    return claiming.filter(
      ({ registration }) => index.territory.withheld(registration, job, holding, []) === undefined,
    );
  });
  if (entries.length === 0) return `no registration claims ${where}`;
  const own = [...new Set(entries.flatMap((entry) => [...entry.labels]))];
  return whyUnheard(labels, own, where);
}
