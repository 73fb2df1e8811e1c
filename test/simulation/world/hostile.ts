/**
 * A tenant with a valid webhook secret of its own, which signs what it likes: about a repository in an organization of its
 * own, and about one that it was granted within another tenant's organization. It knows the names and ids of everybody's
 * runners and jobs, and has all the time in the world. It can lie about those two repositories, and about nothing else.
 */

import type { JobFact, JobStatus } from '../../../dispatcher/jobs/facts.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Dice } from '../faults.ts';
import type { Stream } from '../random.ts';
import type { History } from '../trace.ts';
import type { GithubWorld } from './github.ts';
import type { Receiver } from './webhooks.ts';

export const HOSTILE = 'hostile';
/** In each organization of the others there is a repository of this name that is the hostile tenant's. */
export const ITS_REPOSITORY = 'theirs';
const ITS_ORGANIZATION = 'evil';

export interface HostileOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly history: History;
  readonly receive: Receiver;
  readonly worlds: Iterable<GithubWorld>;
  /** Owners in which it has a repository, by host, and the labels that others listen to. */
  readonly neighbours: readonly { readonly host: string; readonly owner: string; readonly label: string }[];
}

const STATUSES: readonly JobStatus[] = ['queued', 'in_progress', 'in_progress', 'completed', 'completed'];
const MAX_AT_ONCE = 6;

export class Hostile {
  readonly #options: HostileOptions;
  readonly #luck: Stream;
  #sent = 0;

  constructor(options: HostileOptions) {
    this.#options = options;
    this.#luck = options.dice.stream('hostile');
    this.#rest();
  }

  #rest(): void {
    const { clock, dice } = this.#options;
    clock.after(this.#luck.magnitude(500, 120_000), () => {
      if (!dice.active) return;
      if (dice.hits('forged')) {
        const count = this.#luck.whole(1, MAX_AT_ONCE);
        for (let index = 0; index < count; index += 1) this.#lie();
      }
      this.#rest();
    });
  }

  #lie(): void {
    const { clock, history, neighbours, receive, worlds } = this.#options;
    const world = this.#luck.pick([...worlds]);
    const runners = world.ourRunnerIds;
    const runner = runners.length > 0 && this.#luck.chance(0.9) ? this.#luck.pick(runners) : undefined;
    const near = neighbours.filter(({ host }) => host === world.host);
    const neighbour = near.length > 0 && this.#luck.chance(0.6) ? this.#luck.pick(near) : undefined;
    const ids = [...world.jobs.keys()];
    const jobId = Math.max(1, (ids.length > 0 ? this.#luck.pick(ids) : 1) + this.#luck.whole(-2, 3));
    const status = this.#luck.pick(STATUSES);
    const named = status === 'queued' ? undefined : runner;
    const now = clock.now();
    this.#sent += 1;
    const fact: JobFact = {
      host: world.host,
      jobId,
      runId: this.#luck.whole(90, 130),
      runAttempt: 1,
      owner: neighbour?.owner ?? ITS_ORGANIZATION,
      repository: neighbour === undefined ? 'x' : ITS_REPOSITORY,
      repositoryId: this.#luck.whole(1, 5),
      visibility: this.#luck.pick(['private', 'public']),
      jobName: 'made up',
      workflowName: 'ci',
      headBranch: 'main',
      headSha: 'e'.repeat(40),
      htmlUrl: null,
      labels: neighbour !== undefined && this.#luck.chance(0.7) ? [neighbour.label] : ['evil-runner'],
      status,
      conclusion: status === 'completed' ? this.#luck.pick(['success', 'cancelled']) : null,
      runnerId: named === undefined ? null : this.#luck.chance(0.7) ? named.id : this.#luck.whole(1, 2000),
      runnerName: named?.name ?? null,
      createdAtMs: now,
      startedAtMs: status === 'queued' ? null : now,
      completedAtMs: status === 'completed' ? now : null,
      source: 'webhook',
      toldBy: HOSTILE,
      observedAtMs: now,
    };
    const guid = `forged-${this.#sent}`;
    const subjects = named === undefined ? [] : [named.name];
    history.record('webhook', subjects, `${guid} FORGED ${status} of ${fact.owner}/${fact.repository} ${jobId}`);
    receive(
      { endpoint: `registration/${HOSTILE}`, guid, event: 'workflow_job', action: status, receivedAtMs: now },
      fact,
    );
  }
}
