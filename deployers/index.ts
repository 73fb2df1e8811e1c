/** Target to lazy import. */
import { type DeployerModule, DeploymentRefused } from './deployer.ts';

const targets: Readonly<Record<string, () => Promise<{ readonly default: DeployerModule }>>> = {
  docker: () => import('./docker/index.ts'),
  'ali-eci': () => import('./ali-eci/index.ts'),
  'azure-aci': () => import('./azure-aci/index.ts'),
  'gcp-cloud-run': () => import('./gcp-cloud-run/index.ts'),
};

export const targetKinds: readonly string[] = Object.keys(targets);

export async function loadDeployer(kind: string): Promise<DeployerModule> {
  const load = Object.hasOwn(targets, kind) ? targets[kind] : undefined;
  if (load === undefined) {
    throw new DeploymentRefused(
      `a dispatcher cannot be deployed to ${kind}`,
      `Choose one of ${targetKinds.join(', ')} with --target.`,
    );
  }
  return (await load()).default;
}
