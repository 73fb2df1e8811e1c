/** Pods of Kubernetes: what of them is the shape of a runner, and what there is in place of the rest. */
import { isRecord } from '../../config/salvage.ts';
import { type Fields, type Known, none, toDo, UNKNOWN } from './fields.ts';
import { type Path, takeArchitecture, tellSystem } from './shared-wishes.ts';

const IN_IMAGE = 'in the runner image (docs/runner-image.md), or in the workflow';
const RIGHTS = 'the backend decides as which user, and with which rights, a container runs';
const BESIDE = 'it ran beside the runner: use `services:` of the workflow, which need `defaults.dockerInDocker`';
export const TAGS = 'tags on each instance are `chargeLabels`: write those that you need';

export const OBJECT: readonly Known[] = [
  none('it is of Kubernetes', 'apiVersion', 'kind', 'metadata', 'status'),
  toDo(TAGS, 'metadata.labels'),
];

/** Of a container that is the runner. */
export const RUNNER: readonly Known[] = [
  none('the only container of a runner is the runner', 'name'),
  toDo(
    'the runner is started by `command` of the backend, whose default suits the usual images: docs/runner-image.md',
    ...['command', 'args', 'workingDir'],
  ),
  toDo(`variables: ${IN_IMAGE}`, 'env', 'envFrom'),
  none('it belongs to a volume', 'volumeMounts', 'volumeDevices'),
  none('a container has all that its limits say, and nothing else', 'resources'),
  none('the dispatcher watches runners itself', 'livenessProbe', 'readinessProbe', 'startupProbe'),
  none('nothing connects to a runner', 'ports', 'stdin', 'stdinOnce', 'tty'),
  none('the service of the backend decides when it pulls', 'imagePullPolicy'),
  none('its last output is kept by the dispatcher', 'terminationMessagePath', 'terminationMessagePolicy'),
  none(RIGHTS, 'securityContext'),
  toDo(`what runs before and after: ${IN_IMAGE}`, 'lifecycle'),
];

export const POD: readonly Known[] = [
  none(
    'the service of the backend places containers: there are no nodes',
    ...['affinity', 'tolerations', 'topologySpreadConstraints', 'nodeName', 'nodeSelector', 'schedulerName'],
    ...['priorityClassName', 'priority', 'preemptionPolicy', 'runtimeClassName', 'overhead'],
    ...['hostNetwork', 'hostPID', 'hostIPC'],
  ),
  none('a container is started once, and ends with its job', 'restartPolicy', 'terminationGracePeriodSeconds'),
  none(
    'containers are in no cluster',
    ...['automountServiceAccountToken', 'enableServiceLinks', 'dnsPolicy', 'subdomain', 'hostname'],
    ...['setHostnameAsFQDN', 'readinessGates', 'shareProcessNamespace', 'ephemeralContainers'],
  ),
  none('all runners are Linux containers', 'os'),
  none(RIGHTS, 'securityContext'),
  toDo('an option of the backend: docs/providers.md', 'hostAliases', 'dnsConfig'),
  toDo('`registries` of the backend, with a user and a password: docs/providers.md', 'imagePullSecrets'),
  toDo(
    'what jobs may do at a cloud is an option of the backend: docs/providers.md',
    ...['serviceAccountName', 'serviceAccount'],
  ),
  toDo('`defaults.diskGiB`, or `defaults.bucket` for what stays, where the backend has them', 'volumes'),
  toDo(`it ran before the runner: ${IN_IMAGE}`, 'initContainers'),
  toDo(BESIDE, 'containers', 'sidecarContainers'),
];

interface RunnerShape {
  readonly image: string | undefined;
  readonly cpu: number | undefined;
  readonly memoryGiB: number | undefined;
  readonly architecture: 'arm64' | 'x64' | undefined;
  readonly timeLimit: string | undefined;
  /** A container beside it runs Docker. */
  readonly hasDocker: boolean;
}

