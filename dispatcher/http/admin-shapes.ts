/**
 * The responses of the admin API: what the server promises and the command line reads. Times are ISO 8601 in UTC, null
 * for what has not happened. Fields may be added; existing ones keep their meaning. See docs/observability.md.
 */
import { z } from 'zod';

const time = z.string().nullable();
const count = z.number().int().min(0);

export const runnerStateSchema = z.enum([
  'creating',
  'parked',
  'starting',
  'online',
  'busy',
  'finishing',
  'draining',
  'gone',
]);
export const jobStatusSchema = z.enum(['queued', 'waiting', 'pending', 'requested', 'in_progress', 'completed']);
export const admissionStateSchema = z.enum(['pending', 'lane', 'observed', 'refused', 'not-ours', 'expired']);

/** `removed`: the registration is not in the configuration. `set-aside`: its configuration has problems. */
const absenceSchema = z.enum(['removed', 'set-aside']);

/** `application/problem+json` (RFC 9457): `error` and `cure` are our own members, in `detail` they are one sentence. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  error: z.string(),
  cure: z.string(),
  /** Of a document that was sent. */
  problems: z
    .array(
      z.object({
        file: z.string(),
        line: z.number(),
        column: z.number(),
        path: z.string(),
        message: z.string(),
        cure: z.string(),
      }),
    )
    .optional(),
});
/** As much of it as every version answers. */
export const errorSchema = problemSchema.pick({ error: true, cure: true, problems: true });

export const roleSchema = z.enum(['viewer', 'operator', 'admin']);

export const readinessSchema = z.object({
  ready: z.boolean(),
  reasons: z.array(z.string()),
  /** Registrations that are set aside or have problems: they do not make the dispatcher unready. */
  problems: z.array(z.string()).optional(),
});

/** One failure, in the same form everywhere. */
const failureViewSchema = z.object({
  /** `github`, `dispatcher`, or a backend as `<registration>/<backend>`. */
  source: z.string(),
  kind: z.string(),
  /** The service's own code, GitHub's HTTP status, or a container's exit code. */
  code: z.string().nullable(),
  /** For a support ticket with the service. */
  requestId: z.string().nullable(),
  message: z.string(),
  at: z.string(),
});

const breakerViewSchema = z.object({
  /** `account`, `capacity`, `refused`, `start` or `idle`. */
  rule: z.string(),
  /** The image and shape concerned; null: the whole backend. */
  about: z.string().nullable(),
  failure: failureViewSchema,
  /** Consecutive. */
  failures: count,
  since: z.string(),
  closedUntil: z.string(),
});

const problemViewSchema = z.object({
  /** `configuration`, `poll`, `sweep`, `backend`, `dispatcher`, `ledger`, `clock`; more may come. */
  kind: z.string(),
  /** A repository, an owner, a scope, a backend, an API; null where it is about the whole registration. */
  about: z.string().nullable(),
  message: z.string(),
  since: time,
});

const closureViewSchema = z.object({
  /** `account`, `capacity`, `refused`, `start`, `idle`, `unfit` or, of a candidate image, `canary`. */
  rule: z.string(),
  /** The image and shape concerned; null: the whole backend. */
  about: z.string().nullable(),
  /** `closed`; `due` once its time is up; `probing` while one launch tries it. */
  state: z.enum(['closed', 'due', 'probing']),
  failure: failureViewSchema,
  /** Consecutive. */
  failures: count,
  since: z.string(),
  /** Null: no time limit. */
  closedUntil: time,
});

const backendViewSchema = z.object({
  registration: z.string(),
  name: z.string(),
  kind: z.string(),
  region: z.string().nullable(),
  /** Of the whole backend; single images or shapes may be closed even so. */
  state: z.enum(['open', 'closed', 'due', 'probing', 'not listed']),
  /** Why its instances could not be listed since the start; null: they were, or it was not tried yet. */
  notListed: failureViewSchema.nullable(),
  launching: count,
  /** The maximum number of launches in flight. */
  mostLaunching: count,
  liveRunners: count,
  maxRunners: count,
  /** When the service last accepted a launch, since the dispatcher started. */
  lastSuccessAt: time,
  closures: z.array(closureViewSchema),
});

