/** How a refusal of the admin API is sent. Apart from the refusal itself: node:http takes long to load at the start. */
import { STATUS_CODES } from 'node:http';
import type { Response } from 'express';
import type { AdminProblem } from './admin-problem.ts';

export function sendProblem(response: Response, { status, message, cure, problems }: AdminProblem): void {
  response.status(status).type('application/problem+json');
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
