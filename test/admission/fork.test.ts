/** Whose forks a registration serves: the strictest of policy and grant, on the backend where the runner runs. */
import { expect } from 'chai';
import { judgeFork } from '../../dispatcher/admission/fork.ts';
import type { Visibility } from '../../dispatcher/jobs/facts.ts';
import type { Grant, Policy, Registration } from '../../dispatcher/model/registration.ts';
import { closedPolicy, grantOf, registration } from '../registration-fixture.ts';

const backends: Registration['backends'] = [
  { name: 'host', kind: 'docker', region: undefined, options: {}, maxRunners: 5, shared: true },
  { name: 'mine', kind: 'docker', region: undefined, options: {}, maxRunners: 5 },
];

interface Case {
  readonly policy?: Partial<Policy>;
  readonly grant?: Grant;
  readonly backend?: string | null;
  readonly visibility?: Visibility | undefined;
  readonly isFork?: boolean | undefined;
}

function judge(given: Case) {
  const { policy = {}, grant, backend = 'mine' } = given;
  const one = registration({
    policy: { ...closedPolicy, ...policy },
    backends,
    ...(grant === undefined ? {} : { grant }),
  });
  const visibility = 'visibility' in given ? given.visibility : 'private';
  const isFork = 'isFork' in given ? given.isFork : true;
  return judgeFork(one, backend, { repository: 'acme/web', visibility, isFork });
}

const withForks = (tenant: string) => {
  const grant = grantOf(tenant);
  return { ...grant, powers: { ...grant.powers, forks: true } };
};

describe('a job whose code comes from a fork', () => {
  it('is refused in a private or internal repository unless the policy serves forks', () => {
    for (const visibility of ['private', 'internal'] as const) {
      const refusal = judge({ visibility });
      expect(refusal?.isCertain).to.equal(true);
      expect(refusal?.reason).to.equal(
        'the code of this job in acme/web comes from a fork, and registration `acme` does not serve forks',
      );
      expect(refusal?.cure).to.include('`policy.forks`');
      expect(judge({ visibility, policy: { forks: false } })?.isCertain).to.equal(true);
      expect(judge({ visibility, policy: { forks: true } })).to.equal(undefined);
    }
  });

  it('is served in a public one as publicRepositories says, unless the policy names forks by themselves', () => {
    expect(judge({ visibility: 'public' })).to.equal(undefined);
    expect(judge({ visibility: 'public', policy: { forks: false } })?.isCertain).to.equal(true);
  });

  it('is no matter where it is none', () => {
    expect(judge({ isFork: false })).to.equal(undefined);
    expect(judge({ isFork: false, policy: { forks: false }, visibility: 'public' })).to.equal(undefined);
  });

  it('is undecided while it is not known whether it is one, or whether the repository is public', () => {
    expect(judge({ isFork: undefined })?.isCertain).to.equal(false);
    expect(judge({ isFork: undefined, policy: { forks: true } })).to.equal(undefined);
    expect(judge({ visibility: undefined })).to.deep.include({
      isCertain: false,
      reason: 'it is not known yet whether acme/web is public, and registration `acme` does not serve forks',
    });
  });

  it('needs the grant on a shared backend, whatever the policy says, and no grant on one of the tenant’s own', () => {
    const policy = { forks: true };
    const refusal = judge({ policy, grant: grantOf('acme'), backend: 'host' });
    expect(refusal?.reason).to.include('tenant `acme` was not granted jobs of forks on shared backends');
    expect(refusal?.cure).to.equal(
      'To grant it, write `tenants.acme.powers.forks: true` (dispatcher.yaml:powers.forks).',
    );
    expect(judge({ policy, grant: grantOf('acme'), backend: 'mine' })).to.equal(undefined);
    expect(judge({ policy, grant: withForks('acme'), backend: 'host' })).to.equal(undefined);
    expect(judge({ grant: withForks('acme'), backend: 'host' })?.reason).to.include('does not serve forks');
  });
});
