/** The older dispatcher: registrations as JSON in variables of makefiles. */
import {
  type Draft,
  foreignReference,
  IMAGE_TO_DO,
  type Imported,
  type Names,
  NO_IMAGE,
  ownerIn,
  POLICY_TO_DO,
  selectingLabels,
  variableOf,
  withoutUndefined,
} from './draft.ts';
import { type Fates, Fields as FieldsRead, type Known, none, toDo } from './fields.ts';
import { readMakefile, UNREAD, unquoted, type Variables } from './makefile.ts';

type Cloud = 'ali' | 'azure' | 'gcp';

/** Where each field is now. With a cloud: where that one is chosen. */
const TAKEN: Readonly<Record<string, { readonly as: string; readonly cloud?: Cloud }>> = {
  Url: { as: 'organization' },
  Labels: { as: 'labels' },
  ChargeLabels: { as: 'chargeLabels' },
  PullInterval: { as: 'poll.interval' },
  Cpu: { as: 'defaults.cpu' },
  Memory: { as: 'defaults.memoryGiB' },
  Pat: { as: 'credentials.token' },
  Key: { as: 'backends[0].options.accessKeyId', cloud: 'ali' },
  Secret: { as: 'backends[0].options.accessKeySecret', cloud: 'ali' },
  Region: { as: 'backends[0].options.region', cloud: 'ali' },
  SecGpId: { as: 'backends[0].options.securityGroupId', cloud: 'ali' },
  VSwitchId: { as: 'backends[0].options.vSwitchIds', cloud: 'ali' },
  CloudProvider: { as: 'backends[0].kind' },
  ArmClientId: { as: 'backends[0].options.credentials.clientId', cloud: 'azure' },
  ArmClientSecret: { as: 'backends[0].options.credentials.clientSecret', cloud: 'azure' },
  ArmTenantId: { as: 'backends[0].options.credentials.tenantId', cloud: 'azure' },
  ArmSubscriptionId: { as: 'backends[0].options.subscriptionId', cloud: 'azure' },
  ArmResourceGroupName: { as: 'backends[0].options.resourceGroup', cloud: 'azure' },
  ArmSubnetId: { as: 'backends[0].options.subnetId', cloud: 'azure' },
  AciLocation: { as: 'backends[0].options.location', cloud: 'azure' },
  GcpCredential: { as: 'backends[0].options.credentials', cloud: 'gcp' },
  GcpProject: { as: 'backends[0].options.project', cloud: 'gcp' },
  GcpRegion: { as: 'backends[0].options.region', cloud: 'gcp' },
  GcpSA: { as: 'backends[0].options.serviceAccount', cloud: 'gcp' },
  GcpDind: { as: 'backends[0].kind', cloud: 'gcp' },
  GcpVpc: { as: 'backends[0].options.network', cloud: 'gcp' },
  GcpSubnet: { as: 'backends[0].options.subnetwork', cloud: 'gcp' },
};

const KNOWN: readonly Known[] = [
  toDo('register the resource provider Microsoft.ContainerInstance once, by hand', 'ArmRPRegistration'),
  none('runners log to the dispatcher', 'ArmLogAnaWorkspaceId', 'ArmLogAnaWorkspaceKey'),
  none('a subnet makes it private', 'AciNetworkType'),
  none('the credentials are enough', 'GcpApikey'),
  none('the address says it', 'Name'),
  toDo('the older image does not work here: docs/runner-image.md', 'ImageVersion'),
];

export function importMakefiles(alias: string, common: string | undefined, text: string, names: Names): Imported {
  const shared = readMakefile(common ?? '');
  const { variables, left } = readMakefile(text, shared.variables);
  const found = registrationsIn(variables);
  const problems = [...shared.left, ...left];
  if (found.length === 0) problems.push('no variable holds a registration: a JSON object with `Type` and `Url`');
  const drafts = found.flatMap((fields) => {
    const draft = draftOf(alias, fields, names);
    if (typeof draft === 'string') {
      problems.push(draft);
      return [];
    }
    const problem = foreignReference(draft.registration, isReferenceOfMakefile);
    if (problem === undefined) return [draft];
    problems.push(problem);
    return [];
  });
  return { drafts, problems };
}

