/**
 * The runners' call-backs, independent of the transport: `POST /runners/<name>/<event>` with the token of that runner.
 * What a container says is a hint: it hastens a look, and explains. The one exception is the question before a job's
 * first step, whose answer the container obeys. docs/runner-image.md describes the events and fields.
 */
import { LRUCache } from 'lru-cache';
import { TokenBucket } from '../../time/token-bucket.ts';
import { SECOND } from '../../time/units.ts';
import type { RunOrigin } from '../jobs/facts.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import type { JobRow, Ledger, RunnerRow } from '../ledger/ledger.ts';
import { isTokenOf } from '../lifecycle/callback-token.ts';
import type { Engine } from '../lifecycle/engine.ts';
import { isAnswered } from '../lifecycle/refused-in-runner.ts';
import { actorsOf } from '../lifecycle/subject.ts';
import type { Log } from '../log.ts';
import type { Registration } from '../model/registration.ts';
import { type Call, type CallEvent, isCallEvent, MOST_FORM_BYTES, readCall, usageIn } from './form.ts';
import { type Asked, mayRun } from './question.ts';
import { reportOf } from './report.ts';
import type { RunReads } from './run-reads.ts';

/** Plain text. `verified`: it came with the token of a living runner. */
export interface CallAnswer {
  readonly status: number;
  readonly text: string;
  readonly verified: boolean;
}

/** One call whose headers were accepted. */
export interface CallReception {
  /** An answer here is final: the rest of the body is ignored. */
  take(chunk: Buffer): CallAnswer | undefined;
  /** Never rejects. */
  finish(): Promise<CallAnswer>;
  /** The sender disconnected. */
  abandon(): void;
  /** The sender of a whole call disconnected before it was answered. */
  left(): void;
  /** Its connection was needed, or it was too slow. */
  cutOff(why: 'connections' | 'slow'): CallAnswer;
}

export interface RunnerCalls {
  /** Calls that wait for something are answered now, and from here on none waits. */
  close(): void;
  /** `authorization`: the header, as it came. */
  receive(runner: string, event: string, authorization: string | undefined): CallReception | CallAnswer;
}

export interface RunnerCallsOptions {
  readonly ledger: Pick<Ledger, 'runner' | 'job' | 'jobsOfRun' | 'laneCounts' | 'timeline'>;
  readonly engine: Pick<Engine, 'answered' | 'heard' | 'jitFor'>;
  readonly registration: (name: string) => Registration | undefined;
  /** Whether its idle runners may still take jobs: not what was taken back from a tenant. Absent: yes. */
  readonly mayRunMore?: (registration: string) => boolean;
  readonly now: () => number;
  /** A container says which version of the runner it has. Must not throw. */
  readonly sawVersion?: (
    registration: string,
    scope: string,
    seen: { readonly image: string | null; readonly version: string },
  ) => void;
  /** What GitHub says of a run, where neither its event nor the ledger tells. */
  readonly runs?: Pick<RunReads, 'isFork' | 'origin'>;
  /** A call came with the token of this living runner. Must not throw. */
  readonly verified?: (runner: string, token: string) => void;
  readonly log: Pick<Log, 'error' | 'warn'>;
  readonly metrics: CallMetrics;
}

/** Must not throw. */
export interface CallMetrics {
  /** Once for each call that was read to its end. */
  runnerCall(event: CallEvent | 'other', outcome: CallOutcome): void;
}

export type CallOutcome =
  | 'heard'
  | 'repeated'
  | 'allowed'
  | 'denied'
  | 'undecided'
  | 'handed-over'
  | 'not-yet'
  | 'never'
  | 'unknown'
  | 'malformed'
  | 'over-rate'
  | 'failed';

/** A form comes in one or two; each wakes the process, whatever its length. */
const MOST_PIECES = 64;
/** Runners whose calls are remembered, so that each event counts once. */
const REMEMBERED = 10_000;
/** Of one runner. A container makes five calls in its life, and asks its question a few times a minute at most. */
const CALL_STEP_MS = SECOND;
const CALL_BURST_MS = 30 * SECOND;
const TOKEN = /^Bearer ([a-z2-7]{32})$/;

/** The same for a wrong token, a runner that is gone, and one that never was. */
const unknownRunner: CallAnswer = {
  status: 404,
  text: 'no runner of this name has this token: it may be gone\n',
  verified: false,
};
const tooLong: CallAnswer = { status: 413, text: `a call has at most ${MOST_FORM_BYTES} bytes\n`, verified: false };
const overRate: CallAnswer = {
  status: 429,
  text: 'these are too many calls of one runner: ask again later\n',
  verified: true,
};
const noContent: CallAnswer = { status: 204, text: '', verified: true };

