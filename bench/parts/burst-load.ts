/**
 * The load of the burst: queued jobs on a few connections as fast as they are answered, or other deliveries at a steady
 * rate until told to stop. Every request is prepared before the clock starts.
 */
import { z } from 'zod';
import { quantile } from './benchmark.ts';
import { preciseNow, serveParent } from './child.ts';
import { queuedRequest } from './deliveries.ts';
import { open, Requester } from './sockets.ts';

const prepare = z.object({ kind: z.literal('prepare'), count: z.int() });
const fire = z.object({ kind: z.literal('fire'), port: z.int(), connections: z.int() });
const probe = z.object({ kind: z.literal('probe'), port: z.int(), perSecond: z.number() });
const stop = z.object({ kind: z.literal('stop') });
const order = z.discriminatedUnion('kind', [prepare, fire, probe, stop]);

export const prepared = z.object({ requests: z.int() });
/** When the first request was sent, and when the last was answered. */
export const accepted = z.object({ startedAtMs: z.number(), acceptedAtMs: z.number() });
export const probed = z.object({ p99Ms: z.number(), count: z.int() });

const PROBES = 4_000;
let requests: readonly Buffer[] = [];
let stopped = false;

if (process.send !== undefined) {
  serveParent(async (received) => {
    const message = order.parse(received);
    switch (message.kind) {
      case 'prepare':
        requests = Array.from({ length: message.count }, (_, index) => {
          const { id, request } = queuedRequest(1, index, (jobId) => ['bench', `sid-${jobId}`]);
          if (id <= 0) throw new Error('a job needs an id');
          return request;
        });
        return { requests: requests.length } satisfies z.input<typeof prepared>;
      case 'fire':
        return await burst(message.port, message.connections);
      case 'probe':
        return await pace(message.port, message.perSecond);
      case 'stop':
        stopped = true;
        return undefined;
    }
  });
}

async function burst(port: number, connections: number): Promise<z.input<typeof accepted>> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)));
  let next = 0;
  const startedAtMs = preciseNow();
  await Promise.all(
    sockets.map(async (socket) => {
      const requester = new Requester(socket);
      for (let request = requests[next++]; request !== undefined; request = requests[next++]) {
        const status = await requester.send(request);
        if (status !== 202) throw new Error(`a delivery of the burst was answered with ${status}`);
      }
    }),
  );
  const acceptedAtMs = preciseNow();
  for (const socket of sockets) socket.destroy();
  return { startedAtMs, acceptedAtMs };
}

/** Deliveries about jobs that match no registration; they are stored all the same. */
async function pace(port: number, perSecond: number): Promise<z.input<typeof probed>> {
  const probes = Array.from({ length: PROBES }, (_, index) => queuedRequest(2, index, () => ['elsewhere']).request);
  const latenciesMs: number[] = [];
  const underWay: Promise<void>[] = [];
  for (const request of probes) {
    if (stopped) break;
    underWay.push(timed(port, request, latenciesMs));
    await new Promise((resolve) => setTimeout(resolve, 1000 / perSecond));
  }
  await Promise.all(underWay);
  return { p99Ms: quantile(latenciesMs, 0.99), count: latenciesMs.length };
}

/** On its own connection, so that a waiting request does not block others. */
async function timed(port: number, request: Buffer, latenciesMs: number[]): Promise<void> {
  const startedAtMs = performance.now();
  const socket = await open(port);
  const status = await new Requester(socket).send(request);
  if (status !== 202) throw new Error(`a delivery beside the burst was answered with ${status}`);
  latenciesMs.push(performance.now() - startedAtMs);
  socket.destroy();
}
