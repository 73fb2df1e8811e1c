import { cloudRunOptions } from '../../providers/gcp-cloud-run/options.ts';
import { type DeployerModule, DeploymentRefused } from '../deployer.ts';
import { CloudRunDeployer } from './deployer.ts';

const module: DeployerModule = {
  create({ options, serviceAccount }, host) {
    const parsed = cloudRunOptions.parse(options);
    if (parsed.credentials === 'application-default') {
      throw new DeploymentRefused(
        'the backend acts as the machine that it runs on, and the deployed dispatcher would act as another one',
        'Give the backend credentials of its own.',
      );
    }
    return new CloudRunDeployer(parsed, serviceAccount, host);
  },
};
export default module;
