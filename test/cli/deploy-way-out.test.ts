/** What a deployed dispatcher gets beside its configuration: certificate, proxy, authorities. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { stringify } from 'yaml';
import { z } from 'zod';
import { type DeployOptions, pack } from '../../dispatcher/cli/deploy/pack.ts';
import type { Terminal } from '../../dispatcher/cli/terminal.ts';
import { decodeBundle } from '../../dispatcher/config/bundle.ts';
import { makeCertificate } from '../../simulators/azure-aci/certificate.ts';
import { eventually } from '../e2e/service-fixture.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SHR = join(ROOT, 'dispatcher', 'cli', 'shr.mjs');
const PROXY = 'http://user:a-password-of-the-proxy@127.0.0.1:9';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe('the way out and in of a deployed dispatcher', function () {
  this.timeout(120_000);
  let folder: string;
  let port: number;
  const pair = makeCertificate();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-deploy-'));
    port = await freePort();
    const files: Readonly<Record<string, string>> = {
      'secrets/admin-token': 'an-admin-token-of-the-test',
      'secrets/token': 'a-token-of-the-test',
      'secrets/tls.crt': pair.certificate,
      'secrets/tls.key': pair.privateKey,
      'authority.pem': pair.certificate,
      'dispatcher.yaml': stringify({
        id: 'shr',
        adminToken: '${file:secrets/admin-token}',
        ledger: ':memory:',
        listen: {
          public: {
            address: `0.0.0.0:${port}`,
            tls: { certificate: 'secrets/tls.crt', key: 'secrets/tls.key' },
          },
          admin: `127.0.0.1:${await freePort()}`,
        },
      }),
      'registrations/acme.yaml': stringify({
        organization: 'acme',
        apiUrl: 'http://127.0.0.1:9',
        credentials: { token: '${file:secrets/token}' },
        defaults: { image: 'runner:1' },
        backends: [{ kind: 'docker', options: { host: '127.0.0.1', port: 9 } }],
      }),
    };
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text, { mode: 0o600 });
    }
  });
  afterEach(() => rm(folder, { recursive: true }));

  const said: string[] = [];
  const packed = (options: Partial<DeployOptions> = {}, environment: Terminal['environment'] = {}) => {
    const terminal: Terminal = {
      out: (text) => void said.push(text),
      error: (text) => void said.push(text),
      exit: () => {},
      environment,
      workingFolder: folder,
      width: undefined,
    };
    return pack('.', { target: 'docker', cpu: 1, memory: 1, image: 'shr:1', ...options }, 'to-deploy', terminal);
  };

  it('has the certificate of its listener with it, and speaks TLS', async () => {
    const { deployment } = await packed();
    expect(deployment.speaksTls).to.equal(true);
    await writeFile(join(folder, 'bundle'), deployment.bundle);
    // What it was packed from may be gone.
    await rm(join(folder, 'secrets'), { recursive: true });
    const service = spawn(process.execPath, [SHR, 'serve', '--bundle', 'bundle'], { cwd: folder });
    let output = '';
    for (const stream of [service.stdout, service.stderr]) stream.on('data', (text) => (output += String(text)));
    try {
      const started = await eventually('it listens', 90_000, () => {
        if (service.exitCode !== null) throw new Error(output);
        return output.includes('"event":"started"') ? true : undefined;
      });
      expect(started, output).to.equal(true);
      const call = request({
        host: '127.0.0.1',
        port,
        path: '/',
        ca: pair.certificate,
        checkServerIdentity: () => undefined,
      });
      call.end();
      const [answer] = z.tuple([z.looseObject({ statusCode: z.number() })]).parse(await once(call, 'response'));
      expect(answer.statusCode).to.equal(404);
      call.destroy();
    } finally {
      service.kill('SIGKILL');
    }
  });

  it('has references to secret stores as they are, which the deployed dispatcher reads', async () => {
    const registrations = (await readdir(join(folder, 'registrations'))).map((name) =>
      join(folder, 'registrations', name),
    );
    const [file = ''] = registrations;
    const reference = '${gcp-secret:projects/acme-ci/secrets/token}';
    await writeFile(file, (await readFile(file, 'utf8')).replace('${file:secrets/token}', reference));
    said.length = 0;
    const bundle = decodeBundle((await packed()).deployment.bundle);
    expect(JSON.stringify(bundle?.files)).to.include(reference);
    expect(said.join('')).to.not.include('problem');
  });

  it('refuses a certificate that its key does not belong to', async () => {
    await writeFile(join(folder, 'secrets/tls.key'), makeCertificate().privateKey);
    const problem = await packed().catch((error: unknown) => String(error));
    expect(problem).to.include('secrets/tls.key is not the private key of');
  });

  it('has the proxy and the authorities of the environment with it only where that is asked for', async () => {
    const environment = {
      HTTPS_PROXY: PROXY,
      NO_PROXY: 'internal.example',
      NODE_EXTRA_CA_CERTS: join(folder, 'authority.pem'),
    };
    const without = decodeBundle((await packed({}, environment)).deployment.bundle);
    expect(without?.environment).to.deep.equal({});
    const { deployment } = await packed({ proxy: true }, environment);
    expect(decodeBundle(deployment.bundle)?.environment).to.deep.equal({
      HTTPS_PROXY: PROXY,
      NO_PROXY: 'internal.example',
      SHR_EXTRA_CA_CERTS: pair.certificate,
    });
    const absent = await packed({ proxy: true }, { NODE_EXTRA_CA_CERTS: '/nowhere/ca.pem' }).catch(String);
    expect(absent).to.include('NODE_EXTRA_CA_CERTS');
  });

  it('uses them before it opens a connection', async () => {
    const program = `
      import { getCACertificates } from 'node:tls';
      import { takeWayOut } from '${join(ROOT, 'dispatcher/cli/deploy/way-out.ts')}';
      const before = getCACertificates('default').length;
      const { shown } = takeWayOut(JSON.parse(process.argv[1])) ?? {};
      console.log(JSON.stringify([getCACertificates('default').length - before, shown, process.env.https_proxy]));`;
    const bundled = JSON.stringify({ HTTPS_PROXY: PROXY, SHR_EXTRA_CA_CERTS: `${pair.certificate}\n` });
    const words = ['--input-type=module', '--eval', program, bundled];
    const { stdout } = await promisify(execFile)(process.execPath, words, { env: {} });
    expect(JSON.parse(stdout)).to.deep.equal([
      1,
      { https: 'http://127.0.0.1:9', http: null, login: true, except: [] },
      `${PROXY}/`,
    ]);
  });
});
