import { expect } from 'chai';
import type { Failure } from '../../dispatcher/failures/failure.ts';
import { StateLog } from '../../dispatcher/failures/state-log.ts';
import { failure } from './examples.ts';

const MINUTE = 60_000;

// J8
describe('a state in the log', () => {
  let nowMs: number;
  let lines: Readonly<Record<string, unknown>>[];
  let states: StateLog;
  beforeEach(() => {
    nowMs = Date.UTC(2026, 10, 1, 8);
    lines = [];
    const write = (event: string, fields: Readonly<Record<string, unknown>> = {}) =>
      void lines.push({ event, ...fields });
    states = new StateLog({ warn: write, info: write }, { now: () => nowMs });
  });

  const down = (fields: Partial<Failure> = {}) =>
    failure({ source: 'github', kind: 'transient', code: '502', message: 'bad gateway', ...fields });
  const fail = (times: number, told: (index: number) => Failure) => {
    for (let index = 0; index < times; index += 1) {
      nowMs += 1_000;
      states.failed('sweep-failed', { registration: 'acme' }, told(index), { job: `job ${index}` });
    }
  };
  const events = () => lines.map(({ event }) => event);

  it('is told when it begins and when it is over, with how often and how long, and not at each try', () => {
    fail(1200, () => down({ requestId: 'r-1' }));
    expect(lines).to.deep.equal([
      {
        event: 'sweep-failed',
        registration: 'acme',
        source: 'github',
        kind: 'transient',
        code: '502',
        requestId: 'r-1',
        reason: 'bad gateway',
        job: 'job 0',
      },
    ]);
    nowMs += 1_000;
    states.well('sweep-failed', { registration: 'acme' });
    expect(lines[1]).to.deep.equal({
      event: 'sweep-failed-over',
      registration: 'acme',
      since: '2026-11-01T08:00:01.000Z',
      lastedSeconds: 1200,
      times: 1200,
    });
  });

  it('is told again when it becomes something else: another kind, code or other words', () => {
    for (const other of [down({ kind: 'forbidden', code: '403' }), down({ code: '503' }), down({ message: 'reset' })]) {
      lines = [];
      fail(61, () => down());
      fail(100, () => other);
      expect(events()).to.deep.equal(['sweep-failed', 'sweep-failed']);
      expect(lines[1]).to.include({ kind: other.kind, code: other.code, reason: other.message, times: 61 });
      states.well('sweep-failed', { registration: 'acme' });
    }
  });

  it('is the same where only numbers and request ids differ', () => {
    fail(600, (index) => down({ message: `no answer within ${index} ms (request ${'0f3a'.repeat(4)}-${index})` }));
    expect(events()).to.deep.equal(['sweep-failed']);
  });

  it('is told at most once a minute where two things go wrong in turn', () => {
    fail(600, (index) => (index % 2 === 0 ? down() : down({ kind: 'forbidden' })));
    expect(events().length).to.be.within(2, 11);
  });

  it('is one for each thing that it is about, and over where it had not begun says nothing', () => {
    states.failed('sweep-failed', { registration: 'acme' }, down());
    states.failed('sweep-failed', { registration: 'globex' }, down());
    states.failed('poll.failed', { registration: 'acme' }, down());
    states.well('sweep-failed', { registration: 'initech' });
    states.well('sweep-failed', { registration: 'acme' });
    states.well('sweep-failed', { registration: 'acme' });
    expect(events()).to.deep.equal(['sweep-failed', 'sweep-failed', 'poll.failed', 'sweep-failed-over']);
  });

  it('is forgotten as the oldest of very many, and goes on over a clock that was set back', () => {
    for (let id = 0; id < 10_001; id += 1) states.failed('x', { id: String(id) }, down());
    lines = [];
    states.well('x', { id: '0' });
    expect(lines, 'it has no place any more').to.deep.equal([]);
    nowMs -= 60 * MINUTE;
    states.failed('x', { id: '10000' }, down({ kind: 'forbidden' }));
    expect(lines[0]).to.include({ event: 'x', kind: 'forbidden', lastedSeconds: 0 });
  });
});
