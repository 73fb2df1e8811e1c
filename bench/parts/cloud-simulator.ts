/** A simulated cloud in its own process, behind a forwarder that counts the bytes on the wire. */
import { connect, createServer } from 'node:net';
import { z } from 'zod';
import { demoOptions as eciOptions, startAliEciSimulator } from '../../simulators/ali-eci/index.ts';
import { demoOptions as azureOptions, startAzureAciSimulator } from '../../simulators/azure-aci/index.ts';
import { demoOptions as batchOptions, startGcpBatchSimulator } from '../../simulators/gcp-batch/index.ts';
import { demoOptions as runOptions, startCloudRunSimulator } from '../../simulators/gcp-cloud-run/index.ts';
import { serveParent } from './child.ts';

export const LAUNCH_IMAGE = 'bench/runner:1';

export const cloudReport = z.object({
  /** Options of a backend that goes through the forwarder. */
  options: z.record(z.string(), z.unknown()),
  /** In both directions, since the last report. */
  bytes: z.int(),
});

const host = { images: { [LAUNCH_IMAGE]: ['true'] }, substitutions: { '/home/runner/run.sh': '/usr/bin/true' } };

const clouds: Readonly<Record<string, () => Promise<object>>> = {
  'ali-eci': async () => {
    const simulator = await startAliEciSimulator({ ...host, rates: { write: 1e6, read: 1e6, log: 1e6 } });
    return eciOptions(simulator);
  },
  'azure-aci': async () => {
    const limits = { per5Minutes: 1e6, perHour: 1e6 };
    const simulator = await startAzureAciSimulator({ ...host, limits, quota: { groups: 1e6, cores: 1e6 } });
    return { ...azureOptions(simulator), limits };
  },
  'gcp-batch': async () => {
    const simulator = await startGcpBatchSimulator(host);
    return batchOptions(simulator);
  },
  'gcp-cloud-run': async () => {
    const simulator = await startCloudRunSimulator(host);
    return runOptions(simulator);
  },
};

export const launchKinds: readonly string[] = Object.keys(clouds);

const [kind = ''] = process.argv.slice(2);
const start = clouds[kind];
if (process.send !== undefined && start !== undefined) {
  const { endpoint, ...others } = z.looseObject({ endpoint: z.url() }).parse(await start());
  const direct = new URL(endpoint);
  let bytes = 0;
  // Otherwise small writes would wait for the other side's delayed acknowledgement: 40 ms a call.
  const forwarder = createServer({ noDelay: true }, (socket) => {
    const onward = connect({ host: '127.0.0.1', port: Number(direct.port), noDelay: true });
    for (const side of [socket, onward]) side.on('data', (chunk: Buffer) => (bytes += chunk.length));
    socket.pipe(onward).pipe(socket);
    socket.on('error', () => onward.destroy());
    onward.on('error', () => socket.destroy());
  });
  const forwarded = await new Promise<number>((resolve) => {
    forwarder.listen(0, '127.0.0.1', () => {
      const bound = forwarder.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : 0);
    });
  });
  // Signing in bypasses it, and is not counted.
  const through = { ...others, endpoint: endpoint.replace(`:${direct.port}`, `:${forwarded}`) };
  serveParent(async () => {
    const counted = bytes;
    bytes = 0;
    return { options: through, bytes: counted } satisfies z.input<typeof cloudReport>;
  });
}
