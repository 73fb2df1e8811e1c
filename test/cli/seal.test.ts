import { mkdtemp, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { newKeyPair, publicKeyText } from '../../dispatcher/config/sealing.ts';
import { shr } from './process.ts';

const TOKEN = 'ghp_a-secret-of-the-tenant';

describe('shr seal', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'shr-seal-')));
  });

  afterEach(() => rm(folder, { recursive: true }));

  const run = (args: readonly string[], input = '') => shr(['seal', ...args], folder, {}, input);
  const forToken = ['--registration', 'acme', '--field', 'credentials.token'];

  /** As `shr init` and a platform team leave it, with the key pair of `shr seal keygen`. */
  async function platform(): Promise<string> {
    await shr(['init', '--organization', 'acme'], folder);
    const { code, out, error } = await run(['keygen']);
    expect({ code, error }).to.deep.equal({ code: 0, error: '' });
    const file = join(folder, 'dispatcher.yaml');
    await writeFile(file, `${await readFile(file, 'utf8')}\n${out.slice(out.indexOf('sealing:'))}`);
    return out;
  }

  it('makes a key pair, seals with it, and the registration opens what it printed', async () => {
    await platform();
    const { code, out, error } = await run(forToken, `${TOKEN}\n`);
    expect({ code, error }).to.deep.equal({ code: 0, error: '' });
    expect(out).to.match(/^\$\{sealed:1\.[0-9a-f]{16}\.[\w-]+\}\n$/);
    const file = join(folder, 'registrations/acme.yaml');
    const yaml = await readFile(file, 'utf8');
    expect(yaml).to.include('${file:secrets/acme/github-token}');
    await writeFile(file, yaml.replace('${file:secrets/acme/github-token}', out.trim()));
    const valid = await shr(['validate', '--secrets'], folder);
    expect(`${valid.out}${valid.error}`).not.to.include('sealed');
    expect(valid).to.include({ code: 0 });
    await writeFile(
      file,
      yaml.replace(
        '${file:secrets/acme/github-token}',
        (await run([...forToken.slice(0, 3), 'webhook.secrets'], TOKEN)).out.trim(),
      ),
    );
    const moved = await shr(['validate', '--secrets'], folder);
    expect(moved.code).to.equal(1);
    expect(`${moved.out}${moved.error}`)
      .to.include('it does not open as `credentials.token` of registration `acme`')
      .and.not.include(TOKEN);
  });

  it('takes the key from platform.json, where a tenant has no dispatcher.yaml', async () => {
    await platform();
    const { out: key } = await run(['key']);
    expect(await shr(['platform', 'export', '--out', 'platform.json'], folder)).to.include({ code: 0, error: '' });
    const token = (await run(forToken, TOKEN)).out.trim();
    await rename(join(folder, 'dispatcher.yaml'), join(folder, 'secrets/dispatcher.yaml'));
    expect(await run(['key'])).to.include({ code: 0, out: key, error: '' });
    const sealed = await run(forToken, TOKEN);
    // The same key; each value has a key pair of its own.
    expect(sealed.out.split('.')[1]).to.equal(token.split('.')[1]);
    const file = join(folder, 'registrations/acme.yaml');
    const yaml = await readFile(file, 'utf8');
    await writeFile(file, yaml.replace('${file:secrets/acme/github-token}', sealed.out.trim()));
    const valid = await shr(['validate'], folder);
    expect(valid.out).to.match(/credentials\.token: it is sealed for the platform’s key [0-9a-f]{16} and looks whole/);
    expect(valid.code).to.equal(0);
    await rename(join(folder, 'secrets/dispatcher.yaml'), join(folder, 'dispatcher.yaml'));
    expect(await shr(['validate', '--secrets'], folder)).to.include({ code: 0 });
  });

  it('writes the private key for its owner alone, never over another, and shows it nowhere', async () => {
    const out = await platform();
    const [name = ''] = (await readdir(join(folder, 'secrets'))).filter((entry) => entry.startsWith('sealing-'));
    const path = join(folder, 'secrets', name);
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
    const pem = await readFile(path, 'utf8');
    expect(pem).to.match(/^-----BEGIN PRIVATE KEY-----/);
    expect(out).not.to.include(pem.split('\n')[1]);
    expect(out).to.include(`privateKey: \${file:secrets/${name}}`);
    const again = await run(['keygen', '--private-key', path]);
    expect(again).to.include({ code: 1, out: '' });
    expect(again.error).to.include('exists already');
    expect(await readFile(path, 'utf8')).to.equal(pem);
  });

  it('needs no dispatcher.yaml where the public key is given, which `shr seal key` prints', async () => {
    await platform();
    const { out } = await run(['key']);
    expect(out).to.match(/^x25519:[\w-]{43}\n$/);
    await rm(join(folder, 'dispatcher.yaml'));
    expect((await run(forToken, TOKEN)).error).to.include('--public-key');
    expect(await run([...forToken, '--public-key', out.trim()], TOKEN)).to.include({ code: 0 });
  });

  it('takes the key from a platform.json or dispatcher.yaml that is named', async () => {
    await platform();
    await shr(['platform', 'export', '--out', 'elsewhere.json'], folder);
    const { out: key } = await run(['key']);
    await rename(join(folder, 'dispatcher.yaml'), join(folder, 'secrets/other.yaml'));
    for (const file of ['elsewhere.json', 'secrets/other.yaml']) {
      expect(await run(['key', '--config', file])).to.include({ code: 0, out: key, error: '' });
    }
  });

  it('says in which folder it looked for the key, and what to name', async () => {
    expect((await run(['key'])).error).to.equal(
      'shr: there is neither dispatcher.yaml nor platform.json in this folder. Name the folder that has one of them, or the file with --config\n',
    );
    expect((await run(['key', 'there'])).error).to.include('nor platform.json in there. Name');
    expect((await run(forToken, TOKEN)).error).to.include('Give the platform’s public key with --public-key');
    expect((await run(['key', '--config', 'gone.yaml'])).error).to.include('gone.yaml: there is no such file. Name');
  });

  describe('what it notes, and seals all the same', () => {
    const noted = async (name: string, field: string, secret: string) => {
      const { code, out, error } = await run(['--registration', name, '--field', field], secret);
      expect(code).to.equal(0);
      expect(out).to.match(/^\$\{sealed:/);
      expect(error).to.not.include(secret.trim());
      return error;
    };

    beforeEach(platform);

    it('a registration that is not in the folder', async () => {
      expect(await noted('acmee', 'credentials.token', TOKEN)).to.equal(
        "shr: note: registrations/ has no registration 'acmee' (did you mean 'acme'?): the value opens under that name alone\n",
      );
      await writeFile(join(folder, 'registrations/two.yaml'), 'registrations: { acmee: {}, third: {} }\n');
      expect(await noted('acmee', 'credentials.token', TOKEN)).to.equal('');
      expect(await noted('two', 'credentials.token', TOKEN)).to.include("has no registration 'two'");
    });

    it('none where it does not know the folder', async () => {
      const { out: key } = await run(['key']);
      await rm(join(folder, 'registrations'), { recursive: true });
      await rm(join(folder, 'dispatcher.yaml'));
      const ended = await run([...forToken, '--public-key', key.trim()], TOKEN);
      expect(ended).to.include({ code: 0, error: '' });
    });

    for (const [field, secret, words] of [
      ['credentials.token', 'ghp_short', 'the secret has only 9 characters: check that it is the whole secret\n'],
      ['credentials.token', 'two tokens-of-the-tenant', 'a space or a line end'],
      ['webhook.secrets', 'guess-me', 'as the dispatcher takes none with fewer than 16\n'],
      ['credentials.app.privateKey', 'iv1.0123456789abcdef', 'not a private key in PEM format'],
    ] as const) {
      it(`${field} that is unlikely to be whole`, async () => {
        expect(await noted('acme', field, `${secret}\n`)).to.include(words);
      });
    }
  });

  for (const [what, args, input, code, words] of [
    [
      'a field that holds no secret',
      ['--registration', 'acme', '--field', 'credentials.tokn'],
      TOKEN,
      2,
      "did you mean 'credentials.token'?",
    ],
    [
      'a field of its own invention',
      ['--registration', 'acme', '--field', 'labels[0]'],
      TOKEN,
      2,
      "has no secret 'labels[0]'",
    ],
    [
      'a name that cannot be a registration’s',
      ['--registration', '../x', '--field', 'credentials.token'],
      TOKEN,
      2,
      "is not a registration's name",
    ],
    ['nothing', forToken, '\n', 1, 'standard input is empty'],
    ['too much', forToken, 'x'.repeat(65_537), 1, 'at most 65536 bytes'],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const key = publicKeyText(newKeyPair().key);
      const ended = await run([...args, '--public-key', key], input);
      expect(ended).to.include({ code, out: '' });
      expect(ended.error).to.include(words).and.not.include(TOKEN);
    });
  }

  it('refuses a public key that is not one', async () => {
    const ended = await run([...forToken, '--public-key', 'x25519:AAAA'], TOKEN);
    expect(ended).to.include({ code: 2, out: '' });
  });
});
