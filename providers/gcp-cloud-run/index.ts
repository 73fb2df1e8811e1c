import { secretManager } from '../google/stored-secrets.ts';
import { simulatedDemo } from '../kit/simulated-demo.ts';
import type { ProviderModule } from '../provider.ts';
import { type CloudRunOptions, cloudRunOptions, platformOptions } from './options.ts';
import { CloudRunProvider } from './provider.ts';

const module: ProviderModule<CloudRunOptions> = {
  kind: 'gcp-cloud-run',
  options: cloudRunOptions,
  platformOptions,
  create: (options, host) => new CloudRunProvider(options, host),
  secretStore: secretManager,
  withCommand: (options, command) => ({ ...options, command: [...command], args: [] }),
  demo: simulatedDemo,
  assumptions: {
    launch: ['CR3'],
    'launch-again': ['CR1'],
    list: ['CR1', 'CR2'],
    inspect: ['CR1'],
    run: ['CR4'],
    output: ['CR5'],
    stop: ['CR6'],
    gone: ['CR6'],
  },
};

export default module;
