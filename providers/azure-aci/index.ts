import { simulatedDemo } from '../kit/simulated-demo.ts';
import type { ProviderModule } from '../provider.ts';
import { keyVault } from './key-vault.ts';
import { type AzureAciOptions, azureAciOptions, platformOptions } from './options.ts';
import { AzureAciProvider } from './provider.ts';

const module: ProviderModule<AzureAciOptions> = {
  kind: 'azure-aci',
  options: azureAciOptions,
  platformOptions,
  create: (options, host) => new AzureAciProvider(options, host),
  secretStore: keyVault,
  withCommand: (options, command) => ({ ...options, command: [...command] }),
  demo: simulatedDemo,
  assumptions: {
    'launch-again': ['ACI1'],
    list: ['ACI2'],
    run: ['ACI6'],
    output: ['ACI3', 'ACI4'],
    secrecy: ['ACI3'],
    gone: ['ACI5'],
  },
};

export default module;
