import type { z } from 'zod';
import { type CloudRunOptions, cloudRunOptions } from '../../../providers/gcp-cloud-run/options.ts';
import type { InstanceTags, LaunchRequest, Shape } from '../../../providers/provider.ts';

export const IMAGE = 'docker.io/acme/runner:1';

export const shape: Shape = {
  cpu: 1,
  memoryGiB: 0.5,
  architecture: 'x64',
  image: IMAGE,
  spot: false,
  dockerInDocker: false,
};

export function tagsFor(name: string, more: Partial<InstanceTags> = {}): InstanceTags {
  return {
    dispatcher: 'd1',
    registration: 'acme',
    lane: '0123456789abcdef',
    scope: 'orgs/acme',
    runner: name,
    createdAtMs: 1_790_000_000_000,
    deadlineAtMs: 1_790_000_600_000,
    charge: {},
    ...more,
  };
}

export function requestFor(name: string, more: Partial<LaunchRequest> = {}): LaunchRequest {
  return { name, shape, tags: tagsFor(name), environment: {}, secretEnvironment: {}, ...more };
}

export function optionsWith(more: Partial<z.input<typeof cloudRunOptions>> = {}): CloudRunOptions {
  return cloudRunOptions.parse({
    project: 'acme-runners',
    region: 'europe-west1',
    serviceAccount: 'runner@acme-runners.iam.gserviceaccount.com',
    ...more,
  });
}
