import { randomUUID } from 'node:crypto';
import { request } from 'node:https';
import { expect } from 'chai';
import { type AzureAciSimulator, demo, startAzureAciSimulator } from '../../../simulators/azure-aci/index.ts';
import { foreignGroup, vendorClient } from './vendor.ts';

const IMAGE = 'registry.example/runner:1';

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

describe('the Azure Container Instances simulator on the wire', () => {
  let simulator: AzureAciSimulator;
  let groups: string;

  beforeEach(async () => {
    simulator = await startAzureAciSimulator({
      images: { [IMAGE]: ['sh', '-c', 'sleep 600'] },
      pageSize: 2,
      limits: { per5Minutes: 5, perHour: 5 },
    });
    groups = `/subscriptions/${demo.subscriptionId}/resourceGroups/${demo.resourceGroup}/providers/Microsoft.ContainerInstance/containerGroups`;
  });

  afterEach(() => simulator.close());

  const ask = (
    method: string,
    path: string,
    body = '',
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const sent = request(`${simulator.url}${path}`, { method, headers, ca: simulator.ca }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      });
      sent.once('error', reject);
      sent.end(body);
    });

  const signIn = (changes: Readonly<Record<string, string>> = {}): Promise<Reply> =>
    ask(
      'POST',
      `/${demo.tenantId}/oauth2/v2.0/token`,
      new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: demo.clientId,
        client_secret: demo.clientSecret,
        scope: `${demo.audience}/.default`,
        ...changes,
      }).toString(),
      { 'content-type': 'application/x-www-form-urlencoded' },
    );

  const authorized = async (): Promise<{ authorization: string }> => {
    const found = /"access_token":"([^"]+)"/.exec((await signIn()).body);
    return { authorization: `Bearer ${found?.[1] ?? 'none'}` };
  };

  const body = (): string =>
    JSON.stringify({
      location: simulator.location,
      properties: {
        osType: 'Linux',
        restartPolicy: 'Never',
        containers: [{ name: 'one', properties: { image: IMAGE, resources: { requests: { cpu: 1, memoryInGB: 1 } } } }],
      },
    });

  it('is vouched for by its own authority alone', async () => {
    const stranger = await new Promise<unknown>((resolve) => {
      request(simulator.url).once('error', resolve).end();
    });
    expect(stranger).to.be.instanceOf(Error);
    expect((await ask('GET', `${groups}?api-version=2023-05-01`)).status).to.equal(401);
  });

  it('signs in by the secret of the application alone, for Resource Manager alone', async () => {
    expect((await signIn()).status).to.equal(200);
    const refused = await Promise.all([
      signIn({ client_secret: 'guessed' }),
      signIn({ client_id: randomUUID() }),
      signIn({ scope: 'https://graph.microsoft.com/.default' }),
    ]);
    for (const { status, body: said } of refused) {
      expect(status).to.be.within(400, 401);
      expect(said).to.include('AADSTS').and.not.include('access_token');
    }
  });

  it('takes no call without a token of its own', async () => {
    const list = `${groups}?api-version=2023-05-01`;
    expect((await ask('GET', list, '', await authorized())).status).to.equal(200);
    const { authorization } = await authorized();
    for (const headers of [
      {},
      { authorization: 'Bearer nonsense' },
      { authorization: `${authorization.slice(0, -4)}AAAA` },
    ]) {
      const { status, body: said } = await ask('GET', list, '', headers);
      expect(status).to.equal(401);
      expect(said).to.match(/"code":"(InvalidAuthenticationToken|AuthenticationFailed)/);
    }
  });

  it('answers a creation with 201 and where to follow it, and a deletion with 202', async () => {
    const headers = { ...(await authorized()), 'content-type': 'application/json' };
    const created = await ask('PUT', `${groups}/a-1?api-version=2023-05-01`, body(), headers);
    expect(created.status).to.equal(201);
    const follow = new URL(String(created.headers['azure-asyncoperation']));
    expect(follow.origin).to.equal(simulator.url);
    const seen = await ask('GET', follow.pathname + follow.search, '', headers);
    expect(seen.body).to.match(/"status":"(Running|Pending|Succeeded)"/);
    await settled('a-1');
    const deleted = await ask('DELETE', `${groups}/a-1?api-version=2023-05-01`, '', headers);
    expect(deleted.status).to.equal(202);
    expect(deleted.headers['location']).to.be.a('string');
    expect((await ask('DELETE', `${groups}/a-2?api-version=2023-05-01`, '', headers)).status).to.equal(204);
  });

  it('refuses what it does not know in a creation, and versions that it does not speak', async () => {
    const headers = { ...(await authorized()), 'content-type': 'application/json' };
    const misspelt = body().replace('restartPolicy', 'restartPolice');
    const refused = await ask('PUT', `${groups}/a-1?api-version=2023-05-01`, misspelt, headers);
    expect(refused.status).to.equal(400);
    expect(refused.body).to.include('InvalidRequestContent');
    const old = await ask('PUT', `${groups}/a-1?api-version=2017-01-01`, body(), headers);
    expect(old.body).to.include('InvalidApiVersionParameter');
    expect(simulator.groups).to.deep.equal([]);
  });

  it('takes no second operation on a container group before the first is done', async () => {
    const headers = { ...(await authorized()), 'content-type': 'application/json' };
    await ask('PUT', `${groups}/a-1?api-version=2023-05-01`, body(), headers);
    const second = await ask('PUT', `${groups}/a-1?api-version=2023-05-01`, body(), headers);
    expect(second.status).to.equal(409);
    expect(second.body).to.include('ContainerGroupTransitioning');
  });

  it('lists in pages, which the SDK follows', async () => {
    const client = vendorClient(simulator);
    for (const name of ['a-1', 'a-2', 'a-3', 'a-4', 'a-5']) {
      await client.containerGroups.beginCreateOrUpdateAndWait(
        simulator.resourceGroup,
        name,
        foreignGroup(simulator, IMAGE),
        { updateIntervalInMs: 10 },
      );
    }
    const sizes: number[] = [];
    const names: (string | undefined)[] = [];
    for await (const page of client.containerGroups.listByResourceGroup(simulator.resourceGroup).byPage()) {
      sizes.push(page.length);
      names.push(...page.map((group) => group.name));
    }
    expect(sizes).to.deep.equal([2, 2, 1]);
    expect(names).to.deep.equal(['a-1', 'a-2', 'a-3', 'a-4', 'a-5']);
  });

  it('lets only so many be created in a time, and says when the next may', async () => {
    const headers = { ...(await authorized()), 'content-type': 'application/json' };
    const statuses: number[] = [];
    let last: Reply | undefined;
    for (const name of ['a-1', 'a-2', 'a-3', 'a-4', 'a-5', 'a-6']) {
      last = await ask('PUT', `${groups}/${name}?api-version=2023-05-01`, body(), headers);
      statuses.push(last.status);
    }
    expect(statuses).to.deep.equal([201, 201, 201, 201, 201, 429]);
    expect(Number(last?.headers['retry-after'])).to.be.within(1, 3600);
  });

  it('switches faults on and off over HTTP', async () => {
    const headers = { ...(await authorized()), 'content-type': 'application/json' };
    const create = () => ask('PUT', `${groups}/a-1?api-version=2023-05-01`, body(), headers);
    expect((await ask('POST', '/_simulator/faults', '{"kind":"no-stock"}')).status).to.equal(200);
    const refused = await create();
    expect([refused.status, refused.body.includes('not available in the location')]).to.deep.equal([409, true]);
    expect((await ask('DELETE', '/_simulator/faults')).status).to.equal(200);
    expect((await create()).status).to.equal(201);
    expect((await ask('POST', '/_simulator/faults', '{"kind":"rain"}')).status).to.equal(400);
  });

  async function settled(name: string): Promise<void> {
    const client = vendorClient(simulator);
    const giveUpAt = Date.now() + 5000;
    while ((await client.containerGroups.get(simulator.resourceGroup, name)).provisioningState !== 'Succeeded') {
      if (Date.now() > giveUpAt) throw new Error(`${name} does not settle`);
    }
  }
});
