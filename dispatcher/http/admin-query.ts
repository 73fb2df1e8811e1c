/** Query parameters of the admin API. An unknown or repeated one is an error: an ignored filter misleads. */
import { z } from 'zod';
import { admissionStateSchema, jobStatusSchema, runnerStateSchema } from './admin-shapes.ts';

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
const lane = z
  .string()
  .regex(/^[a-z0-9]{1,64}$/, 'the key of a lane')
  .optional();
const flag = z.enum(['true', 'false']).transform((text) => text === 'true');

export const registrationsQuery = z.strictObject({ registration, limit });
export const lanesQuery = z.strictObject({ registration, waiting: flag.default(false), limit });
export const jobsQuery = z.strictObject({
  registration,
  lane,
  status: jobStatusSchema.optional(),
  admission: admissionStateSchema.optional(),
  limit,
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
  visibility: z.enum(['public', 'private', 'internal']).optional(),
});

const hostName = z
  .string()
  .max(256)
  .transform((host) => host.toLowerCase());
const jobId = z
  .string()
  .regex(/^[0-9]{1,15}$/, 'the id of a job')
  .transform(Number);

export const jobPath = z.object({ host: hostName, id: jobId });
export const fullJobPath = z.object({
  host: hostName,
  owner: z.string().regex(/^[A-Za-z0-9_-]{1,100}$/, 'the owner of a repository'),
  repository: z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, 'the name of a repository'),
  id: jobId,
});
export const backendPath = z.object({
  registration: z.string().regex(/^[a-z0-9-]{1,32}$/, 'the name of a registration'),
  backend: z
    .string()
    .regex(/^[a-z0-9-]{1,64}$/, 'the name of a backend')
    .optional(),
});
/** The maximum length of an instance name: see providers/provider.ts. */
export const runnerPath = z.object({ name: z.string().regex(/^[a-z0-9-]{1,63}$/, 'the name of a runner') });
