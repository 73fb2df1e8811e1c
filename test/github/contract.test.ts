import { expect } from 'chai';
import type { GithubScope } from '../../dispatcher/jobs/scope.ts';
import type { Claim } from '../../dispatcher/model/registration.ts';
import { acme, appCredentials, type ClientOptions, clientOf } from './github-fixture.ts';
import { type ScriptedGithub, scriptedGithub } from './scripted-github.ts';
import { readVendorSpec, type VendorSpec } from './vendor-spec.ts';

describe("the GitHub client against GitHub's own description", () => {
  let spec: VendorSpec;
  let server: ScriptedGithub;

  before(function () {
    const found = readVendorSpec();
    if (found === undefined) {
      console.warn('    skipped: ../shared/specs is not there');
      this.skip();
    }
    spec = found;
  });
  beforeEach(async () => {
    server = await scriptedGithub((asked) => spec.answer(asked));
  });
  afterEach(() => server.close());

  const signal = new AbortController().signal;
  const web: GithubScope = { kind: 'repository', owner: 'acme', repository: 'web' };
  const claims = {
    organization: { kind: 'organization', organization: 'acme' },
    user: { kind: 'user', user: 'ada' },
    repositories: { kind: 'repositories', repositories: [{ owner: 'acme', repository: 'web' }] },
  } as const satisfies Record<string, Claim>;
  const client = (options: ClientOptions = {}) => clientOf(server.apiUrl, options).github;

  /** Reads the described answer without complaint, and has asked only what is described. */
  async function fits<T>(work: Promise<T>): Promise<T> {
    const result = await work;
    expect(server.asked.length).to.be.above(0);
    for (const asked of server.asked) expect(spec.objections(asked), `${asked.method} ${asked.path}`).to.deep.equal([]);
    return result;
  }

  for (const [name, scope] of [
    ['an organization', acme],
    ['a repository', web],
  ] as const) {
    it(`creates, reads, finds, lists and deletes the runners of ${name}`, async () => {
      const github = client();
      const request = { scope, name: 'shr-1', runnerGroup: 'default', labels: ['acme-runner'] };
      const created = await fits(github.createJitRunner(request));
      expect(created.runnerId).to.be.a('number');
      expect(created.encodedJitConfig).to.be.a('string').and.not.equal('');
      expect((await fits(github.getRunner(scope, 5, 'verify')))?.labels).to.be.an('array');
      await fits(github.findRunner(scope, 'shr-1', 'verify'));
      expect(await fits(github.listRunners(scope, 'sweep'))).to.have.length(1);
      expect(await fits(github.deleteRunner(scope, 5))).to.equal('deleted');
    });
  }

  it('reads a job', async () => {
    const fact = await fits(client().readJob('acme', 'web', 21));
    expect(fact).to.include({ host: 'github.com', owner: 'acme', repository: 'web', source: 'read' });
    expect(fact?.createdAtMs).to.be.a('number');
  });

  it('reads repositories, their open runs and the jobs of those', async () => {
    const github = client();
    const { repositories } = await fits(github.listRepositories(signal));
    // The example's owner is another than the one that was asked for.
    expect(repositories).to.deep.equal([]);
    const example = { owner: 'octocat', repository: 'Hello-World' };
    const claim = { kind: 'repositories', repositories: [example] } as const;
    const named = await fits(client({ claim }).listRepositories(signal));
    expect(named.failures).to.deep.equal([]);
    const [repository] = named.repositories;
    if (repository === undefined) throw new Error('the described repository cannot be polled');
    const runs = await fits(github.listRuns(repository, 'waiting', signal));
    expect(runs.runIds).to.have.length(1);
    const jobs = await fits(github.listJobs(repository, runs.runIds[0] ?? 0, signal));
    expect(jobs).to.include({ unreadable: 0, complete: true });
    expect(jobs?.facts).to.have.length(1);
  });

  for (const [name, claim, scope] of [
    ['an organization', claims.organization, acme],
    ['a user', claims.user, { kind: 'repository', owner: 'ada', repository: 'web' }],
    ['a repository', claims.repositories, web],
  ] as const) {
    it(`finds an App's installation for ${name}, and its token`, async () => {
      await fits(client({ claim, credentials: appCredentials() }).getRunner(scope, 5, 'verify'));
      expect(server.asked).to.have.length(3);
    });
  }

  it('lists the repositories of an installation', async () => {
    await fits(client({ credentials: appCredentials() }).listRepositories(signal));
    expect(server.asked.map((one) => one.path)).to.include('/installation/repositories');
  });

  it('lists runner groups', async () => {
    const request = { scope: acme, name: 'shr-1', runnerGroup: 'nobody-has-this', labels: ['acme-runner'] };
    await fits(
      client()
        .createJitRunner(request)
        .catch((error: unknown) => error),
    );
    expect(server.asked.map((one) => one.path)).to.include('/orgs/acme/actions/runner-groups');
  });

  it('would notice a request that is not described', () => {
    const bare = { headers: {}, query: new URLSearchParams(), body: '' };
    expect(spec.objections({ ...bare, method: 'GET', path: '/orgs/acme/nonsense' })).to.have.length(1);
    const jit = { ...bare, method: 'POST', path: '/orgs/acme/actions/runners/generate-jitconfig' };
    expect(spec.objections({ ...jit, body: '{"name":"x","labels":[]}' })).to.not.have.length(0);
    const query = new URLSearchParams({ status: 'dreaming', nonsense: '1' });
    expect(spec.objections({ ...bare, method: 'GET', path: '/repos/a/b/actions/runs', query })).to.have.length(2);
  });
});
