/**
 * What users of the dispatcher before this one had, written as registrations of today: its README's examples of labels,
 * images, disks and networks, polling beside a webhook, runners on another cloud, and one repository shared by three.
 */
import { expect } from 'chai';
import { stringify } from 'yaml';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import type { Admission, LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { loadProvider } from '../../providers/index.ts';
import { dispatcherYaml, load } from './files.ts';

const environment = {
  ADMIN_TOKEN: 'an-admin-token-of-32-characters!',
  ALI_KEY: 'an-access-key-secret',
  TENANT_RED_TOKEN: 'ghp_of-red',
  TENANT_GREEN_TOKEN: 'ghp_of-green',
  TENANT_BLUE_TOKEN: 'ghp_of-blue',
  TENANT_GREEN_SECRET: 'a-client-secret',
  GITHUB_TOKEN: 'ghp_of-the-platform',
  HOOK: 'a-webhook-secret-that-is-long',
};

async function read(
  files: Readonly<Record<string, object>>,
  dispatcher: object = {},
): Promise<readonly Registration[]> {
  const loaded = await load(
    {
      'dispatcher.yaml': `${dispatcherYaml}${stringify(dispatcher).replace(/^\{\}\n$/, '')}`,
      ...Object.fromEntries(
        Object.entries(files).map(([name, file]) => [`registrations/${name}.yaml`, stringify(file)]),
      ),
    },
    { environment, provider: loadProvider },
  );
  expect(loaded.problems).to.deep.equal([]);
  if (!loaded.ok) throw new Error('not loaded');
  return loaded.configuration.registrations;
}

const eci = {
  kind: 'ali-eci',
  region: 'cn-hangzhou',
  options: {
    region: 'cn-hangzhou',
    accessKeyId: 'LTAI0000',
    accessKeySecret: '${env:ALI_KEY}',
    vSwitchIds: ['vsw-1'],
    securityGroupId: 'sg-1',
  },
};

/** `Type Repo`, `Cpu 1.0`, `Memory 2.0`, `Labels eci-runner`, `ImageVersion`, `VSwitchId`, `SecGpId`, `ChargeLabels`. */
const repository = {
  repositories: ['acme/web'],
  credentials: { token: '${env:GITHUB_TOKEN}' },
  labels: ['serverless-hosted-runner', 'eci-runner'],
  defaults: { image: 'registry.acme.example/runner:2.300', cpu: 1, memoryGiB: 2 },
  imageRepository: 'registry.acme.example/runner',
  policy: {
    maxCpu: 8,
    maxMemoryGiB: 16,
    buckets: ['build-cache'],
    subnets: ['vsw-*'],
    securityGroups: ['sg-*'],
  },
  backends: [eci],
  maxRunners: 5,
  chargeLabels: { team: 'web' },
};

function job(labels: readonly string[], name = 'acme/web') {
  const [owner = '', repo = ''] = name.split('/');
  return { host: 'github.com', owner, repository: repo, labels, visibility: 'private' } as const;
}

function lane(admission: Admission): LaneSpec {
  if (admission.outcome !== 'lane') throw new Error(JSON.stringify(admission));
  return admission.lane;
}

describe('what the older dispatcher’s examples did', () => {
  describe('with labels of a job', () => {
    let wish: (...labels: readonly string[]) => LaneSpec['wish'];
    before(async () => {
      const admit = createAdmit(await read({ web: repository }));
      wish = (...labels) => lane(admit(job(['eci-runner', ...labels]))).wish;
    });

    it('gives the registration’s size without any', () => {
      expect(wish()).to.include({ cpu: 1, memoryGiB: 2, image: 'registry.acme.example/runner:2.300' });
    });

    it('sets cores and memory, together or one alone', () => {
      expect(wish('cpu-2.0', 'memory-4.0')).to.include({ cpu: 2, memoryGiB: 4 });
      expect(wish('cpu-2.0')).to.include({ cpu: 2, memoryGiB: 2 });
    });

    it('takes another version of the image', () => {
      expect(wish('img-2.335-node')).to.include({ image: 'registry.acme.example/runner:2.335-node' });
    });

    it('mounts a bucket at the work folder, under a folder of the repository', () => {
      expect(wish('disk-build-cache')).to.include({ bucket: 'build-cache', bucketPrefix: 'github.com/acme/web' });
    });

    it('runs in another network', () => {
      expect(wish('vsw-bp1abc', 'sg-bp1abc')).to.include({ subnet: 'vsw-bp1abc', securityGroup: 'sg-bp1abc' });
    });

    it('keeps runners with a unique label apart, so that no other job takes one', async () => {
      const admit = createAdmit(await read({ web: repository }));
      const [one, other] = ['sid-1', 'sid-2'].map((unique) => lane(admit(job(['eci-runner', unique]))));
      expect(one?.key).to.not.equal(other?.key);
      expect(one?.wish).to.deep.equal(other?.wish);
    });

    it('refuses what the policy does not allow, which was passed through', async () => {
      const admit = createAdmit(await read({ web: repository }));
      for (const label of ['cpu-64', 'disk-secrets', 'img-evil/image:1', 'cpu-many']) {
        expect(admit(job(['eci-runner', label])).outcome, label).to.equal('refused');
      }
    });
  });

  it('polls every 300 s beside a webhook, and every 30 s alone (`PullInterval`)', async () => {
    const webhook = { secrets: ['${env:HOOK}'] };
    const registrations = await read({
      agent: { ...repository, webhook, poll: { interval: '300s' } },
      usual: { ...repository, labels: ['usual'], webhook },
      alone: { ...repository, labels: ['alone'] },
    });
    const interval = (name: string) => registrations.find((one) => one.name === name)?.poll.intervalMs;
    expect([interval('agent'), interval('usual'), interval('alone')]).to.deep.equal([300_000, 300_000, 30_000]);
  });

  it('serves an organization, with a runner group (`Type Org`)', async () => {
    const { repositories: _repositories, ...rest } = repository;
    const registrations = await read({ org: { ...rest, organization: 'acme', runnerGroup: 'eci' } });
    const found = lane(createAdmit(registrations)(job(['serverless-hosted-runner'], 'acme/any')));
    expect(found).to.deep.include({ runnerGroup: 'eci', scope: { kind: 'organization', organization: 'acme' } });
  });

  it('runs one repository’s jobs for three tenants by three labels, each on a cloud with keys of its own', async () => {
    const tenant = (name: string) => ({
      hosts: ['github.com'],
      owners: ['acme'],
      labels: [name],
      backendKinds: ['azure-aci', 'docker'],
      backends: name === 'red' ? ['eci'] : [],
      powers: { images: ['registry.acme.example/*'] },
    });
    const own = (name: string, backend: object) => ({
      repositories: ['acme/web'],
      credentials: { token: `\${env:TENANT_${name.toUpperCase()}_TOKEN}` },
      labels: [name],
      defaults: repository.defaults,
      backends: [backend],
    });
    const guid = '11111111-2222-4333-8444-555555555555';
    const aci = {
      kind: 'azure-aci',
      options: {
        subscriptionId: guid,
        resourceGroup: 'runners',
        location: 'westeurope',
        credentials: { kind: 'secret', tenantId: guid, clientId: guid, clientSecret: '${env:TENANT_GREEN_SECRET}' },
      },
    };
    const registrations = await read(
      {
        red: own('red', { use: 'eci' }),
        green: own('green', aci),
        blue: own('blue', { kind: 'docker', options: { host: 'engine.blue.example', port: 2376, ca: '-----BEGIN' } }),
      },
      { backends: { eci }, tenants: { red: tenant('red'), green: tenant('green'), blue: tenant('blue') } },
    );
    const admit = createAdmit(registrations);
    const served = ['red', 'green', 'blue'].map((label) => lane(admit(job([label]))));
    expect(served.map(({ registration, backends }) => [registration, ...backends])).to.deep.equal([
      ['red', 'eci'],
      ['green', 'azure-aci'],
      ['blue', 'docker'],
    ]);
    expect(admit(job(['red', 'blue'])).outcome).to.not.equal('lane');
    const tokens = registrations.map(({ name, credentials }) => [
      name,
      credentials.kind === 'token' ? credentials.token.reveal() : '',
    ]);
    expect(new Map(tokens.map(([name, token]) => [name, token]))).to.deep.equal(
      new Map([
        ['blue', 'ghp_of-blue'],
        ['green', 'ghp_of-green'],
        ['red', 'ghp_of-red'],
      ]),
    );
  });
});
