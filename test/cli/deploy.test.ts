import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { stringify } from 'yaml';
import { providerHost } from '../../dispatcher/backends/pool.ts';
import { Interruption } from '../../dispatcher/cli/deploy/interruption.ts';
import { ProviderError } from '../../providers/provider.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
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

  it('says which file is missing, and how to name another folder', async () => {
    expect(await refused('--registration', 'acme'))
      .to.include('there is neither dispatcher.yaml nor a registration')
      .and.include('CONFIG=FOLDER')
      .and.not.include('dispatcher.yaml has problems');
    // As in a clone, whose folder of registrations has examples alone.
    await write({ 'registrations/acme.example.yaml': 'organization: acme' });
    expect(await refused('--registration', 'acme')).to.include('there is neither dispatcher.yaml nor a registration');
  });

  it('says how to be let in where the engine does not let this user in', async () => {
    const socketPath = join(folder, 'docker.sock');
    const error = new ProviderError('unauthorized', 'docker image', `connect EACCES ${socketPath}`, { code: 'EACCES' });
    const { default: docker } = await import('../../deployers/docker/index.ts');
    const deployer = docker.create(
      { options: { socketPath }, environment: {} },
      providerHost(systemClock, systemRandom),
    );
    expect(deployer.cure?.(error)).to.equal(
      `Let this user use unix://${socketPath} (the option socketPath): add it to the group docker, and log in again. Then run it again.`,
    );
    // What the engine itself says is not about reaching it.
    const refusedIt = new ProviderError('invalid', 'docker create', 'no such network', { code: '404' });
    expect(deployer.cure?.(refusedIt)).to.equal(undefined);
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
    expect(await refused('--registration', 'acme')).to.match(
      /ECONNREFUSED.*\nStart the engine, and check that it listens on tcp:\/\/127\.0\.0\.1:9 .*\(docker info\)\. Then run it again\./,
    );
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

  /** An engine with one dispatcher, whose `create` is never answered. */
  async function played(image: string): Promise<{ server: Server; socketPath: string }> {
    const socketPath = join(folder, 'engine.sock');
    const server = createServer((request, response) => {
      const url = decodeURIComponent(request.url ?? '');
      const answer = (value: unknown, code = 200) =>
        response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value));
      if (url.startsWith('/containers/create')) return;
      if (url.startsWith('/containers/json')) answer(url.includes('shr.deployment') ? [{ Id: 'one' }] : []);
      else if (url.startsWith('/containers/one/json'))
        answer({
          ...{ Id: 'one', Name: '/shr-one', Image: 'sha256:1', HostConfig: {}, State: { Status: 'running' } },
          Config: { Image: image, Labels: { 'shr.deployment': 'shr-acme', 'shr.deployment.role': 'serve' } },
        });
      else if (url.startsWith('/volumes?')) answer({ Volumes: [] });
      else if (url.startsWith('/volumes/')) answer({}, 201);
      else if (url.startsWith(`/images/${image}/`)) answer({ Id: 'sha256:1' });
      else answer({ message: 'no such image' }, 404);
    });
    server.listen(socketPath);
    await once(server, 'listening');
    return { server, socketPath };
  }

  it('keeps an image that was named before, and says so; it says in advance which one is missing', async () => {
    const { server, socketPath } = await played('registry.example/shr:7');
    try {
      await write(configuration({}, { kind: 'docker', options: { socketPath } }));
      const kept = await shr(['deploy', 'plan', '.', '--registration', 'acme'], folder);
      expect(kept.error).to.include('the image stays registry.example/shr:7: --image (make: IMAGE=) names another one');
      expect(kept.out).to.not.include('pull');
      const other = await shr(['deploy', 'plan', '.', '--registration', 'acme', '--image', 'shr:8'], folder);
      expect(other.error).to.equal('');
      expect(other.out).to.match(/^pull +image shr:8 \(this engine has none; build it with `make dispatcher-image`/m);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('says that it drains once the dispatcher itself waits, and not before', () => {
    const interruption = new Interruption({ error: () => undefined });
    try {
      expect(interruption.words).to.equal('Nothing was changed.');
      interruption.told('draining: nothing is launched any more, jobs run to their end');
      // Of the deployer.
      interruption.told('creating the container');
      interruption.told('waiting until it is ready');
      expect(interruption.words).to.include('may not drain yet');
      interruption.told('waiting for shr-acme-1 (running)');
      expect(interruption.words).to.include('goes on draining without this command');
      interruption.told('removing the container');
      expect(interruption.words).to.include('goes on where it stopped');
    } finally {
      interruption.end();
    }
  });

  it('says what goes on without it when it is interrupted', async function () {
    this.timeout(60_000);
    const { server, socketPath } = await played('shr:7');
    try {
      await write(configuration({}, { kind: 'docker', options: { socketPath } }));
      const words = ['deploy', 'destroy', '.', '--registration', 'acme'];
      const run = spawn(process.execPath, [join(ROOT, 'dispatcher', 'cli', 'shr.mjs'), ...words], { cwd: folder });
      let said = '';
      run.stderr.on('data', (chunk) => {
        if (!said.includes('draining:') && `${said}${chunk}`.includes('draining:')) run.kill('SIGINT');
        said += chunk;
      });
      const [code] = await once(run, 'close');
      expect(code, said).to.equal(130);
      expect(said)
        .to.include('shr: interrupted. The dispatcher may not drain yet')
        .and.include('`shr deploy apply` (make: lazy_install) keeps the dispatcher');
    } finally {
      server.closeAllConnections();
      server.close();
    }
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
