/** terraform-aws-github-runner: entries of `multi_runner_config`, a file for each or all of them in one. */
import { isRecord } from '../../config/salvage.ts';
import {
  BACKEND_TO_DO,
  type Draft,
  hostIn,
  IMAGE_TO_DO,
  type Names,
  NO_IMAGE,
  POLICY_TO_DO,
  someBackend,
  variableOf,
  withoutUndefined,
} from './draft.ts';
import { below, Fields, type Known, none, toDo } from './fields.ts';
import { type Path, takeArchitecture, takeGroup, takeLabels, takeMost, tellSystem, textsAt } from './shared-wishes.ts';

const AWS = 'it is of AWS: a backend has options of its own';
const NO_QUEUES = 'there are no queues and lambdas: the dispatcher keeps jobs, and looks again by itself';
const IN_IMAGE = 'put what it does into the runner image: docs/runner-image.md';

const ENTRY: readonly Known[] = [
  none(NO_QUEUES, 'fifo', 'redrive_build_queue', 'delay_webhook_event'),
  none('of registrations of one place, `priority` decides, and the higher number wins', 'matcherConfig.priority'),
  none('overrides are read from labels such as cpu-4', 'matcherConfig.enableDynamicLabels'),
  toDo('labels such as cpu-4 are allowed by `policy`', 'matcherConfig.awsDynamicLabelsPolicy'),
  ...below(
    ['runner_config'],
    [
      none(
        AWS,
        ...['runner_metadata_options', 'create_service_linked_role_spot', 'credit_specification', 'ebs_optimized'],
        ...['enable_ssm_on_runners', 'instance_allocation_strategy', 'instance_type_priorities', 'cpu_options'],
        ...['placement', 'license_specifications', 'use_dedicated_host', 'runner_ec2_tags', 'iam_overrides'],
        ...['runner_iam_role_managed_policy_arns', 'enable_runner_detailed_monitoring'],
      ),
      none(
        NO_QUEUES,
        ...['delay_webhook_event', 'enable_job_queued_check', 'scale_errors', 'job_queue_retention_in_seconds'],
        ...['scale_down_schedule_expression', 'scale_up_reserved_concurrent_executions', 'job_retry'],
        ...['lambda_event_source_mapping_batch_size', 'pool_runner_owner', 'minimum_running_time_in_minutes'],
        ...['lambda_event_source_mapping_maximum_batching_window_in_seconds'],
      ),
      none('the image has the version of the runner', 'disable_runner_autoupdate', 'enable_runner_binaries_syncer'),
      none('each runner is registered for one job', 'enable_jit_config'),
      none("every self-hosted runner has GitHub's own labels", 'runner_disable_default_labels'),
      none('names of runners begin with the id of the dispatcher', 'runner_name_prefix'),
      none('the image says as which user jobs run', 'runner_as_root', 'runner_run_as'),
      none('output is kept by the dispatcher', 'enable_cloudwatch_agent', 'cloudwatch_config', 'runner_log_files'),
      toDo('it is of machines: write the image of a container into `defaults.image`: docs/runner-image.md', 'ami'),
      toDo(IN_IMAGE, 'enable_userdata', 'userdata_template', 'userdata_content', 'userdata_pre_install'),
      toDo(IN_IMAGE, 'userdata_post_install', 'runner_hook_job_started', 'runner_hook_job_completed'),
      toDo('the network is an option of the backend: docs/providers.md', 'vpc_id', 'subnet_ids'),
      toDo('the network is an option of the backend: docs/providers.md', 'runner_additional_security_group_ids'),
      toDo('`diskGiB` in `defaults`, where the backend has disks', 'block_device_mappings'),
      toDo('runners ahead of jobs are `standby`: docs/registrations.md', 'idle_config', 'pool_config'),
      toDo('`spot: only` in `defaults`, where the backend has spot capacity', 'instance_target_capacity_type'),
      toDo('the price of spot capacity is an option of the backend', 'instance_max_spot_price'),
      toDo('spot capacity that falls back to on-demand is not there yet', 'enable_on_demand_failover_for_errors'),
    ],
  ),
];

