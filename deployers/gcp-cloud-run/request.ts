/** The dispatcher's service, as Cloud Run is asked for it. Pure. */
import { basename, dirname } from 'node:path';
import type { protos } from '@google-cloud/run';
import type { CloudRunOptions } from '../../providers/gcp-cloud-run/options.ts';
import type { Deployment, Role } from '../deployer.ts';
import { BUNDLE_FILE, programOf } from '../tags.ts';

/** Labels have no dots here. */
export const DEPLOYMENT_LABEL = 'shr-deployment';
export const HASH_LABEL = 'shr-deployment-hash';
export const ROLE_LABEL = 'shr-deployment-role';
const VOLUME = 'configuration';

/** Of the service and of its secret. */
export function serviceId(id: string): string {
  return `shr-${id}-dispatcher`;
}

export interface ServicePlan {
  readonly role: Role;
  readonly hash: string;
  /** Of the secret. */
  readonly version: string;
  /** Unique: its log is told apart by it. */
  readonly revision: string;
  readonly serviceAccount: string;
}

export function labelsOf(id: string, { role, hash }: Pick<ServicePlan, 'role' | 'hash'>): Record<string, string> {
  return { [DEPLOYMENT_LABEL]: id, [HASH_LABEL]: hash, [ROLE_LABEL]: role };
}

export function serviceFor(
  { cpu, id, image, listenPort, memoryGiB }: Deployment,
  plan: ServicePlan,
  options: CloudRunOptions,
): protos.google.cloud.run.v2.IService {
  const { connector, network, subnetwork, networkTags, egress } = options;
  const direct = network !== undefined || subnetwork !== undefined;
  const traffic = egress === 'all' ? 'ALL_TRAFFIC' : 'PRIVATE_RANGES_ONLY';
  return {
    labels: labelsOf(id, plan),
    // GitHub's webhooks come from outside, and sign what they send.
    ingress: 'INGRESS_TRAFFIC_ALL',
    invokerIamDisabled: true,
    template: {
      revision: plan.revision,
      serviceAccount: plan.serviceAccount,
      // A ledger has one dispatcher, which has work to do between requests too.
      scaling: { minInstanceCount: 1, maxInstanceCount: 1 },
      containers: [
        {
          image,
          command: [...programOf(plan.role)],
          ports: [{ containerPort: listenPort }],
          resources: { limits: { cpu: String(cpu), memory: `${Math.round(memoryGiB * 1024)}Mi` }, cpuIdle: false },
          volumeMounts: [{ name: VOLUME, mountPath: dirname(BUNDLE_FILE) }],
        },
      ],
      volumes: [
        {
          name: VOLUME,
          secret: { secret: serviceId(id), items: [{ path: basename(BUNDLE_FILE), version: plan.version }] },
        },
      ],
      ...(connector === undefined ? {} : { vpcAccess: { connector, egress: traffic } }),
      ...(direct
        ? {
            vpcAccess: {
              egress: traffic,
              networkInterfaces: [
                {
                  ...(network === undefined ? {} : { network }),
                  ...(subnetwork === undefined ? {} : { subnetwork }),
                  tags: [...networkTags],
                },
              ],
            },
          }
        : {}),
    },
  };
}
