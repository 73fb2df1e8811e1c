import { expect } from 'chai';
import fc from 'fast-check';
import { readLabel, readLabels } from '../../dispatcher/labels/grammar.ts';
import { collectOverrides } from '../../dispatcher/labels/overrides.ts';
import type { Mistake } from '../../dispatcher/labels/reading.ts';
import type { Override } from '../../dispatcher/labels/values.ts';

function overridesOf(...labels: string[]): Readonly<Record<string, unknown>> {
  const { overrides, mistakes } = collectOverrides(readLabels(labels));
  expect(mistakes).to.deep.equal([]);
  return Object.fromEntries(overrides.map(({ key, value }) => [key, value]));
}

function mistakesOf(...labels: string[]): readonly Mistake[] {
  return collectOverrides(readLabels(labels)).mistakes;
}

describe('the label grammar', () => {
  describe('overrides', () => {
    for (const [label, key, value] of [
      ['cpu-4', 'cpu', 4],
      ['cpu-0.5', 'cpu', 0.5],
      ['CPU-2.0', 'cpu', 2],
      ['memory-4.0', 'memory', 4],
      ['img-2.335-node', 'image', '2.335-node'],
      ['img-Node', 'image', 'Node'],
      ['img-ghcr.io/acme/runner@sha256:abc', 'image', 'ghcr.io/acme/runner@sha256:abc'],
      ['vsw-bp1abc', 'subnet', 'vsw-bp1abc'],
      ['subnet-0bb1c79de3abcdef0', 'subnet', 'subnet-0bb1c79de3abcdef0'],
      ['subnet-default', 'subnet', 'default'],
      ['sg-bp1abc', 'securityGroup', 'sg-bp1abc'],
      ['disk-100', 'disk', 100],
      ['disk-build-cache', 'bucket', 'build-cache'],
      ['shape-large', 'shape', 'large'],
      ['arch-ARM64', 'architecture', 'arm64'],
      ['spot', 'spot', 'only'],
      ['spot-only', 'spot', 'only'],
      ['Spot-NEVER', 'spot', 'never'],
      ['spot-prefer', 'spot', 'prefer'],
      ['spot-wait', 'spot', 'wait'],
      ['dind', 'dind', true],
      ['timeout-90m', 'timeout', 5_400_000],
      ['timeout-1h30m', 'timeout', 5_400_000],
      ['region-cn-shanghai', 'region', 'cn-shanghai'],
      ['backend-eci', 'backend', 'eci'],
      ['sid-12345-1', 'unique', '12345-1'],
      ['sid-web,main', 'unique', 'web,main'],
      ['sid-web main', 'unique', 'web main'],
    ] as const) {
      it(`reads ${label}`, () => {
        expect(overridesOf(label)).to.deep.equal({ [key]: value });
      });
    }

    it('reads x64 and arm64 as a wish for the architecture, and GitHub’s other own labels as nothing', () => {
      expect(overridesOf('self-hosted', 'Linux', 'ARM64')).to.deep.equal({ architecture: 'arm64' });
    });

    for (const label of ['cpu', 'memory', 'gpu-2', 'image-node', 'ubuntu-latest', 'bucket-cache', 'spot-fleet', '']) {
      it(`takes "${label}" for a registration's own label`, () => {
        expect(readLabel(label)).to.deep.equal({ kind: 'plain' });
      });
    }
  });

  describe('malformed overrides', () => {
    for (const [label, position, cure] of [
      ['cpu-abc', 5, '`cpu-2`'],
      ['cpu-0', 5, '`cpu-2`'],
      ['cpu--1', 5, '`cpu-1`'],
      ['cpu-', 5, '`cpu-2`'],
      ['cpu-1e3', 5, 'such as `cpu-2`'],
      ['cpu-500m', 5, '`cpu-0.5`'],
      ['cpu-2000', 5, 'such as `cpu-2`'],
      ['memory-4GB', 8, '`memory-4`'],
      ['memory-0.0001', 8, '`memory-4`'],
      ['timeout-90', 9, '`timeout-90m`'],
      ['timeout-soon', 9, 'such as `timeout-90m`'],
      ['timeout-5s', 9, '`timeout-1m`'],
      ['timeout-9d', 9, '`timeout-5d`'],
      ['timeout-1min', 9, '`timeout-1m`'],
      ['timeout-5days', 9, '`timeout-5d`'],
      ['arch-amd64', 6, '`arch-x64`'],
      ['arch-aarch64', 6, '`arch-arm64`'],
      ['disk-100G', 6, '`disk-100`'],
      ['disk-0', 6, '`disk-100`'],
      ['disk--5', 6, '`disk-5`'],
      ['disk-a', 6, 'remove'],
      ['img-a b', 5, 'remove'],
      ['img-../../etc', 5, 'remove'],
      ['shape-', 7, 'remove'],
      ['backend-a/b', 9, 'remove'],
      ['sid-', 5, 'github.run_id'],
    ] as const) {
      it(`says what is wrong with ${label}, where, and what to write`, () => {
        const [mistake, ...others] = mistakesOf(label);
        expect(others).to.deep.equal([]);
        expect(mistake).to.include({ kind: 'malformed', label, position });
        expect(mistake?.problem).to.not.equal('');
        expect(mistake?.cure).to.include(cure);
      });
    }
  });

  describe('several overrides', () => {
    it('takes the same wish twice for one', () => {
      expect(overridesOf('cpu-2', 'cpu-2.0', 'arm64', 'arch-arm64')).to.deep.equal({ cpu: 2, architecture: 'arm64' });
    });

    for (const labels of [
      ['cpu-2', 'cpu-4'],
      ['x64', 'arm64'],
      ['disk-100', 'disk-build-cache'],
      ['shr=1/cpu=2', 'cpu-4'],
      ['shr=1/cpu=2/cpu=4'],
    ]) {
      it(`finds that ${labels.join(' and ')} contradict`, () => {
        const [mistake, ...others] = mistakesOf(...labels);
        expect(others).to.deep.equal([]);
        expect(mistake?.kind).to.equal('contradiction');
        expect(mistake?.cure).to.equal('Keep one of them.');
      });
    }

    it('lets a job have more than one unique label', () => {
      expect(mistakesOf('sid-1', 'sid-2', 'shr=3/spot')).to.deep.equal([]);
    });

    it('counts a label once, whatever its case', () => {
      expect(readLabels(['Acme', 'acme', 'ACME']).map(({ text }) => text)).to.deep.equal(['Acme']);
    });
  });

  for (const [label, name] of [
    ['cpu-4,memory-8', 'a comma'],
    ['cpu-4 memory-8', 'a blank'],
    ['cpu-4\tmemory-8', 'a blank'],
    ['cpu-4;memory-8', '`;`'],
  ] as const) {
    it(`says what ${JSON.stringify(label)} was meant to be separated by: ${name}`, () => {
      expect(mistakesOf(label)[0]?.problem).to.equal(`${name} does not separate labels`);
    });
  }

  it('quotes a wrong value of up to 80 characters in full, and the beginning of a longer one', () => {
    const quoted = (value: string) => mistakesOf(`cpu-${value}`)[0]?.problem;
    expect(quoted('x'.repeat(80))).to.include(`\`${'x'.repeat(80)}\``);
    expect(quoted('x'.repeat(81))).to.include(`\`${'x'.repeat(77)}…\``);
  });

  describe('the one-label form', () => {
    it('reads every key', () => {
      const label =
        'shr=77-1/cpu=4/memory=8/image=node/subnet=default/sg=sg-1/disk=100/shape=large/arch=arm64/timeout=2h/region=r1/backend=b1/spot/dind';
      expect(overridesOf(label)).to.deep.equal({
        unique: '77-1',
        cpu: 4,
        memory: 8,
        image: 'node',
        subnet: 'default',
        securityGroup: 'sg-1',
        disk: 100,
        shape: 'large',
        architecture: 'arm64',
        timeout: 7_200_000,
        region: 'r1',
        backend: 'b1',
        spot: 'only',
        dind: true,
      });
    });

    it('leaves the slash to a full image reference when commas separate', () => {
      expect(overridesOf('SHR=9,image=ghcr.io/acme/runner:2,Spot')).to.deep.equal({
        unique: '9',
        image: 'ghcr.io/acme/runner:2',
        spot: 'only',
      });
    });

    it('reads a bucket by either key', () => {
      expect(overridesOf('shr=1/bucket=build-cache')).to.deep.equal(overridesOf('shr=1/disk=build-cache'));
    });

    for (const [label, position, words] of [
      ['shr=', 5, 'unique part'],
      ['shr=/cpu=4', 5, 'unique part'],
      ['shr=cpu=4', 5, 'unique part'],
      ['shr=spot', 5, 'unique part'],
      ['shr=1/cpu=2,memory=4', 6, 'mixes'],
      ['shr=1/cores=2', 7, 'cores'],
      ['shr=1/memroy=2', 7, 'memroy'],
      ['shr=1/cpu', 7, 'no value'],
      ['shr=1/cpu=abc', 11, 'abc'],
      ['shr=1//cpu=2', 7, 'empty'],
      ['shr=1/cpu=2/', 13, 'empty'],
      ['shr=1/spot=false', 11, 'takes no value'],
      ['shr=77/img=ghcr.io/a/b:1', 19, 'the value of `img` holds a slash'],
      ['shr=1/subnet=net/sub/cpu=2', 17, 'the value of `subnet` holds a slash'],
      ['shr=$(id)/cpu=2', 5, 'unique part'],
    ] as const) {
      it(`says what is wrong with ${label}, and where`, () => {
        const [mistake] = mistakesOf(label);
        expect(mistake).to.include({ kind: 'malformed', label, position });
        expect(mistake?.problem).to.include(words);
        expect(mistake?.cure).to.not.equal('');
      });
    }

    it('guesses a part with a blank before it', () => {
      expect(mistakesOf('shr=1/ cpu-4')[0]?.cure).to.include('`cpu=4`');
    });

    it('tells all that is wrong with it at once', () => {
      expect(mistakesOf('shr=1/cpu=x/memory=y/what=z')).to.have.length(3);
    });

    it('says once what to do about a slash in a value', () => {
      expect(mistakesOf('shr=77/img=ghcr.io/a/b:1/cpu=2').map(({ cure }) => cure)).to.deep.equal([
        'Separate by `,` throughout, such as `shr=1,image=ghcr.io/acme/runner:2`.',
      ]);
      expect(mistakesOf('shr=77/img=node/vcpu')[0]?.cure, 'a key, although without a value').to.equal(
        'Did you mean `cpu`?',
      );
      expect(mistakesOf('shr=img=a/b')[0]?.problem).to.include('the unique part is missing');
    });

    it('knows no key by a name that every object has', () => {
      for (const name of ['constructor', 'toString', '__proto__']) {
        expect(mistakesOf(`shr=1/${name}=2`)[0]?.problem).to.equal(`there is no \`${name.toLowerCase()}\``);
      }
    });

    it('offers the key that was probably meant', () => {
      expect(mistakesOf('shr=1/memroy=2')[0]?.cure).to.equal('Did you mean `memory`?');
    });
  });

  describe('for any text', () => {
    const label = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc
        .tuple(
          fc.constantFrom(
            'cpu-',
            'memory-',
            'disk-',
            'img-',
            'timeout-',
            'arch-',
            'sid-',
            'shr=',
            'shr=1/cpu=',
            'vsw-',
          ),
          fc.string({ maxLength: 30 }),
        )
        .map(([prefix, rest]) => prefix + rest),
    );

    it('never throws, and every mistake points into its label and has a cure', () => {
      fc.assert(
        fc.property(fc.array(label, { maxLength: 8 }), (labels) => {
          for (const mistake of mistakesOf(...labels)) {
            expect(mistake.position).to.be.within(1, mistake.label.length + 1);
            expect(mistake.problem.length).to.be.within(1, 400);
            expect(mistake.cure.length).to.be.within(1, 400);
          }
        }),
        { numRuns: 1000 },
      );
    });

    it('reads the same wishes in any order', () => {
      const wishes = fc.subarray(['cpu-2', 'cpu-4', 'memory-8', 'spot', 'x64', 'arm64', 'disk-5', 'disk-abc', 'cpu-x']);
      const seen = (labels: readonly string[]) => {
        const { overrides, mistakes } = collectOverrides(readLabels(labels));
        const sorted = (items: readonly (Override | Mistake)[]) => items.map((item) => JSON.stringify(item)).sort();
        return { overrides: sorted(overrides), mistakes: sorted(mistakes) };
      };
      fc.assert(
        fc.property(
          wishes.chain((labels) =>
            fc.tuple(fc.constant(labels), fc.shuffledSubarray(labels, { minLength: labels.length })),
          ),
          ([labels, shuffled]) => {
            expect(seen(shuffled)).to.deep.equal(seen(labels));
          },
        ),
      );
    });
  });
});
