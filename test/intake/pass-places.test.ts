import { expect } from 'chai';
import { type PassPlace, PassPlaces, PassTicket } from '../../dispatcher/intake/pass-places.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';

const LIMITS = { atOnce: 2, burst: 3, perSecond: 5 };

/** Passes that go on until they are told to end. */
function passes() {
  const clock = new VirtualClock(1_000_000);
  const places = new PassPlaces(clock, LIMITS);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const held = new Map<string, PassPlace>();
  const tickets = new Map<string, PassTicket>();
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    clock,
    places,
    begun,
    turn,
    place: (name: string) => held.get(name),
    hurry: async (name: string) => {
      const ticket = tickets.get(name);
      if (ticket !== undefined) places.hurry(ticket);
      await turn();
    },
    begin: async (name: string, role: 'alone' | 'beside', line = name) => {
      const ticket = new PassTicket(role, line);
      tickets.set(name, ticket);
      void places.run(ticket, (place) => {
        begun.push(name);
        held.set(name, place);
        return new Promise<void>((resolve) => ends.set(name, resolve));
      });
      await turn();
    },
    end: async (name: string) => {
      ends.get(name)?.();
      await turn();
    },
  };
}

// X2
describe('the places of polls', () => {
  it('are not kept by the passes of a tenant whose GitHub takes hours for each, however many it has', async () => {
    const { begin, begun, clock, end } = passes();
    for (const name of ['evil-1', 'evil-2', 'evil-3', 'evil-4']) await begin(name, 'alone', 'evil');
    await begin('victim', 'alone');
    expect(begun).to.deep.equal(['evil-1', 'evil-2']);
    await clock.advance(30_000);
    expect(begun, 'the tenant has no more than before').to.deep.equal(['evil-1', 'evil-2', 'victim']);
    await end('victim');
    await begin('victim-2', 'alone', 'victim');
    expect(begun.at(-1), 'at once, while the slow ones go on').to.equal('victim-2');
    await end('evil-1');
    expect(begun.at(-1)).to.equal('evil-3');
  });

  it('run a few side by side, the others in the order of asking', async () => {
    const { begin, end, begun } = passes();
    for (const name of ['a', 'b', 'c', 'd']) await begin(name, 'alone');
    expect(begun).to.deep.equal(['a', 'b']);
    await end('b');
    expect(begun).to.deep.equal(['a', 'b', 'c']);
    await end('a');
    expect(begun).to.deep.equal(['a', 'b', 'c', 'd']);
  });

  it('do not let polls beside webhooks hold up those that jobs depend on', async () => {
    const { begin, begun } = passes();
    for (const name of ['w1', 'w2', 'w3']) await begin(name, 'beside');
    await begin('alone', 'alone');
    expect(begun).to.deep.equal(['w1', 'w2', 'alone']);
  });

  it('let polls beside webhooks start at a pace', async () => {
    const { begin, end, begun, clock } = passes();
    for (let index = 0; index < 6; index += 1) {
      await begin(`w${index}`, 'beside');
      await end(`w${index}`);
    }
    expect(begun).to.have.length(LIMITS.burst);
    for (let ms = 0; ms < 400; ms += 50) {
      await clock.advance(50);
      for (const name of begun) await end(name);
    }
    expect(begun).to.have.length(LIMITS.burst + 2);
  });

  it('keep one timer, however many polls wait for the pace', async () => {
    const { begin, end, clock } = passes();
    for (let index = 0; index < 10; index += 1) {
      await begin(`w${index}`, 'beside');
      await end(`w${index}`);
    }
    expect(clock.armed).to.equal(1);
  });

  it('are lent to others while a pass has to wait for GitHub', async () => {
    const { begin, end, begun, place, turn } = passes();
    for (const name of ['a', 'b', 'c']) await begin(name, 'alone');
    let goOn = () => {};
    let rested = false;
    void place('a')
      ?.rest(
        () =>
          new Promise((resolve) => {
            goOn = resolve;
          }),
      )
      .then(() => {
        rested = true;
      });
    await turn();
    expect(begun).to.deep.equal(['a', 'b', 'c']);
    goOn();
    await turn();
    expect(rested).to.equal(false);
    await end('c');
    expect(rested).to.equal(true);
  });

  it('let one through whose deliveries were lost, whatever waits beside webhooks', async () => {
    const { begin, end, begun, hurry } = passes();
    for (const name of ['w1', 'w2', 'w3', 'w4', 'w5']) await begin(name, 'beside');
    expect(begun).to.deep.equal(['w1', 'w2']);
    await hurry('w5');
    expect(begun).to.deep.equal(['w1', 'w2', 'w5']);
    await hurry('w1');
    await end('w1');
    await end('w5');
    expect(begun).to.deep.equal(['w1', 'w2', 'w5', 'w3']);
    // The places are as many as before.
    for (const name of ['a1', 'a2', 'a3']) await begin(name, 'alone');
    expect(begun.slice(4)).to.deep.equal(['a1', 'a2']);
  });

  it('let all that wait begin when they are closed', async () => {
    const { begin, begun, places, turn } = passes();
    for (const name of ['a', 'b', 'c', 'd']) await begin(name, 'beside');
    places.close();
    await turn();
    expect(begun).to.deep.equal(['a', 'b', 'c', 'd']);
    await begin('e', 'alone');
    expect(begun).to.include('e');
  });
});
