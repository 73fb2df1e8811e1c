import { inspect } from 'node:util';
import { expect } from 'chai';
import { Secret } from '../../dispatcher/model/registration.ts';
import { grantOf } from '../registration-fixture.ts';
import { acme, clientOf, failureOf, runnerReply, TOKEN } from './github-fixture.ts';
import { type Asked, type Script, type ScriptedGithub, scriptedGithub } from './scripted-github.ts';
import { VirtualClock } from './virtual-clock.ts';

describe('the GitHub client', () => {
  let server: ScriptedGithub;
  let script: Script;

  beforeEach(async () => {
    server = await scriptedGithub((asked) => script(asked));
  });
  afterEach(() => server.close());

  const jit = (id = 7) => ({ status: 201, body: { runner: runnerReply(id, 'shr-1'), encoded_jit_config: 'eyJqaXQ' } });
  const request = { scope: acme, name: 'shr-1', runnerGroup: 'Default', labels: ['acme-runner', 'cpu-4'] };

  describe('creating a runner', () => {
    it('registers with exactly the labels of the job, in the default group without asking for its number', async () => {
      script = () => jit();
      const { github } = clientOf(server.apiUrl);
      expect(await github.createJitRunner(request)).to.deep.equal({ runnerId: 7, encodedJitConfig: 'eyJqaXQ' });
      expect(server.asked.map((one) => `${one.method} ${one.path}`)).to.deep.equal([
        'POST /orgs/acme/actions/runners/generate-jitconfig',
      ]);
      expect(JSON.parse(server.asked[0]?.body ?? '')).to.deep.equal({
        name: 'shr-1',
        runner_group_id: 1,
        labels: ['acme-runner', 'cpu-4'],
        work_folder: '_work',
      });
      expect(server.asked[0]?.headers.authorization).to.equal(`token ${TOKEN}`);
    });

    it('knows the paths of enterprises and repositories, whose only group is number 1', async () => {
      script = () => jit();
      const { github } = clientOf(`${server.apiUrl}/api/v3`, { claim: { kind: 'user', user: 'ada' } });
      const repository = { kind: 'repository', owner: 'ada', repository: 'web' } as const;
      await github.createJitRunner({ ...request, scope: repository, runnerGroup: 'special' });
      await github.createJitRunner({ ...request, scope: { kind: 'enterprise', enterprise: 'big' } });
      expect(server.asked.map((one) => one.path)).to.deep.equal([
        '/api/v3/repos/ada/web/actions/runners/generate-jitconfig',
        '/api/v3/enterprises/big/actions/runners/generate-jitconfig',
      ]);
    });

    it('looks a runner group up by name, once for many runners', async () => {
      script = (asked) =>
        asked.method === 'GET'
          ? { body: { total_count: 1, runner_groups: [{ id: 42, name: 'Builders', inherited: false }] } }
          : jit();
      const { github } = clientOf(server.apiUrl);
      await Promise.all([1, 2, 3].map(() => github.createJitRunner({ ...request, runnerGroup: 'Builders' })));
      expect(server.asked.filter((one) => one.method === 'GET').map((one) => one.path)).to.deep.equal([
        '/orgs/acme/actions/runner-groups',
      ]);
      const groups = server.asked
        .filter((one) => one.method === 'POST')
        .map((one) => JSON.parse(one.body).runner_group_id);
      expect(groups).to.deep.equal([42, 42, 42]);
    });

    it('names an unknown runner group and the cure, without creating anything', async () => {
      script = () => ({ body: { total_count: 0, runner_groups: [] } });
      const { github } = clientOf(server.apiUrl);
      const failure = await failureOf(github.createJitRunner({ ...request, runnerGroup: 'Typo' }), 'not-found');
      expect(failure.message).to.include("'Typo'").and.include('create it').and.include('runnerGroup');
      expect(server.asked.some((one) => one.method === 'POST')).to.equal(false);
    });

    describe('in a runner group', () => {
      let groups: { readonly id: number; readonly name: string; readonly inherited?: boolean }[];
      let reads: string[];

      beforeEach(() => {
        reads = [];
        script = (asked) => {
          if (asked.method !== 'GET') return jit();
          reads.push(asked.path);
          return { body: { total_count: groups.length, runner_groups: groups } };
        };
      });
      const numbers = () =>
        server.asked.filter((one) => one.method === 'POST').map((one) => JSON.parse(one.body).runner_group_id);

      it('knows the groups for ten minutes', async () => {
        groups = [{ id: 42, name: 'Builders' }];
        const { github, clock } = clientOf(server.apiUrl);
        await github.createJitRunner({ ...request, runnerGroup: 'Builders' });
        await clock.advance(599_000);
        await github.createJitRunner({ ...request, runnerGroup: 'Builders' });
        expect(reads).to.have.length(1);
        groups = [{ id: 43, name: 'Builders' }];
        await clock.advance(1_000);
        await github.createJitRunner({ ...request, runnerGroup: 'Builders' });
        expect(numbers()).to.deep.equal([42, 42, 43]);
      });

      it('looks again for one that it does not know, every half minute at most', async () => {
        groups = [];
        const { github, clock } = clientOf(server.apiUrl);
        const create = () => github.createJitRunner({ ...request, runnerGroup: 'New' });
        await failureOf(create(), 'not-found');
        groups = [{ id: 44, name: 'New' }];
        await clock.advance(29_000);
        await failureOf(create(), 'not-found');
        expect(reads).to.have.length(1);
        await clock.advance(1_000);
        await create();
        expect(numbers()).to.deep.equal([44]);
      });

      it('takes the very name before one in another case, and that before none', async () => {
        groups = [
          { id: 51, name: 'BUILDERS' },
          { id: 52, name: 'Builders' },
        ];
        const { github } = clientOf(server.apiUrl);
        for (const runnerGroup of ['Builders', 'builders', 'DEFAULT']) {
          await github.createJitRunner({ ...request, runnerGroup });
        }
        expect(numbers()).to.deep.equal([52, 51, 1]);
      });

      it('says of a group of the enterprise that runners of the organization cannot join it', async () => {
        groups = [{ id: 61, name: 'Shared', inherited: true }];
        const { github } = clientOf(server.apiUrl);
        const failure = await failureOf(github.createJitRunner({ ...request, runnerGroup: 'Shared' }), 'not-found');
        expect(failure.message).to.include("'Shared' belongs to the enterprise");
        expect(numbers()).to.deep.equal([]);
      });

      it('asks the enterprise for the groups of its own runners', async () => {
        groups = [{ id: 71, name: 'Shared' }];
        const scope = { kind: 'enterprise', enterprise: 'big' } as const;
        await clientOf(server.apiUrl).github.createJitRunner({ ...request, scope, runnerGroup: 'Shared' });
        expect(reads).to.deep.equal(['/enterprises/big/actions/runner-groups']);
        expect(numbers()).to.deep.equal([71]);
      });

      it('reads a thousand groups at most, as many as GitHub allows', async () => {
        groups = [];
        script = (asked) => {
          reads.push(asked.path);
          const page = Number(asked.query.get('page'));
          const runner_groups = Array.from({ length: 100 }, (_, index) => ({
            id: page * 100 + index,
            name: `group ${page} ${index}`,
          }));
          return { body: { total_count: 5_000, runner_groups } };
        };
        const { github } = clientOf(server.apiUrl);
        await failureOf(github.createJitRunner({ ...request, runnerGroup: 'None' }), 'not-found');
        expect(reads).to.have.length(10);
      });

      it('asks again at once when the groups could not be read', async () => {
        groups = [{ id: 42, name: 'Builders' }];
        const answers = script;
        script = () => ({ status: 403, body: { message: 'no' } });
        const { github } = clientOf(server.apiUrl);
        const create = () => github.createJitRunner({ ...request, runnerGroup: 'Builders' });
        await failureOf(create(), 'forbidden');
        script = answers;
        await create();
        expect(numbers()).to.deep.equal([42]);
      });
    });

    it('asks for the groups again when GitHub does not take the number any more', async () => {
      let id = 42;
      script = (asked) => {
        if (asked.method === 'GET') return { body: { total_count: 1, runner_groups: [{ id, name: 'Builders' }] } };
        return JSON.parse(asked.body).runner_group_id === 43 ? jit() : { status: 404, body: { message: 'Not Found' } };
      };
      const { github } = clientOf(server.apiUrl);
      await failureOf(github.createJitRunner({ ...request, runnerGroup: 'Builders' }), 'not-found');
      id = 43;
      expect((await github.createJitRunner({ ...request, runnerGroup: 'Builders' })).runnerId).to.equal(7);
    });

    it('tells a name that exists as a conflict, with the id of the request', async () => {
      script = () => ({
        status: 409,
        body: { message: 'Already exists - A runner with the name *** already exists.' },
      });
      const failure = await failureOf(clientOf(server.apiUrl).github.createJitRunner(request), 'conflict');
      expect(failure.status).to.equal(409);
      expect(failure.requestId).to.equal('REQ:1');
      expect(failure.operation).to.equal('POST /orgs/{org}/actions/runners/generate-jitconfig');
    });

    for (const [what, answer] of [
      ['a 502', { status: 502, body: 'bad gateway' }],
      ['a cut connection', 'reset'],
      ['half an answer', { status: 201, body: { runner: {} } }],
      ['a page of some proxy', { status: 200, body: '<html>', headers: { 'content-type': 'text/html' } }],
    ] as const) {
      it(`never repeats a creation silently after ${what}: the runner may exist`, async () => {
        script = () => answer;
        const { github, clock } = clientOf(server.apiUrl);
        await failureOf(clock.during(github.createJitRunner(request)), 'transient');
        expect(server.asked).to.have.length(1);
      });
    }

    it('gives up after 20 s without an answer', async () => {
      script = () => 'hang';
      const { github, clock } = clientOf(server.apiUrl);
      const failing = failureOf(github.createJitRunner(request), 'transient');
      await server.heard(1);
      await clock.advance(20_000);
      expect((await failing).message).to.include('20 s');
      expect(clock.timers).to.equal(0);
    });

    it('refuses by itself what GitHub would refuse, and nothing that it takes', async () => {
      script = () => jit();
      const { github } = clientOf(server.apiUrl);
      const labels = (count: number) => Array.from({ length: count }, (_, index) => `label-${index}`);
      for (const odd of [{ labels: [] }, { labels: labels(101) }, { name: '' }, { name: 'x'.repeat(65) }]) {
        await failureOf(github.createJitRunner({ ...request, ...odd }), 'invalid');
      }
      expect(server.asked).to.have.length(0);
      await github.createJitRunner({ ...request, labels: labels(100), name: 'x'.repeat(64) });
      await github.createJitRunner({ ...request, labels: labels(1), name: 'x' });
      expect(server.asked).to.have.length(2);
    });
  });

  describe('deleting a runner', () => {
    for (const [status, message, outcome] of [
      [204, undefined, 'deleted'],
      [404, 'Not Found', 'absent'],
      [422, 'Bad request - Runner "shr-1" is still running a job"', 'busy'],
      [422, 'Runner "shr-1" is currently running a job and cannot be deleted.', 'busy'],
    ] as const) {
      it(`reads ${status} ${message ?? ''} as ${outcome}`, async () => {
        script = () => ({ status, ...(message === undefined ? {} : { body: { message } }) });
        expect(await clientOf(server.apiUrl).github.deleteRunner(acme, 7)).to.equal(outcome);
        expect(`${server.asked[0]?.method} ${server.asked[0]?.path}`).to.equal('DELETE /orgs/acme/actions/runners/7');
      });
    }

    it('does not take another 422 for a busy runner', async () => {
      script = () => ({ status: 422, body: { message: 'Validation Failed' } });
      await failureOf(clientOf(server.apiUrl).github.deleteRunner(acme, 7), 'invalid');
    });
  });

  describe('reading runners', () => {
    const pages = (total: number) => (asked: Asked) => {
      const page = Number(asked.query.get('page'));
      const first = (page - 1) * 100;
      const runners = Array.from({ length: Math.max(0, Math.min(100, total - first)) }, (_, index) =>
        runnerReply(first + index + 1, `shr-${first + index + 1}`),
      );
      return { body: { total_count: total, runners } };
    };

    it('lists all pages', async () => {
      script = pages(230);
      const runners = await clientOf(server.apiUrl).github.listRunners(acme, 'sweep');
      expect(runners.map((runner) => runner.id)).to.deep.equal(Array.from({ length: 230 }, (_, index) => index + 1));
      expect(runners[0]).to.deep.equal({
        id: 1,
        name: 'shr-1',
        status: 'online',
        busy: false,
        labels: ['acme-runner'],
      });
    });

    it('fails rather than answering half a list', async () => {
      script = (asked) =>
        asked.query.get('page') === '2' ? { status: 403, body: { message: 'no' } } : pages(230)(asked);
      await failureOf(clientOf(server.apiUrl).github.listRunners(acme, 'sweep'), 'forbidden');
    });

    // T10
    it('keeps labels up to 512 characters and 200 of them, which an adopted runner needs, and none beyond', async () => {
      const named = (count: number, characters: number) =>
        Array.from({ length: count }, (_, index) => ({ name: `${index}-`.padEnd(characters, 'x') }));
      script = () => ({
        body: {
          total_count: 3,
          runners: [
            runnerReply(1, 'shr-1', { labels: named(200, 512) }),
            runnerReply(2, 'shr-2', { labels: named(1, 513) }),
            runnerReply(3, 'shr-3', { labels: named(201, 8) }),
          ],
        },
      });
      const listed = await clientOf(server.apiUrl).github.listRunners(acme, 'sweep');
      expect(listed.map(({ labels }) => labels.length)).to.deep.equal([200, 0, 0]);
      expect(listed[0]?.labels).to.deep.equal(named(200, 512).map(({ name }) => name));
    });

    // 11c
    describe('among which one of a stranger has odd data', () => {
      const odd: readonly (readonly [string, unknown])[] = [
        ['without labels', { ...runnerReply(2, 'stranger'), labels: null }],
        ['with a label without a name', runnerReply(2, 'stranger', { labels: [{ id: 1 }] })],
        ['without an id', { ...runnerReply(2, 'stranger'), id: undefined }],
        ['with an id that is none', runnerReply(0, 'stranger', { id: 'x' })],
        ['without a state', { ...runnerReply(2, 'stranger'), status: null, busy: null }],
        ['without a name', { ...runnerReply(2, 'stranger'), name: null, busy: null }],
        ['null', null],
        ['a number', 7],
      ];
      for (const [what, entry] of odd) {
        it(`lists the others (one ${what})`, async () => {
          const runners = [runnerReply(1, 'shr-1'), entry, runnerReply(3, 'shr-3')];
          script = () => ({ body: { total_count: 3, runners }, headers: { etag: '"v1"' } });
          const { github } = clientOf(server.apiUrl);
          const listed = await github.listRunners(acme, 'sweep');
          expect(listed.filter((one) => one.name.startsWith('shr-')).map((one) => one.id)).to.deep.equal([1, 3]);
          expect(listed).to.have.length(3);
          script = () => ({ status: 304, headers: { etag: '"v1"' } });
          expect(await github.listRunners(acme, 'sweep')).to.deep.equal(listed);
        });
      }

      it('never reads an entry that may be ours as absence', async () => {
        const ours = { ...runnerReply(2, 'shr-2'), busy: null };
        script = () => ({ body: { total_count: 1, runners: [ours] } });
        const { github, clock } = clientOf(server.apiUrl);
        const [listed] = await github.listRunners(acme, 'sweep');
        expect(listed).to.include({ id: 2, name: 'shr-2' });
        expect(listed?.unreadable).to.be.a('string');
        await failureOf(clock.during(github.findRunner(acme, 'SHR-2', 'drain')), 'transient');
        expect(await github.findRunner(acme, 'shr-9', 'drain')).to.equal(undefined);
        script = () => ({ body: { total_count: 1, runners: [{ ...ours, name: null }] } });
        await failureOf(clock.during(github.findRunner(acme, 'shr-9', 'drain')), 'transient');
      });

      it('keeps a runner whose labels alone are odd', async () => {
        script = () => ({ body: { ...runnerReply(7, 'shr-7'), labels: null } });
        const { github } = clientOf(server.apiUrl);
        expect(await github.getRunner(acme, 7, 'verify')).to.deep.include({ id: 7, busy: false, labels: [] });
      });

      it('finds a runner group beside one that cannot be read', async () => {
        const groups = [null, { id: 'x', name: 'Odd' }, { id: 42, name: 'Builders', inherited: null }];
        script = (asked) => (asked.method === 'GET' ? { body: { total_count: 3, runner_groups: groups } } : jit());
        await clientOf(server.apiUrl).github.createJitRunner({ ...request, runnerGroup: 'Builders' });
        expect(JSON.parse(server.asked.at(-1)?.body ?? '').runner_group_id).to.equal(42);
      });
    });

    it('finds a runner by name on a server that ignores the name', async () => {
      script = pages(230);
      const found = await clientOf(server.apiUrl).github.findRunner(acme, 'shr-150', 'verify');
      expect(found?.id).to.equal(150);
      expect(server.asked.map((one) => one.query.get('name'))).to.deep.equal(['shr-150', 'shr-150']);
    });

    it('does not take another name for the one it asked for', async () => {
      script = () => ({ body: { total_count: 1, runners: [runnerReply(1, 'shr-11')] } });
      expect(await clientOf(server.apiUrl).github.findRunner(acme, 'shr-1', 'verify')).to.equal(undefined);
    });

    it('answers nothing for a runner that GitHub does not know', async () => {
      script = () => ({ status: 404, body: { message: 'Not Found' } });
      expect(await clientOf(server.apiUrl).github.getRunner(acme, 7, 'verify')).to.equal(undefined);
    });

    it('asks with the ETag of the last answer, and keeps the answer when nothing has changed', async () => {
      script = (asked) =>
        asked.headers['if-none-match'] === '"v1"'
          ? { status: 304, headers: { etag: '"v1"' } }
          : { ...pages(2)(asked), headers: { etag: '"v1"' } };
      const { github } = clientOf(server.apiUrl);
      const first = await github.listRunners(acme, 'sweep');
      expect(await github.listRunners(acme, 'sweep')).to.deep.equal(first);
      expect(server.asked.map((one) => one.headers['if-none-match'])).to.deep.equal([undefined, '"v1"']);
    });

    it('keeps a bounded number of what was listed, and forgets what was not asked for the longest time', async () => {
      const lists = 130;
      script = (asked) =>
        asked.headers['if-none-match'] === undefined
          ? { ...pages(100)(asked), headers: { etag: '"v1"' } }
          : { status: 304, headers: { etag: '"v1"' } };
      const { github, clock } = clientOf(server.apiUrl);
      const list = (index: number) =>
        clock.during(github.listRunners({ kind: 'organization', organization: `acme-${index}` }, 'launch'));
      for (let index = 0; index < lists; index += 1) await list(index);
      const before = server.asked.length;
      // From the newest to the oldest: so that asking does not push out what is asked for next.
      for (let index = lists - 1; index >= 0; index -= 1) await list(index);
      const known = server.asked.slice(before).map((one) => one.headers['if-none-match'] !== undefined);
      expect(known.indexOf(false), 'lists of 100 runners').to.be.within(90, 100);
      expect(known.slice(known.indexOf(false))).to.not.include(true);
    });
  });

  it('does not look at each of tens of thousands of entries of a page', async () => {
    const runners = Array.from({ length: 50_000 }, (_, index) => ({ id: index + 1, name: `r-${index}` }));
    script = () => ({ body: { total_count: runners.length, runners } });
    const { github, clock } = clientOf(server.apiUrl);
    const { message } = await failureOf(clock.during(github.listRunners(acme, 'sweep')), 'invalid');
    expect(message).to.include('more than 2000 entries');
    expect(server.asked).to.have.length(1);
  });

  it('keeps few of the lists of a server that puts megabytes into one entry', async () => {
    const headers = { etag: '"v1"' };
    const html_url = `https://x/${'x'.repeat(1024 * 1024)}`;
    const jobs = [{ id: 1, run_id: 7, labels: ['own'], status: 'queued', html_url }];
    script = (asked) =>
      asked.headers['if-none-match'] === undefined
        ? { body: { total_count: 1, jobs }, headers }
        : { status: 304, headers };
    const { github, clock } = clientOf(server.apiUrl);
    const web = { owner: 'acme', repository: 'web', repositoryId: 1, visibility: 'private' } as const;
    const list = (runId: number) => clock.during(github.listJobs(web, runId, new AbortController().signal));
    for (let runId = 1; runId <= 20; runId += 1) await list(runId);
    const before = server.asked.length;
    for (let runId = 20; runId >= 1; runId -= 1) await list(runId);
    const known = server.asked.slice(before).filter((one) => one.headers['if-none-match'] !== undefined);
    expect(known, 'ten megabytes').to.have.length.within(8, 10);
  });

  it('reads one runner anew each time: only lists, which are long, are kept', async () => {
    script = () => ({ body: runnerReply(7, 'shr-7'), headers: { etag: '"v1"' } });
    const { github } = clientOf(server.apiUrl);
    await github.getRunner(acme, 7, 'verify');
    await github.getRunner(acme, 7, 'verify');
    expect(server.asked.map((one) => one.headers['if-none-match'])).to.deep.equal([undefined, undefined]);
  });

  describe('reading a job', () => {
    const job = {
      id: 11,
      run_id: 5,
      run_attempt: 2,
      name: 'build',
      workflow_name: 'CI',
      head_sha: 'abc',
      html_url: 'https://github.com/acme/web/actions/runs/5/job/11',
      status: 'queued',
      conclusion: null,
      labels: ['acme-runner'],
      runner_id: 0,
      runner_name: '',
      created_at: '2026-01-05T12:00:00Z',
      started_at: '2026-01-05T12:00:00Z',
      completed_at: null,
    };

    it('is a fact of the kind that decides', async () => {
      script = () => ({ body: job });
      const { github, clock } = clientOf(server.apiUrl);
      const fact = await github.readJob('acme', 'web', 11);
      expect(fact).to.include({ jobId: 11, runAttempt: 2, status: 'queued', source: 'read', runnerName: null });
      expect(fact?.observedAtMs).to.equal(clock.now());
      expect(server.asked[0]?.path).to.equal('/repos/acme/web/actions/jobs/11');
    });

    it('answers nothing for a job that GitHub does not know', async () => {
      script = () => ({ status: 404, body: { message: 'Not Found' } });
      expect(await clientOf(server.apiUrl).github.readJob('acme', 'web', 11)).to.equal(undefined);
    });

    it('tells whether the code of its run comes from a fork, where GitHub says', async () => {
      const { github } = clientOf(server.apiUrl);
      const isFork = async (more: object) => {
        script = () => ({ body: { id: 7, status: 'queued', ...more } });
        return (await github.readRun('acme', 'web', 7))?.isFork;
      };
      expect(await isFork({ repository: { id: 1 }, head_repository: { id: 1 } })).to.equal(false);
      expect(await isFork({ repository: { id: 1 }, head_repository: { id: 2 } })).to.equal(true);
      expect(await isFork({ repository: { id: 1 }, head_repository: null }), 'it was deleted').to.equal(true);
      for (const odd of [{}, { head_repository: { id: 1 } }, { repository: { id: 1 } }]) {
        expect(await isFork(odd)).to.equal(undefined);
      }
      for (const odd of [{ id: 'x' }, 'x', [], 7]) {
        expect(await isFork({ repository: { id: 1 }, head_repository: odd })).to.equal(undefined);
      }
    });

    // folder 04
    it('tells whether its run has completed, and with which attempt', async () => {
      script = () => ({ body: { id: 7, status: 'completed', conclusion: 'cancelled', run_attempt: 3 } });
      const { github } = clientOf(server.apiUrl);
      expect(await github.readRun('acme', 'web', 7)).to.deep.equal({ completed: true, attempt: 3 });
      expect(server.asked[0]?.path).to.equal('/repos/acme/web/actions/runs/7');
      script = () => ({ body: { id: 7, status: 'in_progress', run_attempt: 1 } });
      expect(await github.readRun('acme', 'web', 7)).to.deep.equal({ completed: false, attempt: 1 });
      // GitHub's description makes the attempt optional.
      script = () => ({ body: { id: 7, status: 'queued' } });
      expect(await github.readRun('acme', 'web', 7)).to.deep.equal({ completed: false, attempt: 1 });
      script = () => ({ status: 404, body: { message: 'Not Found' } });
      expect(await github.readRun('acme', 'web', 7)).to.equal(undefined);
    });

    it('takes a status of a run of up to 64 characters', async () => {
      const { github, clock } = clientOf(server.apiUrl);
      script = () => ({ body: { id: 7, status: 's'.repeat(64), run_attempt: 1 } });
      expect(await github.readRun('acme', 'web', 7)).to.deep.equal({ completed: false, attempt: 1 });
      script = () => ({ body: { id: 7, status: 's'.repeat(65), run_attempt: 1 } });
      await failureOf(clock.during(github.readRun('acme', 'web', 7)), 'transient');
    });

    it('gives a method of several calls 30 s, and says so', async () => {
      script = () => 'hang';
      const { github, clock } = clientOf(server.apiUrl);
      const failing = failureOf(
        github.listRunners({ kind: 'organization', organization: 'acme' }, 'verify'),
        'transient',
      );
      await server.heard(1);
      await clock.advance(20_000);
      await clock.advance(1_000);
      await server.heard(2);
      await clock.advance(20_000);
      expect((await failing).message).to.include('not done within 30 s');
    });

    // folder 07
    it('tells a repository that is not seen from one that cannot be asked for', async () => {
      script = () => ({ body: { id: 5, full_name: 'acme/web' } });
      const { github } = clientOf(server.apiUrl);
      expect(await github.seesRepository('acme', 'web')).to.equal(true);
      expect(server.asked[0]?.path).to.equal('/repos/acme/web');
      script = () => ({ status: 404, body: { message: 'Not Found' } });
      expect(await github.seesRepository('acme', 'web')).to.equal(false);
      script = () => ({ status: 403, body: { message: 'no' } });
      await failureOf(github.seesRepository('acme', 'web'), 'forbidden');
    });

    it('tells the visibility of a repository, and asks with the ETag of the last answer', async () => {
      script = () => ({ body: { private: true, visibility: 'internal' }, headers: { etag: '"one"' } });
      const { github } = clientOf(server.apiUrl);
      expect(await github.readVisibility('acme', 'web')).to.equal('internal');
      script = () => ({ status: 304, body: '' });
      expect(await github.readVisibility('acme', 'web')).to.equal('internal');
      expect(server.asked[1]?.headers['if-none-match']).to.equal('"one"');
      // GitHub Enterprise Server leaves `visibility` out.
      script = () => ({ body: { private: false } });
      expect(await github.readVisibility('acme', 'web')).to.equal('public');
      script = () => ({ status: 404, body: { message: 'Not Found' } });
      await failureOf(github.readVisibility('acme', 'web'), 'not-found');
    });

    it('asks for the tenants of one credential in turn', async () => {
      script = () => ({ body: { id: 5 } });
      const {
        github: busy,
        clock,
        budgets,
      } = clientOf(server.apiUrl, {
        grant: grantOf('busy'),
        limits: { concurrentRequests: 1 },
      });
      const { github: quiet } = clientOf(server.apiUrl, { grant: grantOf('quiet'), clock, budgets });
      const calls = Array.from({ length: 5 }, (_, index) => busy.seesRepository('acme', `busy-${index}`));
      calls.push(quiet.seesRepository('acme', 'quiet'));
      await clock.during(Promise.all(calls));
      expect(server.asked.slice(0, 3).map(({ path }) => path.split('/').at(-1))).to.include('quiet');
    });

    it('tells for whom GitHub accepts the credentials, with the time before the call, and nothing of calls that fail', async () => {
      const told: [owner: string, startedAtMs: number][] = [];
      const onAuthorized = (owner: string, startedAtMs: number) => told.push([owner, startedAtMs]);
      const { github, clock } = clientOf(server.apiUrl, { onAuthorized });
      script = () => ({ status: 401, body: { message: 'Bad credentials' } });
      await failureOf(github.seesRepository('acme', 'web'), 'unauthorized');
      script = () => ({ status: 503, body: 'busy' });
      await failureOf(clock.during(github.seesRepository('acme', 'web')), 'transient');
      expect(told).to.deep.equal([]);
      script = () => ({ status: 404, body: { message: 'Not Found' } });
      const startedAtMs = clock.now();
      await github.seesRepository('acme', 'web');
      expect(told).to.deep.equal([['acme', startedAtMs]]);
    });

    it('tells of an enterprise that its token is accepted, whichever organization was asked for', async () => {
      const told: string[] = [];
      const claim = { kind: 'enterprise', enterprise: 'big', organizations: ['acme'] } as const;
      const { github } = clientOf(server.apiUrl, { claim, onAuthorized: (owner) => told.push(owner) });
      script = () => ({ body: { id: 5 } });
      await github.seesRepository('acme', 'web');
      expect(told).to.deep.equal(['big']);
    });

    for (const [status, kind] of [
      [401, 'unauthorized'],
      [403, 'forbidden'],
    ] as const) {
      it(`does not take ${status} for a job that is gone`, async () => {
        script = () => ({ status, body: { message: 'no' } });
        await failureOf(clientOf(server.apiUrl).github.readJob('acme', 'web', 11), kind);
      });
    }

    it('repeats a read that met trouble, at most twice', async () => {
      let failures = 2;
      script = () => {
        failures -= 1;
        return failures >= 0 ? { status: 503, body: 'busy' } : { body: job };
      };
      const { github, clock } = clientOf(server.apiUrl);
      expect((await clock.during(github.readJob('acme', 'web', 11)))?.jobId).to.equal(11);
      failures = 3;
      await failureOf(clock.during(github.readJob('acme', 'web', 11)), 'transient');
      expect(server.asked).to.have.length(6);
    });

    it('ends within 30 s, however often GitHub hangs', async () => {
      script = () => 'hang';
      const { github, clock } = clientOf(server.apiUrl);
      const startMs = clock.now();
      let endMs = 0;
      const failing = failureOf(github.readJob('acme', 'web', 11), 'transient').finally(() => {
        endMs = clock.now();
      });
      await server.heard(1);
      await clock.advance(20_000);
      await clock.advance(1_000);
      await server.heard(2);
      await clock.advance(20_000);
      await failing;
      expect(endMs - startMs).to.be.at.most(30_000);
    });

    it('does not let a name climb out of its place in the URL', async () => {
      await failureOf(clientOf(server.apiUrl).github.readJob('acme', '..', 11), 'invalid');
      expect(server.asked).to.have.length(0);
    });

    it('gives up on an answer that is larger than any of GitHub', async () => {
      script = () => ({ body: `"${'x'.repeat(17 * 1024 * 1024)}"` });
      const { github, clock } = clientOf(server.apiUrl);
      const failure = await failureOf(clock.during(github.readJob('acme', 'web', 11)), 'transient');
      expect(failure.message).to.include('larger than');
    });

    for (const [what, body] of [
      ['nested without end', '['.repeat(600_000)],
      ['of hundreds of thousands of values', `{"id":7,"more":[${'{},'.repeat(300_000)}0]}`],
    ]) {
      it(`does not parse an answer ${what}: everything else would stand meanwhile`, async () => {
        script = () => ({ body });
        const { github, clock } = clientOf(server.apiUrl);
        const failure = await failureOf(clock.during(github.readJob('acme', 'web', 11)), 'transient');
        expect(failure.message).to.include('more values than any of GitHub');
      });
    }
  });

  describe('limits', () => {
    const limited = { status: 403, body: { message: 'You have exceeded a secondary rate limit. Please wait.' } };

    it('waits as long as retry-after says, without asking again before', async () => {
      script = () => ({ ...limited, headers: { 'retry-after': '120' } });
      const { github, clock } = clientOf(server.apiUrl);
      expect((await failureOf(github.getRunner(acme, 7, 'verify'), 'rate-limited')).retryAfterMs).to.equal(120_000);
      script = () => ({ body: runnerReply(7, 'shr-1') });
      const refused = await failureOf(github.getRunner(acme, 7, 'verify'), 'rate-limited');
      expect(refused.retryAfterMs).to.equal(120_000);
      expect(server.asked).to.have.length(1);
      await clock.advance(120_000);
      expect((await github.getRunner(acme, 7, 'verify'))?.id).to.equal(7);
    });

    it('waits a day at most: a longer retry-after is a mistake', async () => {
      script = () => ({ ...limited, headers: { 'retry-after': '31536000' } });
      const failure = await failureOf(clientOf(server.apiUrl).github.getRunner(acme, 7, 'verify'), 'rate-limited');
      expect(failure.retryAfterMs).to.equal(86_400_000);
    });

    it('waits a minute, then two, after secondary limits that name no time', async () => {
      script = () => limited;
      const { github, clock } = clientOf(server.apiUrl);
      expect((await failureOf(github.getRunner(acme, 7, 'verify'), 'rate-limited')).retryAfterMs).to.equal(60_000);
      await clock.advance(60_000);
      expect((await failureOf(github.getRunner(acme, 7, 'verify'), 'rate-limited')).retryAfterMs).to.equal(120_000);
      expect(server.asked).to.have.length(2);
    });

    it('waits for the reset when the hour is used up, and says until when', async () => {
      const clock = new VirtualClock();
      const resetAtMs = clock.now() + 1_500_000;
      script = () => ({
        status: 403,
        body: { message: 'API rate limit exceeded for installation ID 1.' },
        headers: {
          'x-ratelimit-limit': '5000',
          'x-ratelimit-remaining': '0',
          'x-ratelimit-reset': String(resetAtMs / 1000),
          'x-ratelimit-resource': 'core',
        },
      });
      const { github, budgets } = clientOf(server.apiUrl, { clock });
      expect((await failureOf(github.getRunner(acme, 7, 'verify'), 'rate-limited')).retryAfterMs).to.equal(1_500_000);
      await failureOf(github.getRunner(acme, 7, 'launch'), 'rate-limited');
      expect(server.asked).to.have.length(1);
      expect(budgets.snapshot()).to.deep.include({
        credential: budgets.snapshot()[0]?.credential,
        class: 'core',
        remaining: 0,
        limit: 5000,
        resetAtMs,
        waiting: 0,
      });
    });

    it('shares the budget of a token between registrations, and names it without telling it', async () => {
      script = () => ({ ...limited, headers: { 'retry-after': '60' } });
      const first = clientOf(server.apiUrl);
      const second = clientOf(server.apiUrl, { clock: first.clock, budgets: first.budgets });
      await failureOf(first.github.getRunner(acme, 7, 'verify'), 'rate-limited');
      await failureOf(second.github.getRunner(acme, 7, 'verify'), 'rate-limited');
      expect(server.asked).to.have.length(1);
      expect(JSON.stringify(first.budgets.snapshot())).to.not.include(TOKEN);
    });

    it('does not take a refused permission for a limit', async () => {
      script = () => ({ status: 403, body: { message: 'Resource not accessible by integration' } });
      expect(
        (await failureOf(clientOf(server.apiUrl).github.getRunner(acme, 7, 'verify'), 'forbidden')).retryAfterMs,
      ).to.equal(undefined);
    });
  });

  describe('secrets', () => {
    for (const [what, answer] of [
      ['refuses', { status: 403, body: { message: 'no' } }],
      ['breaks', { status: 500, body: 'oops' }],
      ['cuts the connection', 'reset'],
    ] as const) {
      it(`are in no error when GitHub ${what}`, async () => {
        script = () => answer;
        const { github, clock } = clientOf(server.apiUrl);
        let error: unknown;
        try {
          await clock.during(github.createJitRunner(request));
        } catch (caught) {
          error = caught;
        }
        expect(inspect(error, { depth: 20, showHidden: true }))
          .to.include('GithubError')
          .and.not.include(TOKEN);
        expect(JSON.stringify(error)).to.not.include(TOKEN);
      });
    }

    it('are in no error when the token cannot be sent at all', async () => {
      const { github } = clientOf(server.apiUrl, { credentials: { kind: 'token', token: new Secret(`${TOKEN}\n`) } });
      const failure = await failureOf(github.getRunner(acme, 7, 'verify'), 'unauthorized');
      expect(inspect(failure, { depth: 20, showHidden: true })).to.not.include(TOKEN);
      expect(server.asked).to.have.length(0);
    });
  });
});
