import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import { KeptValues } from '../../dispatcher/config/kept-values.ts';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import { SecretValues } from '../../dispatcher/config/secret-values.ts';
import { Reloading } from '../../dispatcher/live/reloading.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import { type Configuration, Secret } from '../../dispatcher/model/registration.ts';
import { loadProvider } from '../../providers/index.ts';
import { demo, type SecretStoresSimulator, startSecretStores } from '../../simulators/secret-stores/index.ts';
import { dispatcherYaml, provider as inMemory, registrationYaml } from '../config/files.ts';
import { eventLoopTurn, VirtualClock } from '../simulation/virtual-clock.ts';
import { type EditedFiles, editedFiles } from './live-fixture.ts';

const FIRST = 'ghp_the-first-value-of-the-store';
const SECOND = 'ghp_the-second-value-of-the-store';
const ACME = 'acme.vault.azure.net/token';
const LABS = 'labs.vault.azure.net/token';
const MINUTES = 60_000;

const grant = (owner: string) => ({
  ...{ hosts: ['github.com'], owners: [owner], labels: ['*'], runnerGroups: ['Default'] },
  ...{ backendKinds: ['docker', 'azure-aci'], secretStores: [`azure-key-vault:${owner}*/*`] },
});
const platform = dispatcherYaml + stringify({ tenants: { acme: grant('acme'), labs: grant('labs') } });

function registration(owner: string, token: string, more: object = {}): string {
  return stringify({ ...parse(registrationYaml), organization: owner, credentials: { token }, ...more });
}
const acme = (more: object = {}) => registration('acme', '${azure-key-vault:acme/token}', more);
const labs = (more: object = {}) => registration('labs', '${azure-key-vault:labs/token}', more);

