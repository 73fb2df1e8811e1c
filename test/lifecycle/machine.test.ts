import { expect } from 'chai';
import fc from 'fast-check';
import type { RunnerRow, RunnerState } from '../../dispatcher/ledger/ledger.ts';
import { instanceStep, mayStop } from '../../dispatcher/lifecycle/drain-plan.ts';
import type {
  JobWord,
  MachineContext,
  RunnerEvent,
  RunnerEventKind,
} from '../../dispatcher/lifecycle/machine/event.ts';
import { step } from '../../dispatcher/lifecycle/machine.ts';
import { failure } from '../failures/examples.ts';
import { HOUR, runnerRow, STATES } from './runner-fixture.ts';

const MINUTE = 60_000;

/** DESIGN, "Runner states", with what a dispatcher that was wrong about an absence needs: gone → draining. */
const TRANSITIONS: Readonly<Record<RunnerState, readonly RunnerState[]>> = {
  creating: ['parked', 'starting', 'busy', 'finishing', 'draining', 'gone'],
  parked: ['starting', 'busy', 'finishing', 'draining', 'gone'],
  starting: ['online', 'busy', 'finishing', 'draining', 'gone'],
  online: ['busy', 'finishing', 'draining', 'gone'],
  busy: ['finishing', 'draining', 'gone'],
  finishing: ['busy', 'gone', 'draining'],
  draining: ['busy', 'gone'],
  gone: ['draining'],
};

const EVENTS: { readonly [K in RunnerEventKind]: Extract<RunnerEvent, { kind: K }> } = {
  calling: { kind: 'calling', backend: 'docker', runnerId: 7, instanceDeadlineAtMs: 121 * 60 * MINUTE },
  'backend-refused': { kind: 'backend-refused', backend: 'docker', failure: failure() },
  accepted: { kind: 'accepted', backend: 'docker', instanceId: 'i-1' },
  'launch-refused': { kind: 'launch-refused', failure: failure() },
  'launch-abandoned': { kind: 'launch-abandoned', failure: failure({ kind: 'transient', message: 'timeout' }) },
  instance: { kind: 'instance', state: 'running', backend: 'docker', instanceId: 'i-1' },
  'instance-missing': { kind: 'instance-missing' },
  github: { kind: 'github', runnerId: 7, online: true, busy: false },
  'github-missing': { kind: 'github-missing' },
  'job-started': { kind: 'job-started', jobKey: 'github.com/acme/web/1', word: 'told', refuted: null },
  'job-completed': { kind: 'job-completed', jobKey: 'github.com/acme/web/1', word: 'told', refuted: null },
  waits: { kind: 'waits', untilMs: 60 * MINUTE },
  claimed: {
    kind: 'claimed',
    jobKey: 'github.com/acme/web/1',
    lane: {
      laneKey: 'lane2',
      labels: ['acme-runner', 'sid-1'],
      scope: 'orgs/acme',
      runnerGroup: 'g',
      specHash: 'spec2',
    },
    instanceDeadlineAtMs: 100 * 60 * MINUTE,
  },
  registered: { kind: 'registered', runnerId: 7 },
  heard: { kind: 'heard', what: 'its container has started' },
  deadline: { kind: 'deadline' },
  drain: { kind: 'drain', reason: 'surplus' },
  forget: { kind: 'forget' },
  'delete-refused': { kind: 'delete-refused' },
  overlooked: { kind: 'overlooked' },
  deregistered: { kind: 'deregistered' },
  stopping: { kind: 'stopping' },
  'stop-sent': { kind: 'stop-sent' },
  'credentials-refused': {
    kind: 'credentials-refused',
    failure: failure({ source: 'github', kind: 'unauthorized', code: '401' }),
  },
  'step-failed': { kind: 'step-failed', failure: failure({ source: 'github', kind: 'transient', code: '502' }) },
};

/** `-`: ignored. `told`: a line in the timeline, `quiet`: none. Else the state that the runner moves to. */
type Outcome = '-' | 'told' | 'quiet' | RunnerState;

const [none, told7] = [
  ['-', '-', '-', '-', '-', '-', '-'],
  ['told', 'told', 'told', 'told', 'told', 'told', 'told'],
] as const;

