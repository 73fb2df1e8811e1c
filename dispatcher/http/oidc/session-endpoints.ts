/** Who is logged in, for administrators. */
import { z } from 'zod';
import { AdminProblem } from '../admin-problem.ts';
import { noQuery, tokensQuery } from '../admin-query.ts';
import { sessionListSchema, sessionsRevokedSchema } from '../admin-shapes.ts';
import { type Asked, type Endpoint, endpoint } from '../endpoint.ts';
import { pageOf } from '../page.ts';
import { isWithin, type Rights } from '../viewer.ts';
import { PERSON } from './logins.ts';
import type { Session } from './sessions.ts';

export interface SessionRegister {
  /** Those in force, with what they may do now. */
  all(): readonly { readonly session: Session; readonly rights: Rights }[];
  /** Of a person, wherever they are logged in. Returns how many. */
  endAllOf(subject: string): number;
}

const sessionPath = z.strictObject({ id: z.string().regex(/^[0-9a-f]{16}$/, 'an id has 16 hexadecimal digits') });

export function sessionEndpoints(sessions: SessionRegister): readonly Endpoint[] {
  /** Those who see more than the viewer are not there for it. */
  const seen = ({ viewer }: Asked<unknown, unknown>) =>
    sessions
      .all()
      // One whose groups have lost all access sees nothing, and may have been anyone's.
      .filter(({ rights }) => viewer.tenants === null || rights.viewer?.length !== 0)
      .filter(({ rights }) => isWithin(rights.viewer, viewer.tenants));
  const find = (asked: Asked<{ readonly id: string }, unknown>) =>
    seen(asked).find(({ session }) => session.id === asked.params.id);

  return [
    endpoint({
      method: 'GET',
      path: '/api/sessions',
      summary: 'Who is logged in',
      role: 'admin',
      scope: 'tenants',
      params: noQuery,
      query: tokensQuery,
      answer: sessionListSchema,
      handle(asked) {
        const { rows, next } = pageOf(seen(asked), ({ session }) => [session.beganAtMs, session.id], asked.query);
        return { body: { sessions: rows.map(view), more: next !== null, next } };
      },
    }),

    endpoint({
      method: 'POST',
      path: '/api/sessions/:id/revoke',
      summary: 'Log a person out, in all browsers',
      role: 'admin',
      scope: 'tenants',
      action: 'session.revoke',
      params: sessionPath,
      query: noQuery,
      answer: sessionsRevokedSchema,
      target(asked) {
        const found = find(asked);
        const subject = found === undefined ? `session ${asked.params.id}` : `${PERSON}${found.session.person.name}`;
        return { subject, registration: null, tenants: found?.rights.viewer ?? null };
      },
      handle(asked) {
        const found = find(asked);
        if (found === undefined) {
          throw new AdminProblem(404, `no session ${asked.params.id}`, 'GET /api/sessions lists those that there are.');
        }
        const { subject, name } = found.session.person;
        const ended = sessions.endAllOf(subject);
        return { body: { person: { id: `${PERSON}${subject}`, name: `${PERSON}${name}` }, ended } };
      },
    }),
  ];
}

function view({ session, rights }: { readonly session: Session; readonly rights: Rights }) {
  const { id, person, beganAtMs, endsAtMs } = session;
  return {
    id,
    person: { id: `${PERSON}${person.subject}`, name: `${PERSON}${person.name}` },
    rights,
    beganAt: new Date(beganAtMs).toISOString(),
    endsAt: new Date(endsAtMs).toISOString(),
  };
}
