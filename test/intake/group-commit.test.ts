import { expect } from 'chai';
import { GroupCommit } from '../../dispatcher/intake/group-commit.ts';
import type { Delivery } from '../../dispatcher/jobs/facts.ts';
import { LedgerError, UnreadableRowError } from '../../dispatcher/ledger/ledger.ts';
import { systemClock } from '../../time/clock.ts';
import { Counts, LogLines, Recorder } from './intake-fixture.ts';

function delivery(guid: string, endpoint = 'github.com/webhook'): Delivery {
  return { endpoint, guid, event: 'workflow_job', action: 'queued', receivedAtMs: 0 };
}

/** A group commit whose groups start when the test says so. */
function bench(limits: { maxGroup?: number; maxWaiting?: number } = {}) {
  const ledger = new Recorder();
  const counts = new Counts();
  const log = new LogLines();
  const deferred: (() => void)[] = [];
  let wakes = 0;
  const commits = new GroupCommit({
    ledger,
    clock: systemClock,
    log,
    metrics: counts,
    onRecorded: () => {
      wakes += 1;
    },
    defer: (action) => deferred.push(action),
    maxGroup: limits.maxGroup ?? 4,
    maxWaiting: limits.maxWaiting ?? 100,
  });
  return {
    ledger,
    counts,
    log,
    wakes: () => wakes,
    record: (guid: string) => commits.record(delivery(guid), null),
    recordOf: (endpoint: string, guid: string) => commits.record(delivery(guid, endpoint), null),
    /** One turn of the event loop. */
    turn: () => {
      for (const action of deferred.splice(0)) action();
    },
    start: () => {
      while (deferred.length > 0) for (const action of deferred.splice(0)) action();
    },
    guids: () => ledger.batches.map((batch) => batch.map((entry) => entry.delivery.guid).join('')),
  };
}

