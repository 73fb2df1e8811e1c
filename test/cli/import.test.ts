import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import { shr } from './process.ts';

/** As the older dispatcher keeps what all registrations have in common. */
const COMMON = String.raw`KEY := "${'${ALICLOUD_ACCESS_KEY}'}"
SECRET := "${'${ALICLOUD_SECRET_KEY}'}"
PULL_INTERVAL := 300
REG_COMMON := "\"Pat\":\"${'${SLS_PAT}'}\",\"Key\":\"${'${KEY}'}\",\"Secret\":\"${'${SECRET}'}\",\"Region\":\"cn-shanghai\",\"SecGpId\":\"sg-uf6a\",\"VSwitchId\":\"vsw-uf6b\",\"PullInterval\":\"${'${PULL_INTERVAL}'}\""
`;

const item = (fields: string) => `"{${'${REG_COMMON}'}, ${fields}}"`;
const field = (name: string, value: string) => String.raw`\"${name}\":\"${value}\"`;

describe('shr import', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-import-'));
  });

  afterEach(() => rm(folder, { recursive: true }));

  async function write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
  }

  const run = (...args: string[]) => shr(['import', ...args], folder);
  const registration = async (name: string) =>
    parse(await readFile(join(folder, 'registrations', `${name}.yaml`), 'utf8'));

  /** What `shr validate` says of all that was written, but for what is left to do. */
  async function problems(): Promise<readonly string[]> {
    const { out } = await shr(['validate', '--json'], folder);
    const found: readonly { readonly file: string; readonly path: string; readonly message: string }[] =
      JSON.parse(out).problems;
    return found.map(({ file, path, message }) => `${file} ${path}: ${message}`);
  }

  describe('of the older dispatcher', () => {
    it('reads registrations as make and the shell would, with references for secrets', async () => {
      await write({
        'Registration.mk': COMMON,
        'registration/Registration_team-a.mk': `DOMAIN := git.corp.example
ORG := cloud-team # the organization
REPOS := "api,portal"
URL := https://\${DOMAIN}/\${ORG}
ITEM1 := ${item(
          [
            field('Type', 'Org'),
            field('Name', '${ORG}'),
            field('Url', '${URL}'),
            field('Size', '1'),
            field('Cpu', '2.0'),
            field('Memory', '8.0'),
            field('Repos', '${REPOS}'),
            field('Labels', 'cn-runner,gpu'),
            field('ChargeLabels', 'cloud-team'),
            field('RunnerGroup', 'default'),
          ].join(','),
        )}
ITEM2 := ${item([field('Type', 'Repo'), field('Name', 'tools'), field('Url', 'https://github.com/acme/tools'), field('ImageVersion', '1.2')].join(','))}
REG1 := $(ITEM1)
REG2 := $(ITEM2)
WF_SLS_REGS := "[\${REG1},\${REG2}]"
`,
      });
      const { code, out, error } = await run('registration/Registration_team-a.mk');
      expect({ code, error }).to.deep.equal({ code: 0, error: '' });
      expect(out)
        .to.include('wrote registrations/team-a.yaml\n')
        .and.include('  secret: set ALICLOUD_SECRET_KEY to `Secret`\n');
      expect(await registration('team-a')).to.deep.equal({
        host: 'git.corp.example',
        organization: 'cloud-team',
        credentials: { token: '${env:SLS_PAT}' },
        runnerGroup: 'Default',
        labels: ['cn-runner', 'gpu', 'cloud-team', 'serverless-hosted-runner', 'eci-runner'],
        defaults: { image: 'registry.invalid/runner:latest', cpu: 2, memoryGiB: 8 },
        backends: [
          {
            kind: 'ali-eci',
            options: {
              region: 'cn-shanghai',
              accessKeyId: '${env:ALICLOUD_ACCESS_KEY}',
              accessKeySecret: '${env:ALICLOUD_SECRET_KEY}',
              vSwitchIds: ['vsw-uf6b'],
              securityGroupId: 'sg-uf6a',
            },
          },
        ],
        poll: { interval: '300s', repositories: ['cloud-team/api', 'cloud-team/portal'] },
        chargeLabels: { charge: 'cloud-team' },
      });
      const second = await registration('team-a-2');
      expect(second).to.deep.include({ repositories: ['acme/tools'], poll: { interval: '300s' } });
      expect(out).to.include('to do: ImageVersion: the older image does not work here');
      expect(await problems()).to.deep.equal([]);
    });

    it('takes Azure and Google where the fields are theirs', async () => {
      const guid = '00000000-0000-0000-0000-000000000001';
      const azure = ['ArmClientId', 'ArmTenantId', 'ArmSubscriptionId'].map((name) => field(name, guid));
      await write({
        'Registration_az.mk': `R := "{${[...azure, field('ArmClientSecret', 's3cret-in-the-file'), field('ArmResourceGroupName', 'rg'), field('ArmEnvironment', 'china'), field('AciLocation', 'China North 3'), field('ArmLogAnaWorkspaceId', 'x'), field('Type', 'Org'), field('Url', 'https://github.com/acme'), field('Labels', 'az')].join(',')}}"\n`,
        'Registration_gcp.mk': `R := "{${[field('GcpCredential', '${GOOGLE_CREDENTIALS_BASE64}'), field('GcpProject', 'acme-ci'), field('GcpRegion', 'europe-west4'), field('GcpDind', 'true'), field('GcpSA', 'runner@acme-ci.iam.gserviceaccount.com'), field('Type', 'Org'), field('Url', 'https://github.com/acme'), field('Labels', 'gcp')].join(',')}}"\n`,
      });
      const { code, out } = await run('Registration_az.mk', 'Registration_gcp.mk');
      expect(code).to.equal(0);
      expect((await registration('az')).backends[0]).to.deep.equal({
        kind: 'azure-aci',
        options: {
          cloud: 'china',
          subscriptionId: guid,
          resourceGroup: 'rg',
          location: 'chinanorth3',
          credentials: {
            kind: 'secret',
            tenantId: guid,
            clientId: guid,
            clientSecret: '${env:TENANT_AZ_AZURE_CLIENT_SECRET}',
          },
        },
      });
      expect(out).to.include(
        'secret: set TENANT_AZ_AZURE_CLIENT_SECRET to `ArmClientSecret`, which is written in the makefile: replace it',
      );
      expect(out).to.include('ArmLogAnaWorkspaceId: runners log to the dispatcher');
      expect((await registration('gcp')).backends[0]).to.deep.include({ kind: 'gcp-batch' });
      expect(await readFile(join(folder, 'registrations/az.yaml'), 'utf8')).to.not.include('s3cret');
      expect(await problems()).to.deep.equal([]);
    });

    /** As its own registrations are written: without labels, for several at one organization, with GitHub's labels. */
    const itemOf = (name: string, fields: readonly string[]) =>
      `${name} := "{${[field('Type', 'Org'), field('Url', 'https://github.com/acme'), field('Key', '${ALICLOUD_ACCESS_KEY}'), field('Region', '${ALICLOUD_REGION}'), field('VSwitchId', 'vsw-a'), field('SecGpId', 'sg-a'), ...fields].join(',')}}"\n`;

    it('answers to all labels that brought jobs to it, and says so', async () => {
      await write({ 'Registration_team.mk': itemOf('A', [field('Labels', 'self-hosted,network')]) });
      const { out } = await run('Registration_team.mk');
      expect((await registration('team')).labels).to.deep.equal([
        'network',
        'acme',
        'serverless-hosted-runner',
        'eci-runner',
      ]);
      expect(out)
        .to.include('labels: every self-hosted runner has `self-hosted`, so a job is not taken by these alone')
        .and.include('`runs-on: [self-hosted, network]`')
        .and.include(
          'labels: `serverless-hosted-runner`, `eci-runner`, which each registration answered to, still bring',
        );
      expect(await problems()).to.deep.equal([]);
    });

    it('gives a label of one place to one registration', async () => {
      await write({
        'Registration_team.mk': `${itemOf('A', [field('Labels', 'a')])}${itemOf('B', [field('Labels', 'b')])}`,
      });
      const { out } = await run('Registration_team.mk');
      expect((await registration('team-2')).labels).to.deep.equal(['b']);
      expect(out).to.include(
        '`acme`, `serverless-hosted-runner`, `eci-runner`: such jobs of the same place go to team,',
      );
      expect(await problems()).to.deep.equal([]);
    });

    it('gives a registration that has no label of its own left its name', async () => {
      await write({ 'Registration_one.mk': itemOf('A', []), 'Registration_two.mk': itemOf('A', []) });
      await run('Registration_one.mk', 'Registration_two.mk');
      expect((await registration('two')).labels).to.deep.equal(['two']);
      expect(await problems()).to.deep.equal([]);
    });

    it('says what jobs may no longer ask for, and which variables are needed beside secrets', async () => {
      await write({ 'Registration_team.mk': itemOf('A', []) });
      const { out } = await run('Registration_team.mk');
      expect(out)
        .to.include('variable: set ALICLOUD_REGION, for `backends[0].options.region`\n')
        .and.include('secret: set TENANT_TEAM_TOKEN to `Pat`, which is empty')
        .and.include('`policy: { maxCpu: 4, maxMemoryGiB: 16, subnets: ["vsw-a"], securityGroups: ["sg-a"] }`')
        .and.include('policy: jobs of public repositories');
    });

    for (const [cloud, fields, cpu, memory, words] of [
      ['ali-eci', [], '3', '5', '3 cores become 4, 5 GiB become 8 at backends[0]'],
      ['ali-eci', [], '100', '64', 'the nearest that it has: `cpu: 64`, `memoryGiB: 128`'],
      [
        'azure-aci',
        [field('ArmClientId', 'x'), field('CloudProvider', 'azure')],
        '64',
        '16',
        '`cpu: 31`, `memoryGiB: 16`',
      ],
      [
        'gcp-cloud-run',
        [field('GcpProject', 'x'), field('CloudProvider', 'gcp')],
        '2',
        '64',
        '`cpu: 8`, `memoryGiB: 32`',
      ],
      [
        'gcp-batch',
        [field('GcpProject', 'x'), field('CloudProvider', 'gcp'), field('GcpDind', 'true')],
        '900',
        '900',
        'the nearest that it has: `cpu: ',
      ],
    ] as const) {
      it(`names the nearest size that ${cloud} sells to ${cpu} cores with ${memory} GiB`, async () => {
        await write({
          'Registration_team.mk': itemOf('A', [...fields, field('Cpu', cpu), field('Memory', memory)]),
        });
        const { out } = await run('Registration_team.mk');
        expect((await registration('team')).backends[0].kind).to.equal(cloud);
        expect(
          out
            .split('\n')
            .filter((line) => line.includes('to do: defaults: '))
            .join(),
        ).to.include(words);
      });
    }

    it('says nothing of a size that is sold as it is', async () => {
      await write({ 'Registration_team.mk': itemOf('A', [field('Cpu', '2.0'), field('Memory', '8.0')]) });
      expect((await run('Registration_team.mk')).out).to.not.include('to do: defaults: ');
    });

    it('runs nothing that stands in a makefile, and follows no other file', async () => {
      await write({
        'Registration_evil.mk': `A := $(shell touch pwned)
B != touch pwned
include /etc/passwd
C := $(eval X := $(shell touch pwned))
D := \`touch pwned\`
R := "{${[field('Type', 'Org'), field('Url', 'https://github.com/acme'), field('Labels', '${A}'), field('RunnerGroup', '$(shell touch pwned)')].join(',')}}"
all: ; touch pwned
`,
      });
      const { error } = await run('Registration_evil.mk');
      expect(error).to.include('not evaluated: A (line 1)').and.include('not followed: include (line 3)');
      expect(await readdir(folder)).to.not.include('pwned');
    });

    it('tells of what it cannot read by name and line, and never what stands there', async () => {
      await write({
        'Registration_team.mk': `PLAIN := a
TOKEN := $(shell vault read) ghp_s3cret
WHOLE != echo s3cret
ifeq (s3cret,s3cret)
MORE := \\
  $(call f,s3cret)
`,
      });
      const { error } = await run('Registration_team.mk');
      for (const words of [
        'not evaluated: TOKEN (line 2)',
        'not evaluated: WHOLE (line 3)',
        'not followed: ifeq (line 4)',
        'not evaluated: MORE (line 5)',
      ])
        expect(error).to.include(words);
      expect(error).to.not.include('s3cret');
    });

    it('takes no reference over that only looks like one of ours', async () => {
      const fields = (more: string) =>
        [field('Type', 'Org'), field('Url', 'https://github.com/acme'), field('Pat', '${SLS_PAT}'), more].join(',');
      await write({
        'Registration_live.mk': `R := "{${fields(field('RunnerGroup', '$${file:secrets/admin-token}'))}}"\n`,
        'Registration_named.mk': `R := "{${fields(field('RunnerGroup', '${GROUP}'))}}"\n`,
      });
      const { error } = await run('Registration_live.mk', 'Registration_named.mk');
      expect(error).to.include('Registration_live.mk: `runnerGroup` holds ${, which would be a reference here');
      expect(await readdir(join(folder, 'registrations'))).to.deep.equal(['named.yaml']);
      expect((await registration('named')).runnerGroup).to.equal('${env:GROUP}');
    });

    it('stays small where many values are large', async () => {
      const half = 'x'.repeat(200_000);
      const lines = Array.from({ length: 40 }, (_, n) => `A${n} := \${BASE}`).join('\n');
      await write({ 'Registration_x.mk': `BASE := ${half}\n${lines}\n` });
      const { error } = await run('Registration_x.mk');
      expect(error).to.include('more than 4194304 characters in all: A19 (line 21)');
    });

    it('stays small and quick where values double, and a file is huge', async () => {
      const doubling = Array.from({ length: 200 }, (_, n) => `A${n + 1} := \${A${n}}\${A${n}}`).join('\n');
      await write({
        'Registration_x.mk': `A0 := aaaaaaaa\n${doubling}\n`,
        'Registration_y.mk': `A := ${'x'.repeat(2 ** 20)}\n`,
      });
      const { code, error } = await run('Registration_x.mk', 'Registration_y.mk');
      expect(code).to.equal(1);
      expect(error)
        .to.include('Registration_x.mk: no variable holds a registration')
        .and.include('Registration_y.mk: it has 10485');
    });
  });

  describe('of ARC', () => {
    const values = `githubConfigUrl: https://github.com/acme/web
githubConfigSecret:
  github_app_id: "123456"
  github_app_installation_id: "654321"
  github_app_private_key: |
    -----BEGIN RSA PRIVATE KEY-----
    s3cret
    -----END RSA PRIVATE KEY-----
runnerScaleSetName: arc-web
runnerGroup: default
minRunners: 2
maxRunners: 20
containerMode:
  type: dind
template:
  spec:
    nodeSelector: { pool: ci }
    containers:
      - name: runner
        image: ghcr.io/acme/runner:1
        command: [/home/runner/run.sh]
        resources:
          limits: { cpu: 1500m, memory: 4Gi }
`;

    it('begins with a document whose first line says what it is', async () => {
      await write({ 'arc.yaml': '---\ngithubConfigUrl: https://github.com/acme/web\n---  # next\nmore: 1\n' });
      const { out } = await run('arc.yaml');
      expect(out).to.include('wrote registrations/arc.yaml');
    });

    it('takes no text over that would be a reference here', async () => {
      await write({
        'arc.yaml': 'githubConfigUrl: https://github.com/acme/web\nrunnerScaleSetName: "${file:secrets/admin-token}"\n',
      });
      const { code, error } = await run('arc.yaml');
      expect(code).to.equal(1);
      expect(error).to.include('holds ${, which would be a reference here');
    });

    it('reads the values of the chart, without the key in them', async () => {
      await write({ 'arc/values.yaml': values });
      const { code, out } = await run('arc/values.yaml');
      expect(code).to.equal(0);
      expect(await registration('arc-web')).to.deep.equal({
        repositories: ['acme/web'],
        credentials: { app: { id: '123456', privateKey: '${env:TENANT_ARC_WEB_APP_KEY}' } },
        labels: ['arc-web'],
        defaults: { image: 'ghcr.io/acme/runner:1', cpu: 1.5, memoryGiB: 4, dockerInDocker: true },
        backends: [{ kind: 'docker', options: { privileged: true } }],
        maxRunners: 20,
      });
      for (const left of [
        'to do: minRunners: 2 runners ahead of jobs: `standby: [{ size: 2 }]`',
        'no equivalent: template.spec.nodeSelector: the service of the backend places containers',
        'no equivalent: template.spec.containers[0].command: the dispatcher starts',
        'taken over: template.spec.containers[0].resources.limits.cpu as defaults.cpu',
        'taken over: template.spec.containers[0].resources.limits.memory as defaults.memoryGiB',
      ])
        expect(out).to.include(`  ${left}`);
      expect(await readFile(join(folder, 'registrations/arc-web.yaml'), 'utf8')).to.not.include('s3cret');
      expect(await problems()).to.deep.equal([]);
    });

    it('finds the architecture, Docker and a time limit where pods say them', async () => {
      await write({
        'arc.yaml': `githubConfigUrl: https://github.com/acme
template:
  spec:
    activeDeadlineSeconds: 7200
    affinity:
      nodeAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{ matchExpressions: [{ key: kubernetes.io/arch, operator: In, values: [arm64] }] }]
    tolerations: [{ key: ci, operator: Exists }]
    imagePullSecrets: [{ name: registry }]
    initContainers: [{ name: init-dind-externals, image: ghcr.io/actions/actions-runner:latest }]
    containers:
      - { name: dind, image: docker:dind, securityContext: { privileged: true } }
      - name: runner
        image: ghcr.io/acme/runner:1
        resources: { requests: { cpu: 2, memory: 4Gi, ephemeral-storage: 20Gi } }
`,
      });
      const { out } = await run('arc.yaml');
      expect((await registration('arc')).defaults).to.deep.equal({
        image: 'ghcr.io/acme/runner:1',
        cpu: 2,
        memoryGiB: 4,
        architecture: 'arm64',
        timeLimit: '7200s',
        dockerInDocker: true,
      });
      for (const line of [
        'taken over: template.spec.affinity as defaults.architecture',
        'taken over: template.spec.containers[0] as defaults.dockerInDocker',
        'to do: template.spec.imagePullSecrets: `registries` of the backend',
        'to do: template.spec.containers[1].resources.requests.ephemeral-storage: `diskGiB: 20` in `defaults`',
        'no equivalent: template.spec.tolerations: the service of the backend places containers',
      ])
        expect(out).to.include(`  ${line}`);
      expect(await problems()).to.deep.equal([]);
    });

    it('leaves nothing to do of what ARC itself writes into pods', async () => {
      await write({
        'arc.yaml': `USER-SUPPLIED VALUES:
githubConfigUrl: https://github.com/acme
maxRunners: 5
template:
  spec:
    initContainers:
      - { name: init-dind-externals, image: "ghcr.io/actions/actions-runner:latest", command: [cp] }
      - name: dind
        image: docker:dind
        env: [{ name: DOCKER_GROUP_GID, value: "123" }]
        volumeMounts: [{ name: work, mountPath: /home/runner/_work }]
    containers:
      - name: runner
        image: ghcr.io/actions/actions-runner:latest
        command: [/home/runner/run.sh]
        env:
          - { name: DOCKER_HOST, value: unix:///var/run/docker.sock }
          - { name: RUNNER_WAIT_FOR_DOCKER_IN_SECONDS, value: "120" }
          - { name: OURS, value: "1" }
        volumeMounts: [{ name: work, mountPath: /home/runner/_work }]
    volumes:
      - { name: work, emptyDir: {} }
      - { name: large, emptyDir: { sizeLimit: 50Gi } }
`,
      });
      const { out } = await run('arc.yaml');
      expect(out.split('\n').filter((line) => line.startsWith('  to do: template'))).to.deep.equal([
        '  to do: template.spec.containers[0].env[2]: variables: in the runner image (docs/runner-image.md), or in the workflow',
        '  to do: template.spec.volumes[1].emptyDir: `diskGiB: 50` in `defaults`, where the backend has disks',
      ]);
      expect((await registration('arc')).defaults.dockerInDocker).to.equal(true);
    });

    it('says how many run at once where ARC has no limit', async () => {
      await write({ 'arc.yaml': 'githubConfigUrl: https://github.com/acme\n' });
      expect((await run('arc.yaml')).out).to.include('to do: maxRunners: at most 10 run at once, until it says more');
      await write({ 'five.yaml': 'githubConfigUrl: https://github.com/acme\nmaxRunners: 5\n' });
      expect((await run('five.yaml')).out).to.not.include('to do: maxRunners');
    });

    it('asks the backend of dispatcher.yaml that is named whether it sells the size', async () => {
      await write({
        'dispatcher.yaml':
          'id: shr\nadminToken: ${file:secrets/admin-token}\nbackends:\n  cloud: { kind: gcp-cloud-run, options: { project: acme-ci } }\n',
        'arc.yaml':
          'githubConfigUrl: https://github.com/acme\ntemplate: { spec: { containers: [{ name: runner, resources: { limits: { cpu: 64 } } }] } }\n',
      });
      const { out } = await run('arc.yaml', '--backend', 'cloud');
      expect(out).to.include('defaults: the backend `cloud` does not sell 64 cores').and.include('`cpu: 8`');
      const { error } = await run('arc.yaml', '--out', 'registrations', '--backend', 'clowd');
      expect(error).to.include('dispatcher.yaml has no backend `clowd`');
    });

    it('reads the older resources, with what their autoscalers say', async () => {
      await write({
        'runners.yaml': `apiVersion: v1
kind: List
items:
  - apiVersion: actions.summerwind.dev/v1alpha1
    kind: RunnerDeployment
    metadata: { name: web }
    spec:
      template:
        spec:
          repository: acme/web
          labels: [web-runner]
          group: CI
          dockerdWithinRunnerContainer: true
          image: summerwind/actions-runner-dind
          resources: { limits: { cpu: "4", memory: 8Gi } }
  - apiVersion: actions.summerwind.dev/v1alpha1
    kind: HorizontalRunnerAutoscaler
    metadata: { name: web-scaler }
    spec: { scaleTargetRef: { name: web }, minReplicas: 1, maxReplicas: 8 }
  - apiVersion: actions.summerwind.dev/v1alpha1
    kind: HorizontalRunnerAutoscaler
    metadata: { name: gone }
    spec: { scaleTargetRef: { kind: RunnerSet, name: gone }, maxReplicas: 8 }
---
kind: RunnerSet
metadata: { name: sets }
spec:
  organization: acme
  dockerEnabled: false
  replicas: 3
  template: { spec: { containers: [{ name: runner, image: "r:1", resources: { limits: { cpu: 1 } } }] } }
---
kind: RunnerDeployment
spec: { template: { spec: { organization: acme, repository: acme/web } } }
`,
      });
      const { out, error } = await run('runners.yaml');
      expect(await registration('web')).to.deep.equal({
        repositories: ['acme/web'],
        credentials: { token: '${env:TENANT_WEB_TOKEN}' },
        labels: ['web-runner'],
        defaults: { image: 'summerwind/actions-runner-dind', cpu: 4, memoryGiB: 8, dockerInDocker: true },
        backends: [{ kind: 'docker', options: { privileged: true } }],
        maxRunners: 8,
      });
      expect(await registration('sets')).to.deep.include({
        organization: 'acme',
        defaults: { image: 'r:1', cpu: 1 },
        maxRunners: 3,
      });
      expect(out)
        .to.include('taken over: autoscaler.spec.maxReplicas as maxRunners')
        .and.include('no equivalent: spec.template.spec.group: runners of a repository have no group');
      expect(error)
        .to.include('a HorizontalRunnerAutoscaler is for RunnerSet gone, which is not in this file')
        .and.include('a RunnerDeployment names a repository, and an organization too');
      expect(await problems()).to.deep.equal([]);
    });

    it('has each value once in JSON, with what became of it', async () => {
      await write({ 'values.yaml': values });
      const { out } = await run('values.yaml', '--json');
      const [{ fields }] = JSON.parse(out).written;
      expect(fields).to.deep.include({
        field: 'template.spec.containers[0].resources.limits.memory',
        verdict: 'taken over',
        words: 'defaults.memoryGiB',
      });
      expect(fields).to.have.length(15);
      expect(out).to.not.include('s3cret');
    });

    it('reads several documents, and says which has no equivalent', async () => {
      await write({
        'sets.yaml': `apiVersion: v1
kind: Secret
---
apiVersion: actions.github.com/v1alpha1
kind: AutoscalingRunnerSet
metadata: { name: Big Ones }
spec:
  githubConfigUrl: https://ghes.corp.example/acme
  githubConfigSecret: gh-secret
  maxRunners: 5
`,
      });
      const { code, out, error } = await run('sets.yaml');
      expect(code).to.equal(0);
      expect(error).to.equal('shr: sets.yaml: a Secret has no equivalent\n');
      expect(await registration('big-ones')).to.deep.include({
        host: 'ghes.corp.example',
        organization: 'acme',
        labels: ['Big Ones'],
      });
      expect(out).to.include('set TENANT_BIG_ONES_TOKEN to github_token of the Kubernetes secret gh-secret');
    });
  });

  it('reads the pools that garm-cli prints', async () => {
    const pool = {
      id: '9daa34aa',
      provider_name: 'lxd_local',
      max_runners: 5,
      min_idle_runners: 1,
      image: 'ubuntu:22.04',
      flavor: 'default',
      os_type: 'linux',
      os_arch: 'arm64',
      tags: [
        { id: '1', name: 'self-hosted' },
        { id: '2', name: 'arm' },
      ],
      enabled: true,
      org_name: 'acme',
      runner_bootstrap_timeout: 20,
      'github-runner-group': 'Big',
    };
    await write({ 'pools.json': JSON.stringify([pool, { ...pool, org_name: undefined, repo_name: 'acme/web' }]) });
    const { code, out } = await run('pools.json');
    expect(code).to.equal(0);
    expect(await registration('acme')).to.deep.equal({
      organization: 'acme',
      credentials: { token: '${env:TENANT_ACME_TOKEN}' },
      runnerGroup: 'Big',
      labels: ['arm'],
      defaults: { image: 'registry.invalid/runner:latest', architecture: 'arm64' },
      backends: [{ kind: 'docker', options: { architecture: 'arm64' } }],
      maxRunners: 5,
      timeouts: { launch: '20m' },
    });
    expect(await registration('acme-web')).to.deep.include({ repositories: ['acme/web'] });
    expect(out)
      .to.include('to do: provider_name: write where the runners should run')
      .and.include('to do: image: it is of machines')
      .and.include('to do: flavor: write its cores and memory')
      .and.include('to do: min_idle_runners: 1 runners ahead');
    expect(await problems()).to.deep.equal([]);
  });

  it("reads GARM's scale sets, and the host of its endpoint", async () => {
    const set = {
      ...{ id: 7, scale_set_id: 3, name: 'garm-linux', provider_name: 'lxd', org_name: 'acme', max_runners: 3 },
      ...{ image: 'ubuntu', flavor: 'large', os_type: 'linux', os_arch: 'amd64', enabled: true, generation: 0 },
      endpoint: {
        name: 'ghes',
        base_url: 'https://ghes.corp.example',
        api_base_url: 'https://ghes.corp.example/api/v3',
      },
    };
    const gitea = { ...set, name: 'other', endpoint: { base_url: 'https://gitea.example', endpoint_type: 'gitea' } };
    await write({ 'sets.json': JSON.stringify([set, gitea]) });
    const { error } = await run('sets.json');
    expect(error).to.equal('shr: sets.json: a pool is of Gitea, and GitHub alone is served\n');
    expect(await registration('garm-linux')).to.deep.include({
      host: 'ghes.corp.example',
      organization: 'acme',
      labels: ['garm-linux'],
    });
    expect(await problems()).to.deep.equal([]);
  });

  it('reads a runner configuration of terraform-aws-github-runner', async () => {
    await write({
      'linux-x64.yaml': `matcherConfig:
  exactMatch: true
  labelMatchers:
    - [self-hosted, linux, x64, large]
fifo: true
runner_config:
  runner_os: linux
  runner_architecture: x64
  runner_extra_labels: [big]
  instance_types: [m5.large, c5.large]
  runners_maximum_count: 30
  enable_ephemeral_runners: true
  delay_webhook_event: 0
`,
    });
    const nameless = await run('linux-x64.yaml');
    expect([nameless.code, nameless.error]).to.deep.equal([
      1,
      'shr: linux-x64.yaml: it does not say whose jobs it serves: name them with --organization\n',
    ]);
    const { code, out } = await run('linux-x64.yaml', '--organization', 'acme');
    expect(code).to.equal(0);
    expect(await registration('linux-x64')).to.deep.include({
      organization: 'acme',
      labels: ['large', 'big'],
      maxRunners: 30,
    });
    expect((await registration('linux-x64')).defaults).to.deep.include({ cpu: 2, memoryGiB: 8 });
    for (const line of [
      'taken over: runner_config.instance_types[0] as defaults\n',
      'no equivalent: fifo, runner_config.delay_webhook_event: there are no queues',
      'no equivalent: matcherConfig.exactMatch: a job',
    ])
      expect(out).to.include(line);
    expect(await problems()).to.deep.equal([]);
  });

  describe('of a multi_runner_config', () => {
    const entry = (label: string) => ({
      matcherConfig: { labelMatchers: [['self-hosted', 'linux', label]], exactMatch: true },
      runner_config: { runner_os: 'linux', runner_architecture: 'arm64', instance_types: ['t4g.large'] },
    });
    const both = { 'linux-a': entry('a'), 'linux-b': entry('b') };

    for (const [what, name, text] of [
      [
        'a YAML file',
        'runners.yaml',
        `multi_runner_config:\n  linux-a: ${JSON.stringify(entry('a'))}\n  linux-b: ${JSON.stringify(entry('b'))}\n`,
      ],
      ['the map alone', 'runners.json', JSON.stringify(both)],
      ['what terraform console prints', 'runners.json', JSON.stringify(JSON.stringify(both))],
    ] as const) {
      it(`reads all entries of ${what}`, async () => {
        await write({ [name]: text });
        const { code, error } = await run(name, '--organization', 'acme');
        expect({ code, error }).to.deep.equal({ code: 0, error: '' });
        expect(await registration('linux-b')).to.deep.include({
          organization: 'acme',
          labels: ['b'],
          defaults: { image: 'registry.invalid/runner:latest', cpu: 2, memoryGiB: 8, architecture: 'arm64' },
        });
        expect((await registration('linux-a')).labels).to.deep.equal(['a']);
        expect(await problems()).to.deep.equal([]);
      });
    }

    it('reads the variables of the module beside them, without the key', async () => {
      await write({
        'prod.auto.tfvars.json': JSON.stringify({
          prefix: 'gh',
          ghes_url: 'https://ghes.corp.example',
          github_app: { id: '123', key_base64: 's3cret', webhook_secret: 's3cret' },
          multi_runner_config: { ...both, broken: { matcherConfig: {} } },
        }),
      });
      const { out, error } = await run('prod.auto.tfvars.json', '--organization', 'acme');
      expect(error).to.equal('shr: prod.auto.tfvars.json: multi_runner_config.broken: it has no `runner_config`\n');
      for (const name of ['linux-a', 'linux-b']) expect((await registration(name)).credentials.app.id).to.equal('123');
      expect((await registration('linux-b')).host).to.equal('ghes.corp.example');
      expect(out)
        .to.include('taken over: github_app.id as credentials.app.id')
        .and.include('to do: github_app.webhook_secret: a secret of your own webhook')
        .and.include('no equivalent: prefix: it is of the module');
      expect(`${out}${await readFile(join(folder, 'registrations/linux-a.yaml'), 'utf8')}`).to.not.include('s3cret');
      expect(await problems()).to.deep.equal([]);
    });

    it('gives a label that entries share to the first, so that what is written is valid', async () => {
      const arm = entry('amazon');
      const x64 = { ...arm, runner_config: { ...arm.runner_config, runner_architecture: 'x64' } };
      await write({ 'runners.json': JSON.stringify({ 'linux-arm64': arm, 'linux-x64': x64 }) });
      const { out } = await run('runners.json', '--organization', 'acme');
      expect((await registration('linux-arm64')).labels).to.deep.equal(['amazon']);
      expect((await registration('linux-x64')).labels).to.deep.equal(['linux-x64']);
      expect(out)
        .to.include('labelMatchers[0][2]: that label selects linux-arm64, as it can select one registration')
        .and.include('secret: set TENANT_LINUX_X64_APP_KEY to');
      expect(await problems()).to.deep.equal([]);
    });

    it('says how to have HCL as JSON', async () => {
      await write({ 'main.tf': 'locals {\n  multi_runner_config = {}\n}\n' });
      const { code, error } = await run('main.tf');
      expect(code).to.equal(1);
      expect(error).to.include("`echo 'jsonencode(local.multi_runner_config)' | terraform console > runners.json`");
    });

    it('stays small where many entries stand beside many variables', async () => {
      const variables = Object.fromEntries(Array.from({ length: 9000 }, (_, n) => [`v${n}`, 1]));
      const entries = Object.fromEntries(
        Array.from({ length: 3000 }, (_, n) => [`e${n}`, { runner_config: { a: 1 } }]),
      );
      await write({ 'x.json': JSON.stringify({ ...variables, multi_runner_config: entries }) });
      const { code, out, error } = await run('x.json', '--organization', 'acme');
      expect(code).to.equal(0);
      expect(error).to.include('only the first 500 entries were read');
      expect(out.length).to.be.below(1_000_000);
    });
  });

  for (const [what, text, words] of [
    ['refers to itself', 'githubConfigUrl: &a [*a]\n', 'the alias refers t'],
    [
      'expands to billions',
      `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
        .split('')
        .map((name, n) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[n]}`).join(',')}]`)
        .join('\n')}\n`,
      'aliases expand to too much',
    ],
    ['is nested without end', `${'['.repeat(100_000)}`, 'nested too deeply'],
    ['is no YAML', 'a: [\n', 'shr: hostile.yaml: '],
    ['is something else', 'hello: world\n', 'it is none of the formats that can be read'],
    ['names no address of GitHub', 'githubConfigUrl: "javascript:alert(1)"\n', 'is not an address of GitHub'],
    [
      'has keys of the language',
      '__proto__: { githubConfigUrl: "https://github.com/acme" }\nconstructor: 1\n',
      'none of the formats',
    ],
  ] as const) {
    it(`writes nothing from a file that ${what}`, async () => {
      await write({ 'hostile.yaml': text });
      const { code, error } = await run('hostile.yaml');
      expect(code).to.equal(1);
      expect(error).to.include(words);
      expect(await readdir(folder)).to.not.include('registrations');
    });
  }

  describe('for tenants', () => {
    const PLATFORM = 'id: shr\nadminToken: ${file:secrets/admin-token}\n';
    const pool = { provider_name: 'lxd', os_type: 'linux', tags: [{ name: 'big' }], max_runners: 20 };
    const sources: Readonly<Record<string, Readonly<Record<string, string>>>> = {
      'the older dispatcher': {
        'Registration_team.mk': `A := "{${[field('Type', 'Org'), field('Url', 'https://git.corp.example/cloud'), field('Pat', '${SLS_PAT}'), field('Key', '${ALI_KEY}'), field('Secret', '${ALI_SECRET}'), field('Region', '${ALI_REGION}'), field('VSwitchId', 'vsw-a'), field('SecGpId', 'sg-a')].join(',')}}"
B := "{${[field('Type', 'Repo'), field('Url', 'https://github.com/acme/tools'), field('Labels', 'tools')].join(',')}}"\n`,
      },
      ARC: {
        'a.yaml':
          'githubConfigUrl: https://github.com/acme\nrunnerScaleSetName: big\nrunnerGroup: CI\nmaxRunners: 50\n',
        'b.yaml':
          'githubConfigUrl: https://github.com/acme\nrunnerScaleSetName: dind\ncontainerMode: { type: dind }\ntemplate: { spec: { containers: [{ name: runner, image: "ghcr.io/acme/runner:1" }] } }\n',
        'c.yaml': 'githubConfigUrl: https://github.com/enterprises/corp\nrunnerScaleSetName: corp\n',
      },
      GARM: {
        'pools.json': JSON.stringify([
          { ...pool, org_name: 'acme', priority: 3 },
          { ...pool, repo_name: 'labs/web' },
        ]),
      },
      'terraform-aws-github-runner': {
        'linux.yaml':
          'matcherConfig: { labelMatchers: [[self-hosted, linux, x64, large]] }\nrunner_config: { runner_os: linux }\n',
      },
    };

    for (const [source, files] of Object.entries(sources)) {
      for (const more of [[], ['--tenant', 'team-x'], ['--tenant', 'team-x', '--backend', 'build-host']]) {
        const isMixed = source === 'GARM' && !more.includes('--backend');
        it(`prints what dispatcher.yaml has to grant for registrations of ${source} (${more.join(' ')})`, async () => {
          await write({ ...files, 'dispatcher.yaml': `${PLATFORM}tenants: {}\n` });
          const arm = { ...pool, org_name: 'acme', tags: [{ name: 'arm' }], os_arch: 'arm64' };
          if (isMixed) await write({ 'arm.json': JSON.stringify([arm]) });
          const all = [...Object.keys(files), ...(isMixed ? ['arm.json'] : [])];
          const { code, out } = await run(...all, '--organization', 'acme', ...more);
          expect(code).to.equal(0);
          expect(await problems()).to.not.deep.equal([]);
          const lines = out.slice(out.indexOf('for them to be in force:') + 'for them to be in force:'.length);
          const shared = more.includes('--backend')
            ? 'backends: { build-host: { kind: docker, options: { privileged: true } } }\n'
            : '';
          await write({ 'dispatcher.yaml': `${PLATFORM}${shared}${lines}` });
          expect(await problems()).to.deep.equal([]);
          if (more.length > 0) expect(Object.keys(parse(lines).tenants)).to.deep.equal(['team-x']);
        });
      }
    }

    describe('of which one is there already', () => {
      const TENANT = {
        repositories: ['acme/web'],
        hosts: ['github.com'],
        labels: ['serverless-hosted-runner', 'values*'],
        backends: ['build-host'],
        limits: { maxRunners: 10 },
        powers: { images: ['ghcr.io/acme/*'] },
      };
      const WEB = {
        repositories: ['acme/web'],
        credentials: { token: '${env:TENANT_WEB_TOKEN}' },
        maxRunners: 5,
        defaults: { image: 'ghcr.io/acme/runner:1' },
        backends: [{ use: 'build-host' }],
      };
      const values = (image: string, more = '') =>
        `githubConfigUrl: https://github.com/acme\nmaxRunners: 4\n${more}template: { spec: { containers: [{ name: runner, image: "${image}" }] } }\n`;
      const platform = (tenant: Readonly<Record<string, unknown>>): string =>
        `${PLATFORM}${stringify({ backends: { 'build-host': { kind: 'docker', maxRunners: 8 } }, tenants: { web: tenant } })}`;
      const importValues = async (): Promise<{ readonly web: Record<string, unknown>; readonly wrong: string }> => {
        const { out } = await run('values.yaml', '--tenant', 'web', '--backend', 'build-host', '--json');
        const { dispatcher, wrongThen } = JSON.parse(out);
        const told: readonly { readonly path: string; readonly message: string }[] = wrongThen;
        return {
          web: dispatcher.tenants.web,
          wrong: told.map(({ path, message }) => `${path}: ${message}`).join('\n'),
        };
      };

      it('prints what it lacks, with lists that keep what is in force', async () => {
        const files = { 'dispatcher.yaml': platform(TENANT), 'registrations/web.yaml': stringify(WEB) };
        await write({ ...files, 'values.yaml': values('ghcr.io/acme/runner:1') });
        const { web, wrong } = await importValues();
        expect(web).to.deep.equal({
          registrations: ['web', 'values'],
          owners: ['acme'],
          runnerGroups: ['Default'],
        });
        expect(wrong).to.equal('');
        await write({ 'dispatcher.yaml': platform({ ...TENANT, ...web }) });
        expect(await problems()).to.deep.equal([]);
        const { out } = await run('values.yaml', '--tenant', 'web', '--backend', 'build-host');
        expect(out).to.include('dispatcher.yaml grants all that they need.');
        await write({ 'values.yaml': values('docker.io/other/runner:1'), 'dispatcher.yaml': platform(TENANT) });
        expect((await importValues()).web['powers']).to.deep.equal({
          images: ['ghcr.io/acme/*', 'docker.io/other/runner:1'],
        });
      });

      it('tells what is wrong even then, and nothing that was wrong before', async () => {
        await write({
          'dispatcher.yaml': platform({ ...TENANT, registrations: ['web', 'values'], owners: ['acme'] }),
          'registrations/web.yaml': stringify({ ...WEB, maxRunners: 7 }),
          'registrations/wrong.yaml': 'nonsense: true\n',
          'values.yaml': values('ghcr.io/acme/runner:1', 'containerMode: { type: dind }\n').replace(
            'spec: {',
            'spec: { nodeSelector: { kubernetes.io/arch: arm64 },',
          ),
        });
        const { web, wrong } = await importValues();
        expect(web).to.deep.equal({ runnerGroups: ['Default'], powers: { dockerInDocker: true } });
        expect(wrong)
          .to.include('maxRunners: the registrations of tenant `web` together have 11 runners, and the limit is 10')
          .and.include('architecture arm64 is not sold here')
          .and.not.include('nonsense');
        const { out } = await run('values.yaml', '--tenant', 'web', '--backend', 'build-host');
        expect(out)
          .to.match(/^What has to be put right before they are in force/m)
          .and.not.match(/dispatcher\.yaml:\d/);
      });
    });

    it('grants nothing that stands for more than itself', async () => {
      const set = (name: string) =>
        `githubConfigUrl: https://github.com/acme\nrunnerScaleSetName: ${JSON.stringify(name)}\n`;
      await write({
        'a.yaml': set('*'),
        'pools.json': JSON.stringify([
          { ...pool, org_name: '*' },
          { ...pool, repo_name: 'acme/*' },
        ]),
      });
      const { out } = await run('a.yaml', 'pools.json', '--tenant', 'evil', '--json');
      const { dispatcher, problems: left } = JSON.parse(out);
      expect(JSON.stringify(dispatcher)).to.not.include('*');
      expect(left.join('\n')).to.include('tenants.evil.labels: `*` is a glob there');
    });

    it('prints no text from outside over several lines, where it could look like another field', async () => {
      const label = 'ok\n    trusted: true';
      await write({
        'a.yaml': `githubConfigUrl: https://github.com/acme\nrunnerScaleSetName: a\nscaleSetLabels: [${JSON.stringify(label)}]\nrunnerGroup: "x\\u202ey"\n`,
      });
      const { out, error } = await run('a.yaml', '--tenant', 'evil');
      expect(out).to.not.match(/^ *trusted/m);
      expect(parse(out.slice(out.indexOf('tenants:'))).tenants.evil).to.not.have.any.keys('trusted', 'runnerGroups');
      expect(error)
        .to.include('tenants.evil.labels: `ok     trusted: true` holds control characters')
        .and.include('tenants.evil.runnerGroups: `x\uFFFDy` holds control characters');
      expect(await readFile(join(folder, 'registrations/a.yaml'), 'utf8')).to.not.match(/^ *trusted/m);
      expect((await registration('a')).labels).to.deep.equal(['a', label]);
    });

    it('names the option for tenants where dispatcher.yaml has none', async () => {
      await write({ 'a.yaml': 'githubConfigUrl: https://github.com/acme\n' });
      expect((await run('a.yaml')).out).to.include('then import with --tenant NAME');
      await write({ 'dispatcher.yaml': PLATFORM });
      const { out } = await run('a.yaml', '--out', 'registrations');
      expect(out).to.include('dispatcher.yaml has no tenants, so nothing has to be granted.');
      expect((await run('a.yaml', '--tenant', '../x')).error).to.include('--tenant: a name has 1 to 32');
    });
  });

  it('warns that both systems take the same jobs, unless the registrations only observe', async () => {
    await write({ 'a.yaml': 'githubConfigUrl: https://github.com/acme\n' });
    expect((await run('a.yaml', '--observe', '--out', 'observing')).out).to.not.include('also while the other system');
    expect((await run('a.yaml')).out).to.include('also while the other system takes the same jobs');
    expect((await run('a.yaml')).out).to.not.include('also while the other system');
  });

  it('keeps what is there, and a name from outside stays a name', async () => {
    const set = (name: string) =>
      `kind: AutoscalingRunnerSet\nmetadata: { name: ${JSON.stringify(name)} }\nspec: { githubConfigUrl: https://github.com/acme }\n`;
    await write({ 'a.yaml': set('../../etc/passwd\n\u001b[2J'), 'registrations/etc-passwd-2j.yaml': 'ours' });
    const { code, out } = await run('a.yaml');
    expect(code).to.equal(1);
    expect(out).to.match(/^kept registrations\/etc-passwd-2j\.yaml, it was there\n/);
    expect(await readFile(join(folder, 'registrations/etc-passwd-2j.yaml'), 'utf8')).to.equal('ours');
    expect((await run('nowhere.yaml')).error).to.equal(
      'shr: nowhere.yaml: there is no such file. Create it, or correct the path.\n',
    );
    await promisify(execFile)('mkfifo', [join(folder, 'pipe.yaml')]);
    expect((await run('pipe.yaml')).error).to.include('it is a device, pipe or socket');
  });
});
