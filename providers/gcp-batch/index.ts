import type { ProviderModule } from '../provider.ts';
import { GcpBatchProvider } from './gcp-batch.ts';
import { type GcpBatchOptions, gcpBatchOptions, platformOptions } from './options.ts';

const module: ProviderModule<GcpBatchOptions> = {
  kind: 'gcp-batch',
  options: gcpBatchOptions,
  platformOptions,
  create: (options, host) => new GcpBatchProvider(options, host),
};

export default module;