export function createRunnerCalls(options: RunnerCallsOptions): RunnerCalls {
  const memory: Memory = new LRUCache({ max: REMEMBERED });
  const closing = new AbortController();
  return {
    close: () => closing.abort(),
    receive(runner, event, authorization) {
      const token = TOKEN.exec(authorization ?? '')?.[1];
      if (token === undefined || !isCallEvent(event)) {
        options.metrics.runnerCall(isCallEvent(event) ? event : 'other', 'unknown');
        return unknownRunner;
      }
      return new Receiving(options, memory, { runner, event, token, closing: closing.signal });
    },
  };
}

/** By runner: the events that are in its timeline, those whose failure is in the log, and how often it calls. */
interface Remembered {
  readonly heard: Set<CallEvent>;
  readonly failed: Set<CallEvent>;
  readonly rate: TokenBucket;
  isDenialLogged: boolean;
  isUndecidedTold: boolean;
}
type Memory = LRUCache<string, Remembered>;

interface Arriving {
  readonly runner: string;
  readonly event: CallEvent;
  readonly token: string;
  readonly closing: AbortSignal;
}

class Receiving implements CallReception {
  readonly #options: RunnerCallsOptions;
  readonly #memory: Memory;
  readonly #call: Arriving;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #pieces = 0;
  #isVerified = false;
  readonly #left = new AbortController();

  constructor(options: RunnerCallsOptions, memory: Memory, call: Arriving) {
    this.#options = options;
    this.#memory = memory;
    this.#call = call;
  }

