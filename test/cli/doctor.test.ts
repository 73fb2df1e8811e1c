import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { checkIntake } from '../../dispatcher/cli/doctor/intake.ts';
import type { WebhookEndpoint } from '../../dispatcher/model/registration.ts';
import { playEngine } from '../docker/played-engine.ts';
import { registration } from '../registration-fixture.ts';
import { RegistryServer } from '../registry-server.ts';
import { type Installation, startInstallation, WEBHOOK_SECRET } from './installation.ts';
import { type Ended, shr } from './process.ts';

const reportSchema = z.object({
  ok: z.boolean(),
  registrations: z.array(
    z.object({
      name: z.string(),
      findings: z.array(
        z.object({
          about: z.string(),
          subject: z.string(),
          ok: z.boolean(),
          note: z.literal(true).optional(),
          message: z.string(),
          cure: z.string().optional(),
        }),
      ),
    }),
  ),
  problems: z.array(z.unknown()),
});
type Finding = z.infer<typeof reportSchema>['registrations'][number]['findings'][number];

/** A GitHub that answers everything alike, for headers that the simulator does not send. */
async function answering(
  headers: Readonly<Record<string, string>> | (() => Readonly<Record<string, string>>),
  status = 200,
): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer((_, response) => {
    const own = typeof headers === 'function' ? headers() : headers;
    response.writeHead(status, { 'content-type': 'application/json', ...own });
    response.end(JSON.stringify({ message: 'Bad credentials', total_count: 0, runners: [], resources: {} }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}`, server };
}

describe('shr doctor', () => {
  let fixture: Installation;
  const servers: { close(): unknown }[] = [];

  afterEach(async () => {
    await fixture.close();
    for (const server of servers.splice(0)) await server.close();
  });

  const doctor = (...args: string[]): Promise<Ended> => shr(['doctor', ...args], fixture.folder, fixture.environment);

  /** Of the organization, leading to the registration's endpoint. */
  const addHook = (): unknown =>
    fixture.github.addHook({ on: 'acme', url: 'https://shr.example/webhooks/github/acme', secret: 'x' });

  /** The findings of the one registration, asked for as JSON. */
  async function findings(): Promise<{ readonly code: number | null; readonly all: readonly Finding[] }> {
    const ended = await doctor('--json');
    const report = reportSchema.parse(JSON.parse(ended.out));
    expect(report.ok).to.equal(ended.code === 0);
    return { code: ended.code, all: report.registrations.flatMap((registration) => registration.findings) };
  }

  async function notOk(): Promise<readonly Finding[]> {
    const { code, all } = await findings();
    expect(code).to.equal(1);
    return all.filter(({ ok }) => !ok);
  }

  it('finds nothing to complain of in a fixture that is in order, one line a finding', async () => {
    fixture = await startInstallation();
    addHook();
    await fixture.register('acme');
    const { code, out, error } = await doctor();
    expect({ code, error }).to.deep.equal({ code: 0, error: '' });
    const lines = out.trimEnd().split('\n');
    expect(lines[0]).to.match(/^ok {6}dispatcher {2}ledger {2}disk: \d+ MiB free for .*ledger\.db$/);
    const amiss = lines.slice(0, -1).filter((line) => !/^ok {6}(?:dispatcher|acme) {2}/.test(line));
    expect(amiss).to.deep.equal([]);
    for (const subject of [
      'github  host',
      'github  clock',
      'github  credentials',
      'github  permissions',
      'github  runners',
      'github  runner group',
      'github  exposure',
      'webhook  endpoint',
      'backend here  engine',
      'backend here  image',
    ]) {
      expect(out).to.include(`ok      acme  ${subject}: `);
    }
    expect(lines.at(-1)).to.equal(`1 registration, ${lines.length - 1} findings, 0 not ok, 0 notes`);
  });

  it('says of each image that jobs can get whether it is there, and shows no login', async () => {
    fixture = await startInstallation();
    const registry = await RegistryServer.start({ user: { username: 'acme', password: 'p4ss-of-the-test' } });
    const engine = await playEngine(join(fixture.folder, 'engine.sock'));
    servers.push(engine, registry);
    registry.addIndex('acme/runner', '1', ['amd64', 'arm64']);
    registry.addIndex('acme/runner', 'arm', ['arm64']);
    const at = `${registry.server}/acme/runner`;
    await fixture.register('acme', {
      defaults: { image: `${at}:1`, cpu: 1, memoryGiB: 1 },
      images: { old: `${at}:0`, arm: `${at}:arm`, far: '127.0.0.1:9/acme/runner:1' },
      backends: [
        {
          name: 'box',
          kind: 'docker',
          options: {
            socketPath: join(fixture.folder, 'engine.sock'),
            architecture: 'x64',
            registryAuth: { server: registry.server, username: 'acme', password: '${env:CLI_REGISTRY_PASSWORD}' },
          },
        },
      ],
    });
    const environment = { ...fixture.environment, CLI_REGISTRY_PASSWORD: 'p4ss-of-the-test' };
    const { code, out, error } = await shr(['doctor'], fixture.folder, environment);
    expect(code).to.equal(1);
    expect(out).to.include(`ok      acme  backend box  image: ${at}:1 is there, for x64, arm64\n`);
    expect(out).to.include(`not ok  acme  backend box  image: ${at}:0 is not there, says ${registry.server}`);
    expect(out).to.include(`not ok  acme  backend box  image: ${at}:arm is there for arm64, not for x64. Cure: build`);
    expect(out).to.include('note    acme  backend box  image: 127.0.0.1:9/acme/runner:1 was not checked: ');
    expect(out + error).to.not.match(/of-the-test|token-/);
  });

  it('registers no runner and starts nothing', async () => {
    fixture = await startInstallation();
    await fixture.register('acme');
    await doctor();
    expect(fixture.github.runners()).to.deep.equal([]);
  });

  it('says where the App is not installed, and the cure', async () => {
    fixture = await startInstallation({ apps: [{ name: 'cli', installations: [] }] });
    await fixture.register('acme');
    const [finding, ...more] = await notOk();
    expect(more).to.deep.equal([]);
    expect(finding).to.include({ about: 'github', subject: 'credentials' });
    expect(finding?.message).to.include('is not installed for acme');
    expect(finding?.cure).to.include(
      "compare `credentials.app.id` with the App's page; if it is right, install it from",
    );
  });

  it('names the permission that the App was not granted', async () => {
    fixture = await startInstallation({
      apps: [
        {
          name: 'cli',
          installations: [
            { account: 'acme', permissions: { metadata: 'read', organization_self_hosted_runners: 'read' } },
          ],
        },
      ],
    });
    await fixture.register('acme');
    const [finding, ...more] = await notOk();
    expect(more).to.deep.equal([]);
    expect(finding?.message).to.equal('the App was not granted organization_self_hosted_runners: write, actions: read');
  });

  it('does not take the key of another App', async () => {
    fixture = await startInstallation({
      apps: [
        { name: 'cli', installations: [{ account: 'acme' }] },
        { name: 'other', installations: [{ account: 'acme' }] },
      ],
    });
    const other = fixture.github.apps[1];
    await fixture.register('acme', { credentials: { app: { id: other?.id, privateKey: '${file:app.pem}' } } });
    const [finding, ...more] = await notOk();
    expect(more).to.deep.equal([]);
    expect(finding?.message).to.include(`GitHub does not take App ${other?.id}`);
  });

  it('takes a token that reaches the organization, and refuses one that GitHub does not know', async () => {
    fixture = await startInstallation({
      tokens: [{ login: 'dev', owners: ['acme'], access: 'admin', token: 'ghp_known' }],
    });
    await fixture.register('acme', { credentials: { token: '${env:CLI_TOKEN}' } });
    const withToken = (token: string) => shr(['doctor'], fixture.folder, { ...fixture.environment, CLI_TOKEN: token });
    const known = await withToken('ghp_known');
    expect(known.code).to.equal(0);
    expect(known.out).to.include('the personal access token is valid');
    const unknown = await withToken('ghp_unknown');
    expect(unknown.code).to.equal(1);
    expect(unknown.out).to.match(
      /^not ok {2}acme {2}github {2}credentials: GitHub answers 401 .* Cure: make a new token/m,
    );
    expect(known.out + known.error + unknown.out + unknown.error).to.not.match(/ghp_/);
  });

  it('names the scope that a classic token lacks, and a token that ends soon', async () => {
    fixture = await startInstallation();
    const end = new Date(Date.now() + 3.5 * 86_400_000).toISOString().slice(0, 19).replace('T', ' ');
    const { url, server } = await answering({
      'x-oauth-scopes': 'repo, gist',
      'github-authentication-token-expiration': `${end} UTC`,
    });
    servers.push(server);
    await fixture.register('acme', { apiUrl: url, credentials: { token: '${env:CLI_WEBHOOK_SECRET}' } });
    const messages = (await notOk()).map(({ message }) => message);
    expect(messages[0]).to.match(/^the personal access token ends on \d{4}-\d\d-\d\d, in 3 days$/);
    expect(messages[1]).to.equal('the token lacks the scope admin:org; it has repo, gist');
  });

  it('does not claim to have checked the permissions of a fine-grained token', async () => {
    fixture = await startInstallation();
    const { url, server } = await answering({});
    servers.push(server);
    await fixture.register('acme', { apiUrl: url, credentials: { token: '${env:CLI_WEBHOOK_SECRET}' } });
    const { out } = await doctor();
    expect(out).to.match(/^note {4}acme {2}github {2}permissions: were not checked: .*Self-hosted runners: write/m);
  });

  it('sees that the clock is wrong', async () => {
    fixture = await startInstallation();
    const { url, server } = await answering(() => ({ date: new Date(Date.now() + 600_000).toUTCString() }));
    servers.push(server);
    await fixture.register('acme', { apiUrl: url, credentials: { token: '${env:CLI_WEBHOOK_SECRET}' } });
    const startedAtMs = Date.now();
    const clock = (await notOk()).find(({ subject }) => subject === 'clock');
    // How far an answer is off is known but for the time that it took, and for the second that the header leaves out.
    const unsureS = 1 + Math.ceil((Date.now() - startedAtMs) / 1000);
    const [, seconds] = /^this machine's clock is (\d+) s behind GitHub's/.exec(clock?.message ?? '') ?? [];
    expect(Number(seconds), clock?.message).to.be.within(600 - unsureS, 600 + unsureS);
    expect(clock?.cure).to.include('NTP');
  });

  it('says that the host does not answer, and looks at the rest all the same', async () => {
    fixture = await startInstallation();
    await fixture.register('acme', { apiUrl: 'http://127.0.0.1:9' });
    const { code, all } = await findings();
    expect(code).to.equal(1);
    expect(all.filter(({ ok }) => !ok).map(({ about, subject }) => `${about} ${subject}`)).to.deep.equal([
      'github host',
    ]);
    expect(all.some(({ about, ok }) => about === 'backend here' && ok)).to.equal(true);
  });

  it('says that the runner group is not there', async () => {
    fixture = await startInstallation();
    await fixture.register('acme', { runnerGroup: 'cloud' });
    const [finding, ...more] = await notOk();
    expect(more).to.deep.equal([]);
    expect(finding).to.include({ subject: 'runner group' });
    expect(finding?.message).to.include("there is no runner group 'cloud'");
  });

  it('says when nothing keeps public repositories from the runners', async () => {
    fixture = await startInstallation({
      owners: [
        {
          login: 'acme',
          repositories: [{ name: 'web' }],
          runnerGroups: [{ name: 'open', allowsPublicRepositories: true }, { name: 'closed' }],
        },
      ],
    });
    await fixture.register('acme', { runnerGroup: 'open' });
    const [finding, ...more] = await notOk();
    expect(more).to.deep.equal([]);
    expect(finding).to.include({ subject: 'exposure' });
    expect(finding?.message).to.include("neither the runner group 'open' nor the hook");
    expect(finding?.cure).to.include("untick 'Allow public repositories'");
    await fixture.platform({ listen: { public: { url: 'https://shr.acme.example' } } });
    await fixture.register('acme', { runnerGroup: 'open', requireHook: true });
    const held = (await findings()).all.find(({ subject }) => subject === 'exposure');
    expect(held).to.include({ ok: true, note: true });
    expect(held?.message).to.include('the hook in the runner alone stops them');
    await fixture.platform({});
    await fixture.register('acme', { runnerGroup: 'closed', policy: { publicRepositories: true } });
    expect((await notOk())[0]?.message).to.include('their jobs wait forever');
    await fixture.register('acme', { runnerGroup: 'closed' });
    expect((await findings()).code).to.equal(0);
  });

  it('finds nothing to restrict where runners register at single repositories', async () => {
    fixture = await startInstallation();
    await fixture.register('acme', { organization: undefined, runnerGroup: undefined, repositories: ['acme/web'] });
    const { code, all } = await findings();
    expect(code).to.equal(0);
    expect(all.find(({ subject }) => subject === 'exposure')?.message).to.include('single repositories');
    expect(all.find(({ subject }) => subject === 'runners')?.message).to.equal('can be read at repos/acme/web');
  });

  it("looks at an enterprise's runners with a token", async () => {
    fixture = await startInstallation({
      enterprises: [{ slug: 'big', organizations: ['acme'] }],
      tokens: [{ login: 'dev', owners: ['*'], access: 'admin', token: 'ghp_known' }],
    });
    await fixture.register('acme', {
      organization: undefined,
      runnerGroup: undefined,
      enterprise: 'big',
      organizations: ['acme'],
      credentials: { token: '${env:CLI_TOKEN}' },
    });
    const { out } = await shr(['doctor'], fixture.folder, { ...fixture.environment, CLI_TOKEN: 'ghp_known' });
    expect(out).to.include('ok      acme  github  runners: can be read at enterprises/big');
    expect(out).to.include("ok      acme  github  runner group: 'Default' of enterprises/big is there");
  });

  it("takes the App's installation at a user account for its repositories'", async () => {
    fixture = await startInstallation({
      owners: [{ login: 'octocat', type: 'User', repositories: [{ name: 'cat' }] }],
      apps: [{ name: 'cli', installations: [{ account: 'octocat' }] }],
    });
    await fixture.register('cats', { organization: undefined, runnerGroup: undefined, user: 'octocat' });
    const { code, all } = await findings();
    expect(code).to.equal(0);
    expect(all.find(({ subject }) => subject === 'credentials')?.message).to.include('is installed for octocat');
    expect(all.find(({ subject }) => subject === 'exposure')?.message).to.include('single repositories');
  });

  it('is content with polling alone', async () => {
    fixture = await startInstallation();
    await fixture.register('acme', { webhook: undefined });
    const { code, all } = await findings();
    expect(code).to.equal(0);
    expect(all.find(({ about }) => about === 'webhook')?.message).to.equal('no webhook; polled every 30s');
  });

  it('sees that the App behind the shared endpoint does not subscribe to jobs', async () => {
    fixture = await startInstallation({
      apps: [
        {
          name: 'cli',
          installations: [{ account: 'acme' }],
          webhook: { url: 'http://127.0.0.1:9/', events: ['push'] },
        },
      ],
    });
    await fixture.platform({
      webhooks: [{ appId: fixture.github.apps[0]?.id, secrets: ['${env:CLI_WEBHOOK_SECRET}'], owners: ['acme'] }],
    });
    await fixture.register('acme', { webhook: undefined });
    const [finding, ...more] = await notOk();
    expect(more).to.deep.equal([]);
    expect(finding?.message).to.include('does not subscribe to workflow_job');
  });

  it("passes on a backend's findings with their cure, each backend's own", async () => {
    fixture = await startInstallation();
    const backend = (name: string, command: string) => ({
      name,
      kind: 'process',
      options: { command: [command], root: join(fixture.folder, 'instances') },
    });
    addHook();
    await fixture.register('acme', { backends: [backend('good', 'sh'), backend('bad', '/no/such/program')] });
    const { code, out } = await doctor();
    expect(code).to.equal(1);
    expect(out).to.match(/^not ok {2}acme {2}backend bad {2}image: .*\/no\/such\/program.*\. Cure: install it/m);
    expect(out).not.to.match(/\.\. Cure/);
    expect(out).to.match(/^ok {6}acme {2}backend good {2}image: /m);
    expect(out).to.match(/ 1 not ok, 0 notes\n$/);
  });

  it('examines only what it is asked for, and knows what there is', async () => {
    fixture = await startInstallation();
    await fixture.register('acme');
    await fixture.register('other', { backends: [{ name: 'x', kind: 'process', options: { command: ['/no/such'] } }] });
    const one = await doctor('--registration', 'acme');
    expect(one.code).to.equal(0);
    expect(one.out).to.not.include('other');
    const wrong = await doctor('--registration', 'acne');
    expect(wrong).to.include({ code: 2, out: '' });
    expect(wrong.error).to.include("there is no registration 'acne'; did you mean 'acme'?");
    expect((await doctor()).code).to.equal(1);
  });

  it('says which secret is not there, and examines the rest', async () => {
    fixture = await startInstallation();
    addHook();
    await fixture.register('acme');
    const { code, out } = await shr(['doctor'], fixture.folder, { CLI_ADMIN_TOKEN: 'x'.repeat(40) });
    expect(code).to.equal(1);
    expect(out).to.match(/^not ok {2}registrations\/acme\.yaml:\d+:\d+: webhook/m);
    expect(out).to.match(/^ok {6}acme {2}github {2}credentials: /m);
    // Each line that it prints, and the sum below them.
    const lines = out.trimEnd().split('\n').length - 1;
    expect(out.endsWith(`\n1 registration, ${lines} findings, 1 not ok, 0 notes\n`), out).to.equal(true);
  });

  it('never prints a secret', async () => {
    fixture = await startInstallation();
    await fixture.register('acme', { credentials: { token: '${env:CLI_WEBHOOK_SECRET}' } });
    const { out, error } = await doctor('--json');
    expect(out + error).to.not.include(WEBHOOK_SECRET);
  });
});

describe('the way in, as the doctor sees it', () => {
  const endpoint = (changes: Partial<WebhookEndpoint>): WebhookEndpoint => ({
    host: 'github.com',
    appId: undefined,
    secrets: [],
    owners: ['acme'],
    ...changes,
  });
  const judge = (changes: Parameters<typeof registration>[0], ...webhooks: readonly WebhookEndpoint[]) =>
    checkIntake(registration(changes), { webhooks }, undefined);
  const silent = { poll: { intervalMs: null, repositories: [] } };

  it('is missing without webhook and poll', () => {
    const [finding, ...more] = judge(silent);
    expect(more).to.deep.equal([]);
    expect(finding).to.include({ about: 'webhook', subject: 'endpoint', ok: false });
  });

  it('is the shared endpoint where that covers the owner on the same host', () => {
    expect(judge(silent, endpoint({}))[0]).to.include({ ok: true });
    expect(judge(silent, endpoint({ owners: ['*'] }))[0]).to.include({ ok: true });
    expect(judge(silent, endpoint({ owners: ['ACME'] }))[0]).to.include({ ok: true });
    expect(judge(silent, endpoint({ owners: ['other'] }))[0]).to.include({ ok: false });
    expect(judge(silent, endpoint({ host: 'ghes.example' }))[0]).to.include({ ok: false });
  });

  it('is covered by several webhooks together', () => {
    const claim = { kind: 'enterprise', enterprise: 'big', organizations: ['acme', 'labs'] } as const;
    expect(judge({ ...silent, claim }, endpoint({}))[0]).to.include({ ok: false });
    expect(judge({ ...silent, claim }, endpoint({}), endpoint({ owners: ['labs'] }))[0]).to.include({ ok: true });
  });
});