/** `runner`: of the container in which jobs run. All fields of both get their fate. */
export function shapeOf(fields: Fields, pod: Path, runner: Path): RunnerShape {
  if (runner.length > pod.length && fields.get(...runner) !== undefined) fields.toDo(runner, UNKNOWN);
  for (const known of RUNNER) tell(fields, runner, known);
  const image = fields.text(...runner, 'image');
  if (image !== undefined) fields.taken([...runner, 'image'], 'defaults.image');
  tellCommand(fields, runner);
  if (fields.get(...runner, 'securityContext', 'privileged') === true)
    fields.toDo(
      [...runner, 'securityContext', 'privileged'],
      'write `dockerInDocker: true` into `defaults`, if jobs run Docker',
    );
  tellVariables(fields, [...runner, 'env']);
  tellVolumes(fields, [...pod, 'volumes']);
  return {
    image,
    cpu: amount(fields, [...runner, 'resources'], { what: 'cpu', as: 'cpu', unit: 1 }),
    memoryGiB: amount(fields, [...runner, 'resources'], { what: 'memory', as: 'memoryGiB', unit: 2 ** 30 }),
    architecture: architectureIn(fields, pod),
    timeLimit: timeLimitIn(fields, [...pod, 'activeDeadlineSeconds']),
    hasDocker: takeDocker(fields, pod),
  };
}

function tell(fields: Fields, at: Path, { paths, verdict, words }: Known): void {
  for (const path of paths) {
    const whole = [...at, path];
    if (verdict === 'to do') fields.toDo(whole, words);
    else fields.none(whole, words);
  }
}

/** By which ARC's own pods find Docker, or make further pods. */
const OF_ARC =
  /^(?:DOCKER_HOST|DOCKER_GROUP_GID|RUNNER_WAIT_FOR_DOCKER_IN_SECONDS|ACTIONS_RUNNER_(?:CONTAINER_HOOKS|POD_NAME|REQUIRE_JOB_CONTAINER|IMAGE))$/;

function tellVariables(fields: Fields, env: Path): void {
  for (const [index] of fields.list(...env).entries())
    if (OF_ARC.test(fields.text(...env, index, 'name') ?? ''))
      fields.none([...env, index], "it belongs to ARC's own way to run Docker and jobs");
}

function tellVolumes(fields: Fields, volumes: Path): void {
  for (const [index, volume] of fields.list(...volumes).entries()) {
    if (!isRecord(volume) || !Object.hasOwn(volume, 'emptyDir')) continue;
    const path = [...volumes, index];
    fields.none(path, 'the folders of a container are on its own disk');
    const limit = quantity(fields.text(...path, 'emptyDir', 'sizeLimit'), 2 ** 30);
    if (limit !== undefined) fields.toDo([...path, 'emptyDir', 'sizeLimit'], diskToDo(limit));
  }
}

function diskToDo(gib: number): string {
  return `\`diskGiB: ${Math.ceil(gib)}\` in \`defaults\`, where the backend has disks`;
}

/** What the image starts by itself is nothing to do. */
function tellCommand(fields: Fields, runner: Path): void {
  const command = fields.list(...runner, 'command').map(String);
  if (command.join(' ') === '/home/runner/run.sh')
    fields.none([...runner, 'command'], 'the dispatcher starts the runner of the image itself');
}

interface Amount {
  readonly what: string;
  readonly as: 'cpu' | 'memoryGiB';
  readonly unit: number;
}

function amount(fields: Fields, resources: Path, { what, as, unit }: Amount): number | undefined {
  const [path] = [
    [...resources, 'limits', what],
    [...resources, 'requests', what],
  ].filter((one) => fields.text(...one) !== undefined);
  tellOthers(fields, resources);
  if (path === undefined) return undefined;
  const value = quantity(fields.text(...path), unit);
  if (value === undefined) fields.toDo(path, `it is no quantity that can be read: write \`${as}\` into \`defaults\``);
  else fields.taken(path, `defaults.${as}`);
  return value;
}

function tellOthers(fields: Fields, resources: Path): void {
  for (const kind of ['limits', 'requests']) {
    const amounts = fields.get(...resources, kind);
    if (!isRecord(amounts)) continue;
    for (const what of Object.keys(amounts)) {
      if (what === 'cpu' || what === 'memory') continue;
      const path = [...resources, kind, what];
      const gib = quantity(fields.text(...path), 2 ** 30);
      const isLimited = kind === 'requests' && fields.get(...resources, 'limits', what) !== undefined;
      if (what === 'ephemeral-storage' && !isLimited) fields.toDo(path, diskToDo(gib ?? 1));
      else if (what !== 'ephemeral-storage') fields.none(path, 'backends have cores, memory and disk');
    }
  }
}

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const ARCHITECTURE = ['kubernetes.io/arch', 'beta.kubernetes.io/arch'];
const SYSTEM = ['kubernetes.io/os', 'beta.kubernetes.io/os'];
const SPOT =
  /^(?:karpenter\.sh\/capacity-type|eks\.amazonaws\.com\/capacityType|cloud\.google\.com\/gke-(?:spot|preemptible|provisioning)|kubernetes\.azure\.com\/scalesetpriority)$/;
