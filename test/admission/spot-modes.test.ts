import { expect } from 'chai';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { grantedBy } from '../../dispatcher/admission/granted.ts';
import type { Admission, JobSubject } from '../../dispatcher/jobs/lane.ts';
import { SPOT_MODES, type SpotModes } from '../../dispatcher/labels/spot-mode.ts';
import { closedPolicy, grantOf, registration } from '../registration-fixture.ts';

interface Case {
  readonly label?: string;
  /** Whether runners are spot by default. */
  readonly usual?: boolean;
  readonly policy?: SpotModes;
  /** Of the tenant, on a shared backend. Absent: the platform's own registration. */
  readonly powers?: SpotModes;
}

const privateJob: JobSubject = {
  host: 'github.com',
  owner: 'acme',
  repository: 'web',
  labels: [],
  visibility: 'private',
};

const open = { images: ['*'] };

function registrationOf({ usual, policy = false, powers }: Case) {
  const base = registration();
  const grant = grantOf('acme', { labels: ['acme-runner'], runnerGroups: ['Default'], owners: ['acme'] });
  return registration({
    policy: { ...closedPolicy, spot: policy },
    defaults: { ...base.defaults, ...(usual === undefined ? {} : { spot: usual }) },
    backends: base.backends.map((backend) => ({ ...backend, shared: true as const })),
    ...(powers === undefined ? {} : { grant: { ...grant, powers: { ...grant.powers, ...open, spot: powers } } }),
  });
}

function admit(one: Case): Admission {
  const labels = ['acme-runner', ...(one.label === undefined ? [] : [one.label])];
  return createAdmit([registrationOf(one)])({ ...privateJob, labels });
}

/** `spot` or `on-demand`, or the code of the refusal. */
function outcome(one: Case): string {
  const admission = admit(one);
  if (admission.outcome === 'lane') return admission.lane.wish.spot ? 'spot' : 'on-demand';
  return admission.outcome === 'refused' ? admission.code : admission.outcome;
}

describe('the spot modes', () => {
  for (const [one, expected] of [
    // Without a label: the default of the registration.
    [{}, 'on-demand'],
    [{ usual: true }, 'spot'],
    // What a job gets anyway needs no policy.
    [{ label: 'spot-never' }, 'on-demand'],
    [{ label: 'spot', usual: true }, 'spot'],
    [{ label: 'spot-only', usual: true }, 'spot'],
    // Each other mode does.
    [{ label: 'spot' }, 'not-allowed'],
    [{ label: 'spot-never', usual: true }, 'not-allowed'],
    [{ label: 'spot', policy: true }, 'spot'],
    [{ label: 'spot-never', usual: true, policy: true }, 'on-demand'],
    [{ label: 'spot', policy: ['only'] }, 'spot'],
    [{ label: 'spot', policy: ['never', 'prefer', 'wait'] }, 'not-allowed'],
    [{ label: 'spot-never', usual: true, policy: ['never'] }, 'on-demand'],
    [{ label: 'spot-never', usual: true, policy: ['only'] }, 'not-allowed'],
    // No policy and no grant makes another mode of one that nothing carries out.
    [{ label: 'spot-prefer' }, 'not-supported'],
    [{ label: 'spot-prefer', policy: true, powers: true }, 'not-supported'],
    [{ label: 'spot-wait', policy: ['wait'], powers: ['wait'] }, 'not-supported'],
    // The grant narrows it on shared backends. On-demand capacity needs none, unless a list withholds it.
    [{ powers: false }, 'on-demand'],
    [{ label: 'spot', policy: true, powers: false }, 'not-granted'],
    [{ usual: true, powers: false }, 'not-granted'],
    [{ label: 'spot', policy: true, powers: true }, 'spot'],
    [{ label: 'spot', policy: true, powers: ['only'] }, 'spot'],
    [{ label: 'spot', policy: true, powers: ['never', 'prefer'] }, 'not-granted'],
    [{ powers: ['only'] }, 'not-granted'],
    [{ label: 'spot-never', usual: true, policy: true, powers: ['only'] }, 'not-granted'],
    [{ usual: true, powers: ['only'] }, 'spot'],
    [{ powers: ['never'] }, 'on-demand'],
  ] as const satisfies readonly (readonly [Case, string])[]) {
    it(`${JSON.stringify(one)} is ${expected}`, () => {
      expect(outcome(one)).to.equal(expected);
    });
  }

  it('are the strictest of grant and policy, whatever both say', () => {
    const lists: readonly SpotModes[] = [true, false, ['never'], ['only'], ['never', 'only'], ['prefer', 'wait']];
    const allows = (modes: SpotModes, mode: 'never' | 'only') =>
      typeof modes === 'boolean' ? modes : modes.includes(mode);
    for (const policy of lists) {
      for (const powers of lists) {
        for (const usual of [true, false]) {
          for (const mode of ['never', 'only'] as const) {
            const byPolicy = allows(policy, mode) || usual === (mode === 'only');
            const byGrant = allows(powers, mode) || (powers === false && mode === 'never');
            const what = { policy, powers, usual, label: `spot-${mode}` };
            const expected = !byPolicy
              ? 'not-allowed'
              : !byGrant
                ? 'not-granted'
                : mode === 'only'
                  ? 'spot'
                  : 'on-demand';
            expect(outcome(what), JSON.stringify(what)).to.equal(expected);
          }
        }
      }
    }
  });

  it('contradict each other, and `spot` is `spot-only`', () => {
    const labels = (...of: readonly string[]) =>
      createAdmit([registrationOf({ policy: true })])({ ...privateJob, labels: ['acme-runner', ...of] });
    expect(labels('spot', 'spot-only').outcome).to.equal('lane');
    for (const mode of SPOT_MODES.filter((one) => one !== 'only')) {
      expect(labels('spot', `spot-${mode}`)).to.include({ outcome: 'refused', code: 'contradicting-labels' });
    }
    const one = labels('shr=1/spot=only');
    expect(one.outcome === 'lane' && one.lane.wish.spot).to.equal(true);
  });

  it('name the line that decided, and the line that would grant it', () => {
    const refused = admit({ label: 'spot', policy: true, powers: ['never'] });
    expect(refused).to.include({ place: 'dispatcher.yaml:powers.spot' });
    expect(refused).to.have.property('reason').that.includes('not granted spot capacity on shared backends');
    expect(refused)
      .to.have.property('cure')
      .that.includes('`tenants.acme.powers.spot: [never, only]` (dispatcher.yaml:powers.spot)');
    expect(admit({ label: 'spot', policy: true, powers: false }))
      .to.have.property('cure')
      .that.includes('`tenants.acme.powers.spot: [never, only]`');
    expect(admit({ label: 'spot' })).to.include({ field: 'policy.spot' });
    expect(admit({ label: 'spot' }))
      .to.have.property('cure')
      .that.includes('to set `policy.spot` to `[only]`.');
    expect(admit({ label: 'spot', policy: ['never'] }))
      .to.have.property('cure')
      .that.includes('to add `only` to `policy.spot`.');
    for (const [powers, usual, isTold] of [
      [['never'], false, true],
      [['only'], true, true],
      [true, true, true],
      [true, false, false],
    ] as const) {
      const file = registrationOf({ powers, usual });
      const admission = admit({ powers, usual });
      if (admission.outcome !== 'lane') throw new Error(`not admitted: ${admission.outcome}`);
      const lines = grantedBy(admission.lane, privateJob, [file], undefined)?.lines ?? [];
      expect(lines.some(({ field }) => field === 'powers.spot')).to.equal(isTold);
    }
  });
});
