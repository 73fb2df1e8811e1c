/**
 * What containers send: `application/x-www-form-urlencoded`, because a POSIX shell with curl writes it correctly.
 * Everything in it may be made up by the job.
 */
import { z } from 'zod';
import type { RunnerUsage } from '../lifecycle/machine/event.ts';

/** A form has at most a dozen fields, of a few hundred characters each. */
export const MOST_FORM_BYTES = 8 * 1024;

const count = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number)
  .nullable()
  .catch(null);

const bootedForm = z.object({
  version: z
    .string()
    .regex(/^\d{1,4}(?:\.\d{1,4}){1,3}$/)
    .nullable()
    .catch(null),
});
const exitingForm = z.object({
  code: z
    .string()
    .regex(/^\d{1,3}$/)
    .nullable()
    .catch(null),
});
const startedForm = z.object({
  repository: z.string().regex(/^[A-Za-z0-9_-]{1,100}\/[A-Za-z0-9._-]{1,100}$/),
  run: z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number),
  /** Whether its code comes from a fork, as the event in the runner says; null: it does not. */
  fork: z
    .enum(['true', 'false'])
    .transform((word) => word === 'true')
    .nullable()
    .catch(null),
});
const completedForm = z.object({
  result: z.enum(['success', 'failure', 'cancelled', 'skipped']).nullable().catch(null),
  memoryPeakBytes: count,
  cpuSeconds: z
    .string()
    .regex(/^\d{1,10}(?:\.\d{1,9})?$/)
    .transform(Number)
    .nullable()
    .catch(null),
  diskBytes: count,
  memoryLimitBytes: count,
  oomKills: count,
});

/** A job about to run its first step. */
export type StartedForm = z.output<typeof startedForm>;
/** A job that has run its last step. */
export type CompletedForm = z.output<typeof completedForm>;

export type Call =
  | ({ readonly event: 'booted' } & z.output<typeof bootedForm>)
  | { readonly event: 'listening' }
  | ({ readonly event: 'job-started' } & StartedForm)
  | ({ readonly event: 'job-completed' } & CompletedForm)
  | ({ readonly event: 'exiting' } & z.output<typeof exitingForm>)
  | { readonly event: 'jit' };

export const callEvents = ['booted', 'listening', 'job-started', 'job-completed', 'exiting', 'jit'] as const;
export type CallEvent = (typeof callEvents)[number];

export function isCallEvent(event: string): event is CallEvent {
  return callEvents.some((known) => known === event);
}

/** Undefined where it lacks what the event cannot do without. Measurements that make no sense are left out. */
export function readCall(event: CallEvent, body: Buffer): Call | undefined {
  const fields = Object.fromEntries(new URLSearchParams(body.toString('utf8')));
  switch (event) {
    case 'booted':
      return { event, ...bootedForm.parse(fields) };
    case 'listening':
    case 'jit':
      return { event };
    case 'job-started': {
      const form = startedForm.safeParse(fields);
      return form.success ? { event, ...form.data } : undefined;
    }
    case 'job-completed':
      return { event, ...completedForm.parse(fields) };
    case 'exiting':
      return { event, ...exitingForm.parse(fields) };
  }
}

export function usageIn(form: CompletedForm): RunnerUsage {
  const { memoryPeakBytes, diskBytes, oomKills, cpuSeconds } = form;
  return { memoryPeakBytes, diskBytes, oomKills, cpuMs: cpuSeconds === null ? null : Math.round(cpuSeconds * 1000) };
}
