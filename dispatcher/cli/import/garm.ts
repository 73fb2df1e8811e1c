/** GARM: pools and scale sets, as `garm-cli pool list` and `garm-cli scaleset list` print them with `--format json`. */
import { ownerName, repositoryName } from '../../config/schema.ts';
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
import { Fields, type Known, none, toDo } from './fields.ts';
import { takeArchitecture, takeGroup, takeLabels, takeMost, tellIdle, tellSystem, textsAt } from './shared-wishes.ts';

const KNOWN: readonly Known[] = [
  toDo('write where the runners should run into `backends`: docs/providers.md', 'provider_name'),
  toDo('it is of machines: write the image of a container into `defaults.image`: docs/runner-image.md', 'image'),
  toDo('write its cores and memory into `defaults`: `cpu`, `memoryGiB`', 'flavor'),
  toDo('it is for the provider of GARM: see whether its options are options of the backend', 'extra_specs'),
  toDo(
    'what its template installs belongs into the runner image: docs/runner-image.md',
    'template_id',
    'template_name',
  ),
  toDo(
    'HTTPS_PROXY and NO_PROXY of the dispatcher (docs/configuration.md), and the same in the runner image',
    'proxy_name',
  ),
  toDo('NODE_EXTRA_CA_CERTS of the dispatcher, and SHR_CA_CERTIFICATES in the runner image', 'endpoint.ca_cert_bundle'),
  none(
    "it is of GARM's own records",
    ...['id', 'repo_id', 'org_id', 'enterprise_id', 'proxy_id', 'created_at', 'updated_at', 'generation'],
    ...['scale_set_id', 'state', 'extended_state', 'status_messages', 'endpoint', 'forge_instance_id'],
  ),
  none('runners that exist stay with GARM', 'instances', 'desired_runner_count'),
  none('names of runners begin with the id of the dispatcher', 'runner_prefix'),
  none('nobody gets a shell in a runner', 'enable_shell'),
  none('the image has the version of the runner', 'disable_update'),
];

export function isGarm(value: Readonly<Record<string, unknown>>): boolean {
  return typeof value['provider_name'] === 'string';
}

export function garmPool(root: unknown, names: Names): Draft | string {
  const fields = new Fields(root, KNOWN);
  if (fields.text('endpoint', 'endpoint_type') === 'gitea') return 'a pool is of Gitea, and GitHub alone is served';
  const address = fields.text('endpoint', 'base_url');
  const host = address === undefined ? 'github.com' : hostIn(address);
  if (host === undefined) return 'endpoint.base_url is not an address of GitHub';
  if (address !== undefined) fields.taken(['endpoint', 'base_url'], host === 'github.com' ? 'credentials' : 'host');
  const places = (['repo_name', 'org_name', 'enterprise_name'] as const).filter(
    (key) => fields.text(key) !== undefined,
  );
  const [place] = places;
  if (place === undefined) return 'a pool names no repository, organization or enterprise';
  const owner = fields.text(place) ?? '';
  const isRepository = place === 'repo_name';
  if (!(isRepository ? repositoryName : ownerName).safeParse(owner).success)
    return `${place} is not a name of GitHub's`;
  const name = names.registration(fields.text('name') ?? owner.replace('/', '-'));
  const whose = { name, tenant: names.tenantOf(`${host}/${owner.split('/')[0] ?? owner}`, name) };
  const left: string[] = [BACKEND_TO_DO, IMAGE_TO_DO, POLICY_TO_DO];
  if (fields.get('enabled') === false)
    fields.toDo(['enabled'], 'it was switched off: keep the registration only if it should serve');
  else fields.none(['enabled'], 'a registration that is there serves');
  if (place === 'enterprise_name') left.push('organizations: write those of the enterprise');
  fields.taken([place], { repo_name: 'repositories', org_name: 'organization', enterprise_name: 'enterprise' }[place]);
  tellIdle(fields, ['min_idle_runners']);
  tellSystem(fields, ['os_type']);
  const architecture = takeArchitecture(fields, ['os_arch']);
  // A scale set answers to its name.
  const tags = fields.list('tags').map((tag, index) => ['tags', index, ...(typeof tag === 'string' ? [] : ['name'])]);
  for (const [index] of tags.entries()) fields.none(['tags', index, 'id'], "it is of GARM's own records");
  const isScaleSet = fields.get('scale_set_id') !== undefined;
  const labels = takeLabels(
    fields,
    [...(isScaleSet ? textsAt(fields, ['name']) : []), ...tags.flatMap((path) => textsAt(fields, path))],
    { names, name, place: `${host}/${owner}` },
    left,
  );
  if (fields.number('priority') !== undefined) fields.taken(['priority'], 'priority');
  const variable = variableOf(whose, 'TOKEN');
  return {
    ...whose,
    isBackendOpen: true,
    registration: withoutUndefined({
      host: host === 'github.com' ? undefined : host,
      ...(isRepository
        ? { repositories: [owner] }
        : place === 'org_name'
          ? { organization: owner }
          : { enterprise: owner, organizations: ['ORGANIZATION'] }),
      credentials: { token: `\${env:${variable}}` },
      runnerGroup: takeGroup(fields, ['github-runner-group'], isRepository),
      labels,
      priority: fields.number('priority'),
      defaults: withoutUndefined({ image: NO_IMAGE, architecture }),
      backends: [someBackend({ arm64: architecture === 'arm64' })],
      maxRunners: takeMost(fields, ['max_runners']),
      timeouts: timeoutsOf(fields),
    }),
    secrets: [{ variable, holds: 'the token of its GARM credentials' }],
    left,
    fates: fields.fates(),
  };
}

function timeoutsOf(fields: Fields): unknown {
  const minutes = Math.round(fields.number('runner_bootstrap_timeout') ?? 0);
  if (minutes < 1) return undefined;
  fields.taken(['runner_bootstrap_timeout'], 'timeouts.launch');
  return { launch: `${minutes}m` };
}
