import { expect } from 'chai';
import { stringify } from 'yaml';
import { configured, dispatcherYaml, problemsOf, registered, registrationYaml } from './files.ts';

const STABLE = 'ghcr.io/acme/runner:1';
const NEXT = 'ghcr.io/acme/runner:2';

const tenant = (some: object = {}) => ({
  ...{ hosts: ['github.com'], owners: ['acme'], labels: ['acme'], backends: ['host'], credentials: ['platform'] },
  ...{ runnerGroups: ['Default'], powers: { images: [STABLE] } },
  ...some,
});
const shared = {
  backends: { host: { kind: 'docker' } },
  credentials: { platform: { host: 'github.com', token: '${env:GITHUB_TOKEN}' } },
};
const of = (granted: object, policy: object = { images: [NEXT] }) => ({
  'dispatcher.yaml': dispatcherYaml + stringify({ ...shared, tenants: { acme: tenant(granted) } }),
  'registrations/acme.yaml': stringify({
    ...{ organization: 'acme', credentials: { use: 'platform' }, labels: ['acme'] },
    ...{ defaults: { image: STABLE, cpu: 1, memoryGiB: 1 }, policy, backends: [{ use: 'host' }] },
    canary: { image: NEXT, percent: 10 },
  }),
});

const withCanary = (canary: object, some: object = {}) => registrationYaml + stringify({ ...some, canary });
const problems = (yaml: string) => problemsOf({ 'registrations/acme.yaml': yaml });

describe('the candidate image of a registration', () => {
  it('is named as a label of a job would name it', async () => {
    const percent = 10;
    const named = withCanary({ image: 'next', percent }, { images: { next: NEXT } });
    expect((await registered(named)).canary).to.deep.equal({ image: NEXT, percent });
    const tagged = withCanary({ image: '2', percent }, { imageRepository: 'ghcr.io/acme/runner' });
    expect((await registered(tagged)).canary).to.deep.equal({ image: NEXT, percent });
    const whole = withCanary({ image: NEXT, percent }, { policy: { images: ['ghcr.io/acme/*'] } });
    expect((await registered(whole)).canary).to.deep.equal({ image: NEXT, percent });
    expect(await registered(registrationYaml)).to.not.have.property('canary');
  });

  for (const percent of [0, 51, 2.5]) {
    it(`takes no ${percent} percent of the launches`, async () => {
      const found = await problems(withCanary({ image: 'next', percent }, { images: { next: NEXT } }));
      expect(found).to.have.length(1);
      expect(found[0]).to.include('canary.percent');
    });
  }

  it('is allowed by the policy, or a problem with its cure', async () => {
    const [problem, ...more] = await problems(withCanary({ image: NEXT, percent: 10 }));
    expect(more).to.deep.equal([]);
    expect(problem)
      .to.include('canary.image')
      .and.include(NEXT)
      .and.match(/\. Add it to `policy\.images`; or give it a name in `images`, and write that name here\.$/)
      .and.not.match(/Remove|ask the owner/);
    const unknown = async (image: string) =>
      (await problems(withCanary({ image, percent: 10 }, { images: { next: NEXT } })))[0];
    expect(await unknown('nxt')).to.match(/ Did you mean `next`\?$/);
    expect(await unknown('quite-another')).to.match(
      / Write a full reference that `policy\.images` allows, or a name of `images`\.$/,
    );
  });

  it('is another than the stable one', async () => {
    const same = (await registered(registrationYaml)).defaults.image ?? '';
    const [problem] = await problems(withCanary({ image: same, percent: 10 }));
    expect(problem).to.include('canary.image: it is `defaults.image` already');
  });

  it('is granted to the tenant on shared backends, as its stable image is', async () => {
    const found = (await problemsOf(of({}))).filter((line) => line.includes('canary.image'));
    expect(found).to.have.length(1);
    expect(found[0]).to.include('was not granted the image').and.include('tenants.acme.powers.images');
    const { registrations } = await configured(of({ powers: { images: [STABLE, NEXT] } }));
    expect(registrations[0]?.canary).to.deep.equal({ image: NEXT, percent: 10 });
  });

  it('is listed as carrying the hooks, where the grant demands them so', async () => {
    const demand = (hookImages: readonly string[]) => ({
      ...{ powers: { images: ['*'] }, requireHook: 'listed', hookImages },
    });
    const found = await problemsOf(of(demand([STABLE])));
    expect(found.join('\n')).to.include('canary.image').and.include('hooks').and.include('tenants.acme.hookImages');
  });
});
