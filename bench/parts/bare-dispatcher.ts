/**
 * The minimum cost of turning a delivery into a launch: verify the signature, parse, one durable insert, one call. It
 * has no tenants and no planning, and forgets the runner at once. Argument: the database file.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import Sqlite from 'better-sqlite3';
import { z } from 'zod';
import { preciseNow, serveParent } from './child.ts';
import { benchmarkSecret } from './deliveries.ts';
import type { launchReport } from './dispatch-server.ts';

const event = z.object({ workflow_job: z.object({ id: z.number() }) });

async function start(path: string) {
  const launches: { readonly jobId: number; readonly atMs: number }[] = [];
  const database = new Sqlite(path);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec('create table deliveries (guid text primary key, jobId integer) without rowid');
  const insert = database.prepare('insert into deliveries (guid, jobId) values (?, ?)');
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const claimed = Buffer.from(String(request.headers['x-hub-signature-256']).slice('sha256='.length), 'hex');
      const digest = createHmac('sha256', benchmarkSecret).update(body).digest();
      const signed = claimed.length === digest.length && timingSafeEqual(claimed, digest);
      if (signed) {
        const jobId = event.parse(JSON.parse(body.toString())).workflow_job.id;
        insert.run(request.headers['x-github-delivery'], jobId);
        setImmediate(() => launches.push({ jobId, atMs: preciseNow() }));
      }
      response.writeHead(signed ? 202 : 401, { 'content-length': 0 });
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return { port: address.port, launches };
}

const [path] = process.argv.slice(2);
if (process.send !== undefined && path !== undefined) {
  const { port, launches } = await start(path);
  serveParent(
    async () =>
      ({ port, launches: launches.splice(0), cpuMs: process.cpuUsage().user / 1000 }) satisfies z.input<
        typeof launchReport
      >,
  );
}
