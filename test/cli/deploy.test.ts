import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { stringify } from 'yaml';
import { shr } from './process.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** No engine listens there: what is refused before it is asked shows. */
const ENVIRONMENT = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };

describe('shr deploy', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-deploy-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function write(files: Readonly<Record<string, unknown>>): Promise<void> {
    for (const [name, value] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), typeof value === 'string' ? value : stringify(value), { mode: 0o600 });
    }
  }

  function configuration(dispatcher: Readonly<Record<string, unknown>> = {}, backend: object = { kind: 'docker' }) {
    return {
      'secrets/admin-token': 'an-admin-token-of-the-test',
      'secrets/token': 'a-token-of-the-test',
      'dispatcher.yaml': { id: 'shr', adminToken: '${file:secrets/admin-token}', ...dispatcher },
      'registrations/acme.yaml': {
        organization: 'acme',
        credentials: { token: '${file:secrets/token}' },
        defaults: { image: 'runner:1' },
        backends: [backend],
      },
    };
  }

  async function refused(...words: readonly string[]): Promise<string> {
    const { code, out, error } = await shr(['deploy', 'plan', '.', ...words], folder, ENVIRONMENT);
    expect(code, out).to.equal(1);
    return error;
  }

  it('refuses what cannot work, before it asks the engine, and says what to do', async function () {
    this.timeout(60_000);
    await write(configuration());
    expect(await refused())
      .to.include('where the dispatcher should run')
      .and.include('TARGET=docker');
    expect(await refused('--target', 'moon')).to.include('cannot be deployed to moon');
    expect(await refused('--registration', 'acne')).to.include("did you mean 'acme'?");
    expect(await refused('--registration', 'acme', '--backend', 'other')).to.include('has a backend other of kind');
    await write(configuration({ listen: { public: '127.0.0.1:8080' } }));
    expect(await refused('--target', 'docker')).to.include('0.0.0.0:8080');
    await write(configuration({ ledger: '/srv/ledger.db' }));
    expect(await refused('--target', 'docker')).to.include('Give `ledger` in dispatcher.yaml a relative path');
    await write(configuration({ adminToken: '${env:NOT_SET}' }));
    expect(await refused('--registration', 'acme')).to.include('the admin token of dispatcher.yaml is missing');
    await write({ ...configuration(), 'secrets/token': '' });
    expect(await refused('--target', 'docker')).to.include('secrets/token is empty');
  });

  it('wants an image for a cloud, and every registration readable before it says that nothing is left', async function () {
    this.timeout(60_000);
    const location = {
      subscriptionId: '00000000-0000-4000-8000-000000000000',
      resourceGroup: 'r',
      location: 'westeurope',
    };
    const credentials = { kind: 'managed-identity' };
    await write(configuration({}, { kind: 'azure-aci', options: { ...location, credentials } }));
    expect(await refused('--registration', 'acme')).to.include('which image azure-aci should run');
    expect(await refused('--registration', 'acme', '--image', 'i:1'))
      .to.include('does not have')
      .and.include('secret');
    await write({ ...configuration(), 'registrations/bad.yaml': 'organization: [' });
    const { code, error } = await shr(['deploy', 'destroy', '.', '--target', 'docker'], folder, ENVIRONMENT);
    expect(code).to.equal(1);
    expect(error).to.include('the backends of registration bad cannot be asked');
  });

  it('says which engine does not answer', async () => {
    await write(configuration({}, { kind: 'docker', options: { host: '127.0.0.1', port: 9, timeoutMs: 2_000 } }));
    expect(await refused('--registration', 'acme')).to.match(/ECONNREFUSED.*\n.*Run it again/);
  });

  it('takes one of several in a file, with what it extends', async () => {
    const files = configuration({}, { kind: 'docker', options: { host: '127.0.0.1', port: 9, timeoutMs: 2_000 } });
    const { organization: _organization, ...base } = files['registrations/acme.yaml'];
    await write({
      ...files,
      'registrations/acme.yaml': { registrations: { 'acme-a': { extends: 'acme', organization: 'acme' } } },
      'registrations/acme.base.yaml': base,
    });
    // It comes as far as to ask the engine.
    expect(await refused('--registration', 'acme-a')).to.include('ECONNREFUSED');
    await write({ 'registrations/acme.yaml': { registrations: { 'acme-a': { extends: 'none' } } } });
    expect(await refused('--registration', 'acme-a')).to.include('registration acme-a has problems');
  });

  it('takes down what it deployed without the address that `requireHook` wanted then', async () => {
    const backend = { kind: 'docker', options: { host: '127.0.0.1', port: 9, timeoutMs: 2_000 } };
    const files = configuration({}, backend);
    await write({
      ...files,
      'registrations/acme.yaml': { ...files['registrations/acme.yaml'], requireHook: true },
    });
    expect(await refused('--registration', 'acme')).to.include('requireHook');
    const { code, error } = await shr(['deploy', 'destroy', '.', '--registration', 'acme'], folder, ENVIRONMENT);
    expect(code).to.equal(1);
    expect(error).to.include('ECONNREFUSED').and.not.include('requireHook');
  });

  async function made(...words: readonly string[]): Promise<{ code: number; said: string }> {
    const make = ['--no-print-directory', '--dry-run', '--assume-old=node_modules/.package-lock.json', ...words];
    try {
      const { stdout } = await promisify(execFile)('make', make, { cwd: ROOT });
      return { code: 0, said: stdout };
    } catch (error) {
      if (!(error instanceof Error && 'stderr' in error)) throw error;
      return { code: 1, said: String(error.stderr) };
    }
  }

  it('make lazy_install and make lazy_destroy are deploy apply and deploy destroy', async () => {
    const { said } = await made('lazy_install', 'ralias=acme', 'CONFIG=config', 'TARGET=docker', 'ARGS=--cpu 2');
    expect(said).to.match(/shr\.mjs deploy apply config --target docker +--cpu 2 --registration acme/);
    expect((await made('lazy_destroy', 'ralias=acme', 'NOW=1')).said).to.match(
      /shr\.mjs deploy destroy \. .*--registration acme --now/,
    );
    expect(await made('lazy_install')).to.deep.include({ code: 1 });
    expect((await made('lazy_install')).said).to.include('write ralias=NAME');
  });

  it('make install deploys where TARGET says, and nothing without it', async () => {
    expect((await made('install', 'TARGET=docker', 'CONFIG=config')).said).to.match(
      /shr\.mjs deploy apply config --target docker/,
    );
    const { said } = await made('install');
    expect(said).to.include('make lazy_install ralias=NAME').and.include('make deps').and.not.include('shr.mjs');
    expect((await made('destroy', 'TARGET=docker')).said).to.match(/shr\.mjs deploy destroy \. --target docker/);
    expect((await made('destroy')).code).to.equal(1);
  });
});
