/** Who may use what: each endpoint, by each role, of each scope. An endpoint that is not in the table fails the test. */
import { expect } from 'chai';
import { z } from 'zod';
import { defaultAdminLimits } from '../../dispatcher/http/admin.ts';
import { adminApp } from '../../dispatcher/http/admin-app.ts';
import { AdminDoor } from '../../dispatcher/http/admin-door.ts';
import { SharedLook } from '../../dispatcher/http/shared-look.ts';
import type { Role } from '../../dispatcher/ledger/ledger.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { acmeLane, type Fixture, globexLane, noPauses, TOKEN } from './admin-fixture.ts';
import { as, GRANTED, issue, keptDocuments, openTenants, tokenOf } from './tenants-fixture.ts';

interface Row {
  readonly route: string;
  readonly least: Role | 'nobody needed';
  /** Requests about what is of team-a, with the status of success. */
  readonly own: readonly (readonly [path: string, status: number])[];
  /** The same about what is of team-g: 404 for team-a, whatever its role. */
  readonly others: readonly string[];
  /** It concerns all: a token of tenants is refused, whatever its role. */
  readonly platformOnly?: true;
  /** That goes with the request. */
  readonly document?: string;
  /** Of the answer for team-a: must be in it, and must not. */
  readonly has?: readonly string[];
  readonly hasNot?: readonly string[];
}

