/** Cloud Run with its own client. */
import { JobsClient } from '@google-cloud/run';
import { callOptions, connect } from '../../../providers/google/connection.ts';
import { endpointOf } from '../../../providers/google/endpoint.ts';
import { encodeTags } from '../../../providers/kit/tags.ts';
import type { DirectLaunch } from './direct-launch.ts';
import { googleSchema } from './google.ts';

export function directLaunch(raw: unknown): DirectLaunch {
  const options = googleSchema.parse(raw);
  const { client } = connect(JobsClient, options);
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
