/** A simulated cloud in a process of its own, behind a forwarder that counts the bytes on the wire. */
import { connect, createServer } from 'node:net';
import { z } from 'zod';
import { demoOptions as eciOptions, startAliEciSimulator } from '../../simulators/ali-eci/index.ts';
import { demoOptions as batchOptions, startGcpBatchSimulator } from '../../simulators/gcp-batch/index.ts';
import { demoOptions as runOptions, startCloudRunSimulator } from '../../simulators/gcp-cloud-run/index.ts';
import { serveParent } from './child.ts';

export const LAUNCH_IMAGE = 'bench/runner:1';

export const cloudReport = z.object({
  /** Of a backend that goes through the forwarder. */
  options: z.record(z.string(), z.unknown()),
  /** In both directions, since the last report. */
  bytes: z.int(),
});

const host = { images: { [LAUNCH_IMAGE]: ['true'] }, substitutions: { '/home/runner/run.sh': 'true' } };

const clouds: Readonly<Record<string, () => Promise<{ readonly options: object; readonly address: string }>>> = {
  'ali-eci': async () => {
    const simulator = await startAliEciSimulator({ ...host, rates: { write: 1e6, read: 1e6, log: 1e6 } });
    return { options: eciOptions(simulator), address: simulator.url };
  },
  'gcp-batch': async () => {
    const simulator = await startGcpBatchSimulator(host);
    return { options: batchOptions(simulator), address: simulator.endpoint };
  },
  'gcp-cloud-run': async () => {
    const simulator = await startCloudRunSimulator(host);
    return { options: runOptions(simulator), address: simulator.endpoint };
  },
};

export const launchKinds: readonly string[] = Object.keys(clouds);

const [kind = ''] = process.argv.slice(2);
const start = clouds[kind];
if (process.send !== undefined && start !== undefined) {
  const { options, address } = await start();
  const port = Number(/:(\d+)\/?$/.exec(address)?.[1]);
  let bytes = 0;
  const forwarder = createServer((socket) => {
    const onward = connect(port, '127.0.0.1');
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
  const through = z
    .record(z.string(), z.unknown())
    .parse(JSON.parse(JSON.stringify(options).replaceAll(`:${port}`, `:${forwarded}`)));
  serveParent(async () => {
    const counted = bytes;
    bytes = 0;
    return { options: through, bytes: counted } satisfies z.input<typeof cloudReport>;
  });
}
