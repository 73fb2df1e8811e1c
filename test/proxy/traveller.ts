/**
 * A process that goes out as the dispatcher does, to one service by its real name:
 *
 *   node traveller.ts github|registry|azure|google-grpc|google-rest|alibaba|loopback|engine
 *
 * A process of its own, because proxies and authorities are read when it starts. It answers in one line what came back.
 */
import { request } from 'node:http';
import { useProxy } from '../../dispatcher/cli/use-proxy.ts';
import { BudgetPool } from '../../dispatcher/github/budget-pool.ts';
import { createGithub } from '../../dispatcher/github/client.ts';
import { GithubTimes } from '../../dispatcher/github/github-time.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import type { ProviderHost } from '../../providers/provider.ts';
import { sleep, systemClock } from '../../time/clock.ts';

const settings = useProxy(process.env);
const host: ProviderHost = {
  now: () => systemClock.now(),
  after: systemClock.after,
  sleep: (ms) => sleep(systemClock, ms),
  random: () => 0.5,
};

async function github(apiUrl: string): Promise<unknown> {
  const client = createGithub({
    registration: {
      name: 'acme',
      host: 'github.com',
      apiUrl,
      claim: { kind: 'organization', organization: 'acme' },
      credentials: { kind: 'token', token: new Secret('ghp_aTokenOfTheTest') },
      poll: { intervalMs: null, repositories: [] },
    },
    budgets: new BudgetPool(systemClock),
    times: new GithubTimes({ clock: systemClock }),
    clock: systemClock,
    random: () => 0.5,
  });
  return await client.getRunner({ kind: 'organization', organization: 'acme' }, 7, 'verify');
}

const travels: Readonly<Record<string, () => Promise<unknown>>> = {
  github: () => github('https://api.github.com'),
  loopback: () => github(process.env['LOOPBACK'] ?? ''),
  async registry() {
    const { checkImages } = await import('../../providers/registry/check-images.ts');
    const { Deadlines } = await import('../../providers/kit/deadlines.ts');
    const image = { reference: 'registry.acme.test/acme/runner:1', architectures: ['x64'] } as const;
    const puller = { logins: [], option: 'registryAuth', whenPrivate: 'give its login' };
    return await checkImages([image], puller, new Deadlines(host), 5_000);
  },
  async azure() {
    const { default: module } = await import('../../providers/azure-aci/index.ts');
    const { azureAciOptions } = await import('../../providers/azure-aci/options.ts');
    const { demo } = await import('../../simulators/azure-aci/options.ts');
    const { subscriptionId, resourceGroup, location, tenantId, clientId, clientSecret } = demo;
    const options = azureAciOptions.parse({
      subscriptionId,
      resourceGroup,
      location,
      credentials: { kind: 'secret', tenantId, clientId, clientSecret },
      command: ['sleep', '1'],
      timeoutMs: 8_000,
    });
    const authorityHost = 'https://login.acme.test';
    const provider = module.create({ ...options, endpoint: 'https://management.acme.test', authorityHost }, host);
    return await provider.list({ dispatcher: 'nobody' });
  },
  async 'google-grpc'() {
    const { connect, callOptions } = await import('../../providers/google/connection.ts');
    const { v2 } = await import('@google-cloud/run');
    const { client } = connect(v2.JobsClient, { credentials: process.env['CREDENTIALS'] ?? '' });
    const options = await callOptions(client.auth, undefined, 8_000);
    try {
      const [jobs] = await client.listJobs({ parent: 'projects/p/locations/r' }, { ...options, autoPaginate: false });
      return jobs;
    } finally {
      await client.close();
    }
  },
  async 'google-rest'() {
    const { connect } = await import('../../providers/google/connection.ts');
    const { readLog } = await import('../../providers/google/log.ts');
    const { v2 } = await import('@google-cloud/run');
    const { client } = connect(v2.JobsClient, { credentials: process.env['CREDENTIALS'] ?? '' });
    const call = <T>(make: (signal: AbortSignal) => Promise<T>) => make(new AbortController().signal);
    const { auth } = client;
    return await readLog({ auth, endpoint: 'https://logging.googleapis.com', project: 'p', filter: '', call });
  },
  async alibaba() {
    const { default: module } = await import('../../providers/ali-eci/index.ts');
    const { demoKey, demoSecurityGroup, demoVSwitches } = await import('../../simulators/ali-eci/options.ts');
    const options = module.options.parse({
      region: 'cn-hangzhou',
      endpoint: 'https://eci.acme.test',
      accessKeyId: demoKey.id,
      accessKeySecret: demoKey.secret,
      vSwitchIds: demoVSwitches.map(({ id }) => id),
      securityGroupId: demoSecurityGroup,
      command: ['sleep', '1'],
      timeoutMs: 8_000,
    });
    const provider = module.create(options, host);
    return await provider.list({ dispatcher: 'nobody' });
  },
  engine: () =>
    new Promise((resolve, reject) => {
      request({ socketPath: process.env['SOCKET'], path: '/_ping' }, (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode));
      })
        .on('error', reject)
        .end();
    }),
};

const travel = travels[process.argv[2] ?? ''];
if (travel === undefined) throw new Error('where to?');
let line: unknown;
try {
  line = { answer: await travel(), problems: settings.problems };
} catch (error) {
  line = { error: error instanceof Error ? error.message : String(error), problems: settings.problems };
}
process.stdout.write(`${JSON.stringify(line)}\n`);
process.exit(0);
