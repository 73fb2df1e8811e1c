import { expect } from 'chai';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { RunnerRow } from '../../dispatcher/ledger/ledger.ts';
import { drainSurplus, nextSurplusMs } from '../../dispatcher/lifecycle/surplus.ts';
import { runner as rowOf } from '../ledger/examples.ts';
import { type EngineParts, laneOf, openEngineParts } from './engine-parts.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const LANE = laneOf();

describe('runners that no job needs', () => {
  let parts: EngineParts;
  let released: string[];

  beforeEach(async () => {
    parts = await openEngineParts();
    released = [];
    parts.backends.release = (runner) => void released.push(runner);
  });
  afterEach(() => parts.close());

  async function add(name: string, some: Partial<RunnerRow> = {}): Promise<void> {
    const row = rowOf({ name, state: 'online', specHash: LANE.specHash, backend: 'main', ...some });
    await parts.ledger.createRunner(row, 'it was there');
  }

  /** The lane of a job that has come and gone, as the ledger counts it. */
  async function lane(spec: LaneSpec = LANE): Promise<void> {
    await parts.queue(spec, 1);
    await parts.ledger.dropJob('github.com/acme/web/1', 'it was cancelled', parts.clock.now());
    parts.board.mark(spec.key);
    await parts.board.refresh(parts.clock.now());
  }

  async function states(): Promise<Readonly<Record<string, string>>> {
    return Object.fromEntries(
      (await parts.ledger.runners({ limit: 1_000 }, 'reject')).map(({ name, state }) => [name, state]),
    );
  }

  it('are drained a minute after they became too many, and no sooner', async () => {
    await add('one');
    await lane();
    const sinceMs = parts.clock.now();
    expect(nextSurplusMs(parts)).to.equal(sinceMs + MINUTE);
    await parts.clock.advance(MINUTE - 1);
    await drainSurplus(parts);
    expect(await states()).to.deep.equal({ one: 'online' });
    expect(released).to.deep.equal([]);
    await parts.clock.advance(1);
    await drainSurplus(parts);
    expect(await states()).to.deep.equal({ one: 'draining' });
    expect(await parts.ledger.runner('one')).to.include({ drainReason: 'no job needs it any more' });
    expect(released, 'its image is no longer on trial by it').to.deep.equal(['one']);
  });

  it('are looked at again in a second where they could not all be drained', async () => {
    await add('one');
    await lane();
    await parts.clock.advance(MINUTE);
    expect(nextSurplusMs(parts)).to.equal(parts.clock.now() + SECOND);
  });

  it('are none where each has its job', async () => {
    await add('one');
    await parts.queue(LANE, 1);
    expect(nextSurplusMs(parts)).to.equal(undefined);
  });

  it('of another image or shape than their lane’s are drained at once, unless they have a job', async () => {
    await add('old');
    await add('old-starting', { state: 'starting' });
    await add('old-with-job', { state: 'online', jobKey: 'github.com/acme/web/9' });
    await add('old-busy', { state: 'busy' });
    await add('adopted', { specHash: 'adopted' });
    await add('new', { specHash: 'spec-2' });
    await parts.queue({ ...LANE, specHash: 'spec-2' }, 1);
    await drainSurplus(parts);
    expect(await states()).to.deep.equal({
      ...{ old: 'draining', 'old-starting': 'draining', 'old-with-job': 'online', 'old-busy': 'busy' },
      ...{ adopted: 'online', new: 'online' },
    });
    const reason = 'the image, shape or backends of its lane changed';
    expect(await parts.ledger.runner('old')).to.include({ drainReason: reason });
    expect(released).to.have.members(['old', 'old-starting']);
  });

  it('of another image or shape are drained a hundred in a pass', async () => {
    for (let index = 0; index < 101; index += 1) await add(`old-${index}`);
    await parts.queue({ ...LANE, specHash: 'spec-2' }, 1);
    await drainSurplus(parts);
    expect(Object.values(await states()).filter((state) => state === 'draining')).to.have.length(100);
  });

  it('of a registration that is to run no more jobs go at once, also where another’s jobs could use them', async () => {
    const acme = parts.tenants.get('acme');
    if (acme === undefined) throw new Error('there is no registration');
    const tenants = new Map([['acme', { ...acme, leaving: 'removed' as const }]]);
    await add('creating', { state: 'creating' });
    await add('starting', { state: 'starting' });
    await add('online');
    await add('old', { specHash: 'spec-0' });
    await add('adopted', { specHash: 'adopted' });
    await add('busy', { state: 'busy', jobKey: 'github.com/acme/web/9' });
    await add('with-job', { jobKey: 'github.com/acme/web/8' });
    await add('of-another', { registration: 'emca', specHash: 'adopted' });
    await lane();
    await parts.queue({ ...LANE, key: 'of-emca', registration: 'emca' }, 7);
    await drainSurplus({ ...parts, tenants });
    expect(await states()).to.deep.equal({
      ...{ creating: 'draining', starting: 'draining', online: 'draining', old: 'draining', adopted: 'draining' },
      ...{ busy: 'busy', 'with-job': 'online', 'of-another': 'online' },
    });
    expect(await parts.ledger.runner('online')).to.include({
      drainReason: 'its registration is no longer in the configuration',
    });
  });
});
