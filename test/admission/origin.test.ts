import { expect } from 'chai';
import { judgeOrigin } from '../../dispatcher/admission/origin.ts';
import { mayRun } from '../../dispatcher/callbacks/question.ts';
import type { Limits, Policy } from '../../dispatcher/model/registration.ts';
import { closedPolicy, grantOf, registration } from '../registration-fixture.ts';

function own(policy: Partial<Policy>, limits?: Partial<Limits>) {
  const grant =
    limits === undefined ? {} : { grant: grantOf('acme', { limits: { ...grantOf('acme').limits, ...limits } }) };
  return registration({ policy: { ...closedPolicy, ...policy }, ...grant });
}

const told = (one: ReturnType<typeof own>, workflow: string | null, branch: string | null) =>
  judgeOrigin(one, { workflow, branch }).map(({ code }) => code);

describe('the workflow and branch of a job', () => {
  it('do not matter where neither policy nor grant narrows them', () => {
    expect(told(own({}), null, null)).to.deep.equal([]);
    expect(told(own({}, {}), 'CI', 'main')).to.deep.equal([]);
  });

  it('have to match a glob of the policy, in their own case', () => {
    const policy = own({ workflows: ['CI', 'Release *'], branches: ['main', 'release/*'] });
    expect(told(policy, 'CI', 'main')).to.deep.equal([]);
    expect(told(policy, 'Release 1', 'release/1/x')).to.deep.equal([]);
    expect(told(policy, 'ci', 'main')).to.deep.equal(['origin-not-allowed']);
    expect(told(policy, 'other', 'feature')).to.deep.equal(['origin-not-allowed', 'origin-not-allowed']);
    expect(told(own({ branches: [] }), 'CI', 'main'), 'an empty list').to.deep.equal(['origin-not-allowed']);
  });

  it('are held to the strictest of policy and grant, with the line that decided', () => {
    const both = own({ branches: ['*'] }, { branches: ['main'] });
    expect(told(both, 'CI', 'main')).to.deep.equal([]);
    const [refusal] = judgeOrigin(both, { workflow: 'CI', branch: 'feature' });
    expect(refusal).to.include({ code: 'not-granted', place: 'dispatcher.yaml:limits.branches' });
    expect(refusal?.cure).to.include('tenants.acme.limits.branches: [main, feature]');
    const [own1] = judgeOrigin(own({ branches: ['main'] }, { branches: ['*'] }), { workflow: 'CI', branch: 'feature' });
    expect(own1).to.include({ code: 'origin-not-allowed', field: 'policy.branches' });
  });

  it('is narrowed by the event, and by all who started it, whatever the case of their logins', () => {
    const policy = own({ events: ['push', 'pull_request*'], actors: ['Octo*', 'renovate[bot]'] });
    const of = (event: string | null, actors: readonly string[] | null) =>
      judgeOrigin(policy, { event, actors }).map(({ code, field }) => `${code} ${field}`);
    expect(of('push', ['octocat', 'OCTOPUS'])).to.deep.equal([]);
    expect(of('pull_request_target', ['renovate[bot]', 'renovate[bot]'])).to.deep.equal([]);
    expect(of('schedule', ['octocat', 'octocat'])).to.deep.equal(['origin-not-allowed policy.events']);
    expect(of('push', ['mallory', 'octocat']), 'who wrote it').to.deep.equal(['origin-not-allowed policy.actors']);
    expect(of('push', ['octocat', 'mallory']), 'who ran it again').to.deep.equal(['origin-not-allowed policy.actors']);
    expect(of(null, null)).to.deep.equal(['unknown-origin policy.events', 'unknown-origin policy.actors']);
    expect(of('push', []), 'nobody is no proof').to.deep.equal(['unknown-origin policy.actors']);
    const [refusal] = judgeOrigin(policy, { event: 'push', actors: ['octocat', 'mallory'] });
    expect(refusal?.reason).to.include('does not serve the actor `mallory`');
  });

  it('is held to the grant’s events and actors as well, with the line that decided', () => {
    const both = own({ actors: ['*'] }, { actors: ['octocat'], events: ['push'] });
    const [event, actor] = judgeOrigin(both, { event: 'schedule', actors: ['mallory', 'octocat'] });
    expect(event).to.include({ code: 'not-granted', place: 'dispatcher.yaml:limits.events' });
    expect(actor).to.include({ code: 'not-granted', place: 'dispatcher.yaml:limits.actors' });
    expect(actor?.cure).to.include('tenants.acme.limits.actors: [octocat, mallory]');
    const [all] = judgeOrigin(both, { event: 'push', actors: ['mallory', 'trudy'] });
    expect(all?.cure).to.include('tenants.acme.limits.actors: [octocat, mallory, trudy]');
  });

  it('is granted no glob by what its author called it', () => {
    const both = own({}, { workflows: ['CI'] });
    for (const workflow of ['*', 'Build ?', 'CI*']) {
      const [refusal] = judgeOrigin(both, { workflow, branch: 'main' });
      expect(refusal?.reason).to.include(workflow);
      expect(refusal?.cure).to.equal(
        'Take a name without `*` and `?`: in `tenants.acme.limits.workflows` (dispatcher.yaml:limits.workflows) they stand for others, too.',
      );
    }
    const [byPolicy] = judgeOrigin(own({ workflows: ['CI'] }), { workflow: '*', branch: 'main' });
    expect(byPolicy?.cure).to.match(/ to let `policy\.workflows` include this one\.$/);
  });

  it('wait for GitHub’s word where it has not said', () => {
    expect(told(own({ branches: ['*'] }), 'CI', null)).to.deep.equal(['unknown-origin']);
    expect(told(own({}, { workflows: ['*'] }), null, 'main')).to.deep.equal(['unknown-origin']);
  });

  it('decide in the runner too, because GitHub gives it any job with its labels', () => {
    const known = { visibility: 'private', isVisibilityUnproven: false, isFork: false } as const;
    const asked = { owner: 'acme', repository: 'web', ...known, event: null, actors: null };
    const policy = own({ branches: ['main'] });
    expect(mayRun(policy, 'main', { ...asked, workflow: 'CI', branch: 'main' })).to.deep.equal({ may: 'yes' });
    expect(mayRun(policy, 'main', { ...asked, workflow: 'CI', branch: 'feature' })).to.include({ may: 'no' });
    const unknown = mayRun(policy, 'main', { ...asked, workflow: 'CI', branch: null });
    expect(unknown).to.include({ may: 'unknown' }).and.not.have.property('needs');
    const byActor = own({ branches: ['main'], actors: ['octocat'] });
    const onMain = { ...asked, workflow: 'CI', branch: 'main' };
    expect(mayRun(byActor, 'main', onMain)).to.include({ may: 'unknown', needs: 'origin' });
    expect(mayRun(byActor, 'main', { ...onMain, branch: 'feature' }), 'certain').to.include({ may: 'no' });
    const started = (...actors: string[]) => mayRun(byActor, 'main', { ...onMain, event: 'push', actors });
    expect(started('octocat', 'octocat')).to.deep.equal({ may: 'yes' });
    expect(started('octocat', 'mallory')).to.include({ may: 'no' });
  });
});