/** In the order of STATES: creating, parked, starting, online, busy, finishing, draining, gone; with a container that runs. */
const ANSWERS: Readonly<Record<RunnerEventKind, readonly Outcome[]>> = {
  calling: ['quiet', ...none],
  'backend-refused': ['told', ...none],
  accepted: ['starting', 'told', 'told', 'told', 'told', 'told', 'told', 'draining'],
  'launch-refused': ['draining', ...none],
  'launch-abandoned': ['draining', ...none],
  instance: ['starting', 'quiet', 'quiet', 'quiet', 'quiet', 'quiet', 'quiet', 'draining'],
  'instance-missing': ['quiet', 'quiet', 'quiet', 'quiet', 'quiet', 'quiet', 'quiet', '-'],
  github: ['quiet', '-', 'online', 'quiet', '-', 'quiet', 'quiet', '-'],
  'github-missing': ['draining', '-', 'draining', 'draining', 'draining', 'told', 'told', '-'],
  'job-started': ['busy', 'busy', 'busy', 'busy', 'told', '-', 'busy', '-'],
  'job-completed': ['finishing', 'finishing', 'finishing', 'finishing', 'finishing', 'told', 'told', '-'],
  heard: [...told7, '-'],
  // Of one that may wait no longer than others.
  overlooked: ['-', ...none],
  waits: ['-', 'told', '-', '-', '-', '-', '-', '-'],
  // One that has not asked for a job.
  claimed: ['-', ...none],
  registered: ['-', '-', 'quiet', 'quiet', 'quiet', 'quiet', 'quiet', '-'],
  deadline: ['draining', 'draining', 'draining', 'draining', 'draining', 'draining', '-', '-'],
  drain: ['draining', 'draining', 'draining', 'draining', '-', '-', '-', '-'],
  forget: ['draining', 'draining', 'draining', 'draining', 'draining', 'draining', 'told', '-'],
  'delete-refused': ['busy', 'busy', 'busy', 'busy', '-', 'busy', 'busy', '-'],
  deregistered: [...told7, '-'],
  stopping: ['-', '-', '-', '-', '-', '-', 'quiet', '-'],
  'stop-sent': ['-', '-', '-', '-', '-', '-', 'told', '-'],
  'credentials-refused': [...told7, '-'],
  'step-failed': [...told7, '-'],
};

function at(nowMs: number): MachineContext {
  return { nowMs, launchTimeoutMs: 10 * MINUTE, idleTimeoutMs: 5 * MINUTE, stockPatienceMs: 2 * MINUTE };
}

function apply(runner: RunnerRow, event: RunnerEvent, nowMs: number): RunnerRow {
  const answer = step(runner, event, at(nowMs));
  return answer.kind === 'ignored' ? runner : { ...runner, ...answer.step.patch };
}

function told(runner: RunnerRow, ...events: readonly (readonly [number, RunnerEvent])[]): RunnerRow {
  return events.reduce((current, [nowMs, event]) => apply(current, event, nowMs), runner);
}

const anyEvent: fc.Arbitrary<RunnerEvent> = fc.oneof(
  ...Object.values(EVENTS).map((event) => fc.constant<RunnerEvent>(event)),
  fc.record({
    kind: fc.constant('instance' as const),
    state: fc.constantFrom('pending' as const, 'running' as const, 'ended' as const, 'unknown' as const),
    backend: fc.constant('docker'),
    instanceId: fc.constant('i-1'),
  }),
  fc.record({
    kind: fc.constant('instance' as const),
    state: fc.constantFrom('pending' as const, 'running' as const),
    backend: fc.constant('docker'),
    instanceId: fc.constant('i-1'),
    failure: fc
      .record({ kind: fc.constantFrom('no-stock' as const, 'image-pull-failed' as const), message: fc.string() })
      .map(failure),
  }),
  fc.record({
    kind: fc.constant('github' as const),
    runnerId: fc.constant(7),
    online: fc.boolean(),
    busy: fc.boolean(),
  }),
);

/** Events with the time that passes before each. */
const story = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 * MINUTE }), anyEvent), { maxLength: 40 });

