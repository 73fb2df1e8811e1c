import { expect } from 'chai';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import type { Configuration } from '../../dispatcher/model/registration.ts';
import { ProviderError } from '../../providers/provider.ts';
import { dispatcherYaml, load, provider, registrationYaml } from './files.ts';

async function loaded(files: Readonly<Record<string, string>>): Promise<Configuration> {
  const found = await load(files);
  if (!found.ok) throw new Error(found.problems.map(formatProblem).join('\n'));
  return found.configuration;
}

function admitOf({ dispatcher, registrations, quarantined }: Configuration) {
  const admit = createAdmit(registrations, {
    tenants: dispatcher.tenants,
    setAside: quarantined.flatMap(({ claims }) => (claims === undefined ? [] : [claims])),
  });
  return (repository: string, ...labels: string[]) => {
    const [owner = '', name = ''] = repository.split('/');
    return admit({ host: 'github.com', owner, repository: name, labels, visibility: 'private' });
  };
}

const good = registrationYaml.replace('organization: acme', 'organization: good');

// W10
describe('a registration with a problem is set aside, and no other', () => {
  for (const [what, yaml, expected] of [
    ['not YAML', 'organization: [acme\n', 'registrations/bad.yaml:1:15: the `[` is never closed'],
    ['empty', '', 'registrations/bad.yaml:1:1: the file is empty'],
    ['without its secret', registrationYaml.replace('GITHUB_TOKEN', 'MISSING'), 'the variable MISSING is not set'],
    ['without backends', registrationYaml.replace(/backends:[\s\S]*/, ''), 'backends: it is missing'],
    ['with a typing error', registrationYaml.replace('defaults', 'default'), 'unknown key `default`'],
    ['of an unknown kind', registrationYaml.replace('kind: docker', 'kind: dokker'), 'unknown kind `dokker`'],
  ] as const) {
    it(what, async () => {
      const { registrations, quarantined } = await loaded({
        'registrations/bad.yaml': yaml,
        'registrations/good.yaml': good,
      });
      expect(registrations.map(({ name }) => name)).to.deep.equal(['good']);
      expect(quarantined.map(({ name, file }) => ({ name, file }))).to.deep.equal([
        { name: 'bad', file: '/etc/shr/registrations/bad.yaml' },
      ]);
      expect(quarantined[0]?.problems.map(formatProblem).join('\n')).to.include(expected);
    });
  }

  it('also when its name is wrong', async () => {
    const { registrations, quarantined } = await loaded({
      'registrations/Not_Good.yaml': registrationYaml,
      'registrations/good.yml': registrationYaml,
      'registrations/good.yaml': good,
    });
    expect(registrations.map(({ name }) => name)).to.deep.equal(['good']);
    expect(quarantined.map(({ name }) => name)).to.deep.equal(['Not_Good', 'good.yml']);
  });

  it('also when a provider breaks on it, without showing what it broke on', async () => {
    const found = await load(
      {
        'registrations/bad.yaml': registrationYaml.replace('kind: docker', 'kind: eci'),
        'registrations/good.yaml': good,
      },
      {
        provider: async (kind) => {
          if (kind === 'eci') throw new TypeError('cannot read ghp_of-the-platform');
          return provider(kind);
        },
      },
    );
    expect(found.ok && found.configuration.registrations.map(({ name }) => name)).to.deep.equal(['good']);
    expect(found.problems.map(formatProblem)).to.deep.equal([
      '/etc/shr/registrations/bad.yaml: a bug in the program (TypeError) prevented reading it. Report it with the file, secrets left out.',
    ]);
  });

  it('but a mistake in dispatcher.yaml stops everything', async () => {
    const found = await load({
      'dispatcher.yaml': `${dispatcherYaml}logLevel: loud\n`,
      'registrations/good.yaml': good,
    });
    expect(found.ok).to.equal(false);
  });

  it('fails the whole when no registration is left', async () => {
    const found = await load({ 'registrations/one.yaml': 'a: [', 'registrations/two.yaml': '' });
    expect(found.ok).to.equal(false);
    expect(found.problems).to.have.length(2);
  });

  it('and a dispatcher without any registration starts, as it always did', async () => {
    expect((await load({})).ok).to.equal(true);
  });
});

