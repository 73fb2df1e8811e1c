import { expect } from 'chai';
import { StartLog } from '../../dispatcher/lifecycle/start-log.ts';
import { failure } from '../failures/examples.ts';

const MINUTE = 60_000;

describe('the log of failed starts', () => {
  let nowMs: number;
  let lines: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> | undefined }[];
  let starts: StartLog;

  beforeEach(() => {
    nowMs = 5 * MINUTE;
    lines = [];
    starts = new StartLog({ warn: (event, fields) => void lines.push({ event, fields }) }, { now: () => nowMs });
  });

  const launched = (runner: string, backend = 'main') => ({ registration: 'acme', backend, runner });

  it('has a line for each, with whose it was, where, and what went wrong in the words of the service', () => {
    const pull = { kind: 'image-pull-failed', code: 'NotFound', requestId: 'r-1', message: 'no such tag' } as const;
    starts.failed(launched('r1'), failure({ ...pull, source: 'acme/main' }));
    starts.failed(launched('r2'), failure({ ...pull, source: 'acme/main' }));
    expect(lines).to.deep.equal(
      ['r1', 'r2'].map((runner) => ({
        event: 'start-failed',
        fields: {
          ...{ registration: 'acme', backend: 'main', runner, source: 'acme/main', kind: 'image-pull-failed' },
          ...{ code: 'NotFound', requestId: 'r-1', reason: 'no such tag' },
        },
      })),
    );
  });

  it('has at most ten of one backend at once and in a minute, and then says how many it left out', () => {
    for (let start = 0; start < 25; start += 1) starts.failed(launched(`r${start}`), failure());
    expect(lines).to.have.length(10);
    starts.failed(launched('other', 'second'), failure());
    expect(lines, 'another backend has lines of its own').to.have.length(11);
    nowMs += 6_000 - 1;
    starts.failed(launched('r25'), failure());
    expect(lines).to.have.length(11);
    nowMs += 1;
    starts.failed(launched('r26'), failure());
    expect(lines.at(-1)?.fields).to.include({ runner: 'r26', leftOut: 16 });
    nowMs += MINUTE;
    starts.failed(launched('r27'), failure());
    expect(lines.at(-1)?.fields).to.include({ runner: 'r27' }).and.not.have.property('leftOut');
  });
});
