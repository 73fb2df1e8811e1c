/** Real processes read the clouds' own stores: through a proxy behind which stand services of their names. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { stringify } from 'yaml';
import { demo, type SecretStoresSimulator, startSecretStores } from '../../simulators/secret-stores/index.ts';
import { shr } from '../cli/process.ts';
import { type HttpProxy, startProxy } from '../proxy/proxy.ts';
import { type Canary, found, watchCommandLines } from './canary.ts';
import { ADMIN_TOKEN, eventually, type Service, startService, WEBHOOK_SECRET } from './service-fixture.ts';

const EMAIL = 'dispatcher@acme-ci.iam.gserviceaccount.com';
const GOOGLE = 'projects/acme-ci/secrets/webhook';
const AZURE = 'acme.vault.azure.net/token';
const TOKEN = 'ghp_a-token-of-the-vault-in-azure';
const SPARE = 'a-spare-webhook-secret-of-alibaba';
const ROTATED = 'a-rotated-webhook-secret-of-google';

describe('secrets in the clouds’ own stores, in a whole run', function () {
  this.timeout(180_000);
  let proxy: HttpProxy;
  let stores: SecretStoresSimulator;
  let service: Service;
  let folder: string;
  let environment: Readonly<Record<string, string>>;
  let ended: () => Promise<readonly string[]> = async () => [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-stores-'));
    proxy = await startProxy();
    stores = await startSecretStores();
    const hosts = ['acme.vault.azure.net', 'login.microsoftonline.com', 'secretmanager.googleapis.com'];
    for (const host of [...hosts, 'kms.cn-hangzhou.aliyuncs.com']) await proxy.front(host, stores.url);
    await writeFile(join(folder, 'authorities.pem'), proxy.authorities);
    await writeFile(join(folder, 'key.json'), stores.identity.createKey(EMAIL, 'acme-ci'), { mode: 0o600 });
    stores.vaults.put(AZURE, TOKEN);
    stores.vaults.allow(AZURE, demo.clientId);
    stores.google.put(GOOGLE, WEBHOOK_SECRET);
    stores.google.allow(GOOGLE, EMAIL);
    stores.alibaba.put('cn-hangzhou/ci/webhook', SPARE);
    stores.alibaba.allow('cn-hangzhou/ci/webhook', demo.accessKeyId);
    environment = {
      HTTPS_PROXY: proxy.url,
      NO_PROXY: '127.0.0.1',
      NODE_EXTRA_CA_CERTS: join(folder, 'authorities.pem'),
      AZURE_TENANT_ID: demo.tenantId,
      AZURE_CLIENT_ID: demo.clientId,
      AZURE_CLIENT_SECRET: demo.clientSecret,
      GOOGLE_APPLICATION_CREDENTIALS: join(folder, 'key.json'),
      ALIBABA_CLOUD_ACCESS_KEY_ID: demo.accessKeyId,
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: demo.accessKeySecret,
    };
    service = await startService({
      environment,
      registration: { webhook: { secrets: [`\${gcp-secret:${GOOGLE}}`, '${alibaba-secret:cn-hangzhou/ci/webhook}'] } },
      others: ({ github, folder: at }) => ({
        'vault.yaml': stringify({
          organization: 'acme',
          apiUrl: github.url,
          credentials: { token: '${azure-key-vault:acme/token}' },
          labels: ['vault'],
          defaults: { image: 'e2e:1', cpu: 1, memoryGiB: 1 },
          backends: [{ kind: 'process', options: { command: ['sleep', '1'], root: join(at, 'vault-instances') } }],
        }),
      }),
    });
  });
  after(async () => {
    await ended();
    await service?.close();
    await stores.close();
    await proxy.close();
    await rm(folder, { recursive: true });
  });

  async function admin(path: string): Promise<string> {
    const response = await fetch(`${service.adminUrl}${path}`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    expect(response.status, path).to.equal(200);
    return await response.text();
  }
  const cli = (...args: string[]) =>
    shr(args, service.folder, { ...environment, E2E_ADMIN_TOKEN: ADMIN_TOKEN, E2E_WEBHOOK_SECRET: WEBHOOK_SECRET });

  it('sign deliveries and open GitHub, are followed with SIGHUP, and are in no log, ledger, command line, answer or metric', async () => {
    const canaries: readonly Canary[] = [
      { name: 'the webhook secret', text: WEBHOOK_SECRET },
      { name: 'the rotated one', text: ROTATED },
      { name: 'the spare one', text: SPARE },
      { name: 'the token', text: TOKEN },
      { name: 'the application’s secret', text: demo.clientSecret },
      { name: 'the access key’s secret', text: demo.accessKeySecret },
    ];
    ended = watchCommandLines(async () => canaries);
    const yaml = '{ on: push, jobs: { work: { runs-on: e2e, steps: [{ run: "true" }] } } }';
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml });
    await eventually('one job succeeded', 60_000, () =>
      service.github.jobs().some(({ conclusion }) => conclusion === 'success') ? true : undefined,
    );
    const { length: taken } = service.github.deliveries().filter(({ status }) => status === 'OK');
    expect(taken, 'deliveries that were taken').to.be.greaterThan(0);

    stores.google.put(GOOGLE, ROTATED);
    service.process.kill('SIGHUP');
    await eventually('the new value is in force', 30_000, () =>
      service.output().includes('"changed":["e2e"]') ? true : undefined,
    );

    const answers: string[] = [];
    for (const path of ['/api/registrations', '/api/jobs', '/api/runners', '/api/lanes', '/metrics', '/readyz']) {
      answers.push(await admin(path));
    }
    const findings = [...(await ended())];
    for (const [index, text] of answers.entries()) findings.push(...found(canaries, `answer ${index}`, text));
    findings.push(...found(canaries, 'the log', service.output()));
    for (const name of (await readdir(service.folder)).filter((file) => file.startsWith('ledger.db'))) {
      findings.push(...found(canaries, name, await readFile(join(service.folder, name), 'latin1')));
    }
    expect([...new Set(findings)]).to.deep.equal([]);
  });

  it('are not read by `shr validate`, which says so, and read by `shr doctor`, which says what is wrong', async () => {
    const before = stores.calls.length;
    const validated = await cli('validate', '--secrets');
    expect(validated.code, validated.out).to.equal(0);
    expect(validated.out).to.include('azure-key-vault:acme/token is not read here');
    expect(stores.calls).to.have.length(before);

    stores.vaults.forbid(AZURE, demo.clientId);
    const { out } = await cli('doctor');
    expect(out).to.match(
      /not ok {2}registrations\/vault\.yaml:\d+:\d+: credentials\.token: azure-key-vault:acme\/token may not be read \(403 ForbiddenByRbac\)\. Give the identity the role/,
    );
    expect(out).not.to.include('gcp-secret');
    stores.vaults.allow(AZURE, demo.clientId);
    expect((await cli('doctor')).out).not.to.include('may not be read');
  });

  it('set a registration aside at a start without them, with the reason, and serve the others', async () => {
    stores.fault({ kind: 'reset', host: 'secretmanager' });
    await service.end('SIGTERM');
    await service.restart();
    const registrations = await admin('/api/registrations');
    expect(registrations).to.include('Secret Manager did not answer');
    expect(service.output()).to.include('set aside until their problems are corrected: e2e');
  });
});