/** Of the module's variables, where `multi_runner_config` is one of them. */
const MODULE: readonly Known[] = [
  toDo('a secret of your own webhook: `webhook.secrets` of the registration', 'github_app.webhook_secret'),
  toDo('values in AWS: their secrets belong into variables or files of the dispatcher', 'github_app'),
  toDo('further Apps are `credentials.furtherApps`', 'additional_github_apps'),
  toDo(
    'its authority: NODE_EXTRA_CA_CERTS of the dispatcher, and SHR_CA_CERTIFICATES in the runner image',
    'ghes_ssl_verify',
  ),
  toDo('tags on each instance are `chargeLabels`', 'tags'),
  toDo('only these repositories: `repositories` in the place of `organization`', 'repository_white_list'),
  none('it is of the module and of AWS, and the same for all entries', '*'),
];

export interface TfawsOptions {
  readonly stem: string;
  /** Where the file does not say it. */
  readonly organization: string | undefined;
}

/** Of one file. */
const MAX_ENTRIES = 500;

/** Undefined: the value is nothing of this module. */
export function tfaws(value: unknown, options: TfawsOptions, names: Names): readonly (Draft | string)[] | undefined {
  const root = isEntries(value) ? { multi_runner_config: value } : value;
  if (!isRecord(root)) return undefined;
  const entries = root['multi_runner_config'];
  if (entries === undefined)
    return isEntry(root)
      ? [entryOf(root, { at: [], key: options.stem, module: new Fields({}) }, options, names)]
      : undefined;
  if (!isRecord(entries)) return ['multi_runner_config is not a map of entries'];
  const module = new Fields(root);
  const keys = Object.keys(entries);
  const read = keys.slice(0, MAX_ENTRIES).map((key, index) => {
    if (!isEntry(entries[key])) return `multi_runner_config.${key}: it has no \`runner_config\``;
    // What is of the module is told with the first, and once.
    const own = { ...(index === 0 ? root : {}), multi_runner_config: { [key]: entries[key] } };
    return entryOf(own, { at: ['multi_runner_config', key], key, module }, options, names);
  });
  return keys.length > MAX_ENTRIES ? [...read, `only the first ${MAX_ENTRIES} entries were read`] : read;
}

function isEntry(value: unknown): value is Readonly<Record<string, unknown>> {
  return isRecord(value) && isRecord(value['runner_config']);
}

/** As Terraform prints the variable itself. */
function isEntries(value: unknown): boolean {
  const entries = isRecord(value) ? Object.values(value) : [];
  return entries.length > 0 && entries.every(isEntry);
}

interface Entry {
  readonly at: readonly string[];
  readonly key: string;
  /** The variables of the module. */
  readonly module: Fields;
}

