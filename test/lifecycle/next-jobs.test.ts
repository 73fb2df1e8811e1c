import { expect } from 'chai';
import type { Waiting } from '../../dispatcher/ledger/ledger.ts';
import { NextJobs } from '../../dispatcher/lifecycle/next-jobs.ts';

function waiting(key: string, planned: number): Waiting {
  return {
    ...{ key, host: 'github.com', owner: 'acme', repository: 'web', jobId: 1, runId: 1, planned, launches: planned },
    ...{ lastLaunchAtMs: null, stolen: 0, passedOver: 0, probing: false, verifiedAtMs: null },
    ...{ createdAtMs: null, firstSeenAtMs: 0, statusSource: 'webhook' },
    ...{ statusSinceMs: 0, disputed: false },
  };
}

async function keys(jobs: NextJobs, launches: number): Promise<readonly (string | undefined)[]> {
  const found: (string | undefined)[] = [];
  for (let index = 0; index < launches; index += 1) {
    const job = await jobs.of('lane');
    found.push(job?.key);
    if (job !== undefined) jobs.recordLaunch('lane', job.key);
  }
  return found;
}

describe('which job each launch of a pass is for', () => {
  const permits = Array.from({ length: 4 }, () => ({ lane: { key: 'lane', registration: 'acme' } }));

  it('is another one each time, as long as there are others with as few runners planned', async () => {
    const ledger = { waitingJobs: async () => [waiting('a', 0), waiting('b', 0), waiting('c', 1)] };
    expect(await keys(new NextJobs(ledger, permits), 4)).to.deep.equal(['a', 'b', 'a', 'b']);
  });

  it('is the one that has waited for longest among those with as many runners planned', async () => {
    const old = { ...waiting('z-old', 1), statusSinceMs: 1 };
    const young = { ...waiting('a-young', 0), statusSinceMs: 2 };
    expect(await keys(new NextJobs({ waitingJobs: async () => [young, old] }, permits), 4)).to.deep.equal([
      ...['a-young', 'z-old', 'a-young', 'z-old'],
    ]);
  });

  it('asks the ledger once a lane, for as many as may be launched', async () => {
    const asked: (readonly [string, number])[] = [];
    const ledger = {
      waitingJobs: async (laneKey: string, limit: number) => {
        asked.push([laneKey, limit]);
        return [waiting('a', 0)];
      },
    };
    expect(await keys(new NextJobs(ledger, permits), 2)).to.deep.equal(['a', 'a']);
    expect(asked).to.deep.equal([['lane', 4]]);
  });

  it('is one behind those that may have none now, were they more than there are launches', async () => {
    const asked: number[] = [];
    const all = Array.from({ length: 30 }, (_, index) => waiting(`job-${index}`, 0));
    const ledger = {
      waitingJobs: async (_lane: string, limit: number) => {
        asked.push(limit);
        return all.slice(0, limit);
      },
    };
    const jobs = new NextJobs(ledger, permits);
    const may = ({ key, planned }: Waiting) => (key === 'job-2' || key === 'job-20') && planned === 0;
    const found: (string | undefined)[] = [];
    for (let launch = 0; launch < 4; launch += 1) {
      const job = await jobs.firstWith('lane', may);
      found.push(job?.key);
      if (job !== undefined) jobs.recordLaunch('lane', job.key);
    }
    expect(found).to.deep.equal(['job-2', 'job-20', undefined, undefined]);
    expect(asked, 'the others once, and only where none of the first may').to.deep.equal([4, 104]);
  });

  it('is not looked for further back where the lane has no more', async () => {
    let reads = 0;
    const ledger = {
      waitingJobs: async () => {
        reads += 1;
        return [waiting('a', 1), waiting('b', 1)];
      },
    };
    expect(await new NextJobs(ledger, permits).firstWith('lane', ({ planned }) => planned === 0)).to.equal(undefined);
    expect(reads).to.equal(1);
  });

  it('is undefined where no job of the lane waits', async () => {
    expect(await keys(new NextJobs({ waitingJobs: async () => [] }, permits), 1)).to.deep.equal([undefined]);
  });

  it('tells how many runners the pass has planned for it', async () => {
    const jobs = new NextJobs({ waitingJobs: async () => [waiting('a', 1)] }, permits);
    jobs.recordLaunch('lane', (await jobs.of('lane'))?.key ?? '');
    expect((await jobs.of('lane'))?.planned).to.equal(2);
  });
});
