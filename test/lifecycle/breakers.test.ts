import { expect } from 'chai';
import type { FailureKind } from '../../dispatcher/failures/failure.ts';
import type { Breaker } from '../../dispatcher/ledger/ledger.ts';
import { Breakers, MAX_BREAKERS, type Place } from '../../dispatcher/lifecycle/breakers.ts';
import { failure } from '../failures/examples.ts';
import { manualClock } from './manual-clock.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

const main: Place = { registration: 'acme', backend: 'main', shape: 'spec1' };
const second: Place = { ...main, backend: 'second' };

describe('the breakers as the ledger keeps them', () => {
  let clock: ReturnType<typeof manualClock>;
  let rows: Map<string, Breaker>;
  let lines: string[];
  let said: Readonly<Record<string, unknown>>[];
  let breakers: Breakers;

  const opened = async (
    configurations: Readonly<Record<string, string>> = { 'acme/main': 'c1', 'acme/second': 'c2' },
  ) => {
    const say = (event: string, fields: Readonly<Record<string, unknown>> = {}) => {
      said.push({ event, ...fields });
      lines.push(`${event} ${String(fields['backend'])} ${String(fields['kind'] ?? fields['reason'])}`);
    };
    const after = new Breakers(
      {
        breakers: async () => [...rows.values()],
        putBreaker: async (breaker) => void rows.set(breaker.key, breaker),
        deleteBreaker: async (key) => void rows.delete(key),
      },
      clock,
      { debug: say, info: say, warn: say, error: say },
      (registration, backend) => configurations[`${registration}/${backend}`],
    );
    await after.load();
    return after;
  };
  beforeEach(async () => {
    clock = manualClock();
    rows = new Map();
    lines = [];
    said = [];
    breakers = await opened();
  });

  const fail = (kind: FailureKind, place = main) =>
    breakers.recordFailure(
      place,
      'image runner:1',
      failure({ source: `acme/${place.backend}`, kind, message: kind }),
      undefined,
    );
  const stateAt = (place = main) => breakers.obstacle(place)?.state;

  it('close a backend, and let one launch try it when the pause is over', async () => {
    await fail('capacity');
    expect(breakers.claim(main, 'r-1')).to.equal(false);
    expect(stateAt()).to.equal('closed');
    expect([...breakers.all()].map((breaker) => breakers.stateOf(breaker))).to.deep.equal(['closed']);
    clock.move(30 * SECOND);
    expect(stateAt()).to.equal(undefined);
    expect([...breakers.all()].map((breaker) => breakers.stateOf(breaker))).to.deep.equal(['due']);
    expect(breakers.claim(main, 'r-1')).to.equal(true);
    expect(stateAt()).to.equal('probing');
    expect([...breakers.all()].map((breaker) => breakers.stateOf(breaker))).to.deep.equal(['probing']);
    expect(breakers.claim(main, 'r-2')).to.equal(false);
  });

  it('close one shape on a backend, or the whole backend where its account is the cause', async () => {
    await fail('capacity');
    const other = { ...main, shape: 'spec2' };
    expect([stateAt(), stateAt(other), stateAt(second)]).to.deep.equal(['closed', undefined, undefined]);
    await fail('quota');
    expect([stateAt(), stateAt(other), stateAt(second)]).to.deep.equal(['closed', 'closed', undefined]);
    expect([...rows.values()].map(({ rule, shape, subject }) => [rule, shape, subject])).to.deep.equal([
      ['capacity', 'spec1', 'image runner:1'],
      ['account', null, null],
    ]);
  });

  it('are bounded for a registration, however many shapes its labels name: the one that changed longest ago is forgotten', async () => {
    const shape = (index: number): Place => ({ ...main, shape: `spec${index}` });
    const victim: Place = { ...main, registration: 'victim' };
    breakers = await opened({ 'acme/main': 'c1', 'victim/main': 'c3' });
    await fail('invalid', victim);
    await fail('quota');
    for (let index = 0; index < 3 * MAX_BREAKERS; index += 1) {
      await fail('invalid', shape(index));
      clock.move(1);
      if (index === MAX_BREAKERS / 2) clock.move(5 * MINUTE);
      // The first is tried again and again.
      if (index % 100 === 99) {
        clock.move(20 * MINUTE);
        await fail('invalid', shape(0));
      }
    }
    const held = () => [...rows.values()].filter(({ registration }) => registration === 'acme');
    expect(held()).to.have.length(MAX_BREAKERS);
    expect([...breakers.all()]).to.have.length(MAX_BREAKERS + 1);
    expect(held().filter(({ rule, shape: of }) => rule === 'account' || of === 'spec0')).to.have.length(2);
    expect([...rows.keys()].filter((key) => key.startsWith('victim'))).to.have.length(1);
    for (let index = 0; index < 100; index += 1) {
      const key = `acme/main/old${index}/refused`;
      const [some] = held().filter((row) => row.shape !== null);
      if (some !== undefined) rows.set(key, { ...some, key, shape: `old${index}`, changedAtMs: 1 });
    }
    breakers = await opened({ 'acme/main': 'c1', 'victim/main': 'c3' });
    expect(held(), 'after a restart').to.have.length(MAX_BREAKERS);
    expect(held().filter(({ key }) => key.includes('old'))).to.deep.equal([]);
  });

  describe('while one launch tries two of them', () => {
    beforeEach(async () => {
      await fail('capacity');
      await fail('capacity', second);
      clock.move(30 * SECOND);
      breakers.claim(main, 'r-1');
      breakers.claim(second, 'r-1');
    });
    const states = () => [stateAt(), stateAt(second)];

    it('let another launch try the backend that it gave up', () => {
      breakers.releaseAt(main, 'r-1');
      expect(states()).to.deep.equal([undefined, 'probing']);
    });

    it('let another launch try the other backend once it settled on one', () => {
      breakers.settleAt(main, 'r-1');
      expect(states()).to.deep.equal(['probing', undefined]);
    });

    it('let another launch try both when it has ended, not when a different launch has', () => {
      breakers.release('r-2');
      expect(states()).to.deep.equal(['probing', 'probing']);
      breakers.release('r-1');
      expect(states()).to.deep.equal([undefined, undefined]);
    });

    it('close again for twice as long when it fails', async () => {
      await fail('capacity');
      expect(states()).to.deep.equal(['closed', 'probing']);
      clock.move(MINUTE);
      expect(stateAt(), 'it is due, and nobody tries it').to.equal(undefined);
    });
  });

  it('count launches that were under way when they closed as the same failure', async () => {
    for (let launch = 0; launch < 5; launch += 1) await fail('capacity');
    expect([...rows.values()].map(({ failures }) => failures)).to.deep.equal([1]);
    expect(lines).to.deep.equal(['breaker main capacity']);
    await fail('quota');
    await fail('throttled');
    expect(rows.get('acme/main'), 'another kind is another failure').to.include({ failures: 2 });
  });

  it('neither close nor log before the allowed failures are used up, and log once after they closed', async () => {
    await fail('exited');
    await fail('exited');
    expect([stateAt(), lines.length]).to.deep.equal([undefined, 0]);
    expect(await breakers.heal(main, 'online')).to.have.length(1);
    expect([lines.length, rows.size], 'nothing had closed').to.deep.equal([0, 0]);
    for (let container = 0; container < 3; container += 1) await fail('exited');
    await breakers.heal(main, 'online');
    expect(lines).to.deep.equal(['breaker main exited', 'breaker-over main exited']);
  });

  it('end only by the success that heals their rule', async () => {
    await fail('image-pull-failed');
    expect(await breakers.heal(main, 'accepted')).to.deep.equal([]);
    expect(await breakers.heal(second, 'online')).to.deep.equal([]);
    expect(await breakers.heal(main, 'online')).to.have.length(1);
    expect([rows.size, stateAt()]).to.deep.equal([0, undefined]);
    expect(await breakers.heal(main, 'online')).to.deep.equal([]);
  });

  it('do not count a failure of GitHub, nor a conflict, against the backend', async () => {
    const github = failure({ source: 'github', kind: 'transient', message: '503' });
    expect(await breakers.recordFailure(main, null, github, undefined)).to.equal(undefined);
    expect(await fail('conflict')).to.equal(undefined);
    expect(rows.size).to.equal(0);
  });

  it('survive a restart, but not another configuration of their backend', async () => {
    await fail('quota');
    await fail('quota', second);
    lines = [];
    breakers = await opened({ 'acme/main': 'c1', 'acme/second': 'changed' });
    expect([stateAt(), stateAt(second), rows.size]).to.deep.equal(['closed', undefined, 1]);
    breakers = await opened({});
    expect([stateAt(), rows.size]).to.deep.equal([undefined, 0]);
    expect(lines).to.deep.equal([
      'breaker-obsolete second its configuration has changed',
      'breaker-obsolete main the backend is not configured any more',
    ]);
  });

  it('are forgotten where an operator resets one backend, or the whole registration', async () => {
    const places = [main, second, { ...main, registration: 'globex' }];
    for (const place of places) await fail('capacity', place);
    expect((await breakers.reset('acme', 'main')).map(({ backend }) => backend)).to.deep.equal(['main']);
    expect(places.map(stateAt)).to.deep.equal([undefined, 'closed', 'closed']);
    await breakers.reset('acme', undefined);
    expect(places.map(stateAt)).to.deep.equal([undefined, undefined, 'closed']);
    expect([...rows.values()].map(({ registration }) => registration)).to.deep.equal(['globex']);
  });

  it('report a refusal once it has been tried again for half an hour', async () => {
    expect(breakers.refusal(main)).to.equal(undefined);
    for (const pause of [MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, 7 * MINUTE]) {
      await fail('invalid');
      expect(breakers.refusal(main)).to.equal(undefined);
      clock.move(pause);
    }
    await fail('invalid');
    expect(breakers.refusal(main)).to.include({ failures: 6 });
    expect(breakers.refusal(second)).to.equal(undefined);
  });

  it('log the image that was closed, and for how long', async () => {
    await fail('capacity');
    await fail('quota');
    clock.move(90 * SECOND);
    await breakers.reset('acme', undefined);
    const told = said.map(({ event, about, lastedSeconds }) => [event, about, lastedSeconds]);
    expect(told).to.deep.equal([
      ['breaker', 'image runner:1', undefined],
      ['breaker', undefined, undefined],
      ['breaker-over', 'image runner:1', 90],
      ['breaker-over', undefined, 90],
    ]);
    expect(said.some((fields) => 'about' in fields && fields['about'] === null)).to.equal(false);
  });

  it('hold no launch back before they have closed', async () => {
    await fail('exited');
    expect(breakers.claim(main, 'r-1')).to.equal(true);
    expect(breakers.claim(main, 'r-2')).to.equal(true);
    expect([...breakers.all()].map((breaker) => breakers.stateOf(breaker))).to.deep.equal([undefined]);
  });

  it('count from zero after a reset, even while a launch tries the one that was reset', async () => {
    await fail('capacity');
    clock.move(30 * SECOND);
    breakers.claim(main, 'r-1');
    await breakers.reset('acme', 'main');
    await fail('exited');
    expect(stateAt()).to.equal(undefined);
  });

  it('log their end once where two containers prove it at the same time', async () => {
    await fail('capacity');
    await fail('quota');
    lines = [];
    await Promise.all([breakers.heal(main, 'accepted'), breakers.heal(main, 'accepted')]);
    expect(lines).to.have.members(['breaker-over main capacity', 'breaker-over main quota']);
  });
});
