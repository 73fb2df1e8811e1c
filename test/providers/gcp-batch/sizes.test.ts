import { expect } from 'chai';
import fc from 'fast-check';
import gcpBatchModule from '../../../providers/gcp-batch/index.ts';
import { machineNamed, machineOf, type SeriesName, series } from '../../../providers/gcp-batch/sizes.ts';
import type { Fit, ShapeWish } from '../../../providers/provider.ts';
import { sizeOf } from '../../../simulators/gcp-batch/requests.ts';
import { testHost } from '../../conformance/harness.ts';
import { IMAGE, plainOptions } from './requests.ts';

const wish: ShapeWish = { architecture: 'x64', image: IMAGE, spot: false, dockerInDocker: false };

function fitOf(options: object, more: Partial<ShapeWish>): Fit {
  return gcpBatchModule
    .create(gcpBatchModule.options.parse({ ...plainOptions, ...options }), testHost())
    .fit({ ...wish, ...more });
}

function sizeIn(answer: Fit): string {
  return answer.fits ? `${answer.shape.cpu}/${answer.shape.memoryGiB}` : answer.reason;
}

describe('gcp-batch sizes', () => {
  const table: readonly [object, Partial<ShapeWish>, string][] = [
    [{}, {}, '2/8'],
    [{}, { cpu: 0.5 }, '1/4'],
    [{}, { cpu: 1 }, '1/4'],
    [{}, { cpu: 1.5 }, '2/8'],
    [{}, { memoryGiB: 4 }, '1/4'],
    [{}, { memoryGiB: 4.1 }, '2/8'],
    [{}, { cpu: 2, memoryGiB: 16 }, '4/16'],
    [{}, { cpu: 32, memoryGiB: 128 }, '32/128'],
    [{ machineSeries: 'e2-highmem' }, { cpu: 2, memoryGiB: 16 }, '2/16'],
    [{ machineSeries: 'e2-highcpu' }, { cpu: 5 }, '8/8'],
    [{ machineSeries: 'n2-highmem' }, { memoryGiB: 800 }, '128/864'],
    [{ machineSeries: 'c3-standard' }, { cpu: 9 }, '22/88'],
    [{ machineSeries: 'c3-highcpu' }, {}, '4/8'],
    [{ armMachineSeries: 't2a-standard' }, { architecture: 'arm64', cpu: 1 }, '1/4'],
    [{ machineType: { name: 'n2-standard-8' } }, { cpu: 1 }, '8/32'],
    [{ machineType: { name: 'n4-custom-6-12288', cpu: 6, memoryGiB: 12 } }, {}, '6/12'],
    [{ machineType: { name: 't2a-standard-2' } }, { architecture: 'arm64' }, '2/8'],
  ];
  for (const [options, more, expected] of table) {
    it(`makes ${expected} of ${JSON.stringify(more)} with ${JSON.stringify(options)}`, () => {
      expect(sizeIn(fitOf(options, more))).to.equal(expected);
    });
  }

  it('says what a wish became, and is silent where nothing was changed', () => {
    expect(fitOf({}, { cpu: 3 })).to.include({ note: '3 cores become e2-standard-4 (4 cores, 16 GiB)' });
    expect(fitOf({}, { cpu: 4, memoryGiB: 16 })).to.not.have.property('note');
    expect(fitOf({}, { cpu: 4, memoryGiB: 16, diskGiB: 10 })).to.not.have.property('note');
    expect(fitOf({}, { cpu: 4, memoryGiB: 16, diskGiB: 5 })).to.include({ note: '5 GiB of disk becomes 10' });
    expect(fitOf({}, { cpu: 3, diskGiB: 61.5 })).to.include({
      note: '3 cores become e2-standard-4 (4 cores, 16 GiB); 61.5 GiB of disk becomes 62',
    });
  });

  it('names the largest machine where none is large enough', () => {
    expect(sizeIn(fitOf({}, { cpu: 33 }))).to.equal(
      'no machine has 33 cores; the largest is e2-standard-32 (32 cores, 128 GiB)',
    );
  });

  const refused: readonly [Partial<ShapeWish>, RegExp][] = [
    [{ architecture: 'arm64' }, /arm64 is not sold here/],
    [{ diskGiB: 10, bucket: 'cache-1' }, /cannot both be/],
    [{ diskGiB: 70_000 }, /at most 65536 GiB/],
    [{ bucket: '../up' }, /not a valid Cloud Storage bucket name/],
    [{ bucket: 'cache-1', bucketPrefix: 'a/../b' }, /cannot be a folder/],
    [{ bucket: 'cache-1', bucketPrefix: 'a/.' }, /cannot be a folder/],
    [{ bucket: 'cache-1', bucketPrefix: 'a b' }, /cannot be a folder/],
    [{ subnet: 'Upper' }, /not a valid subnetwork/],
    [{ subnet: 'regions/x/subnetworks/' }, /not a valid subnetwork/],
    [{ securityGroup: '9tag' }, /not a valid network tag/],
    [{ timeLimitMs: 15 * 24 * 3_600_000 }, /beyond the service's/],
  ];
  for (const [more, reason] of refused) {
    it(`refuses ${JSON.stringify(more)}`, () => {
      expect(sizeIn(fitOf({}, more))).to.match(reason);
    });
  }

  it('takes the folder of any repository that GitHub may have', () => {
    for (const bucketPrefix of ['acme/.github', 'acme/-dash', 'acme/a..b', 'acme/_x']) {
      expect(fitOf({}, { bucket: 'cache-1', bucketPrefix }).fits, bucketPrefix).to.equal(true);
    }
  });

  it('refuses Docker in Docker where privileged is off, and not where it is on', () => {
    expect(sizeIn(fitOf({ privileged: false }, { dockerInDocker: true }))).to.match(/Docker in Docker/);
    expect(fitOf({}, { dockerInDocker: true }).fits).to.equal(true);
  });

  it('has in each series only machines that grow in both cores and memory, of the sizes that their names say', () => {
    for (const [name, { machines }] of Object.entries(series)) {
      for (const [index, machine] of machines.entries()) {
        const before = machines[index - 1];
        if (before !== undefined) {
          expect(machine.cpu, name).to.be.greaterThan(before.cpu);
          expect(machine.memoryGiB, name).to.be.greaterThan(before.memoryGiB);
        }
        // e2-medium has two virtual cores, which together may use one.
        const said = machine.type === 'e2-medium' ? { cpu: 1, memoryGiB: 4 } : sizeOf(machine.type);
        expect({ cpu: machine.cpu, memoryGiB: machine.memoryGiB }, machine.type).to.deep.equal(said);
        expect(machineNamed(machine.type)?.type).to.equal(machine.type);
      }
    }
  });

  it('finds for every shape that fits the machine that it was made of', () => {
    const names: SeriesName[] = ['e2-standard', 'n2-highmem', 'c3-highcpu', 't2d-standard'];
    const size = fc.option(fc.double({ min: 0.1, max: 200, noNaN: true }), { nil: undefined });
    fc.assert(
      fc.property(fc.constantFrom(...names), size, size, (name, cpu, memoryGiB) => {
        const answer = fitOf(
          { machineSeries: name },
          { ...(cpu === undefined ? {} : { cpu }), ...(memoryGiB === undefined ? {} : { memoryGiB }) },
        );
        if (!answer.fits) return;
        const machine = machineOf(answer.shape, { x64: series[name].machines });
        expect({ cpu: machine?.cpu, memoryGiB: machine?.memoryGiB }).to.deep.equal({
          cpu: answer.shape.cpu,
          memoryGiB: answer.shape.memoryGiB,
        });
      }),
    );
  });
});
