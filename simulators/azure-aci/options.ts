import type { ContainerHostOptions } from '../containers/host.ts';
import type { Client } from './entra.ts';
import type { Operation } from './faults.ts';
import type { Timings } from './group.ts';

export interface AzureAciSimulatorOptions extends ContainerHostOptions {
  /** 0 takes a free one. */
  readonly port?: number;
  /** An address of this machine; the certificate names the loopback alone. */
  readonly host?: string;
  readonly subscriptionId?: string;
  readonly tenantId?: string;
  readonly resourceGroup?: string;
  readonly location?: string;
  /** What tokens are for: the Resource Manager of the public cloud, unless told otherwise. */
  readonly audience?: string;
  readonly clients?: readonly Client[];
  /** Client ids of the machine's managed identities; the first is its own. */
  readonly managedIdentities?: readonly string[];
  /** Client ids of user-assigned identities, by resource id. */
  readonly identities?: Readonly<Record<string, string>>;
  readonly spotLocations?: readonly string[];
  /** Resource ids of subnets that are there, and delegated. */
  readonly subnets?: readonly string[];
  /** Of subnets that are there, and not delegated. */
  readonly plainSubnets?: readonly string[];
  readonly quota?: { readonly groups?: number; readonly cores?: number; readonly spotCores?: number };
  /** Creations, and as many deletions. Default: the vendor's. */
  readonly limits?: { readonly per5Minutes: number; readonly perHour: number };
  readonly pageSize?: number;
  /** Whether `If-None-Match: *` is heeded. The vendor does not say; pessimistic by default. */
  readonly heedsIfNoneMatch?: boolean;
  readonly timings?: Partial<Timings>;
  /** Every call as it was understood and answered, for tests. */
  readonly onCall?: (call: Call) => void;
}

export interface Call {
  readonly operation: Operation | 'unknown';
  readonly method: string;
  /** Path and query as they were on the wire. */
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
