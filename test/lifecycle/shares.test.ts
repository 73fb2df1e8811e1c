/** What is reserved of the dispatcher's runners, and how the others are shared. */
import { expect } from 'chai';
import fc from 'fast-check';
import { allot, type Request } from '../../dispatcher/lifecycle/planner.ts';
import { type Share, Shares, sharesOf } from '../../dispatcher/lifecycle/shares.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { grantOf } from '../registration-fixture.ts';
import { type EngineFixture, openEngineFixture, registration, told } from './engine-fixture.ts';

interface Line {
  readonly reserved: number;
  readonly weight: number;
  readonly held: number;
  readonly need: number;
}

const anyLines = fc.record({
  lines: fc.array(
    fc.record({ reserved: fc.nat(6), weight: fc.integer({ min: 1, max: 5 }), held: fc.nat(8), need: fc.nat(12) }),
    { minLength: 1, maxLength: 6 },
  ),
  /** Beyond what is held and reserved. */
  spare: fc.nat(12),
});

/** Each line is a registration of its own, with one lane and room for everything. */
function allotted(lines: readonly Line[], free: number): readonly number[] {
  const names = lines.map((_, index) => `r${index}`);
  const map = <T>(of: (line: Line, name: string) => T) =>
    new Map(lines.map((line, index) => [`r${index}`, of(line, `r${index}`)]));
  const requests = map(({ need }, laneKey): readonly Request[] => [{ laneKey, need, backends: ['main'] }]);
  const room = {
    ...{ total: free, byRegistration: map(() => 100), byLine: map(() => 100), lineOf: (name: string) => name },
    byBackend: new Map(names.map((name) => [`${name}/main`, 100])),
  };
  const shares = map(({ reserved, weight }, line): Share => ({ line, reserved, weight, registrations: new Map() }));
  const held = map((line) => line.held);
  const grants = allot(requests, room, new Map(), new Shares(shares, free, held, held));
  return names.map((name) => grants.filter(({ registration: to }) => to === name).length);
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
const unmet = ({ reserved, held }: Line, granted = 0) => Math.max(0, reserved - held - granted);

describe('the shares of the dispatcher’s runners', () => {
  it('give each tenant what is reserved for it, whatever the others want', () => {
    fc.assert(
      fc.property(anyLines, ({ lines, spare }) => {
        const free = sum(lines.map((line) => unmet(line))) + spare;
        const granted = allotted(lines, free);
        for (const [index, line] of lines.entries()) {
          expect(granted[index]).to.be.at.least(Math.min(line.need, unmet(line)));
          expect(granted[index]).to.be.at.most(line.need);
        }
      }),
    );
  });

  it('stay inside the cap, with what is reserved and not taken', () => {
    fc.assert(
      fc.property(anyLines, ({ lines, spare }) => {
        const free = sum(lines.map((line) => unmet(line))) + spare;
        const granted = allotted(lines, free);
        const kept = sum(lines.map((line, index) => unmet(line, granted[index])));
        expect(sum(granted) + kept).to.be.at.most(free);
      }),
    );
  });

  it('keep nothing idle that nobody has reserved', () => {
    fc.assert(
      fc.property(anyLines, ({ lines, spare }) => {
        const free = sum(lines.map((line) => unmet(line))) + spare;
        const granted = allotted(lines, free);
        const kept = sum(lines.map((line, index) => unmet(line, granted[index])));
        const wants = lines.some((line, index) => (granted[index] ?? 0) < line.need);
        if (wants) expect(sum(granted) + kept).to.equal(free);
      }),
    );
  });

  it('share what is free among those below their reservations, where it is not enough for all of them', () => {
    const scarce = anyLines
      .map(({ lines }) => ({ lines, needed: sum(lines.map((line) => unmet(line))) }))
      .filter(({ needed }) => needed > 0)
      .chain(({ lines, needed }) => fc.record({ lines: fc.constant(lines), free: fc.nat(needed - 1) }));
    fc.assert(
      fc.property(scarce, ({ lines, free }) => {
        const granted = allotted(lines, free);
        const wanted = lines.map((line) => Math.min(line.need, unmet(line)));
        for (const [index, line] of lines.entries()) expect(granted[index]).to.be.at.most(unmet(line));
        expect(sum(granted), 'nothing idle that one of them waits for').to.equal(Math.min(free, sum(wanted)));
        for (const [index, own] of granted.entries()) {
          if (own < (wanted[index] ?? 0)) expect(own, 'one each in turn').to.be.at.least(Math.max(...granted) - 1);
        }
      }),
    );
  });

  it('give no tenant one beyond its reservation before another that has fewer for its weight', () => {
    fc.assert(
      fc.property(anyLines, ({ lines, spare }) => {
        const free = sum(lines.map((line) => unmet(line))) + spare;
        const granted = allotted(lines, free);
        const rank = ({ held, reserved, weight }: Line, more: number) => Math.max(0, held + more - reserved) / weight;
        for (const [index, line] of lines.entries()) {
          const own = granted[index] ?? 0;
          if (own === 0 || line.held + own <= line.reserved) continue;
          for (const [at, other] of lines.entries()) {
            const others = granted[at] ?? 0;
            if (others < other.need) expect(rank(line, own - 1)).to.be.at.most(rank(other, others));
          }
        }
      }),
    );
  });

  it('are what the weights say where all want everything', () => {
    const want = { reserved: 0, held: 0, need: 100 };
    expect(
      allotted(
        [
          { ...want, weight: 3 },
          { ...want, weight: 1 },
        ],
        40,
      ),
    ).to.deep.equal([30, 10]);
    const reserves = { ...want, reserved: 10, weight: 1 };
    expect(allotted([reserves, { ...want, weight: 2 }], 40), 'the rest goes by weight').to.deep.equal([20, 20]);
  });

  it('count what a tenant’s registrations reserve as part of the tenant’s', () => {
    const of = (registration: string, reserved?: number) => ({
      ...{ line: 'tenant acme', registration, reserved },
      ofLine: { reserved: 5, weight: 2 },
    });
    const read = sharesOf([of('one', 3), of('two'), of('three', 1)]);
    expect(read?.get('tenant acme')).to.deep.include({ reserved: 5, weight: 2 });
    const none = { reserved: undefined, weight: undefined };
    expect(sharesOf([{ line: 'a', registration: 'a', reserved: undefined, ofLine: none }])).to.equal(undefined);
    const held = new Map([['tenant acme', 4]]);
    const shares = new Shares(read ?? new Map(), 10, held, new Map([['two', 4]]));
    expect(shares.keptFrom('other', 'other'), 'those of its registrations are more than its own').to.equal(4);
    expect(shares.keptFrom('tenant acme', 'two')).to.equal(4);
    expect(shares.keptFrom('tenant acme', 'one'), 'the one of `three`').to.equal(1);
    shares.take('tenant acme', 'one');
    expect(shares.keptFrom('other', 'other')).to.equal(3);
    expect(shares.roomOf('other', 'other')).to.equal(6);
    const scarce = new Shares(read ?? new Map(), 1, new Map(), new Map());
    expect(scarce.roomOf('tenant acme', 'one')).to.equal(1);
    expect(scarce.roomOf('tenant acme', 'two'), 'the fifth is for any of them').to.equal(1);
    const divided = new Shares(read ?? new Map(), 1, new Map([['tenant acme', 1]]), new Map([['two', 1]]));
    expect(divided.roomOf('tenant acme', 'two'), 'the others are for `one` and `three`').to.be.at.most(0);
    expect(divided.roomOf('tenant acme', 'three')).to.equal(1);
  });
});

describe('a dispatcher with reserved runners', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  async function open(maxRunners: number, ...registrations: readonly Registration[]): Promise<void> {
    fixture = await openEngineFixture({ registrations, maxRunners });
    await fixture.engine.start();
    await fixture.advance(2_000);
  }

  async function queue(label: string, from: number, count: number): Promise<void> {
    const jobs = Array.from({ length: count }, (_, index) => told(fixture, { jobId: from + index, labels: [label] }));
    for (const job of jobs) fixture.jobs.set(`github.com/acme/web/${job.jobId}`, job);
    await fixture.tell(...jobs);
    await fixture.advance(20_000);
  }

  /** The runner gets the job, and both end. */
  async function runTo(jobId: number, label: string, runnerName: string): Promise<void> {
    const of = { jobId, labels: [label], runnerName };
    await fixture.tell(told(fixture, { ...of, status: 'in_progress', startedAtMs: fixture.clock.now() }));
    fixture.runners.delete(runnerName);
    const instance = fixture.instances.get(runnerName);
    if (instance !== undefined) fixture.instances.set(runnerName, { ...instance, state: 'succeeded' });
    const done = told(fixture, { ...of, status: 'completed', conclusion: 'success' });
    fixture.jobs.set(`github.com/acme/web/${jobId}`, done);
    await fixture.tell(done);
    await fixture.advance(20_000);
  }

  const launched = async (name: string) => (await fixture.ledger.runners({ registrations: [name] }, 'reject')).length;

  async function reasonOf(jobId: number): Promise<string | undefined> {
    const job = await fixture.ledger.job(`github.com/acme/web/${jobId}`);
    return job === undefined ? undefined : await fixture.engine.jobReason(job);
  }

  const tenant = (name: string, grant: { readonly reservedRunners?: number; readonly weight?: number }) =>
    registration(name, { labels: [name], maxRunners: 50, grant: grantOf(name, { labels: [name], ...grant }) });

  it('keeps them from the others, who are told how many and not for whom', async () => {
    await open(10, tenant('acme', { reservedRunners: 4 }), tenant('globex', {}));
    await queue('globex', 1, 20);
    expect(await launched('globex')).to.equal(6);
    expect(await reasonOf(20)).to.equal('the dispatcher keeps 4 of its 10 runners for others, and the rest is taken');
    await queue('acme', 101, 10);
    expect(await launched('acme')).to.equal(4);
    expect(await launched('globex')).to.equal(6);
    expect(await reasonOf(110)).to.equal('the dispatcher is at its cap of 10 runners');
  });

  it('keeps them also from containers that are started ahead of jobs', async () => {
    const pool = { labels: [], size: 20, maxAgeMs: 3_600_000 };
    const ahead = { ...tenant('globex', {}), standby: [pool] };
    fixture = await openEngineFixture({
      registrations: [tenant('acme', { reservedRunners: 4 }), ahead],
      ...{ maxRunners: 10, callbackUrl: 'https://shr.acme.example' },
    });
    await fixture.engine.start();
    await fixture.advance(120_000);
    expect(await launched('globex')).to.equal(6);
    await queue('acme', 101, 10);
    expect(await launched('acme'), 'and jobs take the places of those that wait for none').to.be.at.least(4);
  });

  it('shares the rest by weight', async () => {
    await open(12, tenant('acme', { weight: 3 }), tenant('globex', { weight: 1 }));
    const both = ['acme', 'globex'].flatMap((label, index) =>
      Array.from({ length: 20 }, (_, job) => told(fixture, { jobId: 100 * index + job + 1, labels: [label] })),
    );
    await fixture.tell(...both);
    await fixture.advance(20_000);
    expect([await launched('acme'), await launched('globex')]).to.deep.equal([9, 3]);
  });

  it('keeps nothing for a registration that only observes, and all of it once that ends', async () => {
    const own = { labels: ['acme'], maxRunners: 50, reservedRunners: 3 };
    const globex = registration('globex', { labels: ['globex'], maxRunners: 50 });
    await open(5, registration('acme', { ...own, observe: true }), globex);
    await queue('globex', 1, 4);
    expect(await launched('globex')).to.equal(4);
    fixture.reconfigure({ registrations: [registration('acme', own), globex], changed: ['acme'] });
    await queue('globex', 11, 4);
    expect(await launched('globex')).to.equal(4);
  });

  it('keeps what a tenant has reserved as long as one of its registrations does not observe', async () => {
    const grant = grantOf('acme', { labels: ['acme', 'acme-too'], reservedRunners: 3 });
    const of = (name: string, some: Partial<Registration>) =>
      registration(name, { labels: [name], maxRunners: 50, grant, ...some });
    const observing = of('acme', { observe: true, reservedRunners: 2 });
    await open(5, observing, of('acme-too', {}), tenant('globex', {}));
    await queue('globex', 1, 10);
    expect(await launched('globex')).to.equal(2);
    await queue('acme-too', 101, 10);
    expect(await launched('acme-too'), 'what the other one has of it, too').to.equal(3);
  });

  it('keeps nothing for a tenant whose registrations all observe', async () => {
    await open(5, { ...tenant('acme', { reservedRunners: 3 }), observe: true }, tenant('globex', {}));
    await queue('globex', 1, 10);
    expect(await launched('globex')).to.equal(5);
  });

  it('fills a reservation as runners of others end, also while another one is unmet', async () => {
    const globex = tenant('globex', {});
    await open(10, globex);
    await queue('globex', 1, 20);
    const running = [...fixture.runners.keys()];
    expect(running).to.have.length(10);
    const reserving = [tenant('acme', { reservedRunners: 5 }), tenant('initech', { reservedRunners: 5 })];
    fixture.reconfigure({ registrations: [globex, ...reserving], changed: ['acme', 'initech'] });
    await queue('acme', 101, 10);
    expect(await launched('acme')).to.equal(0);
    for (const [index, runnerName] of running.entries()) {
      await runTo(index + 1, 'globex', runnerName);
      expect(await launched('acme')).to.equal(Math.min(index + 1, 5));
      expect(await launched('globex'), 'the rest is kept for the third').to.equal(10);
    }
  });

  it('keeps those of a registration of the platform’s own', async () => {
    const own = registration('acme', { labels: ['acme'], maxRunners: 50, reservedRunners: 3 });
    await open(5, own, registration('globex', { labels: ['globex'], maxRunners: 50 }));
    await queue('globex', 1, 20);
    expect(await launched('globex')).to.equal(2);
  });
});