function entryOf(
  root: unknown,
  { at, key, module }: Entry,
  { organization }: TfawsOptions,
  names: Names,
): Draft | string {
  if (organization === undefined) return 'it does not say whose jobs it serves: name them with --organization';
  const address = module.text('ghes_url');
  const host = address === undefined ? 'github.com' : hostIn(address);
  if (host === undefined) return 'ghes_url is not an address of GitHub Enterprise Server';
  const fields = new Fields(root, [...below(at, ENTRY), ...(at.length === 0 ? [] : MODULE)]);
  const config = [...at, 'runner_config'];
  const name = names.registration(key);
  const whose = { name, tenant: names.tenantOf(`${host}/${organization}`, name) };
  const left: string[] = [BACKEND_TO_DO, IMAGE_TO_DO, POLICY_TO_DO];
  const matchers = [...at, 'matcherConfig', 'labelMatchers'];
  if (fields.list(...matchers).length > 1)
    left.push('labels: there were several sets of them; a job needs one of `labels`, and may have the others');
  tellMatching(fields, [...at, 'matcherConfig']);
  const labels = takeLabels(
    fields,
    labelsAt(fields, [matchers, [...config, 'runner_extra_labels']]),
    { names, name, place: `${host}/${organization}` },
    left,
  );
  tellSystem(fields, [...config, 'runner_os']);
  const ephemeral = [...config, 'enable_ephemeral_runners'];
  fields.none(ephemeral, 'each runner runs one job');
  const scope = [...config, 'enable_organization_runners'];
  if (fields.get(...scope) === true) fields.taken(scope, 'organization');
  else
    fields.toDo(
      scope,
      'runners register at the organization; at each repository with `user` or `repositories` in its place',
    );
  const architecture = takeArchitecture(fields, [...config, 'runner_architecture']);
  const appId = module.text('github_app', 'id');
  const variable = variableOf(whose, 'APP_KEY');
  if (appId !== undefined) fields.taken(['github_app', 'id'], 'credentials.app.id');
  if (module.text('github_app', 'key_base64') !== undefined)
    fields.taken(['github_app', 'key_base64'], 'credentials.app.privateKey');
  if (host !== 'github.com') fields.taken(['ghes_url'], 'host');
  const minutes = fields.number(...config, 'runner_boot_time_in_minutes');
  const launch = minutes === undefined || minutes < 1 ? undefined : `${Math.round(minutes)}m`;
  if (launch !== undefined) fields.taken([...config, 'runner_boot_time_in_minutes'], 'timeouts.launch');
  return {
    ...whose,
    isBackendOpen: true,
    registration: withoutUndefined({
      host: host === 'github.com' ? undefined : host,
      organization,
      credentials: { app: { id: appId ?? 'APP-ID', privateKey: `\${env:${variable}}` } },
      runnerGroup: takeGroup(fields, [...config, 'runner_group_name'], false),
      labels,
      defaults: withoutUndefined({ image: NO_IMAGE, ...sizeOf(fields, [...config, 'instance_types']), architecture }),
      backends: [someBackend({ arm64: architecture === 'arm64' })],
      maxRunners: takeMost(fields, [...config, 'runners_maximum_count']),
      timeouts: launch === undefined ? undefined : { launch },
    }),
    secrets: [
      {
        variable,
        holds: `the private key of \`github_app\` as GitHub gave it (not in base64)${appId === undefined ? '; write its id into credentials.app.id' : ''}`,
      },
    ],
    left,
    fates: fields.fates(),
  };
}

/** Lists of lists, lists, or labels with commas between them. */
function labelsAt(fields: Fields, paths: readonly Path[]) {
  return paths
    .flatMap((path) => textsAt(fields, path))
    .flatMap(({ path, text }) => text.split(',').map((one) => ({ path, text: one })));
}

function tellMatching(fields: Fields, at: Path): void {
  for (const field of ['exactMatch', 'bidirectionalLabelMatch']) {
    const words = 'a job with a label that is neither of the registration nor an override is never taken';
    if (fields.get(...at, field) === false) fields.toDo([...at, field], `${words}: give it only such labels`);
    else fields.none([...at, field], words);
  }
}

/** GiB for each core, of families that have as many in all sizes [AWS: "Amazon EC2 instance types"]. */
const GIB_PER_CORE: Readonly<Record<string, number>> = { c: 2, m: 4, r: 8 };
/** Cores, by the size. */
const CORES: Readonly<Record<string, number>> = { large: 2, xlarge: 4 };
const BURSTABLE: Readonly<Record<string, readonly [number, number]>> = {
  ...{ micro: [2, 1], small: [2, 2], medium: [2, 4], large: [2, 8], xlarge: [4, 16], '2xlarge': [8, 32] },
};

/** Of the first type whose size is known. */
function sizeOf(fields: Fields, path: Path): { readonly cpu?: number; readonly memoryGiB?: number } {
  let size: { readonly cpu: number; readonly memoryGiB: number } | undefined;
  for (const [index, type] of fields.list(...path).entries()) {
    const [, family = '', burst, name = ''] = /^(?:([cmr])\d[a-z-]*|(t\d[a-z]*))\.(\w+)$/.exec(String(type)) ?? [];
    const cores = CORES[name] ?? 4 * Number(/^(\d{1,2})xlarge$/.exec(name)?.[1] ?? Number.NaN);
    const [cpu, memoryGiB] =
      burst === undefined ? [cores, cores * (GIB_PER_CORE[family] ?? Number.NaN)] : (BURSTABLE[name] ?? []);
    const where = [...path, index];
    if (size !== undefined) fields.none(where, 'the first type gives the size in `defaults`');
    else if (cpu === undefined || memoryGiB === undefined || Number.isNaN(cpu * memoryGiB))
      fields.toDo(where, 'write its cores and memory into `defaults`: `cpu`, `memoryGiB`');
    else {
      size = { cpu, memoryGiB };
      fields.taken(where, 'defaults');
    }
  }
  return size ?? {};
}
