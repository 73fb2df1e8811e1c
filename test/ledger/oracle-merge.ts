/**
 * What a fact does to a job, as a list of rules of which the first that fits is taken. Written from the words of
 * dispatcher/ledger/merge.ts and not from its code, and imports nothing of it: where the two differ, one of them is wrong.
 * Strangers and holds are not part of it; merge.test.ts has them.
 */
import { type JobFact, type JobStatus, jobKey } from '../../dispatcher/jobs/facts.ts';
import type { JobRow } from '../../dispatcher/ledger/ledger.ts';

const STAGES: Readonly<Record<JobStatus, number>> = {
  requested: 0,
  pending: 0,
  waiting: 0,
  queued: 0,
  in_progress: 1,
  completed: 2,
};

type Runner = { readonly id: number | null; readonly name: string | null; readonly group: string | null };

interface Case {
  readonly row: JobRow;
  readonly fact: JobFact;
  readonly runner: Runner;
  /** Stages that the fact is ahead of the row. */
  readonly ahead: number;
  /** Sent after what is known was observed. */
  readonly later: boolean;
  readonly contradicts: boolean;
}

interface Rule {
  readonly when: (seen: Case) => boolean;
  /** The fact's status, with everything that belongs to it, becomes the row's. */
  readonly takes: boolean;
  readonly doubt: 'cast' | 'settled' | 'as before';
}

const waits = ({ row }: Case): boolean => STAGES[row.status] === 0;
const laterPoll = ({ fact, later }: Case): boolean => fact.source === 'poll' && later;
const sameStatus = ({ fact, row }: Case): boolean => fact.status === row.status;
const endsWhereItRan = ({ fact, row, runner }: Case): boolean =>
  row.status === 'in_progress' &&
  fact.status === 'completed' &&
  row.runnerName !== null &&
  row.runnerName === runner.name;
const beganAfterTheRead = ({ fact, row }: Case): boolean =>
  row.verifiedAtMs !== null && fact.startedAtMs !== null && fact.startedAtMs > row.verifiedAtMs;

const RULES: readonly Rule[] = [
  // A GET decides, backwards too, unless what is known was observed after it was sent.
  { when: ({ fact, later }) => fact.source === 'read' && later, takes: true, doubt: 'settled' },
  { when: ({ fact }) => fact.source === 'read', takes: false, doubt: 'as before' },
  // A status climbs on anybody's word.
  { when: (seen) => seen.ahead > 0 && endsWhereItRan(seen), takes: true, doubt: 'settled' },
  {
    when: (seen) => seen.ahead > 0 && beganAfterTheRead(seen) && waits(seen) && !seen.row.disputed,
    takes: true,
    doubt: 'settled',
  },
  { when: ({ ahead, row }) => ahead > 0 && row.statusSource === 'read', takes: true, doubt: 'cast' },
  { when: (seen) => seen.ahead > 0 && waits(seen) && seen.row.verifiedAtMs === null, takes: true, doubt: 'settled' },
  { when: ({ ahead }) => ahead > 0, takes: true, doubt: 'as before' },
  // A webhook of an earlier stage is late; a poll may have seen what no webhook has told yet.
  { when: (seen) => seen.ahead < 0 && laterPoll(seen), takes: false, doubt: 'cast' },
  { when: ({ ahead }) => ahead < 0, takes: false, doubt: 'as before' },
  // Queued and waiting follow one another in both directions.
  { when: (seen) => waits(seen) && !sameStatus(seen) && laterPoll(seen), takes: true, doubt: 'settled' },
  { when: (seen) => waits(seen) && !sameStatus(seen), takes: true, doubt: 'cast' },
  { when: (seen) => waits(seen) && seen.row.disputed && laterPoll(seen), takes: true, doubt: 'settled' },
  { when: (seen) => waits(seen), takes: false, doubt: 'as before' },
  // The same status on another runner: requeued and taken again in between.
  { when: (seen) => seen.contradicts && laterPoll(seen), takes: true, doubt: 'as before' },
  { when: ({ contradicts }) => contradicts, takes: true, doubt: 'cast' },
  { when: () => true, takes: false, doubt: 'as before' },
];

