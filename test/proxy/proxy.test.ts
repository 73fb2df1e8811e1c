/** Case 10: what leaves this machine takes the proxy that the environment prescribes, and trusts its authorities. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { z } from 'zod';
import { startAliEciSimulator } from '../../simulators/ali-eci/index.ts';
import { startAzureAciSimulator } from '../../simulators/azure-aci/index.ts';
import { Identity } from '../../simulators/google/identity.ts';
import { startInstallation } from '../cli/installation.ts';
import { shr } from '../cli/process.ts';
import { runnerReply } from '../github/github-fixture.ts';
import { RegistryServer } from '../registry-server.ts';
import { type HttpProxy, LOGIN, startProxy } from './proxy.ts';

const TRAVELLER = new URL('traveller.ts', import.meta.url).pathname;
const lineSchema = z.object({
  answer: z.unknown().optional(),
  error: z.string().optional(),
  problems: z.array(z.string()),
});

describe('behind a proxy', function () {
  this.timeout(60_000);
  let proxy: HttpProxy;
  let folder: string;
  const closing: (() => unknown)[] = [];

  beforeEach(async () => {
    proxy = await startProxy();
    folder = await mkdtemp(join(tmpdir(), 'shr-proxy-'));
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
    await proxy.close();
    await rm(folder, { recursive: true });
  });

  /** With nothing of our own environment in it. Neither line may show the proxy's password. */
  async function travel(where: string, environment: Readonly<Record<string, string>> = {}) {
    const bundle = join(folder, 'authorities.pem');
    await writeFile(bundle, proxy.authorities);
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [TRAVELLER, where], {
      timeout: 50_000,
      env: {
        PATH: process.env['PATH'],
        HTTPS_PROXY: proxy.url,
        ...(proxy.authorities === '' ? {} : { NODE_EXTRA_CA_CERTS: bundle }),
        ...environment,
      },
    });
    expect(stdout + stderr).to.not.include('p4ss-of-the-proxy');
    return lineSchema.parse(JSON.parse(stdout));
  }
  const places = () => [...new Set(proxy.seen.map(({ to }) => to))].sort();
  const logins = () => [...new Set(proxy.seen.map(({ login }) => login))];

  async function github(): Promise<void> {
    await proxy.serve('api.github.com', (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(runnerReply(7, 'shr-1')));
    });
  }

  for (const [what, environment] of [
    ['HTTPS_PROXY', {}],
    ['https_proxy', { lower: 'https_proxy' }],
    ['HTTP_PROXY alone', { lower: 'HTTP_PROXY' }],
    ['ALL_PROXY without a scheme', { lower: 'all_proxy', bare: true }],
  ] as const) {
    it(`GitHub is asked through ${what}, with its login, trusting NODE_EXTRA_CA_CERTS`, async () => {
      await github();
      const named = 'lower' in environment ? environment.lower : 'HTTPS_PROXY';
      const value = 'bare' in environment ? proxy.url.replace('http://', '') : proxy.url;
      const { answer, error } = await travel('github', { HTTPS_PROXY: '', [named]: value });
      expect(error).to.equal(undefined);
      expect(answer).to.include({ id: 7 });
      expect(places()).to.deep.equal(['api.github.com:443']);
      expect(logins()).to.deep.equal([LOGIN]);
    });
  }

  it('an authority that is not known is said, and is the one thing that NODE_EXTRA_CA_CERTS adds', async () => {
    await github();
    const { error } = await travel('github', { NODE_EXTRA_CA_CERTS: '' });
    expect(error).to.match(/certificate|self-signed/);
  });

  it('a host of NO_PROXY is not asked through it, nor are its subdomains', async () => {
    await github();
    for (const [name, value] of [
      ['NO_PROXY', 'github.com'],
      ['no_proxy', '.github.com'],
      ['NO_PROXY', '*.github.com, other.test'],
      ['no_proxy', 'API.github.com'],
      ['NO_PROXY', '*'],
    ] as const) {
      const { error } = await travel('github', { [name]: value });
      expect(error, value).to.be.a('string');
      expect(proxy.seen, value).to.deep.equal([]);
    }
  });

  it('this machine is never asked through it', async () => {
    const server = await listening((url) => (url === '/orgs/acme/actions/runners/7' ? runnerReply(7, 'shr-1') : {}));
    const { answer } = await travel('loopback', { LOOPBACK: server, HTTP_PROXY: proxy.url });
    expect(answer).to.include({ id: 7 });
    expect(
      (await travel('loopback', { LOOPBACK: server.replace('127.0.0.1', 'localhost'), HTTP_PROXY: proxy.url })).answer,
    ).to.include({ id: 7 });
    expect(proxy.seen).to.deep.equal([]);
  });

  it('an engine on a Unix socket is never asked through it', async () => {
    const socket = join(folder, 'engine.sock');
    await listening(() => ({}), socket);
    expect((await travel('engine', { SOCKET: socket, HTTP_PROXY: proxy.url })).answer).to.equal(200);
    expect(proxy.seen).to.deep.equal([]);
  });

  it('a proxy that refuses is named in words without its login', async () => {
    const { error } = await travel('github');
    expect(error).to.be.a('string').and.include('502');
    expect(places()).to.deep.equal(['api.github.com:443']);
  });

  it('a variable that cannot be obeyed is a problem, and nothing goes out as if it were not there', async () => {
    await github();
    const { problems } = await travel('engine', { HTTPS_PROXY: 'socks5://agent:p4ss-of-the-proxy@127.0.0.1:1' });
    expect(problems).to.deep.equal(['HTTPS_PROXY has the scheme socks5, which is not supported: give an HTTP proxy']);
  });

  it('a registry is asked through it for an image', async () => {
    const registry = await RegistryServer.start({ realm: 'https://registry.acme.test/token' });
    closing.push(() => registry.close());
    registry.addIndex('acme/runner', '1', ['amd64']);
    await proxy.front('registry.acme.test', `http://${registry.server}`);
    const { answer, error } = await travel('registry');
    expect(error).to.equal(undefined);
    expect(JSON.stringify(answer)).to.include('registry.acme.test/acme/runner:1 is there, for x64');
    expect(places()).to.deep.equal(['registry.acme.test:443']);
  });

  it('Azure is asked through it, the sign-in too', async () => {
    const azure = await startAzureAciSimulator({ images: {} });
    closing.push(() => azure.close());
    await proxy.front('management.acme.test', azure.url, azure.ca);
    await proxy.front('login.acme.test', azure.url, azure.ca);
    const { answer, error } = await travel('azure');
    expect(error).to.equal(undefined);
    expect(answer).to.deep.equal([]);
    expect(places()).to.include('management.acme.test:443').and.include('login.acme.test:443');
    expect(logins()).to.deep.equal([LOGIN]);
  });

  it('Alibaba is asked through it', async () => {
    const alibaba = await startAliEciSimulator({ images: {} });
    closing.push(() => alibaba.close());
    await proxy.front('eci.acme.test', alibaba.url);
    const { answer, error } = await travel('alibaba');
    expect(error).to.equal(undefined);
    expect(answer).to.deep.equal([]);
    expect(places()).to.deep.equal(['eci.acme.test:443']);
    expect(logins()).to.deep.equal([LOGIN]);
  });

  const key = () =>
    new Identity(() => Date.now()).createKey('dispatcher@demo-project.iam.gserviceaccount.com', 'demo-project');

  it('Google is asked through it by gRPC', async () => {
    await proxy.serveStreams('run.googleapis.com', (stream) => {
      const end = { 'content-type': 'application/grpc', 'grpc-status': '7', 'grpc-message': 'not today' };
      stream.respond({ ':status': 200, ...end }, { endStream: true });
    });
    const { error } = await travel('google-grpc', { CREDENTIALS: key() });
    expect(error).to.include('not today');
    expect(places()).to.deep.equal(['run.googleapis.com:443']);
    expect(logins()).to.deep.equal([LOGIN]);
  });

  it('Google is asked through it by REST', async () => {
    const asked: string[] = [];
    for (const host of ['logging.googleapis.com', 'oauth2.googleapis.com', 'www.googleapis.com']) {
      await proxy.serve(host, (request, response) => {
        asked.push(host);
        request.resume();
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(
          JSON.stringify(
            host.startsWith('logging')
              ? { entries: [{ textPayload: 'hello' }] }
              : { access_token: 'ya29.of-the-test', token_type: 'Bearer', expires_in: 3600 },
          ),
        );
      });
    }
    const { answer, error } = await travel('google-rest', { CREDENTIALS: key() });
    expect(error).to.equal(undefined);
    expect(answer).to.equal('hello\n');
    expect(asked).to.include('logging.googleapis.com');
    expect(places()).to.include('logging.googleapis.com:443');
    expect(logins()).to.deep.equal([LOGIN]);
  });

  it('shr doctor goes through it and says so; shr serve does not start with one that it cannot use', async () => {
    const fixture = await startInstallation({
      tokens: [{ login: 'dev', owners: ['acme'], access: 'admin', token: 'ghp_known' }],
    });
    closing.push(() => fixture.close());
    await proxy.front('ghe.acme.test', fixture.github.url);
    await writeFile(join(folder, 'authorities.pem'), proxy.authorities);
    const environment = {
      ...fixture.environment,
      PATH: process.env['PATH'] ?? '',
      CLI_TOKEN: 'ghp_known',
      HTTPS_PROXY: proxy.url,
      NODE_EXTRA_CA_CERTS: join(folder, 'authorities.pem'),
    };
    const credentials = { token: '${env:CLI_TOKEN}' };
    await fixture.register('acme', { host: 'ghe.acme.test', apiUrl: 'https://ghe.acme.test', credentials });
    const doctor = await shr(['doctor'], fixture.folder, environment);
    const port = new URL(proxy.url).port;
    expect(doctor.out).to.include(
      `ok      dispatcher  network  proxy: through http://127.0.0.1:${port} with a login\n`,
    );
    expect(doctor.out).to.include('ok      acme  github  host: https://ghe.acme.test answers');
    expect(places()).to.deep.equal(['ghe.acme.test:443']);
    // What the proxy does not cover is a note, and no reason to end with 1.
    const ranges = await shr(['doctor', '--json'], fixture.folder, { ...environment, NO_PROXY: '10.0.0.0/8' });
    const found = JSON.parse(ranges.out).dispatcher.filter(({ note }: { note?: true }) => note === true);
    expect(found.map(({ subject, ok }: { subject: string; ok: boolean }) => [subject, ok])).to.deep.equal([
      ['proxy', true],
    ]);
    expect(ranges.code).to.equal(doctor.code);
    const serve = await shr(['serve'], fixture.folder, {
      ...environment,
      HTTPS_PROXY: 'socks5://agent:p4ss-of-the-proxy@x',
    });
    expect(serve.code).to.equal(1);
    expect(serve.error).to.include('HTTPS_PROXY has the scheme socks5');
    expect(doctor.out + doctor.error + serve.out + serve.error).to.not.include('p4ss-of-the-proxy');
  });

  async function listening(answer: (url: string) => unknown, path?: string): Promise<string> {
    const server: Server = createServer((request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer(request.url ?? '')));
    });
    closing.push(() => server.close());
    await new Promise<void>((resolve) => {
      if (path === undefined) server.listen(0, '127.0.0.1', resolve);
      else server.listen(path, resolve);
    });
    const address = server.address();
    return typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : '';
  }
});
