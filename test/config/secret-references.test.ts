import { inspect } from 'node:util';
import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import { inspectConfiguration, type Loaded, loadConfiguration } from '../../dispatcher/config/load.ts';
import { SecretValues } from '../../dispatcher/config/secret-values.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import { loadProvider } from '../../providers/index.ts';
import { demo, type SecretStoresSimulator, startSecretStores } from '../../simulators/secret-stores/index.ts';
import { systemClock } from '../../time/clock.ts';
import { dispatcherYaml, provider as inMemory, load, registrationYaml, sourcesOf } from './files.ts';

const VALUE = 'ghp_a-secret-value-of-the-store';
const OWN = {
  tenantId: demo.tenantId,
  clientId: '12121212-3434-4565-8787-909090909090',
  clientSecret: 'own~secret-of-acme',
};
const MACHINE = {
  AZURE_TENANT_ID: demo.tenantId,
  AZURE_CLIENT_ID: demo.clientId,
  AZURE_CLIENT_SECRET: demo.clientSecret,
};
const REFERENCE = '${azure-key-vault:acme/token}';
const grant = {
  hosts: ['github.com'],
  owners: ['acme'],
  labels: ['*'],
  runnerGroups: ['Default'],
  backendKinds: ['docker', 'azure-aci'],
};

const provider = (kind: string) => (kind === 'azure-aci' ? loadProvider(kind) : inMemory(kind));

let stores: SecretStoresSimulator;
let values: SecretValues;

beforeEach(async () => {
  const clients = [
    { id: demo.clientId, secret: demo.clientSecret },
    { id: OWN.clientId, secret: OWN.clientSecret },
  ];
  stores = await startSecretStores({ clients });
  stores.vaults.put('acme.vault.azure.net/token', VALUE);
  values = new SecretValues({ clock: systemClock, random: () => 0.5, fetch: stores.fetch, environment: MACHINE });
});
afterEach(() => stores.close());

function azure(credentials: unknown, more: Readonly<Record<string, unknown>> = {}): unknown {
  return {
    kind: 'azure-aci',
    options: {
      subscriptionId: demo.tenantId,
      resourceGroup: 'runners',
      location: 'westeurope',
      credentials,
      ...more,
    },
  };
}

const own = azure({ kind: 'secret', ...OWN, clientSecret: '${env:TENANT_ACME_AZURE}' });

function registration(token: string, backends: readonly unknown[] = [own], more: object = {}): string {
  return stringify({ ...parse(registrationYaml), credentials: { token }, backends, ...more });
}

const environment = { ...sourcesOf({}).environment, TENANT_ACME_AZURE: OWN.clientSecret };

function loaded(text: string, tenants?: object, secretValues: SecretValues | undefined = values): Promise<Loaded> {
  const platform = tenants === undefined ? dispatcherYaml : dispatcherYaml + stringify({ tenants });
  const files = { 'dispatcher.yaml': platform, 'registrations/acme.yaml': text };
  return load(files, { environment, provider, ...(secretValues === undefined ? {} : { secretValues }) });
}

async function tokenOf(text: string, tenants?: object): Promise<string | undefined> {
  const found = await loaded(text, tenants);
  expect(found.problems.map(formatProblem)).to.deep.equal([]);
  if (!found.ok) throw new Error('not loaded');
  const credentials = found.configuration.registrations[0]?.credentials;
  return credentials?.kind === 'token' ? credentials.token.reveal() : undefined;
}

async function problem(text: string, tenants?: object): Promise<string> {
  const found = await loaded(text, tenants);
  expect(inspect(found, { depth: 20 })).not.to.include(VALUE);
  const lines = found.problems.map(formatProblem);
  expect(lines, lines.join('\n')).to.have.length(1);
  return lines[0] ?? '';
}

const askedVault = () => stores.calls.some((call) => call.includes('vault.azure.net'));

