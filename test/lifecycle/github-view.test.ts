import { expect } from 'chai';
import { GithubError, type GithubRunner } from '../../dispatcher/github/github.ts';
import { GithubView } from '../../dispatcher/lifecycle/github-view.ts';
import type { Tenant } from '../../dispatcher/lifecycle/ports.ts';
import { clientOf } from '../github/github-fixture.ts';
import { registration } from '../registration.ts';
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
});
