/** Deliveries that GitHub never sent: one for each number, always the same one for the same seed. */
import { createHmac } from 'node:crypto';
import { workflowJobExamples } from './examples.ts';
import { type Sent, world } from './mutation-world.ts';

/** What was done to it. `fields`: correctly signed, and mutated field by field from a real one. */
export type Kind = 'fields' | 'bytes' | 'signature' | 'headers' | 'length' | 'other event' | 'untouched';

export interface Mutation {
  readonly kind: Kind;
  readonly sent: Sent;
  /** Sent once more with the same GUID, and this body: a double. */
  readonly again: Sent | undefined;
}

export interface Draw {
  /** Uniform in [0, 1). */
  next(): number;
  below(limit: number): number;
  pick<T>(choices: readonly [T, ...T[]]): T;
}

/** mulberry32, one stream for each case: case 77 stays the same however many were drawn before it. */
export function drawFor(seed: number, index: number): Draw {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return {
    next,
    below,
    pick: (choices) => choices[below(choices.length)] ?? choices[0],
  };
}

const originals = workflowJobExamples().map((example) => JSON.stringify(example));

/** Fields that intake reads. */
const ours = [
  ['action'],
  ['workflow_job'],
  ...[
    ...['id', 'run_id', 'run_attempt', 'name', 'workflow_name', 'head_sha', 'html_url', 'labels', 'status'],
    ...['conclusion', 'runner_id', 'runner_name', 'created_at', 'started_at', 'completed_at'],
  ].map((name) => ['workflow_job', name]),
  ['repository'],
  ...['full_name', 'visibility', 'private'].map((name) => ['repository', name]),
] as const;

export function mutationFor(seed: number, index: number): Mutation {
  const draw = drawFor(seed, index);
  const event: unknown = JSON.parse(originals[draw.below(originals.length)] ?? '');
  // A job of its own, so that what it leaves in the ledger can be told from what the others leave.
  set(event, ['workflow_job', 'id'], 1_000_000_000 + index);
  const kind = kindFor(draw);
  const voice = voiceFor(draw);
  const guid = guidFor(seed, index);
  const headers: Record<string, string> = {
    host: 'dispatcher.example',
    'user-agent': 'GitHub-Hookshot/044aadd',
    'content-type': draw.next() < 0.9 ? 'application/json' : 'application/json; charset=utf-8',
    'x-github-delivery': guid,
    'x-github-event': 'workflow_job',
    ...voice.headers,
  };
  const request = (body: Buffer, more: Readonly<Record<string, string | undefined>> = {}): Sent => ({
    method: 'POST',
    path: voice.path,
    headers: merged({ ...headers, 'x-hub-signature-256': signature(voice.secret, body), ...more }),
    body,
  });

  switch (kind) {
    case 'untouched':
      return { kind, sent: request(bytes(event)), again: undefined };
    case 'fields': {
      const changes = 1 + draw.below(3);
      for (let change = 0; change < changes; change += 1) mutateField(draw, event);
      const sent = request(bytes(event));
      if (draw.next() > 0.1) return { kind, sent, again: undefined };
      mutateField(draw, event);
      return { kind, sent, again: draw.next() < 0.5 ? sent : request(bytes(event)) };
    }
    case 'bytes':
      return { kind, sent: request(mutateBytes(draw, bytes(event))), again: undefined };
    case 'signature': {
      const body = bytes(event);
      return {
        kind,
        sent: request(body, { 'x-hub-signature-256': wrongSignature(draw, voice.secret, body) }),
        again: undefined,
      };
    }
    case 'headers': {
      const sent = request(bytes(event), wrongHeaders(draw, index));
      const odd = draw.next();
      const path =
        odd < 0.1
          ? draw.pick(['/webhooks/github/nobody', '/webhooks/github/', '/', '/webhooks/github?a=b'])
          : sent.path;
      return { kind, sent: { ...sent, path, method: odd > 0.9 ? 'PUT' : 'POST' }, again: undefined };
    }
    case 'length': {
      const limit = draw.next() < 0.5 ? world.maxJobBytes : world.maxBodyBytes;
      const size = limit + draw.pick([-1, 0, 1, 1_000]);
      set(event, ['padding'], '');
      const short = bytes(event).length;
      set(event, ['padding'], 'x'.repeat(Math.max(0, size - short)));
      return {
        kind,
        sent: request(bytes(event), draw.next() < 0.3 ? { 'x-github-event': 'push' } : {}),
        again: undefined,
      };
    }
    case 'other event':
      return {
        kind,
        sent: request(mutateBytes(draw, bytes(event)), {
          'x-github-event': draw.pick([
            'ping',
            'push',
            'check_run',
            'projects_v2_item',
            'workflow_run',
            'workflow_jobs',
          ]),
        }),
        again: undefined,
      };
  }
}

