import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createCommand } from '../../dispatcher/cli/registrations.ts';
import type { Problem } from '../../dispatcher/model/problem.ts';
import type { OrganizationStatus } from '../../dispatcher/sources/organization-defaults.ts';
import { type Fixture, NOW, openFixture } from '../http/admin-fixture.ts';
import { GRANTED, keptDocuments } from '../http/tenants-fixture.ts';
import { run } from './admin-run.ts';

describe('shr registrations put and delete', () => {
  let fixture: Fixture;
  let folder: string;
  let written: string[];
  let problems: readonly Problem[];
  let organization: OrganizationStatus | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-put-'));
    written = [];
    problems = [];
    organization = undefined;
    await writeFile(join(folder, 'acme.yaml'), 'organization: acme\n');
    fixture = await openFixture({
      tenants: () => GRANTED,
      organizationOf: () => organization,
      originOf: () => ({ source: 'api', file: 'api:acme' }),
      documents: {
        ...keptDocuments,
        check: async () => ({ problems, notes: [] }),
        put: async ({ document }, expected) => {
          written.push(`${document}${expected ?? ''}`);
          return 'put';
        },
        remove: async (name, expected) => {
          written.push(`delete ${name} ${expected}`);
          return 'deleted';
        },
      },
    });
  });
  afterEach(async () => {
    await fixture.close();
    await rm(folder, { recursive: true });
  });

  const shr = (...args: readonly string[]) =>
    run(createCommand, [...args, '--url', fixture.url], {}, undefined, folder);

  it('send the file as it is, and say whether it is in force', async () => {
    const { code, out } = await shr('put', 'acme', 'acme.yaml', '--if-match', '"h"');
    expect(out).to.equal('acme: in force\nETag: "h"\n');
    expect(code).to.equal(0);
    expect(written).to.deep.equal(['organization: acme\nh']);
    expect((await shr('delete', 'acme')).out).to.match(/^acme is removed/);
    expect(written).to.include('delete acme undefined');
  });

  it('say that no job is admitted yet where what its organization forces was not read', async () => {
    organization = { mode: 'forced', file: undefined, readAtMs: null, sinceMs: NOW, problem: undefined, unused: [] };
    const { code, out } = await shr('put', 'acme', 'acme.yaml');
    expect(code).to.equal(0);
    expect(out).to.match(
      /^acme: in force\ndefaults of its organization: forced, not read yet.*: no job is admitted before it was read\nETag: /,
    );
  });

  it('print each problem with its place', async () => {
    problems = [{ file: 'api:acme', line: 3, column: 1, path: 'x', message: 'unknown key', cure: 'Remove it.' }];
    const { code, err } = await shr('put', 'acme', 'acme.yaml');
    expect(code).to.equal(1);
    expect(err).to.match(/^api:acme:3:1: x: unknown key\. Remove it\.\nshr: the registration acme has a problem\n/);
    expect(written).to.deep.equal([]);
  });

  it('name a file that is not there', async () => {
    const { code, err } = await shr('put', 'acme', 'none.yaml');
    expect(code).to.equal(1);
    expect(err).to.include('none.yaml: there is no such file');
  });
});
