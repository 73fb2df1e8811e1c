/**
 * The ledger in one schema of a PostgreSQL database.
 *
 * The steps of SQLite run here with an `await` at each query. One session writes: concurrent writes are collected while
 * the group before them commits, and share a serializable transaction. Others read, what takes several queries from one
 * snapshot. No session has a state of its own between two transactions, so a pooler in transaction mode may stand in
 * between; what a transaction is allowed is set within it.
 *
 * The ledger belongs to the dispatcher that opened it last: each transaction looks at whose it is, in the message that
 * begins it, and from then on holds a lock that whoever opens it waits for.
 */
import { z } from 'zod';
import { type Clock, jitter, type Random, sleep, systemClock, systemRandom } from '../../../time/clock.ts';
import { MINUTE, SECOND } from '../../../time/units.ts';
import { type AreStrangers, neverStrangers } from '../../jobs/facts.ts';
import { type Ledger, LedgerError, MAX_OPEN_JOBS, UnreadableRowError, type WriteTrouble } from '../ledger.ts';
import { migrate, SCHEMA_VERSION } from '../migrations/migrations.ts';
import type { Builder, Query } from '../queries/fixed.ts';
import type { Context, QueryResult, Step } from '../steps/step.ts';
import { refuseUnstorable } from '../storable.ts';
import { ledgerOn, type Store } from '../store.ts';
import { LastingTrouble } from '../write-trouble.ts';
import { type PostgresAddress, shownAddress } from './address.ts';
import { migrationBuilder, postgresBuilder } from './builders.ts';
import type { Connection } from './connection.ts';
import { Connections } from './connections.ts';
import {
  closedError,
  foreignError,
  isConflict,
  isLoss,
  ledgerErrorFrom,
  movedError,
  newerError,
  oldError,
  refusedBegin,
  takenError,
  unknownOutcome,
} from './errors.ts';

export interface PostgresOptions {
  readonly address: PostgresAddress;
  /** Is created if it does not exist. */
  readonly schema: string;
  /** PEM, of authorities to trust instead of the system's. */
  readonly ca?: string;
  /** Of all, one writes. At least 2, default 5. */
  readonly mostConnections?: number;
  now(): number;
  /** Default: none, as without tenants. */
  readonly areStrangers?: AreStrangers;
  /** Per share. Default `MAX_OPEN_JOBS`. */
  readonly mostOpenJobs?: number;
  /** Runs the action once concurrent writes are collected. Default: `queueMicrotask`. */
  readonly gather?: (action: () => void) => void;
  /** Default: the system's. */
  readonly after?: Clock['after'];
  readonly random?: Random;
  /** Opening takes longer than a call may: called again and again while it does. Default: nothing is said. */
  readonly onWait?: (reason: string) => void;
  /** See `ConnectionOptions`. */
  readonly connectMs?: number;
  readonly answerMs?: number;
}

export interface PostgresLedger extends Ledger {
  /** What its tables take, with their indexes. */
  bytes(): Promise<number>;
}

/** Rejects with a LedgerError that says what to do. */
export async function openPostgresLedger(options: PostgresOptions): Promise<PostgresLedger> {
  const store = new PostgresStore(options);
  try {
    await store.open();
  } catch (error) {
    await store.close();
    throw error;
  }
  return { ...ledgerOn(store), bytes: () => store.bytes() };
}

/** It numbers transactions in 64 bits, and tells what became of one by that number. */
export const OLDEST_SERVER = 130_000;
const settingsSchema = z.tuple([z.object({ version: z.int(), commits: z.string() })]);

/** Of one transaction: the rest waits for the next. */
const MOST_WRITES = 200;
/** Of a group that is in the way of another transaction, or whose session breaks. */
const MOST_ATTEMPTS = 5;
const FIRST_PAUSE_MS = 20;
/** How long the server is asked what became of a commit: a webhook is answered in 10 s. */
const OUTCOME_MS = 3 * SECOND;
/** Of one look: a session that is silent is given up for another. */
const LOOK_MS = SECOND;
const OUTCOME_PAUSE_MS = 250;

