/** A PostgreSQL server of the machine's own packages in a folder of its own, one for the whole process of the tests. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import pg from 'pg';
import type { PostgresAddress } from '../../dispatcher/ledger/postgres/address.ts';

const PACKAGES = '/usr/lib/postgresql';
/** `nobody` of Debian: the server refuses to run as root. */
const NOBODY = 65_534;

function programs(): string | undefined {
  const packaged = existsSync(PACKAGES)
    ? readdirSync(PACKAGES)
        .sort((one, other) => Number(other) - Number(one))
        .map((version) => join(PACKAGES, version, 'bin'))
    : [];
  const folders = [...packaged, ...(process.env['PATH'] ?? '').split(delimiter)];
  return folders.find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')));
}

/** Why there is no server to test with; undefined where there is. With REQUIRE_POSTGRES=1 that is an error. */
export function postgresProblem(): string | undefined {
  if (programs() !== undefined) return undefined;
  const problem =
    'PostgreSQL is not installed: initdb and postgres were found neither in /usr/lib/postgresql nor on the PATH';
  if (process.env['REQUIRE_POSTGRES'] === '1') throw new Error(`REQUIRE_POSTGRES=1, but ${problem}`);
  return problem;
}

/** A process of tests that is killed leaves no server behind, where the system can do that. */
export const UNTIL_WE_END: readonly string[] = existsSync('/usr/bin/setpriv')
  ? ['/usr/bin/setpriv', '--pdeathsig', 'QUIT']
  : [];

/** Of the processes that refuse to run as root. */
export function identity() {
  return process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
}

export class PostgresServer {
  readonly folder: string;
  readonly #bin: string;
  readonly #port: number | undefined;
  #process: ChildProcess | undefined;
  #databases = 0;

  /** `port`: listens there, on 127.0.0.1, besides its socket. */
  constructor({ port }: { readonly port?: number } = {}) {
    const bin = programs();
    if (bin === undefined) throw new Error('PostgreSQL is not installed');
    this.#bin = bin;
    this.#port = port;
    this.folder = mkdtempSync(join(tmpdir(), 'postgres-'));
    if (process.getuid?.() === 0) chownSync(this.folder, NOBODY, NOBODY);
    const options = [
      '--auth=trust',
      '--username=shr',
      '--encoding=UTF8',
      '--no-sync',
      '--no-instructions',
      '--wal-segsize=1',
    ];
    execFileSync(join(bin, 'initdb'), ['--pgdata', join(this.folder, 'data'), ...options], {
      ...identity(),
      cwd: this.folder,
      stdio: 'pipe',
    });
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error('the server does not run');
    return pid;
  }

  address(database = 'postgres'): PostgresAddress {
    const place = { host: this.folder, port: this.#port ?? 5432 };
    return { ...place, user: 'shr', password: undefined, database, encrypted: false };
  }

  async start(further: Readonly<Record<string, string>> = {}): Promise<void> {
    const settings = {
      listen_addresses: this.#port === undefined ? '' : '127.0.0.1',
      port: String(this.#port ?? 5432),
      unix_socket_directories: this.folder,
      fsync: 'off',
      full_page_writes: 'off',
      shared_buffers: '32MB',
      max_connections: '60',
      autovacuum: 'off',
      ...further,
    };
    const words = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const [program, ...before] = [...UNTIL_WE_END, join(this.#bin, 'postgres')];
    this.#process = spawn(program, [...before, '-D', join(this.folder, 'data'), ...words], {
      ...identity(),
      cwd: this.folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      said = `${said}${chunk}`.slice(-10_000);
    });
    for (let attempt = 0; attempt < 200; attempt += 1) {
      if (this.#process.exitCode !== null) throw new Error(`the server ended: ${said}`);
      try {
        await this.sql('postgres', 'select 1');
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    throw new Error(`the server does not answer: ${said}`);
  }

  /** `SIGINT` ends it at once and cleanly, `SIGQUIT` as a crash does. */
  async stop(signal: 'SIGINT' | 'SIGQUIT' = 'SIGINT'): Promise<void> {
    const ending = this.#process;
    this.#process = undefined;
    if (ending === undefined || ending.exitCode !== null) return;
    const ended = new Promise((resolve) => ending.once('exit', resolve));
    ending.kill(signal);
    await ended;
  }

  async discard(): Promise<void> {
    await this.stop('SIGQUIT');
    rmSync(this.folder, { recursive: true, force: true });
  }

  async sql(database: string, text: string): Promise<Record<string, unknown>[]> {
    const { host, port, user } = this.address();
    const client = new pg.Client({ host, port, user, database });
    await client.connect();
    try {
      const answer: unknown = await client.query(text);
      const [last] = Array.isArray(answer) ? answer.slice(-1) : [answer];
      return last.rows;
    } finally {
      await client.end();
    }
  }

  /** A new one, a copy of `template`. */
  async createDatabase(template?: string): Promise<string> {
    this.#databases += 1;
    const name = `test_${this.#databases}`;
    await this.sql('postgres', `create database ${name}${template === undefined ? '' : ` template ${template}`}`);
    return name;
  }

  async dropDatabase(name: string): Promise<void> {
    await this.sql('postgres', `drop database ${name} with (force)`);
  }
}
