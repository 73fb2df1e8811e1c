import type { Grant } from '../model/registration.ts';
import type { Platform } from './dispatcher.ts';
import type { PrivateKeys, ProviderLookup } from './shared-sections.ts';

/** What a registration's file is read with, besides its text. */
export interface RegistrationContext {
  readonly name: string;
  readonly platform: Platform;
  /** What the platform grants this file's tenant; undefined: it is the platform's own. */
  readonly grant: Grant | undefined;
  readonly provider: ProviderLookup;
  readonly keys: PrivateKeys;
}

/** For what needs runners that can ask. */
export function noCallbackWords({ isPublicUrlLater }: Pick<Platform, 'isPublicUrlLater'>): {
  readonly why: string;
  readonly cure: string;
} {
  return isPublicUrlLater === true
    ? {
        why: '`listen.public.url` of dispatcher.yaml takes effect after a restart',
        cure: 'Restart the dispatcher, or remove this until then.',
      }
    : {
        why: 'dispatcher.yaml does not say where they reach the dispatcher',
        cure: 'Add `listen.public.url` there, or remove this.',
      };
}
