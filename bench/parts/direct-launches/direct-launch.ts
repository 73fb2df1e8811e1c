import type { LaunchRequest } from '../../../providers/provider.ts';

/** Starts a container for the request. Resolves with the service's answer, of whatever shape. */
export type DirectLaunch = (request: LaunchRequest) => Promise<unknown>;
