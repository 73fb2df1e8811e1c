/** Sends deliveries at a fixed pace, however fast they are answered, and reports when each was answered. */
import { Agent, request } from 'node:http';
import { z } from 'zod';
import { serveParent } from './child.ts';
import { queuedJob } from './deliveries.ts';
import { preciseNow } from './dispatch-server.ts';

const order = z.object({ port: z.int(), series: z.int(), count: z.int(), perSecond: z.number() });

export const accepted = z.object({
  answers: z.array(z.object({ jobId: z.number(), atMs: z.number(), status: z.int() })),
});

const agent = new Agent({ keepAlive: true, maxSockets: 16 });

if (process.send !== undefined) {
  serveParent(async (received) => {
    const { port, series, count, perSecond } = order.parse(received);
    const jobs = Array.from({ length: count }, (_, index) => {
      const id = 10_000_000_000 + series * 1_000_000 + index;
      return queuedJob(series, index, ['bench', `sid-${id}`]);
    });
    const startedAtMs = performance.now();
    const answers = jobs.map(async (job, index) => {
      const dueInMs = startedAtMs + (index * 1000) / perSecond - performance.now();
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueInMs)));
      return await post(port, job);
    });
    return { answers: await Promise.all(answers) } satisfies z.input<typeof accepted>;
  });
}

function post(
  port: number,
  job: ReturnType<typeof queuedJob>,
): Promise<{ readonly jobId: number; readonly atMs: number; readonly status: number }> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      path: '/webhooks/github',
      method: 'POST',
      headers: job.headers,
      agent,
      timeout: 10_000,
    };
    const call = request(options, (response) => {
      const atMs = preciseNow();
      response.resume();
      response.on('end', () => resolve({ jobId: job.id, atMs, status: response.statusCode ?? 0 }));
    });
    call.on('error', reject);
    call.end(job.body);
  });
}
