/** One registration: what it says where the API was given it, whether that is in force, and what is wrong with it. */
import { Lock } from '../../time/lock.ts';
import { RateWindow } from '../../time/rate-window.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import { NAME } from '../config/schema.ts';
import type { ExpectedVersion } from '../ledger/ledger.ts';
import type { Problem } from '../model/problem.ts';
import type { Registration } from '../model/registration.ts';
import { AdminProblem } from './admin-problem.ts';
import { noQuery, registrationPath } from './admin-query.ts';
import { deletedSchema, type RegistrationDetail, registrationDetailSchema } from './admin-shapes.ts';
import type { AdminSources, RegistrationDocuments } from './admin-sources.ts';
import { organizationView } from './admin-views.ts';
import { type Asked, type Endpoint, endpoint } from './endpoint.ts';
import { type Sight, sightOf } from './sight.ts';
import { askedOnce, toldProblem } from './withheld.ts';

/** Reading a document takes up to a third of a second, in which nothing else is done. */
const MAX_WRITES_A_MINUTE = 60;
/** Of one tenant, that are checked or wait for it: each is held whole. */
const MAX_WAITING = 8;

/** A tenant, or the platform: each has its own. */
interface Line {
  readonly rate: RateWindow;
  readonly turn: Lock;
  waiting: number;
}

type AskedOne = Asked<{ readonly registration: string }, unknown>;