/** The candidate image, which takes a part of the launches. */
const canaryViewSchema = z.object({
  image: z.string(),
  percent: count,
  /** Of its last 20 starts at most. */
  starts: count,
  failed: count,
  /** When it was stopped, and why; null: it is in use. */
  stopped: z.object({ at: z.string(), reason: z.string(), failure: failureViewSchema }).nullable(),
});

/** Defaults of the organization of a registration. */
const organizationDefaultsSchema = z.object({
  mode: z.enum(['default', 'forced']),
  /**
   * What is in force: `read`, the file; `absent`, GitHub says that there is none, and nothing is limited; `unread`, nothing
   * of it was read yet, and `forced` admits no job until then. Earlier versions do not tell.
   */
  state: z.enum(['read', 'absent', 'unread']).optional(),
  /**
   * Since when that is so at least: when the dispatcher read it first since its start, or saw it change. Where `unread`: since
   * when it asks.
   */
  since: time.default(null),
  /** `acme/.github-private/shr.yaml`; null: there is none that its credentials see, or none was read yet. */
  file: z.string().nullable(),
  /** Git's hash of what is in force. */
  blob: z.string().nullable(),
  /** When GitHub last said what is in it. */
  readAt: time,
  /** Why it cannot be read now, or as it is now: what is in force stays. */
  problem: z
    .object({
      reason: z.string(),
      since: time,
      /** The file that is there and has problems; null: GitHub did not give it. */
      file: z.string().nullable().default(null),
    })
    .nullable()
    .default(null),
  /** Of its defaults, those that no label could ask for. */
  unused: z.array(z.string()),
});

const registrationViewSchema = z.object({
  name: z.string(),
  host: z.string(),
  /** `enterprise acme`, `organization acme`, `user octocat`, `repositories acme/web, acme/api`. */
  claim: z.string(),
  credentials: z.string(),
  labels: z.array(z.string()),
  runnerGroup: z.string(),
  priority: z.number(),
  /** It launches nothing. A dispatcher of an earlier version answers without it. */
  observes: z.boolean().default(false),
  /**
   * By what launches are held, whether or not a job waits; each has to end. Empty: by nothing. A dispatcher of an earlier
   * version answers without it.
   */
  launchesHeld: z
    .array(
      z.object({
        cause: z.enum(['pause', 'maintenance']),
        /** The name of the token; for tenants, `the platform` where it paused. Null: a window of the configuration. */
        by: z.string().nullable(),
        reason: z.string().nullable(),
        since: time,
        /** Null: until it is resumed. */
        until: time,
      }),
    )
    .default([]),
  maxRunners: count,
  liveRunners: count,
  poll: z.object({
    /** Null: webhooks only. */
    intervalSeconds: z.number().nullable(),
    repositories: count.nullable(),
    /** The end of the last pass, and the start of the next. */
    lastAt: time,
    nextAt: time,
    /** The current pass is waiting for GitHub's limits, or our budget, until then. */
    waitsUntil: time,
    /** Its problems, such as repositories that cannot be read; empty when all is well. */
    problems: z.array(z.string()),
  }),
  backends: z.array(
    z.object({
      name: z.string(),
      kind: z.string(),
      region: z.string().nullable(),
      maxRunners: count,
      liveRunners: count,
      breakers: z.array(breakerViewSchema),
    }),
  ),
  /** Versions of the runner that its containers have reported since the dispatcher started, in the last seven days. */
  runnerVersions: z
    .array(z.object({ image: z.string().nullable(), version: z.string(), lastSeenAt: z.string() }))
    // A dispatcher of an earlier version answers without it.
    .default([]),
  /** All of its current problems; empty when all is well. */
  problems: z.array(problemViewSchema),
  /**
   * Worth knowing, and no problem. `secret`: its store is away, and the value from before is in force. A dispatcher of an
   * earlier version answers without them.
   */
  notes: z.array(problemViewSchema).default([]),
  /** A dispatcher of an earlier version answers without it. */
  canary: canaryViewSchema.nullable().default(null),
  /** Where it is kept, if not in the folder of the dispatcher. */
  origin: z
    .object({
      source: z.string(),
      file: z.string(),
      /** That is in force. */
      commit: z.string().nullable(),
      authoredAt: time,
    })
    .nullable()
    .default(null),
  /** Null: it does not ask for them. */
  organizationDefaults: organizationDefaultsSchema.nullable().default(null),
});

