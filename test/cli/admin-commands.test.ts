import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { acmeLane, type Fixture, openFixture, runner, TOKEN } from '../http/admin-fixture.ts';

/** As an operator runs it: a process of its own. */
async function shr(args: readonly string[], environment: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, ['dispatcher/cli/shr.mjs', ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => {
    out += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    err += String(chunk);
  });
  const [code] = await once(child, 'close');
  return { out, err, code };
}

describe('shr, asking a running dispatcher', () => {
  let fixture: Fixture;
  before(async () => {
    fixture = await openFixture();
    await fixture.ledger.createRunner(runner('shr-one', acmeLane), 'launched');
  });
  after(() => fixture.close());

  it('answers and ends with 0', async () => {
    const { out, err, code } = await shr(['runners', 'show', 'shr-one', '--json'], {
      SHR_ADMIN_URL: fixture.url,
      SHR_ADMIN_TOKEN: TOKEN,
    });
    expect([err, code]).to.deep.equal(['', 0]);
    expect(JSON.parse(out).runner).to.include({ name: 'shr-one', state: 'creating' });
  });

  it('ends with 1 when the dispatcher refuses', async () => {
    const { out, err, code } = await shr(['jobs'], { SHR_ADMIN_URL: fixture.url, SHR_ADMIN_TOKEN: 'wrong' });
    expect([out, code]).to.deep.equal(['', 1]);
    expect(err).to.match(/wrong token/);
  });

  it('ends with 2 when it was called wrongly, in a subcommand too', async () => {
    const { out, err, code } = await shr(['runners', 'forget'], { SHR_ADMIN_URL: fixture.url, SHR_ADMIN_TOKEN: TOKEN });
    expect([out, code]).to.deep.equal(['', 2]);
    expect(err).to.match(/missing required argument/);
  });
});