describe('a secret in a cloud’s own store', () => {
  it('is read with the key of the registration’s own backend of that cloud', async () => {
    stores.vaults.allow('acme.vault.azure.net/token', OWN.clientId);
    expect(await tokenOf(registration(REFERENCE), { acme: grant })).to.equal(VALUE);
    expect(await tokenOf(registration(REFERENCE))).to.equal(VALUE);
  });

  it('is read by the dispatcher’s own identity in a file of the platform without such a backend', async () => {
    stores.vaults.allow('acme.vault.azure.net/token', demo.clientId);
    expect(await tokenOf(registration(REFERENCE, [{ kind: 'docker' }]))).to.equal(VALUE);
    const trusted = { platform: { trusted: true, registrations: ['acme'] } };
    expect(await tokenOf(registration(REFERENCE, [{ kind: 'docker' }]), trusted)).to.equal(VALUE);
  });

  it('is read in dispatcher.yaml too', async () => {
    stores.vaults.put('acme.vault.azure.net/admin', 'an-admin-token-in-the-store-1234');
    stores.vaults.allow('acme.vault.azure.net/admin', demo.clientId);
    const files = {
      'dispatcher.yaml': 'id: acme-ci\nadminToken: ${azure-key-vault:acme/admin}\n',
      'registrations/acme.yaml': registrationYaml,
    };
    const found = await load(files, { secretValues: values });
    if (!found.ok) throw new Error(found.problems.map(formatProblem).join('\n'));
    expect(found.configuration.dispatcher.adminToken.reveal()).to.equal('an-admin-token-in-the-store-1234');
  });

  it('has no newline at its end that a tool put there', async () => {
    stores.vaults.put('acme.vault.azure.net/token', `${VALUE}\n`);
    stores.vaults.allow('acme.vault.azure.net/token', OWN.clientId);
    expect(await tokenOf(registration(REFERENCE), { acme: grant })).to.equal(VALUE);
  });

  describe('of a tenant', () => {
    // Everything that the machine may read.
    beforeEach(() => stores.vaults.allow('acme.vault.azure.net/token', demo.clientId));

    it('is never read by the dispatcher’s own identity without a grant', async () => {
      const files = [
        registration(REFERENCE, [{ kind: 'docker' }]),
        // It may not be written either, and does not help.
        registration(REFERENCE, [{ use: 'shared' }]),
      ];
      for (const text of files) {
        const found = await loaded(text, { acme: grant });
        const lines = found.problems.map(formatProblem).join('\n');
        expect(lines).to.include('no backend of kind azure-aci with a key of its own');
        expect(lines).to.match(
          /`tenants\.acme\.secretStores: \["?azure-key-vault:acme\/token"?\]` \(dispatcher\.yaml:\d+:\d+\)/,
        );
      }
      for (const credentials of [{ kind: 'managed-identity' }, { kind: 'workload-identity', ...OWN }]) {
        const found = await loaded(registration(REFERENCE, [azure(credentials)]), { acme: grant });
        expect(found.problems.map(formatProblem).join('\n')).to.include('with a key of its own');
        expect(inspect(found, { depth: 20 })).not.to.include(VALUE);
      }
      expect(askedVault()).to.equal(false);
    });

    it('is not read by it either where the tenant’s own key has no value, or is in such a store itself', async () => {
      for (const clientSecret of ['${env:TENANT_ACME_NONE}', '${azure-key-vault:acme/client}']) {
        const backend = azure({ kind: 'secret', ...OWN, clientSecret });
        for (const tenants of [{ acme: grant }, undefined]) {
          const found = await loaded(registration(REFERENCE, [backend]), tenants);
          expect(found.problems.map(formatProblem).join('\n')).to.include('have no value');
        }
      }
      expect(askedVault()).to.equal(false);
    });

    it('is read by it where a grant names it, whatever the version and the case', async () => {
      const granted = { acme: { ...grant, secretStores: ['azure-key-vault:ACME/tok*'] } };
      const text = registration('${azure-key-vault:Acme/TOKEN}', [{ kind: 'docker' }]);
      expect(await tokenOf(text, granted)).to.equal(VALUE);
      // Although it has a key of its own, which may not.
      expect(await tokenOf(registration(REFERENCE), granted)).to.equal(VALUE);
    });

    it('is not read by it where a grant names another vault, secret or store', async () => {
      const others = [
        ...['azure-key-vault:acme2/*', 'azure-key-vault:acme/tok', 'azure-key-vault:acme.vault.azure.cn/*'],
        ...['gcp-secret:*', 'azure-key-vault:*/token/*'],
      ];
      const text = registration(REFERENCE, [{ kind: 'docker' }]);
      for (const glob of others) {
        expect(await problem(text, { acme: { ...grant, secretStores: [glob] } })).to.include('with a key of its own');
      }
      expect(askedVault()).to.equal(false);
    });

    it('is not there for another tenant that writes the same reference', async () => {
      stores.vaults.allow('acme.vault.azure.net/token', OWN.clientId);
      const labs = { ...grant, owners: ['labs'] };
      const files = {
        'dispatcher.yaml':
          dispatcherYaml +
          stringify({ tenants: { acme: { ...grant, secretStores: ['azure-key-vault:acme/*'] }, labs } }),
        'registrations/acme.yaml': registration(REFERENCE, [{ kind: 'docker' }]),
        'registrations/labs.yaml': registration(REFERENCE, [{ kind: 'docker' }], { organization: 'labs' }),
      };
      const found = await load(files, { environment, provider, secretValues: values });
      if (!found.ok) throw new Error(found.problems.map(formatProblem).join('\n'));
      expect(found.configuration.registrations.map(({ name }) => name)).to.deep.equal(['acme']);
      expect(found.configuration.quarantined.map(({ name }) => name)).to.deep.equal(['labs']);
      expect(inspect(found.configuration.quarantined, { depth: 20 })).not.to.include(VALUE);
    });

    it('is at no address that the registration chose', async () => {
      const elsewhere = { endpoint: 'https://evil.example', authorityHost: 'https://evil.example' };
      stores.vaults.allow('acme.vault.azure.net/token', OWN.clientId);
      await loaded(
        registration(REFERENCE, [
          azure({ kind: 'secret', ...OWN, clientSecret: '${env:TENANT_ACME_AZURE}' }, elsewhere),
        ]),
        {
          acme: grant,
        },
      );
      expect(stores.calls.filter((call) => call.includes('evil'))).to.deep.equal([]);
      for (const text of [
        'evil.example/token',
        'acme.vault.azure.net.evil.example/x',
        '169.254.169.254/x',
        'acme/../x',
        '',
      ]) {
        const found = await problem(registration(`\${azure-key-vault:${text}}`), { acme: grant });
        expect(found).to.include('does not name a secret of this store');
        expect(found).to.include('${azure-key-vault:VAULT/SECRET}');
      }
    });
  });

  it('sets the registration aside with the reason and the right that is missing, in no words of the service', async () => {
    const line = await problem(registration(REFERENCE), { acme: grant });
    expect(line).to.match(
      /^\/etc\/shr\/registrations\/acme\.yaml:\d+:\d+: credentials\.token: azure-key-vault:acme\/token may not be read/,
    );
    expect(line).to.include('Key Vault Secrets User');
    expect(line).not.to.include('oid=');
  });

  it('is a problem where it is disabled, too large, empty, or its version is not there', async () => {
    stores.vaults.allow('acme.vault.azure.net/token', OWN.clientId);
    const version = registration(`\${azure-key-vault:acme/token/${'0'.repeat(32)}}`);
    expect(await problem(version, { acme: grant })).to.include('does not exist, or not in this version');
    for (const [text, words] of [
      ['x'.repeat(65_537), 'has 65537 bytes, and 65536 is the limit'],
      ['\n', 'is empty'],
    ] as const) {
      stores.vaults.put('acme.vault.azure.net/token', text);
      values = new SecretValues({ clock: systemClock, random: () => 0.5, fetch: stores.fetch, environment: MACHINE });
      expect(await problem(registration(REFERENCE), { acme: grant })).to.include(words);
    }
    stores.vaults.setState('acme.vault.azure.net/token', 'disabled');
    values = new SecretValues({ clock: systemClock, random: () => 0.5, fetch: stores.fetch, environment: MACHINE });
    expect(await problem(registration(REFERENCE), { acme: grant })).to.include('is disabled');
  });

  it('is a whole value', async () => {
    expect(await problem(registration(`x${REFERENCE}`), { acme: grant })).to.include('must be the whole value');
  });

  it('is not read by `shr validate`, which says so, and tells what is wrong with it all the same', async () => {
    const sources = (text: string, tenants: object) =>
      sourcesOf(
        { 'dispatcher.yaml': dispatcherYaml + stringify({ tenants }), 'registrations/acme.yaml': text },
        { provider },
      );
    for (const secrets of ['optional', 'required'] as const) {
      const env = { environment };
      const good = await inspectConfiguration(
        { ...sources(registration(REFERENCE), { acme: grant }), ...env, secrets },
        'required',
      );
      expect(good.problems).to.deep.equal([]);
      expect(good.notes.map(({ message }) => message)).to.deep.equal(['azure-key-vault:acme/token is not read here']);
    }
    const wrong = registration(REFERENCE, [{ kind: 'docker' }]);
    const bad = await inspectConfiguration({ ...sources(wrong, { acme: grant }), secrets: 'optional' }, 'required');
    expect(bad.problems.map(({ message }) => message).join()).to.include('no backend of kind azure-aci');
  });

  it('is read once for all places of a tenant’s files that name it', async () => {
    stores.vaults.allow('acme.vault.azure.net/token', OWN.clientId);
    const twice = registration(REFERENCE, [own], { webhook: { secrets: [REFERENCE] } });
    await loaded(twice, { acme: grant });
    await loaded(twice, { acme: grant });
    expect(stores.calls.filter((call) => call.includes('/secrets/'))).to.have.length(1);
  });

  it('does not hold up the start where the store never answers', async () => {
    stores.fault({ kind: 'silence' });
    const startedMs = performance.now();
    const files = { 'dispatcher.yaml': dispatcherYaml, 'registrations/acme.yaml': registration(REFERENCE) };
    const found = await load(files, { environment, provider, secretValues: values, secretWaitMs: 200 });
    const line = found.problems.map(formatProblem).join('\n');
    expect(line).to.include('is being read');
    expect(performance.now() - startedMs).to.be.lessThan(5_000);
  });
});

