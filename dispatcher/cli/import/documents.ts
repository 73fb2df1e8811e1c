/** Configurations in YAML or JSON: ARC's runner sets, GARM's pools, and terraform-aws-github-runner's runner configurations. */
import { readYaml } from '../../config/document.ts';
import {
  BACKEND_TO_DO,
  claimFrom,
  type Draft,
  foreignReference,
  IMAGE_TO_DO,
  type Imported,
  type Names,
  NO_IMAGE,
  POLICY_TO_DO,
  selectingLabels,
  someBackend,
  variableOf,
  withoutUndefined,
} from './draft.ts';

const MAX_DOCUMENTS = 100;
const MAX_VALUES = 20_000;
const MAX_DEPTH = 40;
const MAX_LEFT = 100;

export interface DocumentOptions {
  readonly file: string;
  readonly text: string;
  readonly mostBytes: number;
  /** Where the file does not say it. */
  readonly organization: string | undefined;
}

export function importDocuments(stem: string, options: DocumentOptions, names: Names): Imported {
  const drafts: Draft[] = [];
  const problems: string[] = [];
  const parts = options.text.split(/^---(?:[ \t].*)?\r?$/m).filter((part) => part.trim() !== '');
  if (parts.length > MAX_DOCUMENTS) problems.push(`only the first ${MAX_DOCUMENTS} documents were read`);
  for (const part of parts.slice(0, MAX_DOCUMENTS)) {
    const { value, problems: wrong } = readYaml(options.file, part, options.mostBytes);
    const [first] = wrong;
    if (first !== undefined) {
      problems.push(`${first.message}. ${first.cure}`);
      continue;
    }
    if (!isTree(value)) {
      problems.push('it is nested too deeply, refers to itself, or holds too much');
      continue;
    }
    for (const item of Array.isArray(value) ? value : [value]) {
      const draft = draftOf(stem, new Fields(item), options, names);
      if (draft === undefined) continue;
      const problem = typeof draft === 'string' ? draft : referenceIn(draft);
      if (problem !== undefined) problems.push(problem);
      else if (typeof draft !== 'string') drafts.push(draft);
    }
  }
  return { drafts, problems };
}

function referenceIn({ registration, secrets }: Draft): string | undefined {
  const ours = new Set(secrets.map(({ variable }) => `\${env:${variable}}`));
  return foreignReference(registration, (reference) => ours.has(reference));
}

/** No cycles, and no more than can be walked through. */
function isTree(root: unknown): boolean {
  let values = 0;
  const walk = (value: unknown, depth: number): boolean => {
    values += 1;
    if (values > MAX_VALUES || depth > MAX_DEPTH) return false;
    if (typeof value !== 'object' || value === null) return true;
    return Object.values(value).every((item) => walk(item, depth + 1));
  };
  return walk(root, 0);
}

/** Notes which fields were read, so that all others can be listed. */
class Fields {
  readonly #root: unknown;
  readonly #read = new Set<string>();

  constructor(root: unknown) {
    this.#root = root;
  }

