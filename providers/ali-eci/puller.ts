/** Who pulls images: the logins of `registries`, else the service itself if `acrRegistry` allows it. Pure. */
import type { Puller } from '../registry/puller.ts';
import type { AliEciOptions } from './options.ts';

/** https://www.alibabacloud.com/help/en/acr/user-guide/configure-access-over-the-internet */
const ACR_INSTANCE = /\.cr\.aliyuncs\.com$/;

export function pullerOf({ registries, acrRegistry }: Pick<AliEciOptions, 'registries' | 'acrRegistry'>): Puller {
  return {
    logins: registries,
    option: 'registries',
    identityAt(registry) {
      if (acrRegistry === undefined) return undefined;
      const { domains, instanceId } = acrRegistry;
      // Without `domains`, those of the instance, which cannot be derived from its id.
      const its = domains.length === 0 ? ACR_INSTANCE.test(registry) : domains.includes(registry);
      return its ? `the service, by the instance ${instanceId} of acrRegistry,` : undefined;
    },
    whenPrivate: 'give its login in registries, or its instance in acrRegistry',
  };
}
