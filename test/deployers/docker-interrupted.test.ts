/** An update that was interrupted, and is repeated with what cannot start. The engine is played on a socket. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Deployment } from '../../deployers/deployer.ts';
import deployers from '../../deployers/docker/index.ts';
import { DEPLOYMENT_TAG, ROLE_TAG } from '../../deployers/tags.ts';
import { providerHost } from '../../dispatcher/backends/pool.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';

const DEPLOYMENT: Deployment = {
  ...{ id: 'shr-acme', image: 'shr:2', bundle: '{}', bundleHash: 'hash', cpu: 1, memoryGiB: 1 },
  ...{ listenPort: 8080, adminPort: 8081, publicPort: 8080, stopGraceS: 1 },
};

interface Played {
  readonly name: string;
  readonly role: string;
  status: string;
}

describe('a deployment to a Docker engine, interrupted before', () => {
  let folder: string;
  let server: Server;
  /** The newest first, as engines list them. */
  let containers: Map<string, Played>;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-engine-'));
    containers = new Map();
    server = createServer((request, response) => {
      const { method = '', url = '' } = request;
      const answer = (value: unknown, code = 200) => {
        response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value));
      };
      const [, id = '', verb = ''] = /^\/containers\/([^/?]+)(?:\/(\w+))?/.exec(url) ?? [];
      const found = containers.get(id);
      request.resume().on('end', () => {
        if (url.startsWith('/images/')) answer({ Id: 'sha256:2' });
        else if (url.startsWith('/volumes/create')) answer({}, 201);
        else if (url.startsWith('/containers/json')) answer([...containers.keys()].map((Id) => ({ Id })));
        else if (url.startsWith('/containers/create')) {
          const name = new URL(url, 'http://engine').searchParams.get('name') ?? '';
          containers = new Map([['new', { name, role: 'serve', status: 'created' }], ...containers]);
          answer({ Id: 'new' }, 201);
        } else if (found === undefined) answer({ message: 'no such container' }, 404);
        else if (method === 'DELETE') {
          containers.delete(id);
          answer({}, 200);
        } else if (verb === 'start') {
          // What is new cannot run.
          found.status = id === 'new' ? 'exited' : 'running';
          response.writeHead(204).end();
        } else if (verb === 'stop') {
          found.status = 'exited';
          response.writeHead(204).end();
        } else if (verb === 'archive') answer({});
        else if (verb === 'logs') response.end();
        else
          answer({
            ...{ Id: id, Name: `/${found.name}`, Image: 'sha256:1', HostConfig: {} },
            Config: { Image: 'shr:1', Labels: { [DEPLOYMENT_TAG]: 'shr-acme', [ROLE_TAG]: found.role } },
            State: { Status: found.status, ExitCode: 1 },
          });
      });
    });
    server.listen(join(folder, 'engine.sock'));
    await once(server, 'listening');
  });

  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });

  async function apply(): Promise<unknown> {
    const options = { socketPath: join(folder, 'engine.sock') };
    const deployer = deployers.create({ options, environment: {} }, providerHost(systemClock, systemRandom));
    return deployer
      .apply(DEPLOYMENT, 'serve', () => undefined)
      .then(
        () => undefined,
        (error: unknown) => error,
      );
  }
  const states = () => [...containers].map(([id, { status }]) => `${id} ${status}`);

  it('starts the one again that it had stopped then', async () => {
    containers.set('second', { name: 'second', role: 'serve', status: 'created' });
    containers.set('former', { name: 'former', role: 'serve', status: 'exited' });
    expect(String(await apply())).to.include('the one before runs again');
    expect(states()).to.deep.equal(['second created', 'former running']);
  });

  it('starts one alone, the last that was ready, and none that drained', async () => {
    containers.set('drained', { name: 'drained', role: 'drain', status: 'exited' });
    containers.set('failed', { name: 'failed', role: 'serve', status: 'exited' });
    containers.set('former', { name: 'former', role: 'serve', status: 'exited' });
    await apply();
    expect(states()).to.deep.equal(['drained exited', 'failed exited', 'former running']);
  });
});
