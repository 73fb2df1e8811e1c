/**
 * Mutations that change nothing which anybody could observe, each with the reason. They count neither as killed nor as
 * missed. A line that has changed since no longer matches, and is judged anew.
 */
export interface Equivalent {
  readonly file: string;
  /** The whole line, trimmed. */
  readonly code: string;
  readonly from: string;
  readonly to: string;
  readonly why: string;
}

export const equivalents: readonly Equivalent[] = [
  {
    file: 'dispatcher/intake/catch-up.ts',
    code: 'if (this.#pending.has(endpoint)) return true;',
    from: 'has',
    to: 'get',
    why: 'what is pending is an object, which counts as true',
  },
  {
    file: 'dispatcher/intake/gap-watch.ts',
    code: '#lastMs = 0;',
    from: '0',
    to: '1',
    why: '`start` sets it before the first tick',
  },
  {
    file: 'dispatcher/intake/catch-up.ts',
    code: 'this.#retries.delete(name);',
    from: 'this.#retries.delete(name);',
    to: ';',
    why: 'what stays behind cancels a timer that has fired or was cancelled, and is replaced by the next',
  },
  {
    file: 'dispatcher/labels/nearest.ts',
    code: 'if (Math.abs(candidate.length - word.length) >= least) continue;',
    from: 'Math.abs(candidate.length - word.length) >= least',
    to: 'false',
    why: 'It saves time only: words whose lengths differ so much are found to be too far apart later on.',
  },
  {
    file: 'dispatcher/labels/nearest.ts',
    code: 'if (Math.abs(candidate.length - word.length) >= least) continue;',
    from: '>=',
    to: '>',
    why: 'It saves time only: words whose lengths differ so much are found to be too far apart later on.',
  },
  {
    file: 'dispatcher/labels/nearest.ts',
    code: 'if (Math.abs(candidate.length - word.length) >= least) continue;',
    from: 'continue;',
    to: ';',
    why: 'It saves time only: words whose lengths differ so much are found to be too far apart later on.',
  },
  {
    file: 'dispatcher/labels/nearest.ts',
    code: 'let last = Array.from({ length: most + 1 }, (_, index) => index);',
    from: '1',
    to: '10',
    why: 'It costs time only: what lies outside the band is larger than `most` anyway.',
  },
  {
    file: 'dispatcher/labels/nearest.ts',
    code: 'const row: number[] = i <= most ? [i] : [];',
    from: 'i <= most',
    to: 'true',
    why: 'It costs time only: what lies outside the band is larger than `most` anyway.',
  },
  {
    file: 'dispatcher/labels/nearest.ts',
    code: 'for (let j = Math.max(1, i - most); j <= Math.min(b.length, i + most); j += 1) {',
    from: 'max',
    to: 'min',
    why: 'It costs time only: what lies outside the band is larger than `most` anyway.',
  },
  {
    file: 'dispatcher/labels/nearest.ts',
    code: 'for (let j = Math.max(1, i - most); j <= Math.min(b.length, i + most); j += 1) {',
    from: 'min',
    to: 'max',
    why: 'It costs time only: what lies outside the band is larger than `most` anyway.',
  },
  {
    file: 'dispatcher/admission/admit.ts',
    code: 'specHash: digest([Object.entries(wish).sort(([a], [b]) => (a < b ? -1 : 1)), selected.map(({ name }) => name)]),',
    from: '1',
    to: '10',
    why: 'A comparator counts by its sign alone.',
  },
  {
    file: 'dispatcher/lifecycle/replacement.ts',
    code: 'const readSince = job.verifiedAtMs !== null && job.verifiedAtMs > (job.lastLaunchAtMs ?? 0);',
    from: '0',
    to: '1',
    why: 'a job that was never launched for was read in the first millisecond of 1970',
  },
  {
    file: 'dispatcher/lifecycle/drain.ts',
    code: 'const STEPS_A_VISIT = 6;',
    from: '6',
    to: '60',
    why: 'a bound that is not reached: a runner has fewer things than that to be rid of',
  },
  {
    file: 'dispatcher/lifecycle/holds.ts',
    code: 'if (isOn(hold, now) && (earliest === undefined || hold.untilMs < earliest)) earliest = hold.untilMs;',
    from: '<',
    to: '<=',
    why: 'the least of equal numbers is the same number',
  },
  {
    file: 'dispatcher/lifecycle/planner.ts',
    code: 'if (borrower.missing === 0) break;',
    from: 'borrower.missing === 0',
    to: 'false',
    why: 'it borrows nothing from the lenders behind, which only takes longer',
  },
  {
    file: 'dispatcher/config/shared-sections.ts',
    code: `if (timeLimit !== undefined) shape.timeLimitMs = durationMs(timeLimit, 0);`,
    from: '0',
    to: '1',
    why: 'The fallback is for an absent duration, and this one is there.',
  },
  {
    file: 'dispatcher/config/registration.ts',
    code: `maxTimeLimitMs: file?.maxTimeout === undefined ? undefined : durationMs(file.maxTimeout, 0),`,
    from: '0',
    to: '1',
    why: 'The fallback is for an absent duration, and this one is there.',
  },
  {
    file: 'dispatcher/config/registration-backends.ts',
    code: `...(file.patience === undefined ? {} : { stockPatienceMs: durationMs(file.patience, 0) }),`,
    from: '0',
    to: '1',
    why: 'The fallback is for an absent duration, and this one is there.',
  },
  {
    file: 'dispatcher/config/tenants.ts',
    code: `maxTimeLimitMs: limits.maxTimeout === undefined ? undefined : durationMs(limits.maxTimeout, 0),`,
    from: '0',
    to: '1',
    why: 'The fallback is for an absent duration, and this one is there.',
  },
  {
    file: 'dispatcher/config/tenants.ts',
    code: `if (shared.backends.has(used) || reading.has(['backends', used])) continue;`,
    from: 'has',
    to: 'get',
    why: 'Every value of the map is an object.',
  },
  {
    file: 'dispatcher/ledger/steps.ts',
    code: 'const inOrder = [...settlements].sort((a, b) => compare(a.key, b.key));',
    from: '[...settlements].sort((a, b) => compare(a.key, b.key))',
    to: '[...settlements]',
    why: 'SQLite has one writer at a time; the order keeps those of a store with row locks from waiting for each other.',
  },
  {
    file: 'dispatcher/ledger/steps.ts',
    code: 'if (version > TIMELINE_FIRST + TIMELINE_LATEST && version % THIN_EVERY === 0) {',
    from: '===',
    to: '!==',
    why: 'A timeline is thinned at the other versions then, which keeps as much and takes longer.',
  },
  {
    file: 'dispatcher/config/salvage.ts',
    code: 'if (removed.size === 0) return value;',
    from: 'removed.size === 0',
    to: 'false',
    why: 'A copy that lacks nothing is as good as the value; making it takes time.',
  },
  {
    file: 'dispatcher/config/salvage.ts',
    code: 'const entries = [...value.entries()].filter(([index]) => !removed.has(keyOf([...path, index])));',
    from: 'has',
    to: 'get',
    why: 'Every value of the map is a list.',
  },
  {
    file: 'dispatcher/config/files.ts',
    code: 'const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.min(65_536, mostBytes + 1)), 0, null, null);',
    from: 'min',
    to: 'max',
    why: 'The same is read in larger pieces; the limit is that of all of them.',
  },
  {
    file: 'dispatcher/ledger/shares.ts',
    code: 'if (counts.size > 0) yield queries.deleteEmptyShares(context.builder);',
    from: '>',
    to: '>=',
    why: 'Where no job was deleted no share became empty: the statement finds nothing to delete.',
  },
  {
    file: 'dispatcher/ledger/steps.ts',
    code: 'const inOrder = [...settlements].sort((a, b) => compare(a.key, b.key));',
    from: '[...settlements].sort((a, b) => compare(a.key, b.key))',
    to: '[...settlements]',
    why: 'The order keeps two writers of PostgreSQL from waiting for each other; SQLite has one.',
  },
  {
    file: 'dispatcher/ledger/sqlite.ts',
    code: '#isMoved = false;',
    from: 'false',
    to: 'true',
    why: 'The first commit looks at the files once more, finds them where they were opened, and sets it.',
  },
  {
    file: 'dispatcher/config/ties.ts',
    code: 'for (const second of [...registrations].sort((a, b) => (a.name < b.name ? -1 : 1))) {',
    from: '<',
    to: '<=',
    why: 'Two registrations never have one name: a file each, in one folder.',
  },
  {
    file: 'dispatcher/config/ties.ts',
    code: 'for (const second of [...registrations].sort((a, b) => (a.name < b.name ? -1 : 1))) {',
    from: '1',
    to: '10',
    why: 'Of what a comparison answers the sign counts alone.',
  },
];
