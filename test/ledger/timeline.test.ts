import { expect } from 'chai';
import { neverStrangers } from '../../dispatcher/jobs/facts.ts';
import { sqliteBuilder } from '../../dispatcher/ledger/sqlite.ts';
import type { Context } from '../../dispatcher/ledger/steps/step.ts';
import { appended } from '../../dispatcher/ledger/steps/timeline.ts';
import { runner } from './examples.ts';

describe('the timeline of a runner', () => {
  const context: Context = { builder: sqliteBuilder, nowMs: 50_000, areStrangers: neverStrangers, mostOpenJobs: 10 };

  it('is thinned once in fifty steps, and not at all while it is short', () => {
    const thinnedAt: number[] = [];
    for (let version = 1; version <= 700; version += 1) {
      const queries = appended(context, runner({ name: 'd-1', version }), []);
      if (queries.length > 0) thinnedAt.push(version);
    }
    expect(thinnedAt).to.deep.equal([550, 600, 650, 700]);
  });
});
