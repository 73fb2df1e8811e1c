/** How a refusal of the admin API is sent. Apart from the refusal itself: node:http takes long to load at the start. */
import { STATUS_CODES } from 'node:http';
import type { Response } from 'express';
import { SECOND } from '../../time/units.ts';
import type { AdminProblem } from './admin-problem.ts';

export function sendProblem(response: Response, problem: AdminProblem): void {
  const { status, message, cure, problems, retryAfterMs } = problem;
  response.status(status).type('application/problem+json');
  if (retryAfterMs !== undefined) response.set('Retry-After', String(Math.max(1, Math.ceil(retryAfterMs / SECOND))));
  response.send(
    JSON.stringify({
      type: 'about:blank',
      title: STATUS_CODES[status] ?? 'Error',
      status,
      detail: `${message}: ${cure}`,
      error: message,
      cure,
      ...(problems === undefined ? {} : { problems }),
    }),
  );
}
