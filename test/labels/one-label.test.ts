/** The one-label form, for labels of any parts. Seeded: a failure comes again with the same labels. */
import { expect } from 'chai';
import fc from 'fast-check';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import type { Admission } from '../../dispatcher/jobs/lane.ts';
import { MAX_LABEL_LENGTH, readLabel, readLabels } from '../../dispatcher/labels/grammar.ts';
import { collectOverrides } from '../../dispatcher/labels/overrides.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { openPolicy, registration } from '../registration-fixture.ts';

const SEED = 20_262;

/** A part, and what it asks for. */
type Part = readonly [text: string, key: string, value: unknown];
const name = fc.stringMatching(/^[a-z][a-z0-9]{2,9}(?:[._-][a-z0-9]{1,5})?$/).filter((text) => !text.includes('..'));
const named = (key: string, asked: string): fc.Arbitrary<Part> =>
  name.map((value) => [`${key}=${value}`, asked, value] as const);
const counted = (key: string, asked: string, most: number): fc.Arbitrary<Part> =>
  fc.integer({ min: 1, max: most }).map((value) => [`${key}=${value}`, asked, value] as const);

const parts: readonly fc.Arbitrary<Part>[] = [
  counted('cpu', 'cpu', 1024),
  counted('memory', 'memory', 65_536),
  fc.oneof(named('image', 'image'), named('img', 'image')),
  fc.oneof(counted('disk', 'disk', 1_048_576), named('bucket', 'bucket')),
  named('shape', 'shape'),
  named('region', 'region'),
  named('backend', 'backend'),
  fc.constantFrom('x64', 'arm64').map((value) => [`arch=${value}`, 'architecture', value] as const),
  fc.integer({ min: 1, max: 7200 }).map((minutes) => [`timeout=${minutes}m`, 'timeout', minutes * 60_000] as const),
  fc.constantFrom(
    ['spot', 'spot', 'only'] as const,
    ['spot=only', 'spot', 'only'] as const,
    ['spot=Never', 'spot', 'never'] as const,
  ),
  fc.constant(['dind', 'dind', true] as const),
];
const chosen: fc.Arbitrary<readonly Part[]> = fc
  .shuffledSubarray([...parts])
  .chain((some) => fc.tuple(...some))
  .map((some): readonly Part[] => some);
const unique = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$/).filter((text) => !/^(?:spot|dind)$/i.test(text));
const separator = fc.constantFrom('/', ',');

const labelOf = (id: string, some: readonly string[], between: string) => [`shr=${id}`, ...some].join(between);

function admit(labels: readonly string[], changes: Partial<Registration> = {}): Admission {
  const own = registration({ labels: ['serverless-hosted-runner', 'acme-runner'], ...changes });
  return createAdmit([own])({
    ...{ host: 'github.com', owner: 'acme', repository: 'web', visibility: 'private' },
    labels,
  });
}

