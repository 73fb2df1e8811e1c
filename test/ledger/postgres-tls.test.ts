import { execFileSync } from 'node:child_process';
import { chownSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { addressOf } from '../../dispatcher/ledger/postgres/address.ts';
import { Connection } from '../../dispatcher/ledger/postgres/connection.ts';
import { systemClock } from '../../time/clock.ts';
import { rejection } from './opened-ledger.ts';
import { identity, PostgresServer, postgresProblem } from './postgres-server.ts';

const problem = postgresProblem();

describe(`a connection to PostgreSQL over the network${problem === undefined ? '' : ` (${problem})`}`, () => {
  let server: PostgresServer | undefined;
  let port = 0;
  /** Of `localhost`, signed by itself. */
  let certificate = '';

  before(async function () {
    if (problem !== undefined) this.skip();
    port = await freePort();
    server = new PostgresServer({ port });
    const cwd = join(server.folder, 'data');
    const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    const files = ['-keyout', 'server.key', '-out', 'server.crt', '-subj', '/CN=db'];
    execFileSync('openssl', [...words, ...files, '-addext', 'subjectAltName=DNS:localhost'], { cwd, stdio: 'pipe' });
    const { uid, gid } = identity();
    if (uid !== undefined) for (const file of ['server.key', 'server.crt']) chownSync(join(cwd, file), uid, gid);
    certificate = readFileSync(join(cwd, 'server.crt'), 'utf8');
    await server.start({ ssl: 'on' });
  });
  after(() => server?.discard());

  async function isEncrypted(host: string, mode: string, ca?: string): Promise<unknown> {
    const address = addressOf(`postgresql://shr:a-password@${host}:${port}/postgres?sslmode=${mode}`);
    const connection = await Connection.open({ address, ca, after: systemClock.after });
    try {
      const sql = 'select ssl::text from pg_stat_ssl where pid = pg_backend_pid()';
      return (await connection.ask({ sql, parameters: [] })).rows[0];
    } finally {
      await connection.close();
    }
  }

  it('is encrypted, with a certificate that is trusted and of its name', async () => {
    expect(await isEncrypted('localhost', 'verify-full', certificate)).to.deep.equal({ ssl: 'true' });
    expect(await isEncrypted('localhost', 'require', certificate)).to.deep.equal({ ssl: 'true' });
    expect(await isEncrypted('localhost', 'disable')).to.deep.equal({ ssl: 'false' });
  });

  it('is refused where the certificate is not trusted, also with sslmode=require', async () => {
    for (const mode of ['require', 'verify-full']) {
      expect(await rejection(isEncrypted('localhost', mode)))
        .to.have.property('message')
        .that.includes('self-signed');
    }
  });

  it('is refused where the certificate is of another name', async () => {
    const refusal = await rejection(isEncrypted('127.0.0.1', 'verify-full', certificate));
    expect(refusal).to.have.property('message').that.includes('altnames');
  });

  it('is not made in the clear where the server has no TLS', async () => {
    await server?.stop();
    await server?.start();
    const refusal = await rejection(isEncrypted('localhost', 'require', certificate));
    expect(refusal).to.have.property('message').that.includes('does not support SSL');
  });
});

async function freePort(): Promise<number> {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const address = taken.address();
  await new Promise((resolve) => taken.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('it listens on a port');
  return address.port;
}
