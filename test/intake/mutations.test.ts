/**
 * `MUTATIONS=5000 SEED=7 mocha test/intake/mutations.test.ts`: fewer, or others. The same seed sends the same bytes.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { z } from 'zod';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { systemClock } from '../../time/clock.ts';
import type { Sent } from './mutation-world.ts';
import { type Kind, mutationFor } from './mutations.ts';
import { type ExpectedJob, judge } from './oracle.ts';
import { Wire, type WireReply } from './wire.ts';

const total = Number(process.env['MUTATIONS'] ?? 100_000);
const seed = Number(process.env['SEED'] ?? 20_210_615);
const connections = 32;
const megabyte = 1024 * 1024;

const memorySchema = z.object({ rss: z.number(), heapUsed: z.number(), external: z.number() });
const countSchema = z.object({ count: z.int() });

/** What the oracle expects of the ledger in the end. */
class Expected {
  readonly deliveries = new Set<string>();
  readonly jobs = new Map<string, { readonly job: ExpectedJob; facts: number }>();
  readonly mistakes: string[] = [];

  check(index: number, kind: Kind, sent: Sent, reply: WireReply): void {
    const verdict = judge(sent);
    const { record } = verdict;
    const name = record === undefined ? undefined : `${record.endpoint} ${record.guid} ${record.action}`;
    const double = record !== undefined && this.#seen.has(`${record.endpoint} ${record.guid}`);
    const status = double ? 200 : verdict.status;
    const outcomeFits =
      record === undefined
        ? reply.outcome !== 'recorded' && reply.outcome !== 'duplicate'
        : reply.outcome === (double ? 'duplicate' : 'recorded');
    if (reply.status !== status || !outcomeFits) {
      this.mistakes.push(
        `case ${index} (${kind}): expected ${status} (${verdict.why}), got ${reply.status} ${reply.outcome}: ` +
          `${sent.method} ${sent.path} ${JSON.stringify(sent.headers)} ${sent.body.toString().slice(0, 1_500)}`,
      );
    }
    if (record === undefined || name === undefined || double) return;
    this.#seen.add(`${record.endpoint} ${record.guid}`);
    this.deliveries.add(name);
    const known = this.jobs.get(record.job.key);
    if (known === undefined) this.jobs.set(record.job.key, { job: record.job, facts: 1 });
    else known.facts += 1;
  }

  readonly #seen = new Set<string>();
}

describe('a hundred thousand mutated deliveries', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shr-mutations-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it(`get the right answer, leave the right facts, and cost no memory (SEED=${seed} MUTATIONS=${total})`, async function () {
    this.timeout(300_000);
    const path = join(folder, 'ledger.sqlite');
    const server = fork(new URL('./mutation-server.ts', import.meta.url), [path]);
    const ended = new Promise<never>((_, reject) => {
      server.once('exit', (code, signal) => reject(new Error(`the dispatcher ended: ${code ?? signal}`)));
    });
    ended.catch(() => {});
    const answer = async (message?: string): Promise<unknown> => {
      const next = once(server, 'message');
      if (message !== undefined) server.send(message);
      const [received] = await Promise.race([next, ended]);
      return received;
    };

    try {
      const { port } = z.object({ port: z.int() }).parse(await answer());
      const expected = new Expected();
      const kinds = new Map<Kind, number>();
      const memory: z.output<typeof memorySchema>[] = [];
      let next = 0;
      const drive = async (wire: Wire): Promise<void> => {
        while (next < total && expected.mistakes.length < 10) {
          const index = next;
          next += 1;
          const { kind, sent, again } = mutationFor(seed, index);
          kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
          expected.check(index, kind, sent, await wire.send(sent));
          if (again !== undefined) expected.check(index, kind, again, await wire.send(again));
          if (index % Math.ceil(total / 20) === 0) memory.push(memorySchema.parse(await answer('memory')));
        }
      };
      const wires = await Promise.all(Array.from({ length: connections }, () => Wire.open(port)));
      await Promise.race([Promise.all(wires.map(drive)), ended]);
      for (const wire of wires) wire.close();
      const { errors } = z.object({ errors: z.array(z.string()) }).parse(await answer('close'));

      expect(expected.mistakes, `SEED=${seed}`).to.deep.equal([]);
      expect(errors).to.deep.equal([]);
      expect(next).to.equal(total);
      expect(kinds.get('fields') ?? 0, 'signed and mutated field by field').to.be.at.least(total / 2);
      await compare(path, expected);

      const [early, late] = [memory.slice(0, 10), memory.slice(10)];
      const peak = (samples: typeof memory, of: 'rss' | 'heapUsed') => Math.max(...samples.map((sample) => sample[of]));
      expect(peak(memory, 'rss') / megabyte, 'resident').to.be.lessThan(400);
      // The lowest samples are those soon after a collection: what is really held.
      const held = (samples: typeof memory) => Math.min(...samples.map(({ heapUsed }) => heapUsed));
      expect((held(late) - held(early)) / megabyte, 'heap growth').to.be.lessThan(32);
      expect((peak(late, 'rss') - peak(early, 'rss')) / megabyte, 'resident growth').to.be.lessThan(64);
    } finally {
      server.kill('SIGKILL');
    }
  });
});

/** The ledger holds what the oracle expects, all of it and nothing else. */
async function compare(path: string, expected: Expected): Promise<void> {
  const database = new Database(path, { readonly: true });
  const found = z
    .array(z.object({ name: z.string() }))
    .parse(
      database.prepare(`SELECT endpoint || ' ' || guid || ' ' || ifnull(action, 'null') AS name FROM deliveries`).all(),
    )
    .map(({ name }) => name);
  const jobs = countSchema.parse(database.prepare('SELECT count(*) AS count FROM jobs').get()).count;
  database.close();
  expect(found.filter((name) => !expected.deliveries.has(name)).slice(0, 5)).to.deep.equal([]);
  expect(found).to.have.length(expected.deliveries.size);
  expect(jobs).to.equal(expected.jobs.size);

  const ledger = await openSqliteLedger({ path, now: systemClock.now });
  try {
    for (const [key, { job, facts }] of expected.jobs) {
      const row = await ledger.job(key);
      if (row === undefined) throw new Error(`the ledger has no job ${key}`);
      // Where several deliveries happened to be about one job, the merging of facts decides: test/ledger judges that.
      if (facts > 1) continue;
      const kept = Object.fromEntries(Object.entries(row).filter(([name]) => name in job));
      expect(kept, key).to.deep.equal(job);
    }
  } finally {
    await ledger.close();
  }
}
