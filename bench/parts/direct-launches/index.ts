/** The same launches with the vendors' SDKs alone: the straightforward code for starting just a container. */
import type { DirectLaunch } from './direct-launch.ts';

interface DirectModule {
  directLaunch(options: unknown): DirectLaunch;
}

/** Imported on demand: each SDK costs tens of megabytes. */
export const directLaunches: Readonly<Record<string, () => Promise<DirectModule>>> = {
  'ali-eci': () => import('./ali-eci.ts'),
  'azure-aci': () => import('./azure-aci.ts'),
  'gcp-batch': () => import('./gcp-batch.ts'),
  'gcp-cloud-run': () => import('./gcp-cloud-run.ts'),
};
