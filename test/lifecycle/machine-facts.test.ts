import { expect } from 'chai';
import type { Failure } from '../../dispatcher/failures/failure.ts';
import type { RunnerRow, RunnerState, RunnerStep } from '../../dispatcher/ledger/ledger.ts';
import type { Answer, RunnerEvent } from '../../dispatcher/lifecycle/machine/event.ts';
import { neverCameOnline, postpone, step } from '../../dispatcher/lifecycle/machine.ts';
import { failure } from '../failures/examples.ts';
import { runnerRow } from './runner-fixture.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Every runner is so old that GitHub shows what it is, unless the test says otherwise. */
const NOW = 2 * HOUR;
const JOB = 'github.com/acme/web/1';
const OTHER = 'github.com/acme/web/2';

function answer(runner: RunnerRow, event: RunnerEvent, nowMs = NOW): Answer {
  const context = { nowMs, launchTimeoutMs: 10 * MINUTE, idleTimeoutMs: 5 * MINUTE, stockPatienceMs: 2 * MINUTE };
  return step(runner, event, context);
}

function taken(runner: RunnerRow, event: RunnerEvent, nowMs = NOW): RunnerStep {
  const given = answer(runner, event, nowMs);
  if (given.kind === 'ignored') throw new Error(`ignored: ${given.because}`);
  return given.step;
}

function applied(runner: RunnerRow, event: RunnerEvent, nowMs = NOW): RunnerRow {
  const given = answer(runner, event, nowMs);
  return given.kind === 'ignored' ? runner : { ...runner, ...given.step.patch };
}

/** With a container that runs, where it has one. */
function row(state: RunnerState, some: Partial<RunnerRow> = {}): RunnerRow {
  return runnerRow({ state, instanceState: 'running', instanceId: 'i-1', stateSinceMs: 0, ...some });
}

const calling: RunnerEvent = { kind: 'calling', backend: 'docker', runnerId: 7, instanceDeadlineAtMs: 121 * HOUR };
const refused: RunnerEvent = { kind: 'launch-refused', failure: failure({ kind: 'invalid' }) };
const github = (online: boolean, busy: boolean, runnerId = 7): RunnerEvent => ({
  ...{ kind: 'github', runnerId, online, busy },
});
const started = (jobKey: string, word: 'told' | 'read' = 'told', refuted: string | null = null): RunnerEvent => ({
  ...{ kind: 'job-started', jobKey, word, refuted },
});
const completed = (jobKey: string, word: 'told' | 'read' = 'told'): RunnerEvent => ({
  ...{ kind: 'job-completed', jobKey, word, refuted: null },
});
const instance = (state: 'pending' | 'running' | 'unknown'): RunnerEvent => ({
  ...{ kind: 'instance', state, backend: 'docker', instanceId: 'i-1' },
});
const ended = (some: Parameters<typeof failure>[0] = { kind: 'exited', code: '0' }): RunnerEvent => ({
  ...{ kind: 'instance', state: 'ended', backend: 'docker', instanceId: 'i-1', ended: failure(some) },
});

