import { expect } from 'chai';
import { runnerEnvironment } from '../../dispatcher/lifecycle/runner-environment.ts';
import { grantOf } from '../registration-fixture.ts';

const timeouts = { launchMs: 600_000, idleMs: 90_500 };

describe('what a container is told', () => {
  it('are its limits in whole seconds, later than the dispatcher’s own', () => {
    expect(runnerEnvironment({ registration: { timeouts }, lifeMs: 5_400_001 })).to.deep.equal({
      SHR_LIFE_SECONDS: '5401',
      SHR_ONLINE_SECONDS: '600',
      SHR_IDLE_SECONDS: '691',
    });
  });

  it('are its own where it may wait longer for a job than others', () => {
    const environment = runnerEnvironment({ registration: { timeouts }, lifeMs: 5_400_001, idleMs: 3_600_000 });
    expect(environment).to.include({ SHR_IDLE_SECONDS: '4200' });
  });

  it('is to fail a job without an answer, where the registration requires one', () => {
    const environment = runnerEnvironment({ registration: { timeouts, requireHook: true }, lifeMs: 1_000 });
    expect(environment).to.include({ SHR_HOOK_SILENCE: 'deny' });
  });

  it('is the same where its tenant’s grant demands the hook: the stricter of both', () => {
    const grant = grantOf('acme', { requireHook: { labels: true, images: [] } });
    const environment = runnerEnvironment({ registration: { timeouts, grant }, lifeMs: 1_000 });
    expect(environment).to.include({ SHR_HOOK_SILENCE: 'deny' });
    const other = runnerEnvironment({ registration: { timeouts, grant: grantOf('acme') }, lifeMs: 1_000 });
    expect(other).not.to.have.property('SHR_HOOK_SILENCE');
  });
});
