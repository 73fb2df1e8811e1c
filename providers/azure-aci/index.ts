import type { ProviderModule } from '../provider.ts';
import { AzureAciProvider } from './azure-aci.ts';
import { type AzureAciOptions, azureAciOptions, platformOptions } from './options.ts';

const module: ProviderModule<AzureAciOptions> = {
  kind: 'azure-aci',
  options: azureAciOptions,
  platformOptions,
  create: (options, host) => new AzureAciProvider(options, host),
};

export default module;
