import { expect } from 'chai';
import fc from 'fast-check';
import { type DocumentOptions, importDocuments } from '../../dispatcher/cli/import/documents.ts';
import { type Draft, Names } from '../../dispatcher/cli/import/draft.ts';
import { importMakefiles } from '../../dispatcher/cli/import/older.ts';

const MOST_BYTES = 1024 * 1024;

function read(value: unknown): readonly Draft[] {
  const text = JSON.stringify(value);
  const options: DocumentOptions = { file: 'x.yaml', text, mostBytes: MOST_BYTES, organization: 'acme' };
  return importDocuments('x', options, new Names(undefined)).drafts;
}

/** By other means than the import: what has nothing in it. */
function leavesOf(value: unknown, path: readonly string[] = []): readonly string[] {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  if (entries.length === 0) return [JSON.stringify(path)];
  return entries.flatMap(([key, item]) => leavesOf(item, [...path, key]));
}

/** Back from `a.b["c.d"][0]`. */
function pathOf(field: string): string {
  const steps = [...field.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|([\w-]+)/g)];
  return JSON.stringify(steps.map(([, index, quoted, plain]) => index ?? plain ?? String(JSON.parse(quoted ?? '""'))));
}

function at(registration: unknown, field: string): unknown {
  const steps = field.replaceAll(/\[(\d+)\]/g, '.$1').split('.');
  return steps.reduce<unknown>(
    (value, step) =>
      typeof value === 'object' && value !== null
        ? Object.entries(value).find(([key]) => key === step)?.[1]
        : undefined,
    registration,
  );
}

function holdsToOne({ fates, registration }: Draft, leaves: readonly string[]): void {
  expect(fates.each.map(({ field }) => pathOf(field)).sort()).to.deep.equal([...leaves].sort());
  for (const { verdict, words, field } of fates.each) {
    expect(verdict).to.be.oneOf(['taken over', 'to do', 'no equivalent']);
    expect(words).to.not.equal('');
    if (verdict === 'taken over') expect(at(registration, words), `${field} as ${words}`).to.not.equal(undefined);
  }
}

const key = fc.oneof(
  fc.constantFrom(
    'resources',
    'nodeSelector',
    'kubernetes.io/arch',
    'a.b',
    '0',
    'say "hi"',
    'env',
    'image',
    'template',
  ),
  fc.string({ minLength: 1, maxLength: 5, unit: 'grapheme-ascii' }).filter((text) => text !== '__proto__'),
);
const anything = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<unknown>('x', '', 1, 0, true, null, [], {}, 'arm64', '2Gi'),
    fc.array(tie('value'), { maxLength: 2 }),
    fc.dictionary(key, tie('value'), { maxKeys: 3 }),
  ),
})).value;
const more = fc.dictionary(key, anything, { maxKeys: 3 });

/** Keeps what it may have from being there. */
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.oneof(arbitrary, anything);

const container = fc
  .record(
    {
      name: fc.constantFrom('runner', 'side'),
      image: fc.constantFrom('ghcr.io/acme/runner:1', 'docker:dind', ''),
      command: maybe(fc.constant(['/home/runner/run.sh'])),
      resources: maybe(
        fc.record(
          {
            limits: fc.dictionary(
              fc.constantFrom('cpu', 'memory', 'ephemeral-storage', 'gpu'),
              fc.constantFrom('500m', '2Gi', 3, 'much'),
            ),
            requests: fc.dictionary(fc.constantFrom('cpu', 'memory', 'ephemeral-storage'), fc.constantFrom('1', '4Gi')),
          },
          { requiredKeys: [] },
        ),
      ),
      securityContext: maybe(fc.constant({ privileged: true, runAsUser: 1000 })),
      env: maybe(fc.constant([{ name: 'A', value: 'b' }])),
    },
    { requiredKeys: ['name'] },
  )
  .chain((one) => more.map((rest) => ({ ...rest, ...one })));

const requirement = fc.record({
  key: fc.constantFrom('kubernetes.io/arch', 'kubernetes.io/os', 'pool', 'karpenter.sh/capacity-type'),
  operator: fc.constantFrom('In', 'NotIn'),
  values: fc.constantFrom(['arm64'], ['amd64', 'arm64'], []),
});