describe('the jobs of a registration that is set aside', () => {
  const broken = (yaml: string) => `${yaml}maxRunners: 0\n`;
  const wide = registrationYaml;
  const narrow = registrationYaml.replace('organization: acme', 'repositories: [acme/web]');

  it('go to no other registration with a wider claim', async () => {
    const admit = admitOf(
      await loaded({ 'registrations/narrow.yaml': broken(narrow), 'registrations/wide.yaml': wide }),
    );
    expect(admit('acme/web', 'serverless-hosted-runner')).to.deep.equal({
      outcome: 'refused',
      registration: 'narrow',
      code: 'registration-set-aside',
      reason: 'registration `narrow` is set aside: its configuration has problems',
      cure: 'Fix the problems that `shr validate` reports: jobs that still wait are taken within seconds of the file being right.',
    });
    expect(admit('acme/api', 'serverless-hosted-runner').outcome).to.equal('lane');
  });

  it('are not told apart where the claim itself is what is wrong', async () => {
    for (const claim of [
      'repositories: [acme/web, acme]',
      'repositories: [acme/web]\nlabels: [Linux]',
      'repositories: [acme/web]\npriority: high',
      'repositories: [acme/web]\nhost: "https://github.com"',
    ]) {
      const yaml = registrationYaml.replace('organization: acme', claim);
      const { quarantined } = await loaded({ 'registrations/narrow.yaml': yaml, 'registrations/wide.yaml': wide });
      expect(
        quarantined.map(({ claims }) => claims),
        claim,
      ).to.deep.equal([undefined]);
    }
  });

  it('stay those of another tenant that was granted them', async () => {
    const tenants = `${dispatcherYaml}
tenants:
  a: { hosts: [github.com], owners: [acme], labels: [x], runnerGroups: [Default], backendKinds: [docker] }
  b: { hosts: [github.com], owners: [other], labels: [x], runnerGroups: [Default], backendKinds: [docker] }
`;
    const of = (tenant: string, owner: string) =>
      `organization: ${owner}\nlabels: [x]\ncredentials: { token: "\${env:TENANT_${tenant}_TOKEN}" }\ndefaults: { image: a/b }\nbackends: [{ kind: docker }]\n`;
    const found = await load(
      { 'dispatcher.yaml': tenants, 'registrations/a.yaml': of('A', 'acme'), 'registrations/b.yaml': of('B', 'acme') },
      {
        environment: {
          ADMIN_TOKEN: 'x'.repeat(32),
          TENANT_A_TOKEN: 'token-of-tenant-a',
          TENANT_B_TOKEN: 'token-of-tenant-b',
        },
      },
    );
    if (!found.ok) throw new Error(found.problems.map(formatProblem).join('\n'));
    expect(found.configuration.quarantined.map(({ name }) => name)).to.deep.equal(['b']);
    expect(admitOf(found.configuration)('acme/web', 'x')).to.nested.include({
      outcome: 'lane',
      'lane.registration': 'a',
    });
  });
});

describe('two registrations with the same right to some jobs', () => {
  const one = registrationYaml.replace('organization: acme', 'organization: acme\nlabels: [common, one]');
  const two = registrationYaml.replace('organization: acme', 'organization: acme\nlabels: [common, two]');

  it('both serve what is theirs alone; neither takes what both claim', async () => {
    const configuration = await loaded({ 'registrations/one.yaml': one, 'registrations/two.yaml': two });
    expect(configuration.quarantined).to.deep.equal([]);
    expect(configuration.conflicts.map(({ registrations }) => registrations)).to.deep.equal([['one', 'two']]);
    const admit = admitOf(configuration);
    expect(admit('acme/web', 'one')).to.nested.include({ outcome: 'lane', 'lane.registration': 'one' });
    expect(admit('acme/web', 'two')).to.nested.include({ outcome: 'lane', 'lane.registration': 'two' });
    expect(admit('acme/web', 'common')).to.include({ outcome: 'refused', code: 'ambiguous-registration' });
  });

  it('are a problem to `shr validate`, and none that stops the start', async () => {
    const found = await load({ 'registrations/one.yaml': one, 'registrations/two.yaml': two });
    expect(found.ok).to.equal(true);
    expect(found.problems.map(formatProblem).join('\n')).to.include(
      'it conflicts with registration `one`: both claim jobs with the label',
    );
  });

  it('conflict also when one of them is set aside', async () => {
    const configuration = await loaded({
      'registrations/one.yaml': `${one}maxRunners: 0\n`,
      'registrations/two.yaml': two,
    });
    expect(configuration.quarantined.map(({ name }) => name)).to.deep.equal(['one']);
    expect(admitOf(configuration)('acme/web', 'common').outcome).to.equal('refused');
  });
});

