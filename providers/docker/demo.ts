/**
 * Real containers of the runner image, in the demo's own network. A container cannot reach this machine's loopback, so a
 * forwarder on the network's gateway leads to the simulated GitHub and nowhere else.
 */
import { randomBytes } from 'node:crypto';
import { connect, createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import Docker from 'dockerode';
import { z } from 'zod';
import { type DemoBackend, type DemoStage, ProviderError } from '../provider.ts';
import { addressWords, type EngineAddress, type EnginePlace } from './place.ts';

const NETWORK = 'shr-demo';
/** Whose network it is: two demos at one engine leave each other's alone, and one that was killed leaves its own. */
const LABELS = { process: 'shr-demo.process', machine: 'shr-demo.machine' };
const LET_USER_IN = 'add it to the group docker, and log in again';
/** The address of the engine's machine where the engine runs in a virtual machine of its own (Docker Desktop). */
const DESKTOP_HOST = 'host.docker.internal';

const networkSchema = z.object({ IPAM: z.object({ Config: z.array(z.object({ Gateway: z.string().optional() })) }) });

export async function dockerDemo(stage: DemoStage, place: EnginePlace): Promise<DemoBackend> {
  if (!place.found) throw problem(`${place.problem}: ${place.cure}`);
  const { address } = place;
  const docker = new Docker({ ...unset, ...address });
  try {
    await docker.ping();
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    if (error instanceof Error && 'code' in error && error.code === 'EACCES') {
      throw problem(
        `this user may not use ${place.words} (${words}): ${LET_USER_IN}, or run the demo without BACKEND=docker`,
      );
    }
    throw problem(
      `no Docker engine answers at ${place.words} (${words}): start one, or run the demo without BACKEND=docker`,
    );
  }
  const image = await stage.makeImage(environmentOf(address));
  const network = `${NETWORK}-${randomBytes(3).toString('hex')}`;
  const gateway = await makeNetwork(docker, network);
  const forwarder = await bind(gateway);
  const host = forwarder === undefined ? DESKTOP_HOST : gateway;
  let target = 0;
  forwarder?.on('connection', (socket) => {
    const onward = connect(target, '127.0.0.1');
    socket.pipe(onward).pipe(socket);
    socket.on('error', () => onward.destroy());
    onward.on('error', () => socket.destroy());
  });
  return {
    options: {
      ...address,
      network,
      pull: 'never',
      pidsLimit: 256,
      ...(forwarder === undefined ? { extraHosts: [`${DESKTOP_HOST}:host-gateway`] } : {}),
    },
    image,
    stays: `The jobs ran in containers of the image ${image}, which stays for the next demo: \`docker image rm ${image}\` removes it.`,
    runnerUrl: (port) => `http://${host}:${forwarder === undefined ? port : portOf(forwarder)}`,
    async open(port) {
      target = port;
    },
    removal: (containers) =>
      `docker rm -f $(docker ps -aq --filter name=^/${containers}); docker network rm ${network}`,
    async close() {
      forwarder?.close();
      await docker.getNetwork(network).remove();
    },
  };
}

/** docker-modem fills missing values from the environment, which has already been evaluated. */
const unset = {
  socketPath: undefined,
  host: undefined,
  port: undefined,
  ca: undefined,
  cert: undefined,
  key: undefined,
};

/**
 * Environment for the docker command: the same engine, by a socket or without TLS. With TLS, the command finds it as we
 * did.
 */
function environmentOf(address: EngineAddress): Readonly<Record<string, string>> {
  return 'protocol' in address && address.protocol === 'https' ? {} : { DOCKER_HOST: addressWords(address) };
}

function problem(message: string): ProviderError {
  return new ProviderError('unauthorized', 'docker demo', message);
}

/** Returns the gateway's address. */
async function makeNetwork(docker: Docker, name: string): Promise<string> {
  await removeAbandoned(docker);
  const labels = { [LABELS.process]: String(process.pid), [LABELS.machine]: hostname() };
  const network = await docker.createNetwork({ Name: name, Driver: 'bridge', Labels: labels });
  const described = networkSchema.parse(await network.inspect());
  const gateway = described.IPAM.Config.find(({ Gateway }) => Gateway !== undefined)?.Gateway;
  if (gateway === undefined) {
    await network.remove();
    throw problem('the engine gives a network no gateway: run the demo without BACKEND=docker');
  }
  return gateway.split('/')[0] ?? gateway;
}

/** Those of demos on this machine that were killed. One that still has containers is refused, and stays. */
async function removeAbandoned(docker: Docker): Promise<void> {
  const networks = await docker.listNetworks({ filters: { label: [`${LABELS.machine}=${hostname()}`] } });
  for (const { Id, Labels } of networks) {
    if (!isRunning(Number(Labels?.[LABELS.process]))) {
      await docker
        .getNetwork(Id)
        .remove()
        .catch(() => undefined);
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

/** Undefined if the gateway is not an address of this machine: then the engine runs in a virtual machine. */
function bind(address: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRNOTAVAIL') resolve(undefined);
      else reject(error);
    });
    server.listen(0, address, () => resolve(server));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
