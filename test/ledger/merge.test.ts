import { expect } from 'chai';
import fc from 'fast-check';
import type { JobFact, JobStatus } from '../../dispatcher/jobs/facts.ts';
import type { JobRow } from '../../dispatcher/ledger/ledger.ts';
import { mergeFact } from '../../dispatcher/ledger/merge.ts';
import { fact as example } from './examples.ts';
import { rowAfter as rowByTheRules } from './oracle-merge.ts';

const fact = (some: Partial<JobFact>) => example({ jobId: 1, ...some });

function rowAfter(...facts: readonly JobFact[]): JobRow {
  const [first, ...others] = facts;
  if (first === undefined) throw new Error('a job starts with a fact');
  return others.reduce((row, next) => mergeFact(row, next).row, mergeFact(undefined, first).row);
}

const queued = fact({ observedAtMs: 100 });
const running = fact({ status: 'in_progress', runnerId: 9, runnerName: 'd-1', startedAtMs: 190, observedAtMs: 200 });
const done = fact({
  status: 'completed',
  conclusion: 'success',
  runnerId: 9,
  runnerName: 'd-1',
  startedAtMs: 190,
  completedAtMs: 3_000,
  observedAtMs: 300,
});

describe('what a fact does to a job', () => {
  describe('said by webhooks', () => {
    it('moves the job on, with everything that belongs to the new status', () => {
      expect(rowAfter(queued, running)).to.include({
        status: 'in_progress',
        runnerName: 'd-1',
        runnerId: 9,
        startedAtMs: 190,
        statusSinceMs: 200,
        statusObservedAtMs: 200,
        statusSource: 'webhook',
        disputed: false,
        version: 2,
      });
    });

    it('ignores a delivery that is late', () => {
      const row = rowAfter(queued, done);
      expect(mergeFact(row, fact({ status: 'in_progress', runnerName: 'd-2', observedAtMs: 400 }))).to.deep.equal({
        row,
        changed: false,
      });
    });

    it('learns from a late delivery what was unknown', () => {
      const row = rowAfter(fact({ ...done, htmlUrl: null, visibility: undefined }));
      const merged = mergeFact(row, queued);
      expect(merged.row).to.include({ status: 'completed', htmlUrl: queued.htmlUrl, visibility: 'private' });
      expect(merged.row.version).to.equal(row.version + 1);
    });

    it('leaves a job that was cancelled in the queue without a runner', () => {
      const cancelled = fact({ status: 'completed', conclusion: 'cancelled', runnerId: 0, runnerName: '' });
      expect(rowAfter(queued, cancelled)).to.include({ status: 'completed', runnerName: null, runnerId: null });
      expect(rowAfter(cancelled, running)).to.include({ status: 'completed', runnerName: null, runnerId: null });
    });

    it('takes the newer of queued and waiting, and has doubts', () => {
      const waiting = fact({ status: 'waiting', observedAtMs: 150 });
      expect(rowAfter(queued, waiting)).to.include({ status: 'waiting', disputed: true, statusSinceMs: 150 });
    });

    it('has no doubts left once the job runs', () => {
      expect(rowAfter(fact({ status: 'waiting' }), queued, running)).to.include({
        status: 'in_progress',
        disputed: false,
      });
    });

    it('has doubts when two runners are said to run the job', () => {
      const other = fact({ ...running, runnerName: 'd-2', runnerId: 10, observedAtMs: 250 });
      expect(rowAfter(running, other)).to.include({ runnerName: 'd-2', runnerId: 10, disputed: true });
    });

    it('doubts a move away from where a GET has put the job', () => {
      const requeued = fact({ source: 'read', observedAtMs: 250 });
      const late = fact({ ...running, observedAtMs: 260 });
      expect(rowAfter(queued, running, requeued, late)).to.include({ status: 'in_progress', disputed: true });
    });

    it('does not doubt a start after the GET', () => {
      const read = fact({ source: 'read', observedAtMs: 250 });
      const started = fact({ ...running, startedAtMs: 251, observedAtMs: 260 });
      expect(rowAfter(queued, read, started)).to.include({ status: 'in_progress', disputed: false });
      expect(rowAfter(queued, read, { ...started, startedAtMs: 250 })).to.include({ disputed: true });
    });

    it('has no doubts left when the job ends on the runner that was known to have it', () => {
      const read = fact({ ...running, source: 'read', observedAtMs: 250 });
      expect(rowAfter(queued, read, done)).to.include({ status: 'completed', disputed: false });
      const doubted = rowAfter(queued, running, fact({ source: 'poll', observedAtMs: 250 }));
      expect(mergeFact(doubted, done).row).to.include({ status: 'completed', disputed: false });
    });

    it('keeps its doubts when the job ends on another runner, or on none', () => {
      const read = fact({ ...running, source: 'read', observedAtMs: 250 });
      for (const runnerName of ['d-2', null]) {
        const end = fact({ ...done, runnerName, runnerId: null });
        expect(rowAfter(queued, read, end), `on ${runnerName}`).to.include({ status: 'completed', disputed: true });
      }
    });

    it('keeps that doubt when another late delivery comes in between', () => {
      const requeued = fact({ source: 'read', observedAtMs: 250 });
      const waiting = fact({ status: 'waiting', observedAtMs: 255 });
      const late = fact({ ...running, observedAtMs: 260 });
      expect(rowAfter(running, requeued, waiting, late)).to.include({ status: 'in_progress', disputed: true });
    });
  });

  describe('seen by a poll', () => {
    it('casts doubt when a job that ran is listed as queued', () => {
      const polled = fact({ source: 'poll', observedAtMs: 201 });
      const row = rowAfter(queued, running, polled);
      expect(row).to.include({ status: 'in_progress', runnerName: 'd-1', disputed: true });
    });

    it('is too old to cast doubt when it was sent before the status was observed', () => {
      expect(rowAfter(queued, running, fact({ source: 'poll', observedAtMs: 200 }))).to.include({ disputed: false });
    });

    it('decides between queued and waiting when it was sent later', () => {
      const polled = fact({ status: 'waiting', source: 'poll', observedAtMs: 101 });
      expect(rowAfter(queued, polled)).to.include({ status: 'waiting', disputed: false });
      const confirming = fact({ status: 'queued', source: 'poll', observedAtMs: 151 });
      const doubted = rowAfter(queued, fact({ status: 'waiting', observedAtMs: 140 }), fact({ observedAtMs: 150 }));
      expect(doubted.disputed).to.equal(true);
      expect(mergeFact(doubted, confirming).row).to.include({ status: 'queued', disputed: false });
    });

    it('changes nothing when all is as it was', () => {
      expect(mergeFact(rowAfter(queued), fact({ source: 'poll', observedAtMs: 999 })).changed).to.equal(false);
    });
  });

  describe('read by a GET', () => {
    it('moves a job back into the queue, without its runner', () => {
      const row = rowAfter(queued, running, fact({ source: 'read', observedAtMs: 250 }));
      expect(row).to.include({
        status: 'queued',
        runnerName: null,
        runnerId: null,
        statusSinceMs: 250,
        verifiedAtMs: 250,
      });
    });

    it('settles a doubt', () => {
      const doubted = rowAfter(queued, running, fact({ source: 'poll', observedAtMs: 250 }));
      expect(mergeFact(doubted, fact({ ...running, source: 'read', observedAtMs: 260 })).row).to.include({
        disputed: false,
        statusSource: 'read',
        statusSinceMs: 200,
      });
    });

    it('decides nothing when the status was observed after it was sent', () => {
      const row = rowAfter(queued, running, fact({ source: 'read', observedAtMs: 199 }));
      expect(row).to.include({ status: 'in_progress', runnerName: 'd-1', verifiedAtMs: 199 });
    });
  });

  it('keeps the identity and labels that a job came with', () => {
    const row = rowAfter(
      queued,
      fact({ labels: ['other'], owner: 'ACME', runAttempt: 2, source: 'read', observedAtMs: 900 }),
    );
    expect(row.labels).to.deep.equal(queued.labels);
    expect(row).to.include({ owner: 'Acme', runAttempt: 1, key: 'github.com/acme/web/1' });
  });

  it('keeps them only when the reporter and the source with authority belong to one tenant', () => {
    const strangers = (one: string) => one === 'mallory';
    for (const [toldBy, labels] of [
      ['acme', queued.labels],
      ['mallory', ['other']],
    ] as const) {
      const { row } = mergeFact(undefined, fact({ toldBy, observedAtMs: 100 }), strangers);
      const read = fact({ labels: ['other'], source: 'read', toldBy: 'acme', observedAtMs: 900 });
      expect(mergeFact(row, read, strangers).row.labels, toldBy).to.deep.equal(labels);
    }
  });

  it('keeps whether anyone but a tenant has told of the visibility', () => {
    const strangers = (one: string, other: string) => one !== other && [one, other].includes('evil');
    const proven = (row: JobRow | undefined, some: Partial<JobFact>) => mergeFact(row, fact(some), strangers).row;
    const own = proven(undefined, { toldBy: 'evil', visibility: 'private' });
    expect(own).to.include({ visibility: 'private', visibilityProven: false });
    expect(proven(own, { source: 'read', toldBy: 'evil', visibility: undefined })).to.include({
      visibilityProven: false,
    });
    expect(proven(own, { source: 'poll', toldBy: 'evil', visibility: 'private' })).to.include({
      visibilityProven: true,
    });
    const told = proven(own, { toldBy: null, visibility: 'private' });
    expect(told).to.include({ visibilityProven: true });
    expect(proven(told, { toldBy: 'evil', visibility: 'private' })).to.include({ visibilityProven: true });
    expect(proven(undefined, { toldBy: 'acme', visibility: 'private' })).to.include({ visibilityProven: true });
  });

  it('ends the hold of an unseen job once GitHub shows it, and any other once it runs', () => {
    const heldFor = (hold: JobRow['hold']): JobRow => ({
      ...rowAfter(queued),
      hold,
      heldSinceMs: 150,
      heldUntilMs: 900,
    });
    const shown = fact({ source: 'poll', observedAtMs: 200 });
    expect(mergeFact(heldFor('unseen'), shown).row).to.include({ hold: null, heldSinceMs: null, heldUntilMs: null });
    expect(mergeFact(heldFor('unseen'), fact({ observedAtMs: 200 })).row).to.include({ hold: 'unseen' });
    expect(mergeFact(heldFor('unserved'), shown).row).to.include({ hold: 'unserved', heldUntilMs: 900 });
    expect(mergeFact(heldFor('unserved'), running).row).to.include({
      hold: null,
      heldSinceMs: null,
      heldUntilMs: null,
    });
  });

  describe('for any facts in any order', () => {
    const status = fc.constantFrom<JobStatus>('queued', 'waiting', 'pending', 'requested', 'in_progress', 'completed');
    const name = fc.constantFrom(null, '', 'd-1', 'd-2', 'lone \ud800 surrogate');
    const facts = (source: fc.Arbitrary<JobFact['source']>) =>
      fc
        .record({
          status,
          source,
          runnerName: name,
          runnerId: fc.constantFrom(null, 0, 1, 2),
          conclusion: fc.constantFrom(null, 'success', 'cancelled'),
          observedAtMs: fc.integer({ min: 1, max: 20 }),
          visibility: fc.constantFrom(undefined, 'public' as const),
          htmlUrl: fc.constantFrom(null, 'https://github.com/a'),
          startedAtMs: fc.constantFrom(null, 1, 2),
          completedAtMs: fc.constantFrom(null, 3),
        })
        .map((some) => fact(some));
    const anySource = fc.constantFrom<JobFact['source']>('webhook', 'poll', 'read');

    it('a last GET gives what the GET alone would give', () => {
      fc.assert(
        fc.property(
          fc.array(facts(fc.constantFrom('webhook', 'poll')), { maxLength: 12 }),
          facts(fc.constant('read')),
          (heard, last) => {
            const read = { ...last, observedAtMs: 21 };
            const row = rowAfter(...heard, read);
            const alone = rowAfter(read);
            for (const field of [
              'status',
              'conclusion',
              'runnerId',
              'runnerName',
              'completedAtMs',
              'disputed',
            ] as const) {
              expect(row[field], field).to.equal(alone[field]);
            }
          },
        ),
        { numRuns: 2000 },
      );
    });

    it('a fact told twice changes nothing the second time', () => {
      fc.assert(
        fc.property(fc.array(facts(anySource), { maxLength: 8 }), facts(anySource), (heard, told) => {
          const once = rowAfter(...heard, told);
          expect(mergeFact(once, told)).to.deep.equal({ row: once, changed: false });
        }),
        { numRuns: 2000 },
      );
    });

    it('the row is what an independent list of rules makes of the facts', () => {
      fc.assert(
        fc.property(fc.array(facts(anySource), { minLength: 1, maxLength: 10 }), fc.boolean(), (heard, expired) => {
          let row: JobRow | undefined;
          for (const next of heard) {
            const merged = mergeFact(row, next).row;
            expect(merged).to.deep.equal(rowByTheRules(row, next));
            row = expired ? { ...merged, admission: 'expired', reasonCode: 'expired' } : merged;
          }
        }),
        { numRuns: 5000 },
      );
    });

    it('the version counts the facts that changed the row, and only a GET moves a job back', () => {
      const stage = (row: JobRow) => (row.status === 'completed' ? 2 : row.status === 'in_progress' ? 1 : 0);
      fc.assert(
        fc.property(fc.array(facts(anySource), { minLength: 1, maxLength: 10 }), (heard) => {
          let row: JobRow | undefined;
          for (const next of heard) {
            const merged = mergeFact(row, next);
            expect(merged.row.version).to.equal((row?.version ?? 0) + (merged.changed ? 1 : 0));
            expect(merged.row.labels).to.equal(row?.labels ?? next.labels);
            if (row && stage(merged.row) < stage(row)) expect(next.source).to.equal('read');
            row = merged.row;
          }
        }),
        { numRuns: 2000 },
      );
    });
  });
});
