import { expect } from 'chai';
import { newRunner } from '../../dispatcher/ledger/new-runner.ts';
import { runner } from './examples.ts';

const known = {
  name: 'd-1',
  registration: 'acme',
  host: 'github.com',
  scope: 'orgs/acme',
  runnerGroup: 'Default',
  laneKey: 'lane000000000001',
  labels: ['acme-runner'],
  specHash: 'spec-1',
  state: 'creating',
  createdAtMs: 20_000,
  deadlineAtMs: 320_000,
  nextCheckAtMs: 21_000,
  incarnation: 'first',
  backend: null,
  instanceDeadlineAtMs: 90_000_000,
} as const;

describe('the row of a runner that is about to be made', () => {
  it('has null for all that has not happened yet', () => {
    const row = newRunner(known);
    expect(row).to.deep.include(known);
    expect(row).to.include({ stateSinceMs: 20_000, instanceState: 'none', forced: false });
    expect(row).to.include({ misses: 0, attempts: 0, version: 0 });
    expect(row).to.include({ jobKey: null, failure: null, stopSentAtMs: null });
  });

  it('keeps the other fields that it is given', () => {
    const more = runner({ name: 'd-1', version: 3, misses: 2, forced: true });
    expect(newRunner(more)).to.deep.equal(more);
  });
});
