/** shr doctor, about registrations in git: with a real git and real repositories. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { checkSources } from '../../dispatcher/cli/doctor/sources.ts';
import type { GitSourceConfig } from '../../dispatcher/model/registration.ts';
import { systemClock } from '../../time/clock.ts';
import { type Worktree, worktree } from '../sources/git-fixture.ts';

describe('shr doctor, about registrations in git', function () {
  this.timeout(60_000);
  let repository: Worktree;
  let empty: string;

  before(async () => {
    repository = await worktree();
    empty = await mkdtemp(join(tmpdir(), 'shr-empty-'));
  });
  after(async () => {
    await repository.remove();
    await rm(empty, { recursive: true });
  });

  const source = (change: Partial<GitSourceConfig> = {}): GitSourceConfig => ({
    ...{ name: 'teams', url: repository.folder, branch: 'main', intervalMs: 60_000 },
    ...{ webhookSecrets: [], folders: [{ path: 'registrations', trusted: true }] },
    ...change,
  });
  const check = (sources: readonly GitSourceConfig[], environment: Record<string, string | undefined> = process.env) =>
    checkSources({ sources }, { clock: systemClock, environment, protocols: ['file'] });

  it('says nothing where there are none', async () => {
    expect(await checkSources({}, { clock: systemClock, environment: process.env })).to.deep.equal([]);
  });

  it('finds the branch, and the commit that it is at', async () => {
    const commit = await repository.commit('first');
    const [finding] = await check([source()]);
    expect(finding).to.include({ about: 'source teams', subject: 'branch', ok: true });
    expect(finding?.message).to.equal(`main of ${repository.folder} can be read, at commit ${commit.slice(0, 12)}`);
  });

  it('finds a branch that is not there, a repository that is not there, and a machine without git', async () => {
    const found = await check([source({ branch: 'trunk' }), source({ name: 'gone', url: join(empty, 'nothing') })]);
    expect(found.map(({ about, ok }) => [about, ok])).to.deep.equal([
      ['source teams', false],
      ['source gone', false],
    ]);
    expect(found[0]).to.include({
      message: `${repository.folder} has no branch trunk`,
      cure: 'correct `branch` of teams in dispatcher.yaml, or push it',
    });
    expect(found[1]?.message).to.match(/^main of \S+nothing cannot be read: fatal: .*does not/);
    const [without] = await check([source()], { PATH: empty });
    expect(without?.message).to.include('there is no `git` on this machine');
    expect(without?.cure).to.match(/^Install git/);
  });

  it('reaches nothing by a protocol that the service does not use', async () => {
    const [finding] = await checkSources({ sources: [source()] }, { clock: systemClock, environment: process.env });
    expect(finding?.ok).to.equal(false);
    expect(finding?.message).to.include("transport 'file' not allowed");
  });
});