const OTHERS = ['globex', 'nobody', 'team-g'];
const TABLE: readonly Row[] = [
  { route: 'GET /healthz', least: 'nobody needed', own: [['/healthz', 200]], others: [] },
  { route: 'GET /readyz', least: 'nobody needed', own: [['/readyz', 200]], others: [], hasNot: OTHERS },
  { route: 'GET /metrics', least: 'viewer', own: [['/metrics', 200]], others: [], has: ['"acme"'], hasNot: ['globex'] },
  { route: 'GET /api/registrations', least: 'viewer', own: [['/api/registrations', 200]], others: [] },
  { route: 'GET /api/backends', least: 'viewer', own: [['/api/backends', 200]], others: [] },
  { route: 'GET /api/lanes', least: 'viewer', own: [['/api/lanes', 200]], others: [], has: ['acme'], hasNot: OTHERS },
  {
    route: 'POST /api/backends/:registration/reset',
    least: 'operator',
    own: [['/api/backends/acme/reset', 200]],
    others: ['/api/backends/globex/reset', '/api/backends/nowhere/reset'],
  },
  {
    route: 'POST /api/backends/:registration/:backend/reset',
    least: 'operator',
    own: [['/api/backends/acme/main/reset', 200]],
    others: ['/api/backends/globex/main/reset'],
  },
  {
    route: 'GET /api/registrations/:registration/observed',
    least: 'viewer',
    own: [['/api/registrations/acme/observed', 200]],
    others: ['/api/registrations/globex/observed', '/api/registrations/nowhere/observed'],
  },
  { route: 'GET /api/jobs', least: 'viewer', own: [['/api/jobs', 200]], others: [], has: ['acme'], hasNot: OTHERS },
  {
    route: 'GET /api/jobs/:host/:id',
    least: 'viewer',
    own: [['/api/jobs/github.com/1', 200]],
    others: ['/api/jobs/github.com/3', '/api/jobs/github.com/4', '/api/jobs/elsewhere.example/3'],
  },
  {
    route: 'GET /api/jobs/:host/:owner/:repository/:id',
    least: 'viewer',
    own: [['/api/jobs/github.com/acme/web/1', 200]],
    others: ['/api/jobs/github.com/globex/web/3', '/api/jobs/github.com/nobody/web/4'],
  },
  {
    route: 'GET /api/runs/:host/:owner/:repository/:id',
    least: 'viewer',
    own: [['/api/runs/github.com/acme/web/101', 200]],
    others: ['/api/runs/github.com/globex/web/103', '/api/runs/github.com/nobody/web/104'],
  },
  {
    route: 'GET /api/runners',
    least: 'viewer',
    own: [['/api/runners', 200]],
    others: [],
    has: ['shr-acme', 'shr-old'],
    hasNot: OTHERS,
  },
  {
    route: 'GET /api/runners/:name',
    least: 'viewer',
    own: [
      ['/api/runners/shr-acme', 200],
      ['/api/runners/shr-old?output=true', 200],
    ],
    others: ['/api/runners/shr-globex', '/api/runners/shr-globex?output=true', '/api/runners/shr-none'],
  },
  {
    route: 'POST /api/runners/:name/forget',
    least: 'operator',
    own: [['/api/runners/shr-acme/forget', 202]],
    others: ['/api/runners/shr-globex/forget', '/api/runners/shr-none/forget'],
  },
  {
    route: 'GET /api/explain',
    least: 'viewer',
    own: [['/api/explain?repository=acme/web&labels=acme-runner', 200]],
    others: [],
    has: ['lane0acme0000001'],
  },
  { route: 'GET /api/openapi.json', least: 'viewer', own: [['/api/openapi.json', 200]], others: [], hasNot: OTHERS },
  {
    route: 'GET /api/registrations/:registration',
    least: 'viewer',
    own: [
      ['/api/registrations/acme', 200],
      ['/api/registrations/acme-aside', 200],
    ],
    others: ['/api/registrations/globex', '/api/registrations/nowhere'],
    hasNot: OTHERS,
  },
  {
    route: 'PUT /api/registrations/:registration',
    least: 'admin',
    document: 'organization: acme',
    own: [['/api/registrations/acme', 200]],
    others: ['/api/registrations/globex', '/api/registrations/nowhere', '/api/registrations/-'],
    hasNot: OTHERS,
  },
  {
    route: 'DELETE /api/registrations/:registration',
    least: 'admin',
    own: [['/api/registrations/acme', 200]],
    others: ['/api/registrations/globex', '/api/registrations/nowhere'],
    hasNot: OTHERS,
  },
  { route: 'GET /api/pauses', least: 'viewer', own: [['/api/pauses', 200]], others: [], hasNot: OTHERS },
  { route: 'POST /api/pause', least: 'operator', own: [['/api/pause', 200]], others: [], platformOnly: true },
  { route: 'POST /api/resume', least: 'operator', own: [['/api/resume', 200]], others: [], platformOnly: true },
  {
    route: 'POST /api/registrations/:registration/pause',
    least: 'operator',
    own: [['/api/registrations/acme/pause', 200]],
    others: ['/api/registrations/globex/pause', '/api/registrations/nowhere/pause'],
  },
  {
    route: 'POST /api/registrations/:registration/resume',
    least: 'operator',
    own: [['/api/registrations/acme-aside/resume', 200]],
    others: ['/api/registrations/globex/resume', '/api/registrations/nowhere/resume'],
  },
  { route: 'GET /api/me', least: 'viewer', own: [['/api/me', 200]], others: [] },
  { route: 'GET /api/tokens', least: 'admin', own: [['/api/tokens', 200]], others: [], hasNot: OTHERS },
  {
    route: 'POST /api/tokens',
    least: 'admin',
    own: [['/api/tokens?name=NEW&role=viewer&tenants=team-a', 201]],
    others: [],
  },
  {
    route: 'POST /api/tokens/:id/revoke',
    least: 'admin',
    own: [['/api/tokens/0000000000000000000000000a/revoke', 200]],
    others: ['/api/tokens/0000000000000000000000000b/revoke', '/api/tokens/0000000000000000000000000c/revoke'],
  },
  { route: 'GET /api/audit', least: 'operator', own: [['/api/audit', 200]], others: [], hasNot: ['team-g'] },
];

const ROLES: readonly Role[] = ['viewer', 'operator', 'admin'];
const SCOPES = { 'team-a': ['team-a'], 'team-g': ['team-g'], platform: null } as const;

