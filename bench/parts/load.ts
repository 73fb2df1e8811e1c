/**
 * The load generator, in its own process. It uses sockets and ready-made bytes, not an HTTP client: it must be able to
 * send far more than the server can answer, or it would measure itself.
 */
import type { Socket } from 'node:net';
import { z } from 'zod';
import { quantile } from './benchmark.ts';
import { serveParent } from './child.ts';
import { signedRequests } from './deliveries.ts';
import { open, Requester } from './sockets.ts';

const prepare = z.object({ kind: z.literal('prepare'), series: z.int(), count: z.int() });
const fire = z.object({
  kind: z.literal('fire'),
  port: z.int(),
  connections: z.int(),
  expectedStatus: z.int(),
  timeLimitMs: z.number(),
});
const message = z.discriminatedUnion('kind', [prepare, fire]);

export const prepared = z.object({ meanBytes: z.number() });
export const fired = z.object({ perSecond: z.number(), p50Ms: z.number(), p99Ms: z.number(), count: z.int() });

let requests: readonly Buffer[] = [];

if (process.send !== undefined) {
  serveParent(async (received) => {
    const order = message.parse(received);
    if (order.kind === 'fire') return shoot(order);
    requests = signedRequests(order.series, order.count);
    return {
      meanBytes: requests.reduce((sum, request) => sum + request.length, 0) / requests.length,
    } satisfies z.input<typeof prepared>;
  });
}

async function shoot(order: z.output<typeof fire>): Promise<z.input<typeof fired>> {
  const latenciesMs: number[] = [];
  let next = 0;
  const sockets = await Promise.all(Array.from({ length: order.connections }, () => open(order.port)));
  const startedAtMs = performance.now();
  const late = setTimeout(() => {
    for (const socket of sockets) socket.destroy(new Error(`not done after ${order.timeLimitMs} ms`));
  }, order.timeLimitMs);
  try {
    await Promise.all(
      sockets.map((socket) =>
        drive(socket, order.expectedStatus, latenciesMs, () => {
          const request = requests[next];
          next += 1;
          return request;
        }),
      ),
    );
  } finally {
    clearTimeout(late);
  }
  const seconds = (performance.now() - startedAtMs) / 1000;
  for (const socket of sockets) socket.destroy();
  return {
    count: latenciesMs.length,
    perSecond: latenciesMs.length / seconds,
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
  };
}

/** Sends one request after the other on one connection, until there are no more. */
async function drive(socket: Socket, expectedStatus: number, latenciesMs: number[], take: () => Buffer | undefined) {
  const requester = new Requester(socket);
  for (let request = take(); request !== undefined; request = take()) {
    const sentAtMs = performance.now();
    const status = await requester.send(request);
    latenciesMs.push(performance.now() - sentAtMs);
    if (status !== expectedStatus) throw new Error(`expected ${expectedStatus}, got ${status}`);
  }
  socket.removeAllListeners();
}
