import { expect } from 'chai';
import fc from 'fast-check';
import { billingLabels, fromLabels, toLabels } from '../../../providers/gcp-batch/tags.ts';
import { type InstanceTags, ProviderError } from '../../../providers/provider.ts';
import { plainTags } from './requests.ts';

const id = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,18}$/);
const tags: fc.Arbitrary<InstanceTags> = fc.record({
  dispatcher: id,
  registration: fc.string({ maxLength: 32 }),
  lane: fc.string({ maxLength: 64 }),
  scope: fc.string({ maxLength: 64, unit: 'binary' }),
  runner: fc.stringMatching(/^[a-z][a-z0-9-]{0,60}[a-z0-9]$/),
  createdAtMs: fc.integer({ min: 0, max: 2 ** 53 - 1 }),
  deadlineAtMs: fc.integer({ min: 0, max: 2 ** 53 - 1 }),
  charge: fc.dictionary(fc.string({ maxLength: 40 }), fc.string({ maxLength: 60, unit: 'grapheme' }), { maxKeys: 6 }),
});

describe('gcp-batch labels', () => {
  it('give every tag back as it was, within what the service takes as labels', () => {
    fc.assert(
      fc.property(tags, (some) => {
        const labels = toLabels(some);
        expect(Object.keys(labels).length).to.be.at.most(63);
        for (const [key, value] of Object.entries(labels)) {
          expect(key).to.match(/^[a-z][a-z0-9_-]{0,62}$/);
          expect(value).to.match(/^[a-z0-9_-]{1,63}$/);
        }
        expect(fromLabels(labels)).to.deep.equal(some);
        // The service keeps no order.
        expect(fromLabels(Object.fromEntries(Object.entries(labels).reverse()))).to.deep.equal(some);
      }),
    );
  });

  it('show dispatcher and runner in clear, for the filter of a list and for people', () => {
    expect(toLabels(plainTags)).to.include({ shr_dispatcher: 'fixture', shr_runner: 'fixture-0001' });
  });

  it('hold about 2,400 bytes, and say which charge labels to shorten where that is not enough', () => {
    const charged = (length: number): InstanceTags => ({ ...plainTags, charge: { essay: 'x'.repeat(length) } });
    expect(fromLabels(toLabels(charged(2200)))?.charge['essay']).to.have.lengthOf(2200);
    expect(() => toLabels(charged(2500))).to.throw(ProviderError, /shorten chargeLabels \(essay\)/);
  });

  it('are those of earlier versions, whose jobs may still run', () => {
    const ends = ['cyouxqis5lvoq', 'cyouxq6bclvov2', 'cyouxq6dyejov2xi', 'cyouxq6dyparf2xk5', 'cyouxq6dypb4cexk5lu'];
    for (const [index, end] of ends.entries()) {
      const made: InstanceTags = {
        dispatcher: 'd-1',
        registration: 'acme',
        lane: 'lane',
        scope: 'orgs/acme',
        runner: 'd-1-x',
        createdAtMs: 1_760_000_000_000,
        deadlineAtMs: 1_760_000_600_000,
        charge: { team: `é${'x'.repeat(index + 1)}` },
      };
      const labels = {
        shr_dispatcher: 'd-1',
        shr_runner: 'd-1-x',
        shr_0: 'lmrgcy3nmurcyitmmfxgkirmejxxez3tf5qwg3lfeiwdcnzwgaydambqgaydamb',
        shr_1: `qfqytonrqgaydanrqgaydambmlnnse5dfmfwselb${end}`,
      };
      expect(toLabels(made)).to.deep.equal(labels);
      expect(fromLabels(labels)).to.deep.equal(made);
    }
  });

  const damaged: readonly [string, (labels: Record<string, string>) => Record<string, string>][] = [
    ['without a dispatcher', ({ shr_dispatcher: _, ...rest }) => rest],
    ['without a runner', ({ shr_runner: _, ...rest }) => rest],
    ['with a part missing', ({ shr_1: _, ...rest }) => rest],
    ['with a part damaged', (labels) => ({ ...labels, shr_0: '0!' })],
    ['with a part in capitals', (labels) => ({ ...labels, shr_0: labels['shr_0']?.toUpperCase() ?? '' })],
    ['that others made', () => ({ owner: 'somebody' })],
  ];
  for (const [what, damage] of damaged) {
    it(`are not ours ${what}`, () => {
      expect(fromLabels(damage(toLabels(plainTags)))).to.equal(undefined);
    });
  }

  it('put on the bill what Google takes as it stands, and leave the rest', () => {
    const charge = {
      'cost-centre': '4711',
      'Cost Centre': '4711',
      team: 'Web',
      'goog-mine': 'x',
      shr_0: 'x',
      empty: '',
    };
    expect(billingLabels({ ...plainTags, charge }, 10)).to.deep.equal({
      shr_registration: 'acme-web',
      'cost-centre': '4711',
      empty: '',
    });
    expect(billingLabels({ ...plainTags, charge }, 62)).to.deep.equal({ shr_registration: 'acme-web' });
    expect(billingLabels({ ...plainTags, charge }, 63)).to.deep.equal({});
  });
});
