import { expect } from 'chai';
import docker from '../../../providers/docker/index.ts';
import { dockerOptions } from '../../../providers/docker/options.ts';
import { type ContainerBody, containerBody } from '../../../providers/docker/request.ts';
import type { LaunchRequest, Shape, ShapeWish } from '../../../providers/provider.ts';
import { testHost } from '../../conformance/harness.ts';

const plain: Shape = {
  cpu: 1,
  memoryGiB: 2,
  architecture: 'x64',
  image: 'ghcr.io/acme/runner:1',
  spot: false,
  dockerInDocker: false,
};
const most = { architecture: 'x64', privileged: true, bucketRoot: '/srv/buckets', workFolder: '/work' } as const;

type Changes = Omit<Partial<ContainerBody>, 'HostConfig'> & {
  readonly HostConfig?: Partial<ContainerBody['HostConfig']>;
};

/** What each field of a wish becomes. */
type Row =
  | { readonly wish: Partial<Shape>; readonly body: Changes }
  /** Never fits, with all that the options can allow. */
  | { readonly refused: Partial<ShapeWish> }
  /** No part of the request, for this reason. */
  | string;

const rows: Readonly<Record<keyof ShapeWish, Row>> = {
  cpu: { wish: { cpu: 3 }, body: { HostConfig: { NanoCpus: 3e9 } } },
  memoryGiB: { wish: { memoryGiB: 3 }, body: { HostConfig: { Memory: 3 * 2 ** 30, MemorySwap: 3 * 2 ** 30 } } },
  architecture: { refused: { architecture: 'arm64' } },
  image: { wish: { image: 'other:2' }, body: { Image: 'other:2' } },
  diskGiB: { refused: { diskGiB: 10 } },
  bucket: { wish: { bucket: 'cache' }, body: { HostConfig: { Binds: ['/srv/buckets/cache:/work'] } } },
  bucketPrefix: {
    wish: { bucket: 'cache', bucketPrefix: 'acme/web' },
    body: { HostConfig: { Binds: ['/srv/buckets/cache/acme/web:/work'] } },
  },
  subnet: { refused: { subnet: 'net-1' } },
  securityGroup: { refused: { securityGroup: 'sg-1' } },
  region: 'it has chosen the backend',
  spot: { refused: { spot: true } },
  dockerInDocker: { wish: { dockerInDocker: true }, body: { HostConfig: { Privileged: true } } },
  timeLimitMs: 'an engine enforces none: the dispatcher does',
};

const bodyOf = (shape: Shape): ContainerBody => {
  const request: LaunchRequest = {
    name: 'd1-abc',
    shape,
    tags: {
      dispatcher: 'd1',
      registration: 'acme',
      lane: 'l1',
      scope: 'orgs/acme',
      runner: 'd1-abc',
      createdAtMs: 1,
      deadlineAtMs: 2,
      charge: {},
    },
    environment: {},
    secretEnvironment: {},
  };
  return containerBody(request, dockerOptions.parse(most));
};

describe('docker: each field of a wish', () => {
  const provider = docker.create(docker.options.parse(most), testHost());
  after(() => provider.close());

  for (const [field, row] of Object.entries(rows)) {
    if (typeof row === 'string') {
      it(`is no part of the container: ${field}, for ${row}`, () => {
        expect(row).to.not.equal('');
      });
    } else if ('refused' in row) {
      it(`is refused, and not dropped: ${field}`, () => {
        expect(provider.fit({ ...plain, ...row.refused })).to.include({ fits: false });
      });
    } else {
      it(`is in the container, and changes nothing else: ${field}`, () => {
        const shape = { ...plain, ...row.wish };
        const before = bodyOf(plain);
        expect(provider.fit(shape)).to.deep.include({ fits: true, shape });
        expect(bodyOf(shape)).to.deep.equal({
          ...before,
          ...row.body,
          HostConfig: { ...before.HostConfig, ...row.body.HostConfig },
        });
        expect(bodyOf(shape)).to.not.deep.equal(before);
      });
    }
  }

  it('is all that it can do: a capability more needs a row that shows it', () => {
    const can = Object.entries(provider.capabilities).flatMap(([name, has]) => (has === true ? [name] : []));
    expect(can).to.deep.equal(['dockerInDocker', 'bucket', 'logs']);
  });
});
