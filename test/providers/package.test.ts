import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadProvider } from '../../providers/index.ts';
import { PackageProblem } from '../../providers/package.ts';
import { CONTRACT_VERSION } from '../../providers/provider.ts';

const zod = import.meta.resolve('zod');
const provider = (changes: Readonly<Record<string, string>> = {}) => {
  const members = {
    kind: "'acme'",
    contract: String(CONTRACT_VERSION),
    options: 'z.strictObject({ region: z.string().default("here") })',
    create: '() => { throw new Error("not here") }',
    withCommand: '(options) => options',
    demo: '() => Promise.reject(new Error("none"))',
    ...changes,
  };
  const text = Object.entries(members).map(([name, value]) => `${name}: ${value}`);
  return `import { z } from ${JSON.stringify(zod)};\nexport default { ${text.join(',\n')} };`;
};

describe('a provider from a package', () => {
  let folder: string;
  let count = 0;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-packages-'));
  });

  after(async () => {
    await rm(folder, { recursive: true });
  });

  /** A package of its own each time: Node imports a file once. */
  async function install(source: string, manifest: Readonly<Record<string, unknown>> = {}): Promise<string> {
    count += 1;
    const name = `@acme/runners-${count}`;
    const home = join(folder, 'node_modules', name);
    await mkdir(home, { recursive: true });
    const all = { name, version: '1.4.0', type: 'module', exports: './index.js', ...manifest };
    await writeFile(join(home, 'package.json'), JSON.stringify(all));
    await writeFile(join(home, 'index.js'), source);
    return name;
  }

  async function problemOf(name: string, version = '1.4.0', kind = 'acme'): Promise<PackageProblem> {
    const error = await loadProvider(kind, { name, version, folder }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof PackageProblem)) throw new Error(`not a problem of the package: ${String(error)}`);
    return error;
  }

  it('is imported from the folder of dispatcher.yaml', async () => {
    const name = await install(provider());
    const module = await loadProvider('acme', { name, version: '1.4.0', folder });
    expect(module.kind).to.equal('acme');
    expect(module.options.prefault({}).parse(undefined)).to.deep.equal({ region: 'here' });
  });

  it('is found where `main` names its module, too', async () => {
    const name = await install(provider(), { exports: undefined, main: 'index.js' });
    expect((await loadProvider('acme', { name, version: '1.4.0', folder })).kind).to.equal('acme');
  });

  it('is not taken in another version', async () => {
    const name = await install(provider());
    const { message, cure } = await problemOf(name, '1.4.1');
    expect(message).to.equal(`${name} is installed in version 1.4.0, not 1.4.1`);
    expect(cure).to.include(`npm install --save-exact ${name}@1.4.1`);
  });

  it('says how to install what is not there', async () => {
    const { message, cure } = await problemOf('@acme/absent');
    expect(message).to.equal('the package @acme/absent is not installed');
    expect(cure).to.include('npm install --save-exact @acme/absent@1.4.0');
  });

  it('is not taken with another version of the contract, or with none', async () => {
    const later = await problemOf(await install(provider({ contract: String(CONTRACT_VERSION + 1) })));
    expect(later.message).to.match(/is written for version \d+ of the provider contract, and this dispatcher has/);
    expect(later.cure).to.include('Upgrade the dispatcher');
    const none = await problemOf(await install(provider({ contract: 'undefined' })));
    expect(none.message).to.include('is written for no version of the provider contract');
  });

  for (const [what, source, words] of [
    ['throws', 'throw new Error("it wants a licence\\nand more")', /cannot be imported \(Error: it wants a licence\)/],
    ['throws no error', 'throw undefined', /cannot be imported \(no error\)/],
    ['is not JavaScript', 'export default {', /cannot be imported \(SyntaxError/],
    ['exports nothing', 'export {}', /no version of the provider contract/],
    ['has options that are no schema', provider({ options: '{}' }), /exports no provider: options missing or wrong/],
    ['cannot create', provider({ create: 'undefined' }), /exports no provider: create missing or wrong/],
  ] as const) {
    it(`is refused in words where the package ${what}`, async () => {
      expect((await problemOf(await install(source))).message).to.match(words);
    });
  }

  it('has the kind that dispatcher.yaml says', async () => {
    const name = await install(provider({ kind: "'other'" }));
    const { message, cure } = await problemOf(name);
    expect(message).to.equal(`the provider of ${name}@1.4.0 is of kind \`other\``);
    expect(cure).to.equal(`Write \`other: ${name}@1.4.0\`.`);
  });

  it('needs an entry', async () => {
    const name = await install(provider(), { exports: { './elsewhere': './index.js' } });
    expect((await problemOf(name)).message).to.equal(`${name}@1.4.0 has no entry that can be imported`);
  });
});
