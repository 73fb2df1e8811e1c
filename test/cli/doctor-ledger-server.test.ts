import { expect } from 'chai';
import { checkLedgerServer } from '../../dispatcher/cli/doctor/ledger-server.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { systemClock } from '../../time/clock.ts';
import { PostgresServer, postgresProblem } from '../ledger/postgres-server.ts';

const problem = postgresProblem();

describe(`shr doctor, for a ledger on PostgreSQL${problem === undefined ? '' : ` (${problem})`}`, () => {
  let server: PostgresServer | undefined;
  before(async function () {
    if (problem !== undefined) this.skip();
    server = new PostgresServer();
    await server.start();
    await server.sql('postgres', 'create role guest login; create schema closed; create role owner login createdb');
    await server.sql('postgres', 'create schema half; grant usage on schema half to guest');
    await server.sql('postgres', 'create database owned owner owner');
  });
  after(() => server?.discard());

  async function check(user: string, schema: string, database = 'postgres') {
    const host = encodeURIComponent(server?.folder ?? '');
    const url = new Secret(`postgresql://${user}:a-password@local/${database}?host=${host}`);
    const [finding] = await checkLedgerServer({ url, schema, connections: 5 }, systemClock);
    expect(finding).to.include({ about: 'ledger', subject: 'server' });
    expect(JSON.stringify(finding)).to.not.include('a-password');
    return finding;
  }

  it('finds a server whose user may make the schema, and makes none', async () => {
    expect(await check('owner', 'shr', 'owned')).to.deep.include({ ok: true });
    expect((await check('owner', 'shr', 'owned'))?.message).to.include('the schema shr will be made');
  });

  it('tells a user without rights from one with them', async () => {
    expect((await check('guest', 'closed'))?.message).to.include('may not use the schema closed');
    expect((await check('guest', 'half'))?.message).to.include('may not use the schema half');
    expect((await check('guest', 'absent'))?.message).to.include('may not create it');
    expect((await check('shr', 'closed'))?.ok).to.equal(true);
  });

  it('says what the server says, or that there is none', async () => {
    expect((await check('stranger', 'shr'))?.message).to.include('role "stranger" does not exist');
    const away = new Secret('postgresql://u:a-password@127.0.0.1:1/d');
    const [finding] = await checkLedgerServer({ url: away, schema: 'shr', connections: 5 }, systemClock);
    expect(finding).to.include({ ok: false });
    expect(finding?.message).to.include('ECONNREFUSED');
  });
});