describe('what a step means for the job that the runner was launched for', () => {
  const planned = row('creating', { instanceState: 'none', instanceId: null, githubRunnerId: null, forJobKey: JOB });
  const called = row('creating', { instanceState: 'maybe', instanceId: null });

  it('is a launch when the first provider is called, and none when the next is', () => {
    expect(taken(planned, calling).launch).to.equal('called');
    expect(taken(called, calling).launch).to.equal(undefined);
    const refusedOnce = applied(called, { kind: 'backend-refused', backend: 'docker', failure: failure() });
    expect(taken(refusedOnce, calling).launch).to.equal(undefined);
  });

  it('is given back where no provider was ever called', () => {
    expect(taken(planned, refused).launch).to.equal('given-back');
    expect(taken(planned, { kind: 'drain', reason: 'surplus' }).launch).to.equal('given-back');
    expect(taken(planned, github(false, false)).launch, 'it is only registered').to.equal(undefined);
  });

  it('is refused where each provider that was called has refused it, but not because the name was taken', () => {
    expect(taken(called, refused).launch).to.equal('refused');
    const conflict: RunnerEvent = { kind: 'launch-refused', failure: failure({ kind: 'conflict' }) };
    expect(taken(called, conflict).launch).to.equal(undefined);
    expect(taken(called, { kind: 'launch-abandoned', failure: failure() }).launch, 'in doubt').to.equal(undefined);
    expect(taken(called, instance('running')).launch).to.equal(undefined);
    expect(taken(row('starting'), { kind: 'drain', reason: 'surplus' }).launch).to.equal(undefined);
  });

  it('is stolen where another job came to the runner', () => {
    const online = row('online', { forJobKey: JOB });
    expect(taken(online, started(OTHER)).launch).to.equal('stolen');
    expect(taken(online, started(JOB)).launch).to.equal(undefined);
    expect(taken(online, github(true, true)).launch, 'no job is known').to.equal(undefined);
    const bound = row('busy', { forJobKey: JOB, jobKey: OTHER });
    expect(taken(bound, completed(OTHER)).launch, 'that was counted').to.equal(undefined);
  });
});

describe('the times of a runner', () => {
  const atMs = (runner: RunnerRow, event: RunnerEvent) => {
    const { patch } = taken(runner, event);
    const inMs = (ms: number | null | undefined) => (ms === null || ms === undefined ? null : ms - NOW);
    return { look: inMs(patch.nextCheckAtMs), deadline: inMs(patch.deadlineAtMs) };
  };

  it('are those of the state that it comes to', () => {
    expect(atMs(row('creating'), { kind: 'accepted', backend: 'docker', instanceId: 'i-1' })).to.deep.equal({
      ...{ look: 5 * SECOND, deadline: 10 * MINUTE },
    });
    expect(atMs(row('starting'), github(true, false))).to.deep.equal({ look: 30 * SECOND, deadline: 5 * MINUTE });
    expect(atMs(row('online'), started(JOB))).to.deep.equal({ look: MINUTE, deadline: 119 * HOUR });
    expect(atMs(row('busy'), completed(JOB))).to.deep.equal({ look: 2 * SECOND, deadline: MINUTE });
    expect(atMs(row('online'), { kind: 'drain', reason: 'surplus' })).to.deep.equal({ look: 0, deadline: null });
  });

  it('bring the next look when nothing changed, no later than its deadline, and at once where that is over', () => {
    const looks = (deadlineAtMs: number | null) => atMs(row('starting', { deadlineAtMs }), instance('running')).look;
    expect(looks(null)).to.equal(5 * SECOND);
    expect(looks(NOW + HOUR)).to.equal(5 * SECOND);
    expect(looks(NOW + SECOND)).to.equal(SECOND);
    expect(looks(NOW - SECOND)).to.equal(0);
  });

  it('leave a draining runner’s next look as it is when nothing changed', () => {
    expect(taken(row('draining'), instance('running')).patch).to.not.have.any.keys('nextCheckAtMs', 'attempts');
  });

  it('are put off by a visit that brought nothing, unless it is gone', () => {
    expect(postpone(row('online'), NOW, SECOND)).to.deep.equal({
      patch: { nextCheckAtMs: NOW + SECOND },
      entries: [],
    });
    expect(postpone(row('gone'), NOW, SECOND)).to.equal(undefined);
  });

  it('grow with each step that fails, and are never shorter than the service asks for', () => {
    const failed = (attempts: number, retryAfterMs?: number) =>
      taken(row('online', { attempts }), {
        ...{ kind: 'step-failed', failure: failure() },
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      });
    const first = failed(0);
    expect([first.patch.attempts, first.patch.nextCheckAtMs]).to.deep.equal([1, NOW + 2 * SECOND]);
    expect(first.entries.map(({ reason }) => reason)).to.deep.equal(['a step failed, and is tried again']);
    const third = failed(2);
    expect([third.patch.attempts, third.patch.nextCheckAtMs]).to.deep.equal([3, NOW + 8 * SECOND]);
    expect(third.entries, 'told once').to.deep.equal([]);
    expect(failed(0, MINUTE).patch.nextCheckAtMs).to.equal(NOW + MINUTE);
    expect(failed(0, SECOND).patch.nextCheckAtMs).to.equal(NOW + 2 * SECOND);
  });
});

