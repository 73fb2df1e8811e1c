/** What `shr doctor` says of owners, repositories and runner groups that are not as the registration has them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { type Installation, startInstallation } from './installation.ts';
import { shr } from './process.ts';

const reportSchema = z.object({
  ok: z.boolean(),
  registrations: z.array(
    z.object({
      findings: z.array(
        z.object({ subject: z.string(), ok: z.boolean(), message: z.string(), cure: z.string().optional() }),
      ),
    }),
  ),
});

describe('shr doctor, of what is at GitHub', () => {
  let fixture: Installation;
  afterEach(() => fixture.close());

  async function notOk() {
    const environment = { ...fixture.environment, CLI_TOKEN: 'ghp_known' };
    const { out } = await shr(['doctor', '--json'], fixture.folder, environment);
    const report = reportSchema.parse(JSON.parse(out));
    const bad = report.registrations.flatMap(({ findings }) => findings).filter(({ ok }) => !ok);
    expect(report.ok).to.equal(bad.length === 0);
    for (const { cure } of bad) expect(cure).to.be.a('string');
    return bad;
  }
  const withToken = { tokens: [{ login: 'dev', owners: ['*'], access: 'admin' as const, token: 'ghp_known' }] };
  const token = { credentials: { token: '${env:CLI_TOKEN}' } };

  // J16
  for (const [what, claim, words] of [
    [
      'user account',
      { organization: undefined, runnerGroup: undefined, user: 'nobody-of-that-name' },
      'nobody-of-that-name',
    ],
    ['organization', { organization: 'nobody-of-that-name' }, 'nobody-of-that-name'],
    [
      'repository',
      { organization: undefined, runnerGroup: undefined, repositories: ['acme/gone', 'acme/web'] },
      'acme/gone',
    ],
  ] as const) {
    for (const by of ['a token', 'an App'] as const) {
      it(`says that the ${what} does not exist, to ${by}`, async () => {
        fixture = await startInstallation(withToken);
        await fixture.register('acme', { ...claim, ...(by === 'a token' ? token : {}) });
        const bad = await notOk();
        expect(bad.length).to.be.greaterThan(0);
        expect(bad.map(({ message }) => message).join('\n')).to.include(words);
      });
    }
  }

  it('says whether the defaults of an organization can be read, and what is wrong in them', async () => {
    const owners = [{ login: 'acme', repositories: [{ name: 'web' }, { name: '.github-private' }] }];
    fixture = await startInstallation({ ...withToken, owners });
    const put = (text: string) =>
      fixture.github.putFile({ owner: 'acme', repository: '.github-private', path: 'shr.yaml', text });
    const findings = async () =>
      (await notOk()).filter(({ subject }) => subject === 'organization defaults').map(({ message }) => message);
    await fixture.register('acme', { ...token, organizationDefaults: 'forced' });
    expect(await findings(), 'none is no fault').to.deep.equal([]);
    put('policy: { maxCpuu: 1 }');
    const [broken] = await findings();
    expect(broken).to.include('acme/.github-private/shr.yaml:1:11: policy.maxCpuu');
    await fixture.register('acme', { organizationDefaults: 'forced' });
    const [refused] = (await notOk()).filter(({ subject }) => subject === 'organization defaults');
    expect(refused?.cure, 'the App').to.include('Contents: read');
  });

  it('says whether missed deliveries can be found at GitHub', async () => {
    const permissions = { organization_self_hosted_runners: 'write', actions: 'read', metadata: 'read' } as const;
    fixture = await startInstallation({ ...withToken, apps: [{ installations: [{ account: 'acme', permissions }] }] });
    const findings = async (registration: Readonly<Record<string, unknown>>) => {
      await fixture.register('acme', registration);
      const environment = { ...fixture.environment, CLI_TOKEN: 'ghp_known' };
      const { out } = await shr(['doctor', '--json'], fixture.folder, environment);
      const all = reportSchema.parse(JSON.parse(out)).registrations.flatMap(({ findings: those }) => those);
      return all.filter(({ subject }) => subject === 'redelivery');
    };
    const [absent] = await findings(token);
    expect(absent?.message).to.include('no webhook of acme leads to /webhooks/github/acme');
    fixture.github.addHook({ on: 'acme', url: 'https://shr.example/webhooks/github/acme', secret: 'x' });
    const [found, ...others] = await findings(token);
    expect(found).to.include({ ok: true });
    expect(found?.message).to.include('GitHub shows its log of deliveries (acme)');
    expect(others).to.deep.equal([]);
    const [refused] = await findings({});
    expect(refused?.ok, 'no fault: polling finds the jobs').to.equal(true);
    expect(refused?.cure).to.include('Webhooks (organization): read and write');
    expect(await findings({ ...token, redelivery: false })).to.deep.equal([]);
  });

  it('says that a user account is an organization', async () => {
    fixture = await startInstallation(withToken);
    await fixture.register('acme', { organization: undefined, runnerGroup: undefined, user: 'acme', ...token });
    const [finding] = await notOk();
    expect(finding?.message).to.include('acme is an organization');
    expect(finding?.cure).to.include('`organization: acme`');
  });

  // 05
  it('compares a runner group for selected repositories with the claim', async () => {
    fixture = await startInstallation({
      owners: [
        {
          login: 'acme',
          repositories: [{ name: 'web' }, { name: 'api' }],
          runnerGroups: [{ name: 'ci', visibility: 'selected', repositories: ['api'] }],
        },
      ],
    });
    await fixture.register('acme', { runnerGroup: 'ci' });
    const bad = await notOk();
    expect(bad).to.have.length(1);
    expect(bad[0]?.subject).to.equal('runner group');
    expect(bad[0]?.message).to.include("'ci' does not admit acme/web:").and.not.include('acme/api');
    expect(bad[0]?.cure).to.include('add them to the runner group');
    await fixture.register('acme', { runnerGroup: 'ci', poll: { interval: '5m', repositories: ['acme/api'] } });
    expect(await notOk()).to.deep.equal([]);
  });

  // 09
  it('says that the App sees no repository of the organization', async () => {
    fixture = await startInstallation({
      apps: [{ name: 'cli', installations: [{ account: 'acme', repositories: [] }] }],
    });
    await fixture.register('acme');
    const bad = await notOk();
    expect(bad.map(({ message }) => message).join()).to.include(
      "the App's installation for acme lists no repositories",
    );
  });

  it('says what a 403 lacks, and what to do, each in its place', async () => {
    fixture = await startInstallation({
      apps: [{ name: 'cli', installations: [{ account: 'acme', permissions: { metadata: 'read', actions: 'read' } }] }],
    });
    await fixture.register('acme');
    const runners = (await notOk()).find(({ subject }) => subject === 'runners');
    expect(runners?.message).to.match(/: GitHub answered 403: Resource not accessible by integration$/);
    expect(runners?.cure).to.equal(
      'the App or token lacks a permission: compare its permissions with step 2 of README.md',
    );
  });

  describe('of several Apps that share the load', () => {
    async function withApps(...further: readonly { readonly name: string; readonly account?: string }[]) {
      fixture = await startInstallation({
        apps: [
          { name: 'cli', installations: [{ account: 'acme' }] },
          ...further.map(({ name, account }) => ({
            name,
            installations: account === undefined ? [] : [{ account, repositories: [] }],
          })),
        ],
      });
      const keys = await Promise.all(
        fixture.github.apps.map(async ({ id, privateKey }, index) => {
          await writeFile(join(fixture.folder, `app-${index}.pem`), privateKey, { mode: 0o600 });
          return { id, privateKey: `\${file:app-${index}.pem}` };
        }),
      );
      const [app, ...furtherApps] = keys;
      await fixture.register('acme', {
        runnerGroup: undefined,
        policy: { publicRepositories: true },
        credentials: { app, furtherApps },
      });
      return keys.map(({ id }) => id);
    }

    it('examines each, and names the one that is not as the others are', async () => {
      const [, second, third] = await withApps({ name: 'second' }, { name: 'third', account: 'acme' });
      const bad = (await notOk()).filter(({ subject }) => subject.includes('App'));
      expect(bad.map(({ subject, message }) => `${subject}: ${message}`)).to.deep.equal([
        `credentials of App ${second}: App ${second} is not installed for acme`,
        `repositories of App ${third}: acme: the App's installation for acme lists no repositories: give the App access to those whose jobs are to run here`,
      ]);
    });

    it('goes on with the others where the first is not installed', async () => {
      fixture = await startInstallation({
        apps: [
          { name: 'cli', installations: [] },
          { name: 'second', installations: [{ account: 'acme' }] },
        ],
      });
      const [first, second] = fixture.github.apps;
      await writeFile(join(fixture.folder, 'second.pem'), second?.privateKey ?? '', { mode: 0o600 });
      await fixture.register('acme', {
        credentials: {
          app: { id: first?.id, privateKey: '${file:app.pem}' },
          furtherApps: [{ id: second?.id, privateKey: '${file:second.pem}' }],
        },
      });
      const { out } = await shr(['doctor'], fixture.folder, fixture.environment);
      expect(out).to.match(new RegExp(`^not ok .*App ${first?.id} is not installed for acme`, 'm'));
      expect(out).to.match(new RegExp(`^ok .*App ${second?.id} is installed for acme`, 'm'));
      expect(out).to.match(/^ok .*acme\/web can be read$/m);
      expect(out.match(/ {2}host: /g)).to.have.length(1);
    });
  });

  // 08
  it('goes on with a clock that is wrong, and says by how much', async () => {
    const skewMs = 180_000;
    const clock = {
      now: () => Date.now() - skewMs,
      after: (ms: number, action: () => void) => {
        const timer = setTimeout(action, ms);
        return () => clearTimeout(timer);
      },
    };
    fixture = await startInstallation({ clock });
    await fixture.register('acme', {
      backends: [
        { name: 'here', kind: 'process', options: { command: ['true'], root: join(fixture.folder, 'instances') } },
      ],
    });
    const bad = await notOk();
    expect(bad.map(({ subject }) => subject)).to.deep.equal(['clock']);
    expect(bad[0]?.message).to.match(/^this machine's clock is 1(79|80|81|82) s ahead of GitHub's/);
  });
});
