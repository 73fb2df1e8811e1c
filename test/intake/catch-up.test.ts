import { expect } from 'chai';
import { CatchUp } from '../../dispatcher/intake/catch-up.ts';
import { EndpointIndex } from '../../dispatcher/intake/endpoints.ts';
import { GapWatch } from '../../dispatcher/intake/gap-watch.ts';
import type { Loss } from '../../dispatcher/intake/losses.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { VirtualClock } from '../github/virtual-clock.ts';
import { grantOf } from '../registration-fixture.ts';
import { LogLines, plainEndpoint, tenant } from './intake-fixture.ts';

// X6
describe('catching up', () => {
  function world(names: readonly string[] = ['acme', 'globex', 'initech'], more: readonly Registration[] = []) {
    const clock = new VirtualClock(1_000_000);
    const log = new LogLines();
    const registrations: Registration[] = [...names.map((name) => tenant(name)), ...more];
    const asked: string[] = [];
    const hastes: string[] = [];
    const state = { answers: true, most: 0, now: 0, gate: Promise.resolve(), hastes };
    const catchUp = new CatchUp({
      poll: async (name, haste) => {
        asked.push(name);
        hastes.push(haste);
        state.now += 1;
        state.most = Math.max(state.most, state.now);
        await state.gate;
        state.now -= 1;
        return state.answers;
      },
      registrations: () => registrations,
      clock,
      random: () => 0.5,
      log,
    });
    const index = new EndpointIndex([plainEndpoint({ owners: ['acme', 'globex'] })], registrations);
    const loss = (who: string | undefined, change: Partial<Loss> = {}): Loss => {
      const found = who === undefined ? index.shared(noHeaders) : (index.registration(who) ?? []);
      return {
        cause: 'ledger',
        verified: true,
        from: '',
        sources: found.map(({ webhookSource }) => webhookSource),
        ...change,
      };
    };
    return { clock, log, asked, state, catchUp, loss };
  }
  const noHeaders = { targetType: undefined, targetId: undefined, enterpriseHost: undefined };

  it('after the dispatcher stood still asks of every registration, a few at a time', async () => {
    const { clock, asked, state, catchUp } = world(Array.from({ length: 300 }, (_, index) => `tenant-${index}`));
    let open = () => {};
    state.gate = new Promise((resolve) => {
      open = resolve;
    });
    catchUp.all('gap');
    await clock.advance(0);
    expect(asked).to.have.length(256);
    open();
    await clock.advance(1_000);
    expect(new Set(asked).size).to.equal(300);
    expect(asked).to.have.length(300);
    expect(state.most).to.be.at.most(256);
  });

  it('keeps no registration waiting for those of a tenant whose GitHub takes hours for each', async () => {
    const grant = grantOf('evil');
    const evil = Array.from({ length: 300 }, (_, index) => tenant(`evil-${index}`, { grant }));
    const { clock, asked, state, catchUp } = world([], [...evil, tenant('victim')]);
    state.gate = new Promise(() => {});
    catchUp.all('start');
    await clock.advance(0);
    expect(asked).to.have.length(17);
    expect(asked).to.include('victim');
  });

  it('asks for what was lost at once, while many others wait', async () => {
    const { clock, asked, state, catchUp, loss } = world([
      ...Array.from({ length: 300 }, (_, index) => `tenant-${index}`),
      'globex',
    ]);
    state.gate = new Promise(() => {});
    catchUp.all('start');
    await clock.advance(0);
    expect(asked).to.not.include('globex');
    catchUp.lost(loss('globex'));
    await clock.advance(7_000);
    expect(asked.at(-1)).to.equal('globex');
    expect(state.hastes.at(-1)).to.equal('urgent');
  });

  it('after verified deliveries were lost asks of theirs alone, once for all of them, within seconds', async () => {
    const { clock, asked, catchUp, loss } = world();
    for (let index = 0; index < 100; index += 1) catchUp.lost(loss('globex'));
    await clock.advance(3_000);
    expect(asked).to.deep.equal([]);
    await clock.advance(5_000);
    expect(asked).to.deep.equal(['globex']);
    catchUp.lost(loss(undefined));
    await clock.advance(8_000);
    expect(asked.slice(1).sort()).to.deep.equal(['acme', 'globex']);
  });

  it('does not wait for the losses to end', async () => {
    const { clock, asked, catchUp, loss } = world();
    for (let second = 0; second < 40; second += 1) {
      catchUp.lost(loss('acme'));
      await clock.advance(1_000);
    }
    expect(asked).to.deep.equal(['acme']);
  });

  it('lets strangers have GitHub asked at most every five minutes', async () => {
    const { clock, asked, catchUp, loss } = world();
    for (let second = 0; second < 640; second += 1) {
      catchUp.lost(loss('acme', { verified: false, cause: 'connections' }));
      await clock.advance(1_000);
    }
    expect(asked).to.have.length(3);
    catchUp.lost(loss('acme'));
    await clock.advance(8_000);
    expect(asked).to.have.length(4);
  });

  it('waits for the end of a burst that it cannot verify, so that one look finds all of it', async () => {
    const { clock, asked, catchUp, loss } = world();
    for (let second = 0; second < 10; second += 1) {
      catchUp.lost(loss('acme', { verified: false, cause: 'connections' }));
      await clock.advance(1_000);
    }
    expect(asked).to.deep.equal([]);
    await clock.advance(8_000);
    expect(asked).to.deep.equal(['acme']);
  });

  it('asks of a whole enterprise when a delivery of one of its organizations was lost', async () => {
    const claim = { kind: 'enterprise', enterprise: 'big', organizations: ['hooli', 'globex'] } as const;
    const { clock, asked, catchUp, loss } = world(['initech'], [tenant('big', { claim })]);
    catchUp.lost(loss(undefined));
    await clock.advance(8_000);
    expect(asked).to.deep.equal(['big']);
  });

  it('asks of no registration at another host, though its owner has the same name', async () => {
    const claim = { kind: 'organization', organization: 'globex' } as const;
    const { clock, asked, catchUp, loss } = world(['globex'], [tenant('elsewhere', { host: 'ghes.example', claim })]);
    catchUp.lost(loss(undefined));
    await clock.advance(8_000);
    expect(asked).to.deep.equal(['globex']);
  });

  it('goes on until GitHub has answered, ever more slowly', async () => {
    const { clock, asked, log, state, catchUp } = world(['acme']);
    state.answers = false;
    catchUp.all('start');
    await clock.advance(90_000);
    expect(asked).to.have.length(4);
    state.answers = true;
    await clock.advance(400_000);
    expect(asked).to.have.length(5);
    await clock.advance(3_600_000);
    expect(asked).to.have.length(5);
    expect(log.lines.filter(({ event }) => event === 'catch-up-incomplete')).to.have.length(1);
  });

  it('asks nothing any more when it was stopped', async () => {
    const { clock, asked, state, catchUp, loss } = world(['acme']);
    state.answers = false;
    catchUp.all('start');
    catchUp.lost(loss('acme'));
    await clock.advance(1_000);
    await catchUp.stop();
    await clock.advance(3_600_000);
    expect(asked).to.have.length(1);
  });

  it('waits for nothing when a delivery is lost after it was stopped', async () => {
    const { clock, catchUp, loss } = world(['acme']);
    await catchUp.stop();
    catchUp.lost(loss('acme'));
    expect(clock.timers).to.equal(0);
  });
});

