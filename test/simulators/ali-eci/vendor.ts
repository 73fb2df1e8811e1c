/** The vendor's own client for the product, as anybody would use it, pointed at a simulator. */
import Eci, * as $Eci from '@alicloud/eci20180808';
import { Config } from '@alicloud/openapi-client';
import { RuntimeOptions } from '@alicloud/tea-util';
import type { AliEciSimulator } from '../../../simulators/ali-eci/index.ts';

const patient = () => new RuntimeOptions({ readTimeout: 10_000, connectTimeout: 10_000 });

export interface VendorClient {
  create(fields: Readonly<Record<string, unknown>>): Promise<string>;
  describe(name: string): Promise<unknown>;
  remove(id: string): Promise<void>;
  readonly raw: InstanceType<typeof Eci.default>;
}

export function vendorClient(
  simulator: Pick<AliEciSimulator, 'url' | 'region'>,
  key: { readonly id: string; readonly secret: string; readonly securityToken?: string } = {
    id: 'LTAI-simulated',
    secret: 'simulated-secret',
  },
): VendorClient {
  const raw = new Eci.default(
    new Config({
      accessKeyId: key.id,
      accessKeySecret: key.secret,
      ...(key.securityToken === undefined ? {} : { securityToken: key.securityToken }),
      regionId: simulator.region,
      endpoint: simulator.url.replace('http://', ''),
      protocol: 'http',
    }),
  );
  return {
    raw,
    create: async (fields) => {
      const answer = await raw.createContainerGroupWithOptions(
        new $Eci.CreateContainerGroupRequest({ regionId: simulator.region, ...fields }),
        patient(),
      );
      return answer.body?.containerGroupId ?? '';
    },
    describe: async (name) => {
      const answer = await raw.describeContainerGroupsWithOptions(
        new $Eci.DescribeContainerGroupsRequest({ regionId: simulator.region, containerGroupName: name }),
        patient(),
      );
      return answer.body;
    },
    remove: async (id) => {
      await raw.deleteContainerGroupWithOptions(
        new $Eci.DeleteContainerGroupRequest({ regionId: simulator.region, containerGroupId: id, force: true }),
        patient(),
      );
    },
  };
}

/** The least that the service takes. */
export function vendorCreate(
  client: VendorClient,
  { containerGroupName, image }: { readonly containerGroupName: string; readonly image: string },
): Promise<string> {
  return client.create({
    containerGroupName,
    cpu: 0.5,
    memory: 1,
    container: [new $Eci.CreateContainerGroupRequestContainer({ name: 'main', image })],
  });
}
