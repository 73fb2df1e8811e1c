/** The servers that the intake benchmark compares, one per process: `durable FILE`, `limit`, `nothing`. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { z } from 'zod';
import { createPublicListener } from '../../dispatcher/http/public.ts';
import { createIntake } from '../../dispatcher/intake/webhook.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { createLog } from '../../dispatcher/observability/log.ts';
import { createMetrics } from '../../dispatcher/observability/metrics.ts';
import { systemClock } from '../../time/clock.ts';
import { serveParent } from './child.ts';
import { benchmarkSecret } from './deliveries.ts';

export const listening = z.object({ port: z.int() });

/** The real listener, intake and ledger, with the log and metrics that `serve` gives them. */
async function durable(path: string): Promise<number> {
  const ledger = await openSqliteLedger({ path, now: systemClock.now, gather: setImmediate });
  const metrics = createMetrics({ sources: { ledger, clock: systemClock, registrations: () => noRegistrations } });
  const endpoints = [{ host: 'github.com', appId: undefined, secrets: [new Secret(benchmarkSecret)], owners: ['*'] }];
  const intake = createIntake({
    ledger,
    clock: systemClock,
    log: createLog({ level: 'info', write: (line) => process.stderr.write(line), clock: systemClock }),
    metrics,
    endpoints: () => endpoints,
    registrations: () => noRegistrations,
    onRecorded: () => {},
    // Far above the limit of an endpoint in production: the benchmark measures how fast deliveries are accepted.
    limits: { maxPerMinute: 10_000_000 },
  });
  return createPublicListener({ intake, clock: systemClock, metrics }).listen('127.0.0.1', 0);
}

const noRegistrations: never[] = [];

/** The minimum for any receiver: read the body, verify the signature, parse it, answer. Nothing is stored. */
function limit(): Promise<number> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const claimed = Buffer.from(String(request.headers['x-hub-signature-256']).slice('sha256='.length), 'hex');
      const digest = createHmac('sha256', benchmarkSecret).update(body).digest();
      const signed = claimed.length === digest.length && timingSafeEqual(claimed, digest);
      const event: unknown = signed ? JSON.parse(body.toString()) : undefined;
      response.writeHead(event === undefined ? 401 : 202, { 'content-length': 0 });
      response.end();
    });
  });
  return listen(server);
}

/** The load generator's own limit: the same requests, without even reading their bodies. */
function nothing(): Promise<number> {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      response.writeHead(202, { 'content-length': 0 });
      response.end();
    });
  });
  return listen(server);
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}

function start(kind: string | undefined, path: string | undefined): Promise<number> {
  if (kind === 'durable' && path !== undefined) return durable(path);
  if (kind === 'limit') return limit();
  return nothing();
}

if (process.send !== undefined) {
  const port = await start(process.argv[2], process.argv[3]);
  serveParent(async () => ({ port }) satisfies z.input<typeof listening>);
}