describe('what GitHub shows of a runner', () => {
  it('is an unbroken series of idle looks, from the first to the last', () => {
    const once = applied(row('online'), github(true, false), NOW);
    expect(once).to.include({ onlineAtMs: NOW, firstIdleAtMs: NOW, lastIdleAtMs: NOW });
    const twice = applied(once, github(true, false), NOW + SECOND);
    expect(twice).to.include({ onlineAtMs: NOW, firstIdleAtMs: NOW, lastIdleAtMs: NOW + SECOND });
    const offline = applied(twice, github(false, false), NOW + MINUTE);
    expect(offline).to.include({ onlineAtMs: NOW, firstIdleAtMs: null, lastIdleAtMs: null });
  });

  it('starts nothing while it is offline', () => {
    expect(applied(row('starting'), github(false, false))).to.include({ state: 'starting', onlineAtMs: null });
    expect(applied(row('starting'), github(true, true))).to.include({
      state: 'busy',
      busyAtMs: NOW,
      firstIdleAtMs: null,
    });
  });

  it('names it by another id than was known', () => {
    expect(taken(row('online'), github(true, false)).patch).to.not.have.property('githubRunnerId');
    expect(applied(row('online'), github(true, false, 8)).githubRunnerId).to.equal(8);
  });

  it('brings a draining runner back that runs a job, unless that is over or cannot be', () => {
    const busy = (some: Partial<RunnerRow>) => applied(row('draining', some), github(true, true)).state;
    expect(busy({})).to.equal('busy');
    expect(busy({ forced: true })).to.equal('draining');
    expect(busy({ instanceState: 'ended' })).to.equal('draining');
    expect(busy({ finishedAtMs: NOW - 1 })).to.equal('draining');
    expect(applied(row('draining'), github(true, false)).state).to.equal('draining');
  });

  it('is known to be registered again where it was thought not to be', () => {
    const seen = applied(row('draining', { deregisteredAtMs: 5 }), github(true, false));
    expect(seen.deregisteredAtMs).to.equal(null);
  });

  describe('that it does not know it', () => {
    const missing = (state: RunnerState, some: Partial<RunnerRow> = {}, nowMs = NOW) =>
      answer(row(state, some), { kind: 'github-missing' }, nowMs);
    const young = NOW - MINUTE + 1;

    it('counts for nothing in its first minute, as long as it may still appear', () => {
      expect(missing('online', { createdAtMs: young }).kind).to.equal('ignored');
      expect(missing('online', { createdAtMs: young - 1 }).kind, 'a minute old').to.equal('step');
      const over = { createdAtMs: young, instanceState: 'ended' } as const;
      expect(missing('draining', over).kind).to.equal('step');
      expect(missing('draining', { ...over, githubRunnerId: null }).kind).to.equal('ignored');
      expect(missing('finishing', { createdAtMs: young, finishedAtMs: NOW }).kind).to.equal('step');
    });

    it('ends a busy one after ten minutes without a name, with its registration only where its container is over', () => {
      const nameless = { jobKey: null, stateSinceMs: NOW - 10 * MINUTE };
      const given = (some: Partial<RunnerRow>) => {
        const found = missing('busy', { ...nameless, ...some });
        return found.kind === 'ignored' ? undefined : found.step.patch;
      };
      expect(given({})).to.include({ state: 'draining' }).and.not.have.property('deregisteredAtMs');
      expect(given({ instanceState: 'ended' })).to.include({ state: 'draining', deregisteredAtMs: NOW });
      expect(given({ stateSinceMs: NOW - 10 * MINUTE + 1 })).to.equal(undefined);
      expect(given({ jobKey: JOB })).to.equal(undefined);
    });

    it('is noted once, and goes on at once', () => {
      expect(applied(row('draining', { attempts: 3 }), { kind: 'github-missing' })).to.include({
        ...{ deregisteredAtMs: NOW, attempts: 0, nextCheckAtMs: NOW },
      });
      expect(missing('draining', { deregisteredAtMs: 5 }).kind).to.equal('ignored');
      expect(applied(row('online', { deregisteredAtMs: 5 }), { kind: 'github-missing' }).deregisteredAtMs).to.equal(5);
    });
  });

  it('is that a runner never came online where it was not seen so, nor named by a job', () => {
    expect(neverCameOnline(row('draining'))).to.equal(true);
    for (const some of [{ onlineAtMs: 1 }, { busyAtMs: 1 }, { jobKey: JOB }]) {
      expect(neverCameOnline(row('draining', some)), JSON.stringify(some)).to.equal(false);
    }
  });
});

