import { tenantFile, tenantLimits, tenantPowers } from '../dispatcher/config/schema.ts';
import { type Grant, type Policy, type Registration, Secret } from '../dispatcher/model/registration.ts';

export const closedPolicy: Policy = {
  maxCpu: undefined,
  maxMemoryGiB: undefined,
  maxDiskGiB: undefined,
  maxTimeLimitMs: undefined,
  images: [],
  subnets: [],
  securityGroups: [],
  buckets: [],
  regions: [],
  backends: [],
  architectures: [],
  spot: false,
  dockerInDocker: false,
  publicRepositories: false,
};

export const openPolicy: Policy = {
  maxCpu: 16,
  maxMemoryGiB: 64,
  maxDiskGiB: 500,
  maxTimeLimitMs: 6 * 3_600_000,
  images: ['ghcr.io/acme/*'],
  subnets: ['vsw-*', 'default'],
  securityGroups: ['sg-*'],
  buckets: ['build-*'],
  regions: ['cn-*', 'eu-west-1'],
  backends: ['*'],
  architectures: ['x64', 'arm64'],
  spot: true,
  dockerInDocker: true,
  publicRepositories: true,
};

/** A registration of the organization `acme` that listens to `acme-runner`, with what the test is about changed. */
export function registration(changes: Partial<Registration> = {}): Registration {
  return {
    name: 'acme',
    host: 'github.com',
    apiUrl: 'https://api.github.com',
    claim: { kind: 'organization', organization: 'acme' },
    credentials: { kind: 'token', token: new Secret('a-token') },
    webhookSecrets: [],
    runnerGroup: 'Default',
    labels: ['acme-runner'],
    priority: 0,
    defaults: { image: 'ghcr.io/acme/runner:1', cpu: 2, memoryGiB: 4 },
    imageRepository: undefined,
    images: {},
    shapes: {},
    policy: openPolicy,
    backends: [{ name: 'main', kind: 'docker', region: undefined, options: {}, maxRunners: 10 }],
    maxRunners: 10,
    poll: { intervalMs: null, repositories: [] },
    timeouts: { launchMs: 600_000, idleMs: 300_000 },
    chargeLabels: {},
    ...changes,
  };
}

const fields = [
  ...Object.keys(tenantFile.shape),
  ...Object.keys(tenantLimits.shape).map((key) => `limits.${key}`),
  ...Object.keys(tenantPowers.shape).map((key) => `powers.${key}`),
];

/** The owner `acme` on github.com with its label, no power; each field stands at `dispatcher.yaml:<field>`. */
export function grantOf(tenant: string, changes: Partial<Grant> = {}): Grant {
  return {
    tenant,
    hosts: ['github.com'],
    owners: ['acme'],
    enterprises: [],
    repositories: [],
    labels: ['acme-runner'],
    maxPriority: 0,
    runnerGroups: ['Default'],
    credentials: [],
    backends: [],
    backendKinds: [],
    limits: {
      maxRegistrations: 100,
      maxRunners: undefined,
      maxCpu: undefined,
      maxMemoryGiB: undefined,
      maxDiskGiB: undefined,
      maxTimeLimitMs: undefined,
    },
    powers: {
      images: [],
      buckets: [],
      subnets: [],
      securityGroups: [],
      regions: [],
      publicRepositories: false,
      dockerInDocker: false,
      spot: false,
    },
    places: Object.fromEntries(fields.map((field) => [field, `dispatcher.yaml:${field}`])),
    ...changes,
  };
}
