import type { ProviderModule } from '../provider.ts';
import { CloudRunProvider } from './cloud-run.ts';
import { type CloudRunOptions, cloudRunOptions } from './options.ts';

const module: ProviderModule<CloudRunOptions> = {
  kind: 'gcp-cloud-run',
  options: cloudRunOptions,
  create: (options, host) => new CloudRunProvider(options, host),
};

export default module;
