import { expect } from 'chai';
import { meantArchitecture, meantCores, meantDuration, meantGibibytes } from '../../dispatcher/labels/meaning.ts';

describe('what a wrong value was meant to say', () => {
  for (const [kind, meant, cases] of [
    [
      'cores',
      meantCores,
      [
        ['500m', '0.5'],
        ['4c', '4'],
        ['"4"', '4'],
        ['.5', '0.5'],
        ['4.', '4'],
        ['1,5', '1.5'],
        ['4.5 cores', '4.5'],
        ['0.1m', undefined],
        ['4 GB', undefined],
        ['many', undefined],
      ],
    ],
    [
      'GiB',
      meantGibibytes,
      [
        ['8G', '8'],
        ['512MB', '0.5'],
        ['4000MB', '4'],
        ['1500mb', '1.465'],
        ['1T', '1024'],
        ['8K', undefined],
      ],
    ],
    [
      'a time',
      meantDuration,
      [
        ['30min', '30m'],
        ['2 hours', '2h'],
        ['1.5h', '1h30m'],
        ['PT90M', '90m'],
        ['1h-30m', '1h30m'],
        ['1h and 30m', '1h30m'],
        ['1h30', '1h30m'],
        ['1d12', '1d12h'],
        ['1w2', '9d'],
        ['1.5s', '2s'],
        ['30', undefined],
        ['5s30', undefined],
        ['1h soon', undefined],
        ['1h2h', undefined],
        ['2m1h', undefined],
      ],
    ],
    [
      'an architecture',
      meantArchitecture,
      [
        ['AMD64', 'x64'],
        ['-x86_64', 'x64'],
        ['"aarch64"', 'arm64'],
        ['arm32', undefined],
        ['i386', undefined],
      ],
    ],
  ] as const) {
    for (const [value, expected] of cases) {
      it(`is ${expected ?? 'unknown'} for ${value}, where ${kind} is asked for`, () => {
        expect(meant(value)).to.equal(expected);
      });
    }
  }
});