describe('what a service shows of a container', () => {
  it('proves nothing where it cannot be read, and ends a series of misses', () => {
    expect(answer(row('online'), instance('unknown')).kind).to.equal('ignored');
    expect(applied(row('online', { misses: 2, firstMissAtMs: 5 }), instance('unknown'))).to.include({
      ...{ state: 'online', misses: 0, firstMissAtMs: null, instanceState: 'running' },
    });
  });

  it('is a failure where it ended before it came online, and else only where it did not end well', () => {
    const fails = (state: RunnerState, some: Parameters<typeof failure>[0]) =>
      taken(row(state), ended(some)).entries[0]?.failure?.kind;
    const well = { kind: 'exited', code: '0' } as const;
    const badly = { kind: 'exited', code: '1' } as const;
    const killed = { kind: 'out-of-memory', code: '0' } as const;
    expect(fails('starting', badly)).to.equal('exited');
    expect(fails('busy', well)).to.equal(undefined);
    expect(fails('busy', badly)).to.equal('exited');
    expect(fails('online', killed)).to.equal('out-of-memory');
    expect(applied(row('busy'), ended(badly)).failure?.code).to.equal('1');
  });

  describe('that ended with exit code 0 before it was seen online', () => {
    const since = { instanceState: 'ended', failure: failure({ kind: 'exited', code: '0' }) } as const;
    const asked = (some: Partial<RunnerRow> = {}) => row('starting', { ...since, deadlineAtMs: NOW + 15_000, ...some });
    const missing: RunnerEvent = { kind: 'github-missing' };
    const deadline = (unheard?: Failure): RunnerEvent => ({
      ...{ kind: 'deadline' as const, ...(unheard === undefined ? {} : { unheard }) },
    });
    const unheard = failure({ source: 'github', kind: 'transient', code: '502' });

    it('is no verdict yet: GitHub has 15 s to say whether it ran a job', () => {
      for (const state of ['creating', 'starting'] as const) {
        const step = taken(row(state, { misses: 1, attempts: 2 }), ended());
        expect(step.patch, state).to.include({ instanceState: 'ended', misses: 0, attempts: 0 });
        expect(step.patch, state).to.include({ deadlineAtMs: NOW + 15_000, nextCheckAtMs: NOW + 2_000 });
        expect(step.patch.failure, state).to.include({ kind: 'exited', code: '0' });
        expect(applied(row(state), ended()).state).to.equal('starting');
        expect(step.entries.map(({ reason }) => reason)).to.deep.equal([
          'its container ended before it was seen online: GitHub is asked whether it ran a job',
        ]);
      }
      expect(applied(row('starting'), ended({ kind: 'out-of-memory', code: '0' })).state).to.equal('starting');
      expect(applied(row('starting'), ended({ kind: 'exited', code: '1' })).state).to.equal('draining');
      expect(applied(row('starting'), ended({ kind: 'unknown', code: null })).state).to.equal('draining');
    });

    it('does not begin anew, nor run again, where the service tells of it once more', () => {
      const again = taken(asked(), ended(), NOW + 9_000);
      expect(again.entries).to.deep.equal([]);
      expect(again.patch).to.not.have.any.keys('deadlineAtMs', 'failure', 'state');
      expect(applied(asked(), instance('running')).instanceState).to.equal('ended');
    });

    it('was no failed start where GitHub removed its registration, or shows it online, or busy', () => {
      expect(applied(asked(), missing)).to.include({
        ...{ state: 'draining', failure: null, deregisteredAtMs: NOW, busyAtMs: NOW },
      });
      expect(applied(asked({ createdAtMs: NOW - 1 }), missing).state, 'however young').to.equal('draining');
      expect(applied(asked(), github(true, false))).to.include({
        ...{ state: 'online', failure: null, nextCheckAtMs: NOW + 2_000 },
      });
      expect(applied(asked(), github(true, true))).to.include({ state: 'busy', nextCheckAtMs: NOW + 2_000 });
      expect(applied(asked(), github(false, false))).to.include({ state: 'starting', deadlineAtMs: NOW + 15_000 });
      const killed = failure({ kind: 'out-of-memory', code: '0' });
      expect(applied(asked({ failure: killed }), missing).failure, 'what befell it stays').to.equal(killed);
    });

    it('was no failed start where a job names it', () => {
      expect(applied(asked(), started(JOB))).to.include({ state: 'busy', jobKey: JOB, failure: null });
      expect(applied(asked(), completed(JOB, 'read'))).to.include({ state: 'finishing', jobKey: JOB, failure: null });
    });

    it('was a failed start where its registration is still there when the time is up', () => {
      const failed = taken(asked(), deadline());
      expect(failed.patch).to.include({ state: 'draining', drainReason: 'its container ended before it came online' });
      expect(failed.entries[0]?.failure).to.include({ kind: 'exited', code: '0' });
      expect({ ...asked(), ...failed.patch }.failure).to.include({ kind: 'exited', code: '0' });
    });

    it('stays unknown where GitHub does not answer for two minutes', () => {
      const endedAtMs = asked().deadlineAtMs ?? 0;
      expect(answer(asked(), deadline(unheard), endedAtMs - 15_000 + 2 * MINUTE - 1).kind).to.equal('ignored');
      const unknown = taken(asked(), deadline(unheard), endedAtMs - 15_000 + 2 * MINUTE);
      expect(unknown.patch).to.include({ state: 'draining', failure: null });
      expect(unknown.entries[0]).to.include({ failure: unheard });
      expect(unknown.entries[0]?.reason).to.include('GitHub does not say whether it ran a job');
    });

    it('stays unknown where the runner is taken down for another reason', () => {
      expect(applied(asked(), { kind: 'drain', reason: 'no job needs it any more' }).failure).to.equal(null);
      expect(applied(asked(), { kind: 'forget' })).to.include({ forced: true, failure: null });
      const pulling = failure({ kind: 'image-pull-failed' });
      const starting = row('starting', { failure: pulling });
      expect(applied(starting, { kind: 'drain', reason: 'no job needs it any more' }).failure).to.equal(pulling);
    });

    it('was no failed start of an adopted runner, however it ended: it may have run jobs before', () => {
      const adopted = row('starting', { specHash: 'adopted' });
      expect(applied(adopted, ended())).to.include({ state: 'draining', failure: null });
      expect(taken(adopted, ended()).entries[0]?.reason).to.equal('its container ended');
      expect(applied(adopted, ended({ kind: 'exited', code: '1' })).failure).to.include({ code: '1' });
    });
  });

  it('says of a runner not seen online in time that GitHub could not be asked, where that is so', () => {
    const unheard = failure({ source: 'github', kind: 'transient', code: '502', message: 'GitHub answered 502' });
    const late = applied(row('starting'), { kind: 'deadline', unheard });
    expect(late).to.include({ state: 'draining' });
    expect(late.failure).to.include({
      ...{ source: 'github', kind: 'transient', code: '502' },
      message: 'not seen online within 600 s, and GitHub cannot be asked: GitHub answered 502',
    });
    expect(applied(row('starting'), { kind: 'deadline' }).failure).to.include({ kind: 'launch-timeout' });
    const pulling = row('starting', { failure: failure({ kind: 'image-pull-failed', message: 'no such tag' }) });
    expect(applied(pulling, { kind: 'deadline', unheard }).failure, 'the service knows better').to.include({
      ...{ kind: 'image-pull-failed', message: 'not online within 600 s: no such tag' },
    });
    const unstocked = row('starting', { failure: failure({ kind: 'no-stock' }) });
    expect(applied(unstocked, { kind: 'deadline', unheard }).failure).to.include({ kind: 'no-stock' });
  });

  it('is recorded once for a draining runner whose container ended, which goes on at once', () => {
    const first = taken(row('draining', { attempts: 3 }), ended());
    expect(first.entries).to.have.length(1);
    expect(first.patch).to.include({ instanceState: 'ended', attempts: 0, nextCheckAtMs: NOW });
    for (const instanceState of ['ended', 'absent'] as const) {
      const again = taken(row('draining', { instanceState, deregisteredAtMs: null }), ended());
      expect(again.entries).to.deep.equal([]);
      expect(again.patch).to.not.have.property('instanceState');
    }
  });

  it('does not let one run again that has ended', () => {
    expect(applied(row('draining', { instanceState: 'ended' }), instance('running')).instanceState).to.equal('ended');
  });

  it('counts as gone at the first miss after the stop of a known one, else after three misses in three minutes', () => {
    const missed = (some: Partial<RunnerRow>) =>
      applied(row('draining', some), { kind: 'instance-missing' }).instanceState;
    expect(missed({ stopSentAtMs: 1 })).to.equal('absent');
    expect(missed({ stopSentAtMs: 1, instanceId: null })).to.equal('running');
    expect(missed({ stopSentAtMs: 1, instanceId: null, instanceState: 'ended' })).to.equal('absent');
    expect(missed({})).to.equal('running');
    expect(missed({ misses: 2, firstMissAtMs: NOW - 3 * MINUTE })).to.equal('absent');
    expect(missed({ misses: 2, firstMissAtMs: NOW - 3 * MINUTE + 1 })).to.equal('running');
    for (const instanceState of ['absent', 'none'] as const) {
      expect(answer(row('draining', { instanceState }), { kind: 'instance-missing' }).kind).to.equal('ignored');
    }
  });

  it('that was accepted late is taken down, and noted alone where it has ended', () => {
    const accepted: RunnerEvent = { kind: 'accepted', backend: 'docker', instanceId: 'i-2' };
    expect(answer(row('draining', { instanceId: 'i-2' }), accepted).kind, 'known').to.equal('ignored');
    const late = applied(row('draining', { instanceId: null, instanceState: 'none', misses: 1 }), accepted);
    expect(late).to.include({ instanceId: 'i-2', instanceState: 'pending', misses: 0, nextCheckAtMs: NOW });
    const over = applied(row('draining', { instanceId: null, instanceState: 'ended' }), accepted);
    expect(over).to.include({ instanceId: 'i-2', instanceState: 'ended' });
  });

  it('may be there after a launch that was given up, and not after one that was refused', () => {
    const called = row('creating', { instanceState: 'maybe', instanceId: null });
    expect(applied(called, { kind: 'launch-abandoned', failure: failure() }).instanceState).to.equal('maybe');
    expect(applied(called, refused).instanceState).to.equal('none');
    const uncalled = { ...called, instanceState: 'none' } as const;
    expect(applied(uncalled, { kind: 'launch-abandoned', failure: failure() }).instanceState).to.equal('none');
    const draining = { ...called, state: 'draining' } as const;
    expect(applied(draining, refused)).to.include({ instanceState: 'none', nextCheckAtMs: NOW });
    expect(answer({ ...draining, instanceState: 'running' }, refused).kind).to.equal('ignored');
    expect(answer(draining, { kind: 'launch-abandoned', failure: failure() }).kind).to.equal('ignored');
  });
});

