import { simulatedDemo } from '../kit/simulated-demo.ts';
import type { ProviderModule } from '../provider.ts';
import { type AliEciOptions, aliEciOptions, platformOptions } from './options.ts';
import { AliEciProvider } from './provider.ts';

export { createImageCache, type ImageCache } from './image-cache.ts';

import { secretsManager } from './kms-secrets.ts';

const module: ProviderModule<AliEciOptions> = {
  kind: 'ali-eci',
  options: aliEciOptions,
  platformOptions,
  create: (options, host) => new AliEciProvider(options, host),
  secretStore: secretsManager,
  withCommand: (options, command) => ({ ...options, command: [...command] }),
  demo: simulatedDemo,
  assumptions: {
    launch: ['ECI1'],
    'launch-again': ['ECI2'],
    list: ['ECI3'],
    run: ['ECI7'],
    output: ['ECI4'],
    secrecy: ['ECI5'],
    gone: ['ECI6'],
  },
};

export default module;
