/** One job, its only task and its machine: from the queue to the end, with the events that Batch records. */
import { randomUUID } from 'node:crypto';
import { type Container, type ContainerHost, NoSuchImage } from '../containers/host.ts';
import type { LogSource } from '../google/logging.ts';
import type { Kms } from './kms.ts';
import type { Conditions, Timings } from './options.ts';
import { sizeOf, type WantedJob } from './requests.ts';

export type State = 'QUEUED' | 'SCHEDULED' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'DELETION_IN_PROGRESS';

interface Event {
  readonly type: string;
  readonly description: string;
  readonly eventTime: { readonly seconds: number; readonly nanos: number };
  readonly taskExecution?: { readonly exitCode: number };
  readonly taskState?: string;
}

/** What a job needs from its surroundings. */
export interface Surroundings {
  readonly containers: ContainerHost;
  readonly kms: Kms;
  readonly timings: Timings;
  nowMs(): number;
  conditions(): Conditions;
  /** Reserves this many cores, or reports that there are not enough. */
  takeCores(count: number): boolean;
  giveCores(count: number): void;
  addLog(source: LogSource): () => void;
}

const RETRY_MS = 20;

export class Job {
  readonly name: string;
  readonly uid: string;
  readonly createdAtMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly #raw: object;
  readonly #wanted: WantedJob;
  readonly #world: Surroundings;
  readonly #events: Event[] = [];
  readonly #taskEvents: Event[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #state: State = 'QUEUED';
  #container: Container | undefined;
  #cores = 0;
  #forgetLog: () => void = () => {};
  /** Set when the container is ended from outside: the exit code that Batch then reports. */
  #verdict: { readonly exitCode: number; readonly words: string } | undefined;

  constructor(name: string, raw: object, wanted: WantedJob, world: Surroundings) {
    this.name = name;
    this.uid = `j-${randomUUID()}`;
    this.createdAtMs = world.nowMs();
    this.labels = wanted.labels;
    this.#raw = raw;
    this.#wanted = wanted;
    this.#world = world;
    this.#later(world.timings.queuedMs, () => this.#schedule());
  }

  get state(): State {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#container === undefined || this.#container.end !== undefined ? undefined : this.#container.pid;
  }

