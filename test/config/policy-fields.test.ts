import { expect } from 'chai';
import { stringify } from 'yaml';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { policyFile } from '../../dispatcher/config/schema.ts';
import type { Admission } from '../../dispatcher/jobs/lane.ts';
import { configured, dispatcherYaml } from './files.ts';

/** By field: what allows it, a smaller value where it is a limit, and a job that needs it. */
const fields: Readonly<
  Record<
    string,
    {
      readonly value: unknown;
      readonly less?: unknown;
      readonly label?: string;
      readonly public?: true;
      /** What is absent is not narrowed. */
      readonly narrows?: true;
    }
  >
> = {
  maxCpu: { value: 4, less: 3, label: 'cpu-4' },
  maxMemoryGiB: { value: 8, less: 7, label: 'memory-8' },
  maxDiskGiB: { value: 50, less: 49, label: 'disk-50' },
  maxTimeout: { value: '90m', less: '89m', label: 'timeout-90m' },
  images: { value: ['ghcr.io/acme/*'], less: ['ghcr.io/other/*'], label: 'img-ghcr.io/acme/node:24' },
  subnets: { value: ['vsw-*'], less: ['vsw-2'], label: 'vsw-1' },
  securityGroups: { value: ['sg-*'], less: ['sg-2'], label: 'sg-1' },
  buckets: { value: ['build-*'], less: ['build'], label: 'disk-build-cache' },
  regions: { value: ['eu-*'], less: ['us-*'], label: 'region-EU-west' },
  backends: { value: ['main'], less: ['other'], label: 'backend-main' },
  shapes: { value: ['large'], less: ['small'], label: 'shape-large' },
  imagePresets: { value: ['node*'], less: ['python*'], label: 'img-node24' },
  architectures: { value: ['arm64'], less: ['x64'], label: 'arch-arm64' },
  spot: { value: true, less: false, label: 'spot' },
  dockerInDocker: { value: true, less: false, label: 'dind' },
  publicRepositories: { value: true, less: false, public: true },
  workflows: { value: ['C?'], less: ['deploy'], narrows: true },
  branches: { value: ['release/*'], less: ['main'], narrows: true },
  events: { value: ['pu*'], less: ['pull_request'], narrows: true },
  actors: { value: ['Octo*', 'hubot'], less: ['octocat'], narrows: true },
};

const shapes =
  'presets: { shapes: { large: { cpu: 8 }, small: { cpu: 1 } }, images: { node24: library/node:24, python3: library/python:3 } }\n';

async function admissionWith(policy: object | undefined, field: string): Promise<Admission> {
  const { label, public: isPublic } = fields[field] ?? {};
  const registration = {
    organization: 'acme',
    credentials: { token: '${env:GITHUB_TOKEN}' },
    labels: ['own'],
    defaults: { image: 'ghcr.io/acme/runner:1', cpu: 1, memoryGiB: 1 },
    backends: [{ name: 'main', kind: 'docker', region: 'eu-west' }],
    ...(policy === undefined ? {} : { policy }),
  };
  const { registrations } = await configured({
    'dispatcher.yaml': dispatcherYaml + shapes,
    'registrations/acme.yaml': stringify(registration),
  });
  return createAdmit(registrations)({
    host: 'github.com',
    owner: 'acme',
    repository: 'web',
    labels: ['own', ...(label === undefined ? [] : [label])],
    visibility: isPublic ? 'public' : 'private',
    workflow: 'CI',
    branch: 'release/1.0',
    event: 'push',
    actors: ['octocat', 'Hubot'],
  });
}

// T2
describe('a registration’s policy', () => {
  it('has no field that is not tried here', () => {
    // `forks` decides in the runner: test/admission/fork.test.ts.
    expect([...Object.keys(fields), 'forks']).to.have.members(Object.keys(policyFile.shape));
  });

  for (const [field, { value, less, narrows = false }] of Object.entries(fields)) {
    it(`allows with \`${field}\` what it refuses without, with an empty policy, and beyond it`, async () => {
      expect(await admissionWith({ [field]: value }, field)).to.have.property('outcome', 'lane');
      const everythingElse = Object.fromEntries(
        Object.entries(fields).flatMap(([other, { value: allowed }]) => (other === field ? [] : [[other, allowed]])),
      );
      if (narrows) expect(await admissionWith({}, field)).to.have.property('outcome', 'lane');
      const lacking = narrows ? [] : [undefined, {}, everythingElse];
      for (const policy of [...lacking, { ...everythingElse, [field]: less }]) {
        const admission = await admissionWith(policy, field);
        if (admission.outcome !== 'refused') throw new Error(`${JSON.stringify(policy)} allows it`);
        expect(admission.code).to.be.oneOf([
          'not-allowed',
          'over-limit',
          'unknown-name',
          'public-repository',
          'origin-not-allowed',
        ]);
        if (field !== 'shapes') expect(admission.cure).to.include(`\`policy.${field}\``);
      }
    });
  }
});
