import { expect } from 'chai';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import {
  backendListSchema,
  explanationSchema,
  jobDetailSchema,
  jobListSchema,
  laneListSchema,
  readinessSchema,
  registrationListSchema,
  runnerDetailSchema,
  runnerListSchema,
} from '../../dispatcher/http/admin-shapes.ts';
import { breaker, failure } from '../failures/examples.ts';
import {
  acmeLane,
  admit,
  type Fixture,
  fact,
  globexLane,
  lane,
  MINUTE,
  NOW,
  openFixture,
  registration,
  runner,
} from './admin-fixture.ts';

describe('admin API', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await openFixture({
      admit: (job) =>
        job.labels.includes('acme-runner')
          ? { outcome: 'lane', lane: acmeLane }
          : { outcome: 'not-ours', reason: 'no registration has these labels' },
    });
    await admit(
      fixture.ledger,
      [
        fact(1, 'acme'),
        fact(2, 'acme', { status: 'in_progress', runnerName: 'shr-busy', startedAtMs: NOW - MINUTE }),
        fact(3, 'globex'),
        fact(4, 'acme', { labels: ['acme-runner', 'cpu-64'] }),
      ],
      (job) => (job.labels.includes('cpu-64') ? undefined : job.owner === 'acme' ? acmeLane : globexLane),
    );
    await fixture.ledger.createRunner(runner('shr-starting', acmeLane, { state: 'starting' }), 'launched');
    await fixture.ledger.createRunner(
      runner('shr-busy', acmeLane, { state: 'busy', jobKey: 'github.com/acme/web/2', busyAtMs: NOW - MINUTE }),
      'launched',
    );
    await fixture.ledger.createRunner(
      runner('shr-globex', globexLane, { backend: null, state: 'creating' }),
      'launched',
    );
  });
  afterEach(() => fixture.close());

  const json = async (path: string) => {
    const response = await fixture.ask(path);
    const body = await response.json();
    expect(response.status, JSON.stringify(body)).to.equal(200);
    return Object(body);
  };

  describe('registrations', () => {
    it('shows what is configured, what runs, and how polling fares', async () => {
      const { registrations, more } = await json('/api/registrations');
      expect(more).to.equal(false);
      expect(registrations.map((one: { name: string }) => one.name)).to.deep.equal(['acme', 'globex']);
      expect(registrations[0]).to.deep.include({
        name: 'acme',
        claim: 'organization acme',
        credentials: 'token',
        labels: ['acme-runner'],
        liveRunners: 2,
        poll: {
          intervalSeconds: 60,
          repositories: 12,
          lastAt: '2026-03-04T11:59:30.000Z',
          nextAt: '2026-03-04T12:00:30.000Z',
          waitsUntil: null,
          problems: ['acme/vault: forbidden'],
        },
      });
      expect(registrations[1]).to.deep.include({
        liveRunners: 1,
        poll: { intervalSeconds: 60, repositories: null, lastAt: null, nextAt: null, waitsUntil: null, problems: [] },
      });
      expect(registrations[1].backends[0]).to.deep.include({ name: 'main', liveRunners: 0 });
    });

    it('shows the breakers that close a backend, and none whose time is up', async () => {
      const said = failure({ code: 'NoStock', requestId: 'r-1', atMs: NOW - MINUTE });
      const since = { sinceMs: NOW - 2 * MINUTE, changedAtMs: NOW - MINUTE, failures: 2, failure: said };
      await fixture.ledger.putBreaker(breaker({ ...since, closedUntilMs: NOW + MINUTE }));
      const refused = {
        key: 'acme/main/abc/refused',
        rule: 'refused' as const,
        shape: 'abc',
        subject: 'image runner:2',
      };
      await fixture.ledger.putBreaker(breaker({ ...since, ...refused, closedUntilMs: NOW + MINUTE }));
      await fixture.ledger.putBreaker(
        breaker({ ...since, key: 'globex/main', registration: 'globex', closedUntilMs: NOW - 1 }),
      );
      const { registrations } = await json('/api/registrations');
      const shown = {
        failure: {
          source: 'acme/main',
          kind: 'capacity',
          code: 'NoStock',
          requestId: 'r-1',
          message: 'no stock',
          at: '2026-03-04T11:59:00.000Z',
        },
        failures: 2,
        since: '2026-03-04T11:58:00.000Z',
        closedUntil: '2026-03-04T12:01:00.000Z',
      };
      expect(registrations[0].backends[0].breakers).to.have.deep.members([
        { rule: 'account', about: null, ...shown },
        { rule: 'refused', about: 'image runner:2', ...shown },
      ]);
      expect(registrations[1].backends[0].breakers).to.deep.equal([]);
    });

    it('shows those that are set aside', async () => {
      const problem = {
        file: 'registrations/bad.yaml',
        line: 3,
        column: 7,
        path: 'labels',
        message: 'no',
        cure: 'Do.',
      };
      const bad = { name: 'bad', file: 'registrations/bad.yaml', problems: [problem] };
      const own = await openFixture({
        quarantined: () => [{ ...bad, claims: undefined }],
      });
      try {
        const ask = async (path: string) => Object(await (await own.ask(path)).json());
        const all = await ask('/api/registrations');
        expect(all.quarantined).to.deep.equal([bad]);
        expect((await ask('/api/registrations?registration=bad')).quarantined).to.deep.equal([bad]);
        expect((await ask('/api/registrations?registration=acme')).quarantined).to.deep.equal([]);
      } finally {
        await own.close();
      }
    });

    it('tells no secret and no option of a provider', async () => {
      const text = await (await fixture.ask('/api/registrations')).text();
      expect(text).to.not.match(/secret-of|credential-of|options|\[secret\]/);
    });
  });

  describe('backends', () => {
    it('shows each with its state, what it launches and what is closed on it', async () => {
      const { backends, more } = await json('/api/backends');
      expect(more).to.equal(false);
      expect(backends[0]).to.deep.equal({
        registration: 'acme',
        name: 'main',
        kind: 'docker',
        region: null,
        state: 'open',
        launching: 1,
        notListed: null,
        mostLaunching: 8,
        liveRunners: 2,
        maxRunners: 5,
        lastSuccessAt: '2026-03-04T11:58:00.000Z',
        closures: [
          {
            rule: 'refused',
            about: 'image runner:2, 2 cores',
            state: 'closed',
            failure: {
              source: 'acme/main',
              kind: 'invalid',
              code: 'InaccessibleImage',
              requestId: 'r-1',
              message: 'the image runner:2 is not accessible',
              at: '2026-03-04T11:59:00.000Z',
            },
            failures: 4,
            since: '2026-03-04T11:51:00.000Z',
            closedUntil: '2026-03-04T12:14:00.000Z',
          },
        ],
      });
      expect(backends[1]).to.deep.include({ registration: 'globex', state: 'probing', lastSuccessAt: null });
      expect((await json('/api/backends?registration=globex')).backends).to.have.length(1);
      expect(await json('/api/backends?limit=1')).to.deep.include({ more: true });
    });

    it('are opened by an operator: all of a registration, or one; it is logged', async () => {
      const one = await fixture.ask('/api/backends/acme/main/reset', { method: 'POST' });
      expect(one.status).to.equal(200);
      const { registration, backend, reset } = Object(await one.json());
      expect([registration, backend, reset.length]).to.deep.equal(['acme', 'main', 1]);
      expect((await fixture.ask('/api/backends/globex/reset', { method: 'POST' })).status).to.equal(200);
      expect(fixture.resets).to.deep.equal(['acme/main', 'globex']);
      const lines = fixture.logged
        .map((line) => JSON.parse(line))
        .filter(({ event }) => event === 'admin.backends.reset');
      expect(lines.map(({ registration, backend, closed }) => [registration, backend, closed])).to.deep.equal([
        ['acme', 'main', 1],
        ['globex', null, 1],
      ]);
    });

    it('are not opened by GET, without the token, or under an unknown name', async () => {
      expect((await fixture.ask('/api/backends/acme/main/reset')).status).to.equal(404);
      expect((await fixture.ask('/api/backends/acme/other/reset', { method: 'POST' })).status).to.equal(404);
      const stranger = await fixture.ask('/api/backends/acme/reset', {
        method: 'POST',
        headers: { authorization: 'no' },
      });
      expect(stranger.status).to.equal(401);
      expect(fixture.resets).to.deep.equal([]);
    });
  });

  describe('lanes', () => {
    it('shows demand, supply by state, and why a lane waits, the longest wait first', async () => {
      const { lanes, more } = await json('/api/lanes');
      expect(more).to.equal(false);
      expect(lanes.map((one: { key: string }) => one.key)).to.deep.equal([acmeLane.key, globexLane.key]);
      expect(lanes[0]).to.deep.include({
        registration: 'acme',
        scope: 'orgs/acme',
        demand: 1,
        supply: { creating: 0, starting: 1, online: 0, outdated: 0 },
        waitReason: 'acme has its 10 runners',
      });
      expect(lanes[0].oldestQueuedAt).to.be.a('string');
      expect(lanes[1]).to.deep.include({ waitReason: null });
    });

    it('shows the size of each standby pool, and why it is that, on the first page', async () => {
      const { pools } = await json('/api/lanes?registration=acme');
      expect(pools).to.deep.equal([
        {
          ...{ registration: 'acme', mode: 'registered', labels: ['acme-runner'], lane: acmeLane.key },
          ...{ size: 3, waiting: 2, why: 'at most 3 jobs of acme started' },
          notFilled: 'the registration is at its cap of 2 runners',
        },
      ]);
      expect((await json('/api/lanes?waiting=true')).pools).to.deep.equal([]);
      const { next, pools: all } = await json('/api/lanes?limit=1');
      expect(all.length).to.be.greaterThan(1);
      expect((await json(`/api/lanes?limit=1&cursor=${encodeURIComponent(next)}`)).pools).to.deep.equal([]);
    });

    it('can be asked for one registration, for those that wait, and for few', async () => {
      expect((await json('/api/lanes?registration=globex')).lanes).to.have.length(1);
      await fixture.ledger.recordFacts([
        fact(3, 'globex', { status: 'completed', conclusion: 'cancelled', observedAtMs: NOW }),
      ]);
      expect((await json('/api/lanes?waiting=true')).lanes.map((one: { key: string }) => one.key)).to.deep.equal([
        acmeLane.key,
      ]);
      const few = await json('/api/lanes?limit=1');
      expect([few.lanes.length, few.more]).to.deep.equal([1, true]);
    });

    it('lists lanes beyond what one query of the ledger takes', async () => {
      const many = Array.from({ length: 620 }, (_, index) => index + 1000);
      await admit(
        fixture.ledger,
        many.map((id) => fact(id, 'acme', { labels: ['acme-runner', `sid-${id}`] })),
        (job) => lane(`lane${String(job.jobId).padStart(12, '0')}`, 'acme'),
      );
      const { lanes, more } = await json('/api/lanes?limit=500');
      expect([lanes.length, more]).to.deep.equal([500, true]);
    });
  });

  describe('jobs', () => {
    it('lists the newest first, with the reason and cure of a refusal', async () => {
      const { jobs } = await json('/api/jobs');
      expect(jobs).to.have.length(4);
      const refused = jobs.find((job: { id: number }) => job.id === 4);
      expect(refused).to.include({
        repository: 'acme/web',
        status: 'queued',
        admission: 'refused',
        registration: 'acme',
        reasonCode: 'cpu-above-limit',
        cure: 'ask for cpu-8 or less',
      });
    });

    it('filters by registration, lane, status and admission', async () => {
      const ids = async (query: string) =>
        (await json(`/api/jobs?${query}`)).jobs.map((job: { id: number }) => job.id).sort();
      expect(await ids('registration=globex')).to.deep.equal([3]);
      expect(await ids(`lane=${acmeLane.key}`)).to.deep.equal([1, 2]);
      expect(await ids('status=in_progress')).to.deep.equal([2]);
      expect(await ids('admission=refused')).to.deep.equal([4]);
      expect(await ids('registration=acme&status=queued&admission=lane')).to.deep.equal([1]);
    });

    it('says when the limit cut the list', async () => {
      const three = await json('/api/jobs?limit=3');
      expect([three.jobs.length, three.more]).to.deep.equal([3, true]);
      const four = await json('/api/jobs?limit=4');
      expect([four.jobs.length, four.more]).to.deep.equal([4, false]);
    });

    it('shows one, with what its lane waits for', async () => {
      const { job, waitReason } = await json('/api/jobs/github.com/1');
      expect(job).to.include({ key: 'github.com/acme/web/1', name: 'job 1', status: 'queued' });
      expect(waitReason).to.equal('acme has its 10 runners');
      expect((await json('/api/jobs/GitHub.com/2')).waitReason).to.equal(null);
    });

    it('answers 404 for an unknown job, and says what to do', async () => {
      const response = await fixture.ask('/api/jobs/github.com/99');
      expect([response.status, await response.json()]).to.deep.equal([
        404,
        {
          type: 'about:blank',
          title: 'Not Found',
          status: 404,
          detail:
            'no job github.com/99: it was never seen, or its history was pruned; `shr jobs` lists those that are known',
          error: 'no job github.com/99',
          cure: 'it was never seen, or its history was pruned; `shr jobs` lists those that are known',
        },
      ]);
    });
  });

  describe('runners', () => {
    it('leaves out and names the runners whose rows cannot be read', async () => {
      const { runners } = fixture.ledger;
      const bad = { key: 'shr-bad', registration: 'acme', fault: 'column labels: Invalid input' };
      fixture.ledger.runners = async (filter, unreadable) => {
        if (unreadable !== 'reject') unreadable(bad);
        return await runners(filter, unreadable);
      };
      const listed = runnerListSchema.parse(await json('/api/runners'));
      expect(listed.runners).to.have.length(3);
      expect(listed).to.deep.include({ unreadable: [bad], more: false });
      expect((await json('/api/runners?limit=3')).more, 'it fills a place of the list').to.equal(true);
    });

    it('lists them, and filters by state, registration and lane', async () => {
      const names = async (query: string) =>
        (await json(`/api/runners?${query}`)).runners.map((one: { name: string }) => one.name).sort();
      expect(await names('')).to.deep.equal(['shr-busy', 'shr-globex', 'shr-starting']);
      expect(await names('state=busy')).to.deep.equal(['shr-busy']);
      expect(await names('state=creating,starting')).to.deep.equal(['shr-globex', 'shr-starting']);
      expect(await names('registration=acme')).to.deep.equal(['shr-busy', 'shr-starting']);
      expect(await names(`lane=${globexLane.key}`)).to.deep.equal(['shr-globex']);
      const one = await json('/api/runners?limit=1');
      expect([one.runners.length, one.more]).to.deep.equal([1, true]);
    });

    it('shows one with its timeline, and its output only where asked', async () => {
      await fixture.ledger.keepOutput('shr-busy', 'Listening for Jobs\n', NOW);
      const shown = await json('/api/runners/shr-busy');
      expect(shown.runner).to.include({
        name: 'shr-busy',
        state: 'busy',
        job: 'github.com/acme/web/2',
        backend: 'main',
      });
      expect(shown.timeline).to.have.length(1);
      expect(shown.timeline[0]).to.include({ reason: 'launched' });
      expect(shown).to.not.have.property('output');
      expect((await json('/api/runners/shr-busy?output=true')).output).to.equal('Listening for Jobs\n');
      expect((await json('/api/runners/shr-starting?output=true')).output).to.equal(null);
    });

    it('gives one up when an operator says so, and logs it', async () => {
      const response = await fixture.ask('/api/runners/shr-busy/forget', { method: 'POST' });
      expect(response.status).to.equal(202);
      const { runner: after, message } = Object(await response.json());
      expect(after).to.include({ name: 'shr-busy', state: 'draining', forced: true });
      expect(message).to.match(/force-draining/);
      expect(fixture.forgotten).to.deep.equal(['shr-busy']);
      expect(fixture.logged.map((line) => JSON.parse(line).event)).to.include('admin.runner.forgotten');
    });

    it('does not give a runner up by GET, nor an unknown one', async () => {
      expect((await fixture.ask('/api/runners/shr-busy/forget')).status).to.equal(404);
      expect((await fixture.ask('/api/runners/shr-nobody/forget', { method: 'POST' })).status).to.equal(404);
      expect(fixture.forgotten).to.deep.equal([]);
    });
  });

  it('answers in the published shapes, and with no field beyond them', async () => {
    await fixture.ledger.putBreaker(breaker({ closedUntilMs: NOW + MINUTE }));
    for (const [path, schema] of [
      ['/readyz', readinessSchema],
      ['/api/registrations', registrationListSchema],
      ['/api/backends', backendListSchema],
      ['/api/lanes', laneListSchema],
      ['/api/jobs', jobListSchema],
      ['/api/jobs/github.com/4', jobDetailSchema],
      ['/api/runners', runnerListSchema],
      ['/api/runners/shr-busy?output=true', runnerDetailSchema],
      ['/api/explain?repository=acme/web&labels=acme-runner', explanationSchema],
      ['/api/explain?repository=acme/web&labels=other', explanationSchema],
    ] as const) {
      const answer = await json(path);
      expect(schema.parse(answer), path).to.deep.equal(answer);
    }
  });

  describe('explain', () => {
    it('answers as admission would', async () => {
      const yes = await json('/api/explain?repository=acme/web&labels=acme-runner,cpu-4');
      expect(yes).to.include({ outcome: 'lane', registration: 'acme', lane: acmeLane.key, scope: 'orgs/acme' });
      const no = await json('/api/explain?repository=acme/web&labels=ubuntu-latest');
      expect(no).to.deep.equal({ outcome: 'not-ours', reason: 'no registration has these labels' });
    });

    // J2
    it('takes a job without labels', async () => {
      expect((await json('/api/explain?repository=acme/web&labels=')).outcome).to.equal('not-ours');
    });

    it('answers by the workflow and the branch where a policy has them', async () => {
      const open = registration('acme');
      const narrow = { ...open, policy: { ...open.policy, workflows: ['CI'], branches: ['main'] } };
      const narrowed = await openFixture({ registrations: () => [narrow], admit: createAdmit([narrow]) });
      const outcome = async (more: string) => {
        const path = `/api/explain?repository=acme/web&labels=acme-runner&visibility=private${more}`;
        return await (await narrowed.ask(path)).text();
      };
      expect(await outcome('&workflow=CI&branch=main')).to.include('"outcome":"lane"');
      expect(await outcome('&workflow=CI&branch=other')).to.include('"outcome":"refused"');
      expect(await outcome('')).to.include('"outcome":"refused"');
      await narrowed.close();
    });

    it('answers by the event, the actor and the fork, and names the field that decided', async () => {
      const open = registration('acme');
      const narrow = { ...open, policy: { ...open.policy, events: ['push'], actors: ['octocat'] } };
      const narrowed = await openFixture({ registrations: () => [narrow], admit: createAdmit([narrow]) });
      const ask = async (more: string) => {
        const path = `/api/explain?repository=acme/web&labels=acme-runner&visibility=private${more}`;
        return explanationSchema.parse(await (await narrowed.ask(path)).json());
      };
      expect(await ask('&event=push&actor=octocat')).to.include({ outcome: 'lane', observes: false, granted: null });
      expect(await ask('&event=push&actor=mallory')).to.include({ outcome: 'refused', field: 'policy.actors' });
      expect(await ask('&event=push&actor=octocat&fork=true')).to.include({
        ...{ outcome: 'refused', code: 'fork', field: 'policy.forks', place: null },
      });
      await narrowed.close();
    });

    it('takes labels with commas, one by one', async () => {
      const open = registration('acme', { labels: ['serverless-hosted-runner'] });
      const other = await openFixture({ registrations: () => [open], admit: createAdmit([open]) });
      const one = await (
        await other.ask('/api/explain?repository=acme/web&visibility=private&labels=&label=shr=7,cpu=64')
      ).json();
      expect(one).to.include({ outcome: 'refused', field: 'policy.maxCpu' });
      const two = await other.ask('/api/explain?repository=acme/web&visibility=private&labels=&label=a,b&label=c');
      expect(await two.json()).to.include({ outcome: 'not-ours' });
      await other.close();
    });

    it('wants a repository and labels', async () => {
      for (const query of ['', 'repository=acme&labels=a', 'repository=acme/web', 'repository=acme&labels=']) {
        expect((await fixture.ask(`/api/explain?${query}`)).status, query).to.equal(400);
      }
    });
  });

  for (const path of [
    '/api/jobs?limit=0',
    '/api/jobs?limit=501',
    '/api/jobs?limit=-1',
    '/api/jobs?limit=1e2',
    '/api/jobs?status=asleep',
    '/api/jobs?registration=A%27%20OR%201',
    '/api/jobs?registration=acme&registration=globex',
    '/api/jobs?registration[]=acme',
    '/api/jobs?unknown=1',
    '/api/jobs?__proto__=1',
    '/api/jobs/github.com/abc',
    '/api/jobs/github.com/1?x=1',
    '/api/runners?state=busy,asleep',
    '/api/runners/UPPER',
    '/api/runners/a%2F..%2Fb',
    '/api/runners/shr-busy?output=yes',
    '/api/lanes?waiting=1',
  ]) {
    it(`refuses ${path} and says what is wrong`, async () => {
      const response = await fixture.ask(path);
      const body = Object(await response.json());
      expect([response.status, Object.keys(body)], JSON.stringify(body)).to.deep.equal([
        400,
        ['type', 'title', 'status', 'detail', 'error', 'cure'],
      ]);
      expect(response.headers.get('content-type')).to.match(/^application\/problem\+json/);
    });
  }
});
