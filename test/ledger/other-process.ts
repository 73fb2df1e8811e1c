/**
 * A dispatcher's ledger in a process of its own, for tests that need one to be elsewhere, without rights, or killed.
 *
 *   node other-process.ts open PATH    opens it, says so, and holds it until it is ended
 *   node other-process.ts write PATH   records one batch after the other, and says after each what was acknowledged
 *   node other-process.ts fill PATH    fills the disk beside it until a write fails, then makes room, and says what the ledger tells of it
 *
 * It speaks in lines of JSON.
 */
import { appendFileSync, rmSync } from 'node:fs';
import { type Ledger, LedgerError } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { delivery, fact } from './examples.ts';

const BATCH = 20;
let nowMs = 50_000;

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function fillAndFree(ledger: Ledger, path: string): Promise<void> {
  const ballast = `${path}.ballast`;
  const write = (id: number) =>
    ledger.recordDeliveries([
      { delivery: delivery(`guid-${id}`), fact: fact({ jobId: id, jobName: 'x'.repeat(20_000) }) },
    ]);
  await write(0);
  say({ trouble: ledger.writeTrouble()?.error.kind ?? 'none' });
  try {
    for (;;) appendFileSync(ballast, Buffer.alloc(4096, 1));
  } catch {
    // The disk is full.
  }
  try {
    for (let id = 1; ; id += 1) await write(id);
  } catch {
    say({ trouble: ledger.writeTrouble()?.error.kind ?? 'none', sinceMs: ledger.writeTrouble()?.sinceMs });
  }
  rmSync(ballast);
  nowMs += 10_000;
  await write(0);
  say({ trouble: ledger.writeTrouble()?.error.kind ?? 'none' });
  await ledger.close();
}

async function main(command: string | undefined, path: string | undefined): Promise<void> {
  if (path === undefined) throw new Error('no path');
  const ledger = await openSqliteLedger({ path, now: () => nowMs, patienceMs: 0 });
  say({ opened: true });
  if (command === 'fill') {
    await fillAndFree(ledger, path);
    return;
  }
  if (command === 'open') {
    process.stdin.resume();
    return;
  }
  for (let batch = 0; ; batch += 1) {
    const ids = Array.from({ length: BATCH }, (_, index) => batch * BATCH + index);
    await ledger.recordDeliveries(
      ids.map((jobId) => ({ delivery: delivery(`guid-${jobId}`), fact: fact({ jobId, jobName: 'x'.repeat(500) }) })),
    );
    say({ acknowledged: (batch + 1) * BATCH });
    // Lets the line out, and the signal in.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

try {
  await main(process.argv[2], process.argv[3]);
} catch (error) {
  const kind = error instanceof LedgerError ? error.kind : 'not a LedgerError';
  say({ failed: kind, message: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
}