// W12
describe('a secret that can be guessed', () => {
  const environment = {
    ADMIN_TOKEN: 'x'.repeat(16),
    GITHUB_TOKEN: 'a-token',
    SHORT: 'x'.repeat(15),
    LONG: 'y'.repeat(16),
  };
  const withWebhook = (name: string) => `webhook: { secrets: ["\${env:${name}}"] }\n${registrationYaml}`;
  const cure =
    'the secret has fewer than 16 characters, and can be guessed. Make a new one with `openssl rand -hex 32`.';

  it('sets aside the registration whose webhook has it', async () => {
    const found = await load(
      { 'registrations/bad.yaml': withWebhook('SHORT'), 'registrations/good.yaml': good },
      { environment },
    );
    expect(found.ok && found.configuration.quarantined.map(({ name }) => name)).to.deep.equal(['bad']);
    expect(found.problems.map(formatProblem).join()).to.include(`bad.yaml:1:22: webhook.secrets[0]: ${cure}`);
    expect(JSON.stringify(found)).to.not.include(environment.SHORT);
  });

  it('stops the start where the platform has it', async () => {
    for (const yaml of [
      'id: a\nadminToken: ${env:SHORT}\n',
      `${dispatcherYaml}webhooks: [{ secrets: ["\${env:LONG}", "\${env:SHORT}"], owners: [acme] }]\n`,
    ]) {
      const found = await load({ 'dispatcher.yaml': yaml, 'registrations/good.yaml': good }, { environment });
      expect(found.ok).to.equal(false);
      expect(found.problems.map(formatProblem).join()).to.include(cure);
    }
  });

  it('may be as long as the limit, or not be here', async () => {
    expect((await load({ 'registrations/good.yaml': withWebhook('LONG') }, { environment })).problems).to.deep.equal(
      [],
    );
    const elsewhere = { environment: { ADMIN_TOKEN: 'x'.repeat(16) }, secrets: 'optional' } as const;
    expect((await load({ 'registrations/good.yaml': withWebhook('LONG') }, elsewhere)).problems).to.deep.equal([]);
  });
});

// T11
describe('a reference that names nothing', () => {
  for (const [reference, expected] of [
    ['${file:}', 'the reference does not name a file. Write ${file:PATH}.'],
    ['${env:}', '`` is not a valid name of a variable. Write ${env:NAME}.'],
  ] as const) {
    it(`is wrong, and not merely absent: ${reference}`, async () => {
      const yaml = registrationYaml.replace('${env:GITHUB_TOKEN}', reference);
      const found = await load(
        { 'registrations/acme.yaml': yaml, 'registrations/good.yaml': good },
        { secrets: 'optional' },
      );
      expect(found.problems.map(({ path, message, cure }) => `${path}: ${message}. ${cure}`)).to.deep.equal([
        `credentials.token: ${expected}`,
      ]);
    });
  }
});

describe('a kind that fails to load is reported', () => {
  it('with the words of the file, not of the program', async () => {
    const found = await load(
      {
        'registrations/acme.yaml': registrationYaml,
        'registrations/good.yaml': good.replace('kind: docker', 'kind: process'),
      },
      { provider: async () => Promise.reject(new ProviderError('invalid', 'provider load', 'nothing of the kind')) },
    );
    expect(found.problems[0]?.message).to.equal('unknown kind `docker`');
  });
});