const fileProblemSchema = z.object({
  file: z.string(),
  /** From 1; 0 for the whole file. */
  line: count,
  column: count,
  path: z.string(),
  message: z.string(),
  cure: z.string(),
});

const quarantinedViewSchema = z.object({
  name: z.string(),
  file: z.string(),
  problems: z.array(fileProblemSchema),
});

const absentSchema = z.object({
  registration: z.string(),
  absence: absenceSchema,
  /** Its live runners. */
  runners: count,
  /** Its runners are served to their end; absent: they cannot be managed. */
  served: z.literal(true).optional(),
});

const laneViewSchema = z.object({
  key: z.string(),
  registration: z.string(),
  host: z.string(),
  scope: z.string(),
  runnerGroup: z.string(),
  labels: z.array(z.string()),
  backends: z.array(z.string()),
  demand: count,
  /** Queued jobs that do not ask for a runner: see the jobs' own `held`. */
  held: count,
  supply: z.object({ creating: count, starting: count, online: count, outdated: count }),
  oldestQueuedAt: time,
  /** What its waiting jobs wait for; null if none is waiting. */
  waitReason: z.string().nullable(),
  /** Of which its launches take a part; null: all use the image of its jobs. */
  canary: z.object({ image: z.string(), percent: count, stopped: z.boolean() }).nullable().default(null),
});

const jobViewSchema = z.object({
  key: z.string(),
  host: z.string(),
  id: z.number(),
  run: z.number(),
  attempt: z.number(),
  repository: z.string(),
  workflow: z.string().nullable(),
  name: z.string(),
  url: z.string().nullable(),
  labels: z.array(z.string()),
  status: jobStatusSchema,
  conclusion: z.string().nullable(),
  admission: admissionStateSchema,
  registration: z.string().nullable(),
  lane: z.string().nullable(),
  reasonCode: z.string().nullable(),
  reason: z.string().nullable(),
  cure: z.string().nullable(),
  /** What it waits for; null if it is not waiting. */
  waitReason: z.string().nullable(),
  /** GitHub does not assign it, or does not show it: it does not ask for a runner or block other jobs of its lane. */
  held: z.boolean(),
  runner: z.string().nullable(),
  launches: count,
  disputed: z.boolean(),
  firstSeenAt: time,
  statusSince: time,
  createdAt: time,
  startedAt: time,
  completedAt: time,
});

const runnerViewSchema = z.object({
  name: z.string(),
  registration: z.string(),
  host: z.string(),
  scope: z.string(),
  lane: z.string(),
  labels: z.array(z.string()),
  state: runnerStateSchema,
  stateSince: time,
  createdAt: time,
  deadlineAt: time,
  backend: z.string().nullable(),
  instance: z.string().nullable(),
  instanceState: z.string(),
  githubRunner: z.number().nullable(),
  job: z.string().nullable(),
  launchedFor: z.string().nullable(),
  /** Its image, where it is the registration's candidate; null: it has the image of its lane. */
  candidate: z.string().nullable().default(null),
  onlineAt: time,
  busyAt: time,
  finishedAt: time,
  drainReason: z.string().nullable(),
  forced: z.boolean(),
  failure: failureViewSchema.nullable(),
  /** Why its registration is not in force, and what to do; null if it is. */
  absent: z.object({ absence: absenceSchema, reason: z.string(), cure: z.string() }).nullable(),
});

