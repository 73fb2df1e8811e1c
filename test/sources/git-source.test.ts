import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { sourceView } from '../../dispatcher/http/admin-views.ts';
import { type GitSourceConfig, Secret } from '../../dispatcher/model/registration.ts';
import { GitError } from '../../dispatcher/sources/git-command.ts';
import { GitRepository, type RepositoryLimits } from '../../dispatcher/sources/git-repository.ts';
import { GitSource, type SourceLimits } from '../../dispatcher/sources/git-source.ts';
import { systemClock } from '../../time/clock.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';
import { type Worktree, worktree } from './git-fixture.ts';

describe('registrations in a git repository', function () {
  this.timeout(60_000);
  let remote: Worktree;
  let folder: string;
  let sources: GitSource[];
  let told: { readonly event: string; readonly fields: unknown }[];

  beforeEach(async () => {
    remote = await worktree();
    folder = await mkdtemp(join(tmpdir(), 'shr-source-'));
    sources = [];
    told = [];
  });

  afterEach(async () => {
    for (const one of sources) one.stop();
    await remote.remove();
    await rm(folder, { recursive: true, force: true });
  });

  interface Changes {
    readonly bounds?: SourceLimits;
    readonly config?: Partial<GitSourceConfig>;
    readonly limits?: Partial<RepositoryLimits>;
    readonly environment?: Readonly<Record<string, string | undefined>>;
    readonly protocols?: readonly string[];
  }

  function sourceOf({ bounds, config: changes, limits, environment, protocols = ['file'] }: Changes = {}): GitSource {
    const config: GitSourceConfig = {
      name: 'tenants',
      url: `file://${remote.folder}`,
      branch: 'main',
      folders: [{ path: 'registrations', trusted: false }],
      intervalMs: 3_600_000,
      webhookSecrets: [],
      ...changes,
    };
    const repository = new GitRepository({
      ...{ config, folder, protocols, clock: systemClock },
      environment: environment ?? { PATH: process.env['PATH'] },
      ...(limits === undefined ? {} : { limits }),
    });
    let now = 0;
    // Nobody waits between two fetches.
    const clock = { after: systemClock.after, now: () => (now += 1_000_000) };
    const say = (event: string, fields?: unknown) => void told.push({ event, fields });
    const source = new GitSource({
      config,
      repository,
      clock,
      log: () => ({ info: say, warn: say }),
      ...(bounds === undefined ? {} : { limits: bounds }),
    });
    sources.push(source);
    return source;
  }

  const textsOf = async (source: GitSource) =>
    Object.fromEntries(
      await Promise.all(
        source.files.map(async ({ file }) => [
          file.replace('git:tenants/', ''),
          await source.read(file).catch((error: Error) => error.message),
        ]),
      ),
    );

  it('are those directly in the folder, at the last commit of the branch', async () => {
    await remote.write({
      'registrations/acme.yaml': 'one',
      'registrations/deeper/other.yaml': 'not here',
      'registrations/README.md': 'no registration',
      'acme.yaml': 'not here',
    });
    const sha = await remote.commit('Add acme with ghp_abcdefghijklmnopqrstuvwxyz0123456789');
    const source = sourceOf();
    await source.wake();
    expect(await textsOf(source)).to.deep.equal({ 'registrations/acme.yaml': 'one' });
    expect(source.state.problem).to.equal(null);
    expect(source.state.commit).to.deep.equal({
      sha,
      authoredAtMs: Date.parse('2026-11-29T10:00:00Z'),
      subject: 'Add acme with [secret]',
    });
  });

  it('are fetched without what was there before', async () => {
    await remote.write({ 'registrations/acme.yaml': 'first' });
    const first = await remote.commit('first');
    await remote.write({ 'registrations/acme.yaml': 'second' });
    await remote.commit('second');
    const source = sourceOf();
    await source.wake();
    const repository = new GitRepository({
      config: source.config,
      ...{ folder, clock: systemClock, environment: { PATH: process.env['PATH'] } },
    });
    expect(await repository.list(first, ['registrations']).catch(() => 'not there')).to.equal('not there');
  });

  it('are never links, submodules, kept in LFS, too large or not text; the others count', async () => {
    await remote.write({
      'registrations/good.yaml': 'good',
      'registrations/large.yaml': 'x'.repeat(300 * 1024),
      'registrations/binary.yaml': Buffer.from([0xff, 0xfe, 0x00]),
      'registrations/lfs.yaml': 'version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n',
    });
    await remote.link('registrations/link.yaml', '/etc/passwd');
    const sha = await remote.commit('first');
    await remote.git('update-index', '--add', '--cacheinfo', `160000,${sha},registrations/module.yaml`);
    await remote.git('commit', '--quiet', '--message', 'a submodule');
    const source = sourceOf();
    await source.wake();
    expect(await textsOf(source)).to.deep.equal({
      'registrations/good.yaml': 'good',
      'registrations/large.yaml': 'it has 307200 bytes, and 262144 is the limit',
      'registrations/binary.yaml': 'it is not text in UTF-8',
      'registrations/lfs.yaml': 'it is kept in Git LFS',
      'registrations/link.yaml': 'it is a link, not a file',
      'registrations/module.yaml': 'it is a submodule, not a file',
    });
    expect(await readdir(join(folder, 'repository'))).to.not.include('registrations');
  });

  it('belong to the tenant of their folder, as dispatcher.yaml says', async () => {
    await remote.write({
      'teams/acme/acme.yaml': '1',
      'teams/globex/acme.yaml': '2',
      'teams/globex/deep/er.yaml': 'not here',
      'shared/other.yaml': '3',
    });
    await remote.commit('first');
    const source = sourceOf({
      config: {
        folders: [
          { path: 'teams/*', trusted: false },
          { path: 'shared', tenants: ['initech'], trusted: true },
        ],
      },
    });
    await source.wake();
    expect(source.files.map(({ file, tenants, trusted }) => [file, tenants, trusted])).to.have.deep.members([
      ['git:tenants/shared/other.yaml', ['initech'], true],
      ['git:tenants/teams/acme/acme.yaml', ['acme'], false],
      ['git:tenants/teams/globex/acme.yaml', ['globex'], false],
    ]);
  });

  it('stay as they were while the host is away, over a restart too, and it is said', async () => {
    await remote.write({ 'registrations/acme.yaml': 'one' });
    const sha = await remote.commit('first');
    const source = sourceOf();
    await source.wake();
    await rename(remote.folder, `${remote.folder}-away`);
    await source.wake();
    expect(await textsOf(source)).to.deep.equal({ 'registrations/acme.yaml': 'one' });
    expect(source.state.problem?.message).to.match(
      /cannot be read: fatal: .*; what it said at commit [0-9a-f]{12} is in force/,
    );
    source.stop();
    const again = sourceOf();
    await again.open();
    expect(again.isKnown).to.equal(true);
    expect(again.state.commit?.sha).to.equal(sha);
    expect(await textsOf(again)).to.deep.equal({ 'registrations/acme.yaml': 'one' });
    await again.wake();
    expect(again.state.problem).to.not.equal(null);
    await again.wake();
    await again.wake();
    await rename(`${remote.folder}-away`, remote.folder);
    await remote.write({ 'registrations/acme.yaml': 'two' });
    await remote.commit('second');
    await again.wake();
    expect(again.state.problem).to.equal(null);
    expect(await textsOf(again)).to.deep.equal({ 'registrations/acme.yaml': 'two' });
  });

  it('are those of a branch that was rewritten, too, and it is said', async () => {
    await remote.write({ 'registrations/acme.yaml': 'one' });
    const first = await remote.commit('first');
    const source = sourceOf();
    await source.wake();
    await remote.write({ 'registrations/acme.yaml': 'two' });
    await remote.commit('second');
    await source.wake();
    expect(JSON.stringify(told.at(-1))).to.not.include('rewritten');
    const second = source.state.commit?.sha;
    await remote.git('reset', '--hard', '--quiet', first);
    await remote.write({ 'registrations/acme.yaml': 'three' });
    await remote.commit('third');
    await source.wake();
    expect(await textsOf(source)).to.deep.equal({ 'registrations/acme.yaml': 'three' });
    expect(source.state.problem).to.equal(null);
    expect(told.at(-1)).to.have.property('event', 'source-read');
    expect(told.at(-1)?.fields).to.have.property('reason', `it does not follow ${second}: the branch was rewritten`);
  });

  it('are not gone with a folder that a commit has lost', async () => {
    await remote.write({ 'registrations/acme.yaml': 'one' });
    await remote.commit('first');
    const source = sourceOf();
    await source.wake();
    await remote.write({ 'registrations/acme.yaml': undefined, 'elsewhere.yaml': '1' });
    const lost = await remote.commit('second');
    await source.wake();
    expect(source.state.problem?.message).to.include(`commit ${lost.slice(0, 12)} has no folder registrations`);
    expect(await textsOf(source)).to.deep.equal({ 'registrations/acme.yaml': 'one' });
  });

  it('are not gone over a restart when the last commit is refused', async () => {
    await remote.write({ 'registrations/acme.yaml': 'one' });
    const first = await remote.commit('first');
    const bounds = { maxFiles: 2, maxBytes: 100_000 };
    const one = sourceOf({ bounds });
    await one.wake();
    one.stop();
    const many = Object.fromEntries(Array.from({ length: 3 }, (_, n) => [`registrations/${n}.yaml`, 'x']));
    const none = Object.fromEntries([...Object.keys(many), 'registrations/acme.yaml'].map((path) => [path, undefined]));
    for (const [files, message] of [
      [many, 'has 4 files'],
      [{ ...none, 'elsewhere.yaml': '1' }, 'has no folder registrations'],
    ] as const) {
      await remote.write(files);
      await remote.commit('refused');
      for (let start = 0; start < 2; start += 1) {
        const again = sourceOf({ bounds });
        await again.open();
        expect(again.state.commit?.sha).to.equal(first);
        await again.wake();
        expect(again.state.problem?.message).to.include(message);
        expect(await textsOf(again)).to.deep.equal({ 'registrations/acme.yaml': 'one' });
        again.stop();
      }
    }
    // One that was made anew, too.
    await rename(remote.folder, `${remote.folder}-away`);
    const away = sourceOf({ bounds });
    await away.open();
    await away.wake();
    await away.wake();
    await rename(`${remote.folder}-away`, remote.folder);
    await away.wake();
    await away.wake();
    expect(away.state.problem?.message).to.include('has no folder registrations');
    away.stop();
    const anew = sourceOf({ bounds });
    await anew.open();
    expect(await textsOf(anew)).to.deep.equal({ 'registrations/acme.yaml': 'one' });
    await remote.write({ 'registrations/acme.yaml': 'two' });
    const last = await remote.commit('restored');
    await anew.wake();
    expect(anew.state.problem).to.equal(null);
    anew.stop();
    expect(await readdir(folder)).to.not.include('kept');
    await rename(remote.folder, `${remote.folder}-away`);
    const end = sourceOf({ bounds });
    await end.open();
    await end.wake();
    await rename(`${remote.folder}-away`, remote.folder);
    expect(end.state.commit?.sha).to.equal(last);
    expect(await textsOf(end)).to.deep.equal({ 'registrations/acme.yaml': 'two' });
  });

  it('are those of a later commit where git never ends well at one that was fetched and never counted', async () => {
    await remote.write({ 'registrations/acme.yaml': 'one' });
    const first = await remote.commit('first');
    const { config } = sourceOf();
    const environment = { PATH: process.env['PATH'] };
    const repository = new GitRepository({ config, folder, environment, protocols: ['file'], clock: systemClock });
    await repository.fetch();
    await remote.write({ 'registrations/acme.yaml': 'two' });
    await remote.commit('second');
    let now = 0;
    const source = new GitSource({
      ...{ config, log: () => ({ info: () => {}, warn: () => {} }) },
      clock: { after: systemClock.after, now: () => (now += 1_000_000) },
      repository: {
        list: async (commit, folders) => {
          if (commit === first) throw new GitError('interrupted', 'git ended with SIGKILL');
          return await repository.list(commit, folders);
        },
        blobs: (commit, names, most) => repository.blobs(commit, names, most),
        ...{ fetch: () => repository.fetch(), follows: (sha) => repository.follows(sha) },
        ...{ keep: (sha, read) => repository.keep(sha, read), last: () => repository.last() },
      },
    });
    sources.push(source);
    for (let tries = 0; tries < 5; tries += 1) await source.wake();
    expect(await textsOf(source)).to.deep.equal({ 'registrations/acme.yaml': 'two' });
  });

  it('are those of an earlier version’s repository after an update, too', async () => {
    await remote.write({ 'registrations/acme.yaml': 'one' });
    await remote.commit('first');
    const source = sourceOf();
    await source.wake();
    source.stop();
    await rm(join(folder, 'repository', 'refs', 'shr', 'read'));
    await rename(remote.folder, `${remote.folder}-away`);
    const again = sourceOf();
    await again.open();
    await again.wake();
    await rename(`${remote.folder}-away`, remote.folder);
    expect(await textsOf(again)).to.deep.equal({ 'registrations/acme.yaml': 'one' });
  });

  it('are not fetched beyond the bound of their size, and those before stay', async () => {
    await remote.write({ 'registrations/acme.yaml': 'one' });
    await remote.commit('first');
    const source = sourceOf({ limits: { maxPackBytes: 1024 * 1024 } });
    await source.wake();
    const { randomBytes } = await import('node:crypto');
    const large = Array.from({ length: 5 }, (_, n) => [`large/${n}`, randomBytes(900 * 1024)]);
    await remote.write({ 'registrations/acme.yaml': 'two', ...Object.fromEntries(large) });
    await remote.commit('second');
    await source.wake();
    expect(source.state.problem?.message).to.include('it is larger than a repository of registrations may be');
    expect(await textsOf(source)).to.deep.equal({ 'registrations/acme.yaml': 'one' });
    await remote.git('rm', '--quiet', '-r', 'large');
    await remote.commit('third');
    await source.wake();
    expect(source.state.problem).to.equal(null);
    expect(await textsOf(source)).to.deep.equal({ 'registrations/acme.yaml': 'two' });
  });

  it('are read of a commit whose message has no end, and whose time is none', async () => {
    await remote.write({ 'registrations/acme.yaml': 'one' });
    await remote.commit('first');
    const tree = await remote.git('rev-parse', 'HEAD^{tree}');
    for (const [seconds, message] of [
      ['99999999999999999999', 'a time that no clock shows'],
      ['1', 'x'.repeat(3 * 1024 * 1024)],
    ] as const) {
      const who = `Ann <ann@example.com> ${seconds} +0000`;
      await remote.write({ 'commit.txt': `tree ${tree}\nauthor ${who}\ncommitter ${who}\n\n${message}\n` });
      const sha = await remote.git('hash-object', '-t', 'commit', '-w', '--literally', 'commit.txt');
      await remote.git('update-ref', 'refs/heads/main', sha);
      const source = sourceOf();
      await source.wake();
      expect(source.state.problem).to.equal(null);
      expect(source.state.commit?.sha).to.equal(sha);
      expect(source.state.commit?.subject).to.include(message.slice(0, 100)).and.have.length.below(200);
      expect(() => sourceView(source.state)).to.not.throw();
    }
  });

  describe('with a folder for each tenant', () => {
    const folders = [{ path: 'teams/*', trusted: false }];
    const many = (count: number, text = '') =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`teams/hostile/hostile-${n}.yaml`, `${text}${n}`]));

    for (const [what, files] of [
      ['very many files', () => many(41)],
      ['very large files', () => many(10, 'x'.repeat(20_000))],
    ] as const) {
      it(`are read of all others when one has ${what}, and what it had stays`, async () => {
        await remote.write({ 'teams/hostile/hostile.yaml': 'before', 'teams/victim/victim.yaml': 'one' });
        await remote.commit('first');
        const source = sourceOf({ config: { folders }, bounds: { maxFiles: 40, maxBytes: 100_000 } });
        await source.wake();
        await remote.write({ ...files(), 'teams/hostile/hostile.yaml': 'after', 'teams/victim/victim.yaml': 'two' });
        const sha = await remote.commit('second');
        await source.wake();
        expect(await textsOf(source)).to.deep.equal({
          'teams/hostile/hostile.yaml': 'before',
          'teams/victim/victim.yaml': 'two',
        });
        expect(source.state.commit?.sha).to.equal(sha);
        expect(source.state.problem?.message).to.match(/the folder teams\/hostile has \d+ files of \d+ bytes/);
        await remote.git('rm', '--quiet', '-r', 'teams/hostile');
        await remote.commit('third');
        await source.wake();
        expect(source.state.problem).to.equal(null);
        expect(await textsOf(source)).to.deep.equal({ 'teams/victim/victim.yaml': 'two' });
      });
    }

    it('are read of all others when one has more than can be listed', async () => {
      await remote.write({ 'teams/hostile/hostile.yaml': 'before', 'teams/victim/victim.yaml': 'one' });
      await remote.commit('first');
      const source = sourceOf({ config: { folders }, limits: { maxListBytes: 8 * 1024 } });
      await source.wake();
      await remote.write({ ...many(200), 'teams/hostile/hostile.yaml': 'after', 'teams/victim/victim.yaml': 'two' });
      await remote.commit('second');
      await source.wake();
      expect(await textsOf(source)).to.deep.equal({
        'teams/hostile/hostile.yaml': 'before',
        'teams/victim/victim.yaml': 'two',
      });
      expect(source.state.problem?.message).to.include('the folder teams/hostile has too many files to be listed');
      // Those directly in a folder are there, too.
      await remote.write({ 'teams/one.yaml': 'one' });
      await remote.commit('third');
      const direct = sourceOf({
        config: { folders: [{ path: 'teams', trusted: false }] },
        limits: { maxListBytes: 8 * 1024 },
      });
      await direct.wake();
      expect(await textsOf(direct)).to.deep.equal({ 'teams/one.yaml': 'one' });
    });

    it('are read of all others when one that is named has more than can be listed', async () => {
      const named = ['teams/hostile', 'teams/victim'].map((path) => ({ path, trusted: false }));
      const limits = { maxListBytes: 8 * 1024 };
      await remote.write({ 'teams/hostile/hostile.yaml': 'before', 'teams/victim/victim.yaml': 'one' });
      await remote.commit('first');
      const source = sourceOf({ config: { folders: named }, limits });
      await source.wake();
      await remote.write({ ...many(200), 'teams/hostile/hostile.yaml': 'after', 'teams/victim/victim.yaml': 'two' });
      await remote.commit('second');
      await source.wake();
      expect(await textsOf(source)).to.deep.equal({
        'teams/hostile/hostile.yaml': 'before',
        'teams/victim/victim.yaml': 'two',
      });
      expect(source.state.problem?.message).to.include('the folder teams/hostile has too many files to be listed');
      await remote.git('rm', '--quiet', '-r', 'teams/hostile');
      // What is not directly in a folder does not count, and takes no room.
      const deep = Object.fromEntries(
        Array.from({ length: 4 }, (_, n) => [`teams/hostile/${n}`, 'x'.repeat(30)] as const).flatMap(([path, name]) =>
          Array.from({ length: 100 }, (_, n) => [`${path}/${name}-${n}.yaml`, '']),
        ),
      );
      await remote.write({ ...deep, 'teams/hostile/hostile.yaml': 'last' });
      await remote.commit('third');
      await source.wake();
      expect(source.state.problem).to.equal(null);
      expect(await textsOf(source)).to.deep.equal({
        'teams/hostile/hostile.yaml': 'last',
        'teams/victim/victim.yaml': 'two',
      });
    });

    it('stay as they were below a folder whose own files are too many to be listed', async () => {
      const all = [...folders, { path: 'teams/victim', tenants: ['victim'], trusted: false }];
      await remote.write({
        'teams/other/other.yaml': 'one',
        'teams/victim/gone.yaml': 'one',
        'teams/victim/victim.yaml': 'one',
      });
      await remote.commit('first');
      const source = sourceOf({ config: { folders: all }, limits: { maxListBytes: 8 * 1024 } });
      await source.wake();
      await remote.write({
        ...Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`teams/file-${n}.yaml`, ''])),
        'teams/other/other.yaml': 'two',
        'teams/victim/gone.yaml': undefined,
        'teams/victim/victim.yaml': 'two',
      });
      await remote.commit('second');
      await source.wake();
      expect(await textsOf(source)).to.deep.equal({
        'teams/other/other.yaml': 'one',
        'teams/victim/victim.yaml': 'two',
      });
      expect(source.state.problem?.message).to.include('the folder teams/ has too many files to be listed');
      const both = [...all, { path: 'teams', trusted: false }];
      await remote.git('rm', '--quiet', 'teams/file-*.yaml');
      const direct = Array.from({ length: 60 }, (_, n) => [`teams/${n}.yaml`, '']);
      const deep = Array.from({ length: 20 }, (_, n) => [`teams/deep/deeper/${n}.yaml`, '']);
      await remote.write(Object.fromEntries([...direct, ...deep]));
      await remote.commit('third');
      const second = sourceOf({ config: { folders: both }, limits: { maxListBytes: 5 * 1024 } });
      await second.open();
      await second.wake();
      await remote.git('rm', '--quiet', 'teams/other/other.yaml');
      await remote.write({ 'teams/third/third.yaml': 'one' });
      await remote.commit('fourth');
      await second.wake();
      expect(second.state.problem?.message).to.include('the folder teams has too many files to be listed');
      expect(await textsOf(second)).to.deep.equal({
        'teams/third/third.yaml': 'one',
        'teams/victim/victim.yaml': 'two',
      });
    });

    describe('of which a commit is read only in part', () => {
      const large = () => ({ ...many(41), 'teams/hostile/hostile.yaml': 'after' });
      const files = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`teams/file-${n}.yaml`, '']));
      const before = { 'teams/hostile/hostile.yaml': 'before', 'teams/victim/victim.yaml': 'one' };
      const after = { ...before, 'teams/victim/victim.yaml': 'two' };
      const bounded = { config: { folders }, bounds: { maxFiles: 40, maxBytes: 100_000 } };
      const named = { path: 'teams/victim', tenants: ['victim'], trusted: false };
      const listed = { config: { folders: [...folders, named] }, limits: { maxListBytes: 8 * 1024 } };

      async function started(changes: Changes): Promise<GitSource> {
        const source = sourceOf(changes);
        await source.open();
        return source;
      }

      /** While its host is away. */
      async function startedAway(changes: Changes): Promise<GitSource> {
        await rename(remote.folder, `${remote.folder}-away`);
        const source = await started(changes);
        await source.wake();
        source.stop();
        await rename(`${remote.folder}-away`, remote.folder);
        return source;
      }

      for (const [what, changes, beyond] of [
        ['a folder that is too large', bounded, large],
        ['a folder whose own files are too many to be listed', listed, () => files],
      ] as const) {
        it(`stay as they were over a restart in ${what}, and the others are those read last`, async () => {
          await remote.write(before);
          await remote.commit('first');
          const source = sourceOf(changes);
          await source.wake();
          expect(source.isKnown).to.equal(true);
          await remote.write({ ...beyond(), 'teams/victim/victim.yaml': 'two' });
          const second = await remote.commit('second');
          await source.wake();
          expect(await textsOf(source)).to.deep.equal(after);
          source.stop();
          for (const start of [started, startedAway, started]) {
            const again = await start(changes);
            expect(again.state.commit?.sha).to.equal(second);
            expect(await textsOf(again)).to.deep.equal(after);
            expect(again.isKnown).to.equal(true);
            await again.wake();
            expect(await textsOf(again)).to.deep.equal(after);
            again.stop();
          }
        });
      }

      it('stay as they were where the commit comes while no process runs', async () => {
        await remote.write(before);
        await remote.commit('first');
        const source = sourceOf(bounded);
        await source.wake();
        source.stop();
        await remote.write({ ...large(), 'teams/victim/victim.yaml': 'two' });
        await remote.commit('second');
        for (let start = 0; start < 3; start += 1) {
          const again = await started(bounded);
          await again.wake();
          expect(await textsOf(again)).to.deep.equal(after);
          expect(again.state.problem?.message).to.include('what it said before is in force');
          again.stop();
        }
      });

      it('stay as they were where the repository was fetched anew, until a commit is read as a whole', async () => {
        await remote.write(before);
        await remote.commit('first');
        const one = sourceOf(bounded);
        await one.wake();
        await remote.write({ ...large(), 'teams/victim/victim.yaml': 'two' });
        await remote.commit('second');
        await one.wake();
        let victim = 'two';
        one.stop();
        for (const next of ['three', 'four', 'five']) {
          await rm(join(folder, 'repository', 'config.made'));
          const source = await started(bounded);
          await source.wake();
          expect(await textsOf(source)).to.deep.equal({ ...before, 'teams/victim/victim.yaml': victim });
          victim = next;
          await remote.write({ 'teams/victim/victim.yaml': victim });
          await remote.commit(victim);
          await source.wake();
          source.stop();
          const away = await startedAway(bounded);
          expect(await textsOf(away)).to.deep.equal({ ...before, 'teams/victim/victim.yaml': victim });
        }
        const tree = await remote.git('rev-parse', 'HEAD');
        // What is fetched anew may be one that cannot count.
        await remote.git('rm', '--quiet', '-r', 'teams');
        await remote.write({ 'elsewhere.yaml': '1' });
        await remote.commit('no folder');
        for (let start = 0; start < 2; start += 1) {
          await rm(join(folder, 'repository', 'config.made'));
          const source = await started(bounded);
          await source.wake();
          expect(source.state.problem?.message).to.include('has no folder teams/*');
          expect(await textsOf(source)).to.deep.equal({ ...before, 'teams/victim/victim.yaml': victim });
          source.stop();
        }
        await remote.git('reset', '--quiet', '--hard', tree);
        await remote.git('rm', '--quiet', '-r', 'teams/hostile');
        await remote.commit('whole');
        const whole = await started(bounded);
        await whole.wake();
        expect(whole.state.problem).to.equal(null);
        whole.stop();
        expect(await readdir(folder)).to.have.members(['repository']);
        expect(await textsOf(await startedAway(bounded))).to.deep.equal({ 'teams/victim/victim.yaml': victim });
      });

      it('are those of others read last, whatever a hostile tenant pushes and wherever the process restarts', async () => {
        await remote.write(before);
        const first = await remote.commit('first');
        let victim = 0;
        const hostile = async (state: string, files: Readonly<Record<string, string | undefined>>) => {
          victim += 1;
          await remote.write({ ...files, 'teams/victim/victim.yaml': `${victim}` });
          await remote.commit(state);
        };
        const none = Object.fromEntries(Object.keys(many(41)).map((path) => [path, undefined]));
        let held = 'before';
        const holds = async (step: string) => {
          const expected = { 'teams/hostile/hostile.yaml': held, 'teams/victim/victim.yaml': `${victim}` };
          const running = await started(bounded);
          await running.wake();
          expect(await textsOf(running), step).to.deep.equal(expected);
          expect(running.isKnown, step).to.equal(true);
          running.stop();
          const away = await startedAway(bounded);
          expect(await textsOf(away), `${step}, away`).to.deep.equal(expected);
          expect(away.isKnown, `${step}, away`).to.equal(true);
        };
        const whole = sourceOf(bounded);
        await whole.wake();
        whole.stop();
        await hostile('too large', large());
        await holds('too large');
        await hostile('too large again', { ...many(41, 'again'), 'teams/hostile/hostile.yaml': 'again' });
        await holds('too large again');
        await hostile('fine', { ...none, 'teams/hostile/hostile.yaml': 'fine' });
        held = 'fine';
        await holds('fine');
        await remote.git('reset', '--quiet', '--hard', first);
        await hostile('forced, too large', { ...many(41, 'forced'), 'teams/hostile/hostile.yaml': 'forced' });
        await holds('forced, too large');
        await remote.git('checkout', '--quiet', '--detach');
        await remote.git('branch', '--quiet', '-D', 'main');
        for (const step of ['deleted', 'deleted still']) await holds(step);
        await remote.git('checkout', '--quiet', '--orphan', 'main');
        await hostile('made anew, too large', { 'teams/hostile/hostile.yaml': 'anew' });
        await holds('made anew, too large');
        await remote.git('rm', '--quiet', '-r', 'teams');
        await hostile('made anew', { 'teams/hostile/hostile.yaml': 'anew' });
        held = 'anew';
        await holds('made anew');
        expect(await readdir(folder)).to.have.members(['repository']);
      });

      it('are not known to be all while a folder is too large of which nothing was read before', async () => {
        await remote.write({ 'teams/victim/victim.yaml': 'one' });
        await remote.commit('first');
        const source = sourceOf(bounded);
        await source.wake();
        expect(source.isKnown).to.equal(true);
        await remote.write(large());
        await remote.commit('second');
        await source.wake();
        expect(source.isKnown).to.equal(false);
        source.stop();
        const again = await startedAway(bounded);
        expect(again.isKnown).to.equal(false);
        expect(await textsOf(again)).to.deep.equal({ 'teams/victim/victim.yaml': 'one' });
        await remote.git('rm', '--quiet', '-r', 'teams/hostile');
        await remote.write({ 'teams/hostile/hostile.yaml': 'fits' });
        await remote.commit('third');
        const fits = await started(bounded);
        await fits.wake();
        expect(fits.isKnown).to.equal(true);
      });

      it('stay although git is too slow to say what is kept where the repository is fetched anew', async () => {
        await remote.write(before);
        await remote.commit('first');
        const source = sourceOf(bounded);
        await source.wake();
        source.stop();
        await remote.write({ ...large(), 'teams/victim/victim.yaml': 'two' });
        await remote.commit('second');
        await rm(join(folder, 'repository', 'config.made'));
        await fakeGit(`case "$*" in *refs/shr/read*) sleep 30 & wait;; esac\n${realGit()}`);
        const environment = { PATH: `${join(folder, 'bin')}:${process.env['PATH']}` };
        const again = sourceOf({ ...bounded, environment, limits: { readMs: 3_000 } });
        await again.wake();
        expect(again.state.problem?.message).to.include('git took longer than');
        again.stop();
        const later = await started(bounded);
        await later.wake();
        expect(await textsOf(later)).to.deep.equal(after);
        expect(later.isKnown).to.equal(true);
      });

      for (const [how, ends] of [
        ['is killed', 'kill -9 $$'],
        ['has no memory', 'echo "fatal: Out of memory, malloc failed (tried to allocate 4096 bytes)" >&2; exit 128'],
        ['cannot be run', 'echo "$0: 1: exec: git: Cannot allocate memory" >&2; exit 126'],
        ['fails without a word', 'exit 1'],
      ] as const) {
        for (const [what, pushed, message] of [
          ['has a folder that is too large', large(), 'what it said before is in force'],
          ['has none of the folders', undefined, 'has no folder teams/*'],
        ] as const) {
          it(`stay where git ${how} at a start, and the latest commit ${what}`, async () => {
            await remote.write(before);
            const first = await remote.commit('first');
            const source = sourceOf(bounded);
            await source.wake();
            source.stop();
            if (pushed === undefined) {
              await remote.git('rm', '--quiet', '-r', 'teams');
              await remote.write({ 'elsewhere.yaml': '1' });
            } else await remote.write(pushed);
            await remote.commit('second');
            const refused = await started(bounded);
            await refused.wake();
            refused.stop();
            expect(refused.state.problem?.message).to.include(message);
            const mark = join(folder, 'ended-once');
            const once = `case "$*" in *refs/shr/read*) [ -e '${mark}' ] || { touch '${mark}'; ${ends}; };; esac\n`;
            await fakeGit(once + realGit());
            const environment = { PATH: `${join(folder, 'bin')}:${process.env['PATH']}` };
            const again = await started({ ...bounded, environment });
            await again.wake();
            again.stop();
            expect(await readdir(folder)).to.include('ended-once');
            expect(await textsOf(again)).to.deep.equal(before);
            expect(again.isKnown).to.equal(true);
            expect(again.state.problem?.message).to.include(message);
            if (pushed === undefined) expect(again.state.commit?.sha).to.equal(first);
          });
        }
      }

      it('stay where git is killed as it says what is kept, and the repository is fetched anew', async () => {
        await remote.write(before);
        await remote.commit('first');
        const source = sourceOf(bounded);
        await source.wake();
        source.stop();
        await remote.write({ ...large(), 'teams/victim/victim.yaml': 'two' });
        await remote.commit('second');
        await rm(join(folder, 'repository', 'config.made'));
        const mark = join(folder, 'fetched');
        const anew = `case "$*" in *--no-write-fetch-head*) touch '${mark}';; *refs/shr/read*) [ -e '${mark}' ] && kill -9 $$;; esac\n`;
        await fakeGit(anew + realGit());
        const again = sourceOf({ ...bounded, environment: { PATH: `${join(folder, 'bin')}:${process.env['PATH']}` } });
        await again.wake();
        again.stop();
        expect(again.state.problem?.message).to.include('SIGKILL');
        const later = await started(bounded);
        await later.wake();
        expect(await textsOf(later)).to.deep.equal(after);
        expect(later.isKnown).to.equal(true);
      });

      for (const [what, file] of [
        ['what it names is broken', join('objects', 'pack')],
        ['its own file is broken', join('refs', 'shr', 'read')],
        ['it is no repository any more', 'HEAD'],
      ] as const) {
        it(`are those of the latest commit in the end where a kept one cannot be read, as ${what}`, async () => {
          await remote.write(before);
          await remote.commit('first');
          const source = sourceOf(bounded);
          await source.wake();
          source.stop();
          await rm(join(folder, 'repository', file), { recursive: true });
          if (file.endsWith('read')) await writeFile(join(folder, 'repository', file), '');
          await remote.write({ 'teams/victim/victim.yaml': 'two' });
          await remote.commit('second');
          const again = await started(bounded);
          for (let tries = 0; tries < 10; tries += 1) await again.wake();
          expect(await textsOf(again)).to.deep.equal(after);
          expect(again.state.problem).to.equal(null);
        });
      }

      it('are read of what was kept before anything newer where the start could not read it', async () => {
        await remote.write(before);
        await remote.commit('first');
        const one = sourceOf(bounded);
        await one.wake();
        one.stop();
        await remote.write({ ...large(), 'teams/victim/victim.yaml': 'two' });
        await remote.commit('second');
        const { config } = one;
        const environment = { PATH: process.env['PATH'] };
        const repository = new GitRepository({ config, folder, environment, protocols: ['file'], clock: systemClock });
        let fails = 1;
        const list: GitRepository['list'] = async (commit, some) => {
          fails -= 1;
          if (fails >= 0) throw new GitError('too-slow', 'git took longer than 60 s');
          return await repository.list(commit, some);
        };
        const source = new GitSource({
          ...{ config, limits: bounded.bounds, log: () => ({ info: () => {}, warn: () => {} }), clock: systemClock },
          repository: {
            ...{ list, blobs: (commit, names, most) => repository.blobs(commit, names, most) },
            ...{ fetch: () => repository.fetch(), follows: (sha) => repository.follows(sha) },
            ...{ keep: (sha, read) => repository.keep(sha, read), last: () => repository.last() },
          },
        });
        sources.push(source);
        await source.open();
        await source.wake();
        expect(await textsOf(source)).to.deep.equal(after);
        expect(source.isKnown).to.equal(true);
      });

      it('are not known to be all while none was read as a whole, over a restart too, and it is said', async () => {
        await remote.write({ ...large(), 'teams/victim/victim.yaml': 'two' });
        await remote.commit('first');
        for (let start = 0; start < 2; start += 1) {
          const source = await started(bounded);
          await source.wake();
          expect(await textsOf(source)).to.deep.equal({ 'teams/victim/victim.yaml': 'two' });
          expect(source.isKnown).to.equal(false);
          expect(source.state.problem?.message).to.match(/are the limit of all: nothing of it is known yet$/);
          source.stop();
        }
        await remote.git('rm', '--quiet', '-r', 'teams/hostile');
        await remote.commit('second');
        const source = await started(bounded);
        expect(await textsOf(source)).to.deep.equal({ 'teams/victim/victim.yaml': 'two' });
        await source.wake();
        expect(source.isKnown).to.equal(true);
        expect(source.state.problem).to.equal(null);
      });
    });

    it('are read although another has the same content as a link, or as a submodule', async () => {
      await remote.write({ 'teams/victim/victim.yaml': 'one' });
      await remote.commit('first');
      const blob = await remote.git('rev-parse', 'HEAD:teams/victim/victim.yaml');
      await remote.git('rm', '--quiet', '--cached', 'teams/victim/victim.yaml');
      for (const [mode, name] of [
        ['120000', 'link'],
        ['160000', 'module'],
      ] as const) {
        await remote.git('update-index', '--add', '--cacheinfo', `${mode},${blob},teams/hostile/${name}.yaml`);
      }
      await remote.git('commit', '--quiet', '--message', 'of another');
      const source = sourceOf({ config: { folders } });
      await source.wake();
      await remote.git('add', 'teams/victim/victim.yaml');
      await remote.git('commit', '--quiet', '--message', 'of the victim');
      for (const text of ['one', 'two', 'one']) {
        await remote.write({ 'teams/victim/victim.yaml': text });
        await remote.git('add', 'teams/victim/victim.yaml');
        await remote.git('commit', '--quiet', '--allow-empty', '--message', text);
        await source.wake();
        expect(await textsOf(source)).to.deep.equal({
          'teams/hostile/link.yaml': 'it is a link, not a file',
          'teams/hostile/module.yaml': 'it is a submodule, not a file',
          'teams/victim/victim.yaml': text,
        });
      }
    });

    it('are read of all others when one has a file that is too large to fetch', async () => {
      await remote.write({ 'teams/hostile/hostile.yaml': 'one', 'teams/victim/victim.yaml': 'one' });
      await remote.commit('first');
      const source = sourceOf({ config: { folders }, limits: { maxPackBytes: 1024 * 1024 } });
      await source.wake();
      const { randomBytes } = await import('node:crypto');
      const large = randomBytes(4 * 1024 * 1024);
      await remote.write({ 'teams/hostile/hostile.yaml': large, 'teams/victim/victim.yaml': 'two' });
      await remote.commit('second');
      await source.wake();
      expect(source.state.problem).to.equal(null);
      expect(await textsOf(source)).to.deep.equal({
        'teams/hostile/hostile.yaml': 'it has more than 262144 bytes, and 262144 is the limit',
        'teams/victim/victim.yaml': 'two',
      });
      await remote.write({ 'teams/hostile/hostile.yaml': 'three', 'teams/victim/victim.yaml': 'three' });
      await remote.commit('third');
      await source.wake();
      expect(await textsOf(source)).to.deep.equal({
        'teams/hostile/hostile.yaml': 'three',
        'teams/victim/victim.yaml': 'three',
      });
    });
  });

  it('are not waited for longer than the bound of time, and nothing that git started goes on', async () => {
    const mark = join(folder, 'went-on');
    await fakeGit(`sleep 5 && touch '${mark}' & wait`);
    const source = sourceOf({
      environment: { PATH: `${join(folder, 'bin')}:${process.env['PATH']}` },
      limits: { readMs: 300 },
    });
    await source.wake();
    expect(source.state.problem?.message).to.include('git took longer than');
    await new Promise((resolve) => setTimeout(resolve, 5_500));
    expect(await readdir(folder)).to.not.include('went-on');
  });

  it('say why git could not be started, and stay', async () => {
    await remote.write({ 'registrations/acme.yaml': 'one' });
    await remote.commit('first');
    const one = sourceOf();
    await one.wake();
    one.stop();
    // More than the system gives to a process.
    const source = sourceOf({ environment: { PATH: `/${'x'.repeat(300_000)}` } });
    await source.open();
    await source.wake();
    expect(source.state.problem?.message).to.include('git could not be started: spawn E2BIG');
    expect(source.state.problem?.cure).to.match(/^It is tried again by itself\./);
    expect(source.isKnown).to.equal(false);
  });

  it('are fetched with a token that no other user of the machine can see', async () => {
    const seen = join(folder, 'seen');
    await fakeGit(`{ echo "ARGV $*"; env; } >> '${seen}'; exit 1`);
    const token = new Secret('a-token-that-is-secret');
    const source = sourceOf({
      config: { url: 'https://git.example.com/acme/runners.git', credentials: { kind: 'token', user: 'x', token } },
      environment: {
        PATH: `${join(folder, 'bin')}:${process.env['PATH']}`,
        GIT_SSH: 'evil',
        GIT_CONFIG_PARAMETERS: "'a=b'",
      },
    });
    // The first thing that it does is to make the repository, which fails: with one there, it fetches.
    await mkdir(join(folder, 'repository'), { recursive: true });
    await writeFile(join(folder, 'repository', 'config.made'), '');
    await source.wake();
    const text = await readFile(seen, 'utf8');
    const argv = text.split('\n').filter((line) => line.startsWith('ARGV'));
    expect(argv.join('\n')).to.include('fetch').and.not.include('a-token-that-is-secret');
    const basic = Buffer.from('x:a-token-that-is-secret').toString('base64');
    expect(argv.join('\n')).to.not.include(basic);
    expect(text).to.include(`GIT_CONFIG_VALUE_0=Authorization: Basic ${basic}`);
    expect(text).to.include('GIT_CONFIG_KEY_0=http.https://git.example.com/.extraHeader');
    expect(text).to.not.include('evil').and.not.include('GIT_CONFIG_PARAMETERS');
  });

  it('are not read by another protocol than https and ssh', async () => {
    await remote.commit('first');
    const source = sourceOf({ protocols: ['https', 'ssh'] });
    await source.wake();
    expect(source.state.problem?.message).to.include("transport 'file' not allowed");
  });

  it('are fetched at most every two seconds, however many pushes there are', async () => {
    const clock = new VirtualClock(1_000_000);
    const fetches: number[] = [];
    const commit = { sha: 'a'.repeat(40), authoredAtMs: 0, subject: '' };
    const { config } = sourceOf();
    const source = new GitSource({
      ...{ config, clock, log: () => ({ info: () => {}, warn: () => {} }) },
      repository: {
        fetch: async () => {
          fetches.push(clock.now());
          return commit;
        },
        keep: async () => {},
        last: async () => [],
        follows: async () => undefined,
        list: async () => ({ entries: [], unlisted: [] }),
        blobs: async () => new Map(),
      },
    });
    for (let push = 0; push < 50; push += 1) {
      void source.wake();
      await clock.advance(100);
    }
    expect(fetches).to.have.length(3);
    source.stop();
  });

  /** The last lines of a fake: the rest is done by the real one. */
  function realGit(): string {
    const places = (process.env['PATH'] ?? '').split(':').map((place) => `${place}/git`);
    return `for one in ${places.join(' ')}; do [ -x "$one" ] && exec "$one" "$@"; done`;
  }

  async function fakeGit(script: string): Promise<void> {
    await mkdir(join(folder, 'bin'), { recursive: true });
    await writeFile(join(folder, 'bin', 'git'), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, 'bin', 'git'), 0o755);
  }
});
