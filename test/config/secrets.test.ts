import { inspect } from 'node:util';
import { expect } from 'chai';
import { configured, dispatcherYaml, load, problemsOf, registrationYaml } from './files.ts';

const tenants = `${dispatcherYaml}
credentials:
  shared: { token: "\${env:GITHUB_TOKEN}" }
backends:
  host: { kind: docker, maxRunners: 4 }
shapes:
  small: { cpu: 1 }
  huge: { cpu: 64 }
tenants:
  acme:
    hosts: [github.com]
    owners: [acme]
    labels: [acme-runner]
    runnerGroups: [Default]
    credentials: [shared]
    backends: [host]
    backendKinds: [eci]
    limits: { maxRunners: 5, maxCpu: 8 }
    powers: { images: [ghcr.io/acme/*] }
  acme-labs:
    hosts: [github.com]
    owners: ["*"]
    enterprises: [corp]
    labels: [acme-runner]
    runnerGroups: [Default]
    backendKinds: [docker]
  ops: { trusted: true }
`;

const acme = `
organization: acme
labels: [acme-runner]
credentials: { token: "\${env:TENANT_ACME_TOKEN}" }
defaults: { image: ghcr.io/acme/runner:1, cpu: 2 }
backends: [{ use: host }]
`;

function tenantProblems(yaml: string, name = 'acme'): Promise<readonly string[]> {
  return problemsOf({ 'dispatcher.yaml': tenants, [`registrations/${name}.yaml`]: yaml });
}

describe('secrets in the configuration', () => {
  for (const [what, from, to, path] of [
    ['a token', '${env:GITHUB_TOKEN}', 'ghp_plain', 'credentials.token'],
    [
      'a key of an App',
      'token: ${env:GITHUB_TOKEN}',
      'app: { id: 1, privateKey: "-----BEGIN PRIVATE KEY-----" }',
      'credentials.app.privateKey',
    ],
    [
      'a webhook secret',
      'organization: acme',
      'organization: acme\nwebhook: { secrets: [hunter2] }',
      'webhook.secrets[0]',
    ],
    [
      'an option that is named like one',
      '- kind: docker',
      '- kind: docker\n    options: { accessKeySecret: plain-text-secret }',
      'backends[0].options.accessKeySecret',
    ],
  ] as const) {
    it(`may not stand there in plain text: ${what}`, async () => {
      const problems = await problemsOf({ 'registrations/acme.yaml': registrationYaml.replace(from, to) });
      expect(problems).to.have.length(1);
      expect(problems[0]).to.include(`${path}: it is a secret in plain text`).and.include('${env:NAME}');
      expect(problems[0]).to.not.match(/ghp_plain|hunter2|plain-text-secret/);
    });
  }

  it('may not stand in plain text however deep in the options of a provider', async () => {
    const options = '- kind: docker\n    options: { registries: [{ host: a, login: { password: hunter2 } }] }';
    const problems = await problemsOf({
      'registrations/acme.yaml': registrationYaml.replace('- kind: docker', options),
    });
    expect(problems.join('\n'))
      .to.include('backends[0].options.registries[0].login.password: it is a secret in plain text')
      .and.not.include('hunter2');
  });

  it('may not stand in dispatcher.yaml either', async () => {
    expect(await problemsOf({ 'dispatcher.yaml': 'id: a\nadminToken: a-plain-token-of-some-length\n' })).to.deep.equal([
      'dispatcher.yaml:2:13: adminToken: it is a secret in plain text. Move it into a variable or file, write ${env:NAME} or ${file:PATH} here, and replace the secret: it has been in a file that is copied and shared.',
    ]);
  });

  it('are not meant by a reference of an unknown kind, which names no secret to replace', async () => {
    expect(await problemsOf({ 'dispatcher.yaml': 'id: a\nadminToken: ${fil:secrets/admin-token}\n' })).to.deep.equal([
      'dispatcher.yaml:2:13: adminToken: `${fil:…}` is not a reference. Write ${env:NAME} or ${file:PATH}.',
    ]);
  });

  it('show nowhere: not in JSON, inspection, text or a provider’s complaint', async () => {
    const configuration = await configured({ 'registrations/acme.yaml': registrationYaml });
    const shown = `${JSON.stringify(configuration)}${inspect(configuration, { depth: 10 })}${configuration.dispatcher.adminToken}`;
    expect(shown).to.not.include('ghp_of-the-platform').and.not.include('an-admin-token');
  });

  for (const [reference, expected] of [
    ['${env:MISSING}', 'the variable MISSING is not set. Set MISSING for the dispatcher.'],
    ['${env:}', '`` is not a valid name of a variable'],
    ['${file:secrets/missing}', 'secrets/missing: there is no such file'],
    ['${file:secrets/empty}', 'the file secrets/empty is empty'],
    ['Bearer ${env:GITHUB_TOKEN}', 'a reference must be the whole value'],
  ] as const) {
    it(`must be there: ${reference}`, async () => {
      const yaml = registrationYaml.replace('${env:GITHUB_TOKEN}', reference);
      const problems = await problemsOf({ 'registrations/acme.yaml': yaml, 'secrets/empty': ' \n' });
      expect(problems).to.have.length(1);
      expect(problems[0]).to.include(`credentials.token: ${expected}`);
    });
  }

  it('need not be there to check the rest', async () => {
    const yaml = registrationYaml.replace(
      '- kind: docker',
      '- kind: docker\n    options: { endpoint: "${env:ENDPOINT}" }',
    );
    const loaded = await load({ 'registrations/acme.yaml': yaml }, { environment: {}, secrets: 'optional' });
    expect(loaded.ok).to.equal(true);
    expect(loaded.notes.map(({ path }) => path)).to.deep.equal([
      'adminToken',
      'credentials.token',
      'backends[0].options.endpoint',
    ]);
  });
});

