import { aliEciOptions } from '../../providers/ali-eci/options.ts';
import { type DeployerModule, DeploymentRefused } from '../deployer.ts';
import { AliEciDeployer } from './deployer.ts';

const module: DeployerModule = {
  create({ options }, host) {
    const parsed = aliEciOptions.parse(options);
    if (parsed.ecsRamRole !== undefined) {
      throw new DeploymentRefused(
        'the backend acts by the RAM role of the machine that it runs on, which the deployed dispatcher does not have',
        'Give the backend an access key.',
      );
    }
    return new AliEciDeployer(parsed, host);
  },
};
export default module;
