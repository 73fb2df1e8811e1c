import { expect } from 'chai';
import type { TimelineEntry } from '../../dispatcher/ledger/ledger.ts';
import { ANSWER_WORDS, type HookAnswer, isAnswered, wordsOf } from '../../dispatcher/lifecycle/refused-in-runner.ts';

const RUNNER = { name: 'd1-r' };

function asked(...answers: readonly HookAnswer[]): readonly TimelineEntry[] {
  return answers.map((answer) => ({
    ...{ atMs: 1, state: 'starting', reason: ANSWER_WORDS[answer], failure: null },
    details: answer === 'allowed' ? null : `why ${answer}`,
  }));
}

describe('a job that its runner refused', () => {
  it('has the reason of the refusal', () => {
    expect(wordsOf(RUNNER, asked('undecided', 'denied'), false)).to.deep.include({
      reasonCode: 'refused-in-runner',
      reason: 'the hook in its runner d1-r failed it before its first step: why denied',
    });
  });

  it('has what was not known in time, only where the hook needs an answer', () => {
    expect(wordsOf(RUNNER, asked('undecided'), true)?.reason).to.match(/could not be told in time: why undecided$/);
    expect(wordsOf(RUNNER, asked('undecided'), false)).to.equal(undefined);
    expect(wordsOf(RUNNER, asked('undecided', 'allowed'), true)).to.equal(undefined);
    expect(wordsOf(RUNNER, asked(), true)).to.equal(undefined);
  });

  it('is answered once it was told yes or no', () => {
    expect([asked(), asked('undecided'), asked('allowed'), asked('denied')].map(isAnswered)).to.deep.equal([
      false,
      false,
      true,
      true,
    ]);
  });
});