describe('a tenant’s file', () => {
  it('may use what its entry allows', async () => {
    const { registrations } = await configured({
      'dispatcher.yaml': tenants,
      'registrations/acme.yaml': `${acme}policy: { maxCpu: 8, shapes: ["*"] }\nmaxRunners: 5\n`,
      'registrations/acme-labs.yaml': acme
        .replace('use: host', 'kind: docker')
        .replace('TENANT_ACME_TOKEN', 'TENANT_ACME_LABS_TOKEN')
        .replace('organization: acme', 'organization: any'),
      'registrations/ops.yaml': registrationYaml.replace('acme', 'ops'),
    });
    expect(registrations.map(({ name }) => name)).to.deep.equal(['acme-labs', 'acme', 'ops']);
    const [, own] = registrations;
    expect(own?.backends).to.deep.equal([
      { name: 'host', kind: 'docker', region: undefined, options: {}, maxRunners: 4, shared: true },
    ]);
    expect(own?.shapes).to.deep.equal({ small: { cpu: 1 } });
  });

  it('may use credentials of the platform that its entry names', async () => {
    const yaml = acme.replace('token: "${env:TENANT_ACME_TOKEN}"', 'use: shared');
    expect(await tenantProblems(yaml)).to.deep.equal([]);
    expect(
      (
        await tenantProblems(
          yaml.replace('organization: acme', 'organization: x').replace('use: host', 'kind: docker'),
          'acme-labs',
        )
      )[0],
    ).to.include('credentials.use: tenant `acme-labs` was not granted the credentials `shared`');
  });

  for (const [what, from, to, expected] of [
    [
      'a variable of the platform',
      'TENANT_ACME_TOKEN',
      'GITHUB_TOKEN',
      'credentials.token: the variable GITHUB_TOKEN is not this tenant',
    ],
    [
      'a variable of a tenant whose alias begins like its own',
      'TENANT_ACME_TOKEN',
      'TENANT_ACME_LABS_TOKEN',
      'credentials.token: the variable TENANT_ACME_LABS_TOKEN is not this tenant',
    ],
    [
      'a file of the platform',
      '${env:TENANT_ACME_TOKEN}',
      '${file:secrets/admin}',
      'credentials.token: the file secrets/admin is not this tenant',
    ],
    [
      'a file of another tenant',
      '${env:TENANT_ACME_TOKEN}',
      '${file:secrets/acme-labs/token}',
      'credentials.token: the file secrets/acme-labs/token is not this tenant',
    ],
    [
      'a way up and out',
      '${env:TENANT_ACME_TOKEN}',
      '${file:secrets/acme/../admin}',
      'credentials.token: the file secrets/acme/../admin is not this tenant',
    ],
    [
      'an absolute file',
      '${env:TENANT_ACME_TOKEN}',
      '${file:/etc/shr/secrets/acme/token}',
      'credentials.token: the file /etc/shr/secrets/acme/token is not this tenant',
    ],
    [
      'a variable of the platform anywhere else',
      'cpu: 2',
      'cpu: 2, subnet: "${env:GITHUB_TOKEN}"',
      'defaults.subnet: the variable GITHUB_TOKEN is not this tenant',
    ],
    [
      'another owner',
      'organization: acme',
      'organization: other',
      'organization: tenant `acme` was not granted the owner other',
    ],
    [
      'another owner’s repository',
      'organization: acme',
      'repositories: [acme/a, other/b]',
      'repositories[1]: tenant `acme` was not granted the repository other/b',
    ],
    [
      'an enterprise',
      'organization: acme',
      'enterprise: corp\norganizations: [acme]',
      'enterprise: tenant `acme` was not granted the enterprise corp',
    ],
    [
      'another host',
      'organization: acme',
      'organization: acme\nhost: ghes.example',
      'host: tenant `acme` was not granted the host ghes.example',
    ],
    [
      'another API',
      'organization: acme',
      'organization: acme\napiUrl: https://evil.example',
      "apiUrl: a tenant's file may not set it",
    ],
    [
      'a backend of its own kind',
      '{ use: host }',
      '{ kind: docker }',
      'backends[0].kind: tenant `acme` was not granted backends of kind `docker`',
    ],
    [
      'another shared backend',
      '{ use: host }',
      '{ use: other }',
      'backends[0].use: tenant `acme` was not granted the backend `other`',
    ],
    [
      'changes to a shared backend',
      '{ use: host }',
      '{ use: host, options: { endpoint: "http://x" } }',
      'backends[0].options: `options` comes from dispatcher.yaml',
    ],
    [
      'more of a shared backend',
      '{ use: host }',
      '{ use: host, maxRunners: 9 }',
      'backends[0].maxRunners: it is more than the 4 of the backend `host`. Write 4 or less.',
    ],
    [
      'more runners',
      'organization: acme',
      'organization: acme\nmaxRunners: 6',
      'maxRunners: tenant `acme` may not have 6 runners. To grant it, write `tenants.acme.limits.maxRunners: 6` (dispatcher.yaml:21:15).',
    ],
    ['more cores', 'cpu: 2', 'cpu: 9', 'defaults.cpu: tenant `acme` may not have 9 cores'],
    ['cores that the service would choose', ', cpu: 2', '', 'defaults: tenant `acme` has a limit of 8 cores'],
    [
      'more cores by label',
      'organization: acme',
      'organization: acme\npolicy: { maxCpu: 16 }',
      'policy.maxCpu: tenant `acme` may not have 16 cores',
    ],
    [
      'a shape beyond its limits',
      'organization: acme',
      'organization: acme\npolicy: { shapes: [huge] }',
      'policy.shapes[0]: the shape `huge` has 64 cores, which tenant `acme` was not granted',
    ],
  ] as const) {
    it(`cannot reach for ${what}`, async () => {
      if (!acme.includes(from)) throw new Error(`not there: ${from}`);
      const problems = await tenantProblems(acme.replace(from, to));
      expect(problems.join('\n')).to.include(expected);
      expect(problems, problems.join('\n')).to.have.length(1);
    });
  }

  it('must be known to dispatcher.yaml, once that names tenants', async () => {
    expect(await tenantProblems(acme, 'stranger')).to.deep.equal([
      'registrations/stranger.yaml: dispatcher.yaml does not assign this registration to a tenant. Rename it to what a tenant was granted there, or add `tenants.stranger`, or `stranger` to the `registrations` of a tenant (one with `trusted: true` for a registration of the platform itself); where a tenant has no such list yet, its own name goes into it too: `registrations: [TENANT, stranger]`.',
    ]);
  });

  it('gets no more rights from a broken tenants section', async () => {
    const broken = `${dispatcherYaml}tenants: { acme: { ownrs: [acme] } }\n`;
    const files = { 'dispatcher.yaml': broken, 'registrations/acme.yaml': registrationYaml };
    expect((await load(files)).ok).to.equal(false);
    const problems = (await problemsOf(files)).join('\n');
    expect(problems).to.include('tenants.acme.ownrs: unknown key `ownrs`. Did you mean `owners`?');
    expect(problems).to.include('organization: tenant `acme` was not granted the owner acme');
    expect(problems).to.include("credentials.token: the variable GITHUB_TOKEN is not this tenant's");
  });
});

