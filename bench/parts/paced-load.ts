/**
 * Sends deliveries at a fixed rate, regardless of the answers, and reports when each was sent and how it was answered.
 */
import type { Socket } from 'node:net';
import { z } from 'zod';
import { preciseNow, serveParent } from './child.ts';
import { type QueuedJob, queuedRequest } from './deliveries.ts';
import { open, Requester } from './sockets.ts';

const order = z.object({ port: z.int(), series: z.int(), count: z.int(), perSecond: z.number() });

export const accepted = z.object({
  answers: z.array(z.object({ jobId: z.number(), sentAtMs: z.number(), status: z.int() })),
});

type Answer = z.input<typeof accepted>['answers'][number];

if (process.send !== undefined) {
  serveParent(async (received) => {
    const { port, series, count, perSecond } = order.parse(received);
    const jobs = Array.from({ length: count }, (_, index) =>
      queuedRequest(series, index, (id) => ['bench', `sid-${id}`]),
    );
    const idle: Requester[] = [];
    const sockets: Socket[] = [];
    const take = async () => {
      const requester = idle.pop();
      if (requester !== undefined) return requester;
      const socket = await open(port);
      sockets.push(socket);
      return new Requester(socket);
    };
    const send = async ({ id, request }: QueuedJob): Promise<Answer> => {
      const requester = await take();
      const sentAtMs = preciseNow();
      const status = await requester.send(request);
      idle.push(requester);
      return { jobId: id, sentAtMs, status };
    };
    const startedAtMs = performance.now();
    const answers = jobs.map(async (job, index) => {
      const dueInMs = startedAtMs + (index * 1000) / perSecond - performance.now();
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueInMs)));
      return await send(job);
    });
    const all = await Promise.all(answers);
    for (const socket of sockets) socket.destroy();
    return { answers: all } satisfies z.input<typeof accepted>;
  });
}