describe('a job of a runner', () => {
  it('keeps the time at which it was first known to be busy', () => {
    expect(applied(row('busy', { busyAtMs: 5 }), started(JOB))).to.include({ busyAtMs: 5, jobKey: JOB });
    expect(applied(row('busy', { busyAtMs: 5 }), completed(JOB))).to.include({ busyAtMs: 5, finishedAtMs: NOW });
    expect(applied(row('online'), completed(JOB)).busyAtMs).to.equal(NOW);
  });

  it('changes the runner only the first time', () => {
    expect(answer(row('busy', { jobKey: JOB }), started(JOB)).kind).to.equal('ignored');
    const done = row('finishing', { jobKey: JOB, finishedAtMs: 5 });
    expect(answer(done, completed(JOB)).kind).to.equal('ignored');
    expect(applied(done, completed(JOB, 'read'))).to.include({ endReadAtMs: NOW, finishedAtMs: 5 });
    expect(answer({ ...done, endReadAtMs: 6 }, completed(JOB, 'read')).kind).to.equal('ignored');
    expect(applied(row('busy'), completed(JOB)).endReadAtMs, 'only told').to.equal(null);
  });

  it('does not bring a runner back that is being stopped, and is known of it', () => {
    const stopping: readonly Partial<RunnerRow>[] = [
      { forced: true },
      { instanceState: 'ended' },
      { stopSentAtMs: NOW - 1 },
    ];
    for (const some of stopping) {
      const known = applied(row('draining', some), started(JOB));
      expect(known, JSON.stringify(some)).to.include({ state: 'draining', jobKey: JOB });
      expect(answer(row('draining', { ...some, jobKey: JOB }), started(JOB)).kind).to.equal('ignored');
      expect(answer(row('draining', { ...some, finishedAtMs: 5 }), started(JOB)).kind).to.equal('ignored');
    }
  });

  it('that GitHub is asked about has its reason in the timeline', () => {
    const stranger: RunnerEvent = { kind: 'job-started', jobKey: JOB, word: 'stranger', refuted: null };
    const words = (runner: RunnerRow, event: RunnerEvent) => {
      const given = answer(runner, event);
      return given.kind === 'ignored' ? given.because : undefined;
    };
    expect(words(row('online'), stranger)).to.include('the webhook of another registration');
    expect(words(row('busy', { jobKey: OTHER }), stranger)).to.include('bound to another job');
  });

  it('counts as running where GitHub refuses the DELETE, until GitHub itself has said that it ended', () => {
    const refusedDelete: RunnerEvent = { kind: 'delete-refused' };
    expect(applied(row('online', { onlineAtMs: 5 }), refusedDelete)).to.include({ busyAtMs: NOW, onlineAtMs: 5 });
    const back = answer(row('draining', { onlineAtMs: 5, busyAtMs: 6, drainReason: 'surplus' }), refusedDelete);
    expect(back.read, 'no job is known').to.equal(undefined);
    expect(back.kind === 'step' && back.step.patch).to.include({
      ...{ state: 'busy', onlineAtMs: 5, busyAtMs: 6, drainReason: null },
    });
    expect(answer(row('draining', { jobKey: JOB }), refusedDelete).read).to.deep.equal([JOB]);
    const read = { finishedAtMs: 5, endReadAtMs: 6 };
    expect(answer(row('finishing', read), refusedDelete).kind).to.equal('ignored');
    expect(taken(row('draining', read), refusedDelete).patch).to.include({ attempts: 1 });
  });
});