  take(chunk: Buffer): CallAnswer | undefined {
    this.#bytes += chunk.length;
    this.#pieces += 1;
    if (this.#bytes > MOST_FORM_BYTES || this.#pieces > MOST_PIECES) return tooLong;
    this.#chunks.push(chunk);
    return undefined;
  }

  abandon(): void {}

  left(): void {
    this.#left.abort();
  }

  cutOff(why: 'connections' | 'slow'): CallAnswer {
    return { status: why === 'slow' ? 408 : 503, text: 'this call was cut off: ask again\n', verified: false };
  }

  async finish(): Promise<CallAnswer> {
    const { metrics } = this.#options;
    const { event } = this.#call;
    try {
      const { outcome, answer } = await this.#answer();
      metrics.runnerCall(event, outcome);
      return answer;
    } catch (error) {
      // A ledger that cannot be read or written, or a defect: it costs this call alone, and containers ask again.
      this.#recordFailure(error);
      metrics.runnerCall(event, 'failed');
      return { status: 503, text: 'this cannot be answered now: ask again\n', verified: this.#isVerified };
    }
  }

  async #answer(): Promise<{ readonly outcome: CallOutcome; readonly answer: CallAnswer }> {
    const { ledger } = this.#options;
    const { event, runner, token } = this.#call;
    const row = await ledger.runner(runner);
    if (row === undefined || row.state === 'gone' || !isTokenOf(row.callbackHash, token)) {
      return { outcome: 'unknown', answer: unknownRunner };
    }
    this.#isVerified = true;
    this.#options.verified?.(runner, token);
    if (!this.#takeTurn()) return { outcome: 'over-rate', answer: overRate };
    const call = readCall(event, Buffer.concat(this.#chunks));
    if (call === undefined) {
      return { outcome: 'malformed', answer: { status: 400, text: 'fields are missing\n', verified: true } };
    }
    if (call.event === 'job-started') return await this.#judge(row, call);
    if (call.event === 'jit') return await this.#wait(runner);
    const outcome = await this.#hearOnce(row, call);
    if (call.event !== 'job-completed') return { outcome, answer: noContent };
    return { outcome, answer: { status: 200, text: await this.#report(row, call), verified: true } };
  }

  /** Until there is a JIT configuration for it, or half a minute is over. */
  async #wait(runner: string): Promise<{ readonly outcome: CallOutcome; readonly answer: CallAnswer }> {
    const nobodyWaits = AbortSignal.any([this.#left.signal, this.#call.closing]);
    const answer = await this.#options.engine.jitFor(runner, nobodyWaits);
    switch (answer.kind) {
      case 'jit':
        return { outcome: 'handed-over', answer: { status: 200, text: answer.encodedJitConfig, verified: true } };
      case 'not-yet':
        return { outcome: 'not-yet', answer: noContent };
      case 'never':
        return { outcome: 'never', answer: { status: 410, text: 'this runner gets no job\n', verified: true } };
    }
  }

  /** Each call reads the ledger, and the code of a job can make any number of them. */
  #takeTurn(): boolean {
    const { rate } = this.#remembered();
    const nowMs = this.#options.now();
    if (rate.fitsAt(nowMs) > nowMs) return false;
    rate.spend(nowMs);
    return true;
  }

  /** What is written for a runner has a bound, however often its container calls. What could not be written counts again. */
  async #hearOnce(row: RunnerRow, call: Exclude<Call, { readonly event: 'jit' }>): Promise<'heard' | 'repeated'> {
    const { heard } = this.#remembered();
    if (heard.has(call.event)) return 'repeated';
    // Before it is written: of two that come at once, one counts.
    heard.add(call.event);
    try {
      await this.#hear(row, call);
    } catch (error) {
      heard.delete(call.event);
      throw error;
    }
    return 'heard';
  }

  /** Once for each event of a runner; one that has not shown its token could fill the log. */
  #recordFailure(error: unknown): void {
    const { event, runner } = this.#call;
    if (!this.#isVerified) return;
    const { failed } = this.#remembered();
    if (!failed.has(event)) this.#options.log.error('runner-call-failed', { runner, call: event, error });
    failed.add(event);
  }

  #remembered(): Remembered {
    const { runner } = this.#call;
    const remembered = this.#memory.get(runner) ?? {
      heard: new Set(),
      failed: new Set(),
      rate: new TokenBucket(CALL_STEP_MS, CALL_BURST_MS),
      isDenialLogged: false,
      isUndecidedTold: false,
    };
    this.#memory.set(runner, remembered);
    return remembered;
  }

  async #hear(
    { name, registration, scope, laneKey }: RunnerRow,
    call: Exclude<Call, { readonly event: 'jit' }>,
  ): Promise<void> {
    const { engine, sawVersion } = this.#options;
    switch (call.event) {
      case 'booted':
        if (call.version !== null && sawVersion !== undefined) {
          const image = (await this.#laneOf(laneKey))?.wish.image ?? null;
          sawVersion(registration, scope, { image, version: call.version });
        }
        return await engine.heard(
          name,
          call.version === null ? 'its container has started' : `its container has started, runner ${call.version}`,
        );
      case 'listening':
        return await engine.heard(name, 'its listener is connected');
      case 'job-started':
        return await engine.answered(name, 'allowed');
      case 'job-completed':
        return await engine.heard(
          name,
          call.result === null ? 'its job has ended' : `its job has ended: ${call.result}`,
          usageIn(call),
        );
      case 'exiting':
        return await engine.heard(name, call.code === null ? 'it exits' : `it exits with ${call.code}`);
    }
  }

  async #judge(
    row: RunnerRow,
    call: Extract<Call, { readonly event: 'job-started' }>,
  ): Promise<{ readonly outcome: CallOutcome; readonly answer: CallAnswer }> {
    const registration = this.#options.registration(row.registration);
    // Removed, or set aside: what it allowed is not known any more.
    if (registration === undefined)
      return await this.#postpone(row, `registration ${row.registration} is not in force`);
    if (this.#options.mayRunMore?.(row.registration) === false) {
      const reason = `registration ${row.registration} is no longer in force: its runners take no more jobs`;
      return await this.#deny(row, call, reason);
    }
    const [owner = '', repository = ''] = call.repository.split('/');
    const { attempt, ...told } = await this.#toldOf(row, { owner, repository, run: call.run });
    const run = { host: row.host, owner, repository, run: call.run };
    let asked: Asked = { owner, repository, ...told, isFork: call.fork ?? undefined };
    let verdict = mayRun(registration, row.backend, asked);
    if (verdict.may === 'unknown' && verdict.needs === 'origin') {
      asked = { ...asked, ...originWords(await this.#options.runs?.origin(row.registration, run, attempt)) };
      verdict = mayRun(registration, row.backend, asked);
    }
    if (verdict.may === 'unknown' && verdict.needs === 'fork') {
      asked = { ...asked, isFork: await this.#options.runs?.isFork(row.registration, run) };
      verdict = mayRun(registration, row.backend, asked);
    }
    if (verdict.may === 'unknown') return await this.#postpone(row, verdict.reason);
    // The job waits for the answer, and not for what the timeline says of the question.
    if (verdict.may === 'yes') {
      await this.#hearOnce(row, call).catch((error: unknown) => this.#recordFailure(error));
      return { outcome: 'allowed', answer: { status: 200, text: 'shr: this job may run here\n', verified: true } };
    }
    return await this.#deny(row, call, verdict.reason);
  }

  /** Once for each runner, unless its job has begun: from then on its code may ask anything. */
  async #postpone(
    row: RunnerRow,
    reason: string,
  ): Promise<{ readonly outcome: CallOutcome; readonly answer: CallAnswer }> {
    const remembered = this.#remembered();
    if (!remembered.isUndecidedTold && !remembered.heard.has('job-started')) {
      remembered.isUndecidedTold = true;
      await this.#tellAnswer(row, 'undecided', reason).catch((error: unknown) => this.#recordFailure(error));
    }
    return undecided(reason);
  }

  /** What an earlier process told counts, too. */
  async #tellAnswer({ name }: RunnerRow, answer: 'denied' | 'undecided', reason: string): Promise<void> {
    const { engine, ledger } = this.#options;
    if (!isAnswered(await ledger.timeline(name))) await engine.answered(name, answer, reason);
  }

  async #deny(
    row: RunnerRow,
    call: Extract<Call, { readonly event: 'job-started' }>,
    reason: string,
  ): Promise<{ readonly outcome: CallOutcome; readonly answer: CallAnswer }> {
    const fields = { runner: row.name, registration: row.registration, repository: call.repository, run: call.run };
    const remembered = this.#remembered();
    const { heard } = remembered;
    if (!heard.has('job-started')) {
      heard.add('job-started');
      await this.#tellAnswer(row, 'denied', reason).catch((error: unknown) => {
        heard.delete('job-started');
        this.#recordFailure(error);
      });
    }
    if (!remembered.isDenialLogged) this.#options.log.warn('job-denied-in-runner', { ...fields, reason });
    remembered.isDenialLogged = true;
    return { outcome: 'denied', answer: { status: 403, text: `${reason}\n`, verified: true } };
  }

