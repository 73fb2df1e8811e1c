import { expect } from 'chai';
import { nearest } from '../../dispatcher/labels/nearest.ts';

describe('did you mean', () => {
  const known = ['runnerGroup', 'labels', 'spot', 'dind'];

  it('finds the slip of a finger, whatever the case', () => {
    expect(nearest('runergroup', known)).to.equal('runnerGroup');
    expect(nearest('lables', known)).to.equal('labels');
    expect(nearest('psot', known)).to.equal('spot');
  });

  it('guesses nothing far away', () => {
    expect(nearest('priority', known)).to.equal(undefined);
    expect(nearest('x'.repeat(1000), known)).to.equal(undefined);
  });
});
