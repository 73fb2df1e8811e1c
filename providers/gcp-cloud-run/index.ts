import type { ProviderModule } from '../provider.ts';
import { CloudRunProvider } from './cloud-run.ts';
import { type CloudRunOptions, cloudRunOptions, platformOptions } from './options.ts';

const module: ProviderModule<CloudRunOptions> = {
  kind: 'gcp-cloud-run',
  options: cloudRunOptions,
  platformOptions,
  create: (options, host) => new CloudRunProvider(options, host),
};

export default module;
