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