describe('the group commit', () => {
  it('writes what came in together in one step', async () => {
    const { record, start, guids, wakes } = bench();
    const results = Promise.all(['a', 'b', 'c'].map(record));
    start();
    expect(await results).to.deep.equal(['recorded', 'recorded', 'recorded']);
    expect(guids()).to.deep.equal(['abc']);
    expect(wakes()).to.equal(1);
  });

  it('bounds the group, and keeps the order', async () => {
    const { record, start, guids } = bench({ maxGroup: 2 });
    const results = Promise.all(['a', 'b', 'c', 'd', 'e'].map(record));
    start();
    await results;
    expect(guids()).to.deep.equal(['ab', 'cd', 'e']);
  });

  it('takes what came during a commit into the next one', async () => {
    const { ledger, record, start, guids } = bench();
    let openGate = () => {};
    ledger.gate = new Promise((resolve) => {
      openGate = resolve;
    });
    const results = [record('a')];
    start();
    results.push(record('b'), record('c'));
    start();
    expect(guids(), 'one at a time').to.deep.equal(['a']);
    openGate();
    await Promise.all(results);
    expect(guids()).to.deep.equal(['a', 'bc']);
  });

  it('waits for more as long as each turn brings some, but not for ever', async () => {
    const { record, turn, guids } = bench({ maxGroup: 100 });
    const results = [record('a')];
    for (const guid of ['b', 'c', 'd', 'e', 'f']) {
      turn();
      results.push(record(guid));
    }
    turn();
    await Promise.all(results);
    expect(guids()).to.deep.equal(['abcd', 'ef']);
  });

  it('waits no longer once the group is full', async () => {
    const { record, turn, guids } = bench({ maxGroup: 2 });
    const results = Promise.all(['a', 'b'].map(record));
    turn();
    expect(guids()).to.deep.equal(['ab']);
    await results;
  });

  it('starts again after it was idle', async () => {
    const { record, start, guids } = bench();
    for (const guid of ['a', 'b']) {
      const result = record(guid);
      start();
      await result;
    }
    expect(guids()).to.deep.equal(['a', 'b']);
  });

  it('tells a double within one group', async () => {
    const { record, start } = bench();
    const results = Promise.all(['a', 'a'].map(record));
    start();
    expect(await results).to.deep.equal(['recorded', 'duplicate']);
  });

  it('refuses beyond the queue’s bound at once, and takes more when there is room', async () => {
    const { record, start } = bench({ maxWaiting: 2 });
    const first = [record('a'), record('b')];
    expect(await record('c')).to.equal('overloaded');
    start();
    await Promise.all(first);
    const later = record('c');
    start();
    expect(await later).to.equal('recorded');
  });

  it('gives each endpoint an equal share of a group, what room is left to those with more, and turns about', async () => {
    const { recordOf, start, guids } = bench({ maxGroup: 6 });
    const results = [...'abcdefg'].map((guid) => recordOf('one', guid));
    results.push(...['1', '2', '3', '4'].map((guid) => recordOf('two', guid)), recordOf('three', 'X'));
    start();
    await Promise.all(results);
    expect(guids()).to.deep.equal(['ab12Xc', '34defg']);
  });

  it('takes one of each where a group has fewer places than there are endpoints', async () => {
    const { recordOf, start, guids } = bench({ maxGroup: 2 });
    const results = ['one', 'two', 'three'].flatMap((endpoint) => [
      recordOf(endpoint, `${endpoint[1]}`),
      recordOf(endpoint, `${endpoint[1]?.toUpperCase()}`),
    ]);
    start();
    await Promise.all(results);
    expect(guids()).to.deep.equal(['nw', 'hN', 'WH']);
  });

  it('bounds the deliveries of all endpoints together at four times those of one', async () => {
    const { recordOf, start } = bench({ maxWaiting: 2 });
    const endpoints = ['one', 'two', 'three', 'four'];
    const results = endpoints.flatMap((endpoint) => [recordOf(endpoint, 'a'), recordOf(endpoint, 'b')]);
    expect(await recordOf('five', 'a')).to.equal('overloaded');
    start();
    expect(new Set(await Promise.all(results))).to.deep.equal(new Set(['recorded']));
    const later = recordOf('five', 'a');
    start();
    expect(await later).to.equal('recorded');
  });

  it('does not wake the engine for what was recorded before', async () => {
    const { record, start, wakes } = bench();
    for (const _time of [1, 2]) {
      const result = record('a');
      start();
      await result;
    }
    expect(wakes()).to.equal(1);
  });

  it('wakes the engine also where a commit could not be brought to the disk: what it wrote is there', async () => {
    const { ledger, record, start, wakes } = bench();
    const recordDeliveries = ledger.recordDeliveries.bind(ledger);
    let syncs = 0;
    ledger.recordDeliveries = async (batch) => {
      const results = await recordDeliveries(batch);
      syncs += 1;
      if (syncs === 1) throw new LedgerError('unavailable', 'EIO: i/o error, fdatasync');
      return results;
    };
    const results = Promise.all(['a', 'b'].map(record));
    start();
    expect(await results).to.deep.equal(['duplicate', 'duplicate']);
    expect(wakes()).to.equal(1);
  });

  it('says once that the ledger takes nothing, and once that it does again', async () => {
    const { ledger, record, start, log } = bench();
    const deliver = async (guid: string) => {
      const result = record(guid);
      start();
      return result;
    };
    ledger.obstacle = () => {
      throw new LedgerError('full', 'make room');
    };
    for (const guid of ['a', 'b', 'c']) expect(await deliver(guid)).to.equal('ledger-unavailable');
    expect(log.lines).to.have.length(1);
    ledger.obstacle = () => {};
    for (const guid of ['d', 'e']) expect(await deliver(guid)).to.equal('recorded');
    expect(log.lines).to.have.length(2);
  });

  it('takes fewer results than deliveries for a defect, and records each alone', async () => {
    const { ledger, record, start, guids } = bench();
    const whole = ledger.recordDeliveries.bind(ledger);
    ledger.recordDeliveries = async (batch) => (await whole(batch)).slice(0, 1);
    const results = Promise.all(['a', 'b'].map(record));
    start();
    // The ledger may have written it: then it says so.
    expect(await results).to.deep.equal(['duplicate', 'duplicate']);
    expect(guids()).to.deep.equal(['ab', 'a', 'b']);
  });

  for (const failure of [
    new TypeError('a row that nobody thought of'),
    new LedgerError('unavailable', 'a constraint'),
    new UnreadableRowError('column labels: is not JSON'),
  ]) {
    it(`tries a group one by one when it fails with ${failure.name}, so that one bad row is alone`, async () => {
      const { ledger, record, start, guids, counts } = bench();
      ledger.obstacle = (batch) => {
        if (batch.some((entry) => entry.delivery.guid === 'b')) throw failure;
      };
      const results = Promise.all(['a', 'b', 'c'].map(record));
      start();
      const bad = failure instanceof LedgerError ? 'ledger-unavailable' : 'failed';
      expect(await results).to.deep.equal(['recorded', bad, 'recorded']);
      expect(guids()).to.deep.equal(['abc', 'a', 'b', 'c']);
      expect(counts.commits.map((commit) => commit.ok)).to.deep.equal([false, true, false, true]);
    });
  }

  for (const kind of ['full', 'locked', 'corrupt', 'newer'] as const) {
    it(`does not knock at a ledger that is ${kind} once for each of the group`, async () => {
      const { ledger, record, start, guids, log } = bench();
      ledger.obstacle = () => {
        throw new LedgerError(kind, 'make room');
      };
      const results = Promise.all(['a', 'b', 'c'].map(record));
      start();
      expect(await results).to.deep.equal(['ledger-unavailable', 'ledger-unavailable', 'ledger-unavailable']);
      expect(guids()).to.deep.equal(['abc']);
      expect(log.lines).to.have.length(1);
    });
  }
});
