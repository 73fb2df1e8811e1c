/** PgBouncer of the machine's own packages, in transaction mode, before a server. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { PostgresAddress } from '../../dispatcher/ledger/postgres/address.ts';
import { identity, type PostgresServer, UNTIL_WE_END } from './postgres-server.ts';

const PROGRAM = ['pgbouncer', '/usr/sbin/pgbouncer'].find((name) => spawnSync(name, ['--version']).status === 0);

/** Why there is none to test with; undefined where there is. With REQUIRE_POSTGRES=1 that is an error. */
export function pgbouncerProblem(): string | undefined {
  if (PROGRAM !== undefined) return undefined;
  const problem = 'PgBouncer is not installed';
  if (process.env['REQUIRE_POSTGRES'] === '1') throw new Error(`REQUIRE_POSTGRES=1, but ${problem}`);
  return problem;
}

export class PgBouncer {
  readonly #server: PostgresServer;
  #process: ChildProcess | undefined;

  constructor(server: PostgresServer) {
    this.#server = server;
  }

  address(database: string): PostgresAddress {
    return { ...this.#server.address(database), port: 6432 };
  }

  /** `sessions`: of the server, which all clients share. */
  async start(sessions: number): Promise<void> {
    const { folder } = this.#server;
    const file = join(folder, 'pgbouncer.ini');
    const settings = [
      ...['[databases]', `* = host=${folder} port=5432 user=shr`],
      ...['[pgbouncer]', 'listen_port = 6432', `unix_socket_dir = ${folder}`, 'auth_type = any'],
      ...['pool_mode = transaction', `default_pool_size = ${sessions}`, 'logfile = /dev/null'],
    ];
    writeFileSync(file, settings.join('\n'));
    chmodSync(file, 0o644);
    if (PROGRAM === undefined) throw new Error('PgBouncer is not installed');
    const [program, ...before] = [...UNTIL_WE_END, PROGRAM];
    this.#process = spawn(program, [...before, file], {
      ...identity(),
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      said = `${said}${chunk}`.slice(-10_000);
    });
    for (let look = 0; look < 200; look += 1) {
      const { host, port, user, database } = this.address('postgres');
      const client = new pg.Client({ host, port, user, database });
      try {
        await client.connect();
        await client.end();
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
    }
    throw new Error(`PgBouncer does not answer: ${said}`);
  }

  async stop(): Promise<void> {
    const ending = this.#process;
    if (ending === undefined || ending.exitCode !== null) return;
    const ended = new Promise((resolve) => ending.once('exit', resolve));
    ending.kill('SIGKILL');
    await ended;
  }
}
