/** Records each write of the admin API: who, what, when, and how it ended. */
import { type Clock, type Random, ulid } from '../../time/clock.ts';
import type { AuditRow, Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import { AdminProblem } from './admin-problem.ts';
import type { Answered, Target } from './endpoint.ts';
import type { Sight } from './sight.ts';
import { isWithin, type Viewer } from './viewer.ts';

export interface AuditTrailOptions {
  readonly ledger: Pick<Ledger, 'beginAudit' | 'endAudit'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
  readonly log: Pick<Log, 'error'>;
}

interface Act {
  readonly viewer: Viewer;
  readonly sight: Sight;
  readonly action: string;
  readonly target: Target;
}

export class AuditTrail {
  readonly #options: AuditTrailOptions;

  constructor(options: AuditTrailOptions) {
    this.#options = options;
  }

  /** Nothing is done that cannot be recorded first. */
  async during(act: Act, run: () => Promise<Answered>): Promise<Answered> {
    const { ledger } = this.#options;
    const entry = this.#entry(act);
    await ledger.beginAudit(entry);
    try {
      const answered = await run();
      await this.#end(entry.id, answered.status ?? 200, answered.remark ?? null);
      return answered;
    } catch (error) {
      if (error instanceof AdminProblem) await this.#end(entry.id, error.status, error.message);
      else await this.#end(entry.id, 500, 'a defect, or the ledger failed: see the log');
      throw error;
    }
  }

  async refused(act: Act, problem: AdminProblem): Promise<void> {
    await this.#options.ledger.beginAudit({ ...this.#entry(act), status: problem.status, outcome: problem.message });
  }

  /** What was done is done, and answered as it ended: an entry without an end says that this is not known. */
  async #end(id: string, status: number, outcome: string | null): Promise<void> {
    try {
      await this.#options.ledger.endAudit(id, status, outcome);
    } catch (error) {
      this.#options.log.error('admin.audit-failed', { entry: id, status, error });
    }
  }

  #entry({ viewer, sight, action, target }: Act): AuditRow {
    const { clock, random } = this.#options;
    const atMs = clock.now();
    return {
      id: ulid(atMs, random),
      atMs,
      actorId: viewer.id,
      actorName: viewer.name,
      action,
      subject: target.subject,
      tenant: tenantOf(viewer, sight, target),
      share: viewer.tenants?.toSorted()[0] ?? '',
      status: null,
      outcome: null,
    };
  }
}

/** What is another tenant's is not told to that one: the trail of who tried belongs to the one that tried. */
function tenantOf(viewer: Viewer, sight: Sight, { registration, tenants }: Target): string | null {
  if (registration !== null && sight.sees(registration)) return sight.tenantOf(registration) ?? null;
  const reached = isWithin(tenants ?? null, viewer.tenants) ? onlyOne(tenants) : undefined;
  return reached ?? onlyOne(viewer.tenants) ?? null;
}

function onlyOne(tenants: readonly string[] | null | undefined): string | undefined {
  return tenants?.length === 1 ? tenants[0] : undefined;
}
