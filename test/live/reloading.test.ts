import { expect } from 'chai';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import { Reloading } from '../../dispatcher/live/reloading.ts';
import type { Configuration } from '../../dispatcher/model/registration.ts';
import { dispatcherYaml, registrationYaml } from '../config/files.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';
import { type EditedFiles, editedFiles } from './live-fixture.ts';

describe('reading the configuration again', () => {
  let clock: VirtualClock;
  let files: EditedFiles;
  let reloading: Reloading;
  let applied: Configuration[];
  let logged: string[];
  let reads: ('changed' | 'all')[];
  /** Until it resolves, files are not read. */
  let hold: Promise<void>;

  async function start(some: Readonly<Record<string, string>>): Promise<void> {
    clock = new VirtualClock(1_000_000);
    files = editedFiles({ 'dispatcher.yaml': dispatcherYaml, ...some });
    const loaded = await loadConfiguration({ ...files.sources, memory: files.live.memory });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    applied = [];
    logged = [];
    reads = [];
    hold = Promise.resolve();
    const note =
      (level: string) =>
      (event: string, fields: Readonly<Record<string, unknown>> = {}) =>
        void logged.push(`${level} ${event} ${JSON.stringify(fields)}`);
    reloading = new Reloading({
      clock,
      log: { info: note('info'), warn: note('warn'), error: note('error') },
      stamps: files.live.stamps,
      read: (what) => {
        reads.push(what);
        return hold.then(() => files.live.read(what));
      },
      started: loaded.configuration,
      apply: (next) => void applied.push(next),
      dispatcherFile: files.sources.dispatcherFile,
      registrationsFolder: files.sources.registrationsFolder,
    });
    reloading.start();
    await clock.advance(3_000);
  }

  afterEach(() => reloading.stop());

  const names = () => applied.at(-1)?.registrations.map(({ name }) => name);
  const problems = () => applied.at(-1)?.platformProblems?.map(({ message }) => message);
  const emca = registrationYaml.replace('organization: acme', 'organization: emca');

  it('puts what was written in force within two seconds, once, and logs what changed', async () => {
    await start({ 'registrations/acme.yaml': registrationYaml });
    expect(applied).to.deep.equal([]);
    files.write('registrations/emca.yaml', emca);
    await clock.advance(2_000);
    expect(names()).to.deep.equal(['acme', 'emca']);
    files.write('registrations/acme.yaml', `${registrationYaml}maxRunners: 3\n`);
    files.write('registrations/emca.yaml', undefined);
    await clock.advance(2_000);
    expect(applied.at(-1)?.registrations).to.have.length(1);
    expect(applied.at(-1)?.registrations[0]).to.include({ name: 'acme', maxRunners: 3 });
    await clock.advance(60_000);
    expect(applied).to.have.length(2);
    expect(logged).to.deep.equal([
      'info configuration {"version":2,"added":["emca"],"registrations":2,"setAside":0}',
      'info configuration {"version":3,"changed":["acme"],"ended":["emca"],"registrations":1,"setAside":0}',
    ]);
  });

  it('does nothing where a file was written with the same content', async () => {
    await start({ 'registrations/acme.yaml': registrationYaml });
    files.write('registrations/acme.yaml', `# a comment\n${registrationYaml}`);
    files.write('dispatcher.yaml', `# a comment\n${dispatcherYaml}`);
    await clock.advance(2_000);
    expect(applied).to.deep.equal([]);
  });

  it('keeps the last dispatcher.yaml without a problem, with the problem shown until it is gone', async () => {
    await start({ 'registrations/acme.yaml': registrationYaml });
    files.write('dispatcher.yaml', `${dispatcherYaml}limits: { maxRunners: many }\n`);
    await clock.advance(2_000);
    expect(problems()).to.deep.equal(['it must be a number, not text']);
    expect(applied.at(-1)?.dispatcher.maxRunners).to.equal(1000);
    expect(names()).to.deep.equal(['acme']);
    expect(logged.filter((line) => line.startsWith('error configuration-problem'))).to.have.length(1);
    files.write('registrations/emca.yaml', emca);
    await clock.advance(2_000);
    expect(names(), 'registrations change all the same').to.deep.equal(['acme', 'emca']);
    files.write('dispatcher.yaml', `${dispatcherYaml}limits: { maxRunners: 7 }\n`);
    await clock.advance(2_000);
    expect(problems()).to.deep.equal([]);
    expect(applied.at(-1)?.dispatcher.maxRunners).to.equal(7);
  });

  it('keeps what a process is made of, and says that it takes a restart', async () => {
    await start({ 'registrations/acme.yaml': registrationYaml });
    files.write('dispatcher.yaml', dispatcherYaml.replace('acme-ci', 'other-ci'));
    await clock.advance(2_000);
    expect(problems()).to.deep.equal(['`id` has changed']);
    expect(applied.at(-1)?.dispatcher.id).to.equal('acme-ci');
  });

  it('changes at once what a group may do, and who lets people in after a restart', async () => {
    const login = (issuer: string, access: string) =>
      `${dispatcherYaml}oidc: { issuer: '${issuer}', clientId: shr, clientSecret: "\${env:GITHUB_TOKEN}", url: 'https://shr.example', access: [${access}] }\n`;
    await start({ 'dispatcher.yaml': login('https://one.example', '') });
    files.write('dispatcher.yaml', login('https://other.example', '{ group: all, role: viewer, platform: true }'));
    await clock.advance(2_000);
    expect(applied.at(-1)?.dispatcher.oidc).to.deep.include({
      issuer: 'https://one.example',
      access: [{ group: 'all', role: 'viewer', tenants: null }],
    });
    expect(problems()).to.deep.equal(['`oidc` has changed']);
    files.write('dispatcher.yaml', login('https://one.example', '{ group: all, role: admin, platform: true }'));
    await clock.advance(2_000);
    expect(applied.at(-1)?.dispatcher.oidc?.access).to.deep.equal([{ group: 'all', role: 'admin', tenants: null }]);
    expect(problems()).to.deep.equal([]);
    files.write('dispatcher.yaml', dispatcherYaml);
    await clock.advance(2_000);
    expect(applied.at(-1)?.dispatcher.oidc?.access).to.deep.equal([]);
  });

  it('sets a registration aside whose grant was narrowed, at once and without its file being touched', async () => {
    const granted = (labels: string) => `${dispatcherYaml}
tenants:
  acme: { hosts: [github.com], owners: [acme], labels: [${labels}], backendKinds: [docker], runnerGroups: [Default] }
`;
    const tenants = registrationYaml.replace('env:GITHUB_TOKEN', 'env:TENANT_ACME_TOKEN');
    await start({ 'dispatcher.yaml': granted('serverless-hosted-runner'), 'registrations/acme.yaml': tenants });
    files.write('dispatcher.yaml', granted('another'));
    await clock.advance(2_000);
    expect(names()).to.deep.equal([]);
    expect(applied.at(-1)?.quarantined.map(({ name }) => name)).to.deep.equal(['acme']);
    files.write('dispatcher.yaml', granted('serverless-hosted-runner'));
    await clock.advance(2_000);
    expect(names()).to.deep.equal(['acme']);
  });

  it('reads once more for all that ask while it reads', async () => {
    await start({ 'registrations/acme.yaml': registrationYaml });
    const { promise, resolve } = Promise.withResolvers<void>();
    hold = promise;
    const first = reloading.now();
    await clock.advance(0);
    const asked = Array.from({ length: 100 }, () => reloading.now());
    resolve();
    await Promise.all([first, ...asked]);
    expect(reads).to.deep.equal(['all', 'all']);
    files.write('registrations/emca.yaml', emca);
    await clock.advance(2_000);
    expect(names(), 'it goes on looking').to.deep.equal(['acme', 'emca']);
  });

  it('puts nothing in force once it is stopped, whatever was asked before', async () => {
    await start({ 'registrations/acme.yaml': registrationYaml });
    files.write('registrations/emca.yaml', emca);
    const { promise, resolve } = Promise.withResolvers<void>();
    hold = promise;
    const asked = [reloading.now()];
    await clock.advance(0);
    asked.push(reloading.now());
    const stopped = reloading.stop();
    asked.push(reloading.now());
    resolve();
    await Promise.all([...asked, stopped]);
    expect(reads).to.deep.equal(['all']);
    expect(applied).to.deep.equal([]);
  });

  it('does not believe that all registrations have ended at once, unless an operator says so', async () => {
    await start({ 'registrations/acme.yaml': registrationYaml, 'registrations/emca.yaml': emca });
    files.write('registrations/acme.yaml', undefined);
    files.write('registrations/emca.yaml', undefined);
    await clock.advance(2_000);
    expect(names()).to.deep.equal(['acme', 'emca']);
    expect(problems()).to.deep.equal(['all 2 registrations are gone at once: those that were there stay in force']);
    await reloading.now();
    expect(names()).to.deep.equal([]);
    expect(problems()).to.deep.equal([]);
  });

  const shown = () => {
    const { kept = [], quarantined = [] } = applied.at(-1) ?? {};
    return { kept: kept.map(({ name }) => name), quarantined: quarantined.map(({ name }) => name) };
  };

  it('keeps the last version of a registration whose file has a problem, until it has none', async () => {
    await start({ 'registrations/acme.yaml': registrationYaml });
    for (const broken of [`${registrationYaml}nonsense: 1\n`, 'organization: [acme\n', '']) {
      files.write('registrations/acme.yaml', broken);
      await clock.advance(2_000);
      expect(names(), broken).to.deep.equal(['acme']);
      expect(shown()).to.deep.equal({ kept: ['acme'], quarantined: [] });
    }
    expect(applied.at(-1)?.registrations[0]).to.equal(applied[0]?.registrations[0]);
    expect(logged.filter((line) => line.startsWith('error registration-kept'))).to.have.length(3);
    files.write('registrations/acme.yaml', `${registrationYaml}maxRunners: 5\n`);
    await clock.advance(2_000);
    expect(applied.at(-1)?.registrations[0]).to.include({ maxRunners: 5 });
    expect(shown()).to.deep.equal({ kept: [], quarantined: [] });
  });

  for (const more of ['requireHook: true', 'standby: [{ size: 1 }]']) {
    it(`judges \`${more}\` by the public address of the start, until a restart`, async () => {
      const listen = (url: string) => `${dispatcherYaml}listen: { public: { url: '${url}' } }\n`;
      const demanding = `${registrationYaml}${more}\n`;
      await start({ 'registrations/acme.yaml': registrationYaml });
      files.write('dispatcher.yaml', listen('https://shr.example'));
      await clock.advance(2_000);
      files.write('registrations/acme.yaml', demanding);
      await clock.advance(2_000);
      expect(problems()).to.deep.equal(['`listen` has changed']);
      expect(shown()).to.deep.equal({ kept: ['acme'], quarantined: [] });
      expect(applied.at(-1)?.kept?.[0]?.problems[0]?.message).to.include('takes effect after a restart');
      await reloading.stop();
      await start({ 'dispatcher.yaml': listen('https://shr.example'), 'registrations/acme.yaml': demanding });
      files.write('dispatcher.yaml', listen('https://other.example'));
      await clock.advance(2_000);
      expect(shown()).to.deep.equal({ kept: [], quarantined: [] });
    });
  }

  it('takes no grant that demands the hook before runners can ask', async () => {
    const granted = (more: string) => `${dispatcherYaml}
tenants:
  acme: { hosts: [github.com], owners: [acme], labels: [serverless-hosted-runner], backendKinds: [docker], runnerGroups: [Default]${more} }
`;
    const own = registrationYaml.replace('env:GITHUB_TOKEN', 'env:TENANT_ACME_TOKEN');
    await start({ 'dispatcher.yaml': granted(''), 'registrations/acme.yaml': own });
    const demand = granted(', requireHook: true');
    files.write('dispatcher.yaml', `${demand}listen: { public: { url: 'https://shr.example' } }\n`);
    await clock.advance(2_000);
    expect(problems()).to.deep.equal(['runners cannot ask: `listen.public.url` takes effect after a restart']);
    expect(applied.at(-1)?.registrations[0]?.grant?.requireHook).to.equal(undefined);
  });

  it('watches a file as long as something refers to it', async () => {
    const byFile = (name: string) => registrationYaml.replace('env:GITHUB_TOKEN', `file:${name}`);
    await start({ 'registrations/acme.yaml': byFile('one'), one: 'ghp_first', two: 'ghp_second' });
    const looked = async () => {
      files.looks();
      await clock.advance(3_000);
      return [...new Set(files.looks())].sort();
    };
    const always = ['/etc/shr/dispatcher.yaml', '/etc/shr/registrations/acme.yaml'];
    expect(await looked()).to.deep.equal([always[0], '/etc/shr/one', always[1]]);
    files.write('registrations/acme.yaml', byFile('two'));
    await clock.advance(2_000);
    expect(await looked()).to.deep.equal([...always, '/etc/shr/two']);
    files.write('two', 'ghp_third');
    await clock.advance(2_000);
    const credentials = applied.at(-1)?.registrations[0]?.credentials;
    expect(credentials?.kind === 'token' && credentials.token.reveal()).to.equal('ghp_third');
  });

  it('keeps one in force whose secret file is missing for a while', async () => {
    const byFile = registrationYaml.replace('env:GITHUB_TOKEN', 'file:token');
    await start({ 'registrations/acme.yaml': byFile, token: 'ghp_first' });
    files.write('token', undefined);
    await clock.advance(2_000);
    expect(shown()).to.deep.equal({ kept: ['acme'], quarantined: [] });
    files.write('token', 'ghp_second');
    await clock.advance(2_000);
    expect(shown()).to.deep.equal({ kept: [], quarantined: [] });
    const credentials = applied.at(-1)?.registrations[0]?.credentials;
    expect(credentials?.kind === 'token' && credentials.token.reveal()).to.equal('ghp_second');
  });

  describe('of tenants', () => {
    const granted = (...entries: readonly string[]) => `${dispatcherYaml}
tenants:
${entries.join('\n')}
`;
    const acme = (more: string) =>
      `  acme: { hosts: [github.com], owners: [acme], labels: ["acme*"], backendKinds: [docker], runnerGroups: [Default], ${more} }`;
    const labs =
      '  acme-labs: { hosts: [github.com], owners: [labs], labels: ["labs*"], backendKinds: [docker], runnerGroups: [Default] }';
    const file = (label: string, owner = 'acme') =>
      registrationYaml
        .replace('env:GITHUB_TOKEN', 'env:TENANT_ACME_TOKEN')
        .replace('organization: acme', `organization: ${owner}\nlabels: [${label}]`);

    for (const [how, without] of [
      ['gone', dispatcherYaml],
      ['empty', `${dispatcherYaml}tenants: {}\n`],
    ] as const) {
      it(`does not believe that there are no tenants any more where the section is ${how}, whoever asks`, async () => {
        const walled = granted(acme('limits: { maxRunners: 20 }'));
        await start({ 'dispatcher.yaml': walled, 'registrations/acme.yaml': file('acme') });
        files.write('dispatcher.yaml', `${without}limits: { maxRunners: 7 }\n`);
        const reaching = file('acme').replace('env:TENANT_ACME_TOKEN', 'env:ADMIN_TOKEN');
        files.write('registrations/acme.yaml', reaching);
        const told = [
          'no tenants are left in `tenants`: those that were there stay in force, with the rest of the file as it was',
        ];
        for (const ask of [() => clock.advance(2_000), () => reloading.now()]) {
          await ask();
          expect(problems()).to.deep.equal(told);
          expect(applied.at(-1)?.dispatcher.tenants).to.have.length(1);
          expect(applied.at(-1)?.dispatcher.maxRunners).to.equal(1000);
          expect(shown()).to.deep.equal({ kept: ['acme'], quarantined: [] });
          expect(applied.at(-1)?.registrations[0]?.grant?.tenant).to.equal('acme');
        }
        files.write('dispatcher.yaml', walled);
        await clock.advance(2_000);
        expect(problems()).to.deep.equal([]);
      });
    }

    it('keeps no version that asks for more than is granted now', async () => {
      const wide = granted(acme('limits: { maxRunners: 20 }'));
      await start({ 'dispatcher.yaml': wide, 'registrations/acme.yaml': `${file('acme')}maxRunners: 20\n` });
      files.write('registrations/acme.yaml', `${file('acme')}nonsense: 1\n`);
      await clock.advance(2_000);
      expect(shown()).to.deep.equal({ kept: ['acme'], quarantined: [] });
      files.write('dispatcher.yaml', granted(acme('limits: { maxRunners: 5 }')));
      await clock.advance(2_000);
      expect(shown()).to.deep.equal({ kept: [], quarantined: ['acme'] });
      expect(names()).to.deep.equal([]);
    });

    it('keeps the version before where a file reaches for what is granted to another', async () => {
      const two = granted(acme(''), labs);
      await start({ 'dispatcher.yaml': two, 'registrations/acme.yaml': file('acme') });
      files.write('registrations/acme.yaml', file('acme', 'labs'));
      await clock.advance(2_000);
      expect(shown()).to.deep.equal({ kept: ['acme'], quarantined: [] });
      const claim = applied.at(-1)?.registrations[0]?.claim;
      expect(claim).to.deep.equal({ kind: 'organization', organization: 'acme' });
    });

    it('keeps nothing of a tenant that was revoked', async () => {
      await start({ 'dispatcher.yaml': granted(acme(''), labs), 'registrations/acme.yaml': file('acme') });
      files.write('registrations/acme.yaml', 'nonsense: 1\n');
      await clock.advance(2_000);
      files.write('dispatcher.yaml', granted(labs));
      await clock.advance(2_000);
      expect(shown()).to.deep.equal({ kept: [], quarantined: ['acme'] });
    });
  });

  it('reads a secret again when its file changes', async () => {
    const byFile = registrationYaml.replace('env:GITHUB_TOKEN', 'file:token');
    await start({ 'registrations/acme.yaml': byFile, token: 'ghp_first' });
    files.write('token', 'ghp_second');
    await clock.advance(2_000);
    const credentials = applied.at(-1)?.registrations[0]?.credentials;
    expect(credentials?.kind === 'token' && credentials.token.reveal()).to.equal('ghp_second');
    expect(files.reads().filter((path) => path.endsWith('acme.yaml'))).to.have.length(2);
  });
});