const timelineEntrySchema = z.object({
  at: z.string(),
  state: runnerStateSchema,
  reason: z.string(),
  details: z.string().nullable(),
  failure: failureViewSchema.nullable(),
});

/**
 * `more`: the list was cut at the limit. `next`: the cursor of the next page; null at the end. A dispatcher of an
 * earlier version answers without it.
 */
const next = z.string().nullable().default(null);

const publicAddressSchema = z.object({
  url: z.string(),
  /** `itself`, `other` (something else answers), `unreached` or `unknown`, when it is asked from the dispatcher's machine. */
  state: z.enum(['itself', 'other', 'unreached', 'unknown']),
  message: z.string(),
  /** Runners' call-backs are likely not to arrive. Not where only that machine cannot reach it. */
  amiss: z.boolean(),
  since: z.string(),
  /** When a runner called last; null: none has since the start. */
  calledAt: time,
});

const sourceViewSchema = z.object({
  name: z.string(),
  url: z.string(),
  branch: z.string(),
  /** What is in force of it; null: nothing was read yet. */
  commit: z.object({ sha: z.string(), authoredAt: time, subject: z.string() }).nullable(),
  /** Why what is there now is not known, or not in force. */
  problem: fileProblemSchema.nullable(),
});

export const registrationListSchema = z.object({
  registrations: z.array(registrationViewSchema),
  /** Those that are set aside until their problems are fixed. */
  quarantined: z.array(quarantinedViewSchema),
  /** Of dispatcher.yaml and the folder of registrations as they are now: what was read before stays in force. */
  platformProblems: z.array(fileProblemSchema).default([]),
  /** Of the shared endpoint `/webhooks/github`, for tokens of the platform. */
  webhookProblems: z.array(problemViewSchema).default([]),
  /** `listen.public.url`, for tokens of the platform; null: it has none. */
  publicAddress: publicAddressSchema.nullable().default(null),
  /** Git repositories in which registrations are kept. For tokens of the platform. */
  sources: z.array(sourceViewSchema).default([]),
  /** Those that are not in force but have live runners. */
  absent: z.array(absentSchema),
  more: z.boolean(),
  next,
});
export const registrationDetailSchema = z.object({
  name: z.string(),
  /** Null: the platform's own. */
  tenant: z.string().nullable(),
  /**
   * `in-force`; `kept`: its last version without problems is in force; `set-aside`; `overridden`: one of the same name that
   * is kept elsewhere is the registration; `refused`: its name has come to another tenant since it was put.
   */
  state: z.enum(['in-force', 'kept', 'set-aside', 'overridden', 'refused']),
  /** Where the registration is kept: `folder`, `api`, or a git repository. */
  source: z.string(),
  file: z.string(),
  /** Of that repository; null for others. */
  commit: z.string().nullable(),
  /** What the admin API was given. Null: nothing; it is kept elsewhere alone. */
  document: z.object({ text: z.string(), etag: z.string(), putBy: z.string(), putAt: z.string() }).nullable(),
  /** Of what it says. */
  problems: z.array(fileProblemSchema),
  /** What is wrong with it at present. */
  troubles: z.array(problemViewSchema),
  /** Worth knowing, and no problem. */
  notes: z.array(fileProblemSchema),
  /**
   * Of each of its backends: addresses that are free in its networks, up to a minute ago. `unknown`: the service does not
   * tell, could not be asked, or the backend is the platform's.
   */
  networks: z.array(
    z.object({
      backend: z.string(),
      state: z.enum(['known', 'unknown']),
      free: z.array(z.object({ network: z.string(), addresses: count })),
    }),
  ),
  liveRunners: count,
  /** Null: it does not ask for them, or is not in force. */
  organizationDefaults: organizationDefaultsSchema.nullable().default(null),
});
export const deletedSchema = z.object({
  name: z.string(),
  deleted: z.literal(true),
  /** A registration of that name is kept elsewhere, in a file or a repository, and stays. Earlier versions do not tell. */
  elsewhere: z.boolean().default(false),
});

