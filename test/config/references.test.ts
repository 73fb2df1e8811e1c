import { expect } from 'chai';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import { References } from '../../dispatcher/config/reference.ts';
import { resolveReferences } from '../../dispatcher/config/references.ts';
import { dispatcherYaml, registrationYaml, sourcesOf } from './files.ts';

const { environment, files } = sourcesOf({});
const references = () => new References({ environment, files, folder: '/etc/shr' });

describe('the references in a file', () => {
  it('are looked up once each, however often the file repeats one', async () => {
    const registration = registrationYaml.replace('${env:GITHUB_TOKEN}', '${file:secrets/token}');
    const all = sourcesOf({
      'dispatcher.yaml': dispatcherYaml,
      'registrations/acme.yaml': `${registration}webhook: { secrets: ["\${file:secrets/token}"] }\n`,
      'secrets/token': 'a-secret-that-is-long-enough',
    });
    const read: string[] = [];
    const loaded = await loadConfiguration({
      ...all,
      files: {
        ...all.files,
        read: (path, bounds) => {
          read.push(path);
          return all.files.read(path, bounds);
        },
      },
    });
    expect(loaded.problems).to.deep.equal([]);
    expect(read.filter((path) => path === '/etc/shr/secrets/token')).to.have.length(1);
  });

  it('are looked up once for all files of the platform, and of each tenant', async () => {
    const read: string[] = [];
    const looked = new References({
      environment,
      folder: '/etc/shr',
      files: {
        read: async (path) => {
          read.push(path);
          return { text: 'a-secret', readableBy: 'owner' };
        },
      },
    });
    const bounds = { bytes: 1000, values: 5, references: 2 };
    const tenant = (alias: string) => ({ kind: 'tenant', alias, aliases: ['acme', 'labs'] }) as const;
    for (const reach of [{ kind: 'platform' } as const, tenant('acme'), tenant('labs')]) {
      for (let file = 0; file < 3; file += 1) {
        const { value, findings } = await resolveReferences('${file:secrets/acme/key}', reach, looked, bounds);
        const allowed = reach.kind === 'platform' || reach.alias === 'acme';
        expect(value).to.equal(allowed ? 'a-secret' : 'unresolved-reference');
        expect(findings).to.have.length(allowed ? 0 : 1);
      }
    }
    expect(read).to.deep.equal(['/etc/shr/secrets/acme/key', '/etc/shr/secrets/acme/key']);
  });

  it('of a tenant name no file beyond its folder: it would be watched, wherever it is', async () => {
    const bounds = { bytes: 1000, values: 20, references: 20 };
    const tenant = { kind: 'tenant', alias: 'acme', aliases: ['acme', 'labs'] } as const;
    const paths = ['secrets/acme/key', '/etc/shadow', 'secrets/labs/key', 'secrets/acme/../labs/key', 'secrets/acme/'];
    const texts = paths.map((path) => `\${file:${path}}`);
    const own = await resolveReferences(texts, tenant, references(), bounds);
    expect(own.files).to.deep.equal(['/etc/shr/secrets/acme/key']);
    const all = await resolveReferences(texts.slice(0, 3), { kind: 'platform' }, references(), bounds);
    expect(all.files).to.deep.equal(['/etc/shr/secrets/acme/key', '/etc/shadow', '/etc/shr/secrets/labs/key']);
  });

  it('are the first ones up to the limit', async () => {
    const bounds = { bytes: 1000, values: 10, references: 2 };
    const texts = ['${env:ADMIN_TOKEN}', '${x}', '${env:NONE}', '${env:GITHUB_TOKEN}', '${y}', '${env:ADMIN_TOKEN}'];
    const found = await resolveReferences(texts, { kind: 'platform' }, references(), bounds);
    const token = environment['ADMIN_TOKEN'];
    const missing = 'unresolved-reference';
    expect(found.value).to.deep.equal([token, '${x}', missing, missing, missing, token]);
    expect(found.findings.map(({ path, kind, message }) => [path, kind, message])).to.deep.equal([
      [[2], 'absent', 'the variable NONE is not set'],
      [[3], 'wrong', 'the file has more than 2 different references'],
      [[4], 'wrong', 'the file has more than 2 different references'],
    ]);
  });

  it('are looked for in a limited number of values, and the limit is reported once', async () => {
    const bounds = { bytes: 1000, values: 5, references: 2 };
    const found = await resolveReferences(['a', 'b', 'c', 'd', 'e', 'f'], { kind: 'platform' }, references(), bounds);
    expect(found.findings.map(({ path, message }) => [path, message])).to.deep.equal([
      [[4], 'the file has more than 5 values, its aliases followed'],
    ]);
    expect(found.value).to.deep.equal(['a', 'b', 'c', 'd', undefined, undefined]);
    const four = await resolveReferences(['a', 'b', 'c', 'd'], { kind: 'platform' }, references(), bounds);
    expect(four.findings).to.deep.equal([]);
  });
});
