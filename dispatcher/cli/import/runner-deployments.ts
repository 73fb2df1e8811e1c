/** The older resources of actions-runner-controller: RunnerDeployment, RunnerSet and Runner, with their autoscalers. */
import { isRecord } from '../../config/salvage.ts';
import { ownerName, repositoryName } from '../../config/schema.ts';
import {
  BACKEND_TO_DO,
  type Draft,
  IMAGE_TO_DO,
  type Names,
  NO_IMAGE,
  POLICY_TO_DO,
  someBackend,
  variableOf,
  withoutUndefined,
} from './draft.ts';
import { below, Fields, type Known, none, toDo } from './fields.ts';
import { OBJECT, POD, shapeOf } from './pod.ts';
import { type Path, takeGroup, takeLabels, takeMost, tellIdle, textsAt } from './shared-wishes.ts';

/** Where the configuration of the runner is, and its pod. */
const PLACES: Readonly<Record<string, { readonly config: Path; readonly pod: Path }>> = {
  RunnerDeployment: { config: ['spec', 'template', 'spec'], pod: ['spec', 'template', 'spec'] },
  RunnerReplicaSet: { config: ['spec', 'template', 'spec'], pod: ['spec', 'template', 'spec'] },
  RunnerSet: { config: ['spec'], pod: ['spec', 'template', 'spec'] },
  Runner: { config: ['spec'], pod: ['spec'] },
};

const DISK = '`defaults.diskGiB`, where the backend has disks';

const CONFIG: readonly Known[] = [
  none('each runner runs one job', 'ephemeral'),
  none('the image says where the runner works', 'workDir'),
  none('Docker in the container has its own settings', 'dockerMTU', 'dockerEnv', 'dockerVolumeMounts'),
  none('Docker is in the container of the runner', 'dockerdContainerResources'),
  toDo('a mirror is set in the runner image: docs/runner-image.md', 'dockerRegistryMirror'),
  toDo(DISK, 'volumeSizeLimit', 'dockerVarRunVolumeSizeLimit', 'workVolumeClaimTemplate'),
  none('the work folder is on a disk', 'volumeStorageMedium'),
  toDo('the runner image brings the runner: docs/runner-image.md', 'containers'),
];

const WHOLE: readonly Known[] = [
  none('runners are launched for jobs', 'spec.selector', 'spec.effectiveTime', 'spec.minReadySeconds'),
  none('it is of Kubernetes', 'spec.serviceName', 'spec.template.metadata', 'spec.updateStrategy'),
  none('runners are launched for jobs, and by nothing else', 'autoscaler.spec'),
  ...below(['autoscaler'], OBJECT),
];

export function isRunners(kind: string | undefined): kind is string {
  return kind !== undefined && Object.hasOwn(PLACES, kind);
}

