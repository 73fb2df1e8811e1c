/**
 * Real containers: a busybox image of a few hundred KB, made on the spot, and a network of the demo's own. A container
 * cannot reach this machine's loopback, so a forwarder on the network's gateway leads to the simulated GitHub, and
 * nobody else gets there.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { z } from 'zod';
import { type DemoBackend, DemoProblem } from './backend.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const NETWORK = 'shr-demo';
/** The address of the engine's machine where the engine runs in a virtual machine of its own (Docker Desktop). */
const DESKTOP_HOST = 'host.docker.internal';

const networkSchema = z.object({ IPAM: z.object({ Config: z.array(z.object({ Gateway: z.string().optional() })) }) });

export async function dockerBackend(): Promise<DemoBackend> {
  const docker = new Docker();
  try {
    await docker.ping();
  } catch (error) {
    throw new DemoProblem(
      `no Docker engine answers (${error instanceof Error ? error.message : String(error)}): start one, or run the demo without BACKEND=docker`,
    );
  }
  const image = await makeImage();
  const gateway = await makeNetwork(docker);
  const script = await readFile(join(ROOT, 'simulators', 'github', 'runner.sh'), 'utf8');
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
    kind: 'docker',
    options: {
      network: NETWORK,
      command: ['/bin/sh', '-c', script],
      pull: 'never',
      pidsLimit: 256,
      ...(forwarder === undefined ? { extraHosts: [`${DESKTOP_HOST}:host-gateway`] } : {}),
    },
    image,
    runnerUrl: (port) => `http://${host}:${forwarder === undefined ? port : portOf(forwarder)}`,
    async open(port) {
      target = port;
    },
    async close() {
      forwarder?.close();
      await docker.getNetwork(NETWORK).remove();
    },
  };
}

async function makeImage(): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(join(ROOT, 'demo', 'image.sh'));
    return stdout.trim();
  } catch (error) {
    throw new DemoProblem(
      `the demo's image could not be made: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Answers the gateway's address. A network that an earlier demo left is used again. */
async function makeNetwork(docker: Docker): Promise<string> {
  const known = await docker.listNetworks({ filters: { name: [NETWORK] } });
  const network = known.some(({ Name }) => Name === NETWORK)
    ? docker.getNetwork(NETWORK)
    : await docker.createNetwork({ Name: NETWORK, Driver: 'bridge' });
  const described = networkSchema.parse(await network.inspect());
  const gateway = described.IPAM.Config.find(({ Gateway }) => Gateway !== undefined)?.Gateway;
  if (gateway === undefined)
    throw new DemoProblem(`the Docker network ${NETWORK} has no gateway: remove it, and run the demo again`);
  return gateway.split('/')[0] ?? gateway;
}

/** Undefined where the gateway is no address of this machine: then the engine runs in a virtual machine. */
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
