/**
 * What intake must answer and write, worked out from the request as sent. Shares no code with intake: plain checks, in
 * the order that the table in dispatcher/intake/webhook.ts promises, on the platform's own JSON.parse, Date and HMAC.
 */
import { createHmac } from 'node:crypto';
import { type Sent, world } from './mutation-world.ts';

/** A job in the ledger, as far as its first fact determines it. */
export type ExpectedJob = Readonly<Record<string, unknown>> & { readonly key: string };

export interface Verdict {
  readonly status: number;
  readonly why: string;
  readonly record?: {
    readonly endpoint: string;
    readonly guid: string;
    readonly action: string | null;
    readonly job: ExpectedJob;
  };
}

interface Voice {
  readonly secret: string;
  readonly endpoint: string;
  readonly host: string;
  readonly registration: string | null;
  readonly allows: (owner: string, repository: string) => boolean;
}

export function judge(sent: Sent): Verdict {
  const path = sent.path.split('?')[0] ?? '';
  const own = path.startsWith('/webhooks/github/') ? path.slice('/webhooks/github/'.length) : undefined;
  if (path !== '/webhooks/github' && (own === undefined || !isAlias(own))) return { status: 404, why: 'path' };
  if (sent.method !== 'POST') return { status: 405, why: 'method' };
  const voices = own === undefined ? sharedVoices(sent) : tenantVoices(own);
  if (voices === undefined) return { status: 404, why: 'registration' };

  const encoding = sent.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return { status: 415, why: 'encoding' };
  const type = (sent.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json') return { status: 415, why: 'type' };
  const signature = (sent.headers['x-hub-signature-256'] ?? '').toLowerCase();
  if (signature.length !== 71 || !signature.startsWith('sha256=') || !isHex(signature.slice(7))) {
    return { status: 401, why: 'no signature' };
  }
  if (voices.length === 0) return { status: 401, why: 'no secret' };
  const event = sent.headers['x-github-event'];
  const limit = event === 'workflow_job' ? world.maxJobBytes : world.maxBodyBytes;
  if (sent.body.length > limit) return { status: 413, why: 'length' };
  const voice = voices.find(
    ({ secret }) => signature === `sha256=${createHmac('sha256', secret).update(sent.body).digest('hex')}`,
  );
  if (voice === undefined) return { status: 401, why: 'signature' };

  if (event === undefined || event.length > 64 || event === '' || !consistsOf(event, wordCharacters)) {
    return { status: 400, why: 'event' };
  }
  const guid = sent.headers['x-github-delivery'];
  if (guid === undefined || guid === '' || guid.length > 72 || !consistsOf(guid.toLowerCase(), guidCharacters)) {
    return { status: 400, why: 'guid' };
  }
  if (event !== 'workflow_job') return { status: 200, why: event === 'ping' ? 'ping' : 'not ours' };

  const body = parse(sent.body);
  if (body === undefined) return { status: 400, why: 'no JSON' };
  const job = field(body.value, 'workflow_job');
  if (job === null) return { status: 200, why: 'no job' };
  const wrong = wrongField(job);
  if (wrong !== undefined) return { status: 400, why: `workflow_job.${wrong}` };
  const repository = field(body.value, 'repository');
  const fullName = field(repository, 'full_name');
  const [owner, name] = typeof fullName === 'string' ? splitName(fullName) : [];
  if (owner === undefined || name === undefined) return { status: 400, why: 'full_name' };
  if (!voice.allows(owner.toLowerCase(), name.toLowerCase())) return { status: 403, why: 'foreign' };
  const status = String(field(job, 'status'));
  if (!['queued', 'waiting', 'pending', 'requested', 'in_progress', 'completed'].includes(status)) {
    return { status: 200, why: 'unknown status' };
  }
  return {
    status: 202,
    why: 'recorded',
    record: {
      endpoint: voice.endpoint,
      guid,
      action: word(field(body.value, 'action'), 64),
      job: {
        key: `${voice.host}/${owner}/${name}/${String(field(job, 'id'))}`.toLowerCase(),
        host: voice.host,
        jobId: number(job, 'id'),
        runId: number(job, 'run_id'),
        runAttempt: count(job, 'run_attempt') ?? 1,
        owner,
        repository: name,
        repositoryId: isId(field(repository, 'id')) ? number(repository, 'id') : null,
        visibility: seenAs(field(repository, 'visibility'), field(repository, 'private')),
        jobName: title(job, 'name') ?? '',
        workflowName: title(job, 'workflow_name'),
        headBranch: word(field(job, 'head_branch'), 255),
        headSha: word(field(job, 'head_sha'), 64) ?? '',
        htmlUrl: link(job, 'html_url'),
        labels: items(field(job, 'labels')).filter((label) => label !== null),
        status,
        conclusion: word(field(job, 'conclusion'), 64),
        runnerId: count(job, 'runner_id'),
        runnerName: word(field(job, 'runner_name'), 256),
        createdAtMs: moment(job, 'created_at'),
        startedAtMs: moment(job, 'started_at'),
        completedAtMs: moment(job, 'completed_at'),
        admission: 'pending',
        statusSource: 'webhook',
        statusToldBy: voice.registration,
        version: 1,
        disputed: false,
      },
    },
  };
}

function sharedVoices(sent: Sent): readonly Voice[] {
  const isApp = sent.headers['x-github-hook-installation-target-type'] === 'integration';
  const app = world.apps.find(({ id }) => isApp && id === sent.headers['x-github-hook-installation-target-id']);
  const entries = app === undefined ? world.plain : [app];
  const host = (sent.headers['x-github-enterprise-host'] ?? 'github.com').toLowerCase();
  const ofHost = entries.filter((entry) => entry.host === host);
  return (ofHost.length === 0 ? entries : ofHost)
    .flatMap((entry) =>
      entry.secrets.map((secret) => ({
        secret,
        endpoint: 'id' in entry ? `${entry.host}/app/${entry.id}` : `${entry.host}/webhook`,
        host: entry.host,
        registration: null,
        allows: (owner: string) => entry.owners.some((allowed) => allowed === '*' || allowed === owner),
      })),
    )
    .slice(0, 2);
}

function tenantVoices(name: string): readonly Voice[] | undefined {
  const tenant = world.tenants.find((entry) => entry.name === name);
  if (tenant === undefined || tenant.secrets.length === 0) return undefined;
  return tenant.secrets.map((secret) => ({
    secret,
    endpoint: `registration/${name}`,
    host: 'github.com',
    registration: name,
    allows: (owner: string, repository: string) =>
      'user' in tenant
        ? owner === tenant.user.toLowerCase()
        : tenant.repositories.some((allowed) => allowed === `${owner}/${repository}`),
  }));
}

/** The name of the first field of the job that refuses it: its identity, its status, its labels; nothing else can. */
function wrongField(job: unknown): string | undefined {
  if (!isObject(job)) return '(itself)';
  const rules: Record<string, (value: unknown) => boolean> = {
    id: isId,
    run_id: isId,
    labels: (value) =>
      Array.isArray(value) &&
      value.length <= 200 &&
      value.every((label) => label === null || isText(label, 512)) &&
      value.join('').length <= 8_192,
    status: (value) => isText(value, 64) && value !== '',
  };
  return Object.keys(rules).find((name) => rules[name]?.(field(job, name)) === false);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function field(value: unknown, name: string): unknown {
  if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
  return Reflect.get(value, name);
}

function isText(value: unknown, most: number): boolean {
  return typeof value === 'string' && value.length <= most && !value.includes('\0');
}

function isId(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

function splitName(fullName: string): readonly [string, string] | readonly [] {
  const parts = fullName.split('/');
  const [owner = '', name = ''] = parts;
  if (parts.length !== 2 || owner === '' || name === '' || owner.length > 100 || name.length > 100) return [];
  if (!consistsOf(owner.toLowerCase(), `${letters}${digits}-_`)) return [];
  if (!consistsOf(name.toLowerCase(), `${letters}${digits}-_.`) || name === '.' || name === '..') return [];
  return [owner, name];
}

function seenAs(visibility: unknown, isPrivate: unknown): string | null {
  if (visibility === 'public' || visibility === 'private' || visibility === 'internal') return visibility;
  if (isPrivate === true) return 'private';
  return isPrivate === false ? 'public' : null;
}

function number(job: unknown, name: string): number | null {
  const value = field(job, name);
  return typeof value === 'number' ? value : null;
}

/** Kept as it is, or not at all. */
function word(value: unknown, most: number): string | null {
  return isText(value, most) && value !== '' && typeof value === 'string' && stored(value) === value ? value : null;
}

function link(job: unknown, name: string): string | null {
  const value = word(field(job, name), 2_000);
  const rest = ['http://', 'https://'].map((scheme) => (value?.startsWith(scheme) ? value.slice(scheme.length) : ''));
  return rest.some((text) => text !== '' && text.trim() === text && !text.includes(' ')) ? value : null;
}

/** The first 250 units; a character that would be halved is left out. */
function title(job: unknown, name: string): string | null {
  const value = field(job, name);
  if (typeof value !== 'string') return null;
  let kept = '';
  for (const character of value) {
    if (kept.length + character.length > 250) break;
    kept += character === '\0' ? '\ufffd' : character;
  }
  return stored(kept);
}

function count(job: unknown, name: string): number | null {
  const value = field(job, name);
  return isId(value) && typeof value === 'number' ? value : null;
}

function moment(job: unknown, name: string): number | null {
  const value = field(job, name);
  if (typeof value !== 'string' || value.length > 40) return null;
  const pattern = value.replace(/[0-9]/g, '9');
  const [, rest = ''] = pattern.split('9999-99-99T99:99:99');
  if (!pattern.startsWith('9999-99-99T99:99:99')) return null;
  const zone = rest.startsWith('.') ? rest.slice(1).replace(/^9{1,9}/, '') : rest;
  if (rest.startsWith('.') && zone.length === rest.length - 1) return null;
  if (!['Z', '+99:99', '-99:99'].includes(zone)) return null;
  const date = new Date(value);
  return date.getUTCFullYear() >= 2008 ? date.getTime() : null;
}

function items(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A half of a surrogate pair is no UTF-8: the database holds the replacement character. */
function stored(value: string): string {
  return value.toWellFormed();
}

function parse(body: Buffer): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)) };
  } catch {
    return undefined;
  }
}

const letters = 'abcdefghijklmnopqrstuvwxyz';
const digits = '0123456789';
const wordCharacters = `${letters}${digits}_`;
const guidCharacters = `${letters}${digits}-`;

function isAlias(name: string): boolean {
  return name.length >= 1 && name.length <= 32 && consistsOf(name, `${letters}${digits}-`);
}

function isHex(text: string): boolean {
  return consistsOf(text, '0123456789abcdef');
}

function consistsOf(text: string, allowed: string): boolean {
  return [...text].every((character) => allowed.includes(character));
}