export const backendListSchema = z.object({ backends: z.array(backendViewSchema), more: z.boolean(), next });
export const backendResetSchema = z.object({
  registration: z.string(),
  backend: z.string().nullable(),
  /** What was closed. */
  reset: z.array(closureViewSchema),
});
const waitsSchema = z.object({
  /** Of so many jobs; the times are null where it is none. */
  known: count,
  medianSeconds: z.number().nullable(),
  p95Seconds: z.number().nullable(),
  longestSeconds: z.number().nullable(),
});
const observedJobSchema = z.object({
  key: z.string(),
  repository: z.string(),
  workflow: z.string().nullable(),
  name: z.string(),
  url: z.string().nullable(),
  labels: z.array(z.string()),
  /** `never-ran`: it ended without a runner, as a cancelled or skipped one does. */
  state: z.enum(['waits', 'runs', 'ran', 'never-ran']),
  conclusion: z.string().nullable(),
  would: z.object({
    /** Null: it would wait still, or it never ran. */
    backend: z.string().nullable(),
    /** What it asks for: null where nothing asks for a size, and the service's own applies. */
    cpu: z.number().nullable(),
    memoryGiB: z.number().nullable(),
    image: z.string().nullable(),
    waitSeconds: z.number().nullable(),
    /** Null: it has not ended, or the price or the size is not known. */
    cost: z.object({ amount: z.number(), currency: z.string() }).nullable(),
  }),
  /** By GitHub's own times and names. */
  really: z.object({
    queuedAt: time,
    startedAt: time,
    completedAt: time,
    waitSeconds: z.number().nullable(),
    runSeconds: z.number().nullable(),
    runner: z.string().nullable(),
    runnerGroup: z.string().nullable(),
  }),
});
export const observedSchema = z.object({
  registration: z.string(),
  /** Whether it only observes now; jobs of a time when it did are told all the same. */
  observes: z.boolean(),
  since: z.string(),
  /** What the times that it would have waited mean. */
  model: z.string(),
  total: z.object({
    jobs: count,
    /** There are older ones in that time: the report is of the newest. */
    cut: z.boolean(),
    waits: count,
    runs: count,
    ran: count,
    neverRan: count,
    mostAtOnce: count,
    wouldWait: waitsSchema,
    reallyWaited: waitsSchema,
    costs: z.array(z.object({ amount: z.number(), currency: z.string() })),
    /** Jobs that ran, and whose cost is not known. */
    costUnknown: count,
    backends: z.array(z.object({ name: z.string(), jobs: count })),
    /** Null: GitHub does not say. At most 20, the rest together as `others`. */
    takenBy: z.array(z.object({ runnerGroup: z.string().nullable(), jobs: count })),
  }),
  /** Jobs that would have been refused, by code, and the key of the latest: of the 1,000 that were refused last. */
  refused: z.array(z.object({ code: z.string(), jobs: count, latest: z.string() })),
  jobs: z.array(observedJobSchema),
  more: z.boolean(),
  next,
  unreadable: z.array(z.object({ key: z.string(), registration: z.string().nullable(), fault: z.string() })),
});
export type ObservedView = z.infer<typeof observedSchema>;
const poolViewSchema = z.object({
  registration: z.string(),
  mode: z.enum(['parked', 'registered']),
  labels: z.array(z.string()),
  /** That of its runners until they have a job. */
  lane: z.string(),
  /** How many it is to have, and why. */
  size: count,
  why: z.string(),
  /** How many it has, those that are starting included. */
  waiting: count,
  /** What keeps it from its size at present. A dispatcher of an earlier version answers without it. */
  notFilled: z.string().nullable().default(null),
});

