import type { ProviderModule } from '../provider.ts';
import { AliEciProvider } from './ali-eci.ts';
import { type AliEciOptions, aliEciOptions, platformOptions } from './options.ts';

export { createImageCache, type ImageCache } from './image-cache.ts';

const module: ProviderModule<AliEciOptions> = {
  kind: 'ali-eci',
  options: aliEciOptions,
  platformOptions,
  create: (options, host) => new AliEciProvider(options, host),
};

export default module;
