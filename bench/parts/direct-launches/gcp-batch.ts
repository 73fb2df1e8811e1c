/** Google Batch with its own client. */
import { BatchServiceClient } from '@google-cloud/batch';
import { callOptions, connect } from '../../../providers/google/connection.ts';
import { endpointOf } from '../../../providers/google/endpoint.ts';
import { encodeTags } from '../../../providers/kit/tags.ts';
import type { DirectLaunch } from './direct-launch.ts';
import { googleSchema } from './google.ts';

const labelOf = (text: string) =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '_')
    .slice(0, 63);

export function directLaunch(raw: unknown): DirectLaunch {
  const options = googleSchema.parse(raw);
  const { client } = connect(BatchServiceClient, options);
  return async (request) =>
    client.createJob(
      {
        parent: `projects/${options.project}/locations/${options.region}`,
        jobId: request.name,
        job: {
          labels: Object.fromEntries(
            Object.entries(encodeTags(request.tags)).map(([key, value]) => [labelOf(key), labelOf(value)]),
          ),
          taskGroups: [
            {
              taskCount: 1,
              taskSpec: {
                maxRetryCount: 0,
                maxRunDuration: { seconds: 3600 },
                computeResource: { cpuMilli: 2000, memoryMib: 4096 },
                runnables: [
                  {
                    container: { imageUri: request.shape.image, entrypoint: '/home/runner/run.sh', commands: [] },
                    environment: { variables: { ...request.environment, ...request.secretEnvironment } },
                  },
                ],
              },
            },
          ],
          allocationPolicy: {
            instances: [
              {
                policy: {
                  machineType: 'e2-standard-2',
                  provisioningModel: 'STANDARD',
                  bootDisk: { type: 'pd-balanced', sizeGb: 50 },
                },
                blockProjectSshKeys: true,
              },
            ],
            serviceAccount: { email: options.serviceAccount },
            location: { allowedLocations: [`regions/${options.region}`] },
            labels: { shr_registration: request.tags.registration, ...request.tags.charge },
            network: {
              networkInterfaces: [
                {
                  network: 'global/networks/default',
                  subnetwork: `regions/${options.region}/subnetworks/default`,
                  noExternalIpAddress: true,
                },
              ],
            },
          },
          logsPolicy: { destination: 'CLOUD_LOGGING' },
        },
      },
      await callOptions(client.auth, endpointOf(options.endpoint), 20_000),
    );
}
