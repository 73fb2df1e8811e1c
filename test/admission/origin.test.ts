import { expect } from 'chai';
import { judgeOrigin } from '../../dispatcher/admission/origin.ts';
import { mayRun } from '../../dispatcher/callbacks/question.ts';
import type { Policy } from '../../dispatcher/model/registration.ts';
import { closedPolicy, grantOf, registration } from '../registration-fixture.ts';

function own(policy: Partial<Policy>, limits?: { readonly workflows?: string[]; readonly branches?: string[] }) {
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

  it('wait for GitHub’s word where it has not said', () => {
    expect(told(own({ branches: ['*'] }), 'CI', null)).to.deep.equal(['unknown-origin']);
    expect(told(own({}, { workflows: ['*'] }), null, 'main')).to.deep.equal(['unknown-origin']);
  });

  it('decide in the runner too, because GitHub gives it any job with its labels', () => {
    const known = { visibility: 'private', isVisibilityUnproven: false, isFork: false } as const;
    const asked = { owner: 'acme', repository: 'web', ...known };
    const policy = own({ branches: ['main'] });
    expect(mayRun(policy, 'main', { ...asked, workflow: 'CI', branch: 'main' })).to.deep.equal({ may: 'yes' });
    expect(mayRun(policy, 'main', { ...asked, workflow: 'CI', branch: 'feature' })).to.include({ may: 'no' });
    expect(mayRun(policy, 'main', { ...asked, workflow: 'CI', branch: null })).to.include({ may: 'unknown' });
  });
});