const pod = fc
  .record(
    {
      containers: maybe(fc.array(container, { maxLength: 3 })),
      initContainers: maybe(fc.array(container, { maxLength: 2 })),
      nodeSelector: maybe(
        fc.dictionary(
          fc.constantFrom('kubernetes.io/arch', 'kubernetes.io/os', 'pool', 'topology.kubernetes.io/zone'),
          fc.constantFrom('arm64', 'amd64', 'linux', 'windows', 's390x'),
        ),
      ),
      affinity: fc.record({
        nodeAffinity: fc.record({
          requiredDuringSchedulingIgnoredDuringExecution: fc.record({
            nodeSelectorTerms: fc.array(fc.record({ matchExpressions: fc.array(requirement, { maxLength: 2 }) }), {
              maxLength: 2,
            }),
          }),
        }),
      }),
      activeDeadlineSeconds: fc.constantFrom(3600, 1, 'soon'),
      volumes: maybe(fc.constant([{ name: 'w', emptyDir: {} }])),
    },
    { requiredKeys: [] },
  )
  .chain((one) => more.map((rest) => ({ ...rest, ...one })));

const counts = {
  minRunners: fc.constantFrom(0, 2, 'two'),
  maxRunners: fc.constantFrom(0, 5, 99_999),
  runnerGroup: fc.constantFrom('default', 'CI', ''),
};

const runnerSet = fc
  .record(
    {
      githubConfigUrl: fc.constantFrom(
        'https://github.com/acme',
        'https://ghes.example/acme/web',
        'https://github.com/enterprises/e',
      ),
      githubConfigSecret: maybe(
        fc.constant({ github_app_id: '1', github_app_installation_id: '2', github_app_private_key: 'k' }),
      ),
      runnerScaleSetName: fc.constantFrom('arc', 'linux', ''),
      scaleSetLabels: maybe(fc.constant(['self-hosted', 'big'])),
      containerMode: maybe(fc.record({ type: fc.constantFrom('dind', 'kubernetes', '') })),
      template: maybe(fc.record({ spec: pod })),
      ...counts,
    },
    { requiredKeys: ['githubConfigUrl'] },
  )
  .chain((one) => more.map((rest) => ({ ...rest, ...one })));

const deployment = fc
  .tuple(
    fc.record(
      {
        labels: maybe(fc.constant(['linux', 'a'])),
        group: fc.constantFrom('default', 'CI'),
        image: fc.constantFrom('r:1', ''),
        dockerEnabled: fc.constantFrom(true, false, null),
        dockerdWithinRunnerContainer: fc.boolean(),
        containerMode: fc.constantFrom('kubernetes', ''),
        resources: maybe(fc.constant({ limits: { cpu: 2 } })),
      },
      { requiredKeys: [] },
    ),
    pod,
    fc.constantFrom({ organization: 'acme' }, { repository: 'acme/web' }, { enterprise: 'e' }),
    more,
  )
  .map(([config, rest, claim, extra]) => ({
    kind: 'RunnerDeployment',
    metadata: { name: 'd', labels: { team: 'x' } },
    spec: { replicas: 3, template: { spec: { ...extra, ...rest, ...config, ...claim } } },
  }));

const pool = fc
  .record(
    {
      provider_name: fc.constant('lxd'),
      org_name: fc.constant('acme'),
      image: fc.constant('ubuntu'),
      os_type: fc.constantFrom('linux', 'windows'),
      os_arch: fc.constantFrom('amd64', 'arm64', 'arm'),
      tags: maybe(fc.array(fc.constantFrom<unknown>({ id: '1', name: 'linux' }, { name: 'big' }, 'plain', {}))),
      enabled: fc.boolean(),
      min_idle_runners: fc.constantFrom(0, 1),
      max_runners: fc.constantFrom(0, 4),
      priority: fc.constantFrom(0, 4),
      runner_bootstrap_timeout: fc.constantFrom(0, 20),
      'github-runner-group': fc.constantFrom('', 'CI'),
      endpoint: fc.constantFrom(
        {},
        { base_url: 'https://ghes.example', name: 'e' },
        { base_url: 'https://github.com' },
      ),
    },
    { requiredKeys: ['provider_name', 'org_name'] },
  )
  .chain((one) => more.map((rest) => ({ ...rest, ...one })));