/** The row after the fact; the same object where it told nothing new. */
export function rowAfter(row: JobRow | undefined, fact: JobFact): JobRow {
  const runner: Runner = {
    id: fact.runnerId === 0 ? null : fact.runnerId,
    name: fact.runnerName === '' ? null : (fact.runnerName?.toWellFormed() ?? null),
    group: fact.runnerName === '' || fact.runnerName === null ? null : (fact.runnerGroup ?? null),
  };
  if (row === undefined) return firstRow(fact, runner);
  const seen: Case = {
    row,
    fact,
    runner,
    ahead: STAGES[fact.status] - STAGES[row.status],
    later: fact.observedAtMs > row.statusObservedAtMs,
    contradicts:
      differ(row.runnerId, runner.id) || differ(row.runnerName, runner.name) || differ(row.conclusion, fact.conclusion),
  };
  const rule = RULES.find(({ when }) => when(seen));
  const after: JobRow = {
    ...row,
    ...filled(seen),
    ...(rule?.takes === true ? taken(seen) : {}),
    disputed: rule?.doubt === 'cast' ? true : rule?.doubt === 'settled' ? false : row.disputed,
    verifiedAtMs: fact.source === 'read' ? Math.max(fact.observedAtMs, row.verifiedAtMs ?? 0) : row.verifiedAtMs,
  };
  const moved = after.status !== row.status;
  // What was given up, and moves all the same, is looked at anew.
  const judged: JobRow =
    moved && row.admission === 'expired'
      ? { ...after, admission: 'pending', reasonCode: null, reason: null, cure: null }
      : after;
  const unchanged = JSON.stringify(judged) === JSON.stringify(row);
  return unchanged ? row : { ...judged, version: row.version + 1 };
}

function differ<T>(known: T | null, told: T | null): boolean {
  return known !== null && told !== null && known !== told;
}

function taken({ fact, row, runner }: Case): Partial<JobRow> {
  return {
    status: fact.status,
    conclusion: fact.conclusion,
    runnerId: runner.id,
    runnerName: runner.name,
    runnerGroup: runner.group,
    startedAtMs: fact.startedAtMs ?? row.startedAtMs,
    completedAtMs: fact.completedAtMs,
    statusObservedAtMs: fact.observedAtMs,
    statusSource: fact.source,
    statusToldBy: fact.toldBy,
    ...(fact.status === row.status ? {} : { statusSinceMs: fact.observedAtMs }),
  };
}

/** What was not known is learned from any fact; what belongs to a status, from one that has it and contradicts nothing. */
function filled(seen: Case): Partial<JobRow> {
  const { contradicts, fact, row, runner } = seen;
  const exposed = (['public', 'internal', 'private'] as const).find(
    (visibility) => row.visibility === visibility || fact.visibility === visibility,
  );
  const learned: Partial<JobRow> = {
    repositoryId: row.repositoryId ?? fact.repositoryId,
    visibility: exposed ?? null,
    visibilityProven: row.visibilityProven || isTold(fact),
    workflowName: row.workflowName ?? fact.workflowName,
    headBranch: row.headBranch ?? fact.headBranch,
    htmlUrl: row.htmlUrl ?? fact.htmlUrl,
    createdAtMs: row.createdAtMs ?? fact.createdAtMs,
  };
  if (!sameStatus(seen) || contradicts) return learned;
  return {
    ...learned,
    conclusion: row.conclusion ?? fact.conclusion,
    runnerId: row.runnerId ?? runner.id,
    runnerName: row.runnerName ?? runner.name,
    runnerGroup: row.runnerGroup ?? runner.group,
    startedAtMs: row.startedAtMs ?? fact.startedAtMs,
    completedAtMs: row.completedAtMs ?? fact.completedAtMs,
  };
}

/** Without tenants whoever tells of a visibility may be believed. */
function isTold({ visibility }: JobFact): boolean {
  return visibility !== undefined;
}

function firstRow(fact: JobFact, runner: Runner): JobRow {
  const { source, toldBy, observedAtMs, runnerId: _id, runnerName: _name, visibility, ...told } = fact;
  return {
    ...told,
    key: jobKey(fact),
    visibility: visibility ?? null,
    visibilityProven: isTold(fact),
    runnerId: runner.id,
    runnerName: runner.name,
    runnerGroup: runner.group,
    firstSeenAtMs: observedAtMs,
    statusSinceMs: observedAtMs,
    statusObservedAtMs: observedAtMs,
    statusSource: source,
    statusToldBy: toldBy,
    // Whoever told of it first, or its owner where the platform did.
    runEvent: null,
    runActor: null,
    runTriggeringActor: null,
    runHead: null,
    share: toldBy ?? `${fact.host}/${fact.owner}`.toLowerCase(),
    disputed: false,
    verifiedAtMs: source === 'read' ? observedAtMs : null,
    admission: 'pending',
    registration: null,
    laneKey: null,
    reasonCode: null,
    reason: null,
    cure: null,
    planned: 0,
    launches: 0,
    lastLaunchAtMs: null,
    stolen: 0,
    passedOver: 0,
    passedOverBy: null,
    hold: null,
    heldSinceMs: null,
    heldUntilMs: null,
    probing: false,
    heldAtRunning: 0,
    version: 1,
  };
}