/** Of one that was launched for a job, and then, with the same luck, of one that was launched ahead of it. */
function* lives(pairs: readonly (readonly [number, RunnerEvent])[]): Generator<Moment> {
  const first = { backend: null, githubRunnerId: null, instanceState: 'none' } as const;
  yield* lifeOf(runnerRow(first), pairs);
  yield* lifeOf(runnerRow({ ...first, standby: 'booting', forJobKey: null }), pairs);
}

interface Moment {
  readonly before: RunnerRow;
  readonly after: RunnerRow;
  readonly event: RunnerEvent;
  readonly nowMs: number;
}

function* lifeOf(first: RunnerRow, pairs: readonly (readonly [number, RunnerEvent])[]): Generator<Moment> {
  let runner = first;
  let nowMs = 0;
  for (const [pauseMs, event] of pairs) {
    nowMs += pauseMs;
    const next = apply(runner, event, nowMs);
    yield { before: runner, after: next, event, nowMs };
    runner = next;
  }
}

/** Parked is only what was launched ahead of its job. */
function inState(state: RunnerState, some: Partial<RunnerRow> = {}): RunnerRow {
  const ahead = { standby: 'booting', forJobKey: null, githubRunnerId: null } as const;
  return runnerRow({ state, ...(state === 'parked' ? ahead : {}), ...some });
}