export function documentEndpoints(sources: AdminSources): readonly Endpoint[] {
  const { clock, log } = sources;
  // One after the other: each is held to what the one before has put in force.
  const turn = new Lock();
  const lines = new Map<string, Line>();

  function documents(): RegistrationDocuments {
    if (sources.documents !== undefined) return sources.documents;
    const error = 'this dispatcher takes no registrations: its configuration is in a bundle';
    throw new AdminProblem(409, error, 'Deploy it again to change it, or run `shr serve` with a folder.');
  }

  /** For a token of tenants, what is another's is not there, and neither are names that nobody has. */
  function refuseForeign({ sight, viewer }: AskedOne, name: string): void {
    if (!sight.sees(name) || !NAME.test(name)) throw unknown(name);
    const owner = ownerOf(sight, name);
    if (viewer.tenants === null || owner?.grant !== undefined) return;
    throw new AdminProblem(
      403,
      `${name} is the platform's own`,
      'Use a token of the platform: its registrations have no limits.',
    );
  }

  function ownerOf(sight: Sight, name: string) {
    const owner = sight.tenantOf(name);
    return sources.tenants?.()?.find((one) => one.name === owner);
  }

  function lineOf({ sight, viewer }: AskedOne, name: string): Line {
    const key = viewer.tenants === null ? '' : (ownerOf(sight, name)?.name ?? '');
    const line = lines.get(key) ?? { rate: new RateWindow(MINUTE, MAX_WRITES_A_MINUTE), turn: new Lock(), waiting: 0 };
    lines.set(key, line);
    return line;
  }

  function spend({ rate }: Line): void {
    const now = clock.now();
    const fitsAt = rate.fitsAt(now);
    if (fitsAt > now) {
      throw new AdminProblem(
        429,
        `more than ${MAX_WRITES_A_MINUTE} registrations were written in a minute`,
        `Try again in ${Math.ceil((fitsAt - now) / SECOND)} s.`,
        { retryAfterMs: fitsAt - now },
      );
    }
    rate.spend(now);
  }

  async function inLine<T>(line: Line, work: () => Promise<T>): Promise<T> {
    if (line.waiting >= MAX_WAITING) {
      const cure = 'Send them one after the other.';
      throw new AdminProblem(429, `${MAX_WAITING} registrations wait to be checked`, cure, { retryAfterMs: SECOND });
    }
    line.waiting += 1;
    try {
      return await line.turn.hold(work);
    } finally {
      line.waiting -= 1;
    }
  }

  async function checked(kept: RegistrationDocuments, name: string, document: string): Promise<readonly Problem[]> {
    const { notes, problems } = await kept.check(name, document);
    if (problems.length === 0) return notes;
    const error = `the registration ${name} has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}`;
    const cure = 'Correct what `problems` names. What was there before is unchanged.';
    throw new AdminProblem(422, error, cure, { problems });
  }

  function expectedOf({ sent }: AskedOne, name: string): ExpectedVersion {
    if (sent.expected !== 'any') return sent.expected;
    const present = documents().entry(name);
    if (present === undefined) throw changed(name);
    return present.hash;
  }

  async function detail(sight: Sight, name: string, notes: readonly Problem[] = []) {
    const entry = sources.documents?.entry(name);
    const text = entry === undefined ? undefined : await sources.documents?.text(name);
    const registration = sight.registrations.find((one) => one.name === name);
    const aside = sight.quarantined.find((one) => one.name === name);
    if (entry === undefined && registration === undefined && aside === undefined) return undefined;
    const origin = sources.originOf?.(name);
    const kept = sources.kept?.().find((one) => one.name === name);
    const doubles = (sources.doubles?.() ?? []).filter((one) => one.name === name);
    const isThere = registration !== undefined || aside !== undefined;
    const isFromApi = origin?.source === 'api';
    const state: RegistrationDetail['state'] =
      entry !== undefined && !isThere
        ? 'refused'
        : entry !== undefined && !isFromApi
          ? 'overridden'
          : aside !== undefined
            ? 'set-aside'
            : kept !== undefined
              ? 'kept'
              : 'in-force';
    const backends = askedOnce(() => sources.backends());
    const organization = registration === undefined ? undefined : sources.organizationOf?.(name);
    const live = await sources.ledger.liveCounts();
    const commit = sources.repositories?.().find((one) => one.name === origin?.source)?.commit?.sha;
    const tenant = ownerOf(sight, name)?.grant?.tenant ?? null;
    const isTheirs = sight.tenants === null || entry?.tenant === tenant;
    const body: RegistrationDetail = {
      name,
      tenant,
      state,
      source: isThere ? (origin?.source ?? 'folder') : 'api',
      file: origin?.file ?? aside?.file ?? kept?.file ?? `${name}.yaml`,
      commit: commit ?? null,
      document:
        entry === undefined
          ? null
          : {
              // What one tenant wrote is not for the next to read that has the name.
              text: isTheirs ? (text ?? '') : '',
              etag: `"${entry.hash}"`,
              putBy: isTheirs ? entry.putBy : '',
              putAt: new Date(entry.putAtMs).toISOString(),
            },
      problems: [
        ...(aside?.problems ?? []),
        ...(kept?.problems ?? []),
        ...doubles.map(({ problem }) => problem),
        ...(state === 'refused' ? [outdated(name)] : []),
      ],
      troubles: (sources.problems?.(name) ?? [])
        .map((one) => toldProblem(sight, name, one, backends))
        .map(({ kind, about, message, sinceMs }) => ({
          ...{ kind, about, message },
          since: sinceMs === null ? null : new Date(sinceMs).toISOString(),
        })),
      notes: [...notes],
      networks: await networksOf(sight, registration),
      liveRunners: live.filter((one) => one.registration === name).reduce((sum, { count }) => sum + count, 0),
      organizationDefaults: organization === undefined ? null : organizationView(organization),
    };
    return { body, ...(entry === undefined ? {} : { tag: entry.hash }) };
  }

  async function networksOf(
    sight: Sight,
    registration: Registration | undefined,
  ): Promise<RegistrationDetail['networks']> {
    return await Promise.all(
      (registration?.backends ?? []).map(async ({ name: backend }) => {
        const isTold = registration !== undefined && sight.seesBackend(registration.name, backend);
        const rooms = isTold ? await sources.freeAddresses?.(registration.name, backend) : undefined;
        if (rooms === undefined || rooms.length === 0) return { backend, state: 'unknown' as const, free: [] };
        const free = rooms.map(({ free: addresses, network }) => ({ network, addresses }));
        return { backend, state: 'known' as const, free };
      }),
    );
  }

  async function put(asked: AskedOne) {
    const name = asked.params.registration;
    refuseForeign(asked, name);
    const kept = documents();
    const line = lineOf(asked, name);
    spend(line);
    const document = await asked.sent.document();
    return await inLine(line, async () => {
      expectedOf(asked, name);
      // Its secrets can be long in coming, and no other tenant waits for them.
      await checked(kept, name, document);
      return await turn.hold(() => keep(asked, kept, document));
    });
  }

  async function keep(asked: AskedOne, kept: RegistrationDocuments, document: string) {
    const name = asked.params.registration;
    const expected = expectedOf(asked, name);
    // Beside what was put in force since.
    const notes = await checked(kept, name, document);
    const isNew = kept.entry(name) === undefined;
    const tenant = ownerOf(asked.sight, name)?.grant?.tenant ?? null;
    const row = { name, document, tenant, putBy: asked.viewer.name, putAtMs: clock.now() };
    if ((await kept.put(row, expected)) === 'other') throw changed(name);
    log.info('admin.registration.put', { registration: name, by: asked.viewer.name });
    await kept.apply();
    const answered = await detail(sightOf(asked.viewer, sources), name, notes);
    if (answered === undefined) throw unknown(name);
    return { ...answered, status: isNew ? 201 : 200, remark: isNew ? 'new' : 'changed' };
  }

  async function remove(asked: AskedOne) {
    const name = asked.params.registration;
    refuseForeign(asked, name);
    const kept = documents();
    return await turn.hold(async () => {
      const done = await kept.remove(name, expectedOf(asked, name));
      if (done === 'other') throw changed(name);
      if (done === 'absent') throw (await isKept(asked, name)) ? notHere(name) : unknown(name);
      log.info('admin.registration.deleted', { registration: name, by: asked.viewer.name });
      await kept.apply();
      return { body: { name, deleted: true as const, elsewhere: await isKept(asked, name) } };
    });
  }

  /** In a file or a repository, in force or set aside, whatever the API was given of that name. */
  async function isKept({ viewer }: AskedOne, name: string): Promise<boolean> {
    const sight = sightOf(viewer, sources);
    const isThere = [...sight.registrations, ...sight.quarantined].some((one) => one.name === name);
    return isThere && sources.originOf?.(name)?.source !== 'api';
  }

  const common = {
    path: '/api/registrations/:registration',
    scope: 'tenants',
    params: registrationPath,
    query: noQuery,
  } as const;
  const target = ({ params: { registration } }: AskedOne) => ({
    subject: `registration ${registration}`,
    registration,
  });
  return [
    endpoint({
      ...common,
      method: 'GET',
      summary: 'One registration: what it says, where it is kept, whether it is in force, and what is wrong with it',
      role: 'viewer',
      answer: registrationDetailSchema,
      async handle({ params: { registration }, sight }) {
        const answered = sight.sees(registration) ? await detail(sight, registration) : undefined;
        if (answered === undefined) throw unknown(registration);
        return answered;
      },
    }),
    endpoint({
      ...common,
      method: 'PUT',
      summary: 'Keep a registration in the ledger, and put it in force',
      role: 'admin',
      answer: registrationDetailSchema,
      statuses: [200, 201],
      document: 'registration',
      action: 'registration.put',
      target,
      handle: put,
    }),
    endpoint({
      ...common,
      method: 'DELETE',
      summary: 'Remove a registration that the API was given: it launches nothing more, and its jobs run to their end',
      role: 'admin',
      answer: deletedSchema,
      action: 'registration.delete',
      target,
      handle: remove,
    }),
  ];
}

function unknown(name: string): AdminProblem {
  const cure = '`shr registrations` lists those that there are; the platform says which names are whose';
  return new AdminProblem(404, `no registration ${name}`, cure);
}

function notHere(name: string): AdminProblem {
  const cure = 'It is kept elsewhere, as `shr registrations show` tells: remove it there.';
  return new AdminProblem(404, `the API was given no registration ${name}`, cure);
}

function changed(name: string): AdminProblem {
  return new AdminProblem(412, `${name} is not what you expect`, 'Read it again, and send its ETag as If-Match.');
}

function outdated(name: string): Problem {
  return {
    ...{ file: `api:${name}`, line: 0, column: 0, path: '' },
    message: 'it was put when its name was of another tenant, and is not in force',
    cure: 'Put it again, or delete it.',
  };
}
