import { secretManager } from '../google/stored-secrets.ts';
import { simulatedDemo } from '../kit/simulated-demo.ts';
import type { ProviderModule } from '../provider.ts';
import { type GcpBatchOptions, gcpBatchOptions, platformOptions } from './options.ts';
import { GcpBatchProvider } from './provider.ts';

const module: ProviderModule<GcpBatchOptions> = {
  kind: 'gcp-batch',
  options: gcpBatchOptions,
  platformOptions,
  create: (options, host) => new GcpBatchProvider(options, host),
  secretStore: secretManager,
  withCommand: (options, command) => ({ ...options, command: [...command] }),
  demo: simulatedDemo,
  assumptions: { 'launch-again': ['GB1'], list: ['GB2'], run: ['GB3', 'GB6'], output: ['GB4', 'GB5'], gone: ['GB7'] },
};

export default module;
