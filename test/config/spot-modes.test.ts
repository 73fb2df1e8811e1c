import { expect } from 'chai';
import { stringify } from 'yaml';
import { configured, dispatcherYaml, load, problemsOf } from './files.ts';

const image = 'ghcr.io/acme/runner:1';

function files({ policy, spot, powers }: { policy?: unknown; spot?: unknown; powers?: unknown }) {
  const grant = {
    hosts: ['github.com'],
    owners: ['acme'],
    labels: ['*'],
    runnerGroups: ['Default'],
    backends: ['main'],
    powers: { images: ['*'], ...(powers === undefined ? {} : { spot: powers }) },
  };
  const shared = { backends: { main: { kind: 'docker' } }, tenants: { acme: grant } };
  return {
    'dispatcher.yaml': dispatcherYaml + stringify(shared),
    'registrations/acme.yaml': stringify({
      organization: 'acme',
      credentials: { token: '${env:TENANT_ACME_TOKEN}' },
      defaults: { image, ...(spot === undefined ? {} : { spot }) },
      backends: [{ use: 'main' }],
      ...(policy === undefined ? {} : { policy: { spot: policy } }),
    }),
  };
}

describe('spot modes in the files', () => {
  for (const [written, read] of [
    [undefined, undefined],
    [true, true],
    [false, false],
    ['only', true],
    ['never', false],
  ] as const) {
    it(`are ${JSON.stringify(written)} by default`, async () => {
      const { registrations } = await configured(files({ spot: written, powers: true }));
      expect(registrations[0]?.defaults.spot).to.equal(read);
    });
  }

  for (const [written, read] of [
    [undefined, false],
    [true, true],
    [false, false],
    ['only', ['only']],
    [
      ['never', 'only'],
      ['never', 'only'],
    ],
  ] as const) {
    it(`are ${JSON.stringify(written)} in a policy, and in a grant`, async () => {
      const { registrations } = await configured(files({ policy: written, powers: true }));
      expect(registrations[0]?.policy.spot).to.deep.equal(read);
      const granted = await configured(files({ spot: written === 'only', powers: written }));
      expect(granted.registrations[0]?.grant?.powers.spot).to.deep.equal(read);
    });
  }

  for (const [what, expected] of [
    [{ spot: 'prefer' }, 'defaults.spot: prefer is not carried out by this version'],
    [{ spot: 'wait' }, 'Write one of `never`, `only`.'],
    [{ spot: 'onyl' }, 'defaults.spot: `onyl` is not a valid value. Did you mean `only`?'],
    [{ spot: 'yes' }, 'defaults.spot: it must be true or false, not text. Write `true`, without quotes.'],
    [{ policy: ['onyl'], powers: true }, 'policy.spot[0]: `onyl` is not a valid value. Did you mean `only`?'],
    [{ policy: [] }, 'policy.spot: it is empty. Add at least 1 entry.'],
    [
      { powers: 'nevr' },
      'tenants.acme.powers.spot: `nevr` is not a valid value. Did you mean `never`? Valid are `never`, `prefer`',
    ],
    [{ policy: true }, 'policy.spot: tenant `acme` was not granted spot capacity on shared backends'],
    [{ policy: ['never', 'only'] }, 'policy.spot[1]: tenant `acme` was not granted spot capacity on shared backends'],
    [{ policy: 'only', powers: ['never'] }, '`tenants.acme.powers.spot: [never, only]` (dispatcher.yaml:'],
    [
      { policy: true, powers: ['never', 'only'] },
      'policy.spot: tenant `acme` was not granted spot modes `prefer`, `wait` on shared backends. Write `policy.spot: [never, only]`: so much was granted.',
    ],
    [{ powers: ['only'] }, 'tenant `acme` was not granted on-demand capacity on shared backends'],
    [{ spot: true, powers: ['never'] }, 'defaults.spot: tenant `acme` was not granted spot capacity'],
  ] as const) {
    it(`are refused as ${JSON.stringify(what)}`, async () => {
      const problems = await problemsOf(files(what));
      expect(problems, problems.join('\n')).to.have.length(1);
      expect(problems[0]).to.contain(expected, problems[0]);
    });
  }

  for (const [what, cure] of [
    [{ policy: 'only' }, 'To grant it, write `tenants.acme.powers.spot: [never, only]`'],
    [{ policy: ['prefer'] }, 'To grant it, write `tenants.acme.powers.spot: [never, prefer]`'],
    [{ spot: 'only' }, 'To grant it, write `tenants.acme.powers.spot: [never, only]`'],
    [
      { policy: true },
      'Write `policy.spot: [never, only]`: nothing else is carried out yet. To grant it, write `tenants.acme.powers.spot: [never, only]`',
    ],
    [{ policy: true, spot: 'only', powers: ['only'] }, 'Write `policy.spot: [only]`: so much was granted.'],
  ] as const) {
    it(`are granted no further than ${JSON.stringify(what)} asks, by what its cure says`, async () => {
      const [problem = ''] = await problemsOf(files(what));
      expect(problem).to.include(cure);
      const listed = (field: string) =>
        /\[(.*)\]/.exec(new RegExp(`${field}\\.spot: \\[[^\\]]*\\]`).exec(problem)?.[0] ?? '')?.[1];
      const [policy, powers] = ['policy', 'powers'].map((field) => listed(field)?.split(', '));
      const mended = { ...what, ...(policy && { policy }), ...(powers && { powers }) };
      expect(mended).to.not.deep.equal(what);
      expect(await problemsOf(files(mended))).to.deep.equal([]);
    });
  }

  it('that nothing carries out may stand in a policy and a grant, with a note', async () => {
    const { ok, notes } = await load(files({ policy: ['only', 'prefer'], powers: ['never', 'only', 'prefer'] }));
    expect(ok).to.equal(true);
    expect(notes.map(({ path, message }) => `${path}: ${message}`)).to.have.members([
      'policy.spot[1]: `prefer` has no effect yet: this version does not fall back from spot to on-demand capacity',
      'tenants.acme.powers.spot[2]: `prefer` has no effect yet: this version does not fall back from spot to on-demand capacity',
    ]);
  });
});
