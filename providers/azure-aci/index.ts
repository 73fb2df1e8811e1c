import type { ProviderModule } from '../provider.ts';
import { AzureAciProvider } from './azure-aci.ts';
import { type AzureAciOptions, azureAciOptions } from './options.ts';

const module: ProviderModule<AzureAciOptions> = {
  kind: 'azure-aci',
  options: azureAciOptions,
  create: (options, host) => new AzureAciProvider(options, host),
};

export default module;
