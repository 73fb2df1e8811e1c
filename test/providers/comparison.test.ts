/** docs/providers.md compares the services from what the code itself says of them. `UPDATE_DOCS=1` writes the table anew. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadProvider, providerKinds } from '../../providers/index.ts';
import type { Provider, ShapeWish } from '../../providers/provider.ts';
import { liveBackends } from '../cli/live-backends.ts';
import { testHost } from '../conformance/harness.ts';

const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'providers.md');
const BEGIN = '<!-- from the code: begin -->\n';
const END = '<!-- from the code: end -->';
const HOUR = 3_600_000;

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

function row(kind: string, provider: Provider): string {
  const can = provider.capabilities;
  const yes = (is: boolean) => (is ? 'yes' : '–');
  const life = can.longestLifeMs === undefined ? 'the dispatcher' : `${can.longestLifeMs / HOUR} h`;
  const cells = [
    `[\`${kind}\`](../providers/${kind}/README.md)`,
    smallest(provider),
    largest(provider),
    kind === 'docker' || kind === 'process' ? "the machine's" : can.architectures.join(', '),
    life,
    yes(can.spot),
    yes(can.dockerInDocker),
    yes(can.disk),
    yes(can.bucket),
    [can.subnet ? 'subnet' : '', can.securityGroup ? 'security group' : ''].filter((text) => text !== '').join(', ') ||
      '–',
    yes(can.logs),
    yes(can.secretEnvironment),
  ];
  return `| ${cells.join(' | ')} |`;
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
    const provider = module.create(module.options.parse(options), testHost());
    lines.push(row(kind, provider));
    await provider.close();
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