  /** As the facts about the run, or about the runner's job, say; they come from GitHub, unlike what the call says. */
  async #toldOf(row: RunnerRow, run: { readonly owner: string; readonly repository: string; readonly run: number }) {
    const { ledger } = this.#options;
    const own = row.jobKey === null ? undefined : await ledger.job(row.jobKey);
    const within = { host: row.host, owner: run.owner, repository: run.repository };
    const ofRun = await ledger.jobsOfRun({ runId: run.run, within }, () => {});
    const jobs = [...(own === undefined ? [] : [own]), ...ofRun];
    const same = (left: string, right: string) => left.toLowerCase() === right.toLowerCase();
    const ofIt = jobs.filter(
      (job) => job.host === row.host && same(job.owner, run.owner) && same(job.repository, run.repository),
    );
    const told = ofIt.filter(({ visibility }) => visibility !== null);
    // One that calls it public is enough.
    const best =
      told.find(({ visibility }) => visibility === 'public') ??
      told.find(({ visibilityProven }) => visibilityProven) ??
      told[0];
    return {
      visibility: best?.visibility ?? undefined,
      isVisibilityUnproven: best?.visibilityProven !== true,
      // All jobs of a run are of one workflow and branch; one that says another may be forged, and then neither counts.
      workflow: agreed(ofIt.map(({ workflowName }) => workflowName)),
      branch: agreed(ofIt.map(({ headBranch }) => headBranch)),
      ...originOfLatest(ofRun),
    };
  }

  async #report(row: RunnerRow, used: Extract<Call, { readonly event: 'job-completed' }>): Promise<string> {
    const { ledger, now } = this.#options;
    const job = row.jobKey === null ? undefined : await ledger.job(row.jobKey);
    const lane = await this.#laneOf(row.laneKey);
    const registration = this.#options.registration(row.registration);
    const price = registration?.backends.find(({ name }) => name === row.backend)?.price;
    const lines = reportOf({ runner: row, job, wish: lane?.wish, used, price, nowMs: now() });
    return `${lines.join('\n')}\n`;
  }

  async #laneOf(key: string): Promise<LaneSpec | undefined> {
    const [counts] = await this.#options.ledger.laneCounts([key], () => {});
    return counts?.lane;
  }
}

/** Of the latest attempt that is known of; GitHub's own word. */
function originOfLatest(jobs: readonly JobRow[]) {
  const attempt = Math.max(1, ...jobs.map(({ runAttempt }) => runAttempt));
  const told = jobs.find(({ runAttempt, runEvent }) => runAttempt === attempt && runEvent !== null);
  return { attempt, event: told?.runEvent ?? null, actors: told === undefined ? null : actorsOf(told) };
}

function originWords(origin: RunOrigin | undefined): Pick<Asked, 'event' | 'actors'> {
  if (origin === undefined) return { event: null, actors: null };
  return { event: origin.event, actors: [origin.actor, origin.triggeringActor] };
}

/** Null where none says, or two contradict each other. */
function agreed(words: readonly (string | null)[]): string | null {
  const said = new Set(words.filter((word) => word !== null));
  const [only] = said;
  return said.size === 1 && only !== undefined ? only : null;
}

function undecided(reason: string): { readonly outcome: CallOutcome; readonly answer: CallAnswer } {
  return { outcome: 'undecided', answer: { status: 503, text: `${reason}\n`, verified: true } };
}
