/** What is wrong with one owner, repository or run is that one's trouble, by its name; the rest is polled. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect } from 'chai';
import type { Poller, PollStatus } from '../../dispatcher/intake/poller.ts';
import type { Claim } from '../../dispatcher/model/registration.ts';
import { appCredentials } from '../github/github-fixture.ts';
import type { Asked, Says } from '../github/scripted-github.ts';
import { type Fixture, openFixture } from './poller-fixture.ts';

describe('the poller, beside what is wrong', () => {
  let fixture: Fixture;

  beforeEach(async () => {
    fixture = await openFixture();
    fixture.runs.set('web', [{ id: 1, status: 'queued', jobs: [{ id: 11, status: 'queued' }] }]);
  });
  afterEach(() => fixture.close());

  const statusOf = (poller: Poller): PollStatus => {
    const status = poller.statusOf('acme');
    if (status === undefined) throw new Error('no status');
    return status;
  };
  const claimOf = (...names: string[]): Claim => ({
    kind: 'repositories',
    repositories: names.map((name) => {
      const [owner = '', repository = ''] = name.split('/');
      return { owner, repository };
    }),
  });
  /** An App that is installed for these owners, each with a token of its own. */
  const installedFor =
    (...owners: string[]) =>
    ({ path }: Asked): Says | undefined => {
      const owner = path.split('/')[2] ?? '';
      if (path.endsWith('/installation')) {
        const id = owners.indexOf(owner) + 1;
        return id > 0 ? { body: { id } } : { status: 404, body: { message: 'Not Found' } };
      }
      const installation = /^\/app\/installations\/(\d+)\/access_tokens$/.exec(path)?.[1];
      if (installation === undefined) return undefined;
      const expires_at = new Date(fixture.clock.now() + 3_600_000).toISOString();
      return { status: 201, body: { token: `ghs_${installation}`, expires_at } };
    };
  const repositoryOf = (full: string, more: Readonly<Record<string, unknown>> = {}) => {
    const [login, name] = full.split('/');
    return { name, owner: { login }, private: true, visibility: 'private', ...more };
  };
  const asked = (start: string) => fixture.server.asked.filter(({ path }) => path.startsWith(start)).length;

  it('takes no repository under a name that GitHub does not allow, whatever a tenant’s own host lists', async () => {
    const names = [
      '../../github.com/acme/web',
      'a/b',
      '..',
      '.',
      'x\ny',
      '\u202etxt',
      'w\u212a',
      'w?x=1#',
      'w'.repeat(101),
      '',
    ];
    for (const name of names)
      fixture.runs.set(name, [{ id: 1, status: 'queued', jobs: [{ id: 12, status: 'queued' }] }]);
    const poller = fixture.poller();
    expect(await fixture.pass(poller)).to.equal(true);
    expect(await fixture.statusOf(11)).to.equal('queued');
    expect(await fixture.statusOf(12)).to.equal(undefined);
    const { problems, repositories } = statusOf(poller);
    expect(repositories).to.equal(1);
    expect(problems).to.have.length(1);
    expect(problems[0]).to.include('10 entries of its repositories cannot be read');
    expect(fixture.server.asked.filter(({ path }) => path.endsWith('/runs')).map(({ path }) => path)).to.satisfy(
      (paths: string[]) => paths.every((path) => path === '/repos/acme/web/actions/runs'),
    );
  });

  describe('an owner where the App is not installed (case 03 a)', () => {
    const claim = claimOf('other/api', 'other/site', 'acme/web');

    it('is named, once, and the others are polled', async () => {
      fixture.answerWith(installedFor('acme'));
      const poller = fixture.poller({ claim, credentials: appCredentials() });
      expect(await fixture.pass(poller)).to.equal(true);
      expect(await fixture.statusOf(11)).to.equal('queued');
      const { failure, problems, repositories } = statusOf(poller);
      expect(failure).to.equal(null);
      expect(repositories).to.equal(1);
      expect(problems).to.have.length(1);
      expect(problems[0]).to.match(/^other: the GitHub App is not installed for other/);
    });

    it('that is suspended after the list was read, too', async () => {
      let suspended = false;
      const installed = installedFor('acme', 'other');
      fixture.answerWith((one) => {
        if (suspended && one.path === '/app/installations/2/access_tokens') {
          return { status: 403, body: { message: 'This installation has been suspended' } };
        }
        const answer = installed(one);
        if (answer !== undefined || !one.path.startsWith('/repos/other/')) return answer;
        if (suspended) return { status: 401, body: { message: 'Bad credentials' } };
        const name = one.path.split('/')[3];
        return one.path.endsWith('/runs')
          ? { body: { total_count: 0, workflow_runs: [] } }
          : { body: repositoryOf(`other/${name}`) };
      });
      const poller = fixture.poller({ claim, credentials: appCredentials() });
      await fixture.pass(poller);
      expect(statusOf(poller).problems).to.deep.equal([]);
      suspended = true;
      await fixture.clock.advance(60_000);
      expect(await fixture.pass(poller)).to.equal(true);
      const { problems } = statusOf(poller);
      expect(problems).to.have.length(1);
      expect(problems[0])
        .to.include('other: ')
        .and.include('suspended')
        .and.include('ask the owner to unsuspend the App');
    });

    it('ends the pass when no other owner is left', async () => {
      fixture.answerWith(installedFor());
      const poller = fixture.poller({ claim: claimOf('acme/web', 'acme/api'), credentials: appCredentials() });
      expect(await fixture.pass(poller)).to.equal(false);
      expect(statusOf(poller).problems).to.have.length(1);
      expect(statusOf(poller).failure).to.include('not installed for acme');
    });

    it('whose limit is used up holds up no other', async () => {
      const installed = installedFor('acme', 'other');
      fixture.answerWith((one) => {
        const answer = installed(one);
        if (answer !== undefined || !one.path.startsWith('/repos/other/')) return answer;
        return { status: 403, body: { message: 'secondary rate limit' }, headers: { 'retry-after': '1800' } };
      });
      const poller = fixture.poller({ claim, credentials: appCredentials() });
      const startMs = fixture.clock.now();
      expect(await fixture.pass(poller)).to.equal(true);
      expect(fixture.clock.now() - startMs).to.be.below(120_000);
      expect(await fixture.statusOf(11)).to.equal('queued');
      expect(statusOf(poller).problems.join()).to.include('other: ').and.include('rate limit');
    });

    it('that GitHub cannot make a token for just now is asked about again in the next pass', async () => {
      let down = true;
      const installed = installedFor('acme', 'other');
      fixture.answerWith((one) => {
        if (down && one.path === '/app/installations/2/access_tokens') return { status: 502, body: 'bad gateway' };
        const answer = installed(one);
        if (answer !== undefined || !one.path.startsWith('/repos/other/')) return answer;
        return one.path.endsWith('/runs')
          ? { body: { total_count: 0, workflow_runs: [] } }
          : { body: repositoryOf(`other/${one.path.split('/')[3]}`) };
      });
      const poller = fixture.poller({ claim, credentials: appCredentials() });
      expect(await fixture.pass(poller)).to.equal(true);
      expect(await fixture.statusOf(11)).to.equal('queued');
      expect(statusOf(poller).problems.join()).to.include('other: ').and.include('502');
      down = false;
      await fixture.clock.advance(30_000);
      await fixture.pass(poller);
      expect(statusOf(poller)).to.deep.include({ repositories: 3, problems: [] });
    });
  });

  describe('a repository that was transferred (case 03 b)', () => {
    for (const credentials of ['an App', 'a token'] as const) {
      it(`is named with the place where it went, and the others are polled (${credentials})`, async () => {
        const installed = installedFor('acme');
        fixture.answerWith((one) =>
          one.path === '/repos/acme/homepage'
            ? // As after the redirect that fetch follows.
              { body: repositoryOf('other/homepage', { private: false, visibility: 'public' }) }
            : installed(one),
        );
        const claim = claimOf('acme/homepage', 'acme/web');
        const poller = fixture.poller({
          claim,
          ...(credentials === 'an App' ? { credentials: appCredentials() } : {}),
        });
        expect(await fixture.pass(poller)).to.equal(true);
        expect(await fixture.statusOf(11)).to.equal('queued');
        expect(statusOf(poller).problems).to.deep.equal(['acme/homepage: moved to other/homepage: change the claim']);
        expect(asked('/repos/other/')).to.equal(0);
      });
    }
  });

  describe('a repository that was renamed within its owner (case 03 c)', () => {
    it('is shown with the registration, and the others are polled', async () => {
      fixture.answerWith((one) =>
        one.path === '/repos/acme/homepage' ? { body: repositoryOf('acme/site') } : undefined,
      );
      const poller = fixture.poller({ claim: claimOf('acme/homepage', 'acme/web') });
      expect(await fixture.pass(poller)).to.equal(true);
      expect(await fixture.statusOf(11)).to.equal('queued');
      expect(statusOf(poller).problems).to.deep.equal(['acme/homepage is now called acme/site: change the claim']);
    });

    it('is polled on under its new name where the claim is the whole organization', async () => {
      fixture.runs.set('site', [{ id: 2, status: 'queued', jobs: [{ id: 21, status: 'queued' }] }]);
      fixture.answerWith((one) =>
        one.path === '/repos/acme/homepage' ? { body: repositoryOf('acme/site') } : undefined,
      );
      const poller = fixture.poller({ only: ['homepage'] });
      await fixture.pass(poller);
      expect(await fixture.statusOf(21)).to.equal('queued');
      expect(statusOf(poller).problems).to.deep.equal([
        'acme/homepage is now called acme/site: change `poll.repositories`',
      ]);
    });

    it('is not taken for renamed when only its case differs', async () => {
      const poller = fixture.poller({ claim: claimOf('Acme/Web') });
      fixture.answerWith((one) =>
        one.path.toLowerCase() === '/repos/acme/web' ? { body: repositoryOf('acme/web') } : undefined,
      );
      await fixture.pass(poller);
      expect(statusOf(poller).problems).to.deep.equal([]);
      expect(await fixture.statusOf(11)).to.equal('queued');
    });
  });

  it('says of a named repository that it is archived', async () => {
    fixture.answerWith((one) =>
      one.path === '/repos/acme/old' ? { body: repositoryOf('acme/old', { archived: true }) } : undefined,
    );
    const poller = fixture.poller({ claim: claimOf('acme/old', 'acme/web') });
    await fixture.pass(poller);
    expect(statusOf(poller).problems).to.have.length(1);
    expect(statusOf(poller).problems[0]).to.include('acme/old: it is archived');
  });

  describe('an organization of which nothing is listed any more (case 09)', () => {
    const list = (...names: string[]) => ({
      body: { total_count: names.length, repositories: names.map((name) => repositoryOf(name)) },
    });
    let listed: Says;
    const pollerOf = () => {
      const installed = installedFor('acme');
      fixture.answerWith((one) => (one.path === '/installation/repositories' ? listed : installed(one)));
      return fixture.poller({ intervalMs: null, credentials: appCredentials() });
    };

    it('is said to be renamed when the installation lists others', async () => {
      listed = list('acme/web');
      const poller = pollerOf();
      await fixture.pass(poller);
      expect(statusOf(poller).problems).to.deep.equal([]);
      listed = list('acme-inc/web');
      await fixture.clock.advance(400_000);
      await fixture.pass(poller);
      expect(statusOf(poller).problems).to.deep.equal([
        "acme: the App's installation for acme lists 1 repository, none of owner acme (acme-inc): was it renamed? Change `organization`",
      ]);
    });

    it('is said to have no repository for the App, also at the first look', async () => {
      listed = list();
      const poller = pollerOf();
      await fixture.pass(poller);
      expect(statusOf(poller).problems).to.deep.equal([
        "acme: the App's installation for acme lists no repositories: give the App access to those whose jobs are to run here",
      ]);
    });

    it('is polled on when one entry of the list cannot be read, which is said (11c)', async () => {
      listed = { body: { total_count: 2, repositories: [{ name: null }, repositoryOf('acme/web')] } };
      const poller = pollerOf();
      await fixture.pass(poller);
      expect(await fixture.statusOf(11)).to.equal('queued');
      expect(statusOf(poller).problems).to.deep.equal(['acme: 1 entry of its repositories cannot be read']);
    });
  });

  describe('an organization of an enterprise', () => {
    const claim: Claim = { kind: 'enterprise', enterprise: 'big', organizations: ['gone', 'acme'] };

    it('that was renamed is named with the field to change, and the others are polled', async () => {
      fixture.answerWith(({ path }) =>
        path === '/orgs/gone/repos'
          ? { body: [repositoryOf('elsewhere/api'), repositoryOf('elsewhere/site')] }
          : undefined,
      );
      const poller = fixture.poller({ claim });
      expect(await fixture.pass(poller)).to.equal(true);
      expect(await fixture.statusOf(11)).to.equal('queued');
      expect(statusOf(poller).problems).to.deep.equal([
        'gone: the token lists 2 repositories, none of owner gone (elsewhere): was it renamed? Change `organizations`',
      ]);
    });

    it('of which the token sees nothing is named with the cure', async () => {
      fixture.answerWith(({ path }) => (path === '/orgs/gone/repos' ? { body: [] } : undefined));
      const poller = fixture.poller({ claim });
      await fixture.pass(poller);
      expect(statusOf(poller).problems).to.deep.equal([
        'gone: the token lists no repositories: give it access to those whose jobs are to run here',
      ]);
    });

    it('that the token may not see is named, and the others are polled', async () => {
      fixture.answerWith(({ path }) =>
        path === '/orgs/gone/repos' ? { status: 404, body: { message: 'Not Found' } } : undefined,
      );
      const poller = fixture.poller({ claim });
      expect(await fixture.pass(poller)).to.equal(true);
      expect(await fixture.statusOf(11)).to.equal('queued');
      expect(statusOf(poller).troubles).to.have.length(1);
      expect(statusOf(poller).troubles[0]).to.include({ about: 'gone', kind: 'not-found' });
    });

    it('ends the pass when the token itself is refused', async () => {
      fixture.answerWith(() => ({ status: 401, body: { message: 'Bad credentials' } }));
      const poller = fixture.poller({ claim });
      expect(await fixture.pass(poller)).to.equal(false);
      expect(statusOf(poller).failure).to.include('Bad credentials');
      expect(asked('/orgs/acme')).to.equal(0);
    });
  });

  it('reads the other runs when one cannot be read, and says so (11c)', async () => {
    fixture.answerWith(({ path, query }) =>
      path === '/repos/acme/web/actions/runs' && query.get('status') === 'queued'
        ? { body: { total_count: 2, workflow_runs: [{ id: null }, { id: 1 }] } }
        : undefined,
    );
    const poller = fixture.poller();
    expect(await fixture.pass(poller)).to.equal(true);
    expect(await fixture.statusOf(11)).to.equal('queued');
    expect(statusOf(poller).problems.join()).to.include('1 runs are in a shape');
  });

  it('records all other jobs of the pass when the row of one cannot be read, and says so once', async () => {
    await fixture.close();
    const folder = await mkdtemp(join(tmpdir(), 'poll-'));
    const path = join(folder, 'ledger.db');
    fixture = await openFixture(path);
    fixture.runs.set('web', [{ id: 1, status: 'queued', jobs: [{ id: 11, status: 'queued' }] }]);
    await fixture.pass(fixture.poller());
    await fixture.close();
    const database = new Sqlite(path);
    database.exec("update jobs set labels = '{'");
    database.close();
    fixture = await openFixture(path);
    const jobs = [11, 12].map((id) => ({ id, status: 'in_progress' }));
    fixture.runs.set('web', [{ id: 1, status: 'in_progress', jobs }]);
    const poller = fixture.poller();
    expect(await fixture.pass(poller)).to.equal(true);
    expect(await fixture.pass(poller)).to.equal(true);
    expect((await fixture.ledger.job('github.com/acme/web/12'))?.status).to.equal('in_progress');
    const [problem, ...more] = statusOf(poller).details;
    expect(more).to.deep.equal([]);
    expect(problem?.about).to.equal('github.com/acme/web/11');
    expect(problem?.message).to.include('column labels').and.include('correct or delete the row');
    expect(fixture.warnings).to.deep.equal(['poll.not-recorded github.com/acme/web/11']);
    await rm(folder, { recursive: true });
  });

  it('goes on past many repositories whose answers it cannot read', async () => {
    const odd = Array.from({ length: 12 }, (_, index) => `odd-${index}`);
    for (const name of odd) fixture.runs.set(name, []);
    const web = fixture.runs.get('web') ?? [];
    fixture.runs.delete('web');
    fixture.runs.set('web', web);
    fixture.answerWith(({ path }) =>
      path.startsWith('/repos/acme/odd-') ? { body: { total_count: 0, workflow_runs: 'none' } } : undefined,
    );
    const poller = fixture.poller();
    expect(await fixture.pass(poller)).to.equal(true);
    expect(await fixture.statusOf(11)).to.equal('queued');
    expect(statusOf(poller).troubles).to.have.length(12);
  });

  it('lists a hundred of its troubles, and counts the others', async () => {
    const gone = Array.from({ length: 103 }, (_, index) => `acme/gone-${index}`);
    const poller = fixture.poller({ claim: claimOf(...gone, 'acme/web'), limits: { pointsPerMinute: 100_000 } });
    expect(await fixture.pass(poller)).to.equal(true);
    const { troubles, moreTroubles, problems } = statusOf(poller);
    expect([troubles.length, moreTroubles]).to.deep.equal([100, 3]);
    expect(problems).to.include('3 more repositories or owners have problems');
    expect(await fixture.statusOf(11)).to.equal('queued');
  });

  it('reads all of a long list of names, however small the budget', async () => {
    const names = Array.from({ length: 40 }, (_, index) => `acme/repo-${index}`);
    for (const name of names) fixture.runs.set(name.slice('acme/'.length), []);
    fixture.runs.set('web', fixture.runs.get('web') ?? []);
    const poller = fixture.poller({ claim: claimOf(...names, 'acme/web'), limits: { pointsPerMinute: 100 } });
    expect(await fixture.clock.during(poller.pollNow('acme'), 90_000, fixture.idle)).to.equal(true);
    expect(statusOf(poller).repositories).to.equal(41);
    expect(asked('/repos/acme/repo-0')).to.equal(4);
    expect(await fixture.statusOf(11)).to.equal('queued');
  });
});
