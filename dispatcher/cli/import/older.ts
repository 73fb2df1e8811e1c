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
import { readMakefile, UNREAD, unquoted, type Variables } from './makefile.ts';

/** Those that are read, or of which it is known that nothing is lost without them. */
const FIELDS = new Set(
  `Type Name Url Repos Size Cpu Memory Labels ChargeLabels RunnerGroup PullInterval ImageVersion Pat Key Secret Region SecGpId
  VSwitchId CloudProvider ArmClientId ArmClientSecret ArmTenantId ArmSubscriptionId ArmResourceGroupName ArmSubnetId
  ArmEnvironment AciLocation AciSku GcpCredential GcpProject GcpRegion GcpSA GcpDind GcpVpc GcpSubnet`.split(/\s+/),
);

const NO_EQUIVALENT: Readonly<Record<string, string>> = {
  ArmRPRegistration: 'register the resource provider Microsoft.ContainerInstance once, by hand',
  ArmLogAnaWorkspaceId: 'runners log to the dispatcher',
  ArmLogAnaWorkspaceKey: 'runners log to the dispatcher',
  AciNetworkType: 'a subnet makes it private',
  GcpApikey: 'credentials are enough',
};

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
  if (type === 'pool') notes.push('Type Pool: `standby` of docs/registrations.md keeps runners ready');
  if (type === 'pool' || (fields['Size'] ?? '1') !== '1')
    notes.push(`Size ${fields['Size'] ?? ''}: maxRunners limits how many run at once`);
  const group = fields['RunnerGroup'];
  for (const [key, value] of Object.entries(fields)) {
    if (value.includes(UNREAD)) notes.push(`${key}: its value was not evaluated`);
    if (FIELDS.has(key)) continue;
    notes.push(`${key}: ${NO_EQUIVALENT[key] ?? 'unknown'}`);
  }
  const place = `${parsed.host}/${ofRepositories ? own.join(',') : owner}`;
  const said = [
    ...listOf(fields['Labels']),
    ...(ofRepositories ? own.map((one) => one.slice(one.indexOf('/') + 1)) : [owner]),
  ];
  const labels = labelsOf({ name, place, given }, [...said, ...ALWAYS], notes);
  notes.push(IMAGE_TO_DO, POLICY_TO_DO, overridesToDo(fields));
  if (fields['ImageVersion'] !== undefined)
    notes.push(`ImageVersion ${fields['ImageVersion']}: the older image does not work here`);
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
  return { name, tenant, isBackendOpen: false, registration, secrets, left: notes };
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
  return mine.length > 0 ? mine : selecting;
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

function backendOf(fields: Fields, secret: (field: string, what: string) => string, notes: string[]): unknown {
  const provider = (fields['CloudProvider'] ?? '').toLowerCase();
  const clouds = [
    ...(fields['ArmSubscriptionId'] !== undefined || fields['ArmClientId'] !== undefined ? ['azure'] : []),
    ...(fields['GcpProject'] !== undefined ? ['gcp'] : []),
    ...(fields['Key'] !== undefined || fields['VSwitchId'] !== undefined ? ['ali'] : []),
  ];
  const chosen = clouds.find((cloud) => provider.startsWith(cloud)) ?? clouds[0] ?? 'ali';
  for (const other of clouds)
    if (other !== chosen)
      notes.push(`it also has fields of ${other}: write a second backend, or a registration, for it`);
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