// X6
describe('a gap', () => {
  function world(change: { readonly elapsed?: boolean } = {}) {
    let actions: (() => void)[] = [];
    const at = { wallMs: 1_000_000, elapsedMs: 5_000 };
    const clock = {
      now: () => at.wallMs,
      after(_ms: number, action: () => void) {
        actions.push(action);
        return () => {
          actions = [];
        };
      },
      ...(change.elapsed === false ? {} : { elapsed: () => at.elapsedMs }),
    };
    const gaps: number[] = [];
    const watch = new GapWatch({ clock, onGap: (ms) => gaps.push(ms) });
    watch.start();
    const tick = (wallMs: number, elapsedMs = wallMs) => {
      at.wallMs += wallMs;
      at.elapsedMs += elapsedMs;
      for (const action of actions.splice(0)) action();
    };
    return { gaps, tick, watch, waiting: () => actions.length };
  }

  it('is noticed when the process was stopped, or its event loop stood, for more than ten seconds', () => {
    const { gaps, tick } = world();
    tick(2_010);
    tick(8_000);
    expect(gaps).to.deep.equal([]);
    tick(92_000);
    expect(gaps).to.deep.equal([90_000]);
    tick(2_000);
    expect(gaps).to.have.length(1);
  });

  it('is not a clock that was set', () => {
    const { gaps, tick } = world();
    tick(3_600_000, 2_000);
    tick(-3_600_000, 2_000);
    expect(gaps).to.deep.equal([]);
  });

  it('is detected by the wall clock where the clock has no elapsed time', () => {
    const { gaps, tick } = world({ elapsed: false });
    tick(60_000);
    expect(gaps).to.deep.equal([58_000]);
  });

  it('is looked for until it is stopped', () => {
    const { watch, waiting } = world();
    expect(waiting()).to.equal(1);
    watch.stop();
    expect(waiting()).to.equal(0);
  });
});
