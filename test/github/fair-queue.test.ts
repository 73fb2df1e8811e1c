import { expect } from 'chai';
import fc from 'fast-check';
import { FairQueue } from '../../dispatcher/github/fair-queue.ts';

describe('a queue in which lines take turns', () => {
  const of = (...entries: readonly string[]) => {
    const queue = new FairQueue<string>();
    for (const entry of entries) queue.add(entry, entry.slice(0, 1));
    return queue;
  };

  it('has one of each line before the second of any', () => {
    expect(of('a1', 'a2', 'a3', 'b1', 'b2', 'c1').items()).to.deep.equal(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  });

  it('gives a line that always comes again no more than its turn', () => {
    const queue = of('a1', 'a2', 'a3', 'b1');
    const served: (string | undefined)[] = [];
    for (let count = 2; count <= 4; count += 1) {
      for (const next of queue.items().slice(0, 2)) {
        served.push(next);
        queue.serve(next);
      }
      queue.add(`b${count}`, 'b');
    }
    expect(served).to.deep.equal(['a1', 'b1', 'a2', 'b2', 'a3', 'b3']);
  });

  it('removes the last of the longest line for one whose turn is sooner, and no other', () => {
    const queue = of('a1', 'a2', 'a3', 'b1');
    expect(queue.giveWay('b')).to.equal('a3');
    expect(queue.giveWay('b')).to.equal(undefined);
    expect(queue.giveWay()).to.equal('a2');
    queue.add('a4', 'a');
    expect(queue.items()).to.deep.equal(['a1', 'b1', 'a4']);
    expect(new FairQueue<string>().giveWay()).to.equal(undefined);
  });

  it('lets those behind one who left move up, and a line that was never served keep its turn', () => {
    const queue = of('a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'b3');
    for (const left of ['a1', 'a2']) queue.leave(left);
    expect(queue.items()).to.deep.equal(['a3', 'b1', 'a4', 'b2', 'b3']);
    for (const left of ['a3', 'a4']) queue.leave(left);
    queue.add('a5', 'a');
    expect(queue.items()).to.deep.equal(['b1', 'a5', 'b2', 'b3']);
  });

  it('forgets who has left', () => {
    const queue = of('a1', 'b1');
    queue.leave('a1');
    queue.leave('unknown');
    expect(queue.includes('a1')).to.equal(false);
    expect([...queue.items(), queue.length]).to.deep.equal(['b1', 1]);
  });

  it('lets none wait for more than two turns of each other line, and one for each of its own line before it', () => {
    const line = fc.constantFrom('a', 'b', 'c');
    const leave = fc.record({ leave: fc.nat({ max: 60 }) });
    const step = fc.oneof(fc.record({ add: line }), leave, fc.constant('serve' as const));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const queue = new FairQueue<{ readonly line: string; passed: Map<string, number>; ahead: number }>();
        for (const one of steps) {
          if (one !== 'serve' && 'leave' in one) {
            const left = queue.items()[one.leave % queue.length];
            if (left !== undefined) queue.leave(left);
            continue;
          }
          if (one !== 'serve') {
            const ahead = queue.items().filter((other) => other.line === one.add).length;
            queue.add({ line: one.add, passed: new Map(), ahead }, one.add);
            continue;
          }
          const [next] = queue.items();
          if (next === undefined) continue;
          queue.serve(next);
          for (const waiter of queue.items()) {
            waiter.passed.set(next.line, (waiter.passed.get(next.line) ?? 0) + 1);
            const most = waiter.line === next.line ? waiter.ahead : waiter.ahead + 2;
            expect(waiter.passed.get(next.line)).to.be.at.most(most);
          }
        }
      }),
    );
  });
});