  get(...path: readonly (string | number)[]): unknown {
    this.#read.add(path.join('.'));
    return path.reduce<unknown>((value, key) => {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
      return Object.entries(value).find(([name]) => name === String(key))?.[1];
    }, this.#root);
  }

  text(...path: readonly (string | number)[]): string | undefined {
    const value = this.get(...path);
    return typeof value === 'string' && value !== '' ? value : typeof value === 'number' ? String(value) : undefined;
  }

  number(...path: readonly (string | number)[]): number | undefined {
    const value = this.get(...path);
    return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
  }

  /** Each leaf that nothing read. */
  left(): readonly string[] {
    const found: string[] = [];
    const walk = (value: unknown, path: string): void => {
      if (this.#read.has(path) || found.length > MAX_LEFT) return;
      if (typeof value === 'object' && value !== null && Object.keys(value).length > 0) {
        for (const [key, item] of Object.entries(value)) walk(item, path === '' ? key : `${path}.${key}`);
      } else if (path !== '') found.push(path);
    };
    walk(this.#root, '');
    return found;
  }
}

function draftOf(stem: string, fields: Fields, options: DocumentOptions, names: Names): Draft | string | undefined {
  const kind = fields.text('kind');
  if (kind === 'AutoscalingRunnerSet') return runnerSet(fields, ['spec'], stem, names);
  if (fields.text('githubConfigUrl') !== undefined) return runnerSet(fields, [], stem, names);
  if (fields.text('provider_name') !== undefined) return garmPool(fields, names);
  if (fields.get('runner_config') !== undefined) return tfaws(fields, stem, options, names);
  if (kind !== undefined) return `a ${kind} has no equivalent`;
  return 'it is none of the formats that can be read: see shr import --help';
}

/** The values of the chart gha-runner-scale-set, or the resource that it makes. */
function runnerSet(fields: Fields, at: readonly string[], stem: string, names: Names): Draft | string {
  fields.get('apiVersion');
  const url = fields.text(...at, 'githubConfigUrl') ?? '';
  const where = claimFrom(url);
  if (where === undefined) return 'githubConfigUrl is not an address of GitHub';
  const label = fields.text(...at, 'runnerScaleSetName') ?? fields.text('metadata', 'name') ?? stem;
  const name = names.registration(label);
  const whose = { name, tenant: names.tenantOf(`${where.host}/${where.owner}`, name) };
  const notes: string[] = [BACKEND_TO_DO, POLICY_TO_DO];
  const secrets: { variable: string; holds: string }[] = [];
  const appId = fields.text(...at, 'githubConfigSecret', 'github_app_id');
  const secretOf = (what: string, holds: string): string => {
    secrets.push({ variable: variableOf(whose, what), holds });
    return `\${env:${variableOf(whose, what)}}`;
  };
  fields.get(...at, 'githubConfigSecret');
  const secretName = fields.text(...at, 'githubConfigSecret');
  const of = secretName === undefined ? 'githubConfigSecret' : `the Kubernetes secret ${secretName}`;
  if (secretName !== undefined)
    notes.push(`credentials: if ${of} holds an App, write \`app\` with its \`id\` and \`privateKey\``);
  const credentials =
    appId === undefined
      ? { token: secretOf('TOKEN', `github_token of ${of}`) }
      : { app: { id: appId, privateKey: secretOf('APP_KEY', `github_app_private_key of ${of}`) } };
  const pod = [...at, 'template', 'spec'];
  const containers = fields.get(...pod, 'containers');
  const index = Array.isArray(containers)
    ? Math.max(
        0,
        containers.findIndex((one: unknown) => new Fields(one).text('name') === 'runner'),
      )
    : 0;
  // Only what is read below counts as read.
  const seen = new Fields(Array.isArray(containers) ? containers[index] : undefined);
  const size = (what: string): string | undefined =>
    seen.text('resources', 'limits', what) ?? seen.text('resources', 'requests', what);
  const image = seen.text('image');
  seen.get('name');
  if (image === undefined) notes.push(IMAGE_TO_DO);
  const mode = fields.text(...at, 'containerMode', 'type');
  if (mode !== undefined && mode !== 'dind') notes.push(`containerMode ${mode}: jobs run in one container`);
  const most = fields.number(...at, 'maxRunners');
  const least = fields.number(...at, 'minRunners') ?? 0;
  if (least > 0) notes.push(`minRunners ${least}: standby of docs/registrations.md keeps runners ready`);
  const group = fields.text(...at, 'runnerGroup');
  const ofRepository = 'repositories' in where.claim;
  if ('enterprise' in where.claim) notes.push('organizations: write those of the enterprise');
  for (const path of fields.left()) notes.push(`${path}: no equivalent`);
  for (const path of seen.left()) notes.push(`template.spec.containers.${path}: no equivalent`);
  return {
    ...whose,
    isBackendOpen: true,
    registration: withoutUndefined({
      host: where.host === 'github.com' ? undefined : where.host,
      ...where.claim,
      credentials,
      runnerGroup: ofRepository || group === undefined ? undefined : group === 'default' ? 'Default' : group,
      labels: labelsOf([label], notes),
      defaults: withoutUndefined({
        image: image ?? NO_IMAGE,
        cpu: quantity(size('cpu'), 1),
        memoryGiB: quantity(size('memory'), 2 ** 30),
        dockerInDocker: mode === 'dind' ? true : undefined,
      }),
      backends: [someBackend({ dind: mode === 'dind' })],
      maxRunners: most === undefined ? undefined : Math.min(10_000, Math.max(1, Math.round(most))),
    }),
    secrets,
    left: notes,
  };
}

/** As `garm-cli pool list --format json` prints it. */
function garmPool(fields: Fields, names: Names): Draft | string {
  const repository = fields.text('repo_name');
  const organization = fields.text('org_name');
  const enterprise = fields.text('enterprise_name');
  const claim =
    repository !== undefined
      ? { repositories: [repository] }
      : organization !== undefined
        ? { organization }
        : enterprise !== undefined
          ? { enterprise, organizations: ['ORGANIZATION'] }
          : undefined;
  if (claim === undefined) return 'a pool names no repository, organization or enterprise';
  const tags = fields.get('tags');
  const labels = Array.isArray(tags)
    ? tags.flatMap((tag: unknown) => (typeof tag === 'string' ? tag : (new Fields(tag).text('name') ?? [])))
    : [];
  const owner = repository ?? organization ?? enterprise ?? '';
  const name = names.registration(owner.replace('/', '-'));
  const whose = { name, tenant: names.tenantOf(owner.split('/')[0] ?? owner, name) };
  const provider = fields.text('provider_name');
  const notes = [
    `backends: provider ${provider} with image ${fields.text('image')} and flavor ${fields.text('flavor')}; write where the runners should run: docs/providers.md`,
    IMAGE_TO_DO,
    POLICY_TO_DO,
    'defaults: write cpu and memoryGiB of the flavor',
  ];
  const group = fields.text('github-runner-group');
  const idle = fields.number('min_idle_runners') ?? 0;
  if (idle > 0) notes.push(`min_idle_runners ${idle}: standby of docs/registrations.md keeps runners ready`);
  if (fields.get('enabled') === false) notes.push('the pool was switched off: keep the file only if it should serve');
  if ('enterprise' in claim) notes.push('organizations: write those of the enterprise');
  const architecture = fields.text('os_arch');
  if ((fields.text('os_type') ?? 'linux') !== 'linux') notes.push('runners are Linux containers');
  const minutes = fields.number('runner_bootstrap_timeout');
  const most = fields.number('max_runners');
  const variable = variableOf(whose, 'TOKEN');
  for (const path of fields.left()) notes.push(`${path}: no equivalent`);
  return {
    ...whose,
    isBackendOpen: true,
    registration: withoutUndefined({
      ...claim,
      credentials: { token: `\${env:${variable}}` },
      runnerGroup: repository === undefined ? group : undefined,
      labels: labelsOf(labels, notes),
      priority: fields.number('priority'),
      defaults: withoutUndefined({ image: NO_IMAGE, architecture: architecture === 'arm64' ? 'arm64' : undefined }),
      backends: [someBackend({ arm64: architecture === 'arm64' })],
      maxRunners: most === undefined ? undefined : Math.min(10_000, Math.max(1, Math.round(most))),
      timeouts: minutes === undefined || minutes < 1 ? undefined : { launch: `${Math.round(minutes)}m` },
    }),
    secrets: [{ variable, holds: 'the token of its GARM credentials' }],
    left: notes,
  };
}

/** One entry of `multi_runner_config`, as its examples keep them: a YAML file for each. */
function tfaws(fields: Fields, stem: string, { organization }: DocumentOptions, names: Names): Draft | string {
  if (organization === undefined) return 'it does not say whose jobs it serves: name them with --organization';
  const name = names.registration(stem);
  const whose = { name, tenant: names.tenantOf(organization, name) };
  const notes = [BACKEND_TO_DO, IMAGE_TO_DO, POLICY_TO_DO];
  const matchers = fields.get('matcherConfig', 'labelMatchers');
  const sets = Array.isArray(matchers)
    ? matchers.map((one: unknown) => (Array.isArray(one) ? one.map(String) : []))
    : [];
  if (sets.length > 1) notes.push('labelMatchers: several sets; a job needs one of `labels`, and may have the others');
  if (fields.get('matcherConfig', 'exactMatch') === true)
    notes.push('exactMatch: a job may have no label beside its own and overrides');
  const extra = fields.get('runner_config', 'runner_extra_labels');
  const labels = [
    ...sets.flat(),
    ...(Array.isArray(extra) ? extra.map(String) : typeof extra === 'string' ? extra.split(',') : []),
  ];
  const types = fields.get('runner_config', 'instance_types');
  if (Array.isArray(types)) notes.push(`instance_types ${types.join(', ')}: write cpu and memoryGiB into defaults`);
  const most = fields.number('runner_config', 'runners_maximum_count') ?? 0;
  const group = fields.text('runner_config', 'runner_group_name');
  const architecture = fields.text('runner_config', 'runner_architecture');
  if ((fields.text('runner_config', 'runner_os') ?? 'linux') !== 'linux') notes.push('runners are Linux containers');
  if (fields.get('runner_config', 'enable_ephemeral_runners') === false)
    notes.push('enable_ephemeral_runners: each runner runs one job');
  const ofRepositories = fields.get('runner_config', 'enable_organization_runners') === false;
  if (ofRepositories)
    notes.push('enable_organization_runners false: runners register at each repository with `user` or `repositories`');
  for (const path of fields.left()) notes.push(`${path}: no equivalent`);
  const variable = variableOf(whose, 'APP_KEY');
  return {
    ...whose,
    isBackendOpen: true,
    registration: withoutUndefined({
      organization,
      credentials: { app: { id: 'APP-ID', privateKey: `\${env:${variable}}` } },
      runnerGroup: group === undefined || group === '' ? undefined : group,
      labels: labelsOf(labels, notes),
      defaults: withoutUndefined({ image: NO_IMAGE, architecture: architecture === 'arm64' ? 'arm64' : undefined }),
      backends: [someBackend({ arm64: architecture === 'arm64' })],
      maxRunners: most > 0 ? Math.min(10_000, most) : undefined,
    }),
    secrets: [{ variable, holds: 'the private key of `github_app`; write its id into credentials.app.id' }],
    left: notes,
  };
}

function labelsOf(texts: readonly string[], notes: string[]): readonly string[] | undefined {
  const labels = selectingLabels(texts, notes);
  return labels.length === 0 ? undefined : labels;
}

const UNITS: Readonly<Record<string, number>> = {
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** Of Kubernetes: `500m`, `4Gi`. */
function quantity(text: string | undefined, unit: number): number | undefined {
  const [, digits, suffix = ''] = /^(\d{1,12}(?:\.\d{1,9})?)([A-Za-z]{0,2})$/.exec(text ?? '') ?? [];
  const factor = suffix === '' ? 1 : UNITS[suffix];
  if (digits === undefined || factor === undefined) return undefined;
  const value = Math.round(((Number(digits) * factor) / unit) * 100) / 100;
  return value > 0 ? value : undefined;
}
