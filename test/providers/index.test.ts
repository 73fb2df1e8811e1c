import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { loadProvider, providerKinds } from '../../providers/index.ts';
import { ProviderError } from '../../providers/provider.ts';

const index = new URL('../../providers/index.ts', import.meta.url);

/** Which parts of dockerode a fresh process has in memory after loading these kinds. */
async function dockerodeAfterLoading(kinds: readonly string[]): Promise<string[]> {
  const script = `
    import { createRequire } from 'node:module';
    import { loadProvider } from ${JSON.stringify(index.href)};
    for (const kind of ${JSON.stringify(kinds)}) await loadProvider(kind);
    const loaded = Object.keys(createRequire(import.meta.url).cache);
    console.log(JSON.stringify(loaded.filter((file) => /node_modules.(dockerode|docker-modem)/.test(file))));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);
  return JSON.parse(stdout);
}

describe('the registry of providers', () => {
  it('has a module of its own kind for each folder of a provider', async () => {
    const folders = (await readdir(new URL('.', index), { withFileTypes: true }))
      .filter((entry) => entry.isDirectory() && existsSync(new URL(`${entry.name}/index.ts`, index)))
      .map((entry) => entry.name);
    expect(providerKinds).to.deep.equal(folders.sort());
    for (const kind of providerKinds) expect((await loadProvider(kind)).kind).to.equal(kind);
  });

  it('names the known kinds when it is asked for another one', async () => {
    for (const kind of ['dokcer', '', 'constructor', '__proto__']) {
      const error = await loadProvider(kind).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (!(error instanceof ProviderError)) throw new Error(`no ProviderError for ${kind}`);
      expect(error.kind).to.equal('invalid');
      expect(error.message).to.include(JSON.stringify(kind)).and.include(providerKinds.join(', '));
    }
  });

  it('does not load dockerode for a registration without docker', async () => {
    expect(await dockerodeAfterLoading(['process'])).to.deep.equal([]);
  });

  it('would see dockerode if it were loaded', async () => {
    expect(await dockerodeAfterLoading(['docker'])).to.not.deep.equal([]);
  });
});