describe('secrets in the clouds’ own stores, while a dispatcher runs', () => {
  let stores: SecretStoresSimulator;
  let clock: VirtualClock;
  let files: EditedFiles;
  let values: SecretValues;
  let reloading: Reloading;
  let applied: Configuration[];
  let logged: string[];
  let pending: number;
  /** Those that are never answered. */
  let slow: number;

  /** A request on the wire ends before time goes on, unless it is never answered. */
  async function settled(): Promise<void> {
    await eventLoopTurn();
    for (let waited = 0; pending > 0 && waited < 25; waited += 1) await delay(2);
    await eventLoopTurn();
  }

  beforeEach(async () => {
    pending = 0;
    slow = 0;
    stores = await startSecretStores();
    for (const name of [ACME, LABS]) {
      stores.vaults.put(name, FIRST);
      stores.vaults.allow(name, demo.clientId);
    }
    clock = new VirtualClock(1_000_000, settled);
    values = new SecretValues({
      clock,
      random: () => 0.5,
      environment: {
        AZURE_TENANT_ID: demo.tenantId,
        AZURE_CLIENT_ID: demo.clientId,
        AZURE_CLIENT_SECRET: demo.clientSecret,
      },
      fetch: async (url, request) => {
        const isSlow = url.includes('acme-slow');
        if (isSlow) slow += 1;
        else pending += 1;
        try {
          return await stores.fetch(url, request);
        } finally {
          if (isSlow) slow -= 1;
          else pending -= 1;
        }
      },
    });
  });
  afterEach(async () => {
    values.stop();
    await reloading.stop();
    await stores.close();
  });

  /** Time goes on while the configuration is loaded. */
  async function during<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    for (let ms = 0; !isDone && ms < 60_000; ms += 500) {
      await settled();
      if (!isDone) await clock.advance(500);
    }
    return await done;
  }

  async function start(some: Readonly<Record<string, string>>): Promise<void> {
    const provider = (kind: string) => (kind === 'azure-aci' ? loadProvider(kind) : inMemory(kind));
    files = editedFiles({ 'dispatcher.yaml': platform, ...some }, [], { provider, secretValues: values });
    const loaded = await during(loadConfiguration({ ...files.sources, memory: files.live.memory }));
    if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
    applied = [loaded.configuration];
    logged = [];
    const note =
      (level: string) =>
      (event: string, fields: Readonly<Record<string, unknown>> = {}) =>
        void logged.push(`${level} ${event} ${JSON.stringify(fields)}`);
    const log = { info: note('info'), warn: note('warn'), error: note('error') };
    reloading = new Reloading({
      ...{ clock, log, stamps: files.live.stamps },
      read: (what) => files.live.read(what),
      started: loaded.configuration,
      apply: (next) => void applied.push(next),
      dispatcherFile: files.sources.dispatcherFile,
      registrationsFolder: files.sources.registrationsFolder,
    });
    reloading.start();
    values.start(log);
    await advance(5_000);
  }

  async function advance(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 500) {
      files.now = clock.now();
      await clock.advance(Math.min(500, left));
    }
  }

  const now = () => applied[applied.length - 1];
  const named = (name: string) => now()?.registrations.find((one) => one.name === name);
  function tokenOf(name: string): string | undefined {
    const credentials = named(name)?.credentials;
    return credentials?.kind === 'token' ? credentials.token.reveal() : undefined;
  }
  const keptOf = (name: string) => {
    const one = named(name);
    return one === undefined ? [] : files.live.keptSecretsOf(one);
  };
  const asked = (vault: string) => stores.calls.filter((call) => call.includes(vault)).length;
  const told = (event: string) => logged.filter((line) => line.includes(` ${event} `));

  it('are in force with a new value within the interval, without a restart, for that registration alone', async () => {
    await start({ 'registrations/acme.yaml': acme(), 'registrations/labs.yaml': labs() });
    expect([tokenOf('acme'), tokenOf('labs')]).to.deep.equal([FIRST, FIRST]);
    const before = named('labs');
    stores.vaults.put(ACME, SECOND);
    await advance(6 * MINUTES);
    expect(tokenOf('acme')).to.equal(SECOND);
    expect(named('labs')).to.equal(before);
    expect(told('configuration')).to.have.length(1);
    expect(told('configuration')[0]).to.include('"changed":["acme"]');
  });

  it('are in force at once with SIGHUP', async () => {
    await start({ 'registrations/acme.yaml': acme() });
    stores.vaults.put(ACME, SECOND);
    await during(reloading.now());
    await advance(2_000);
    expect(tokenOf('acme')).to.equal(SECOND);
  });

  it('are asked for every five minutes, and for as long as something refers to them', async () => {
    await start({ 'registrations/acme.yaml': acme(), 'registrations/labs.yaml': labs() });
    await advance(20 * MINUTES);
    expect(asked('acme.vault')).to.be.within(4, 6);
    files.write('registrations/acme.yaml', undefined);
    await advance(10_000);
    const before = asked('acme.vault');
    await advance(20 * MINUTES);
    expect(asked('acme.vault')).to.equal(before);
    expect(applied.map((one) => one.registrations.length)).to.deep.equal([2, 1]);
  });

  it('stay in force while the store is away, with the reason in the log, and changes of the file go through', async () => {
    await start({ 'registrations/acme.yaml': acme(), 'registrations/labs.yaml': labs() });
    const end = stores.fault({ kind: 'refuse', host: 'acme.vault', status: 503, code: 'ServiceUnavailable' });
    await advance(10 * MINUTES);
    expect(tokenOf('acme')).to.equal(FIRST);
    expect(applied).to.have.length(1);
    const [kept, ...others] = keptOf('acme');
    expect(others).to.deep.equal([]);
    expect(kept).to.include({
      secret: 'azure-key-vault:acme/token',
      reason: 'Azure Key Vault answers 503 ServiceUnavailable',
      cure: 'It is asked again.',
    });
    // From the first failure on, however often it was asked since.
    expect(clock.now() - (kept?.sinceMs ?? 0)).to.be.within(4 * MINUTES, 6 * MINUTES);
    const stranger = { name: 'acme', grant: named('labs')?.grant };
    expect(files.live.keptSecretsOf(stranger), 'one name, another tenant').to.deep.equal([]);
    expect(keptOf('labs')).to.deep.equal([]);
    expect(told('secret-not-read')).to.deep.equal([
      'warn secret-not-read {"tenant":"acme","secret":"azure-key-vault:acme/token","reason":"Azure Key Vault answers 503 ServiceUnavailable","cure":"It is asked again."}',
    ]);
    files.write('registrations/acme.yaml', acme({ maxRunners: 7 }));
    await advance(3_000);
    expect(named('acme')).to.include({ maxRunners: 7 });
    expect(tokenOf('acme')).to.equal(FIRST);
    end();
    stores.vaults.put(ACME, SECOND);
    await advance(6 * MINUTES);
    expect(tokenOf('acme')).to.equal(SECOND);
    expect(told('secret-back')).to.have.length(1);
    expect(keptOf('acme')).to.deep.equal([]);
  });

  it('wait as long as the store says where it gets too many requests', async () => {
    await start({ 'registrations/acme.yaml': acme() });
    stores.fault({ kind: 'refuse', status: 429, code: 'Throttled', retryAfterS: 600, times: 1 });
    await advance(6 * MINUTES);
    const before = asked('acme.vault');
    await advance(8 * MINUTES);
    expect(asked('acme.vault')).to.equal(before);
    await advance(4 * MINUTES);
    expect(asked('acme.vault')).to.be.greaterThan(before);
    expect(tokenOf('acme')).to.equal(FIRST);
  });

  it('are a problem when they are denied or gone, while the last version stays in force; and none any more when they are back', async () => {
    await start({ 'registrations/acme.yaml': acme() });
    stores.vaults.forbid(ACME, demo.clientId);
    await advance(6 * MINUTES);
    expect(tokenOf('acme')).to.equal(FIRST);
    expect(now()?.kept?.flatMap(({ problems }) => problems.map(formatProblem))[0]).to.include(
      'azure-key-vault:acme/token may not be read (403 ForbiddenByRbac)',
    );
    stores.vaults.allow(ACME, demo.clientId);
    stores.vaults.put(ACME, SECOND);
    await advance(6 * MINUTES);
    expect(tokenOf('acme')).to.equal(SECOND);
    expect(now()?.kept).to.deep.equal([]);
  });

  it('set a registration aside at a start at which the store is away, and put it in force when it is back', async () => {
    const end = stores.fault({ kind: 'reset', host: 'acme.vault' });
    await start({ 'registrations/acme.yaml': acme(), 'registrations/labs.yaml': labs() });
    expect(tokenOf('labs')).to.equal(FIRST);
    expect(named('acme')).to.equal(undefined);
    expect(now()?.quarantined[0]?.problems.map(({ message }) => message)).to.deep.equal([
      'Azure Key Vault did not answer (ECONNRESET)',
    ]);
    end();
    await advance(6 * MINUTES);
    expect(tokenOf('acme')).to.equal(FIRST);
    expect(now()?.quarantined).to.deep.equal([]);
  });

  it('are taken away with the grant, whatever was read before', async () => {
    await start({ 'registrations/acme.yaml': acme(), 'registrations/labs.yaml': labs() });
    const { secretStores: _none, ...less } = grant('acme');
    files.write('dispatcher.yaml', dispatcherYaml + stringify({ tenants: { acme: less, labs: grant('labs') } }));
    await advance(3_000);
    expect(named('acme')).to.equal(undefined);
    expect(tokenOf('labs')).to.equal(FIRST);
    const before = asked('acme.vault');
    await advance(20 * MINUTES);
    expect(asked('acme.vault')).to.equal(before);
  });

  it('are read for a document of the admin API, whose author waits for it', async () => {
    await start({ 'registrations/labs.yaml': labs() });
    const present = now();
    if (present === undefined) throw new Error('nothing is in force');
    const document = { name: 'acme', file: 'api:acme', text: acme() };
    expect((await during(files.live.check(document, present))).problems).to.deep.equal([]);
    stores.vaults.setState(ACME, 'disabled');
    values.refresh();
    await settled();
    const { problems } = await during(files.live.check(document, present));
    expect(problems.map(({ message }) => message).join()).to.include('is disabled');
    // It was not put in force: after a while it is asked for no more.
    await advance(10 * MINUTES);
    const before = asked('acme.vault');
    await advance(10 * MINUTES);
    expect(asked('acme.vault')).to.equal(before);
  });

  it('of one tenant, whose store never answers, keep none of another waiting', async () => {
    stores.fault({ kind: 'silence', host: 'acme-slow' });
    const many = (from: number) => ({
      webhook: { secrets: [from, from + 1].map((index) => `\${azure-key-vault:acme-slow/s${index}}`) },
      backends: [from, from + 1, from + 2].map((index) => ({
        ...{ name: `b${index}`, kind: 'docker' },
        options: { accessKeySecret: `\${azure-key-vault:acme-slow/k${index}}` },
      })),
    });
    await start({ 'registrations/acme.yaml': acme(many(0)), 'registrations/labs.yaml': labs() });
    expect(tokenOf('labs')).to.equal(FIRST);
    // The start waits for all together, once.
    expect(clock.now() - 1_000_000).to.be.lessThan(25_000);
    for (let round = 1; round <= 5; round += 1) {
      files.write('registrations/acme.yaml', acme(many(round * 10)));
      files.write('registrations/labs.yaml', labs({ maxRunners: round }));
      await advance(3_000);
      expect(named('labs')).to.include({ maxRunners: round });
      expect(slow).to.be.within(1, 4);
    }
    stores.vaults.put(LABS, SECOND);
    await advance(6 * MINUTES);
    expect(tokenOf('labs')).to.equal(SECOND);
  });

  it('are in no log, no problem, and nothing that is kept on the disk', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shr-secrets-'));
    try {
      const text = acme();
      await start({ 'registrations/acme.yaml': text });
      const adminToken = new Secret('an-admin-token-of-32-characters!');
      const kept = await KeptValues.beside({ ledgerPath: join(folder, 'ledger.db'), adminToken });
      const loaded = await during(
        loadConfiguration({ ...files.sources, knownValues: async () => kept, memory: editedFiles({}).live.memory }),
      );
      await kept?.write();
      expect(JSON.stringify(kept?.find(text) ?? null)).not.to.include(FIRST);
      for (const name of await readdir(folder)) {
        expect(await readFile(join(folder, name), 'latin1')).not.to.include(FIRST);
      }
      stores.vaults.put(ACME, SECOND);
      await advance(6 * MINUTES);
      stores.vaults.setState(ACME, 'disabled');
      await advance(6 * MINUTES);
      const shown = [
        logged.join('\n'),
        inspect(applied, { depth: 20 }),
        JSON.stringify(applied),
        inspect(values, { depth: 3 }),
      ];
      if (loaded.ok) shown.push(JSON.stringify(loaded.good), JSON.stringify(loaded.notes));
      for (const one of shown) {
        for (const secret of [FIRST, SECOND, demo.clientSecret]) expect(one).not.to.include(secret);
      }
      expect(logged.join('\n')).to.include('is disabled');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
