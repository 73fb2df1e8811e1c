/** What a change of `tenants` means for each tenant: every field of its grant, and whether it is widened or narrowed. Pure. */
import type { GrantField } from '../../admission/grants.ts';
import { formatDuration } from '../../labels/duration.ts';
import { isWithin } from '../../labels/glob.ts';
import { SPOT_MODES, type SpotModes } from '../../labels/spot-mode.ts';
import type { Grant, TenantEntry } from '../../model/registration.ts';

export interface GrantChange {
  readonly tenant: string;
  readonly kind: 'new' | 'removed' | 'changed';
  readonly fields: readonly GrantFieldChange[];
}

export interface GrantFieldChange {
  /** As dispatcher.yaml calls it. */
  readonly field: GrantField | 'registrations' | 'trusted';
  /** `items`: of a list; `value`: another in the place of the former one. */
  readonly form: 'items' | 'value';
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Undefined: it grants as much as before, in other words. */
  readonly effect: string | undefined;
}

type Value =
  | {
      readonly kind: 'list';
      /** Undefined: everything. */
      readonly items: readonly string[] | undefined;
      /** One pattern may cover another. */
      readonly globs: boolean;
      /** If it was written as yes or no. */
      readonly text?: 'yes' | 'no';
    }
  /** More is wider. `split`: without it none on shared backends, and no limit on the tenant's own. */
  | { readonly kind: 'amount'; readonly amount: number; readonly text: string; readonly split: boolean };

const names = (items: readonly string[]): Value => ({ kind: 'list', items, globs: false });
const globs = (items: readonly string[] | undefined): Value => ({ kind: 'list', items, globs: true });
const flag = (on: boolean): Value => ({
  kind: 'amount',
  amount: on ? 1 : 0,
  text: on ? 'yes' : 'no',
  split: false,
});

function modes(spot: SpotModes): Value {
  if (typeof spot !== 'boolean') return names(spot);
  return { kind: 'list', items: spot ? SPOT_MODES : ['never'], globs: false, text: spot ? 'yes' : 'no' };
}

function most(limit: number | undefined, inWords: (amount: number) => string = String): Value {
  return {
    kind: 'amount',
    amount: limit ?? Number.POSITIVE_INFINITY,
    text: limit === undefined ? 'no limit' : inWords(limit),
    split: false,
  };
}

function mostWithPower(limit: number | undefined, inWords: (amount: number) => string = String): Value {
  if (limit !== undefined) return most(limit, inWords);
  return {
    kind: 'amount',
    amount: Number.POSITIVE_INFINITY,
    text: 'none on shared backends, no limit on its own',
    split: true,
  };
}

function hook({ requireHook }: Grant): Value {
  if (requireHook === undefined) return { kind: 'amount', amount: 2, text: 'no', split: false };
  return requireHook.labels
    ? { kind: 'amount', amount: 1, text: 'yes', split: false }
    : { kind: 'amount', amount: 0, text: 'listed', split: false };
}

/** One for each field of a grant: a field without one would change unseen. */
const FIELDS: { readonly [K in GrantField]: (grant: Grant) => Value } = {
  hosts: ({ hosts }) => names(hosts),
  owners: ({ owners }) => names(owners),
  enterprises: ({ enterprises }) => names(enterprises),
  repositories: ({ repositories }) => globs(repositories),
  labels: ({ labels }) => globs(labels),
  priority: ({ maxPriority }) => most(maxPriority),
  reservedRunners: ({ reservedRunners = 0 }) => most(reservedRunners),
  weight: ({ weight = 1 }) => most(weight),
  runnerGroups: ({ runnerGroups }) => names(runnerGroups),
  credentials: ({ credentials }) => names(credentials),
  backends: ({ backends }) => globs(backends),
  backendKinds: ({ backendKinds }) => names(backendKinds),
  secretStores: ({ secretStores = [] }) => globs(secretStores),
  bases: ({ bases = [] }) => globs(bases),
  presets: ({ presets }) => globs(presets),
  requireHook: hook,
  hookImages: ({ requireHook }) => globs(requireHook?.images ?? []),
  'limits.maxRegistrations': ({ limits }) => most(limits.maxRegistrations),
  'limits.maxRunners': ({ limits }) => most(limits.maxRunners),
  'limits.maxLaunchesPerMinute': ({ limits }) => most(limits.maxLaunchesPerMinute),
  'limits.maxRunnersPerRun': ({ limits }) => most(limits.maxRunnersPerRun),
  'limits.maxCpu': ({ limits }) => most(limits.maxCpu),
  'limits.maxMemoryGiB': ({ limits }) => most(limits.maxMemoryGiB),
  'limits.maxDiskGiB': ({ limits }) => mostWithPower(limits.maxDiskGiB),
  'limits.maxTimeout': ({ limits }) => mostWithPower(limits.maxTimeLimitMs, formatDuration),
  'limits.workflows': ({ limits }) => globs(limits.workflows),
  'limits.branches': ({ limits }) => globs(limits.branches),
  'limits.events': ({ limits }) => globs(limits.events),
  'limits.actors': ({ limits }) => globs(limits.actors),
  'powers.images': ({ powers }) => globs(powers.images),
  'powers.buckets': ({ powers }) => globs(powers.buckets),
  'powers.subnets': ({ powers }) => globs(powers.subnets),
  'powers.securityGroups': ({ powers }) => globs(powers.securityGroups),
  'powers.regions': ({ powers }) => globs(powers.regions),
  'powers.publicRepositories': ({ powers }) => flag(powers.publicRepositories),
  'powers.forks': ({ powers }) => flag(powers.forks ?? false),
  'powers.dockerInDocker': ({ powers }) => flag(powers.dockerInDocker),
  'powers.spot': ({ powers }) => modes(powers.spot),
};

