/** The same launches by the vendors' SDKs alone: what anybody would write who needs nothing but a container. */
import EciModule, * as eci from '@alicloud/eci20180808';
import { Config } from '@alicloud/openapi-client';
import { RuntimeOptions } from '@alicloud/tea-util';
import { BatchServiceClient } from '@google-cloud/batch';
import { JobsClient } from '@google-cloud/run';
import { z } from 'zod';
import { callOptions, clientOptions } from '../../providers/google/connection.ts';
import { endpointOf } from '../../providers/google/endpoint.ts';
import type { LaunchRequest } from '../../providers/provider.ts';
import { encodeTags } from '../../providers/tags.ts';

export type DirectLaunch = (request: LaunchRequest) => Promise<unknown>;

const eciSchema = z.object({
  region: z.string(),
  endpoint: z.string(),
  accessKeyId: z.string(),
  accessKeySecret: z.string(),
  vSwitchIds: z.array(z.string()),
  securityGroupId: z.string(),
});

function aliEci(raw: unknown): DirectLaunch {
  const options = eciSchema.parse(raw);
  const client = new EciModule.default(
    new Config({
      accessKeyId: options.accessKeyId,
      accessKeySecret: options.accessKeySecret,
      regionId: options.region,
      endpoint: options.endpoint.replace('http://', ''),
      protocol: 'http',
    }),
  );
  const patient = new RuntimeOptions({ readTimeout: 20_000, connectTimeout: 20_000 });
  return (request) =>
    client.createContainerGroupWithOptions(
      new eci.CreateContainerGroupRequest({
        regionId: options.region,
        containerGroupName: request.name,
        clientToken: request.name,
        cpu: request.shape.cpu,
        memory: request.shape.memoryGiB,
        vSwitchId: options.vSwitchIds.join(','),
        securityGroupId: options.securityGroupId,
        restartPolicy: 'Never',
        activeDeadlineSeconds: 3600,
        tag: Object.entries(encodeTags(request.tags)).map(
          ([key, value]) => new eci.CreateContainerGroupRequestTag({ key, value }),
        ),
        container: [
          new eci.CreateContainerGroupRequestContainer({
            name: 'runner',
            image: request.shape.image,
            command: ['/bin/sh', '-c', 'true'],
            volumeMount: [
              new eci.CreateContainerGroupRequestContainerVolumeMount({ name: 'secrets', mountPath: '/etc/shr' }),
            ],
          }),
        ],
        volume: [
          new eci.CreateContainerGroupRequestVolume({
            name: 'secrets',
            type: 'ConfigFileVolume',
            configFileVolume: new eci.CreateContainerGroupRequestVolumeConfigFileVolume({
              configFileToPath: Object.entries(request.secretEnvironment).map(
                ([path, text]) =>
                  new eci.CreateContainerGroupRequestVolumeConfigFileVolumeConfigFileToPath({
                    path,
                    content: Buffer.from(text).toString('base64'),
                  }),
              ),
            }),
          }),
        ],
      }),
      patient,
    );
}

const googleSchema = z.object({
  project: z.string(),
  region: z.string(),
  credentials: z.string(),
  endpoint: z.string(),
  serviceAccount: z.string(),
});

const labelOf = (text: string) =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '_')
    .slice(0, 63);

function gcpBatch(raw: unknown): DirectLaunch {
  const options = googleSchema.parse(raw);
  const client = new BatchServiceClient(clientOptions(options));
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
            instances: [{ policy: { machineType: 'e2-standard-2' } }],
            serviceAccount: { email: options.serviceAccount },
            location: { allowedLocations: [`regions/${options.region}`] },
          },
          logsPolicy: { destination: 'CLOUD_LOGGING' },
        },
      },
      await callOptions(client.auth, endpointOf(options.endpoint), 20_000),
    );
}

function cloudRun(raw: unknown): DirectLaunch {
  const options = googleSchema.parse(raw);
  const client = new JobsClient(clientOptions(options));
  const parent = `projects/${options.project}/locations/${options.region}`;
  const jobId = 'bench-direct';
  const container = { image: '', command: ['/home/runner/run.sh'], resources: { limits: { cpu: '2', memory: '4Gi' } } };
  let made: Promise<unknown> | undefined;
  return async (request) => {
    const settings = await callOptions(client.auth, endpointOf(options.endpoint), 20_000);
    made ??= client
      .createJob(
        {
          parent,
          jobId,
          job: {
            template: {
              taskCount: 1,
              template: {
                maxRetries: 0,
                serviceAccount: options.serviceAccount,
                containers: [{ ...container, image: request.shape.image, name: 'runner' }],
              },
            },
          },
        },
        settings,
      )
      .then(([operation]) => operation.promise());
    await made;
    const variables = { ...encodeTags(request.tags), ...request.environment, ...request.secretEnvironment };
    const env = Object.entries(variables).map(([name, value]) => ({ name, value }));
    return client.runJob(
      { name: `${parent}/jobs/${jobId}`, overrides: { containerOverrides: [{ name: 'runner', env }] } },
      settings,
    );
  };
}

export const directLaunches: Readonly<Record<string, (options: unknown) => DirectLaunch>> = {
  'ali-eci': aliEci,
  'gcp-batch': gcpBatch,
  'gcp-cloud-run': cloudRun,
};
