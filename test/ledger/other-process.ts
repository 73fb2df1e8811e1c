/**
 * A dispatcher's ledger in a process of its own, for tests that need one to be elsewhere, without rights, or killed.
 *
 *   node other-process.ts open PATH    opens it, says so, and holds it until it is ended
 *   node other-process.ts write PATH   records one batch after the other, and says after each what was acknowledged
 *
 * It speaks in lines of JSON.
 */
import { LedgerError } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { delivery, fact } from './examples.ts';

const BATCH = 20;

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function main(command: string | undefined, path: string | undefined): Promise<void> {
  if (path === undefined) throw new Error('no path');
  const ledger = await openSqliteLedger({ path, now: () => 50_000, patienceMs: 0 });
  say({ opened: true });
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
