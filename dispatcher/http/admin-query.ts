/** Query parameters of the admin API. An unknown or repeated one is an error: an ignored filter misleads. */
import { z } from 'zod';
import { DAY, MINUTE } from '../../time/units.ts';
import { parseDuration } from '../labels/duration.ts';
import { admissionStateSchema, jobStatusSchema, roleSchema, runnerStateSchema } from './admin-shapes.ts';
import { TOKEN_NAME } from './api-token.ts';

const MIN_EXPIRY_MS = MINUTE;
const MAX_EXPIRY_MS = 3650 * DAY;

/** The ledger returns at most 1000; one more than the limit is read, to know whether there are more. */
const MAX_ITEMS = 500;

const limit = z
  .string()
  .regex(/^[0-9]{1,4}$/, 'a whole number')
  .transform(Number)
  .pipe(z.number().min(1).max(MAX_ITEMS))
  .default(100);
const registration = z
  .string()
  .regex(/^[a-z0-9-]{1,32}$/, 'the name of a registration')
  .optional();
const cursor = z
  .string()
  .max(1024)
  .regex(/^[A-Za-z0-9_-]+$/, 'the `next` of the page before')
  .optional();
const lane = z
  .string()
  .regex(/^[a-z0-9]{1,64}$/, 'the key of a lane')
  .optional();
const flag = z.enum(['true', 'false']).transform((text) => text === 'true');

/** How far back a report goes: jobs are kept for `retention`. */
const MAX_REPORT_MS = 90 * DAY;
export const observedQuery = z.strictObject({
  since: z
    .string()
    .max(32)
    .transform((text, context) => {
      const ms = parseDuration(text);
      if (ms !== undefined && ms >= MINUTE && ms <= MAX_REPORT_MS) return ms;
      context.addIssue('a duration of 1m to 90d');
      return z.NEVER;
    })
    .default(7 * DAY),
  limit,
  cursor,
});
export const registrationsQuery = z.strictObject({ registration, limit, cursor });
export const lanesQuery = z.strictObject({ registration, waiting: flag.default(false), limit, cursor });
export const jobsQuery = z.strictObject({
  registration,
  lane,
  status: jobStatusSchema.optional(),
  admission: admissionStateSchema.optional(),
  limit,
  cursor,
});
export const runnersQuery = z.strictObject({
  registration,
  lane,
  /** Several, separated by commas. */
  state: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(runnerStateSchema))
    .optional(),
  limit,
  cursor,
});
export const runnerQuery = z.strictObject({ output: flag.default(false) });
export const noQuery = z.strictObject({});

const word = z.string().min(1).max(256);
export const explainQuery = z.strictObject({
  host: word.default('github.com').transform((host) => host.toLowerCase()),
  repository: z
    .string()
    .max(256)
    .regex(/^[^/\s]+\/[^/\s]+$/, 'owner/repository')
    .transform((text) => {
      const cut = text.indexOf('/');
      return { owner: text.slice(0, cut), repository: text.slice(cut + 1) };
    }),
  /** Several, separated by commas; empty for a job without labels. */
  labels: z
    .string()
    .max(8192)
    .transform((text) =>
      text
        .split(',')
        .map((label) => label.trim())
        .filter((label) => label !== ''),
    )
    .pipe(z.array(word).max(100)),
  /** Each as it is, commas included; beside `labels`. */
  label: z.union([word.transform((label) => [label]), z.array(word).max(100)]).default([]),
  visibility: z.enum(['public', 'private', 'internal']).optional(),
  /** Its code comes from a fork. */
  fork: flag.default(false),
  /** What starts the run, and who: likewise. */
  event: word.optional(),
  actor: word.optional(),
  /** The name of the workflow, and the branch of the commit: where a policy depends on them. */
  workflow: word.optional(),
  branch: word.optional(),
});

const hostName = z
  .string()
  .max(256)
  .transform((host) => host.toLowerCase());
const jobId = z
  .string()
  .regex(/^[0-9]{1,15}$/, 'the id of a job')
  .transform(Number);

/** Where a page of jobs, or of runners, ends: see page.ts. */
export const jobPlace = z.tuple([z.number().int(), z.string()]);
export const runnerPlace = z.tuple([z.number().int(), z.string()]);
export const jobPath = z.object({ host: hostName, id: jobId });
export const fullJobPath = z.object({
  host: hostName,
  owner: z.string().regex(/^[A-Za-z0-9_-]{1,100}$/, 'the owner of a repository'),
  repository: z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, 'the name of a repository'),
  id: jobId,
});
const registrationName = z.string().regex(/^[a-z0-9-]{1,32}$/, 'the name of a registration');
export const registrationPath = z.object({ registration: registrationName });
export const backendPath = z.object({
  registration: registrationName,
  backend: z.string().regex(/^[a-z0-9-]{1,64}$/, 'the name of a backend'),
});
/** The maximum length of an instance name: see providers/provider.ts. */
export const runnerPath = z.object({ name: z.string().regex(/^[a-z0-9-]{1,63}$/, 'the name of a runner') });

const tokenName = z.string().regex(TOKEN_NAME, 'a name of at most 63 characters of a-z, 0-9, `.`, `_` and `-`');
export const tokenPath = z.object({ id: z.string().regex(/^[0-9a-z]{26}$/, 'the id of a token') });
export const newTokenQuery = z.strictObject({
  name: tokenName,
  role: roleSchema,
  /** Several, separated by commas; without it the token is for the whole platform. */
  tenants: z
    .string()
    .max(4096)
    .transform((text) => text.split(','))
    .pipe(
      z
        .array(z.string().regex(/^[a-z0-9-]{1,32}$/, 'names of tenants, separated by commas'))
        .min(1)
        .max(100),
    )
    .optional(),
  /** `90d`, `12h`, or `never`. */
  expires: z
    .string()
    .max(32)
    .transform((text, context) => {
      const ms = text === 'never' ? null : parseDuration(text);
      if (ms === null || (ms !== undefined && ms >= MIN_EXPIRY_MS && ms <= MAX_EXPIRY_MS)) return ms;
      context.addIssue('a duration of 1m to 3650d, or `never`');
      return z.NEVER;
    })
    .default(90 * DAY),
});
export const tokensQuery = z.strictObject({ limit, cursor });
export const auditQuery = z.strictObject({
  /** The name of a token, or of a person. */
  actor: z.string().max(256).optional(),
  action: z
    .string()
    .regex(/^[a-z.-]{1,64}$/, 'an action, such as runner.forget')
    .optional(),
  limit,
  cursor,
});
/** Shown on jobs and lanes: one line. */
export const pauseQuery = z.strictObject({
  reason: z
    .string()
    .max(200)
    .regex(/^[^\p{Cc}\p{Cf}\u2028\u2029]+$/u, 'one line of at most 200 characters')
    .optional(),
});
