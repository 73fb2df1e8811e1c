import { expect } from 'chai';
import { stringify } from 'yaml';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { Configuration } from '../../dispatcher/model/registration.ts';
import { editedFiles } from '../live/live-fixture.ts';
import { dispatcherYaml, load, problemsOf, registered, registrationYaml } from './files.ts';

const presets = `
presets:
  shapes: { large: { cpu: 8, memoryGiB: 32 } }
  images:
    node24: ghcr.io/acme/node:24
`;

function laneOf({ registrations }: Pick<Configuration, 'registrations'>, ...labels: readonly string[]): LaneSpec {
  const admission = createAdmit(registrations)({
    ...{ host: 'github.com', owner: 'acme', repository: 'web', visibility: 'private' },
    labels: ['serverless-hosted-runner', ...labels],
  });
  if (admission.outcome !== 'lane') throw new Error(JSON.stringify(admission));
  return admission.lane;
}

describe('presets of dispatcher.yaml', () => {
  it('are at every registration, with their places, beside shapes in the older place', async () => {
    const text = `${dispatcherYaml}shapes: { small: { cpu: 1 } }\n${presets.trimStart()}`;
    const { presets: found } = await registered(registrationYaml, text);
    expect(found).to.deep.equal({
      shapes: { small: { cpu: 1 }, large: { cpu: 8, memoryGiB: 32 } },
      images: { node24: 'ghcr.io/acme/node:24' },
      places: {
        'shapes.small': 'dispatcher.yaml:4:11',
        'shapes.large': 'dispatcher.yaml:6:13',
        'images.node24': 'dispatcher.yaml:8:5',
      },
    });
  });

  it('are named by a policy, which a misspelling does not', async () => {
    const files = { 'dispatcher.yaml': dispatcherYaml + presets };
    const policy = 'policy: { shapes: [lagre], imagePresets: [node42, "py*"] }\n';
    expect(await problemsOf({ ...files, 'registrations/acme.yaml': registrationYaml + policy })).to.deep.equal([
      'registrations/acme.yaml:9:20: policy.shapes[0]: dispatcher.yaml has no shape `lagre`. Did you mean `large`?',
      'registrations/acme.yaml:9:43: policy.imagePresets[0]: dispatcher.yaml has no image preset `node42`. Did you mean `node24`?',
      'registrations/acme.yaml:9:51: policy.imagePresets[1]: dispatcher.yaml has no image preset `py*`. It has: node24.',
    ]);
  });

  it('have one name each', async () => {
    const text = `${dispatcherYaml}shapes: { large: { cpu: 1 } }\n${presets.trimStart()}`;
    expect(await problemsOf({ 'dispatcher.yaml': text, 'registrations/acme.yaml': registrationYaml })).to.deep.equal([
      'dispatcher.yaml:6:20: presets.shapes.large: `shapes` has one of that name as well. Keep this one: `shapes` is the older place.',
    ]);
  });

  it('cannot be defined by a registration', async () => {
    const own = `${registrationYaml}presets: { shapes: { mine: { cpu: 64 } } }\n`;
    expect((await problemsOf({ 'registrations/acme.yaml': own }))[0]).to.include('unknown key `presets`');
  });

  describe('of a tenant', () => {
    const tenant = {
      hosts: ['github.com'],
      owners: ['acme'],
      labels: ['*'],
      runnerGroups: ['Default'],
      backends: ['host'],
      presets: ['small'],
      powers: { images: ['ghcr.io/*'] },
    };
    const files = (policy: object, changes: object = {}) => ({
      'dispatcher.yaml': `${dispatcherYaml}${presets}${stringify({
        backends: { host: { kind: 'docker' } },
        tenants: { acme: { ...tenant, ...changes } },
      })}`,
      'registrations/acme.yaml': stringify({
        organization: 'acme',
        credentials: { token: '${env:TENANT_ACME_TOKEN}' },
        defaults: { image: 'ghcr.io/acme/runner:1' },
        backends: [{ use: 'host' }],
        policy,
      }),
    });

    it('are named by its policies as far as they are granted', async () => {
      const [told, ...others] = await problemsOf(files({ shapes: ['large'] }));
      expect(others).to.deep.equal([]);
      expect(told).to.match(
        /policy\.shapes\[0\]: tenant `acme` was not granted the preset `large`. To grant it, write `tenants\.acme\.presets: \[small, large\]` \(dispatcher\.yaml:\d+:\d+\)/,
      );
      const loaded = await load(files({ shapes: ['*'], imagePresets: ['*'] }));
      expect(loaded.problems).to.deep.equal([]);
      expect(loaded.notes.map(({ path }) => path)).to.have.members(['policy.imagePresets', 'policy.shapes']);
      const registration = loaded.ok ? loaded.configuration.registrations[0] : undefined;
      expect(registration?.shapes).to.deep.equal({});
      expect(registration).to.not.have.property('presetImages');
    });

    it('have to be within its powers', async () => {
      const changes = { presets: ['*'], powers: { images: ['ghcr.io/acme/runner:*'] } };
      const [told] = await problemsOf(files({ imagePresets: ['node24'] }, changes));
      expect(told).to.include('the image `node24` has the image `ghcr.io/acme/node:24`, which tenant `acme` was not');
    });
  });

  it('rotate what they make when they change, live, and nothing else', async () => {
    const policy = 'policy: { maxCpu: 16, maxMemoryGiB: 64, images: ["ghcr.io/*"] }\n';
    const files = editedFiles({
      'dispatcher.yaml': dispatcherYaml + presets,
      'registrations/acme.yaml': registrationYaml + policy,
    });
    const read = async () => {
      const loaded = await files.live.read('changed');
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      return loaded.configuration;
    };
    const before = await read();
    files.write('dispatcher.yaml', (dispatcherYaml + presets).replace('cpu: 8', 'cpu: 16'));
    expect(await files.live.stamps.look(true)).to.include({ isChanged: true });
    const after = await read();
    expect(laneOf(after, 'shape-large').key).to.equal(laneOf(before, 'shape-large').key);
    expect(laneOf(after, 'shape-large').specHash).to.not.equal(laneOf(before, 'shape-large').specHash);
    expect(laneOf(after, 'shape-large').wish.cpu).to.equal(16);
    expect(laneOf(after, 'img-node24')).to.deep.equal(laneOf(before, 'img-node24'));
  });
});