/** What holds others up is ended by the server: a process that is stopped in the middle of a transaction, a lock. */
const LIMITS =
  "set local lock_timeout = '5s'; set local statement_timeout = '9s'; set local idle_in_transaction_session_timeout = '15s'";
/** Of one statement of a migration: there may be millions of rows. */
const MIGRATION_MS = 10 * MINUTE;
/** The server ends a statement before we give it up. */
const MIGRATION_LIMITS = `set local lock_timeout = '60s'; set local statement_timeout = ${MIGRATION_MS - 5 * SECOND}; set local idle_in_transaction_session_timeout = '60s'`;
const WAIT_NOTE_MS = 10 * SECOND;
/** Of the advisory lock that migrations take, with the schema's. */
const LOCK = 0x5348;
/** Of the row that says whose the ledger is. */
const HOLDER = 'ledger';

type Asking = Pick<Connection, 'ask'>;

/** A write waiting for its group. */
interface Write {
  run(connection: Connection): Promise<void>;
  /** Whether its result must be on the disk of the server when it is answered. Once it has run. */
  mustLast(): boolean;
  committed(): void;
  failed(error: unknown): void;
}

/** Of the writes that failed alone: why. */
type Failures = ReadonlyMap<Write, unknown>;

class PostgresStore implements Store {
  readonly #options: PostgresOptions;
  readonly #ledger: string;
  readonly #builder: Builder;
  readonly #schema: string;
  readonly #after: Clock['after'];
  readonly #random: Random;
  readonly #gather: (action: () => void) => void;
  readonly #writing: Connections;
  readonly #reading: Connections;
  readonly #notCommitted: LastingTrouble;
  readonly #holder: string;
  /** Whose the ledger was. */
  #holderBefore: string | undefined;
  /** Since it was opened. */
  #hasWritten = false;
  #group: Write[] = [];
  #draining: Promise<void> | undefined;
  /** Something has committed that a server which loses power may forget. */
  #unflushed = false;
  /** Commits as the server is set to, with standbys or without; never without its disk. */
  #lasting = 'commit';
  #deciding = false;
  #closed: Promise<void> | undefined;

  constructor(options: PostgresOptions) {
    const { address, ca, after = systemClock.after, random = systemRandom, mostConnections = 5 } = options;
    this.#options = options;
    this.#after = after;
    this.#random = random;
    this.#ledger = `the ledger ${shownAddress(address)}, schema ${options.schema}`;
    this.#builder = postgresBuilder(options.schema);
    this.#schema = `"${options.schema.replaceAll('"', '""')}"`;
    this.#gather = options.gather ?? queueMicrotask;
    const { connectMs, answerMs } = options;
    const parts = { address, ca, after, random, connectMs, answerMs };
    this.#writing = new Connections({ ...parts, most: 1 });
    this.#reading = new Connections({ ...parts, most: Math.max(1, mostConnections - 1) });
    this.#notCommitted = new LastingTrouble(() => options.now());
    this.#holder = Array.from({ length: 4 }, () => Math.floor(random() * 2 ** 32).toString(36)).join('');
  }