describe('access to the admin API', () => {
  let fixture: Fixture;
  const tokens = new Map<string, string>();
  before(async () => {
    fixture = await openTenants({
      webhookProblems: () => [{ kind: 'webhook', about: 'shared-endpoint', message: 'wrong', sinceMs: null }],
      publicAddress: () => ({
        ...{ url: 'https://public.example', state: 'itself', words: '', way: 'direct' },
        ...{ sinceMs: 0, itselfAtMs: 0, calledAtMs: null },
      }),
      tenants: () => GRANTED,
      documents: keptDocuments,
      quarantined: () => [{ name: 'acme-aside', file: 'acme-aside.yaml', problems: [], claims: undefined }],
      admit: (job) => ({ outcome: 'lane', lane: job.owner === 'acme' ? acmeLane : globexLane }),
    });
    const { ledger } = fixture;
    for (const role of ROLES) {
      for (const [scope, tenants] of Object.entries(SCOPES)) {
        tokens.set(`${role} of ${scope}`, await tokenOf(ledger, role, tenants));
      }
    }
    await issue(ledger, { id: '0000000000000000000000000a', name: 'of-a', tenants: ['team-a'] });
    await issue(ledger, { id: '0000000000000000000000000b', name: 'of-g', tenants: ['team-g'] });
    await issue(ledger, { id: '0000000000000000000000000c', name: 'of-platform' });
  });
  after(() => fixture.close());

  let made = 0;
  const asked = async (route: string, path: string, who: string | undefined): Promise<Response> => {
    made += 1;
    const token = who === undefined ? undefined : (tokens.get(who) ?? TOKEN);
    const headers = new Headers(token === undefined ? {} : as(token).headers);
    const document = TABLE.find((row) => row.route === route)?.document;
    if (document !== undefined) headers.set('content-type', 'application/yaml');
    return await fixture.ask(path.replace('NEW', `new-${made}`), {
      headers,
      method: route.split(' ')[0] ?? '',
      ...(document === undefined ? {} : { body: document }),
    });
  };

  it('has every endpoint in the table, and the table nothing else', () => {
    const options = { clock: systemClock, log: { debug() {}, info() {}, warn() {}, error() {} }, random: systemRandom };
    const listener = {
      ...options,
      ledger: fixture.ledger,
      token: undefined,
      registrations: () => [],
      laneReason: async () => undefined,
      jobReason: async () => undefined,
      forgetRunner: async () => undefined,
      backends: () => [],
      resetBackends: async () => undefined,
      pausing: noPauses,
      readiness: async () => ({ ready: true, reasons: [] }),
      metrics: { expose: async () => ({ contentType: 'text/plain', text: '' }) },
    };
    const door = new AdminDoor(options, defaultAdminLimits);
    const readiness = new SharedLook({ clock: systemClock, keptMs: 1 }, listener.readiness);
    const app = adminApp(listener, { limits: defaultAdminLimits, door, readiness });
    const layers = z
      .array(
        z.object({
          name: z.string(),
          route: z.object({ path: z.string(), methods: z.record(z.string(), z.boolean()) }).optional(),
        }),
      )
      .parse(app.router.stack);
    const routes = layers.flatMap(({ route }) =>
      route === undefined ? [] : Object.keys(route.methods).map((method) => `${method.toUpperCase()} ${route.path}`),
    );
    door.close();
    readiness.close();
    expect(
      layers.some(({ name }) => name === 'router'),
      'no routes in a router of their own',
    ).to.equal(false);
    expect(routes.toSorted()).to.deep.equal(TABLE.map(({ route }) => route).toSorted());
  });

  for (const { route, least, own, others, platformOnly } of TABLE) {
    it(`lets ${least === 'nobody needed' ? 'everyone' : `a ${least}`} use ${route}, and no lesser role`, async () => {
      for (const [path, status] of own) {
        const open = least === 'nobody needed';
        expect((await asked(route, path, undefined)).status, `${path} without a token`).to.equal(open ? status : 401);
        for (const role of ROLES) {
          const may = open || ROLES.indexOf(role) >= ROLES.indexOf(least);
          for (const scope of ['team-a', 'platform']) {
            const given = await asked(route, path, `${role} of ${scope}`);
            const within = scope === 'platform' || platformOnly !== true;
            expect(given.status, `${path} as ${role} of ${scope}`).to.equal(may && within ? status : 403);
          }
        }
        expect((await asked(route, path, 'adminToken')).status).to.equal(status);
      }
      for (const path of others) {
        for (const role of ROLES) {
          const may = least === 'nobody needed' || ROLES.indexOf(role) >= ROLES.indexOf(least);
          const given = await asked(route, path, `${role} of team-a`);
          expect(given.status, `${path} as ${role} of team-a`).to.equal(may ? 404 : 403);
        }
      }
    });
  }

  it('says of what is another tenant’s just what it says of what does not exist', async () => {
    const said = async (path: string, method = 'GET') => {
      const text = await (await asked(`${method} x`, path, 'operator of team-a')).text();
      return text.replaceAll(/shr-none|shr-globex|globex|nobody|nowhere|10[34]|\/[34]\b/g, 'X');
    };
    const pairs = [
      ['/api/runners/shr-globex', '/api/runners/shr-none'],
      ['/api/jobs/github.com/3', '/api/jobs/github.com/4'],
      ['/api/jobs/github.com/globex/web/3', '/api/jobs/github.com/nobody/web/4'],
      ['/api/runs/github.com/globex/web/103', '/api/runs/github.com/nobody/web/104'],
    ] as const;
    for (const [foreign, missing] of pairs) expect(await said(foreign), foreign).to.equal(await said(missing));
    for (const [foreign, missing] of [
      ['/api/runners/shr-globex/forget', '/api/runners/shr-none/forget'],
      ['/api/backends/globex/reset', '/api/backends/nowhere/reset'],
    ] as const) {
      expect(await said(foreign, 'POST'), foreign).to.equal(await said(missing, 'POST'));
    }
    expect(fixture.forgotten).to.not.include('shr-globex');
    expect(fixture.resets).to.not.include('globex');
  });

  for (const { route, own, has = [], hasNot = [] } of TABLE.filter(({ has, hasNot }) => has ?? hasNot)) {
    it(`shows a tenant what is its own at ${route}`, async () => {
      for (const [path] of own) {
        const text = await (await asked(route, path, 'admin of team-a')).text();
        for (const word of has) expect(text, path).to.include(word);
        for (const word of hasNot) expect(text, path).to.not.include(word);
      }
    });
  }

  it('shows the registrations, backends and what is absent by tenant', async () => {
    const names = async (who: string) => {
      const answer = async (path: string) => await (await asked('GET x', path, who)).json();
      const named = z.array(z.object({ name: z.string() }));
      const { registrations, absent } = z
        .object({ registrations: named, absent: z.array(z.object({ registration: z.string() })) })
        .parse(await answer('/api/registrations'));
      const { backends } = z
        .object({ backends: z.array(z.object({ registration: z.string() })) })
        .parse(await answer('/api/backends'));
      return [
        registrations.map(({ name }) => name),
        ...[absent, backends].map((all) => all.map((one) => one.registration)),
      ];
    };
    expect(await names('viewer of team-a')).to.deep.equal([['acme'], ['acme-old'], ['acme']]);
    expect(await names('viewer of team-g')).to.deep.equal([['globex'], [], ['globex']]);
    expect(await names('viewer of platform')).to.deep.equal([['acme', 'globex'], ['acme-old'], ['acme', 'globex']]);
  });

  it('shows the public address to the platform alone', async () => {
    const said = async (who: string) => await (await asked('GET x', '/api/registrations', who)).text();
    expect(await said('admin of team-a'))
      .to.include('"publicAddress":null')
      .and.not.include('public.example');
    expect(await said('viewer of platform')).to.include('"url":"https://public.example"');
  });

  it('shows wrong signatures at the shared endpoint to the platform alone', async () => {
    const said = async (who: string) => await (await asked('GET x', '/api/registrations', who)).text();
    expect(await said('admin of team-a'))
      .to.include('"webhookProblems":[]')
      .and.not.include('shared-endpoint');
    expect(await said('viewer of platform')).to.include('"about":"shared-endpoint"');
  });

  it('explains nothing of another tenant’s registrations', async () => {
    const text = await (
      await asked('GET x', '/api/explain?repository=globex/web&labels=globex-runner', 'admin of team-a')
    ).text();
    expect(JSON.parse(text)).to.deep.equal({
      outcome: 'not-ours',
      reason: 'none of your registrations takes this job: see their claims and labels',
    });
  });

  it('lists nothing where a filter names what is another tenant’s', async () => {
    for (const path of ['jobs', 'runners', 'lanes', 'backends', 'registrations']) {
      const text = await (await asked('GET x', `/api/${path}?registration=globex`, 'admin of team-a')).text();
      expect(text, path).to.not.include('globex');
    }
    const byLane = await (await asked('GET x', '/api/jobs?lane=lane0globex00001', 'admin of team-a')).text();
    expect(byLane).to.include('"jobs":[]');
  });
});