function kindFor(draw: Draw): Kind {
  const point = draw.next();
  if (point < 0.62) return 'fields';
  if (point < 0.74) return 'bytes';
  if (point < 0.84) return 'signature';
  if (point < 0.92) return 'headers';
  if (point < 0.94) return 'length';
  if (point < 0.97) return 'other event';
  return 'untouched';
}

interface Speaking {
  readonly secret: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Somebody whose secret the dispatcher knows; not always one that may speak about this repository. */
function voiceFor(draw: Draw): Speaking {
  const target = (type: string, id: string) => ({
    'x-github-hook-installation-target-type': type,
    'x-github-hook-installation-target-id': id,
  });
  const app = { path: '/webhooks/github', headers: target('integration', '4711') };
  return draw.pick<Speaking>([
    { ...app, secret: 'app, new' },
    { ...app, secret: 'app, new' },
    { ...app, secret: 'app, old' },
    { path: '/webhooks/github', secret: 'plain', headers: target('repository', '4711') },
    {
      path: '/webhooks/github',
      secret: 'enterprise',
      headers: { ...target('organization', '9'), 'x-github-enterprise-host': 'ghes.acme.example' },
    },
    { path: '/webhooks/github/cats', secret: 'cats, old', headers: target('repository', '1') },
    { path: '/webhooks/github/lines', secret: 'lines', headers: {} },
  ]);
}

function mutateField(draw: Draw, event: unknown): void {
  const path = draw.next() < 0.75 ? (ours[draw.below(ours.length)] ?? ours[0]) : anyPath(draw, event);
  const old = get(event, path);
  const point = draw.next();
  if (point < 0.12) remove(event, path);
  else if (point < 0.16) set(event, [...path.slice(0, -1), '__proto__'], { id: 1, polluted: true });
  else set(event, path, point < 0.6 ? likely(draw, path.at(-1) ?? '', old) : strange(draw, old));
}

/** Values that GitHub sends, or could. */
function likely(draw: Draw, name: string, old: unknown): unknown {
  switch (name) {
    case 'status':
      return draw.pick([
        'queued',
        'waiting',
        'pending',
        'requested',
        'in_progress',
        'completed',
        'hibernating',
        'QUEUED',
      ]);
    case 'conclusion':
      return draw.pick([
        null,
        'success',
        'failure',
        'cancelled',
        'skipped',
        'timed_out',
        'action_required',
        'neutral',
        'stale',
      ]);
    case 'runner_id':
      return draw.pick([null, 0, 1, 4_294_967_296, -1]);
    case 'runner_name':
      return draw.pick([null, '', 'shr-01hzy', 'GitHub Actions 5', 'ü'.repeat(256), 'x'.repeat(257), 'a\ud800']);
    case 'name':
    case 'workflow_name':
      return draw.pick([
        'x'.repeat(250),
        'x'.repeat(251),
        `build (${'x'.repeat(3_000)})`,
        `${'x'.repeat(249)}🦀`,
        `${'x'.repeat(248)}🦀y`,
        'half \ud83e',
        'a\0b',
        null,
      ]);
    case 'workflow_job':
      return draw.next() < 0.8 ? null : strange(draw, old);
    case 'labels':
      return draw.pick([
        [],
        ['self-hosted', 'Linux', 'X64'],
        ['cpu-2', null],
        ['shr=1/cpu=4/memory=8'],
        Array.from({ length: 200 }, (_, index) => `label-${index}`),
        Array.from({ length: 201 }, (_, index) => `label-${index}`),
        ['x'.repeat(512)],
        ['x'.repeat(513)],
        ['a\0b'],
        ['🦀', 'é', '\ud800'],
        [['nested']],
        [7],
      ]);
    case 'full_name':
      return draw.pick([
        ...([
          'octo-org/web',
          'CODERTOCAT/hello-world',
          'Codertocat/Hello-World',
          'lineville/elastic-machines-testing',
        ] as const),
        ...([
          'a/b/c',
          'noslash',
          '/x',
          'x/',
          'octo-org/..',
          'octo-org/.',
          'octo-org/.github',
          'octo.org/x',
          'ö/x',
        ] as const),
        ...([`octo-org/${'r'.repeat(100)}`, `octo-org/${'r'.repeat(101)}`, 'octo-org/a b', 'octo-org/a\0'] as const),
      ]);
    case 'visibility':
      return draw.pick([null, 'public', 'private', 'internal', 'galactic', 'Public']);
    case 'created_at':
    case 'started_at':
    case 'completed_at':
      return draw.pick([
        ...([null, '2021-06-15T19:22:27Z', '2019-08-08T08:00:00-07:00', '2021-06-15T19:22:27.123456Z'] as const),
        ...(['2021-06-15T19:22:27', '2021-06-15 19:22:27Z', '2021-13-15T19:22:27Z', '2021-06-15T25:22:27Z'] as const),
        ...([
          '',
          'yesterday',
          1_623_784_947,
          '2021-06-15T19:22:27.Z',
          '2021-06-15T19:22:27.1234567890Z',
          '0000-01-01T00:00:00Z',
        ] as const),
      ]);
    case 'html_url':
      return draw.pick([
        null,
        'https://ghes.acme.example/a/b/runs/1',
        'javascript:alert(1)',
        'http://x',
        'https:/x',
        `https://${'x'.repeat(2_000)}`,
      ]);
    case 'id':
    case 'run_id':
    case 'run_attempt':
      return draw.pick([1, 2, 9_007_199_254_740_991, 9_007_199_254_740_992, 0, -5, 1.5, '12', 1e300, null]);
    case 'private':
      return draw.pick([true, false, null, 'true', 0]);
    default:
      return typeof old === 'string' ? draw.pick([`${old}!`, old.toUpperCase(), '', null]) : strange(draw, old);
  }
}

/** Values that nobody should send. */
function strange(draw: Draw, old: unknown): unknown {
  return draw.pick<unknown>([
    null,
    true,
    false,
    0,
    -1,
    3.5,
    2 ** 53,
    -1e308,
    '',
    ' ',
    '\0',
    `${typeof old === 'string' ? old : 'x'}\0`,
    '\ud83d',
    '\ufeff',
    '‮txt.exe',
    'x'.repeat(65),
    'x'.repeat(257),
    'x'.repeat(2_001),
    "'; DROP TABLE jobs; --",
    '${env:TENANT_ACME_TOKEN}',
    '../../../etc/passwd',
    [],
    [old],
    {},
    { length: 3 },
    { toString: 'x', valueOf: 1 },
    Array.from({ length: 50 }, () => []),
    nested(40),
  ]);
}

function nested(depth: number): unknown {
  return depth === 0 ? 'deep' : { [depth % 2 === 0 ? 'id' : 'labels']: nested(depth - 1) };
}

function mutateBytes(draw: Draw, body: Buffer): Buffer {
  const place = draw.below(body.length);
  switch (draw.below(5)) {
    case 0: {
      const flipped = Buffer.from(body);
      flipped[place] = draw.below(256);
      return flipped;
    }
    case 1:
      return body.subarray(0, place);
    case 2:
      return Buffer.concat([body.subarray(0, place), Buffer.from([draw.below(256)]), body.subarray(place)]);
    case 3:
      return Buffer.concat([Buffer.from('\ufeff'), body]);
    default:
      // A second `workflow_job`, or a second document.
      return draw.next() < 0.5
        ? Buffer.concat([body.subarray(0, -1), Buffer.from(',"workflow_job":{"id":5}}')])
        : Buffer.concat([body, body]);
  }
}

function wrongSignature(draw: Draw, secret: string, body: Buffer): string | undefined {
  const right = signature(secret, body);
  const digit = 7 + draw.below(64);
  return draw.pick([
    undefined,
    'sha256=',
    right.slice(0, -1),
    `${right}0`,
    right.replace('sha256=', 'sha1='),
    `sha256=${'0'.repeat(64)}`,
    signature(`${secret} `, body),
    signature('', body),
    signature(secret, body.subarray(1)),
    right.toUpperCase().replace('SHA256', 'sha256'),
    `${right.slice(0, digit)}${right[digit] === 'f' ? '0' : 'f'}${right.slice(digit + 1)}`,
    `sha1=${createHmac('sha1', secret).update(body).digest('hex')}`,
  ]);
}

function wrongHeaders(draw: Draw, index: number): Readonly<Record<string, string | undefined>> {
  const name = draw.pick([
    ...(['content-type', 'content-encoding', 'x-github-delivery', 'x-github-event'] as const),
    ...([
      'x-github-hook-installation-target-id',
      'x-github-hook-installation-target-type',
      'x-github-enterprise-host',
    ] as const),
  ]);
  const value = draw.pick([
    ...([undefined, 'x', '', '-', '0', 'application/x-www-form-urlencoded', 'APPLICATION/JSON', 'text/json'] as const),
    ...([
      'gzip',
      'identity',
      'a'.repeat(80),
      'Workflow_Job',
      'workflow job',
      '4711',
      'integration',
      'GHES.acme.example',
    ] as const),
  ]);
  // No two cases share a GUID: which of them came first, only the dispatcher would know.
  return { [name]: name === 'x-github-delivery' && value ? `${value}-${index}` : value };
}

function signature(secret: string, body: Buffer): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

function guidFor(seed: number, index: number): string {
  const hex = (value: number, length: number) => (value >>> 0).toString(16).padStart(length, '0');
  return `${hex(Math.imul(index, 0x9e3779b1), 8)}-0000-11ee-8000-${hex(seed, 8).slice(-4)}${hex(index, 8)}`;
}

function bytes(event: unknown): Buffer {
  return Buffer.from(JSON.stringify(event));
}

function merged(headers: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const present: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) present[name] = value;
  return present;
}

