import { expect } from 'chai';
import { NetworkRooms } from '../../dispatcher/http/network-rooms.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';

describe('free addresses of networks', () => {
  it('are asked for at most once a minute, and unknown where a service does not answer', async () => {
    const clock = new VirtualClock(1_000_000);
    let asked = 0;
    const rooms = new NetworkRooms({
      clock,
      provider: async (_registration, backend) => ({
        freeAddresses: async () => {
          asked += 1;
          if (backend === 'hangs') return await new Promise(() => {});
          if (backend === 'fails') throw new Error('no');
          return [{ network: 'vsw-1', free: asked }];
        },
      }),
    });
    expect(await rooms.of('acme', 'eci')).to.deep.equal([{ network: 'vsw-1', free: 1 }]);
    expect(await rooms.of('acme', 'eci')).to.deep.equal([{ network: 'vsw-1', free: 1 }]);
    await clock.advance(61_000);
    expect(await rooms.of('acme', 'eci')).to.deep.equal([{ network: 'vsw-1', free: 2 }]);
    expect(await rooms.of('acme', 'fails')).to.equal(undefined);
    const hanging = rooms.of('acme', 'hangs');
    await clock.advance(6_000);
    expect(await hanging).to.equal(undefined);
  });
});