const entry = fc
  .record(
    {
      matcherConfig: fc.record(
        {
          labelMatchers: maybe(fc.constant([['self-hosted', 'big'], ['x']])),
          exactMatch: fc.boolean(),
          priority: fc.constant(1),
        },
        { requiredKeys: [] },
      ),
      fifo: fc.boolean(),
      runner_config: fc.record(
        {
          runner_os: fc.constantFrom('linux', 'windows'),
          runner_architecture: fc.constantFrom('x64', 'arm64', 'arm'),
          instance_types: maybe(
            fc.constantFrom(['m5.large', 't4g.micro'], ['p5.48xlarge', 'c6g.4xlarge', 'r5.xlarge']),
          ),
          runner_extra_labels: maybe(fc.constantFrom<unknown>('a,b', ['c'])),
          runners_maximum_count: fc.constantFrom(-1, 10),
          runner_group_name: fc.constantFrom('Default', ''),
          enable_organization_runners: fc.boolean(),
          runner_boot_time_in_minutes: fc.constantFrom(0, 20),
          ami: anything,
        },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: ['runner_config'] },
  )
  .chain((one) => more.map((rest) => ({ ...rest, ...one })));

describe('every field of an imported configuration has one fate', () => {
  for (const [source, arbitrary] of Object.entries({
    'a runner scale set': runnerSet,
    'an AutoscalingRunnerSet': runnerSet.map((spec) => ({
      apiVersion: 'v1',
      kind: 'AutoscalingRunnerSet',
      metadata: { name: 'n' },
      spec,
    })),
    'a RunnerDeployment': deployment,
    'a pool of GARM': pool,
    'an entry of multi_runner_config': entry,
  })) {
    it(`of ${source}`, () => {
      fc.assert(
        fc.property(arbitrary, (value) => {
          const [draft] = read(value);
          fc.pre(draft !== undefined);
          holdsToOne(draft, leavesOf(JSON.parse(JSON.stringify(value))));
        }),
        { numRuns: 300 },
      );
    });
  }

  it('of all entries in one file, each for its registration', () => {
    fc.assert(
      fc.property(entry, entry, more, (first, second, rest) => {
        const module = { ...rest, github_app: { id: '1', key_base64: 'k' }, tags: { a: 'b' } };
        const drafts = read({ ...module, multi_runner_config: { first, second } });
        fc.pre(drafts.length === 2);
        for (const [index, [name, one]] of Object.entries({ first, second }).entries()) {
          const draft = drafts[index];
          if (draft === undefined) throw new Error('it is not there');
          // What all have in common is told with the first.
          const whole = { ...(index === 0 ? module : {}), multi_runner_config: { [name]: one } };
          holdsToOne(draft, leavesOf(JSON.parse(JSON.stringify(whole))));
        }
      }),
      { numRuns: 100 },
    );
  });

  it('of the older dispatcher', () => {
    const names =
      `Type Name Url Repos Size Cpu Memory Labels ChargeLabels RunnerGroup PullInterval ImageVersion Pat Key Secret Region SecGpId
      VSwitchId CloudProvider ArmClientId ArmClientSecret ArmTenantId ArmSubscriptionId ArmResourceGroupName ArmSubnetId ArmEnvironment
      ArmRPRegistration ArmLogAnaWorkspaceId AciLocation AciSku AciNetworkType GcpCredential GcpProject GcpRegion GcpApikey GcpSA GcpDind
      GcpVpc GcpSubnet Unheard`.split(/\s+/);
    const value = fc.constantFrom('1', 'x', 'true', 'China', 'Confidential', '2.0', 'a,b', 'azure');
    const fields = fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 40 });
    fc.assert(
      fc.property(fields, fc.constantFrom('Org', 'Repo', 'Pool'), (some, Type) => {
        const all = { ...some, Type, Url: 'https://github.com/acme/web' };
        const [draft] = importMakefiles(
          'x',
          undefined,
          `R := ${JSON.stringify(all).replaceAll('"', '\\"')}\n`,
          new Names(undefined),
        ).drafts;
        if (draft === undefined) throw new Error('it is not there');
        holdsToOne(draft, leavesOf(all));
      }),
      { numRuns: 300 },
    );
  });
});
