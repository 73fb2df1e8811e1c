import { expect } from 'chai';
import azureAciModule from '../../../providers/azure-aci/index.ts';
import { fitSize, largest, mostOf } from '../../../providers/azure-aci/sizes.ts';
import type { ShapeWish } from '../../../providers/provider.ts';
import { testHost } from '../../conformance/harness.ts';

const least = {
  subscriptionId: '11111111-2222-4333-8444-555555555555',
  resourceGroup: 'runners',
  location: 'westeurope',
  credentials: { kind: 'managed-identity' },
};
const plain: ShapeWish = { architecture: 'x64', image: 'runner:1', spot: false, dockerInDocker: false };
const subnetId = '/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/hub/subnets/runners';
const provider = (more: object = {}) =>
  azureAciModule.create(azureAciModule.options.parse({ ...least, ...more }), testHost());

describe('azure-aci sizes', () => {
  const fitted = (cpu: number | undefined, memoryGiB: number | undefined, spot = false): string => {
    const fit = fitSize(
      { ...plain, spot, ...(cpu === undefined ? {} : { cpu }), ...(memoryGiB === undefined ? {} : { memoryGiB }) },
      spot ? largest.spot : largest.Standard,
    );
    return fit.fits
      ? `${fit.shape.cpu}/${fit.shape.memoryGiB}${fit.note === undefined ? '' : ` (${fit.note})`}`
      : fit.reason;
  };

  const table: readonly (readonly [number | undefined, number | undefined, string])[] = [
    [undefined, undefined, '1/2'],
    [2, undefined, '2/4'],
    [undefined, 8, '2/8'],
    [undefined, 240, '31/240'],
    [31, undefined, '31/62'],
    [1, 1, '1/1'],
    [1.1, 1.3, '1.1/1.3'],
    [0.1 + 0.2 + 1, 3, '1.3/3'],
    [0.5, 0.5, '1/1 (0.5 cores become 1; 0.5 GiB become 1, which is billed)'],
    [1.15, 2, '1.2/2 (1.15 cores become 1.2, which is billed)'],
    [31, 240, '31/240'],
  ];
  for (const [cpu, memory, expected] of table) {
    it(`makes ${expected} of ${cpu ?? 'any'} cores and ${memory ?? 'any'} GiB`, () => {
      expect(fitted(cpu, memory)).to.equal(expected);
    });
  }

  it('names the nearest size where there is none so large', () => {
    expect(fitted(32, 4)).to.include('32 cores').and.include('31 cores and 240 GiB');
    expect(fitted(4, 241)).to.include('241 GiB').and.include('31 cores and 240 GiB');
    expect(fitted(5, 8, true))
      .to.include('5 cores')
      .and.include('spot')
      .and.include('4 cores and 16 GiB');
  });

  it('keeps to what the subscription gets in the region, and to the sku', () => {
    expect(mostOf({ sku: 'Confidential' }, false)).to.deep.equal({ cpu: 31, memoryGiB: 180 });
    expect(mostOf({ sku: 'Standard', mostCpu: 4, mostMemoryGiB: 16 }, false)).to.deep.equal({ cpu: 4, memoryGiB: 16 });
    expect(mostOf({ sku: 'Standard', mostCpu: 8 }, true)).to.deep.equal({ cpu: 4, memoryGiB: 16 });
  });

  const refusals: readonly (readonly [string, object, Partial<ShapeWish>, RegExp])[] = [
    ['dind on the sku Standard', {}, { dockerInDocker: true }, /sku Confidential/],
    ['dind where the option is off', { sku: 'Confidential' }, { dockerInDocker: true }, /option privileged/],
    ['spot in a subnet', { subnetId }, { spot: true }, /not sold in a subnet/],
    ['spot where Azure has none', { location: 'northeurope' }, { spot: true }, /not sold in northeurope/],
    ['spot with the sku Confidential', { sku: 'Confidential' }, { spot: true }, /sku Confidential/],
    ['a disk', {}, { diskGiB: 20 }, /50 GB/],
    ['a bucket without an account', {}, { bucket: 'work' }, /option files/],
    ['a subnet without a network', {}, { subnet: 'other' }, /option subnetId/],
    ['a security group', { subnetId }, { securityGroup: 'nsg' }, /security group/],
    ['arm64', {}, { architecture: 'arm64' }, /arm64/],
    [
      'a share whose name is none',
      { files: { storageAccount: 'acmefiles', storageAccountKey: 'k' } },
      { bucket: 'a--b' },
      /no name of a file share/,
    ],
    [
      'a folder that leads out',
      { files: { storageAccount: 'acmefiles', storageAccountKey: 'k' } },
      { bucket: 'work', bucketPrefix: '../up' },
      /cannot be a folder/,
    ],
  ];
  for (const [what, options, wish, words] of refusals) {
    it(`refuses ${what}, and says why`, () => {
      const fit = provider(options).fit({ ...plain, ...wish });
      expect(fit.fits ? 'it fits' : fit.reason).to.match(words);
    });
  }

  it('takes dind with the sku Confidential and the option privileged', () => {
    const confidential = provider({ sku: 'Confidential', privileged: true });
    expect(confidential.capabilities.dockerInDocker).to.equal(true);
    expect(confidential.fit({ ...plain, dockerInDocker: true }).fits).to.equal(true);
  });
});