function anyPath(draw: Draw, event: unknown): readonly string[] {
  const path: string[] = [];
  let place: unknown = event;
  while (typeof place === 'object' && place !== null) {
    const names = Object.keys(place);
    const name = names[draw.below(names.length)];
    if (name === undefined) break;
    path.push(name);
    place = Reflect.get(place, name);
    if (draw.next() < 0.2) break;
  }
  return path.length === 0 ? ['action'] : path;
}

function parentOf(event: unknown, path: readonly string[]): object | undefined {
  let place: unknown = event;
  for (const name of path.slice(0, -1)) {
    place = typeof place === 'object' && place !== null ? Reflect.get(place, name) : undefined;
  }
  return typeof place === 'object' && place !== null ? place : undefined;
}

function get(event: unknown, path: readonly string[]): unknown {
  const parent = parentOf(event, path);
  return parent === undefined ? undefined : Reflect.get(parent, path.at(-1) ?? '');
}

/** An own property even where the name is `__proto__`. */
function set(event: unknown, path: readonly string[], value: unknown): void {
  const parent = parentOf(event, path);
  if (parent === undefined) return;
  const name = path.at(-1) ?? '';
  if (Array.isArray(parent) && name === 'length') return;
  Object.defineProperty(parent, name, { value, enumerable: true, configurable: true, writable: true });
}

function remove(event: unknown, path: readonly string[]): void {
  const parent = parentOf(event, path);
  if (parent !== undefined) Reflect.deleteProperty(parent, path.at(-1) ?? '');
}