  get #spot(): boolean {
    return this.#wanted.allocationPolicy.instances[0]?.policy?.provisioningModel === 'SPOT';
  }

  /** As shown by GetJob: the request, including its environment, and the service's own fields. */
  view(): object {
    const { terseEvents, oddStates } = this.#world.conditions();
    const id = this.name.slice(this.name.lastIndexOf('/') + 1);
    const described = terseEvents
      ? this.#events.map((event) => ({ ...event, description: event.description.replace(/Specifically.*/s, '') }))
      : this.#events;
    return {
      ...this.#raw,
      name: this.name,
      uid: this.uid,
      taskGroups: this.#taskGroups(),
      status: {
        state: oddStates.includes(id) ? 99 : this.#state,
        statusEvents: described,
        taskGroups: { group0: { counts: { [this.#taskState()]: '1' } } },
      },
      createTime: timestamp(this.createdAtMs),
      updateTime: timestamp(this.#world.nowMs()),
    };
  }

  /** Empty before a machine exists. */
  tasks(): object[] {
    if (this.#taskEvents.length === 0) return [];
    return [
      {
        name: `${this.name}/taskGroups/group0/tasks/${this.uid}-group0-0`,
        status: { state: this.#taskState(), statusEvents: this.#taskEvents },
      },
    ];
  }

  /** Reclaims the spot machine. False if none is running. */
  reclaim(): boolean {
    if (this.#container === undefined || this.#state !== 'RUNNING') return false;
    this.#verdict = { exitCode: 50_001, words: ' due to Spot VM preemption' };
    void this.#container.stop(this.#world.timings.stopGraceMs);
    return true;
  }

  /** Resolves when the machine is gone. */
  async delete(): Promise<void> {
    const before = this.#state;
    this.#state = 'DELETION_IN_PROGRESS';
    this.#note(`Job state is set from ${before} to DELETION_IN_PROGRESS for job ${this.name}.`);
    this.#clearTimers();
    await this.#container?.stop(this.#world.timings.stopGraceMs);
    await new Promise<void>((resolve) => {
      const wait = (): void => {
        if (this.#world.conditions().stallDeletion) this.#later(RETRY_MS, wait);
        else resolve();
      };
      this.#later(this.#world.timings.deletingMs, wait);
    });
    this.#release();
    this.#forgetLog();
  }

  /** At the end of the simulator: stops everything. */
  close(): void {
    this.#clearTimers();
  }

  #taskGroups(): object[] {
    const groups = Object.entries(this.#raw).find(([key]) => key === 'taskGroups')?.[1];
    const all: unknown[] = Array.isArray(groups) ? groups : [];
    return all.map((group) => ({
      ...(typeof group === 'object' ? group : {}),
      name: `${this.name}/taskGroups/group0`,
    }));
  }

  #schedule(): void {
    const { stall, failScheduling } = this.#world.conditions();
    if (stall === 'QUEUED') {
      this.#later(RETRY_MS, () => this.#schedule());
      return;
    }
    this.#become('SCHEDULED');
    if (failScheduling !== undefined) {
      this.#note(`Job gets non-retryable information ${failScheduling}`, 'OPERATIONAL_INFO');
      this.#become('FAILED');
      return;
    }
    this.#later(this.#world.timings.scheduledMs, () => this.#findMachine());
  }

  #findMachine(): void {
    const again = (): void => this.#later(RETRY_MS, () => this.#findMachine());
    const { stall, noStock } = this.#world.conditions();
    if (stall === 'SCHEDULED') {
      again();
      return;
    }
    const type = this.#wanted.allocationPolicy.instances[0]?.policy?.machineType ?? 'e2-standard-2';
    if (noStock === 'all' || (noStock === 'spot' && this.#spot)) {
      this.#noteOnce(
        `VM in Managed Instance Group meets error: Batch Error: code - CODE_GCE_ZONE_RESOURCE_POOL_EXHAUSTED, description - error count is 4, latest message example: Instance '${this.uid}-group0-0' creation failed: The zone does not have enough resources available to fulfill the request.  '(resource type:compute)'.`,
      );
      again();
      return;
    }
    const cores = sizeOf(type)?.cpu ?? 2;
    if (!this.#world.takeCores(cores)) {
      this.#noteOnce(
        `VM in Managed Instance Group meets error: Batch Error: code - CODE_GCE_QUOTA_EXCEEDED, description - error count is 4, latest message example: Instance '${this.uid}-group0-0' creation failed: Quota 'CPUS' exceeded.  Limit: ${this.#world.conditions().cpuQuota}.0 in region.`,
      );
      again();
      return;
    }
    this.#cores = cores;
    void this.#run();
  }

  async #run(): Promise<void> {
    this.#noteTask('Task state is updated from PENDING to ASSIGNED', 'ASSIGNED');
    this.#noteTask('Task state is updated from ASSIGNED to RUNNING', 'RUNNING');
    this.#become('RUNNING');
    const spec = this.#wanted.taskGroups[0]?.taskSpec;
    const seconds = spec?.maxRunDuration?.seconds ?? 0;
    if (seconds > 0) {
      this.#later(seconds * 1000, () => {
        this.#verdict = { exitCode: 50_005, words: ' due to task runs over the maximum runtime' };
        void this.#container?.stop(this.#world.timings.stopGraceMs);
      });
    }
    let secrets: Readonly<Record<string, string>>;
    try {
      const sealed = spec?.environment.encryptedVariables;
      secrets = sealed === undefined ? {} : this.#world.kms.variables(sealed.keyName, sealed.cipherText);
    } catch {
      this.#fail(50_000);
      return;
    }
    for (const runnable of spec?.runnables ?? []) {
      // Scripts would change the machine itself, and this one is not discarded afterwards.
      if (runnable.container === undefined) continue;
      const { imageUri, entrypoint, commands } = runnable.container;
      const exitCode = await this.#runContainer({
        image: imageUri,
        ...(entrypoint === '' ? {} : { command: [entrypoint] }),
        args: commands,
        environment: {
          ...spec?.environment.variables,
          ...secrets,
          ...runnable.environment.variables,
          BATCH_TASK_INDEX: '0',
          BATCH_TASK_COUNT: '1',
          BATCH_JOB_UID: this.uid,
        },
      });
      if (exitCode !== 0) {
        this.#fail(exitCode);
        return;
      }
    }
    this.#end();
    this.#noteTask('Task state is updated from RUNNING to SUCCEEDED', 'SUCCEEDED', 0);
    this.#become('SUCCEEDED');
  }

  async #runContainer(spec: Parameters<ContainerHost['start']>[0]): Promise<number> {
    let container: Container;
    try {
      container = await this.#world.containers.start(spec);
    } catch (error) {
      // Like `docker run`.
      if (error instanceof NoSuchImage) return 125;
      throw error;
    }
    this.#container = container;
    if (this.#state === 'DELETION_IN_PROGRESS') void container.stop(0);
    if (this.#wanted.logsPolicy.destination === 'CLOUD_LOGGING')
      this.#forgetLog = this.#world.addLog(this.#log(container));
    const end = await container.ended;
    if (this.#verdict !== undefined) return this.#verdict.exitCode;
    return 'exitCode' in end ? end.exitCode : 128 + (signals[end.signal] ?? 0);
  }

  #log(container: Container): LogSource {
    const [, project = '', , location = ''] = this.name.split('/');
    return {
      logName: `projects/${project}/logs/batch_task_logs`,
      resource: {
        type: 'batch.googleapis.com/Job',
        labels: { resource_container: project, location, job_id: this.uid },
      },
      labels: { ...this.labels, job_uid: this.uid, task_group_name: `${this.name}/taskGroups/group0` },
      startedAtMs: this.#world.nowMs(),
      output: () => container.output(),
    };
  }

  #fail(exitCode: number): void {
    this.#end();
    const words = `Task state is updated from RUNNING to FAILED on zones/${this.#zone()}/instances/1234567890${this.#verdict?.words ?? ''} with exit code ${exitCode}.`;
    this.#noteTask(words, 'FAILED', exitCode);
    this.#become(
      'FAILED',
      `Job failed due to task failure. Specifically, task with index 0 failed due to the following task event: "${words}"`,
    );
  }

  #zone(): string {
    const location = this.#wanted.allocationPolicy.location.allowedLocations[0] ?? '';
    const [, kind, place] = /^(regions|zones)\/(.+)$/.exec(location) ?? [];
    return kind === 'zones' ? `${place}` : `${place ?? this.name.split('/')[3]}-a`;
  }

  #end(): void {
    // The container ended because the job is being deleted: the deletion continues, and releases the resources.
    if (this.#state === 'DELETION_IN_PROGRESS') return;
    this.#clearTimers();
    this.#release();
  }

  #release(): void {
    this.#world.giveCores(this.#cores);
    this.#cores = 0;
  }

  #become(state: State, more = ''): void {
    if (this.#state === 'DELETION_IN_PROGRESS') return;
    this.#note(`Job state is set from ${this.#state} to ${state} for job ${this.name}.${more}`);
    this.#state = state;
  }

  #taskState(): string {
    return this.#taskEvents.at(-1)?.taskState ?? 'PENDING';
  }

  #note(description: string, type = 'STATUS_CHANGED'): void {
    this.#events.push({ type, description, eventTime: timestamp(this.#world.nowMs()) });
  }

  #noteOnce(description: string): void {
    if (!this.#events.some((event) => event.description === description)) this.#note(description, 'OPERATIONAL_INFO');
  }

  #noteTask(description: string, taskState: string, exitCode?: number): void {
    this.#taskEvents.push({
      type: 'STATUS_CHANGED',
      description,
      eventTime: timestamp(this.#world.nowMs()),
      taskState,
      ...(exitCode === undefined ? {} : { taskExecution: { exitCode } }),
    });
  }

  #later(ms: number, action: () => void): void {
    // Capped: a Node timer holds at most 24 days, and would fire at once beyond.
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        action();
      },
      Math.min(ms, 2 ** 31 - 1),
    );
    this.#timers.add(timer);
  }

  #clearTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}

const signals: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
};

function timestamp(ms: number): { seconds: number; nanos: number } {
  return { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1e6 };
}
