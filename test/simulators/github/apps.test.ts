import { createSign } from 'node:crypto';
import { expect } from 'chai';
import { type GithubSimulator, startGithubSimulator } from '../../../simulators/github/index.ts';
import { asApp, asInstallation, asPerson, bare, refusal } from './client.ts';
import { ManualClock } from './manual-clock.ts';

describe('GitHub simulator: Apps and credentials', () => {
  let simulator: GithubSimulator;
  let clock: ManualClock;

  before(async () => {
    clock = new ManualClock();
    simulator = await startGithubSimulator({
      clock,
      owners: [
        { login: 'acme', repositories: [{ name: 'web' }, { name: 'api' }, { name: 'site', visibility: 'public' }] },
        { login: 'globex', repositories: [{ name: 'core' }] },
        { login: 'mona', type: 'User', repositories: [{ name: 'dotfiles' }] },
      ],
      apps: [
        { name: 'dispatcher', installations: [{ account: 'acme' }, { account: 'mona', repositories: ['dotfiles'] }] },
      ],
      tokens: [
        { login: 'root', owners: ['*'], access: 'admin' },
        { login: 'guest', owners: ['acme'], access: 'read' },
      ],
    });
  });
  after(() => simulator.close());

  it('tells an App about itself and its installations', async () => {
    const octokit = asApp(simulator);
    const { data: app } = await octokit.apps.getAuthenticated();
    expect(app?.id).to.equal(simulator.apps[0]?.id);
    const { data: installations } = await octokit.apps.listInstallations();
    expect(installations.map(({ account }) => account && 'login' in account && account.login)).to.deep.equal([
      'acme',
      'mona',
    ]);
  });

  it('finds an installation by organization, user and repository', async () => {
    const octokit = asApp(simulator);
    const byOrganization = await octokit.apps.getOrgInstallation({ org: 'ACME' });
    const byRepository = await octokit.apps.getRepoInstallation({ owner: 'acme', repo: 'web' });
    const byUser = await octokit.apps.getUserInstallation({ username: 'mona' });
    expect(byOrganization.data.id).to.equal(byRepository.data.id);
    expect(byUser.data.repository_selection).to.equal('selected');
    expect(await refusal(octokit.apps.getOrgInstallation({ org: 'globex' }))).to.equal(404);
  });

  it('lets an installation see its own repositories and nothing private of others', async () => {
    const octokit = asInstallation(simulator);
    const { data } = await octokit.apps.listReposAccessibleToInstallation();
    expect(data.repositories.map(({ name }) => name)).to.deep.equal(['web', 'api', 'site']);
    await octokit.repos.get({ owner: 'acme', repo: 'web' });
    expect(await refusal(octokit.repos.get({ owner: 'globex', repo: 'core' }))).to.equal(404);
    expect(await refusal(octokit.actions.listSelfHostedRunnersForOrg({ org: 'globex' }))).to.equal(404);
  });

  it('narrows a token to the repositories and permissions that were asked for', async () => {
    const installation_id = simulator.apps[0]?.installations[0]?.id ?? 0;
    const { data } = await asApp(simulator).apps.createInstallationAccessToken({
      installation_id,
      repositories: ['web'],
      permissions: { actions: 'read' },
    });
    expect(data.repositories?.map(({ name }) => name)).to.deep.equal(['web']);
    const octokit = asPerson(simulator, data.token);
    await octokit.actions.listWorkflowRunsForRepo({ owner: 'acme', repo: 'web' });
    expect(await refusal(octokit.actions.listWorkflowRunsForRepo({ owner: 'acme', repo: 'api' }))).to.equal(404);
    const register = octokit.actions.createRegistrationTokenForRepo({ owner: 'acme', repo: 'web' });
    expect(await refusal(register)).to.equal(403);
  });

  it('ends an installation token after an hour', async () => {
    const installation_id = simulator.apps[0]?.installations[0]?.id ?? 0;
    const { data } = await asApp(simulator).apps.createInstallationAccessToken({ installation_id });
    clock.advance(59 * 60_000);
    expect((await bare(simulator, 'GET /installation/repositories', { token: data.token })).status).to.equal(200);
    clock.advance(60_000);
    const reply = await bare(simulator, 'GET /installation/repositories', { token: data.token });
    expect(reply.status).to.equal(401);
    expect(reply.body).to.include({ message: 'Bad credentials', status: '401' });
    clock.advance(-60 * 60_000);
  });

  it('refuses JWTs that are stale, too long-lived, from the future or signed by somebody else', async () => {
    const [app] = simulator.apps;
    const nowS = Math.floor(Date.now() / 1_000);
    const send = async (claims: object, key = app?.privateKey ?? '') =>
      (await bare(simulator, 'GET /app', { token: jwt(claims, key) })).status;
    const iss = app?.id;
    expect(await send({ iss, iat: nowS, exp: nowS + 500 })).to.equal(200);
    expect(await send({ iss: String(iss), iat: nowS - 30, exp: nowS + 570 })).to.equal(200);
    expect(await send({ iss, iat: nowS - 900, exp: nowS - 300 })).to.equal(401);
    expect(await send({ iss, iat: nowS, exp: nowS + 900 })).to.equal(401);
    expect(await send({ iss, iat: nowS + 300, exp: nowS + 500 })).to.equal(401);
    expect(await send({ iss: 1, iat: nowS, exp: nowS + 500 })).to.equal(404);
    const stranger = await startGithubSimulator();
    expect(await send({ iss, iat: nowS, exp: nowS + 500 }, stranger.apps[0]?.privateKey)).to.equal(401);
    await stranger.close();
    expect((await bare(simulator, 'GET /app', { token: 'a.b.c' })).status).to.equal(401);
  });

  it('answers 404 to one JWT twice in a second, when that fault is on', async () => {
    const [app] = simulator.apps;
    const nowS = Math.floor(Date.now() / 1_000);
    const token = jwt({ iss: app?.id, iat: nowS, exp: nowS + 77 }, app?.privateKey ?? '');
    simulator.faults.set({ identicalJwt: true });
    expect((await bare(simulator, 'GET /app', { token })).status).to.equal(200);
    expect((await bare(simulator, 'GET /app', { token })).status).to.equal(404);
    clock.advance(1_000);
    expect((await bare(simulator, 'GET /app', { token })).status).to.equal(200);
    simulator.faults.clear();
  });

  it('knows what a personal token may do, and what nobody may do without one', async () => {
    const guest = asPerson(simulator, simulator.tokens[1]);
    await guest.repos.get({ owner: 'acme', repo: 'web' });
    await guest.actions.listWorkflowRunsForRepo({ owner: 'acme', repo: 'web' });
    expect(await refusal(guest.actions.listSelfHostedRunnersForOrg({ org: 'acme' }))).to.equal(403);
    expect(await refusal(guest.actions.createRegistrationTokenForRepo({ owner: 'acme', repo: 'web' }))).to.equal(403);
    expect(await refusal(guest.repos.get({ owner: 'globex', repo: 'core' }))).to.equal(404);
    expect((await bare(simulator, 'GET /repos/acme/site')).status).to.equal(200);
    expect((await bare(simulator, 'GET /repos/acme/web')).status).to.equal(404);
    expect((await bare(simulator, 'GET /orgs/acme/actions/runners')).status).to.equal(401);
    expect((await bare(simulator, 'GET /repos/acme/web', { token: 'ghp_wrong' })).status).to.equal(401);
    expect(await refusal(asPerson(simulator).apps.getAuthenticated())).to.equal(401);
  });

  it('forgets every installation token on request', async () => {
    const installation_id = simulator.apps[0]?.installations[0]?.id ?? 0;
    const { data } = await asApp(simulator).apps.createInstallationAccessToken({ installation_id });
    simulator.revokeTokens();
    expect((await bare(simulator, 'GET /installation/repositories', { token: data.token })).status).to.equal(401);
  });
});

function jwt(claims: object, privateKey: string): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${signed}.${createSign('RSA-SHA256').update(signed).sign(privateKey, 'base64url')}`;
}
