/** actions-runner-controller: its runner scale sets. */
import { isRecord } from '../../config/salvage.ts';
import {
  BACKEND_TO_DO,
  claimFrom,
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
import { OBJECT, POD, shapeOf, TAGS } from './pod.ts';
import { takeGroup, takeLabels, takeMost, tellIdle, textsAt } from './shared-wishes.ts';

const SET: readonly Known[] = [
  none(
    'nothing is made in Kubernetes',
    ...['listenerTemplate', 'autoscalingListener', 'listenerServiceAccountMetadata', 'listenerRoleMetadata'],
    ...['listenerRoleBindingMetadata', 'listenerConfigSecretMetadata', 'ephemeralRunnerSetMetadata'],
    ...['ephemeralRunnerMetadata', 'ephemeralRunnerConfigSecretMetadata', 'resourceMeta', 'controllerServiceAccount'],
    ...['namespaceOverride', 'annotations', 'template.metadata'],
  ),
  none('metrics have names of their own: docs/observability.md', 'listenerMetrics'),
  toDo(TAGS, 'labels', 'template.metadata.labels'),
  toDo('HTTPS_PROXY and NO_PROXY of the dispatcher (docs/configuration.md), and the same in the runner image', 'proxy'),
  toDo(
    'NODE_EXTRA_CA_CERTS of the dispatcher, and SHR_CA_CERTIFICATES in the runner image (docs/runner-image.md)',
    'githubServerTLS',
  ),
  toDo(
    'refer to a secret in a vault as docs/configuration.md says under "Secrets in the clouds\' own stores"',
    ...['keyVault', 'vaultConfig'],
  ),
  none("the App's installation is found by its owner", 'githubConfigSecret.github_app_installation_id'),
  toDo('`defaults.diskGiB`, where the backend has disks', 'containerMode.kubernetesModeWorkVolumeClaim'),
  none(
    'no pods are made for jobs',
    ...['containerMode.kubernetesModeServiceAccount', 'containerMode.kubernetesModeAdditionalRoleRules'],
  ),
  ...below(['template', 'spec'], POD),
];

/** The values of the chart gha-runner-scale-set, or the resource that it makes. */
export function runnerSet(root: unknown, at: readonly string[], stem: string, names: Names): Draft | string {
  const fields = new Fields(root, [...OBJECT, ...below(at, SET)]);
  const where = claimFrom(fields.text(...at, 'githubConfigUrl') ?? '');
  if (where === undefined) return 'githubConfigUrl is not an address of GitHub';
  fields.taken([...at, 'githubConfigUrl'], Object.keys(where.claim)[0] ?? 'organization');
  const named = [
    [...at, 'runnerScaleSetName'],
    ['metadata', 'name'],
  ].find((path) => fields.text(...path) !== undefined);
  const label = { path: named, text: named === undefined ? stem : (fields.text(...named) ?? stem) };
  const name = names.registration(label.text);
  const whose = { name, tenant: names.tenantOf(`${where.host}/${where.owner}`, name) };
  const left: string[] = [BACKEND_TO_DO, POLICY_TO_DO];
  if ('enterprise' in where.claim) left.push('organizations: write those of the enterprise');
  const { credentials, secrets } = credentialsOf(fields, at, whose);
  const mode = [...at, 'containerMode', 'type'];
  const dockerMode = fields.text(...mode) === 'dind';
  if (dockerMode) fields.taken(mode, 'defaults.dockerInDocker');
  else if (fields.text(...mode) !== undefined)
    fields.toDo(
      mode,
      'jobs run in one container; those with `container:` or `services:` need `defaults.dockerInDocker`',
    );
  const pod = [...at, 'template', 'spec'];
  const containers = fields.list(...pod, 'containers');
  const index = containers.findIndex((one) => isRecord(one) && one['name'] === 'runner');
  const { hasDocker, ...shape } = shapeOf(fields, pod, [...pod, 'containers', Math.max(0, index)]);
  const dind = dockerMode || hasDocker;
  if (shape.image === undefined) left.push(IMAGE_TO_DO);
  const labels = takeLabels(
    fields,
    [label, ...textsAt(fields, [...at, 'scaleSetLabels']), ...textsAt(fields, [...at, 'runnerScaleSetLabels'])],
    {
      names,
      name,
      place: `${where.host}/${'repositories' in where.claim ? String(where.claim['repositories']) : where.owner}`,
    },
    left,
  );
  tellIdle(fields, [...at, 'minRunners']);
  return {
    ...whose,
    isBackendOpen: true,
    registration: withoutUndefined({
      host: where.host === 'github.com' ? undefined : where.host,
      ...where.claim,
      credentials,
      runnerGroup: takeGroup(fields, [...at, 'runnerGroup'], 'repositories' in where.claim),
      labels,
      defaults: withoutUndefined({ ...shape, image: shape.image ?? NO_IMAGE, dockerInDocker: dind ? true : undefined }),
      backends: [someBackend({ dind, arm64: shape.architecture === 'arm64' })],
      maxRunners: takeMost(fields, [...at, 'maxRunners']),
    }),
    secrets,
    left,
    fates: fields.fates(),
  };
}

function credentialsOf(
  fields: Fields,
  at: readonly string[],
  whose: Pick<Draft, 'name' | 'tenant'>,
): { readonly credentials: unknown; readonly secrets: Draft['secrets'] } {
  const secret = [...at, 'githubConfigSecret'];
  const named = fields.text(...secret);
  const of = named === undefined ? 'githubConfigSecret' : `the Kubernetes secret ${named}`;
  const appId = fields.text(...secret, 'github_app_id');
  const variable = variableOf(whose, appId === undefined ? 'TOKEN' : 'APP_KEY');
  const reference = `\${env:${variable}}`;
  if (appId !== undefined) {
    fields.taken([...secret, 'github_app_id'], 'credentials.app.id');
    fields.taken([...secret, 'github_app_private_key'], 'credentials.app.privateKey');
    return {
      credentials: { app: { id: appId, privateKey: reference } },
      secrets: [{ variable, holds: `github_app_private_key of ${of}` }],
    };
  }
  if (fields.text(...secret, 'github_token') !== undefined)
    fields.taken([...secret, 'github_token'], 'credentials.token');
  if (named !== undefined)
    fields.toDo(
      secret,
      'a token is expected in it; if it holds an App, write `credentials.app` with `id` and `privateKey`',
    );
  return {
    credentials: { token: reference },
    secrets: [{ variable, holds: `github_token of ${of}` }],
  };
}
