/**
 * One session at a PostgreSQL server, through node-postgres. It has no state of its own that outlives a transaction, and
 * no named statements, so that a pooler may stand in between. Every call has a deadline of ours: a server that is frozen,
 * or behind a network that drops packets, does not answer at all.
 */
import { Socket } from 'node:net';
import pg from 'pg';
import type { Clock } from '../../../time/clock.ts';
import type { Query } from '../queries/fixed.ts';
import type { QueryResult } from '../steps/step.ts';
import { isSocket, type PostgresAddress } from './address.ts';

/**
 * Types of columns that are numbers here: int8, int2, int4 (pg_type.dat). One beyond 2^53 loses digits, and is refused when
 * its row is read. Everything else is text.
 */
const INTEGERS: ReadonlySet<number> = new Set([20, 21, 23]);

/** The session is over, or was never there: what it was asked last may or may not have happened. */
export class ConnectionLost extends Error {
  override name = 'ConnectionLost';
}

export interface ConnectionOptions {
  readonly address: PostgresAddress;
  /** PEM, of authorities to trust instead of the system's. */
  readonly ca?: string | undefined;
  readonly after: Clock['after'];
  /** Default 5 s and 10 s. */
  readonly connectMs?: number | undefined;
  readonly answerMs?: number | undefined;
}

export class Connection {
  readonly #client: pg.Client;
  readonly #socket: Socket;
  readonly #after: Clock['after'];
  readonly #answerMs: number;
  /** Why no more can be asked. */
  #over: Error | undefined;

  private constructor({ address, ca, after, answerMs = 10_000 }: ConnectionOptions) {
    this.#after = after;
    this.#answerMs = answerMs;
    this.#socket = new Socket();
    const { host, port, user, password, database, encrypted } = address;
    this.#client = new pg.Client({
      ...{ host, port, user, database },
      // A function, so that no variable of the environment takes its place.
      password: () => password ?? '',
      application_name: 'serverless-hosted-runner',
      stream: () => this.#socket,
      ssl:
        encrypted && !isSocket(host) ? { host, rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) } : false,
      keepAlive: true,
      pipeline: true,
      types: { getTypeParser: (type: number) => (INTEGERS.has(type) ? Number : String) },
    });
    this.#client.on('error', (error) => this.#end(error));
    this.#client.on('end', () => this.#end(new Error('the server closed the connection')));
  }

  /** Rejects with the server's refusal, or with `ConnectionLost`. */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const connection = new Connection(options);
    await connection.#within(options.connectMs ?? 5_000, () => connection.#client.connect());
    return connection;
  }

  get isUsable(): boolean {
    return this.#over === undefined;
  }

  /** `withinMs`: of this call, instead of the usual. */
  async ask({ sql: text, parameters }: Query, withinMs = this.#answerMs): Promise<QueryResult> {
    const { rows, rowCount } = await this.#within(withinMs, () =>
      this.#client.query<Record<string, unknown>>({ text, values: [...parameters] }),
    );
    return { rows, changed: rowCount ?? 0 };
  }

  /** Several statements in one message, without parameters. Returns what each of them answered. */
  async run(text: string): Promise<readonly pg.QueryResult<Record<string, unknown>>[]> {
    // An array where there are several statements, which its types do not tell.
    return [await this.#within(this.#answerMs, () => this.#client.query<Record<string, unknown>>(text))].flat();
  }

  /** At once, whatever it is doing. */
  destroy(): void {
    this.#end(new Error('it was ended'));
  }

  async close(): Promise<void> {
    if (this.#over !== undefined) return;
    await this.#within(1_000, () => this.#client.end()).catch(() => {});
    this.destroy();
  }

  async #within<Result>(ms: number, work: () => Promise<Result>): Promise<Result> {
    if (this.#over !== undefined) throw new ConnectionLost(this.#over.message, { cause: this.#over });
    const cancel = this.#after(ms, () => this.#end(new Error(`no answer within ${ms / 1000} s`)));
    try {
      return await work();
    } catch (error) {
      if (error instanceof pg.DatabaseError) {
        if (error.severity === 'FATAL' || error.severity === 'PANIC') this.#end(error);
        throw error;
      }
      this.#end(error instanceof Error ? error : new Error(String(error)));
      const { message } = this.#over ?? new Error(String(error));
      throw new ConnectionLost(message, { cause: this.#over });
    } finally {
      cancel();
    }
  }

  #end(error: Error): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    this.#socket.destroy();
  }
}