export const laneListSchema = z.object({
  /** Standby pools, on the first page. */
  pools: z.array(poolViewSchema).default([]),
  lanes: z.array(laneViewSchema),
  more: z.boolean(),
  next,
  /** Live runners of registrations that are not in force. */
  forsaken: z.array(absentSchema),
});
/** Rows of the ledger that cannot be read, and are left out of the list. */
const unreadableSchema = z
  .array(
    z.object({
      /** The job's key, or the runner's name. */
      key: z.string(),
      registration: z.string().nullable(),
      /** The column, and what is wrong with it. */
      fault: z.string(),
    }),
  )
  // A dispatcher of an earlier version answers without it.
  .default([]);
/** Why the ledger takes no writes: what is listed may be out of date. Null while it does. */
const ledgerProblemSchema = z.object({ message: z.string(), since: time });
export const jobListSchema = z.object({
  jobs: z.array(jobViewSchema),
  more: z.boolean(),
  next,
  unreadable: unreadableSchema,
  ledgerProblem: ledgerProblemSchema.nullable().default(null),
});
export const runnerListSchema = z.object({
  runners: z.array(runnerViewSchema),
  more: z.boolean(),
  next,
  unreadable: unreadableSchema,
  ledgerProblem: ledgerProblemSchema.nullable().default(null),
});

export const jobDetailSchema = z.object({ job: jobViewSchema, waitReason: z.string().nullable() });
export const runDetailSchema = z.object({ jobs: z.array(jobDetailSchema), unreadable: unreadableSchema });
export const runnerDetailSchema = z.object({
  runner: runnerViewSchema,
  timeline: z.array(timelineEntrySchema),
  /** The container's output: only if requested, null if there is none. At most the last 256 KB. */
  output: z.string().nullable().optional(),
  /** `live`: read from the service just now. `kept`: the end of it, as saved before the container was removed. */
  outputIs: z.enum(['live', 'kept']).optional(),
  /** Why the live output could not be read. */
  outputProblem: z.string().optional(),
});
export const forgetSchema = z.object({ runner: runnerViewSchema, message: z.string() });

export const explanationSchema = z.discriminatedUnion('outcome', [
  z.object({
    outcome: z.literal('lane'),
    registration: z.string(),
    lane: z.string(),
    scope: z.string(),
    runnerGroup: z.string(),
    backends: z.array(z.string()),
    wish: z.record(z.string(), z.unknown()),
    /** Its registration only observes: none is launched. */
    observes: z.boolean().default(false),
    /** The wish in words. A dispatcher of an earlier version answers without it, as without the next. */
    shape: z.string().default(''),
    /** The lines of dispatcher.yaml that let its tenant have it; null: it needs none. */
    granted: z
      .object({ tenant: z.string(), lines: z.array(z.object({ field: z.string(), place: z.string() })) })
      .nullable()
      .default(null),
  }),
  z.object({
    outcome: z.literal('refused'),
    registration: z.string(),
    code: z.string(),
    reason: z.string(),
    cure: z.string(),
    /** The field of the registration that decided, such as `policy.maxCpu`; null: none alone. */
    field: z.string().nullable().default(null),
    /** The line of dispatcher.yaml that decided, where the tenant's grant did. */
    place: z.string().nullable().default(null),
  }),
  z.object({ outcome: z.literal('not-ours'), reason: z.string() }),
]);

const tokenViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  role: roleSchema,
  /** Null: the whole platform. */
  tenants: z.array(z.string()).nullable(),
  state: z.enum(['in-force', 'expired', 'revoked']),
  createdAt: z.string(),
  createdBy: z.string(),
  /** Null: never. */
  expiresAt: time,
  revokedAt: time,
  revokedBy: z.string().nullable(),
});
export const tokenListSchema = z.object({ tokens: z.array(tokenViewSchema), more: z.boolean(), next });
export const tokenCreatedSchema = z.object({
  /** Shown this once: only its hash is kept. */
  token: z.string(),
  of: tokenViewSchema,
});
export const tokenRevokedSchema = z.object({ of: tokenViewSchema });

