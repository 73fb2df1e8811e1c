/** The same launches by the vendors' SDKs alone: what anybody would write who needs nothing but a container. */
import type { LaunchRequest } from '../../../providers/provider.ts';

export type DirectLaunch = (request: LaunchRequest) => Promise<unknown>;

interface DirectModule {
  directLaunch(options: unknown): DirectLaunch;
}

/** Imported when asked for: each SDK costs tens of megabytes. */
export const directLaunches: Readonly<Record<string, () => Promise<DirectModule>>> = {
  'ali-eci': () => import('./ali-eci.ts'),
  'azure-aci': () => import('./azure-aci.ts'),
  'gcp-batch': () => import('./gcp-batch.ts'),
  'gcp-cloud-run': () => import('./gcp-cloud-run.ts'),
};
