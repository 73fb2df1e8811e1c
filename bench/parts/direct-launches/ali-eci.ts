/** Alibaba ECI with its own client. */
import EciModule, * as eci from '@alicloud/eci20180808';
import { Config } from '@alicloud/openapi-client';
import { RuntimeOptions } from '@alicloud/tea-util';
import { z } from 'zod';
import { encodeTags } from '../../../providers/kit/tags.ts';
import type { DirectLaunch } from './direct-launch.ts';

const schema = z.object({
  region: z.string(),
  endpoint: z.string(),
  accessKeyId: z.string(),
  accessKeySecret: z.string(),
  vSwitchIds: z.array(z.string()),
  securityGroupId: z.string(),
});

export function directLaunch(raw: unknown): DirectLaunch {
  const options = schema.parse(raw);
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
