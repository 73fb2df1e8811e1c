/** What the admin API is made of. */
import type { NetworkRoom } from '../../providers/provider.ts';
import type { Clock, Random } from '../../time/clock.ts';
import type { AddressStatus } from '../callbacks/own-address.ts';
import type { CheckedDocument } from '../config/load.ts';
import type { Admit } from '../jobs/lane.ts';
import type {
  ApiRegistration,
  ApiRegistrationEntry,
  ExpectedVersion,
  JobRow,
  Ledger,
  RunnerRow,
} from '../ledger/ledger.ts';
import type { BackendStatus, Closure } from '../lifecycle/backends.ts';
import type { Engine } from '../lifecycle/engine.ts';
import type { LedgerClosure } from '../lifecycle/ledger-gate.ts';
import type { Log } from '../log.ts';
import type { Problem } from '../model/problem.ts';
import type { Double, KeptRegistration, Origin, Registration, SourceState } from '../model/registration.ts';
import type { RegistrationNote, RegistrationProblem } from '../observability/problems.ts';
import type { OrganizationStatus } from '../sources/organization-defaults.ts';
import type { SeenVersion } from '../versions/runner-versions.ts';
import type { PollStatus } from './admin-views.ts';
import type { SessionRegister } from './oidc/session-endpoints.ts';
import type { SightSources } from './sight.ts';

export interface AdminSources extends SightSources {
  readonly ledger: Pick<
    Ledger,
    | 'lanesInUse'
    | 'laneCounts'
    | 'jobs'
    | 'observedJobs'
    | 'job'
    | 'jobsWithId'
    | 'jobsOfRun'
    | 'runners'
    | 'runner'
    | 'timeline'
    | 'output'
    | 'breakers'
    | 'liveCounts'
    | 'registrationsWithRunners'
    | 'tokenByHash'
    | 'createToken'
    | 'token'
    | 'tokens'
    | 'revokeToken'
    | 'beginAudit'
    | 'endAudit'
    | 'audits'
  >;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  /** For new tokens, and the ids of entries. */
  readonly random: Random;
  /** Of dispatcher.yaml and the folder of registrations. */
  platformProblems?(): readonly Problem[];
  /** Of the shared endpoint of webhooks. */
  webhookProblems?(): readonly RegistrationProblem[];
  /** Undefined: runners make no call-backs. */
  publicAddress?(): AddressStatus | undefined;
  /** Git repositories in which registrations are kept. */
  repositories?(): readonly SourceState[];
  /** In the networks of a backend; undefined: it is not known. Does not reject. */
  freeAddresses?(registration: string, backend: string): Promise<readonly NetworkRoom[] | undefined>;
  /** Those that the API is given. Undefined: it takes none, as the configuration is read at the start alone. */
  readonly documents?: RegistrationDocuments | undefined;
  kept?(): readonly KeptRegistration[];
  doubles?(): readonly Double[];
  /** Undefined: from the folder. */
  originOf?(registration: string): Origin | undefined;
  /** Those that are not in force any more, and whose runners are served to their end. */
  leaving?(): readonly string[];
  /** Undefined for a registration that is not polled. */
  pollStatus?(registration: string): PollStatus | undefined;
  /** Its problems except its breakers, which are read from the ledger. */
  problems?(registration: string): readonly RegistrationProblem[];
  /** Why the ledger takes no writes; undefined while it does. */
  ledgerClosed?(): LedgerClosure | undefined;
  /** `engine.canary`. */
  canary?(registration: string): ReturnType<Engine['canary']>;
  /** `engine.standby`. Undefined: there are no pools. */
  standby?(): ReturnType<Engine['standby']>;
  /** `engine.laneReason` and `engine.jobReason`. */
  laneReason(laneKey: string): Promise<string | undefined>;
  jobReason(job: JobRow): Promise<string | undefined>;
  /** An operator gives the runner up. Returns the row afterwards, or undefined if the runner does not exist. */
  forgetRunner(name: string): Promise<RunnerRow | undefined>;
  /** `engine.backends` and `engine.resetBackends`. */
  backends(): readonly BackendStatus[];
  resetBackends(registration: string, backend: string | undefined): Promise<readonly Closure[] | undefined>;
  /** `engine.pause`, `engine.resume` and `engine.pauses`. */
  readonly pausing: Pick<Engine, 'pause' | 'resume' | 'pauses'>;
  /** `engine.maintenanceUntilMs`. */
  maintenanceUntilMs?(registration: string): ReturnType<Engine['maintenanceUntilMs']>;
  /** The output, from the service, of a container that has not been removed. Rejects with ProviderError. */
  liveOutput?(runner: RunnerRow): Promise<string | undefined>;
  /** What is worth knowing about it, and no problem. */
  notes?(registration: Registration): readonly RegistrationNote[];
  /** What containers of the registration have reported since the start. */
  runnerVersions?(registration: string): readonly SeenVersion[];
  /** Undefined: it does not ask for the defaults of its organization. */
  organizationOf?(registration: string): OrganizationStatus | undefined;
  /** For `/api/explain`. */
  admit?: Admit;
  /** Of people who are logged in; undefined: they cannot log in. */
  readonly sessions?: SessionRegister | undefined;
}

export interface RegistrationDocuments {
  entry(name: string): ApiRegistrationEntry | undefined;
  text(name: string): Promise<string | undefined>;
  /** Of what could not be in force, nothing is kept. */
  check(name: string, text: string): Promise<CheckedDocument>;
  put(registration: Omit<ApiRegistration, 'hash'>, expected: ExpectedVersion): Promise<'put' | 'other'>;
  remove(name: string, expected: ExpectedVersion): Promise<'deleted' | 'other' | 'absent'>;
  /** Resolves when what was written is in force. */
  apply(): Promise<void>;
}