  async open(): Promise<void> {
    await this.#translated(async () => {
      await this.#persevering(() => this.#writing.use((connection) => this.#sayingSo(() => this.#prepare(connection))));
    });
  }

  async #sayingSo(work: () => Promise<void>): Promise<void> {
    const { answerMs = WAIT_NOTE_MS, onWait = () => {} } = this.#options;
    let waitedMs = 0;
    const again = () =>
      this.#after(answerMs, () => {
        waitedMs += answerMs;
        onWait(
          `a migration of ${this.#ledger} has taken ${Math.round(waitedMs / SECOND)} s, or waits for another session to end`,
        );
        cancel = again();
      });
    let cancel = again();
    try {
      await work();
    } finally {
      cancel();
    }
  }

  async #prepare(connection: Connection): Promise<void> {
    const [server] = await connection.run(
      "select current_setting('server_version_num')::int as version, current_setting('synchronous_commit') as commits",
    );
    const [{ version, commits }] = settingsSchema.parse(server?.rows);
    if (commits === 'off') this.#lasting = 'set local synchronous_commit = on; commit';
    if (version < OLDEST_SERVER) throw oldError(this.#ledger, Math.floor(version / 10_000), OLDEST_SERVER / 10_000);
    const patient: Asking = { ask: (query) => connection.ask(query, MIGRATION_MS) };
    try {
      await connection.run(`begin; ${MIGRATION_LIMITS}; set local search_path = ${this.#schema}, pg_catalog`);
      // Two that start at once: the second finds everything done.
      await patient.ask({ sql: 'select pg_advisory_xact_lock($1, hashtext($2))', parameters: [LOCK, this.#schema] });
      const { isNew } = await this.#refuseForeign(connection);
      // What the dispatcher before us is writing ends first, and then it writes nothing more: see `#begin`.
      if (!isNew) await patient.ask({ sql: `lock table ${this.#schema}."leases" in exclusive mode`, parameters: [] });
      const found = await this.#drive(patient, migrate, migrationBuilder);
      if (found > SCHEMA_VERSION) throw newerError(this.#ledger, found, SCHEMA_VERSION);
      const { rows } = await ask(patient, this.#ownerQuery());
      const [owner] = z.array(z.object({ holder: z.string() })).parse(rows);
      // Ours: this is done again, as it was not known what became of it.
      if (owner !== undefined && owner.holder !== this.#holder) this.#holderBefore = owner.holder;
      await ask(
        patient,
        this.#builder
          .insertInto('leases')
          .values({ name: HOLDER, holder: this.#holder, untilMs: 0 })
          .onConflict((conflict) => conflict.column('name').doUpdateSet({ holder: this.#holder }))
          .compile(),
      );
      await connection.run('commit');
    } catch (error) {
      await rollBack(connection);
      throw error;
    }
  }

  #ownerQuery(): Query {
    return this.#builder.selectFrom('leases').select('holder').where('name', '=', HOLDER).compile();
  }

  /**
   * One that ends before it has written anything has not started: the dispatcher that it took the ledger from may still
   * serve, and goes on. Never rejects: what cannot be given back stays ours.
   */
  async #giveBack(): Promise<void> {
    const before = this.#holderBefore;
    if (before === undefined || this.#hasWritten) return;
    const query = this.#builder
      .updateTable('leases')
      .set({ holder: before })
      .where('name', '=', HOLDER)
      .where('holder', '=', this.#holder)
      .compile();
    await this.#writing.use((connection) => ask(connection, query)).catch(() => {});
  }

  /** A schema that has tables, and not the history of ours. One that is missing is created. */
  async #refuseForeign(connection: Connection): Promise<{ readonly isNew: boolean }> {
    const { rows } = await connection.ask({
      sql: `select count(c.oid) as tables, count(c.oid) filter (where c.relname = 'migrations') as own
        from pg_namespace n left join pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'p')
        where n.nspname = $1 group by n.oid`,
      parameters: [this.#options.schema],
    });
    const [found] = z.array(z.object({ tables: z.int(), own: z.int() })).parse(rows);
    if (found === undefined) await connection.run(`create schema ${this.#schema}`);
    else if (found.tables > 0 && found.own === 0) throw foreignError(this.#ledger);
    return { isNew: (found?.tables ?? 0) === 0 };
  }

  async read<Result>(step: (context: Context) => Step<Result>): Promise<Result> {
    this.#refuseUse();
    return await this.#translated(() =>
      this.#persevering(() => this.#reading.use((connection) => this.#readOn(connection, step))),
    );
  }

  /** Most ask one question, which needs no transaction. */
  async #readOn<Result>(connection: Connection, step: (context: Context) => Step<Result>): Promise<Result> {
    const context = this.#context();
    const running = step(context);
    const first = this.#next(running);
    if (first.done) return first.value;
    const second = this.#next(running, await ask(connection, first.value));
    if (second.done) return second.value;
    try {
      await connection.run(`begin isolation level repeatable read read only; ${LIMITS}`);
      const result = await this.#drive(connection, step);
      await connection.run('commit');
      return result;
    } catch (error) {
      await rollBack(connection);
      throw error;
    }
  }

  write<Result>(step: (context: Context) => Step<Result>): Promise<Result> {
    return this.#write(
      step,
      () => false,
      () => {},
    );
  }

  writeDurably<Result>(
    step: (context: Context) => Step<Result>,
    mustLast: (result: Result) => boolean = () => true,
    committed: (result: Result) => void = () => {},
  ): Promise<Result> {
    return this.#write(step, mustLast, committed);
  }

  async #write<Result>(
    step: (context: Context) => Step<Result>,
    mustLast: (result: Result) => boolean,
    committed: (result: Result) => void,
  ): Promise<Result> {
    this.#refuseUse();
    return await new Promise<Result>((resolve, reject) => {
      let outcome: { readonly result: Result } | undefined;
      this.#group.push({
        run: async (connection) => {
          outcome = { result: await this.#drive(connection, step) };
        },
        mustLast: () => outcome !== undefined && mustLast(outcome.result),
        committed: () => {
          if (outcome === undefined) {
            reject(new Error('the transaction ended without running its step'));
            return;
          }
          committed(outcome.result);
          resolve(outcome.result);
        },
        failed: (error) => reject(ledgerErrorFrom(error, this.#ledger)),
      });
      if (this.#draining === undefined) this.#drainSoon();
    });
  }

  #drainSoon(): void {
    this.#draining = new Promise<void>((resolve) => this.#gather(resolve)).then(() => this.#drain());
  }

  async #drain(): Promise<void> {
    while (this.#group.length > 0) await this.#commitGroup(this.#group.splice(0, MOST_WRITES));
    // At once: a write from here on begins the next.
    this.#draining = undefined;
  }

  /**
   * All in one transaction. If one of them fails by itself, again with a savepoint before each, so that it fails alone; what
   * fails for the server's sake fails for all.
   */
  async #commitGroup(group: readonly Write[]): Promise<void> {
    let failures: Failures;
    try {
      failures = await this.#persevering(() => this.#transaction(group));
      this.#notCommitted.succeeded();
    } catch (error) {
      const failure = ledgerErrorFrom(error, this.#ledger);
      this.#notCommitted.failed(failure);
      for (const write of group) write.failed(failure);
      return;
    }
    for (const write of group) {
      if (failures.has(write)) write.failed(failures.get(write));
      else write.committed();
    }
  }

  /** Returns what failed alone. */
  async #transaction(group: readonly Write[]): Promise<Failures> {
    try {
      return await this.#committed(group, false);
    } catch (error) {
      if (group.length === 1 || !this.#isOwnFault(error)) throw error;
      return await this.#committed(group, true);
    }
  }

  async #committed(group: readonly Write[], careful: boolean): Promise<Failures> {
    try {
      return await this.#writing.use((connection) => this.#commit(connection, group, careful));
    } catch (error) {
      if (!(error instanceof BrokenCommit)) throw error;
      const outcome = await this.#outcomeOf(error.transaction);
      if (outcome === 'committed') return error.failures;
      throw outcome === 'aborted' ? error.cause : unknownOutcome(this.#ledger, error.cause);
    }
  }

  async #commit(connection: Connection, group: readonly Write[], careful: boolean): Promise<Failures> {
    const failures = new Map<Write, unknown>();
    const transaction = await this.#begin(connection);
    try {
      for (const write of group) {
        if (careful) await this.#runAlone(connection, write, failures);
        else await write.run(connection);
      }
    } catch (error) {
      await rollBack(connection);
      throw error;
    }
    const lasts = group.some((write) => !failures.has(write) && write.mustLast());
    this.#hasWritten = true;
    try {
      await this.#end(connection, lasts);
    } catch (error) {
      if (isLoss(error)) throw new BrokenCommit(transaction, failures, error);
      await rollBack(connection);
      throw error;
    }
    return failures;
  }

  /** Returns the number of the transaction. */
  async #begin(connection: Connection): Promise<string> {
    const leases = `${this.#schema}."leases"`;
    // Before the first snapshot: whoever waits here then sees whose the ledger has become.
    const shared = `lock table ${leases} in row share mode`;
    const own = `select "holder" from ${leases} where "name" = '${HOLDER}'`;
    try {
      const answers = await connection.run(
        `begin isolation level serializable; ${LIMITS}; ${shared}; select pg_current_xact_id()::text as id; ${own}`,
      );
      const [holder, id] = answers.toReversed().map(({ rows }) => rows[0]);
      if (holder === undefined) throw movedError(this.#ledger);
      if (holder['holder'] !== this.#holder) throw takenError(this.#ledger);
      return z.object({ id: z.string() }).parse(id).id;
    } catch (error) {
      await rollBack(connection);
      throw refusedBegin(error, this.#ledger);
    }
  }

  async #runAlone(connection: Connection, write: Write, failures: Map<Write, unknown>): Promise<void> {
    await connection.run('savepoint alone');
    try {
      await write.run(connection);
    } catch (error) {
      if (!this.#isOwnFault(error)) throw error;
      failures.set(write, error);
      await connection.run('rollback to savepoint alone');
    }
    await connection.run('release savepoint alone');
  }

  async #end(connection: Connection, lasts: boolean): Promise<void> {
    const answers = await connection.run(lasts ? this.#lasting : 'set local synchronous_commit = off; commit');
    const ended = answers.at(-1)?.command;
    if (ended !== 'COMMIT') throw new Error(`a commit was answered with ${ended}`);
    this.#unflushed = !lasts;
  }

  /** The server keeps what became of each transaction, also over a restart (pg_xact_status of PostgreSQL 10). */
  #outcomeOf(transaction: string): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      let isOver = false;
      const cancel = this.#after(OUTCOME_MS, () => {
        isOver = true;
        // A look on its way may wait for a session longer than that.
        resolve('unknown');
      });
      this.#lookFor(transaction, () => isOver)
        .then(resolve, reject)
        .finally(cancel);
    });
  }

  async #lookFor(transaction: string, isOver: () => boolean): Promise<Outcome> {
    const query = { sql: 'select pg_xact_status($1::xid8) as status', parameters: [transaction] };
    while (!isOver()) {
      try {
        const { rows } = await this.#reading.use((connection) => connection.ask(query, LOOK_MS));
        const [status] = z.array(z.object({ status: z.string().nullable() })).parse(rows);
        if (status?.status === 'committed' || status?.status === 'aborted') return status.status;
      } catch {
        // The server is away, or is starting.
      }
      await sleep({ after: this.#after }, OUTCOME_PAUSE_MS);
    }
    return 'unknown';
  }

  /** Again, where nothing has happened and the same may succeed. */
  async #persevering<Result>(work: () => Promise<Result>): Promise<Result> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        if (attempt === MOST_ATTEMPTS || !(isConflict(error) || isLoss(error))) throw error;
        await sleep({ after: this.#after }, jitter(FIRST_PAUSE_MS * 2 ** attempt, this.#random, 0.5));
      }
    }
  }

  /** Not the server's, and not that of another transaction. */
  #isOwnFault(error: unknown): boolean {
    if (error instanceof BrokenCommit || isConflict(error) || isLoss(error)) return false;
    const failure = ledgerErrorFrom(error, this.#ledger);
    return !(failure instanceof LedgerError) || failure instanceof UnreadableRowError;
  }

  writeTrouble(): WriteTrouble | undefined {
    return this.#notCommitted.now;
  }

  async verify(): Promise<void> {
    this.#refuseUse();
    await this.#translated(async () => {
      const { rows } = await this.#reading.use((connection) =>
        connection.ask({
          sql: `select (select max("version") from ${this.#schema}."migrations") as version,
            (select "holder" from ${this.#schema}."leases" where "name" = $1) as holder`,
          parameters: [HOLDER],
        }),
      );
      const [found] = z.array(z.object({ version: z.int().nullable(), holder: z.string().nullable() })).parse(rows);
      if (found?.version == null || found.holder === null) throw movedError(this.#ledger);
      if (found.version > SCHEMA_VERSION) throw newerError(this.#ledger, found.version, SCHEMA_VERSION);
      if (found.holder !== this.#holder) throw takenError(this.#ledger);
    });
  }

  async bytes(): Promise<number> {
    this.#refuseUse();
    return await this.#translated(async () => {
      const { rows } = await this.#reading.use((connection) =>
        connection.ask({
          sql: `select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint as bytes
            from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind = 'r'`,
          parameters: [this.#options.schema],
        }),
      );
      const [found] = z.array(z.object({ bytes: z.int() })).parse(rows);
      return found?.bytes ?? 0;
    });
  }

  /** A commit that lasts brings all before it to the disk: the log is one. It has to write something. */
  async persist(): Promise<void> {
    if (!this.#unflushed) return this.#refuseUse();
    await this.writeDurably(function* ({ builder }) {
      yield builder.updateTable('leases').set({ untilMs: 0 }).where('name', '=', HOLDER).compile();
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Commits what waits. */
  async #close(): Promise<void> {
    await this.#draining;
    await this.#giveBack();
    await Promise.all([this.#writing.close(), this.#reading.close()]);
  }

  #refuseUse(): void {
    if (this.#closed !== undefined) throw closedError(this.#ledger);
    // A decision that calls the ledger would wait for the transaction that runs it.
    if (this.#deciding) throw new Error('a decision called the ledger: decisions are pure');
  }

  async #translated<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      throw ledgerErrorFrom(error, this.#ledger);
    }
  }

  #context(builder = this.#builder): Context {
    return {
      builder,
      nowMs: this.#options.now(),
      areStrangers: this.#options.areStrangers ?? neverStrangers,
      mostOpenJobs: this.#options.mostOpenJobs ?? MAX_OPEN_JOBS,
    };
  }

  async #drive<Result>(
    connection: Asking,
    step: (context: Context) => Step<Result>,
    builder?: Builder,
  ): Promise<Result> {
    const running = step(this.#context(builder));
    /** Answers on their way to queries that the step has yet to come to. */
    const ahead: Promise<QueryResult>[] = [];
    let turn = this.#next(running);
    while (!turn.done) {
      const answer = ahead.shift() ?? ask(connection, turn.value);
      for (const query of turn.value.ahead ?? []) {
        const later = ask(connection, query);
        // If one before it fails, it is not waited for.
        later.catch(() => {});
        ahead.push(later);
      }
      turn = this.#next(running, await answer);
    }
    return turn.value;
  }

  #next<Result>(running: Step<Result>, ...[answer]: [] | [QueryResult]): IteratorResult<Query, Result> {
    this.#deciding = true;
    try {
      return answer === undefined ? running.next(NOTHING) : running.next(answer);
    } finally {
      this.#deciding = false;
    }
  }
}

type Outcome = 'committed' | 'aborted' | 'unknown';

/** The first call of a generator takes no answer. */
const NOTHING: QueryResult = { rows: [], changed: 0 };

/** The session broke while it committed. */
class BrokenCommit extends Error {
  readonly transaction: string;
  readonly failures: Failures;

  constructor(transaction: string, failures: Failures, cause: unknown) {
    super('the session broke while it committed', { cause });
    this.transaction = transaction;
    this.failures = failures;
  }
}

async function ask(connection: Asking, query: Query): Promise<QueryResult> {
  for (const parameter of query.parameters) refuseUnstorable(parameter);
  return await connection.ask(query);
}

/** Also of one that could not begin: the server keeps it as failed until then. Of a session that broke, the server does it. */
async function rollBack(connection: Connection): Promise<void> {
  try {
    if (connection.isUsable) await connection.run('rollback');
  } catch {
    connection.destroy();
  }
}
