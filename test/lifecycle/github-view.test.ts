import { expect } from 'chai';
import { GithubError, type GithubRunner } from '../../dispatcher/github/github.ts';
import { GithubView } from '../../dispatcher/lifecycle/github-view.ts';
import type { Tenant } from '../../dispatcher/lifecycle/ports.ts';
import { clientOf } from '../github/github-fixture.ts';
import { registration } from '../registration-fixture.ts';
import { runnerRow } from './runner-fixture.ts';

describe("the view of GitHub's runners", () => {
  const row = runnerRow();
  const tenantWith = (runners: readonly GithubRunner[]): Tenant => ({
    registration: registration(),
    github: { ...clientOf('http://127.0.0.1:9').github, listRunners: async () => runners },
    provider: () => Promise.reject(new Error('not asked')),
  });
  const listed = (more: Partial<GithubRunner>): GithubRunner => ({
    id: 7,
    name: row.name,
    status: 'online',
    busy: false,
    labels: [],
    ...more,
  });

  // 11c
  it('does not know of a runner whose entry cannot be read: it is neither absent nor idle', async () => {
    const view = new GithubView({ now: () => 0 });
    const tenant = tenantWith([listed({ unreadable: 'odd' }), listed({ name: '', unreadable: 'odd' })]);
    const outcome = await view.runner(tenant, row, 0).catch((error: unknown) => error);
    expect(outcome).to.be.instanceOf(GithubError).and.include({ kind: 'transient' });
    expect(await view.runner(tenant, runnerRow({ name: 'd1-other' }), 0)).to.equal(undefined);
  });

  describe('shared by all runners of a scope', () => {
    let nowMs: number;
    let asked: number;
    let broken: boolean;
    let view: GithubView;
    let tenant: Tenant;
    beforeEach(() => {
      nowMs = 1_000_000;
      asked = 0;
      broken = false;
      view = new GithubView({ now: () => nowMs });
      tenant = tenantWith([]);
      tenant = {
        ...tenant,
        github: {
          ...tenant.github,
          async listRunners() {
            asked += 1;
            if (broken) throw new GithubError('transient', 'GET runners', 'not now');
            return [listed({})];
          },
        },
      };
    });

    it('is forgotten after a while, so that scopes without end take no memory', async () => {
      for (let index = 0; index < 1_000; index += 1) {
        await view.list(tenant, `repos/acme/forged-${index}`, 0, 'verify');
        nowMs += 10_000;
      }
      expect(view.size).to.be.at.most(61);
    });

    it('costs one call as long as the listing is young enough for the one who asks', async () => {
      await view.runner(tenant, row, 0);
      nowMs += 30_000;
      expect(await view.runner(tenant, row, 30_000)).to.include({ name: row.name });
      expect(asked).to.equal(1);
      await view.runner(tenant, row, 29_999);
      expect(asked).to.equal(2);
    });

    it('is not shared between scopes and registrations', async () => {
      await view.list(tenant, 'orgs/acme', 60_000, 'sweep');
      await view.list(tenant, 'repos/acme/web', 60_000, 'sweep');
      const other = { ...tenant, registration: { ...tenant.registration, name: 'other' } };
      await view.list(other, 'orgs/acme', 60_000, 'sweep');
      expect(asked).to.equal(3);
    });

    it('is asked for at most every two seconds by runners that end one after the other', async () => {
      const since = (atMs: number) => view.since(tenant, 'orgs/acme', atMs, 'drain');
      expect(await since(nowMs), 'the first').to.have.length(1);
      nowMs += 1_999;
      expect(await since(nowMs), 'it ended after the listing').to.equal(undefined);
      expect(await since(nowMs - 1_999), 'it ended before the listing').to.have.length(1);
      expect(asked).to.equal(1);
      nowMs += 1;
      expect(await since(nowMs)).to.have.length(1);
      expect(asked).to.equal(2);
    });

    it('asks again after a failure, which it does not keep', async () => {
      broken = true;
      const failed = await view.runner(tenant, row, 60_000).catch((error: unknown) => error);
      expect(failed).to.be.instanceOf(GithubError);
      broken = false;
      expect(await view.runner(tenant, row, 60_000)).to.include({ name: row.name });
    });
  });
});
