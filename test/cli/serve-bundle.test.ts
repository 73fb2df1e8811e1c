import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { encodeBundle } from '../../dispatcher/config/bundle.ts';
import { seal } from '../../providers/kit/sealed-text.ts';
import { shr } from './process.ts';

describe('shr serve --bundle', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-bundle-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const bundle = encodeBundle({
    version: 1,
    files: { '/var/lib/shr/dispatcher.yaml': 'id: NOT VALID\nadminToken: ${env:TOKEN}\n' },
    environment: { TOKEN: 'a-token-that-must-not-be-shown' },
  });

  async function serve(text: string, environment: Readonly<Record<string, string>> = {}): Promise<string> {
    await writeFile(join(folder, 'bundle'), text, { mode: 0o600 });
    const { code, error } = await shr(['serve', '--bundle', 'bundle'], folder, environment);
    expect(code).to.equal(1);
    expect(error).to.not.include('a-token-that-must-not-be-shown');
    return error;
  }

  it('reports the problems of the files in it, as of a folder', async () => {
    expect(await serve(bundle)).to.match(/\/var\/lib\/shr\/dispatcher\.yaml:1:5.*id/);
  });

  it('opens a sealed one with the key in its environment, and with no other', async () => {
    const { sealed, key } = seal(bundle);
    expect(await serve(sealed, { SHR_BUNDLE_KEY: key })).to.match(/dispatcher\.yaml:1:5/);
    expect(await serve(sealed, { SHR_BUNDLE_KEY: seal('').key })).to.include('is not a bundle that this version reads');
    expect(await serve(sealed)).to.include('is not a bundle that this version reads');
  });

  it('says what to do where there is none, or something else', async () => {
    const { error } = await shr(['serve', '--bundle', 'absent'], folder);
    expect(error).to.include('absent cannot be read: there is no such file');
    expect(await serve('id: shr')).to.include('Deploy again');
  });
});
