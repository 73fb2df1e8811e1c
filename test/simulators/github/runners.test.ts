import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { expect } from 'chai';
import { z } from 'zod';
import { type GithubSimulator, startGithubSimulator } from '../../../simulators/github/index.ts';
import { asInstallation, asPerson, bare, contract, refusal } from './client.ts';
import { register, WireRunner } from './wire-runner.ts';

const rsaSchema = z.record(
  z.enum(['d', 'dp', 'dq', 'exponent', 'inverseQ', 'modulus', 'p', 'q']),
  z.string().regex(/^[A-Za-z0-9+/]+=*$/),
);

/** What the blob puts into the runner's root: texts by file name. */
function filesOf(blob: string): Readonly<Record<string, string>> {
  const files = z.record(z.string(), z.string()).parse(JSON.parse(Buffer.from(blob, 'base64').toString()));
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, Buffer.from(text, 'base64').toString()]),
  );
}

describe('GitHub simulator: runners', () => {
  let simulator: GithubSimulator;
  const org = 'acme';

  beforeEach(async () => {
    simulator = await startGithubSimulator({
      owners: [
        {
          login: 'acme',
          repositories: [{ name: 'web' }],
          runnerGroups: [{ name: 'build', visibility: 'selected', repositories: ['web'] }],
        },
      ],
      enterprises: [{ slug: 'acme-inc', organizations: ['acme'] }],
      tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
    });
  });
  afterEach(() => simulator.close());

  it('registers a JIT runner with exactly the labels that were asked for', async () => {
    const { data, status } = await asInstallation(simulator).actions.generateRunnerJitconfigForOrg({
      org,
      name: 'r-1',
      runner_group_id: 1,
      labels: ['Demo', 'cpu-2'],
    });
    expect(status).to.equal(201);
    expect(data.runner).to.include({ name: 'r-1', status: 'offline', busy: false, runner_group_id: 1 });
    expect(data.runner.labels.map(({ name }) => name)).to.deep.equal(['Demo', 'cpu-2']);
    expect(filesOf(data.encoded_jit_config)).to.include.keys('.runner', '.credentials', '.credentials_rsaparams');
  });

  it('gives it a key that signs, in the eight parts that the listener reads back', async () => {
    const files = filesOf(await register(simulator, { name: 'r-1', labels: ['a'] }));
    const parts = rsaSchema.parse(JSON.parse(files['.credentials_rsaparams'] ?? ''));
    const url = (text: string) => Buffer.from(text, 'base64').toString('base64url');
    const { exponent, inverseQ, modulus, ...same } = parts;
    const jwk = { kty: 'RSA', e: exponent, qi: inverseQ, n: modulus, ...same };
    const key = createPrivateKey({
      key: Object.fromEntries(Object.entries(jwk).map(([name, part]) => [name, name === 'kty' ? part : url(part)])),
      format: 'jwk',
    });
    const text = Buffer.from('a token request');
    expect(verify('sha256', text, createPublicKey(key), sign('sha256', text, key))).to.equal(true);
  });

  it('lists the newest release for each platform, with the checksums that it was given', async () => {
    const sha256 = 'a'.repeat(64);
    const other = await startGithubSimulator({
      owners: [{ login: 'acme', repositories: [{ name: 'web' }] }],
      tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
      runnerRelease: { version: '2.338.1', sha256: { 'linux-x64': sha256 } },
    });
    try {
      const ofOrg = await asPerson(other).actions.listRunnerApplicationsForOrg({ org });
      const ofRepo = await asPerson(other).actions.listRunnerApplicationsForRepo({ owner: 'acme', repo: 'web' });
      expect(ofRepo.data).to.deep.equal(ofOrg.data);
      expect(ofOrg.data.find(({ os, architecture }) => os === 'linux' && architecture === 'x64')).to.deep.equal({
        os: 'linux',
        architecture: 'x64',
        download_url:
          'https://github.com/actions/runner/releases/download/v2.338.1/actions-runner-linux-x64-2.338.1.tar.gz',
        filename: 'actions-runner-linux-x64-2.338.1.tar.gz',
        sha256_checksum: sha256,
      });
      expect(ofOrg.data.find(({ architecture }) => architecture === 'arm64')).to.not.have.property('sha256_checksum');
    } finally {
      await other.close();
    }
  });

  it('works at repository and enterprise scope too, each with its own names', async () => {
    await register(simulator, { name: 'same', labels: ['a'] });
    await register(simulator, { name: 'same', labels: ['a'], scope: { owner: 'acme', repo: 'web' } });
    await register(simulator, { name: 'same', labels: ['a'], scope: { enterprise: 'acme-inc' } });
    const scopes = simulator.runners().map(({ scope }) => scope);
    expect(scopes).to.deep.equal(['orgs/acme', 'repos/acme/web', 'enterprises/acme-inc']);
    const { data } = await asPerson(simulator).request('GET /enterprises/{enterprise}/actions/runners', {
      enterprise: 'acme-inc',
    });
    expect(data.total_count).to.equal(1);
  });

  it('refuses an App at enterprise scope', async () => {
    const call = asInstallation(simulator).request('GET /enterprises/{enterprise}/actions/runners', {
      enterprise: 'acme-inc',
    });
    expect(await refusal(call)).to.equal(403);
  });

  it('refuses a name that exists with 409, whatever its case', async () => {
    await register(simulator, { name: 'taken', labels: ['a'] });
    expect(await refusal(register(simulator, { name: 'TAKEN', labels: ['a'] }))).to.equal(409);
  });

  it('refuses an unknown runner group with 404', async () => {
    expect(await refusal(register(simulator, { name: 'lost', labels: ['a'], group: 77 }))).to.equal(404);
    const atRepository = { owner: 'acme', repo: 'web' };
    expect(await refusal(register(simulator, { name: 'lost', labels: ['a'], group: 2, scope: atRepository }))).to.equal(
      404,
    );
  });

  it('refuses bad input with 422', async () => {
    const send = async (body: object) =>
      (
        await bare(simulator, 'POST /orgs/acme/actions/runners/generate-jitconfig', {
          token: simulator.tokens[0],
          body,
        })
      ).status;
    const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `label-${index}`);
    expect(await send({ name: 'r', runner_group_id: 1, labels: [] })).to.equal(422);
    expect(await send({ name: 'r', runner_group_id: 1, labels: many(101) })).to.equal(422);
    expect(await send({ name: 'r', labels: ['a'] })).to.equal(422);
    expect(await send({ runner_group_id: 1, labels: ['a'] })).to.equal(422);
    expect(await send({ name: 'r', runner_group_id: 1, labels: many(100) })).to.equal(201);
  });

  it('lists in pages, and by name', async () => {
    for (let index = 0; index < 5; index += 1) await register(simulator, { name: `r-${index}`, labels: ['a'] });
    const octokit = asPerson(simulator);
    const all = await octokit.paginate(octokit.actions.listSelfHostedRunnersForOrg, { org, per_page: 2 });
    expect(all.map(({ name }) => name)).to.deep.equal(['r-0', 'r-1', 'r-2', 'r-3', 'r-4']);
    const page = await octokit.actions.listSelfHostedRunnersForOrg({ org, per_page: 2, page: 2 });
    expect(page.headers.link).to.match(
      /page=1>; rel="prev".*page=3>; rel="next".*page=3>; rel="last".*page=1>; rel="first"/,
    );
    const { data } = await octokit.actions.listSelfHostedRunnersForOrg({ org, name: 'R-3' });
    expect(data.runners.map(({ name }) => name)).to.deep.equal(['r-3']);
  });

  it('shows a runner online once it has connected', async () => {
    await WireRunner.connect(simulator, { name: 'here', labels: ['a'] });
    const [runner] = simulator.runners();
    const { data } = await asPerson(simulator).actions.getSelfHostedRunnerForOrg({ org, runner_id: runner?.id ?? 0 });
    expect(data).to.include({ status: 'online', os: 'Linux', busy: false });
  });

  it('deletes an idle runner once, and tells the runner', async () => {
    const runner = await WireRunner.connect(simulator, { name: 'idle', labels: ['a'] });
    const runner_id = simulator.runners()[0]?.id ?? 0;
    const octokit = asPerson(simulator);
    const waiting = runner.poll(20);
    expect((await octokit.actions.deleteSelfHostedRunnerFromOrg({ org, runner_id })).status).to.equal(204);
    expect(await waiting).to.equal('gone');
    expect(await refusal(octokit.actions.deleteSelfHostedRunnerFromOrg({ org, runner_id }))).to.equal(404);
    expect(await refusal(octokit.actions.getSelfHostedRunnerForOrg({ org, runner_id }))).to.equal(404);
  });

  const yaml = 'jobs: { only: { runs-on: [a], steps: [{ run: "true" }] } }';

  it('refuses to delete a runner that runs a job with 422', async () => {
    const runner = await WireRunner.connect(simulator, { name: 'busy', labels: ['a'] });
    simulator.pushWorkflow({ owner: 'acme', repository: 'web', yaml });
    await runner.take();
    const runner_id = simulator.runners()[0]?.id ?? 0;
    const octokit = asPerson(simulator);
    expect((await octokit.actions.getSelfHostedRunnerForOrg({ org, runner_id })).data.busy).to.equal(true);
    expect(await refusal(octokit.actions.deleteSelfHostedRunnerFromOrg({ org, runner_id }))).to.equal(422);
  });

  it('with the stale-busy fault says idle and lets a DELETE through, while the job goes on to its end', async () => {
    simulator.faults.set({ staleBusy: true });
    const runner = await WireRunner.connect(simulator, { name: 'busy', labels: ['a'] });
    simulator.pushWorkflow({ owner: 'acme', repository: 'web', yaml });
    await runner.take();
    const runner_id = simulator.runners()[0]?.id ?? 0;
    const octokit = asPerson(simulator);
    expect((await octokit.actions.getSelfHostedRunnerForOrg({ org, runner_id })).data.busy).to.equal(false);
    await octokit.actions.deleteSelfHostedRunnerFromOrg({ org, runner_id });
    expect(await runner.say('beat')).to.equal('ok');
    expect(await runner.finish()).to.equal('end success');
    expect(simulator.jobs()[0]?.conclusion).to.equal('success');
  });

  it('lists, makes and shows runner groups', async () => {
    const octokit = asPerson(simulator);
    const { data } = await octokit.request('GET /orgs/{org}/actions/runner-groups', { org });
    expect(data.runner_groups.map(({ name, id }) => [name, id === 1])).to.deep.equal([
      ['Default', true],
      ['build', false],
    ]);
    const made = await octokit.request('POST /orgs/{org}/actions/runner-groups', { org, name: 'deploy' });
    const again = octokit.request('POST /orgs/{org}/actions/runner-groups', { org, name: 'Deploy' });
    expect(await refusal(again)).to.equal(409);
    await register(simulator, { name: 'grouped', labels: ['a'], group: made.data.id });
    expect(simulator.runners()[0]?.group).to.equal('deploy');
    const enterprise = await octokit.request('GET /enterprises/{enterprise}/actions/runner-groups', {
      enterprise: 'acme-inc',
    });
    expect(enterprise.data.total_count).to.equal(1);
  });

  it('changes labels, and gives registration and remove tokens', async () => {
    await register(simulator, { name: 'r', labels: ['a'] });
    const runner_id = simulator.runners()[0]?.id ?? 0;
    const octokit = asPerson(simulator);
    await octokit.actions.addCustomLabelsToSelfHostedRunnerForOrg({ org, runner_id, labels: ['b'] });
    const { data } = await octokit.actions.listLabelsForSelfHostedRunnerForOrg({ org, runner_id });
    expect(data.labels.map(({ name }) => name)).to.deep.equal(['a', 'b']);
    await octokit.actions.setCustomLabelsForSelfHostedRunnerForOrg({ org, runner_id, labels: ['c'] });
    expect(simulator.runners()[0]?.labels).to.deep.equal(['c']);
    expect((await octokit.actions.createRegistrationTokenForOrg({ org })).status).to.equal(201);
    expect((await octokit.actions.createRemoveTokenForRepo({ owner: 'acme', repo: 'web' })).status).to.equal(201);
  });

  it('answers 404 to generate-jitconfig where it plays an old GHES', async () => {
    const old = await startGithubSimulator({ jit: false, tokens: [{ login: 'root', owners: ['*'], access: 'admin' }] });
    expect(await refusal(register(old, { name: 'r', labels: ['a'] }))).to.equal(404);
    await old.close();
  });

  it("had its replies judged by GitHub's API description", function () {
    if (!contract) return this.skip();
    expect(contract.judged).to.be.greaterThan(10);
  });
});