it('a configuration is loaded without anything being asked where nothing refers to a store', async () => {
  const sources = sourcesOf({ 'dispatcher.yaml': dispatcherYaml, 'registrations/acme.yaml': registrationYaml });
  expect((await loadConfiguration({ ...sources, secretValues: values })).ok).to.equal(true);
  expect(stores.calls).to.deep.equal([]);
});

describe('secrets of one tenant in stores', () => {
  const backend = { kind: 'docker' };
  const granted = { ...grant, registrations: ['acme*'], secretStores: ['azure-key-vault:acme/*'] };

  function many(count: number, from: number): string {
    const images = Object.fromEntries(
      Array.from({ length: count }, (_, index) => [`i${index}`, `\${azure-key-vault:acme/s${from + index}}`]),
    );
    return registration('${env:TENANT_ACME_AZURE}', [backend], { images });
  }

  it('have a number and a size together, and those of others are read all the same', async () => {
    for (let index = 0; index < 80; index += 1) {
      stores.vaults.put(`acme.vault.azure.net/s${index}`, `${'x'.repeat(60_000)}`);
      stores.vaults.allow(`acme.vault.azure.net/s${index}`, demo.clientId);
    }
    stores.vaults.allow('acme.vault.azure.net/token', demo.clientId);
    const labs = { ...grant, owners: ['labs'], secretStores: ['azure-key-vault:acme/token'] };
    const files = {
      'dispatcher.yaml': dispatcherYaml + stringify({ tenants: { acme: granted, labs } }),
      'registrations/acme-0.yaml': many(80, 0),
      ...Object.fromEntries(
        Array.from({ length: 6 }, (_, index) => [
          `registrations/acme-${index + 1}.yaml`,
          many(190, 1_000 + index * 190),
        ]),
      ),
      'registrations/labs.yaml': registration(REFERENCE, [backend], { organization: 'labs' }),
    };
    const found = await load(files, { environment, provider, secretValues: values });
    if (!found.ok) throw new Error(found.problems.map(formatProblem).join('\n').slice(0, 2_000));
    const words = found.problems.map(({ message }) => message).join('\n');
    expect(words).to.include('larger than 4194304 characters together');
    expect(words).to.include('refer to more than 1000 secrets in stores');
    expect(found.configuration.registrations.map(({ name }) => name)).to.deep.equal(['labs']);
  });
});
