import type { ContainerHostOptions } from '../containers/host.ts';
import type { AccessKey } from './signature.ts';
import type { Timings } from './timings.ts';

export interface VSwitch {
  readonly id: string;
  readonly zone: string;
  readonly addresses: number;
}

export interface AliEciSimulatorOptions extends ContainerHostOptions {
  /** 0 picks a free port. */
  readonly port?: number;
  readonly host?: string;
  readonly region?: string;
  readonly accessKeys?: readonly AccessKey[];
  readonly vSwitches?: readonly VSwitch[];
  readonly securityGroups?: readonly string[];
  readonly ramRoles?: readonly string[];
  /** The account's quota in the region. */
  readonly mostVcpu?: number;
  /** Calls per minute. Default: the vendor's. */
  readonly rates?: { readonly write: number; readonly read: number; readonly log: number };
  /** A page may be short while more follow; if so, its size is random, below the limit. */
  readonly shortPages?: boolean;
  readonly timings?: Partial<Timings>;
  /** How long metadata of ended groups is kept; of older ones, only the last 100. */
  readonly keepEndedMs?: number;
  /** Called with every call, as parsed and answered; for tests. */
  readonly onCall?: (call: Call) => void;
}

export interface Call {
  readonly action: string;
  readonly version: string;
  readonly method: string;
  /** Path and query as on the wire. */
  readonly url: string;
  readonly query: Readonly<Record<string, string>>;
  readonly form: Readonly<Record<string, string>>;
  readonly status: number;
  readonly answer: unknown;
}

export const demoKey: AccessKey = { id: 'LTAI-simulated', secret: 'simulated-secret' };
export const demoVSwitches: readonly VSwitch[] = [
  { id: 'vsw-simulated-a', zone: 'cn-hangzhou-a', addresses: 4000 },
  { id: 'vsw-simulated-b', zone: 'cn-hangzhou-b', addresses: 4000 },
];
export const demoSecurityGroup = 'sg-simulated';
