import type { AreStrangers } from '../../dispatcher/jobs/facts.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openPostgresLedger } from '../../dispatcher/ledger/postgres/store.ts';
import type { Place } from './opened-ledger.ts';
import { PostgresServer } from './postgres-server.ts';

/**
 * What the tests of one file share: its server, and databases with the ledger's tables, which are emptied after each test.
 */
export class PostgresPlaces {
  readonly #empty: string[] = [];
  #server: PostgresServer | undefined;
  #template: string | undefined;

  get server(): PostgresServer {
    if (this.#server === undefined) throw new Error('it runs while tests do');
    return this.#server;
  }

  async start(): Promise<void> {
    this.#server = new PostgresServer();
    await this.#server.start();
    this.#template = await this.#server.createDatabase();
    const ledger = await this.open(this.#template, () => 1);
    await ledger.close();
  }

  async stop(): Promise<void> {
    await this.#server?.discard();
  }

  newDatabase(): Promise<string> {
    return this.server.createDatabase(this.#template);
  }

  open(database: string, now: () => number, areStrangers?: AreStrangers) {
    const strangers = areStrangers === undefined ? {} : { areStrangers };
    return openPostgresLedger({ address: this.server.address(database), schema: 'shr', now, ...strangers });
  }

  readonly newPlace = async (): Promise<Place> => {
    const database = await this.#emptyDatabase();
    return {
      open: (now) => this.open(database, now),
      discard: () => this.#discard(database),
    };
  };

  /** A ledger in a place of its own, which ends with it. */
  async openOnce(now: () => number, areStrangers: AreStrangers): Promise<Ledger> {
    const database = await this.#emptyDatabase();
    const ledger = await this.open(database, now, areStrangers);
    return {
      ...ledger,
      close: async () => {
        await ledger.close();
        await this.#discard(database);
      },
    };
  }

  async #emptyDatabase(): Promise<string> {
    return this.#empty.pop() ?? (await this.newDatabase());
  }

  async #discard(database: string): Promise<void> {
    await this.server.sql(database, EMPTY_ALL);
    this.#empty.push(database);
  }
}

const EMPTY_ALL = `do $$ declare one text; begin
  for one in select tablename from pg_tables where schemaname = 'shr' and tablename <> 'migrations' loop
    execute format('delete from shr.%I', one);
  end loop;
end $$`;
