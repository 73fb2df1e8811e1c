import { expect } from 'chai';
import { expiredWords, QUEUE_LIMIT_MS, queuedSince } from '../../dispatcher/ledger/queue-age.ts';

const DAY = 24 * 3_600_000;
const NOW = Date.UTC(2026, 10, 28);

// J folder 04
describe('the age of a queued job', () => {
  const seen = { firstSeenAtMs: NOW, statusSinceMs: NOW };

  it('counts from its creation, whenever we first saw it', () => {
    for (const age of [40 * DAY, 7 * 365 * DAY]) {
      expect(queuedSince({ ...seen, createdAtMs: NOW - age })).to.equal(NOW - age);
    }
  });

  it('counts from its return into the queue where it was seen waiting or running', () => {
    expect(queuedSince({ firstSeenAtMs: NOW - DAY, statusSinceMs: NOW, createdAtMs: NOW - 3 * DAY })).to.equal(NOW);
  });

  it('counts from our first sight of it where GitHub names no time that can be right', () => {
    for (const createdAtMs of [null, 0, NOW + DAY]) expect(queuedSince({ ...seen, createdAtMs })).to.equal(NOW);
  });

  it('ends after the 24 hours that its words name', () => {
    expect(QUEUE_LIMIT_MS).to.equal(DAY);
  });

  it('has its date and the cure in its words', () => {
    expect(expiredWords(Date.UTC(2026, 9, 19, 13))).to.deep.equal({
      reasonCode: 'expired',
      reason: 'queued since 2026-10-19: GitHub gives a job up after 24 h in the queue, and hands it to no runner',
      cure: 'Cancel the run, and run the workflow again.',
    });
  });
});
