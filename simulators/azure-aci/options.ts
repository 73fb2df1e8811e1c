import type { ContainerHostOptions } from '../containers/host.ts';
import type { Client } from './entra.ts';
import type { Operation } from './faults.ts';
import type { Timings } from './group.ts';

export interface AzureAciSimulatorOptions extends ContainerHostOptions {
  /** 0 picks a free port. */
  readonly port?: number;
  /** An address of this machine; the certificate only covers the loopback addresses. */
  readonly host?: string;
  readonly subscriptionId?: string;
  readonly tenantId?: string;
  readonly resourceGroup?: string;
  readonly location?: string;
  /** Audience of tokens: the Resource Manager of the public cloud, unless set otherwise. */
  readonly audience?: string;
  readonly clients?: readonly Client[];
  /** Client ids of the machine's managed identities; the first is system-assigned. */
  readonly managedIdentities?: readonly string[];
  /** Client ids of user-assigned identities, by resource id. */
  readonly identities?: Readonly<Record<string, string>>;
  readonly spotLocations?: readonly string[];
  /** Resource ids of subnets that exist and are delegated. */
  readonly subnets?: readonly string[];
  /** Resource ids of subnets that exist but are not delegated. */
  readonly plainSubnets?: readonly string[];
  readonly quota?: { readonly groups?: number; readonly cores?: number; readonly spotCores?: number };
  /** Creations, and as many deletions. Default: the vendor's limits. */
  readonly limits?: { readonly per5Minutes: number; readonly perHour: number };
  readonly pageSize?: number;
  /** Whether `If-None-Match: *` has an effect. The vendor does not document it; pessimistic by default. */
  readonly heedsIfNoneMatch?: boolean;
  readonly timings?: Partial<Timings>;
  /** Called with every call, as parsed and answered; for tests. */
  readonly onCall?: (call: Call) => void;
}

export interface Call {
  readonly operation: Operation | 'unknown';
  readonly method: string;
  /** Path and query as on the wire. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
  readonly status: number;
  readonly answer: unknown;
}

export const demo = {
  subscriptionId: '11111111-2222-4333-8444-555555555555',
  tenantId: '66666666-7777-4888-9999-aaaaaaaaaaaa',
  clientId: 'bbbbbbbb-cccc-4ddd-8eee-ffffffffffff',
  clientSecret: 'simulated~secret',
  managedIdentity: 'cccccccc-dddd-4eee-8fff-000000000000',
  resourceGroup: 'runners',
  location: 'westeurope',
  audience: 'https://management.azure.com',
} as const;
export const demoSubnet = `/subscriptions/${demo.subscriptionId}/resourceGroups/network/providers/Microsoft.Network/virtualNetworks/hub/subnets/runners`;
