/** What the lifecycle needs from the other rooms, as narrow as it is used. */
import type { Provider } from '../../providers/provider.ts';
import type { Clock, Random } from '../../time/clock.ts';
import type { Absence } from '../config/absent.ts';
import type { Github } from '../github/github.ts';
import type { AreStrangers } from '../jobs/facts.ts';
import type { Admit } from '../jobs/lane.ts';
import type { JobPlace, Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import { lineOf, type Registration } from '../model/registration.ts';

/** What the engine tells the metrics. Labels are registrations, backends and kinds: never job or runner names. */
export interface LifecycleMetrics {
  jobAdmitted(
    registration: string | null,
    outcome: 'lane' | 'observed' | 'refused' | 'not-ours',
    code: string | null,
  ): void;
  /** From the job's first `queued` to `in_progress` on one of our runners. */
  queueToStart(registration: string, backend: string, ms: number): void;
  launched(registration: string, backend: string, ms: number): void;
  launchFailed(registration: string, backend: string, kind: string): void;
  /** Of a registration with a candidate image. */
  imageStart(registration: string, role: 'stable' | 'candidate', outcome: 'online' | 'failed'): void;
  /** From the drain's start to `gone`. */
  tornDown(registration: string, backend: string, ms: number): void;
}

/** What a registration is made of at run time. */
export interface Tenant {
  readonly registration: Registration;
  readonly github: Github;
  /**
   * By backend name. The provider's module is imported when first asked for. `launchedAtMs`: to reach a runner that was
   * launched then, before the backend's configuration changed.
   */
  provider(backend: string, launchedAtMs?: number): Promise<Provider>;
  /** Its registration is no longer in force: nothing is launched, and what runs is served to its end. */
  readonly leaving?: Absence;
}

export interface EngineOptions {
  readonly dispatcherId: string;
  /** Unique per start of the process. */
  readonly incarnation: string;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: LifecycleMetrics;
  readonly admit: Admit;
  /** Changed in place while the engine works, and told of by `reconfigure`. */
  readonly tenants: ReadonlyMap<string, Tenant>;
  /** Whose webhooks may speak for whose runners. The same as the ledger's. */
  readonly areStrangers: AreStrangers;
  /** Whether a registration that is not among the tenants is set aside; without this, it was removed. */
  readonly setAside?: (registration: string) => boolean;
  readonly maxRunners: number;
  readonly maxLaunches: number;
  /** Where containers reach the public listener, without a slash at its end. Absent: they make no call-backs. */
  readonly callbackUrl?: string;
  /** Containers that may wait for a job on an open connection at once. Default: 500. */
  readonly maxAsks?: number;
}

/** What changed in `tenants`, and in what jobs are admitted by. */
export interface Reconfiguration {
  /** Registrations that were added, are configured otherwise, or are leaving. */
  readonly changed: readonly string[];
  /** No longer among the tenants. */
  readonly gone: readonly string[];
  /** Whose waiting jobs are admitted anew beside theirs; `all`: every one. */
  readonly readmit: 'all' | readonly JobPlace[];
  readonly maxRunners: number;
  readonly maxLaunches: number;
}

/** `lineOf` by the name of the registration, which may be gone from the configuration. */
export function lineOfNamed(tenants: ReadonlyMap<string, Tenant>, name: string): string {
  return lineOf(tenants.get(name)?.registration ?? { name });
}
