/** Options that are addresses: any service in the dispatcher's network may listen there. Every provider may use it. */
import type { PlatformOption } from '../provider.ts';

/** Those that are set, for `ProviderModule.platformOptions`: only the platform may set them. */
export function platformAddresses(options: Readonly<Record<string, string | undefined>>): PlatformOption[] {
  return Object.entries(options).flatMap(([option, address]) =>
    address === undefined
      ? []
      : [{ option, why: 'the dispatcher calls an address of the tenant’s choice, in its own network too' }],
  );
}