const isField = (field: string): field is GrantField => Object.hasOwn(FIELDS, field);
const FIELD_NAMES = Object.keys(FIELDS).filter(isField);

export function grantChanges(
  before: readonly TenantEntry[] | undefined,
  after: readonly TenantEntry[] | undefined,
): readonly GrantChange[] {
  const old = new Map(before?.map((entry) => [entry.name, entry]));
  const now = new Map(after?.map((entry) => [entry.name, entry]));
  return [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((tenant): readonly GrantChange[] => {
    const [one, other] = [old.get(tenant), now.get(tenant)];
    if (one === undefined) return other === undefined ? [] : [{ tenant, kind: 'new', fields: granted(other) }];
    if (other === undefined) return [{ tenant, kind: 'removed', fields: [] }];
    const fields = fieldChanges(one, other);
    return fields.length === 0 ? [] : [{ tenant, kind: 'changed', fields }];
  });
}

/** All that a new tenant gets: what it is not limited by is not listed. */
function granted({ registrations, grant }: TenantEntry): readonly GrantFieldChange[] {
  const own = { field: 'registrations', form: 'items', added: registrations, removed: [], effect: undefined } as const;
  if (grant === undefined) {
    return [own, { field: 'trusted', form: 'value', added: ['yes'], removed: [], effect: TRUSTED }];
  }
  const fields = FIELD_NAMES.flatMap((field): readonly GrantFieldChange[] => {
    const value = FIELDS[field](grant);
    if (value.kind === 'list') {
      const { items, text } = value;
      if (text !== undefined) {
        return text === 'no' ? [] : [{ field, form: 'value', added: [text], removed: [], effect: undefined }];
      }
      return items === undefined || items.length === 0
        ? []
        : [{ field, form: 'items', added: items, removed: [], effect: undefined }];
    }
    const isPlain = value.split || value.text === 'no' || value.text === 'no limit';
    return isPlain ? [] : [{ field, form: 'value', added: [value.text], removed: [], effect: undefined }];
  });
  return [own, ...fields];
}

const TRUSTED = 'widened: without any limits, and with the secrets of the platform';

function fieldChanges(before: TenantEntry, after: TenantEntry): readonly GrantFieldChange[] {
  const registrations = changed('registrations', globs(before.registrations), globs(after.registrations));
  if (before.grant === undefined || after.grant === undefined) {
    if (before.grant === after.grant) return registrations;
    const isWider = after.grant === undefined;
    const trusted: GrantFieldChange = {
      field: 'trusted',
      form: 'value',
      added: [isWider ? 'yes' : 'no'],
      removed: [isWider ? 'no' : 'yes'],
      effect: isWider ? TRUSTED : 'narrowed to what is listed here',
    };
    const listed = isWider ? [] : granted(after).filter(({ field }) => field !== 'registrations');
    return [...registrations, trusted, ...listed];
  }
  const [old, now] = [before.grant, after.grant];
  return [...registrations, ...FIELD_NAMES.flatMap((field) => changed(field, FIELDS[field](old), FIELDS[field](now)))];
}

function changed(field: GrantFieldChange['field'], before: Value, after: Value): readonly GrantFieldChange[] {
  if (before.kind === 'list' && after.kind === 'list') return listChange(field, before, after);
  if (before.kind === 'list' || after.kind === 'list' || before.text === after.text) return [];
  const effect =
    before.split === after.split
      ? after.amount > before.amount
        ? 'widened'
        : 'narrowed'
      : before.split
        ? 'widened on shared backends, narrowed on its own'
        : 'narrowed on shared backends, widened on its own';
  return [{ field, form: 'value', added: [after.text], removed: [before.text], effect }];
}

function listChange(
  field: GrantFieldChange['field'],
  before: Extract<Value, { kind: 'list' }>,
  after: Extract<Value, { kind: 'list' }>,
): readonly GrantFieldChange[] {
  const [old, now] = [before.items, after.items];
  if (old === undefined || now === undefined) {
    if (old === now) return [];
    const effect = now === undefined ? 'widened' : 'narrowed';
    return [{ field, form: 'value', added: shown(now), removed: shown(old), effect }];
  }
  const added = now.filter((item) => !old.includes(item));
  const removed = old.filter((item) => !now.includes(item));
  if (added.length + removed.length === 0) return [];
  const covers = (list: readonly string[], item: string): boolean => before.globs && isWithin(list, item);
  const isWider = added.some((item) => !covers(old, item));
  const isNarrower = removed.some((item) => !covers(now, item));
  const effects = [...(isWider ? ['widened'] : []), ...(isNarrower ? ['narrowed'] : [])];
  if (before.text !== undefined && after.text !== undefined) {
    return [{ field, form: 'value', added: [after.text], removed: [before.text], effect: effects.join(' and ') }];
  }
  return [{ field, form: 'items', added, removed, effect: effects.length === 0 ? undefined : effects.join(' and ') }];
}

function shown(items: readonly string[] | undefined): readonly string[] {
  return items === undefined ? ['all'] : items.length === 0 ? ['none'] : items;
}
