/**
 * The load generator, a process of its own. Sockets and ready-made bytes, no HTTP client: it must be able to ask for
 * far more than the server can answer, else it measures itself.
 */
import { connect, type Socket } from 'node:net';
import { z } from 'zod';
import { quantile } from './benchmark.ts';
import { serveParent } from './child.ts';
import { signedRequests } from './deliveries.ts';

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

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** One request after the other on one connection, until there are no more. */
function drive(socket: Socket, expectedStatus: number, latenciesMs: number[], take: () => Buffer | undefined) {
  return new Promise<void>((resolve, reject) => {
    let received = '';
    let sentAtMs = 0;
    const send = () => {
      const request = take();
      if (request === undefined) {
        socket.removeAllListeners();
        resolve();
        return;
      }
      sentAtMs = performance.now();
      socket.write(request);
    };
    socket.setEncoding('latin1');
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the server closed the connection')));
    socket.on('data', (text: string) => {
      received = received === '' ? text : received + text;
      if (!isComplete(received)) return;
      latenciesMs.push(performance.now() - sentAtMs);
      const status = Number(received.slice(9, 12));
      if (status === expectedStatus) {
        received = '';
        send();
      } else {
        reject(new Error(`expected ${expectedStatus}, got: ${received}`));
      }
    });
    send();
  });
}

function isComplete(response: string): boolean {
  const end = response.indexOf('\r\n\r\n');
  if (end === -1) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(response)?.[1];
  return length !== undefined && response.length === end + 4 + Number(length);
}
