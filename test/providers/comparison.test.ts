/** docs/providers.md compares the services from what the code itself says of them. `UPDATE_DOCS=1` writes the table anew. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { loadProvider, providerKinds } from '../../providers/index.ts';
import type { Capabilities, Provider, ShapeWish } from '../../providers/provider.ts';
import { demoSubnet } from '../../simulators/azure-aci/index.ts';
import { liveBackends } from '../cli/live-backends.ts';
import { testHost } from '../conformance/harness.ts';

const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'providers.md');
const BEGIN = '<!-- from the code: begin -->\n';
const END = '<!-- from the code: end -->';
const HOUR = 3_600_000;

/** What a backend can do with these options beside the usual ones, by the words for them. */
const further: Readonly<Record<string, Readonly<Record<string, object>>>> = {
  'ali-eci': {
    '`privileged`': { privileged: true },
    '`ramRoleName`': { ramRoleName: 'jobs' },
    '`secretsBy: hidden-environment`': { secretsBy: 'hidden-environment' },
  },
  'azure-aci': {
    '`sku: Confidential` and `privileged`': { sku: 'Confidential', privileged: true },
    '`files`': { files: { storageAccount: 'acme', storageAccountKey: 'a-key' } },
    '`subnetId`': { subnetId: demoSubnet },
  },
  docker: {
    '`privileged`': { privileged: true },
    '`bucketRoot`': { bucketRoot: '/srv/buckets', workFolder: '/work' },
  },
  'gcp-batch': {
    '`armMachineSeries`': { armMachineSeries: 't2a-standard' },
    '`encryptionKey`': { encryptionKey: 'projects/acme-ci/locations/global/keyRings/shr/cryptoKeys/runners' },
  },
};

/** Docker's capabilities need no engine. */
async function optionsOf(kind: string): Promise<{ readonly options: unknown; close(): Promise<void> }> {
  if (kind === 'docker') return { options: {}, close: async () => {} };
  const start = liveBackends[kind];
  if (start === undefined) throw new Error(`no backend of kind ${kind} to look at`);
  return start();
}

function wish(changes: Partial<ShapeWish>): ShapeWish {
  return { architecture: 'x64', image: 'docker.io/acme/runner:1', spot: false, dockerInDocker: false, ...changes };
}

function smallest(provider: Provider): string {
  const fit = provider.fit(wish({ cpu: 0.01, memoryGiB: 0.01 }));
  if (!fit.fits) return '–';
  return fit.shape.cpu <= 0.01 ? 'any' : `${fit.shape.cpu} / ${fit.shape.memoryGiB}`;
}

function largest(provider: Provider): string {
  const sizes = Array.from({ length: 1024 }, (_, index) => 1024 - index);
  const cpu = sizes.find((cores) => provider.fit(wish({ cpu: cores })).fits);
  const memoryGiB = sizes.find((gib) => provider.fit(wish({ memoryGiB: gib })).fits);
  return cpu === 1024 ? "the machine's" : `${cpu ?? '–'} / ${memoryGiB ?? '–'}`;
}

interface Variant {
  /** Empty for the usual options. */
  readonly option: string;
  readonly can: Capabilities;
}

/** `yes`, or with which option. */
function whether(variants: readonly Variant[], is: (can: Capabilities) => boolean, yes = 'yes'): string {
  const able = variants.filter(({ can }) => is(can));
  if (able.some(({ option }) => option === '')) return yes;
  if (able.length === 0) return '';
  return `${yes === 'yes' ? '' : `${yes} `}with ${able.map(({ option }) => option).join(' or ')}`;
}

function architectures(kind: string, variants: readonly Variant[]): string {
  if (kind === 'docker' || kind === 'process') return "the machine's";
  return listed(
    (['x64', 'arm64'] as const).map((one) => whether(variants, (can) => can.architectures.includes(one), one)),
  );
}

function listed(cells: readonly string[]): string {
  return cells.filter((text) => text !== '').join(', ');
}

function row(kind: string, provider: Provider, variants: readonly Variant[]): string {
  const life = provider.capabilities.longestLifeMs;
  const cells = [
    `[\`${kind}\`](../providers/${kind}/README.md)`,
    smallest(provider),
    largest(provider),
    architectures(kind, variants),
    life === undefined ? 'the dispatcher' : `${life / HOUR} h`,
    whether(variants, (can) => can.spot),
    whether(variants, (can) => can.dockerInDocker),
    whether(variants, (can) => can.disk),
    whether(variants, (can) => can.bucket),
    listed([
      whether(variants, (can) => can.subnet, 'subnet'),
      whether(variants, (can) => can.securityGroup, 'security group'),
    ]),
    whether(variants, (can) => can.logs),
    whether(variants, (can) => can.secretEnvironment),
  ];
  return `| ${cells.map((cell) => (cell === '' ? '–' : cell)).join(' | ')} |`;
}

async function table(): Promise<string> {
  const head = [
    'kind',
    'smallest, cores / GiB',
    'largest, cores / GiB',
    'architectures',
    'longest life enforced by',
    'spot',
    'Docker in Docker',
    'disk',
    'bucket',
    'by label',
    'logs',
    'hidden secrets',
  ];
  const lines = [`| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`];
  for (const kind of providerKinds) {
    const { options, close } = await optionsOf(kind);
    const module = await loadProvider(kind);
    const usual = z.record(z.string(), z.unknown()).parse(options);
    const made = Object.entries({ '': {}, ...further[kind] }).map(([option, more]) => ({
      option,
      provider: module.create(module.options.parse({ ...usual, ...more }), testHost()),
    }));
    const variants = made.map(({ option, provider }) => ({ option, can: provider.capabilities }));
    const [first] = made;
    if (first !== undefined) lines.push(row(kind, first.provider, variants));
    await Promise.all(made.map(({ provider }) => provider.close()));
    await close();
  }
  return `${lines.join('\n')}\n`;
}

describe('docs/providers.md', function () {
  this.timeout(60_000);

  it('says of each service what its adapter says', async () => {
    const page = await readFile(PAGE, 'utf8');
    const from = page.indexOf(BEGIN) + BEGIN.length;
    const to = page.indexOf(END);
    expect(from, 'the begin mark').to.be.greaterThan(BEGIN.length - 1);
    const now = await table();
    if (process.env['UPDATE_DOCS'] === '1') await writeFile(PAGE, page.slice(0, from) + now + page.slice(to));
    else expect(page.slice(from, to)).to.equal(now);
  });
});
