import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { providerFailure } from '../../dispatcher/failures/failure.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { newRunner } from '../../dispatcher/ledger/new-runner.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { ProviderError } from '../../providers/provider.ts';
import { breaker } from '../failures/examples.ts';

const NOW = Date.parse('2026-11-28T12:00:00Z');
/** The beginning of a JIT configuration, and a piece from its middle. */
const BLOB = Buffer.from(JSON.stringify({ '.runner': Buffer.from('{"AgentId":7}').toString('base64') })).toString(
  'base64',
);
const TOKEN = 'ghs_16C7e42F292c6912E7710c838347Ae178B4a';

// W9
describe('what the ledger leaves on the disk', () => {
  let folder: string;
  let path: string;
  let ledger: Ledger;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'shr-at-rest-'));
    path = join(folder, 'ledger.db');
  });

  afterEach(async () => {
    await ledger.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const modeOf = (file: string) => statSync(file).mode & 0o777;
  const open = async () => {
    ledger = await openSqliteLedger({ path, now: () => NOW });
  };

  async function runner(): Promise<void> {
    const row = newRunner({
      name: 'shr-1',
      registration: 'web',
      host: 'github.com',
      scope: 'orgs/acme',
      runnerGroup: 'Default',
      laneKey: 'lane',
      labels: [],
      specHash: 'spec',
      state: 'starting',
      createdAtMs: NOW,
      deadlineAtMs: NOW,
      nextCheckAtMs: NOW,
      incarnation: 'one',
      backend: 'a',
      instanceDeadlineAtMs: NOW,
      forJobKey: null,
    });
    await ledger.createRunner(row, `planned with ${TOKEN}`);
  }

  it('is for its owner alone, the write-ahead log too', async () => {
    const umask = process.umask(0o022);
    try {
      await open();
      await runner();
    } finally {
      process.umask(umask);
    }
    expect(modeOf(path)).to.equal(0o600);
    expect(modeOf(`${path}-wal`)).to.equal(0o600);
  });

  it('is taken from others where an older version gave it to them', async () => {
    await open();
    await runner();
    await ledger.close();
    chmodSync(path, 0o644);
    writeFileSync(`${path}-wal`, '', { mode: 0o644 });
    await open();
    expect(await ledger.runner('shr-1')).to.include({ name: 'shr-1' });
    expect(modeOf(path)).to.equal(0o600);
    expect(modeOf(`${path}-wal`)).to.equal(0o600);
  });

  it('holds no secret that a container printed or a service repeated', async () => {
    await open();
    await runner();
    const answer = new ProviderError('invalid', 'x create', `bad header Bearer ${TOKEN}`, { requestId: TOKEN });
    const refused = providerFailure(answer, 'web/a', NOW);
    await ledger.keepOutput('shr-1', `ACTIONS_RUNNER_INPUT_JITCONFIG=${BLOB}\nHOME=/root\n`, NOW);
    await ledger.stepRunner('shr-1', () => ({
      patch: { failure: refused, drainReason: `because of ${TOKEN}` },
      entries: [
        { atMs: NOW, state: 'starting', reason: `sent ${TOKEN}`, details: `body {"jit":"${BLOB}"}`, failure: refused },
      ],
    }));
    await ledger.putBreaker(breaker({ failure: refused }));
    expect(await ledger.output('shr-1')).to.equal('ACTIONS_RUNNER_INPUT_JITCONFIG=[secret]\nHOME=/root\n');
    const stored = readFileSync(path, 'latin1') + readFileSync(`${path}-wal`, 'latin1');
    expect(stored).to.include('HOME=/root');
    expect(stored).to.not.include(TOKEN);
    expect(stored).to.not.include(BLOB.slice(0, 24));
  });
});
