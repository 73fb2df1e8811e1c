import { expect } from 'chai';
import { type Ledger, LedgerError } from '../../dispatcher/ledger/ledger.ts';
import { type EngineHouse, MINUTE, openEngineHouse, registration, told } from './engine-house.ts';

const WRITES = new Set([
  'recordFacts',
  'settleJobs',
  'createRunner',
  'stepRunner',
  'keepOutput',
  'putBreaker',
  'deleteBreaker',
  'putCursor',
  'dropJob',
  'expireJobs',
  'deleteEmptyLanes',
  'probeHeld',
]);

/** A ledger on a disk that can be filled. */
function fillable(): { full: boolean; refused: number; through(ledger: Ledger): Ledger } {
  const disk = {
    full: false,
    refused: 0,
    through: (ledger: Ledger): Ledger =>
      new Proxy(ledger, {
        get(target, name, receiver) {
          const method: unknown = Reflect.get(target, name, receiver);
          if (typeof method !== 'function') return method;
          return (...parameters: readonly unknown[]) => {
            if (!disk.full || !WRITES.has(String(name))) return Reflect.apply(method, target, parameters);
            disk.refused += 1;
            return Promise.reject(new LedgerError('full', 'No room for the ledger'));
          };
        },
      }),
  };
  return disk;
}

// X4
describe('an engine whose ledger has no room', () => {
  const RUNNERS = 15;
  let house: EngineHouse;
  afterEach(() => house.close());

  it('calls no service more often than once a runner in ten seconds, says so once, and goes on by itself', async () => {
    const disk = fillable();
    house = await openEngineHouse({ registrations: [registration('acme')], through: disk.through });
    await house.engine.start();
    await house.advance(1_000);
    const jobs = Array.from({ length: RUNNERS }, (_, index) => told(house, { jobId: index + 1 }));
    await house.tell(...jobs);
    await house.advance(2_000);
    expect(await house.ledger.runners({ states: ['starting'] })).to.have.length(RUNNERS);

    disk.full = true;
    const before = house.serviceCalls();
    const linesBefore = house.logged.length;
    await house.advance(40_000);
    expect(disk.refused).to.be.greaterThan(0);
    // Looks that were due when the disk filled up, then one round in ten seconds.
    expect(house.serviceCalls() - before).to.be.at.most(RUNNERS * 4);
    const errors = house.logged.slice(linesBefore).filter((line) => line.startsWith('error'));
    expect(errors).to.have.length(1);
    expect(errors[0]).to.match(/^error ledger-closed kind=full reason=No room for the ledger/);

    disk.full = false;
    for (const runner of house.runners.values()) runner.online = true;
    await house.advance(20_000);
    expect(house.logged.filter((line) => line.startsWith('info ledger-open'))).to.have.length(1);
    expect(await house.ledger.runners({ states: ['online'] })).to.have.length(RUNNERS);
  });

  it('starts nothing while it cannot be written down', async () => {
    const disk = fillable();
    house = await openEngineHouse({ registrations: [registration('acme')], through: disk.through });
    await house.engine.start();
    await house.advance(1_000);
    await house.ledger.recordFacts([told(house, { jobId: 1 })]);
    disk.full = true;
    house.engine.wake();
    await house.advance(5 * MINUTE);
    expect(house.calls).to.deep.equal([]);
    disk.full = false;
    await house.advance(30_000);
    expect(house.calls.filter((call) => call.startsWith('launch'))).to.have.length(1);
  });
});