const PLACE = /^(?:failure-domain\.beta\.kubernetes\.io|topology\.kubernetes\.io)\/(?:region|zone)$/;

/** Of a node selector, or of an affinity to nodes of one architecture. */
function architectureIn(fields: Fields, pod: Path): 'x64' | 'arm64' | undefined {
  const selector = fields.get(...pod, 'nodeSelector');
  const keys = isRecord(selector) ? Object.keys(selector) : [];
  let found: 'x64' | 'arm64' | undefined;
  for (const key of keys) {
    const path = [...pod, 'nodeSelector', key];
    if (ARCHITECTURE.includes(key)) found ??= takeArchitecture(fields, path);
    else tellNodes(fields, path, key);
  }
  const terms = [...pod, 'affinity', 'nodeAffinity', REQUIRED, 'nodeSelectorTerms'];
  for (const [term] of fields.list(...terms).entries()) {
    for (const [index, one] of fields.list(...terms, term, 'matchExpressions').entries()) {
      const path = [...terms, term, 'matchExpressions', index];
      const key = isRecord(one) ? one['key'] : undefined;
      if (typeof key !== 'string') continue;
      const isOne = fields.text(...path, 'operator') === 'In' && fields.list(...path, 'values').length === 1;
      if (!ARCHITECTURE.includes(key) || !isOne) {
        tellNodes(fields, path, key);
        continue;
      }
      const architecture = takeArchitecture(fields, [...path, 'values', 0]);
      if (architecture === undefined) continue;
      fields.taken(path, 'defaults.architecture');
      found ??= architecture;
    }
  }
  return found;
}

function tellNodes(fields: Fields, path: Path, key: string): void {
  if (SYSTEM.includes(key)) tellSystem(fields, path);
  else if (SPOT.test(key)) fields.toDo(path, '`spot: only` in `defaults`, where the backend has spot capacity');
  else if (PLACE.test(key)) fields.toDo(path, 'the region and zone are options of the backend: docs/providers.md');
}

const MIN_TIME_S = 60;
const MAX_TIME_S = 5 * 86_400;

function timeLimitIn(fields: Fields, path: Path): string | undefined {
  const seconds = fields.number(...path);
  if (seconds === undefined) return undefined;
  if (!Number.isInteger(seconds) || seconds < MIN_TIME_S || seconds > MAX_TIME_S) {
    fields.toDo(path, '`timeLimit` in `defaults`: at least 1m, at most 5d');
    return undefined;
  }
  fields.taken(path, 'defaults.timeLimit');
  return `${seconds}s`;
}

/** As the chart's own notes have it, for those who write it out: a container `dind`, and one that prepares it. */
function takeDocker(fields: Fields, pod: Path): boolean {
  let found = false;
  for (const list of ['containers', 'initContainers']) {
    for (const [index, one] of fields.list(...pod, list).entries()) {
      const path = [...pod, list, index];
      const image = fields.text(...path, 'image') ?? '';
      if (/(?:^|\/)docker:[\w.-]*dind/.test(image)) {
        fields.taken(path, 'defaults.dockerInDocker');
        found = true;
      } else if (isRecord(one) && one['name'] === 'init-dind-externals')
        fields.none(path, 'the image of the runner brings what Docker needs');
    }
  }
  return found;
}

const UNITS: Readonly<Record<string, number>> = {
  ...{ m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 },
};

/** Of Kubernetes: `500m`, `4Gi`. */
function quantity(text: string | undefined, unit: number): number | undefined {
  const [, digits, suffix = ''] = /^(\d{1,12}(?:\.\d{1,9})?)([A-Za-z]{0,2})$/.exec(text ?? '') ?? [];
  const factor = suffix === '' ? 1 : UNITS[suffix];
  if (digits === undefined || factor === undefined) return undefined;
  const value = Math.round(((Number(digits) * factor) / unit) * 100) / 100;
  return value > 0 ? value : undefined;
}
