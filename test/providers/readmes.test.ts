import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { systemFiles } from '../../dispatcher/config/files.ts';
import { inspectConfiguration } from '../../dispatcher/config/load.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import { loadProvider, providerKinds } from '../../providers/index.ts';

const providers = join(import.meta.dirname, '..', '..', 'providers');

/** The fenced registrations of a page: YAML with backends. */
async function registrationsIn(page: string): Promise<readonly string[]> {
  const text = await readFile(page, 'utf8');
  return [...text.matchAll(/^```ya?ml\n([\s\S]*?)^```/gm)]
    .map(([, yaml = '']) => yaml)
    .filter((yaml) => /^backends:/m.test(yaml));
}

describe('the registrations in the providers’ pages', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-readme-'));
    await mkdir(join(folder, 'registrations'));
    await writeFile(
      join(folder, 'dispatcher.yaml'),
      'id: docs\nadminToken: ${env:ADMIN}\nunsafeProcessBackend: true\n',
    );
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  for (const kind of providerKinds) {
    it(`pass shr validate: ${kind}`, async () => {
      const page = join(providers, kind, 'README.md');
      expect(existsSync(page), page).to.equal(true);
      const examples = await registrationsIn(page);
      expect(examples.length, 'registrations on the page').to.be.greaterThan(0);
      for (const [index, yaml] of examples.entries()) {
        await writeFile(join(folder, 'registrations', `example-${index}.yaml`), yaml);
        const { problems, registrations } = await inspectConfiguration(
          {
            dispatcherFile: join(folder, 'dispatcher.yaml'),
            registrationsFolder: join(folder, 'registrations'),
            environment: {},
            files: systemFiles,
            provider: loadProvider,
            secrets: 'optional',
          },
          'required',
        );
        expect(problems.map(formatProblem)).to.deep.equal([]);
        expect(registrations.flatMap(({ backends }) => backends.map((backend) => backend.kind))).to.include(kind);
        await rm(join(folder, 'registrations', `example-${index}.yaml`));
      }
    });
  }

  it('has a row for each kind in the list of providers', async () => {
    const list = await readFile(join(providers, 'README.md'), 'utf8');
    for (const kind of providerKinds) expect(list).to.include(`[${kind}/README.md](${kind}/README.md)`);
  });
});
