import { expect } from 'chai';
import { z } from 'zod';
import { Episodes } from '../../dispatcher/failures/episodes.ts';
import { VirtualClock } from '../github/virtual-clock.ts';
import { LogLines } from '../intake/intake-fixture.ts';

describe('a state in the log', () => {
  function world() {
    const clock = new VirtualClock(1_000_000);
    const log = new LogLines();
    const ended: string[] = [];
    const episodes = new Episodes({
      clock,
      log,
      event: 'shedding',
      quietMs: 30_000,
      onEnd: (name) => ended.push(name),
    });
    const states = () => log.lines.map(({ fields }) => z.object({ state: z.string() }).parse(fields).state);
    return { clock, log, episodes, ended, states };
  }

  it('is told when it begins and when it ends, with how often it was met and by whom most', async () => {
    const { clock, log, episodes, ended } = world();
    for (let index = 0; index < 1_000; index += 1) episodes.met('memory', index % 3 === 0 ? '192.0.2.1' : '192.0.2.2');
    expect(log.lines).to.have.length(1);
    expect(episodes.current()).to.deep.equal([{ name: 'memory', sinceMs: 1_000_000, count: 1_000 }]);
    await clock.advance(60_000);
    expect(log.lines).to.have.length(2);
    expect(log.lines[1]?.fields).to.include({ cause: 'memory', state: 'ends', count: 1_000, mostFrom: '192.0.2.2' });
    expect(episodes.current()).to.deep.equal([]);
    expect(ended).to.deep.equal(['memory']);
  });

  it('lasts while it is met, with a line in ten minutes', async () => {
    const { clock, episodes, states } = world();
    for (let second = 0; second < 1_300; second += 5) {
      episodes.met('slow');
      await clock.advance(5_000);
    }
    expect(states()).to.deep.equal(['begins', 'lasts', 'lasts']);
    episodes.close();
    expect(states()).to.deep.equal(['begins', 'lasts', 'lasts', 'ends']);
  });
});
