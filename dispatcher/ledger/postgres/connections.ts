/**
 * A few sessions that take turns. A server that cannot be reached is tried by one caller at a time, and by nobody until a
 * pause has passed, which grows: the others are refused at once, and a server that comes back is not met by all of them.
 */
import { backoffMs } from '../../../time/backoff.ts';
import { jitter, type Random } from '../../../time/clock.ts';
import { Connection, ConnectionLost, type ConnectionOptions } from './connection.ts';

const FIRST_PAUSE_MS = 200;
const MOST_PAUSE_MS = 5_000;

/** No session could be had: nothing was asked. */
export class NoConnection extends Error {
  override name = 'NoConnection';
}

interface Waiting {
  take(connection: Connection): void;
  refuse(error: Error): void;
}

export interface ConnectionsOptions extends ConnectionOptions {
  readonly most: number;
  readonly random: Random;
}

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #idle: Connection[] = [];
  readonly #inUse = new Set<Connection>();
  readonly #waiting: Waiting[] = [];
  #opening = 0;
  /** Since the last session that could be had. */
  #failures = 0;
  /** Set during a pause: why. */
  #resting: Error | undefined;
  #cancelRest = () => {};
  #closed = false;
  #attempts = 0;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** How many sessions were asked for, had or not. */
  get attempts(): number {
    return this.#attempts;
  }

  /** `work` has the session to itself until it settles. */
  async use<Result>(work: (connection: Connection) => Promise<Result>): Promise<Result> {
    const connection = await this.#taken();
    try {
      return await work(connection);
    } finally {
      this.#inUse.delete(connection);
      if (connection.isUsable && !this.#closed) this.#idle.push(connection);
      else await connection.close();
      this.#serve();
    }
  }

  /** What is in use is waited for. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRest();
    this.#refuseAll(new NoConnection('it is closed'));
    await Promise.all(this.#idle.splice(0).map((connection) => connection.close()));
  }

  #taken(): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        take: (connection) => {
          cancel();
          this.#inUse.add(connection);
          resolve(connection);
        },
        refuse: (error) => {
          cancel();
          reject(error);
        },
      };
      const { answerMs = 10_000 } = this.#options;
      const cancel = this.#options.after(answerMs, () => {
        const at = this.#waiting.indexOf(waiting);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(new NoConnection(`all ${this.#options.most} connections were in use for ${answerMs / 1000} s`));
      });
      this.#waiting.push(waiting);
      this.#serve();
    });
  }

  #serve(): void {
    if (this.#closed) this.#refuseAll(new NoConnection('it is closed'));
    while (this.#waiting.length > 0) {
      const connection = this.#idle.pop();
      if (connection === undefined) break;
      if (connection.isUsable) this.#waiting.shift()?.take(connection);
    }
    if (this.#resting !== undefined) {
      // Those in use come back, or break.
      if (this.#inUse.size === 0) this.#refuseAll(this.#resting);
      return;
    }
    const most = this.#failures > 0 ? 1 : this.#options.most;
    const wanted = Math.min(this.#waiting.length, most - this.#inUse.size) - this.#opening;
    for (let count = 0; count < wanted; count += 1) void this.#open();
  }

  async #open(): Promise<void> {
    this.#opening += 1;
    this.#attempts += 1;
    try {
      const connection = await Connection.open(this.#options);
      this.#opening -= 1;
      this.#failures = 0;
      if (this.#closed) await connection.close();
      else this.#idle.push(connection);
    } catch (error) {
      this.#opening -= 1;
      this.#rest(error);
    }
    this.#serve();
  }

  #rest(error: unknown): void {
    const words = error instanceof Error ? error.message : String(error);
    this.#resting = new NoConnection(words, { cause: error instanceof ConnectionLost ? error.cause : error });
    const pauseMs = jitter(backoffMs(FIRST_PAUSE_MS, MOST_PAUSE_MS, this.#failures), this.#options.random);
    this.#failures += 1;
    this.#cancelRest();
    this.#cancelRest = this.#options.after(pauseMs, () => {
      this.#resting = undefined;
      this.#serve();
    });
  }

  #refuseAll(error: Error): void {
    for (const waiting of this.#waiting.splice(0)) waiting.refuse(error);
  }
}
