import { expect } from 'chai';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import { resolveReferences } from '../../dispatcher/config/references.ts';
import { dispatcherYaml, registrationYaml, sourcesOf } from './files.ts';

const { environment, files } = sourcesOf({});
const sources = { environment, files, folder: '/etc/shr' };

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

  it('are sought in so many values and no more, which is told once', async () => {
    const bounds = { bytes: 1000, values: 5, references: 2 };
    const found = await resolveReferences(['a', 'b', 'c', 'd', 'e', 'f'], { kind: 'platform' }, sources, bounds);
    expect(found.findings.map(({ path, message }) => [path, message])).to.deep.equal([
      [[4], 'the file has more than 5 values, its aliases followed'],
    ]);
    expect(found.value).to.deep.equal(['a', 'b', 'c', 'd', undefined, undefined]);
    const four = await resolveReferences(['a', 'b', 'c', 'd'], { kind: 'platform' }, sources, bounds);
    expect(four.findings).to.deep.equal([]);
  });
});
