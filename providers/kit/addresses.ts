/** Options that are addresses: what listens there may be any service in the dispatcher's network. Every provider may use it. */
import type { PlatformOption } from '../provider.ts';

export function platformAddresses(options: Readonly<Record<string, string | undefined>>): PlatformOption[] {
  return Object.entries(options).flatMap(([option, address]) =>
    address === undefined
      ? []
      : [{ option, why: 'the dispatcher calls an address of the tenant’s choice, in its own network too' }],
  );
}