describe('the one-label form, whatever its parts', () => {
  it('is read as what was written, all of it, in any order', () => {
    fc.assert(
      fc.property(unique, chosen, separator, (id, some, between) => {
        const label = labelOf(
          id,
          some.map(([text]) => text),
          between,
        );
        const { overrides, mistakes } = collectOverrides(readLabels([label]));
        expect(mistakes, label).to.deep.equal([]);
        expect(Object.fromEntries(overrides.map(({ key, value }) => [key, value])), label).to.deep.equal({
          unique: id,
          ...Object.fromEntries(some.map(([, key, value]) => [key, value])),
        });
      }),
      { numRuns: 1000, seed: SEED },
    );
  });

  const junk = fc.constantFrom(
    '',
    'cores=4',
    'cpu',
    'cpu=',
    'cpu=four',
    'memory=8GB',
    'spot=no',
    'gpu=1',
    'what',
    '=',
    'cpu==4',
  );

  it('is refused whole where one part is wrong, with the part, the place and a cure', () => {
    fc.assert(
      fc.property(unique, chosen, separator, junk, fc.nat(20), (id, some, between, wrong, at) => {
        const texts = some.map(([text]) => text).filter((text) => !/^(?:image|img)=/.test(text));
        texts.splice(at % (texts.length + 1), 0, wrong);
        const label = labelOf(id, texts, between);
        const reading = readLabel(label);
        if (reading.kind !== 'one-label') throw new Error(label);
        expect(reading.mistakes, label).to.not.be.empty;
        for (const { position, cure } of reading.mistakes) {
          expect(position).to.be.within(1, label.length + 1);
          expect(cure).to.not.equal('');
        }
        const admission = admit([label]);
        expect(admission).to.include({ outcome: 'refused', code: 'malformed-label' });
        expect(admission.outcome === 'refused' && admission.reason).to.include('the label `shr=');
      }),
      { numRuns: 500, seed: SEED },
    );
  });

  it('is never read in part: any text after `shr=` is either understood to its last character or refused', () => {
    const text = fc.oneof(
      fc.string({ maxLength: 80, unit: 'grapheme' }),
      fc
        .array(fc.constantFrom('77', '/', ',', 'cpu=4', 'memory=8', 'spot', 'image=a', 'a/b:1', '=', ' ', 'cpu', '-'), {
          maxLength: 12,
        })
        .map((tokens) => tokens.join('')),
    );
    fc.assert(
      fc.property(text, (rest) => {
        const reading = readLabel(`shr=${rest}`);
        if (reading.kind !== 'one-label') throw new Error(rest);
        if (reading.mistakes.length > 0) return;
        const between = rest.includes(',') ? ',' : '/';
        const written = reading.overrides.map(({ key, value, part }) => part ?? (key === 'unique' ? value : undefined));
        expect(written.join(between)).to.equal(rest);
      }),
      { numRuns: 3000, seed: SEED },
    );
  });
});

describe('a job with a label in the one-label form', () => {
  it('gets a runner that is registered with exactly that label, and that no other job can take', () => {
    const lanes = ['shr=77-1/cpu=4/spot', 'shr=77-2/cpu=4/spot'].map((label) => {
      const admission = admit([label]);
      if (admission.outcome !== 'lane') throw new Error(JSON.stringify(admission));
      expect(admission.lane.labels).to.deep.equal([label]);
      return admission.lane;
    });
    expect(lanes[0]?.key).to.not.equal(lanes[1]?.key);
    expect(lanes[0]?.specHash).to.equal(lanes[1]?.specHash);
  });

  it('may have others beside it: of a registration, overrides, another of its form; none may contradict', () => {
    const wish = (...labels: readonly string[]) => {
      const admission = admit(labels);
      return admission.outcome === 'lane' ? admission.lane.wish : admission.outcome;
    };
    expect(wish('acme-runner', 'shr=1/cpu=4')).to.include({ cpu: 4 });
    expect(wish('shr=1/cpu=4', 'memory-16')).to.include({ cpu: 4, memoryGiB: 16 });
    expect(wish('shr=1/cpu=4', 'shr=2/memory=16')).to.include({ cpu: 4, memoryGiB: 16 });
    expect(wish('self-hosted', 'shr=1/cpu=4')).to.include({ cpu: 4 });
    expect(wish('shr=1/cpu=4', 'cpu-2')).to.equal('refused');
    expect(wish('shr=1/cpu=4', 'ubuntu-latest')).to.equal('not-ours');
  });

  it('is refused beyond what GitHub registers, with what to shorten', () => {
    const label = (length: number) => {
      const text = `shr=${'7'.repeat(100)}/image=ghcr.io`;
      return `${text.replaceAll('/', ',')}/${'a'.repeat(length - text.length - 1)}`;
    };
    expect(label(MAX_LABEL_LENGTH)).to.have.length(MAX_LABEL_LENGTH);
    const open = { policy: { ...openPolicy, images: ['*'] } };
    expect(admit([label(MAX_LABEL_LENGTH)], open).outcome).to.equal('lane');
    const long = admit([label(MAX_LABEL_LENGTH + 1)], open);
    expect(long).to.include({ outcome: 'refused', code: 'label-too-long' });
    expect(long.outcome === 'refused' && long.cure).to.include('preset');
  });
});
