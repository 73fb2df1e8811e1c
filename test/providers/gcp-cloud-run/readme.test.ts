import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { parse } from 'yaml';
import { z } from 'zod';
import { cloudRunOptions } from '../../../providers/gcp-cloud-run/options.ts';
import { sizes } from '../../../providers/gcp-cloud-run/sizes.ts';
import { rules } from './description.ts';

describe('gcp-cloud-run: its page', () => {
  let page: string;
  before(async () => {
    page = await readFile(new URL('../../../providers/gcp-cloud-run/README.md', import.meta.url), 'utf8');
  });
  const section = (title: string): string => {
    const from = page.indexOf(`## ${title}\n`);
    const to = page.indexOf('\n## ', from + 1);
    return page.slice(from, to < 0 ? undefined : to);
  };

  it('has every option in its table', () => {
    const names = Object.keys(cloudRunOptions.shape);
    expect(names.length).to.be.greaterThan(15);
    expect(names.filter((name) => !section('Options').includes(`\`${name}\``))).to.deep.equal([]);
  });

  it('has the sizes of the code', () => {
    const rows = [...section('Sizes').matchAll(/^\| (\d+) +\| ([\d.]+) – ([\d.]+) +\|$/gm)].map((row) =>
      row.slice(1).map(Number),
    );
    expect(rows).to.deep.equal(sizes.map((size) => [size.cpu, size.leastGiB, size.mostGiB]));
  });

  it('asks for the permissions of the calls that are made, and for no other', () => {
    const text = /```yml\n(.*?)```/s.exec(section('Least permissions'))?.[1] ?? '';
    const { includedPermissions } = z.object({ includedPermissions: z.array(z.string()) }).parse(parse(text));
    // `run.projects.locations.jobs.executions.list` needs run.executions.list. That each is called: contract.test.ts.
    const calls = Object.values(rules.methods).map(({ id }) => `run.${id.split('.').slice(-2).join('.')}`);
    expect([...includedPermissions].sort()).to.deep.equal(
      [...calls, 'run.jobs.runWithOverrides', 'logging.logEntries.list'].sort(),
    );
  });

  it('shows a registration whose options are taken', () => {
    const text = /```yaml\n(.*?)```/s.exec(section('A registration'))?.[1] ?? '';
    const key = {
      type: 'service_account',
      client_email: 'shr@acme-runners.iam.gserviceaccount.com',
      private_key: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n',
    };
    const { backends } = z
      .object({
        backends: z.array(z.object({ kind: z.literal('gcp-cloud-run'), options: z.record(z.string(), z.unknown()) })),
      })
      .parse(parse(text));
    const options = { ...backends[0]?.options, credentials: JSON.stringify(key) };
    expect(cloudRunOptions.parse(options)).to.include({ project: 'acme-runners', network: 'runners' });
  });
});
