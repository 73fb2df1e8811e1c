import { type AzureAciOptions, azureAciOptions } from '../../providers/azure-aci/options.ts';
import { type DeployerModule, DeploymentRefused } from '../deployer.ts';
import { AzureAciDeployer } from './deployer.ts';

const module: DeployerModule = {
  create({ options }, host) {
    const parsed: AzureAciOptions = azureAciOptions.parse(options);
    const { kind } = parsed.credentials;
    if (kind === 'managed-identity' || kind === 'workload-identity') {
      throw new DeploymentRefused(
        `the backend signs in by ${kind} of the machine that it runs on, which the deployed dispatcher does not have`,
        'Give the backend credentials of kind secret or certificate.',
      );
    }
    return new AzureAciDeployer(parsed, host);
  },
};
export default module;