/** Of a variable, as each that a makefile names becomes one. */
function isReferenceOfMakefile(reference: string): boolean {
  return reference === UNREAD || /^\$\{env:[\w.-]+\}$/.test(reference);
}

type Fields = Readonly<Record<string, string>>;

/** `WF_SLS_REGS`, or each variable that holds one. */
function registrationsIn(variables: Variables): readonly Fields[] {
  const all = variables.get('WF_SLS_REGS');
  const texts = all === undefined ? [...variables.values()] : [all];
  const found = texts.flatMap((text) => objectsIn(unquoted(text)));
  const known = new Map(found.map((fields) => [JSON.stringify(fields), fields]));
  return [...known.values()].slice(0, 1000);
}

function objectsIn(text: string): readonly Fields[] {
  const trimmed = text.trim();
  if (!/^[[{]/.test(trimmed)) return [];
  let value: unknown;
  try {
    value = JSON.parse(trimmed);
  } catch {
    return [];
  }
  return (Array.isArray(value) ? value : [value]).flatMap((item: unknown) => {
    if (typeof item !== 'object' || item === null || !('Type' in item) || !('Url' in item)) return [];
    const entries = Object.entries(item).map(([key, one]) => [
      key,
      typeof one === 'string' ? one : JSON.stringify(one),
    ]);
    return [Object.fromEntries(entries.filter(([, one]) => one !== ''))];
  });
}

function draftOf(alias: string, fields: Fields, given: Names): Draft | string {
  const url = fields['Url'] ?? '';
  const parsed = ownerIn(url);
  const [owner, repository] = parsed?.parts ?? [];
  if (parsed === undefined || owner === undefined) return '`Url` is not the address of an owner';
  const name = given.registration(alias);
  const tenant = given.tenantOf(`makefile ${alias}`, name);
  const notes: string[] = [];
  const secrets: { variable: string; holds: string }[] = [];
  const secret = (field: string, what: string): string => {
    const value = fields[field];
    const reference = /^\$\{env:(\w+)\}$/.exec(value ?? '');
    const variable = reference?.[1] ?? variableOf({ tenant, name }, what);
    const remark =
      value !== undefined && reference === null
        ? ', which is written in the makefile: replace it'
        : value === undefined && field === 'Pat'
          ? ', which is empty: a token of its own, or what the older dispatcher used instead (SLS_GITHUB_TK or SLS_GITENT_TK)'
          : '';
    secrets.push({ variable, holds: `\`${field}\`${remark}` });
    return `\${env:${variable}}`;
  };
  const names = listOf(fields['Repos']).map((one) => (one.includes('/') ? one : `${owner}/${one}`));
  const type = (fields['Type'] ?? '').toLowerCase();
  const own = repository === undefined ? names : [`${owner}/${repository.replace(/\.git$/, '')}`];
  const ofRepositories = type === 'repo' && own.length > 0;
  const group = fields['RunnerGroup'];
  const place = `${parsed.host}/${ofRepositories ? own.join(',') : owner}`;
  const said = [
    ...listOf(fields['Labels']),
    ...(ofRepositories ? own.map((one) => one.slice(one.indexOf('/') + 1)) : [owner]),
  ];
  const labels = labelsOf({ name, place, given }, [...said, ...ALWAYS], notes);
  notes.push(IMAGE_TO_DO, POLICY_TO_DO, overridesToDo(fields));
  const charged = listOf(fields['ChargeLabels']);
  const registration = withoutUndefined({
    host: parsed.host === 'github.com' ? undefined : parsed.host,
    ...(ofRepositories ? { repositories: own } : { organization: owner }),
    credentials: { token: secret('Pat', 'TOKEN') },
    ...(ofRepositories || group === undefined
      ? {}
      : { runnerGroup: group.toLowerCase() === 'default' ? 'Default' : group }),
    labels: labels.length > 0 ? labels : undefined,
    defaults: withoutUndefined({
      image: NO_IMAGE,
      cpu: numberOf(fields['Cpu']),
      memoryGiB: numberOf(fields['Memory']),
    }),
    backends: [backendOf(fields, secret, notes)],
    poll: pollOf(fields['PullInterval'], ofRepositories ? [] : names),
    chargeLabels:
      charged.length === 0
        ? undefined
        : Object.fromEntries(charged.map((text, index) => [index === 0 ? 'charge' : `charge-${index + 1}`, text])),
  });
  const fates = fatesOf(fields, registration, { cloud: cloudOf(fields), ofRepositories });
  return { name, tenant, isBackendOpen: false, registration, secrets, left: notes, fates };
}

function fatesOf(
  fields: Fields,
  registration: Draft['registration'],
  { cloud, ofRepositories }: { readonly cloud: Cloud; readonly ofRepositories: boolean },
): Fates {
  const read = new FieldsRead(fields, KNOWN);
  for (const [key, { as, cloud: only }] of Object.entries(TAKEN)) {
    if (fields[key] === undefined) continue;
    if (only !== undefined && only !== cloud) read.toDo([key], `a second backend, or a registration, for ${only}`);
    else if (isThere(registration, as)) read.taken([key], as);
  }
  if (fields['Url'] !== undefined) read.taken(['Url'], ofRepositories ? 'repositories' : 'organization');
  if (fields['Repos'] !== undefined) read.taken(['Repos'], ofRepositories ? 'repositories' : 'poll.repositories');
  read.taken(['Type'], ofRepositories ? 'repositories' : 'organization');
  if ((fields['Type'] ?? '').toLowerCase() === 'pool')
    read.toDo(['Type'], 'runners ahead of jobs are `standby`: docs/registrations.md');
  if (fields['Size'] === '1') read.none(['Size'], 'a job gets one runner');
  else
    read.toDo(
      ['Size'],
      'runners ahead of jobs are `standby`, and the most at once `maxRunners`: docs/registrations.md',
    );
  if (ofRepositories) read.none(['RunnerGroup'], 'runners of a repository have no group');
  else read.taken(['RunnerGroup'], 'runnerGroup');
  if (fields['AciSku'] === 'Confidential' && cloud === 'azure') read.taken(['AciSku'], 'backends[0].options.sku');
  else read.none(['AciSku'], 'Standard is the default');
  if (fields['ArmEnvironment']?.toLowerCase() === 'china' && cloud === 'azure')
    read.taken(['ArmEnvironment'], 'backends[0].options.cloud');
  else read.none(['ArmEnvironment'], 'the public cloud is the default');
  for (const [key, value] of Object.entries(fields))
    if (value.includes(UNREAD)) read.toDo([key], 'its value was not evaluated: write it');
  return read.fates();
}

function isThere(registration: Draft['registration'], as: string): boolean {
  const steps = as.replaceAll('[0]', '.0').split('.');
  return new FieldsRead(registration).get(...steps) !== undefined;
}

/** Whatever its registrations said, the older dispatcher took jobs with these. */
const ALWAYS = ['serverless-hosted-runner', 'eci-runner'];

interface Place {
  readonly name: string;
  readonly place: string;
  readonly given: Names;
}

/** All that brought a job here before, so that no workflow has to change at once. */
function labelsOf({ name, place, given }: Place, texts: readonly string[], notes: string[]): readonly string[] {
  const selecting = selectingLabels(texts, notes);
  const mine = selecting.filter((label) => given.ownerOf(label, place, name) === name);
  const others = selecting.filter((label) => !mine.includes(label));
  const inWords = (labels: readonly string[]): string => labels.map((label) => `\`${label}\``).join(', ');
  if (others.length > 0) {
    const owners = [...new Set(others.map((label) => given.ownerOf(label, place, name)))].join(', ');
    notes.push(
      `labels: ${inWords(others)}: such jobs of the same place go to ${owners}, as a label can select one registration; write another label into \`labels\` and into the workflows that are meant for this one`,
    );
  }
  const kept = mine.filter((label) => ALWAYS.includes(label));
  if (kept.length > 0) {
    notes.push(
      `labels: ${inWords(kept)}, which each registration answered to, still bring${kept.length === 1 ? 's' : ''} jobs here; remove ${kept.length === 1 ? 'it' : 'them'} once no workflow says so`,
    );
  }
  return mine.length > 0 ? mine : [name];
}

/** Any job could have any size, network and image there. */
function overridesToDo(fields: Fields): string {
  const list = (field: string): string | undefined => {
    const values = listOf(fields[field]).filter((value) => !value.includes('$'));
    return values.length === 0 ? undefined : JSON.stringify(values);
  };
  const parts = { subnets: list('VSwitchId'), securityGroups: list('SecGpId') };
  const more = Object.entries(parts).flatMap(([key, value]) => (value === undefined ? [] : `, ${key}: ${value}`));
  return `policy: labels such as cpu-4.0, memory-8.0, vsw-…, sg-…, img-… and disk-… are refused until it allows them, for example \`policy: { maxCpu: 4, maxMemoryGiB: 16${more.join('')} }\``;
}

function cloudsOf(fields: Fields): readonly Cloud[] {
  return [
    ...(fields['ArmSubscriptionId'] !== undefined || fields['ArmClientId'] !== undefined ? ['azure' as const] : []),
    ...(fields['GcpProject'] !== undefined ? ['gcp' as const] : []),
    ...(fields['Key'] !== undefined || fields['VSwitchId'] !== undefined ? ['ali' as const] : []),
  ];
}

function cloudOf(fields: Fields): Cloud {
  const provider = (fields['CloudProvider'] ?? '').toLowerCase();
  const clouds = cloudsOf(fields);
  return clouds.find((cloud) => provider.startsWith(cloud)) ?? clouds[0] ?? 'ali';
}

function backendOf(fields: Fields, secret: (field: string, what: string) => string, notes: string[]): unknown {
  const chosen = cloudOf(fields);
  const given = (field: string): string => fields[field] ?? `\${env:${field.toUpperCase()}}`;
  switch (chosen) {
    case 'azure':
      if (fields['AciLocation'] === undefined) notes.push('backends[0].options.location: write the region');
      return {
        kind: 'azure-aci',
        options: withoutUndefined({
          cloud: fields['ArmEnvironment']?.toLowerCase() === 'china' ? 'china' : undefined,
          subscriptionId: given('ArmSubscriptionId'),
          resourceGroup: given('ArmResourceGroupName'),
          location: (fields['AciLocation'] ?? 'westeurope').toLowerCase().replaceAll(' ', ''),
          credentials: {
            kind: 'secret',
            tenantId: given('ArmTenantId'),
            clientId: given('ArmClientId'),
            clientSecret: secret('ArmClientSecret', 'AZURE_CLIENT_SECRET'),
          },
          sku: fields['AciSku'] === 'Confidential' ? 'Confidential' : undefined,
          subnetId: fields['ArmSubnetId'],
        }),
      };
    case 'gcp': {
      const batch = fields['GcpDind']?.toLowerCase() === 'true';
      if (fields['GcpSA'] === undefined)
        notes.push('backends[0].options.serviceAccount: write an account without roles');
      notes.push('GcpCredential was encoded in base64: the variable must hold the JSON itself');
      return {
        kind: batch ? 'gcp-batch' : 'gcp-cloud-run',
        options: withoutUndefined({
          project: given('GcpProject'),
          region: given('GcpRegion'),
          credentials: secret('GcpCredential', 'GCP_CREDENTIALS'),
          serviceAccount: fields['GcpSA'] ?? 'runner@PROJECT.iam.gserviceaccount.com',
          network: fields['GcpVpc'],
          subnetwork: fields['GcpSubnet'],
        }),
      };
    }
    default:
      return {
        kind: 'ali-eci',
        options: {
          region: given('Region'),
          accessKeyId: secret('Key', 'ALI_KEY_ID'),
          accessKeySecret: secret('Secret', 'ALI_KEY_SECRET'),
          vSwitchIds: listOf(given('VSwitchId')),
          securityGroupId: given('SecGpId'),
        },
      };
  }
}

function pollOf(interval: string | undefined, repositories: readonly string[]): unknown {
  const seconds = numberOf(interval);
  if (seconds === undefined && repositories.length === 0) return undefined;
  return withoutUndefined({
    interval: seconds === undefined ? undefined : `${Math.max(1, Math.round(seconds))}s`,
    repositories: repositories.length > 0 ? repositories : undefined,
  });
}

function listOf(text: string | undefined): readonly string[] {
  return (text ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function numberOf(text: string | undefined): number | undefined {
  const value = Number(text);
  return text !== undefined && Number.isFinite(value) && value > 0 ? value : undefined;
}