describe('what is written like a reference of the shell or of a workflow', () => {
  for (const [written, shown] of [
    ['$TENANT_WEB_TOKEN', '$NAME'],
    ['${TENANT_WEB_TOKEN}', '${NAME}'],
    ['${{ secrets.TOKEN }}', '${{ … }}'],
  ] as const) {
    it(`is told as that: ${written}`, async () => {
      const file = `organization: acme\ncredentials: { token: "${written}" }\ndefaults: { image: a/b }\nbackends: [{ kind: docker }]\n`;
      const found = await problemsOf({ 'registrations/acme.yaml': file, 'dispatcher.yaml': dispatcherYaml });
      const told = found.filter((line) => line.includes('credentials.token'));
      expect(told).to.have.length(1);
      expect(told[0]).to.include(`\`${shown}\` is not a reference here. Write \${env:NAME}`).and.not.include(written);
    });
  }
});

describe('a default that cannot be read', () => {
  it('is told once, and not as one that is missing', async () => {
    const granted = `${dispatcherYaml}tenants: { acme: { hosts: [github.com], owners: [acme], labels: ["*"], runnerGroups: [Default], backendKinds: [docker], limits: { maxCpu: 8 } } }\n`;
    const file = `organization: acme\ncredentials: { token: "\${env:TENANT_ACME_TOKEN}" }\ndefaults: { image: a/b, cpu: two }\nbackends: [{ kind: docker }]\n`;
    const found = await problemsOf({ 'registrations/acme.yaml': file, 'dispatcher.yaml': granted });
    expect(found.filter((line) => line.includes('defaults'))).to.have.length(1);
    expect(found.join()).to.include('defaults.cpu: ').and.not.include('does not say how much');
  });
});
