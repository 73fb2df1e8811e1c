/** A launch as the dispatcher asks for it, with what a test changes of it. */
import type { InstanceTags, LaunchRequest, Shape } from '../../../providers/provider.ts';

export const account = 'runner@acme-ci.iam.gserviceaccount.com';
export const IMAGE = 'ghcr.io/acme/runner:1';

export const plainOptions = { project: 'acme-ci', region: 'europe-west4', serviceAccount: account };

export const plainShape: Shape = {
  cpu: 2,
  memoryGiB: 8,
  architecture: 'x64',
  image: IMAGE,
  spot: false,
  dockerInDocker: false,
};

export const plainTags: InstanceTags = {
  dispatcher: 'fixture',
  registration: 'acme-web',
  lane: '0123456789abcdef',
  scope: 'orgs/acme',
  runner: 'fixture-0001',
  createdAtMs: 1_790_000_000_123,
  deadlineAtMs: 1_790_432_000_456,
  charge: {},
};

export function launchOf(name: string, changes: Partial<LaunchRequest> = {}): LaunchRequest {
  return {
    name,
    shape: plainShape,
    tags: { ...plainTags, runner: name },
    environment: {},
    secretEnvironment: {},
    ...changes,
  };
}
