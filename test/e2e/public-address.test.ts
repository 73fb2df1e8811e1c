import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { registrationListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { fastClock, type ServiceHere, startServiceHere } from './in-process-fixture.ts';
import { ADMIN_TOKEN, eventually } from './service-fixture.ts';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

describe('the public address of a running dispatcher', function () {
  this.timeout(60_000);
  let service: ServiceHere;
  afterEach(() => service.close());

  const read = async (path: string) => {
    const response = await fetch(`${service.adminUrl}${path}`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    return await response.text();
  };
  const open = async (url: string, port: number) => {
    const listen = { public: { address: `127.0.0.1:${port}`, url }, admin: '127.0.0.1:0' };
    const registration = ({ folder }: { readonly folder: string }) => ({
      backends: [
        { name: 'unused', kind: 'process', options: { command: ['/bin/true'], root: join(folder, 'instances') } },
      ],
    });
    service = await startServiceHere(fastClock(20), { dispatcher: { listen }, registration });
  };
  const state = (wanted: string) =>
    eventually(`it is ${wanted}`, 30_000, async () => {
      const { publicAddress } = registrationListSchema.parse(JSON.parse(await read('/api/registrations')));
      return publicAddress?.state === wanted ? publicAddress : undefined;
    });

  it('is found to lead to itself', async () => {
    const port = await freePort();
    await open(`http://127.0.0.1:${port}`, port);
    expect(await state('itself')).to.include({ amiss: false });
    expect(await read('/metrics')).to.match(/^shr_public_address\{state="itself"\} 1$/m);
    expect(await read('/readyz')).to.not.include('listen.public.url');
  });

  it('is found to lead to something else', async () => {
    const port = await freePort();
    await open(`http://127.0.0.1:${port}/webhooks`, port);
    expect(await state('other')).to.include({ amiss: true });
    expect(await read('/readyz')).to.include('listen.public.url does not lead to this dispatcher');
    expect(service.output()).to.include('"event":"public-url-not-reached"').and.include('status 404');
  });
});