const rightsSchema = z.record(roleSchema, z.array(z.string()).nullable());

export const viewerSchema = z.object({
  id: z.string(),
  name: z.string(),
  role: roleSchema,
  /** Null: the whole platform. */
  tenants: z.array(z.string()).nullable(),
  expiresAt: time,
  /** Of a person who is logged in: where each role holds (null: everywhere), and what goes along with each write. */
  session: z.object({ rights: z.record(roleSchema, z.array(z.string()).nullable()), csrfToken: z.string() }).nullable(),
});

const personSchema = z.object({ id: z.string(), name: z.string() });

export const sessionListSchema = z.object({
  sessions: z.array(
    z.object({ id: z.string(), person: personSchema, rights: rightsSchema, beganAt: z.string(), endsAt: z.string() }),
  ),
  more: z.boolean(),
  next,
});

export const sessionsRevokedSchema = z.object({ person: personSchema, ended: z.number() });

const auditEntrySchema = z.object({
  id: z.string(),
  at: z.string(),
  actor: z.object({ id: z.string(), name: z.string() }),
  action: z.string(),
  subject: z.string(),
  tenant: z.string().nullable(),
  /** Of the answer; null: it is under way, or the dispatcher ended in the middle of it. */
  status: z.number().int().nullable(),
  outcome: z.string().nullable(),
});
export const auditListSchema = z.object({ entries: z.array(auditEntrySchema), more: z.boolean(), next });

const pauseViewSchema = z.object({
  /** Null: all registrations. */
  registration: z.string().nullable(),
  since: z.string(),
  by: z.string(),
  /** The platform paused it: a tenant cannot resume it. */
  byPlatform: z.boolean(),
  reason: z.string().nullable(),
  /** The tenant's own beside the platform's: it holds when that ends. */
  own: z.object({ since: z.string(), by: z.string(), reason: z.string().nullable() }).nullable().default(null),
});
export const pauseListSchema = z.object({ pauses: z.array(pauseViewSchema) });
export const pausedSchema = z.object({
  /** In force now. */
  pause: pauseViewSchema.nullable(),
  /** The one that has ended; null: there was none. */
  resumed: pauseViewSchema.nullable(),
});

export type PublicAddressView = z.infer<typeof publicAddressSchema>;
export type PauseView = z.infer<typeof pauseViewSchema>;
export type TokenView = z.infer<typeof tokenViewSchema>;
export type AuditEntryView = z.infer<typeof auditEntrySchema>;
export type LedgerProblemView = z.infer<typeof ledgerProblemSchema>;
export type UnreadableView = z.infer<typeof unreadableSchema>[number];
export type FailureView = z.infer<typeof failureViewSchema>;
export type BreakerView = z.infer<typeof breakerViewSchema>;
export type ProblemView = z.infer<typeof problemViewSchema>;
export type ClosureView = z.infer<typeof closureViewSchema>;
export type BackendView = z.infer<typeof backendViewSchema>;
export type RegistrationView = z.infer<typeof registrationViewSchema>;
export type RegistrationDetail = z.infer<typeof registrationDetailSchema>;
export type OrganizationView = NonNullable<RegistrationView['organizationDefaults']>;
export type SourceView = z.infer<typeof sourceViewSchema>;
export type QuarantinedView = z.infer<typeof quarantinedViewSchema>;
export type PoolView = z.infer<typeof poolViewSchema>;
export type CanaryView = z.infer<typeof canaryViewSchema>;
export type LaneView = z.infer<typeof laneViewSchema>;
export type AbsentView = z.infer<typeof absentSchema>;
export type JobView = z.infer<typeof jobViewSchema>;
export type RunnerView = z.infer<typeof runnerViewSchema>;
export type TimelineView = z.infer<typeof timelineEntrySchema>;
export type Explanation = z.infer<typeof explanationSchema>;
