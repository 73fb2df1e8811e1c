import { expect } from 'chai';
import { timeOfDay } from '../../time/time-of-day.ts';

describe('the time of day', () => {
  it('is in UTC, to the second', () => {
    expect(timeOfDay(Date.UTC(2026, 10, 28, 22, 10, 3, 999))).to.equal('22:10:03 UTC');
  });
});
