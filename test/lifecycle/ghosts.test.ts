import { expect } from 'chai';
import { Ghosts } from '../../dispatcher/lifecycle/ghosts.ts';
import { runnerRow } from './runner-fixture.ts';

describe('runners that idle beside waiting jobs', () => {
  let told: string[];
  let ghosts: Ghosts;
  beforeEach(() => {
    told = [];
    ghosts = new Ghosts({
      async recordFailure({ backend, specHash, runner }, { kind, source, message }) {
        told.push(`${backend} ${specHash} ${runner} ${kind} of ${source}: ${/in \d+ lanes/.exec(message)?.[0]}`);
        return undefined;
      },
      async recordWork({ backend, specHash, runner }) {
        told.push(`${backend} ${specHash} ${runner} works`);
      },
    });
  });
  const idle = (laneKey: string, backend: string | null = 'docker', specHash = 'spec1') =>
    ghosts.recordIdle(runnerRow({ name: `of-${laneKey}`, laneKey, backend, specHash }), 0);

  it('close the backend for their image and shape when it happened in three lanes, not in one alone', async () => {
    for (let time = 0; time < 5; time += 1) await idle('a');
    await idle('b');
    expect(told).to.deep.equal([]);
    await idle('c');
    await idle('d');
    expect(told).to.deep.equal([
      'docker spec1 of-c no-work of acme/docker: in 3 lanes',
      'docker spec1 of-d no-work of acme/docker: in 4 lanes',
    ]);
  });

  it('are counted apart for each backend and image', async () => {
    await idle('a');
    await idle('b', 'eci');
    await idle('c', 'docker', 'spec2');
    await idle('d', null);
    await idle('e', null);
    await idle('f', null);
    expect(told).to.deep.equal([]);
  });

  it('are not forgotten for those of another registration, however many images that has', async () => {
    await idle('a');
    await idle('b');
    for (let index = 0; index < 10_000; index += 1) {
      await ghosts.recordIdle(
        runnerRow({ name: 'evil', registration: 'evil', backend: 'docker', specHash: `${index}` }),
        0,
      );
    }
    await idle('c');
    expect(told).to.have.length(1);
  });

  it('are forgotten as soon as one of the image is given work', async () => {
    await idle('a');
    await idle('b');
    await ghosts.recordWork(runnerRow({ name: 'lucky' }));
    await ghosts.recordWork(runnerRow({ name: 'without a backend', backend: null }));
    await idle('c');
    expect(told).to.deep.equal(['docker spec1 lucky works']);
  });

  it('are remembered of ten thousand images at most', async () => {
    await idle('a');
    await idle('b');
    for (let image = 2; image <= 10_001; image += 1) await idle('a', 'docker', `spec${image}`);
    await idle('c');
    expect(told).to.deep.equal([]);
  });
});