describe('the machine of runner states', () => {
  it('does what the table says for every pair of state and event, and gives a reason for each step', () => {
    for (const event of Object.values(EVENTS)) {
      const outcomes: Record<string, Outcome> = {};
      for (const state of STATES) {
        const answer = step(inState(state, { instanceState: 'running' }), event, at(10 * MINUTE));
        const about = `${state} ${event.kind}`;
        if (answer.kind === 'ignored') {
          expect(answer.because, about).to.match(/\w/);
          outcomes[state] = '-';
          continue;
        }
        const { entries, patch } = answer.step;
        for (const { atMs, reason, state: told } of entries) {
          expect(reason, about).to.match(/\w/);
          expect({ atMs, told }, about).to.deep.equal({ atMs: 10 * MINUTE, told: patch.state ?? state });
        }
        if (entries.length === 0) expect(patch, about).to.not.deep.equal({});
        outcomes[state] = patch.state ?? (entries.length === 0 ? 'quiet' : 'told');
      }
      expect(Object.values(outcomes), event.kind).to.deep.equal(ANSWERS[event.kind]);
    }
  });

  it('moves only along the arrows of the design, whatever happens in whatever order', () => {
    fc.assert(
      fc.property(story, (pairs) => {
        for (const { before, after: next, event } of lives(pairs)) {
          if (before.state === next.state) continue;
          expect(TRANSITIONS[before.state], `${before.state} → ${next.state} on ${event.kind}`).to.include(next.state);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('calls a runner gone only when its instance and its registration are gone, or an operator gave it up', () => {
    fc.assert(
      fc.property(story, (pairs) => {
        for (const { before, after: next, event, nowMs } of lives(pairs)) {
          if (next.state !== 'gone' || before.state === 'gone') continue;
          if (event.kind === 'forget') continue;
          expect(['none', 'absent']).to.include(next.instanceState);
          const gaveUp = next.refusedSinceMs !== null && nowMs - next.refusedSinceMs >= 15 * MINUTE;
          expect(next.deregisteredAtMs !== null || gaveUp).to.equal(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('never stops a container whose job is not done, unless an operator or the time limit forces it', () => {
    fc.assert(
      fc.property(story, (pairs) => {
        for (const { after: next, nowMs } of lives(pairs)) {
          if (next.state !== 'draining' || next.jobKey === null || next.finishedAtMs !== null) continue;
          if (next.forced || nowMs >= next.instanceDeadlineAtMs) continue;
          expect(mayStop(next, nowMs)).to.equal(false);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('does nothing when an event is repeated', () => {
    const counted = new Set<RunnerEventKind>([
      'instance-missing',
      'step-failed',
      'credentials-refused',
      'forget',
      'stop-sent',
      'calling',
      'backend-refused',
      'delete-refused',
    ]);
    fc.assert(
      fc.property(story, (pairs) => {
        for (const { after: next, event, nowMs } of lives(pairs)) {
          if (counted.has(event.kind)) continue;
          expect(apply(next, event, nowMs).state, event.kind).to.equal(next.state);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('gives every runner that is not gone a time for the next look', () => {
    fc.assert(
      fc.property(story, (pairs) => {
        for (const { after: next } of lives(pairs)) {
          expect(next.nextCheckAtMs === null).to.equal(next.state === 'gone');
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('runs through a plain life', () => {
    const runner = told(
      runnerRow({ backend: null, instanceState: 'none' }),
      [10, EVENTS.calling],
      [600, EVENTS.accepted],
      [9000, EVENTS.github],
      [9500, EVENTS['job-started']],
      [60_000, EVENTS['job-completed']],
    );
    expect(runner).to.include({
      state: 'finishing',
      instanceId: 'i-1',
      jobKey: 'github.com/acme/web/1',
      onlineAtMs: 9000,
    });
    const ended = told(
      runner,
      [62_000, { ...EVENTS.instance, state: 'ended' }],
      [62_100, EVENTS['github-missing']],
      [62_200, EVENTS['stop-sent']],
    );
    expect(ended.state).to.equal('draining');
    expect(told(ended, [63_000, EVENTS['instance-missing']]).state).to.equal('gone');
  });

  describe('of one that is launched ahead of its job', () => {
    const ahead = runnerRow({
      backend: null,
      instanceState: 'none',
      githubRunnerId: null,
      standby: 'booting',
      forJobKey: null,
    });
    const parked = told(ahead, [10, { ...EVENTS.calling, runnerId: null }], [600, EVENTS.accepted]);

    it('parks it, and gives it a job once its container has asked for one', () => {
      expect(parked).to.include({ state: 'parked', standby: 'booting', deadlineAtMs: 600 + 10 * MINUTE });
      expect(apply(parked, EVENTS.claimed, 700)).to.equal(parked);
      const ready = told(parked, [9_000, EVENTS.waits]);
      expect(ready).to.include({ state: 'parked', standby: 'ready', deadlineAtMs: 60 * MINUTE });
      const answer = step(ready, EVENTS.claimed, at(20_000));
      expect(answer).to.deep.include({ kind: 'step' });
      expect(answer.kind === 'step' && answer.step.launch).to.equal('claimed');
      const claimed = told(ready, [20_000, EVENTS.claimed], [20_500, EVENTS.registered]);
      expect(claimed).to.deep.include({
        ...EVENTS.claimed.lane,
        state: 'starting',
        forJobKey: 'github.com/acme/web/1',
        githubRunnerId: 7,
        deadlineAtMs: 20_000 + 10 * MINUTE,
        instanceDeadlineAtMs: 100 * 60 * MINUTE,
      });
      expect(apply(claimed, EVENTS.claimed, 21_000), 'twice').to.equal(claimed);
    });

    it('asks nothing of GitHub when it ends without a job, and stops its container soon', () => {
      for (const event of [EVENTS.drain, EVENTS.deadline, { ...EVENTS.instance, state: 'ended' as const }]) {
        const ends = told(parked, [20 * MINUTE, event]);
        expect(ends, event.kind).to.include({ state: 'draining', deregisteredAtMs: 20 * MINUTE });
        expect(mayStop({ ...ends, instanceState: 'running' }, 20 * MINUTE + 30_000), event.kind).to.equal(true);
      }
      expect(told(ahead, [5, EVENTS['launch-refused']]).state).to.equal('gone');
    });

    it('says why, where its container never asked for a job', () => {
      const { failure: why } = told(parked, [11 * MINUTE, EVENTS.deadline]);
      expect(why?.message).to.include('no word within 600 s').and.include('listen.public.url');
      expect(told(parked, [9_000, EVENTS.waits], [61 * MINUTE, EVENTS.deadline]).failure).to.equal(null);
    });

    it('takes it down where GitHub does not register it, or does so too late', () => {
      const claimed = told(parked, [9_000, EVENTS.waits], [20_000, EVENTS.claimed]);
      expect(told(claimed, [21_000, EVENTS['launch-refused']])).to.include({
        state: 'draining',
        deregisteredAtMs: null,
      });
      const verified = told(claimed, [21_000, EVENTS.drain], [22_000, EVENTS.deregistered]);
      expect(told(verified, [23_000, EVENTS.registered])).to.include({ githubRunnerId: 7, deregisteredAtMs: null });
    });

    it('believes no list that GitHub gives within a minute of the registration', () => {
      const claimed = told(
        parked,
        [9_000, EVENTS.waits],
        [50 * MINUTE, EVENTS.claimed],
        [50 * MINUTE, EVENTS.registered],
      );
      expect(apply(claimed, EVENTS['github-missing'], 50 * MINUTE + 30_000).state).to.equal('starting');
      expect(apply(claimed, EVENTS['github-missing'], 51 * MINUTE).state).to.equal('draining');
    });
  });

  describe('of a runner that is registered ahead of its job', () => {
    const ahead = { idleLimitMs: 6 * HOUR, jobLimitMs: 30 * MINUTE, forJobKey: null } as const;
    const online = { ...ahead, state: 'online', instanceState: 'running', deadlineAtMs: 6 * HOUR } as const;

    it('has the time to wait that it was given, and its job has its own limit', () => {
      const waits = apply(
        runnerRow({ ...ahead, state: 'starting', instanceState: 'running' }),
        { kind: 'github', runnerId: 7, online: true, busy: false },
        MINUTE,
      );
      expect(waits).to.include({ state: 'online', deadlineAtMs: MINUTE + 6 * HOUR });
      const busy = apply(waits, { kind: 'job-started', jobKey: 'k', word: 'told', refuted: null }, 3 * HOUR);
      expect(busy).to.include({ state: 'busy', deadlineAtMs: 3 * HOUR + 30 * MINUTE });
      const short = { ...waits, instanceDeadlineAtMs: 3 * HOUR + 1 };
      expect(apply(short, { kind: 'job-started', jobKey: 'k', word: 'told', refuted: null }, 3 * HOUR)).to.include({
        deadlineAtMs: 3 * HOUR + 1,
      });
    });

    it('is a failed start where its container vanishes before it is online, and one with a job is none', () => {
      const missed = { misses: 2, firstMissAtMs: 0, instanceState: 'running', instanceId: 'i-1' } as const;
      const gone = apply(runnerRow({ ...ahead, ...missed, state: 'starting' }), { kind: 'instance-missing' }, HOUR);
      expect(gone.failure).to.include({ source: 'acme/docker', kind: 'unknown' });
      const parked = { ...missed, state: 'parked', standby: 'ready', forJobKey: null } as const;
      expect(apply(runnerRow(parked), { kind: 'instance-missing' }, HOUR).failure?.kind).to.equal('unknown');
      expect(apply(runnerRow({ ...missed, state: 'starting' }), { kind: 'instance-missing' }, HOUR).failure).to.equal(
        null,
      );
    });

    it('ends its wait at once where GitHub does not give it the job beside it, and only once', () => {
      const cut = apply(runnerRow(online), { kind: 'overlooked' }, HOUR);
      expect(cut).to.include({ state: 'online', deadlineAtMs: HOUR, nextCheckAtMs: HOUR });
      expect(step(cut, { kind: 'overlooked' }, at(HOUR)).kind).to.equal('ignored');
      expect(apply(cut, { kind: 'deadline' }, HOUR)).to.include({ state: 'draining' });
      for (const state of STATES) {
        if (state === 'online') continue;
        expect(step(runnerRow({ ...online, state }), { kind: 'overlooked' }, at(HOUR)).kind, state).to.equal('ignored');
      }
    });
  });

  it('takes in_progress before it ever saw the runner online', () => {
    expect(told(runnerRow({ state: 'starting' }), [1, EVENTS['job-started']]).state).to.equal('busy');
  });

  it('takes completed before anything else', () => {
    expect(told(runnerRow({ state: 'creating' }), [1, EVENTS['job-completed']]).state).to.equal('finishing');
  });

  it('keeps a runner that GitHub refuses to delete', () => {
    const draining = runnerRow({ state: 'draining', instanceState: 'running', onlineAtMs: 1 });
    expect(told(draining, [5, EVENTS['delete-refused']]).state).to.equal('busy');
  });

  describe('and facts that only another tenant reports', () => {
    const MINE = 'github.com/acme/web/1';
    const OTHER = 'github.com/acme/b/666';
    const word = <Kind extends 'job-started' | 'job-completed'>(kind: Kind, some: Partial<JobWord> = {}) => ({
      kind,
      jobKey: OTHER,
      word: 'told' as const,
      refuted: null,
      ...some,
    });
    const LIVE = STATES.filter((state) => state !== 'gone');
    const row = (state: RunnerState, some: Partial<RunnerRow> = {}): RunnerRow =>
      runnerRow({ state, instanceState: 'running', onlineAtMs: 1, ...some });

    for (const kind of ['job-started', 'job-completed'] as const) {
      it(`asks GitHub before a stranger's ${kind} moves anything, in every state`, () => {
        for (const state of LIVE) {
          for (const jobKey of [null, MINE]) {
            const answer = step(row(state, { jobKey }), word(kind, { word: 'stranger' }), at(5));
            expect(answer.kind, `${state} ${jobKey}`).to.equal('ignored');
            expect(answer.read, `${state} ${jobKey}`).to.deep.equal(jobKey === null ? [OTHER] : [MINE, OTHER]);
          }
        }
      });

      it(`asks GitHub about both jobs before a ${kind} of another job moves anything, in every state`, () => {
        for (const state of LIVE) {
          for (const said of ['told', 'read'] as const) {
            const answer = step(row(state, { jobKey: MINE }), word(kind, { word: said }), at(5));
            expect(answer.kind, `${state} ${said}`).to.equal('ignored');
            expect(answer.read, `${state} ${said}`).to.deep.equal([MINE, OTHER]);
          }
        }
      });

      it(`takes ${kind} of another job when GitHub says so, and that the known one is elsewhere`, () => {
        const moved = told(row('busy', { jobKey: MINE }), [5, word(kind, { word: 'read', refuted: MINE })]);
        expect(moved.jobKey).to.equal(OTHER);
        expect(moved.state).to.equal(kind === 'job-started' ? 'busy' : 'finishing');
      });
    }

    it('asks GitHub when another tenant reports the end of the job that runs', () => {
      const answer = step(
        row('busy', { jobKey: MINE }),
        word('job-completed', { jobKey: MINE, word: 'stranger' }),
        at(5),
      );
      expect(answer).to.deep.include({ kind: 'ignored', read: [MINE] });
    });

    it('goes back to busy from a believed end when GitHub refuses the DELETE, and reads the job', () => {
      for (const state of ['finishing', 'draining'] as const) {
        const done = row(state, { jobKey: MINE, finishedAtMs: 4 });
        const answer = step(done, EVENTS['delete-refused'], at(5));
        expect(answer.read, state).to.deep.equal([MINE]);
        expect(told(done, [5, EVENTS['delete-refused']]), state).to.include({ state: 'busy', finishedAtMs: null });
      }
    });

    it('does not go back once GitHub itself has said that the job ended, nor when the container is over or stopped', () => {
      const over: readonly Partial<RunnerRow>[] = [
        { endReadAtMs: 4 },
        { instanceState: 'ended' },
        { forced: true },
        { stopSentAtMs: 4 },
      ];
      for (const some of over) {
        const done = row('draining', { jobKey: MINE, finishedAtMs: 4, ...some });
        expect(told(done, [5, EVENTS['delete-refused']]).state, JSON.stringify(some)).to.equal('draining');
      }
    });

    it('goes back to busy when GitHub, asked for the job, says that it still runs', () => {
      const started = word('job-started', { jobKey: MINE, word: 'read' });
      for (const state of ['finishing', 'draining'] as const) {
        const done = row(state, { jobKey: MINE, finishedAtMs: 4 });
        expect(told(done, [5, started]), state).to.include({ state: 'busy', finishedAtMs: null });
        expect(told(done, [5, { ...started, word: 'told' }]).state, 'late').to.equal(state);
      }
    });

    it('remembers that GitHub said it of the end that it knew before', () => {
      const done = row('finishing', { jobKey: MINE, finishedAtMs: 4 });
      const read = told(done, [9, word('job-completed', { jobKey: MINE, word: 'read' })]);
      expect(read).to.include({ state: 'finishing', finishedAtMs: 4, endReadAtMs: 9 });
    });
  });

  it('keeps a draining runner whose job turns out to have started, even after a granted DELETE', () => {
    const draining = runnerRow({ state: 'draining', instanceState: 'running', onlineAtMs: 1 });
    const kept = told(draining, [5, EVENTS.deregistered], [9, EVENTS['job-started']]);
    expect(kept).to.include({ state: 'busy', jobKey: 'github.com/acme/web/1' });
  });

  it('does not believe "idle" of a busy runner', () => {
    const busy = runnerRow({ state: 'busy', instanceState: 'running', jobKey: 'github.com/acme/web/1' });
    expect(step(busy, EVENTS.github, at(1)).kind).to.equal('ignored');
  });

  it('drains a busy runner that GitHub forgot only when no job was named for ten minutes', () => {
    const nameless = runnerRow({ state: 'busy', instanceState: 'running', onlineAtMs: 1 });
    expect(told(nameless, [10 * MINUTE - 1, EVENTS['github-missing']]).state).to.equal('busy');
    expect(told(nameless, [10 * MINUTE, EVENTS['github-missing']]).state).to.equal('draining');
    expect(
      told({ ...nameless, jobKey: 'github.com/acme/web/1' }, [20 * MINUTE, EVENTS['github-missing']]).state,
    ).to.equal('busy');
  });

  it('needs three misses over three minutes to believe that an instance vanished', () => {
    const online = runnerRow({ state: 'online', instanceState: 'running', instanceId: 'i-1', onlineAtMs: 1 });
    const soon = told(
      online,
      [0, EVENTS['instance-missing']],
      [MINUTE, EVENTS['instance-missing']],
      [2 * MINUTE, EVENTS['instance-missing']],
    );
    expect(soon.state).to.equal('online');
    expect(told(soon, [3 * MINUTE, EVENTS['instance-missing']]).state).to.equal('draining');
  });

  it('goes on at once, without the pause of what failed before, when nothing of its container is left', () => {
    const draining = runnerRow({ state: 'draining', instanceState: 'running', instanceId: 'i-1', attempts: 5 });
    const missed = [MINUTE, 3 * MINUTE, 5 * MINUTE].map((ms) => [ms, EVENTS['instance-missing']] as const);
    expect(told(draining, ...missed)).to.include({
      instanceState: 'absent',
      attempts: 0,
      nextCheckAtMs: 5 * MINUTE,
    });
  });

  it('starts to count misses anew once the instance is seen again', () => {
    const online = runnerRow({ state: 'online', instanceState: 'running', instanceId: 'i-1', onlineAtMs: 1 });
    const seen = told(
      online,
      [0, EVENTS['instance-missing']],
      [2 * MINUTE, EVENTS['instance-missing']],
      [3 * MINUTE, EVENTS.instance],
    );
    expect(told(seen, [4 * MINUTE, EVENTS['instance-missing']])).to.include({ state: 'online', misses: 1 });
  });

  it('gives up an interrupted launch after two misses, and still looks for what it may have created', () => {
    const creating = runnerRow({ state: 'creating', instanceState: 'maybe' });
    const given = told(creating, [0, EVENTS['instance-missing']], [10_000, EVENTS['instance-missing']]);
    expect(given).to.include({ state: 'draining', instanceState: 'maybe' });
    expect(instanceStep(given, 10_000)).to.equal('inspect');
  });

  it('gives an instance that a crash left pending two minutes, and a running one its whole time', () => {
    const creating = runnerRow({ state: 'creating', instanceState: 'maybe' });
    const pending = told(creating, [0, { ...EVENTS.instance, state: 'pending' }]);
    expect(pending).to.include({ state: 'starting', deadlineAtMs: 2 * MINUTE });
    expect(told(creating, [0, EVENTS.instance])).to.include({ state: 'starting', deadlineAtMs: 10 * MINUTE });
  });

  describe('a container that reports a failure and goes on', () => {
    const starting = runnerRow({
      state: 'starting',
      instanceState: 'pending',
      instanceId: 'i-1',
      deadlineAtMs: 10 * MINUTE,
    });
    const pulling = (message: string): RunnerEvent => ({
      ...EVENTS.instance,
      state: 'pending',
      failure: failure({ kind: 'image-pull-failed', code: 'NotFound', requestId: 'r-1', message }),
    });

    it('is recorded once in the timeline, even if the service words it differently each time', () => {
      const first = step(starting, pulling('try 1'), at(MINUTE));
      expect(first).to.have.nested.property('step.entries[0].failure.message', 'try 1');
      const known = told(starting, [MINUTE, pulling('try 1')]);
      expect(step(known, pulling('try 2'), at(2 * MINUTE))).to.have.nested.property('step.entries').that.is.empty;
      expect(known).to.include({ state: 'starting', deadlineAtMs: 10 * MINUTE });
      expect(known.failure).to.include({ kind: 'image-pull-failed', message: 'try 1' });
    });

    it('is why the runner did not come online in time', () => {
      const late = told(starting, [MINUTE, pulling('no such tag')], [10 * MINUTE, EVENTS.deadline]);
      expect(late).to.include({ state: 'draining' });
      expect(late.failure).to.deep.equal(
        failure({
          kind: 'image-pull-failed',
          code: 'NotFound',
          requestId: 'r-1',
          message: 'not online within 600 s: no such tag',
          atMs: 10 * MINUTE,
        }),
      );
    });

    it('has not failed once it comes online after all', () => {
      const up = told(starting, [MINUTE, pulling('no such tag')], [2 * MINUTE, EVENTS.github]);
      expect(up).to.include({ state: 'online', failure: null });
    });

    const outOfStock: RunnerEvent = {
      ...EVENTS.instance,
      state: 'pending',
      failure: failure({ kind: 'no-stock', message: 'zone full' }),
    };

    it('for want of stock has its backend’s patience, however long a launch may take', () => {
      const waits = told(starting, [MINUTE, outOfStock], [2 * MINUTE, outOfStock]);
      expect(waits).to.include({ state: 'starting', deadlineAtMs: 3 * MINUTE });
      const given = told(waits, [3 * MINUTE, EVENTS.deadline]);
      expect(given).to.include({ state: 'draining' });
      expect(given.failure).to.include({ kind: 'no-stock', message: 'no stock for 120 s: zone full' });
    });

    it('for want of stock is given up no later than it would have been anyway', () => {
      const waits = told(starting, [9 * MINUTE, outOfStock]);
      expect(waits).to.include({ deadlineAtMs: 10 * MINUTE });
    });

    it('for want of stock is as good as any other once there is some', () => {
      const runs = told(starting, [MINUTE, outOfStock], [2 * MINUTE, { ...EVENTS.instance, state: 'running' }]);
      expect(runs).to.include({ state: 'starting', deadlineAtMs: 12 * MINUTE, failure: null });
    });

    it('stays what befell a busy one', () => {
      const busy = runnerRow({ state: 'busy', instanceState: 'running', instanceId: 'i-1' });
      const reclaimed = failure({ kind: 'spot-reclaimed', message: 'started again' });
      const seen = told(
        busy,
        [MINUTE, { ...EVENTS.instance, failure: reclaimed }],
        [2 * MINUTE, EVENTS['job-completed']],
      );
      expect(seen).to.include({ state: 'finishing', failure: reclaimed });
    });
  });

  it('records an instance that a launch brings after its runner was given up', () => {
    const draining = runnerRow({ state: 'draining', instanceState: 'maybe' });
    expect(told(draining, [5, EVENTS.accepted])).to.include({ instanceId: 'i-1', instanceState: 'pending' });
  });

  it('takes up again what was believed gone and turns up', () => {
    const gone = runnerRow({ state: 'gone', instanceState: 'absent', nextCheckAtMs: null });
    expect(told(gone, [5, EVENTS.instance])).to.include({ state: 'draining', instanceState: 'running' });
  });

  it('lets go after 15 minutes of refused credentials, once the instance is gone', () => {
    const draining = runnerRow({ state: 'draining', instanceState: 'absent', finishedAtMs: 1 });
    const refused = told(draining, [0, EVENTS['credentials-refused']], [14 * MINUTE, EVENTS['credentials-refused']]);
    expect(refused.state).to.equal('draining');
    expect(told(refused, [15 * MINUTE, EVENTS['credentials-refused']]).state).to.equal('gone');
  });

  it('backs off when a step fails again and again', () => {
    const draining = runnerRow({ state: 'draining', instanceState: 'running' });
    const once = told(draining, [0, EVENTS['step-failed']]);
    const often = told(draining, ...Array.from({ length: 12 }, () => [0, EVENTS['step-failed']] as const));
    expect(once.nextCheckAtMs).to.equal(2000);
    expect(often.nextCheckAtMs).to.equal(5 * MINUTE);
  });
});