describe('the end of a runner', () => {
  it('is forced at its time limit, and by an operator', () => {
    expect(applied(row('busy'), { kind: 'deadline' })).to.include({ state: 'draining', forced: true });
    expect(applied(row('online'), { kind: 'forget' })).to.include({ state: 'draining', forced: true });
    expect(applied(row('draining', { attempts: 3 }), { kind: 'forget' })).to.include({
      ...{ state: 'draining', forced: true, attempts: 0, nextCheckAtMs: NOW },
    });
    expect(applied(row('draining', { forced: true }), { kind: 'forget' }).state).to.equal('gone');
  });

  it('knows whether a provider was called, where an operator gives up a launch', () => {
    const given = (instanceState: RunnerRow['instanceState'], state: RunnerState = 'creating') =>
      applied(row(state, { instanceState }), { kind: 'forget' }).instanceState;
    expect([given('none'), given('maybe'), given('running', 'online')]).to.deep.equal(['none', 'maybe', 'running']);
  });

  it('names the backend that did not answer in time, or the dispatcher where there was none', () => {
    const source = (backend: string | null) => applied(row('creating', { backend }), { kind: 'deadline' }).failure;
    expect(source('docker')).to.include({ source: 'acme/docker', kind: 'launch-timeout' });
    expect(source('docker')?.message).to.include('300 s');
    expect(source(null)?.source).to.equal('dispatcher');
  });

  it('is reached when neither its container nor its registration is left, in whatever order', () => {
    const noContainer = row('draining', { instanceState: 'absent' });
    const noRegistration = row('draining', { deregisteredAtMs: 5, stopSentAtMs: 5 });
    expect(applied(noContainer, { kind: 'deregistered' })).to.include({ state: 'gone', nextCheckAtMs: null });
    expect(applied(noRegistration, { kind: 'instance-missing' }).state).to.equal('gone');
    expect(applied(row('draining'), { kind: 'deregistered' })).to.include({
      ...{ state: 'draining', attempts: 0, nextCheckAtMs: NOW },
    });
    expect(answer(row('draining', { deregisteredAtMs: 5 }), { kind: 'deregistered' }).kind).to.equal('ignored');
    expect(applied(row('online', { instanceState: 'absent' }), { kind: 'deregistered' }).state).to.equal('online');
  });

  it('does not wait for a registration that refused credentials keep from being seen for 15 minutes', () => {
    const refusal: RunnerEvent = { kind: 'credentials-refused', failure: failure({ kind: 'unauthorized' }) };
    const since = (ms: number | null, instanceState: RunnerRow['instanceState'] = 'absent') =>
      taken(row('draining', { instanceState, refusedSinceMs: ms === null ? null : NOW - ms }), refusal);
    expect(since(15 * MINUTE - 1).patch.state).to.equal(undefined);
    const over = since(15 * MINUTE);
    expect(over.patch.state).to.equal('gone');
    expect(over.entries.at(-1)?.reason).to.include('GitHub refuses our credentials');
    expect(since(15 * MINUTE, 'running').patch.state).to.equal(undefined);
    const usual = taken(row('draining', { instanceState: 'absent' }), { kind: 'deregistered' });
    expect(usual.entries.at(-1)?.reason).to.equal('nothing of it is left');
  });

  it('tells what was said, as details or as a failure', () => {
    const [accepted] = taken(row('creating'), { kind: 'accepted', backend: 'docker', instanceId: 'i-9' }).entries;
    expect(accepted).to.include({ details: 'i-9', failure: null });
    const [failed] = taken(row('creating'), refused).entries;
    expect(failed).to.deep.include({ details: null, failure: failure({ kind: 'invalid' }) });
  });

  it('after a start without stock says when other backends get the job', () => {
    const noStock = failure({ kind: 'no-stock' });
    const [told] = taken(row('starting'), {
      ...{ kind: 'instance', state: 'pending', backend: 'docker', instanceId: 'i-1', failure: noStock },
    }).entries;
    expect(told?.reason).to.equal('no stock: other backends get the job 120 s from now');
  });
});