/** `autoscalers`: those HorizontalRunnerAutoscaler of the file that are for this resource. */
export function runnerDeployment(kind: string, root: unknown, autoscaler: unknown, names: Names): Draft | string {
  const { config, pod } = PLACES[kind] ?? { config: [], pod: [] };
  const strings = (path: Path) => path.map(String);
  const fields = new Fields({ ...(isRecord(root) ? root : {}), ...(autoscaler === undefined ? {} : { autoscaler }) }, [
    ...OBJECT,
    ...WHOLE,
    ...below(strings(config), CONFIG),
    ...below(strings(pod), POD),
  ]);
  const claims = (['repository', 'organization', 'enterprise'] as const).filter(
    (one) => fields.text(...config, one) !== undefined,
  );
  const [claim, other] = claims;
  if (claim === undefined) return `a ${kind} names no repository, organization or enterprise`;
  if (other !== undefined) return `a ${kind} names a ${claim}, and ${other === 'repository' ? 'a' : 'an'} ${other} too`;
  const owner = fields.text(...config, claim) ?? '';
  if (!(claim === 'repository' ? repositoryName : ownerName).safeParse(owner).success)
    return `${claim} is not a name of GitHub's`;
  fields.taken([...config, claim], claim === 'repository' ? 'repositories' : claim);
  const name = names.registration(fields.text('metadata', 'name') ?? owner.replace('/', '-'));
  const whose = { name, tenant: names.tenantOf(`github.com/${owner.split('/')[0] ?? owner}`, name) };
  const left: string[] = [
    BACKEND_TO_DO,
    POLICY_TO_DO,
    'host: GitHub Enterprise Server, which the controller was given as GITHUB_ENTERPRISE_URL, is `host`',
  ];
  if (claim === 'enterprise') left.push('organizations: write those of the enterprise');
  const secret = [...config, 'githubAPICredentialsFrom'];
  const of = fields.text(...secret, 'secretRef', 'name');
  if (of !== undefined)
    fields.toDo(
      secret,
      'a token is expected in it; if it holds an App, write `credentials.app` with `id` and `privateKey`',
    );
  const runners = fields.list(...pod, 'containers').findIndex((one) => isRecord(one) && one['name'] === 'runner');
  const { hasDocker, ...shape } = shapeOf(
    fields,
    pod,
    kind === 'RunnerSet' ? [...pod, 'containers', Math.max(0, runners)] : pod,
  );
  if (shape.image === undefined) left.push(IMAGE_TO_DO);
  const dind = takeDockerd(fields, config, left) || hasDocker;
  const labels = takeLabels(
    fields,
    textsAt(fields, [...config, 'labels']),
    { names, name, place: `github.com/${owner}` },
    left,
  );
  const most = mostOf(fields);
  tellIdle(fields, ['autoscaler', 'spec', 'minReplicas']);
  const variable = variableOf(whose, 'TOKEN');
  return {
    ...whose,
    isBackendOpen: true,
    registration: withoutUndefined({
      ...(claim === 'repository'
        ? { repositories: [owner] }
        : claim === 'organization'
          ? { organization: owner }
          : { enterprise: owner, organizations: ['ORGANIZATION'] }),
      credentials: { token: `\${env:${variable}}` },
      runnerGroup: takeGroup(fields, [...config, 'group'], claim === 'repository'),
      labels,
      defaults: withoutUndefined({ ...shape, image: shape.image ?? NO_IMAGE, dockerInDocker: dind ? true : undefined }),
      backends: [someBackend({ dind, arm64: shape.architecture === 'arm64' })],
      maxRunners: most,
    }),
    secrets: [
      {
        variable,
        holds:
          of === undefined ? "the token of the controller's secret" : `github_token of the Kubernetes secret ${of}`,
      },
    ],
    left,
    fates: fields.fates(),
  };
}

/** Docker was there unless it was switched off. */
function takeDockerd(fields: Fields, config: Path, left: string[]): boolean {
  const isKubernetes = fields.text(...config, 'containerMode') === 'kubernetes';
  if (isKubernetes)
    fields.toDo(
      [...config, 'containerMode'],
      'jobs run in one container; those with `container:` or `services:` need `defaults.dockerInDocker`',
    );
  const within = fields.get(...config, 'dockerdWithinRunnerContainer');
  const enabled = fields.get(...config, 'dockerEnabled');
  const hasDocker = !isKubernetes && (within === true || enabled !== false);
  for (const field of ['dockerdWithinRunnerContainer', 'dockerEnabled']) {
    if (hasDocker) fields.taken([...config, field], 'defaults.dockerInDocker');
    else fields.none([...config, field], 'without `defaults.dockerInDocker` there is no Docker');
  }
  if (hasDocker && within !== true && enabled !== true)
    left.push('defaults.dockerInDocker: Docker was there without being asked for; remove it if no job needs it');
  return hasDocker;
}

/** Of the autoscaler, else the fixed number of runners. */
function mostOf(fields: Fields): number | undefined {
  const most = takeMost(fields, ['autoscaler', 'spec', 'maxReplicas']);
  if (fields.get('autoscaler') === undefined) return takeMost(fields, ['spec', 'replicas']);
  fields.none(['spec', 'replicas'], 'the autoscaler decided');
  return most;
}
