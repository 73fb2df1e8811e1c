/** Pauses: intake goes on, launches stop. */
import { z } from 'zod';
import { AdminProblem } from './admin-problem.ts';
import { noQuery, pauseQuery, registrationPath } from './admin-query.ts';
import { pausedSchema, pauseListSchema } from './admin-shapes.ts';
import type { AdminSources } from './admin-sources.ts';
import { pauseView } from './admin-views.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import type { Sight } from './sight.ts';
import type { Viewer } from './viewer.ts';

const nothing = z.strictObject({});

export function pauseEndpoints({ log, pausing, ...sources }: AdminSources): readonly Endpoint[] {
  const writing = { method: 'POST', role: 'operator', answer: pausedSchema } as const;

  async function pause(viewer: Viewer, registration: string | null, reason: string | undefined) {
    const { name: by, tenants } = viewer;
    const inForce = await pausing.pause({ registration, reason: reason ?? null, by, byPlatform: tenants === null });
    log.warn('admin.paused', { registration, by, reason: reason ?? null });
    return { body: { pause: pauseView(inForce), resumed: null }, ...(reason === undefined ? {} : { remark: reason }) };
  }

  async function resume(viewer: Viewer, registration: string | null) {
    const inForce = pausing.pauses().find((one) => one.registration === registration);
    if (inForce?.byPlatform === true && inForce.own === undefined && viewer.tenants !== null) {
      throw new AdminProblem(409, `the platform paused ${registration ?? 'it'}`, 'Ask its operators to resume it.');
    }
    const before = await pausing.resume(registration, { byPlatform: viewer.tenants === null });
    log.warn('admin.resumed', { registration, by: viewer.name });
    const still = pausing.pauses().find((one) => one.registration === registration);
    return {
      body: {
        pause: still === undefined ? null : pauseView(still),
        resumed: before === undefined ? null : pauseView(before),
      },
    };
  }

  function refuseUnknown(registration: string, sight: Sight): void {
    const known = [...sight.registrations, ...sight.quarantined].some(({ name }) => name === registration);
    const isPaused = pausing.pauses().some((one) => one.registration === registration) && sight.sees(registration);
    if (known || isPaused || (sources.leaving?.().includes(registration) && sight.sees(registration))) return;
    throw new AdminProblem(404, `no registration ${registration}`, '`shr registrations` lists those that there are');
  }

  return [
    endpoint({
      method: 'GET',
      path: '/api/pauses',
      summary: 'What is paused: all registrations, or some',
      role: 'viewer',
      scope: 'tenants',
      params: noQuery,
      query: nothing,
      answer: pauseListSchema,
      handle({ sight }) {
        const seen = pausing.pauses().filter((one) => one.registration === null || sight.sees(one.registration));
        return { body: { pauses: seen.map(pauseView) } };
      },
    }),
    endpoint({
      ...writing,
      path: '/api/pause',
      summary: 'Launch nothing for any registration until it is resumed',
      scope: 'platform',
      action: 'pause',
      params: noQuery,
      query: pauseQuery,
      target: () => ({ subject: 'all registrations', registration: null }),
      handle: ({ viewer, query: { reason } }) => pause(viewer, null, reason),
    }),
    endpoint({
      ...writing,
      path: '/api/resume',
      summary: 'End the pause of all registrations; those of single ones stay',
      scope: 'platform',
      action: 'resume',
      params: noQuery,
      query: noQuery,
      target: () => ({ subject: 'all registrations', registration: null }),
      handle: ({ viewer }) => resume(viewer, null),
    }),
    endpoint({
      ...writing,
      path: '/api/registrations/:registration/pause',
      summary: 'Launch nothing for a registration until it is resumed',
      scope: 'tenants',
      action: 'pause',
      params: registrationPath,
      query: pauseQuery,
      target: ({ params: { registration } }) => ({ subject: `registration ${registration}`, registration }),
      handle({ viewer, sight, params: { registration }, query: { reason } }) {
        refuseUnknown(registration, sight);
        return pause(viewer, registration, reason);
      },
    }),
    endpoint({
      ...writing,
      path: '/api/registrations/:registration/resume',
      summary: 'End the pause of a registration',
      scope: 'tenants',
      action: 'resume',
      params: registrationPath,
      query: noQuery,
      target: ({ params: { registration } }) => ({ subject: `registration ${registration}`, registration }),
      handle({ viewer, sight, params: { registration } }) {
        refuseUnknown(registration, sight);
        return resume(viewer, registration);
      },
    }),
  ];
}
