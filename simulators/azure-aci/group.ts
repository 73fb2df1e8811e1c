/** One container group: its operations, states, events and containers. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Container, type ContainerEnd, type ContainerHost, NoSuchImage } from '../containers/host.ts';
import type { Decoded } from './body.ts';

export interface Timings {
  /** Time until a machine is found; then `pullMs` for the image. Meanwhile the service accepts no other operation. */
  readonly pendingMs: number;
  readonly pullMs: number;
  /** Time between the end of the containers and the disappearance, after a deletion. */
  readonly deleteMs: number;
  /** Grace period between SIGTERM and SIGKILL. */
  readonly graceMs: number;
}

export interface GroupEvent {
  readonly name: string;
  readonly message: string;
  readonly type: 'Normal' | 'Warning';
  readonly count: number;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
}

export interface State {
  readonly state: string;
  readonly startTime?: string;
  readonly exitCode?: number;
  readonly finishTime?: string;
  readonly detailStatus?: string;
}

export type Failure = { readonly how: 'no-stock' | 'quota' | 'image-pull' | 'timeout'; readonly message: string };

const MAX_EVENTS = 50;

export class Group {
  readonly name: string;
  decoded: Decoded;
  provisioningState = 'Pending';
  /** State of the group as a whole: Pending, Running, Succeeded, Failed. */
  state = 'Pending';
  current: State = { state: 'Waiting', detailStatus: '' };
  previous: State | undefined;
  restartCount = 0;
  readonly groupEvents: GroupEvent[] = [];
  readonly containerEvents: GroupEvent[] = [];
  /** Undocumented states, for tests. */
  confusion: string | undefined;
  #container: Container | undefined;
  #output = '';
  #outOfMemory = false;
  #isDeleted = false;
  readonly #deleted = new AbortController();
  #isEvicted = false;
  readonly #host: ContainerHost;
  readonly #timings: Timings;
  /** The local folder of a share. */
  readonly #share: (account: string, share: string) => Promise<string>;

  constructor(
    name: string,
    decoded: Decoded,
    host: ContainerHost,
    timings: Timings,
    share: (account: string, share: string) => Promise<string>,
  ) {
    this.name = name;
    this.decoded = decoded;
    this.#host = host;
    this.#timings = timings;
    this.#share = share;
  }

  get pid(): number | undefined {
    return this.#container?.end === undefined ? this.#container?.pid : undefined;
  }

  get isSettled(): boolean {
    return ['Succeeded', 'Failed'].includes(this.provisioningState) || this.current.detailStatus === 'ImagePullBackOff';
  }

  get isEnded(): boolean {
    return this.state === 'Succeeded' || this.state === 'Failed';
  }

  /** 4 MB while it runs, 16 KB or 1000 lines once it has ended. Undefined before it starts. */
  get log(): string | undefined {
    if (this.#container === undefined) return undefined;
    const whole = this.#output + this.#container.output();
    if (this.#container.end === undefined) return whole.slice(-4 * 1024 * 1024);
    const lines = Buffer.from(whole)
      .subarray(-16 * 1024)
      .toString()
      .split('\n');
    return lines.slice(-1001).join('\n');
  }

  /** Resolves when it has ended, for whatever reason. */
  async run(failure: Failure | undefined): Promise<void> {
    await this.#wait(this.#timings.pendingMs);
    if (this.#isDeleted) return;
    if (failure !== undefined && failure.how !== 'image-pull') {
      const name = { 'no-stock': 'InsufficientCapacity.', quota: 'QuotaReached', timeout: 'DeploymentTimeout' }[
        failure.how
      ];
      this.#event(this.groupEvents, 'Warning', name, failure.message);
      this.provisioningState = 'Failed';
      return;
    }
    this.provisioningState = 'Creating';
    const image = this.decoded.properties.containers[0]?.properties.image ?? '';
    this.#event(this.containerEvents, 'Normal', 'Pulling', `pulling image "${image}"`);
    await this.#wait(this.#timings.pullMs);
    if (this.#isDeleted) return;
    if (failure !== undefined) {
      this.#failPull(image, failure.message);
      return;
    }
    await this.#start(image);
  }

  /** The service moves an evicted container group and restarts it. */
  async evict(): Promise<void> {
    if (this.#container === undefined || this.isEnded) return;
    this.#isEvicted = true;
    this.#event(this.containerEvents, 'Normal', 'Killing', 'Killing container with id (platform initiated)');
    await this.#container.stop(0);
    this.previous = { ...this.current, state: 'Terminated', exitCode: 7147, detailStatus: 'Error' };
    this.restartCount += 1;
    this.#isEvicted = false;
    await this.#start(this.decoded.properties.containers[0]?.properties.image ?? '');
  }

  async killForMemory(): Promise<void> {
    if (this.#container === undefined || this.isEnded) return;
    this.#outOfMemory = true;
    await this.#container.stop(0);
  }

  /** An update with a different body restarts the containers in place. */
  async update(decoded: Decoded): Promise<void> {
    this.decoded = decoded;
    this.provisioningState = 'Updating';
    this.restartCount += 1;
    this.#isEvicted = true;
    await this.#container?.stop(0);
    this.#isEvicted = false;
    await this.#start(decoded.properties.containers[0]?.properties.image ?? '');
  }

  /** Resolves when everything has been removed. */
  async delete(): Promise<void> {
    this.#isDeleted = true;
    this.#deleted.abort();
    this.provisioningState = 'Deleting';
    await this.#container?.stop(this.#timings.graceMs);
    await delay(this.#timings.deleteMs);
  }

  /** Waits until then, or until the deletion. */
  async #wait(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#deleted.signal }).catch(() => undefined);
  }

  async #start(image: string): Promise<void> {
    const [first] = this.decoded.properties.containers;
    if (first === undefined) throw new Error('a container group has a container');
    let { command } = first.properties;
    const files: Record<string, string> = {};
    for (const mount of first.properties.volumeMounts) {
      const volume = this.decoded.properties.volumes?.find(({ name }) => name === mount.name);
      for (const [name, text] of Object.entries(volume?.secret ?? {})) {
        files[`${mount.mountPath}/${name}`] = Buffer.from(text, 'base64').toString();
      }
      const file = volume?.azureFile;
      if (file === undefined) continue;
      const here = await this.#share(file.storageAccountName, file.shareName);
      command = command.map((word) => word.replaceAll(mount.mountPath, here));
    }
    try {
      this.#output += this.#container?.output() ?? '';
      this.#container = await this.#host.start({
        image,
        ...(command.length === 0 ? {} : { command }),
        files,
        environment: Object.fromEntries(
          first.properties.environmentVariables.map(({ name, value, secureValue }) => [
            name,
            secureValue ?? value ?? '',
          ]),
        ),
      });
    } catch (error) {
      if (!(error instanceof NoSuchImage)) throw error;
      this.#failPull(image, error.message);
      return;
    }
    if (this.#isDeleted) {
      await this.#container.stop(0);
      return;
    }
    this.#event(this.containerEvents, 'Normal', 'Pulled', `Successfully pulled image "${image}"`);
    this.#event(this.containerEvents, 'Normal', 'Started', 'Started container');
    this.provisioningState = 'Succeeded';
    this.state = 'Running';
    const startTime = new Date().toISOString();
    this.current = { state: 'Running', startTime, detailStatus: '' };
    const end = await this.#container.ended;
    if (!this.#isDeleted && !this.#isEvicted) this.#ended(end, startTime);
  }

  #ended(end: ContainerEnd, startTime: string): void {
    const exitCode = this.#outOfMemory || !('exitCode' in end) ? 137 : end.exitCode;
    this.current = {
      state: 'Terminated',
      startTime,
      finishTime: new Date().toISOString(),
      exitCode,
      detailStatus: this.#outOfMemory ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error',
    };
    this.state = exitCode === 0 ? 'Succeeded' : 'Failed';
  }

  #failPull(image: string, why: string): void {
    this.current = { state: 'Waiting', detailStatus: 'ImagePullBackOff' };
    this.#event(this.containerEvents, 'Warning', 'Failed', `Failed to pull image "${image}": ${why}`);
    this.#event(this.containerEvents, 'Normal', 'BackOff', `Back-off pulling image "${image}"`);
  }

  #event(events: GroupEvent[], type: GroupEvent['type'], name: string, message: string): void {
    const at = new Date().toISOString();
    events.push({ name, message, type, count: 1, firstTimestamp: at, lastTimestamp: at });
    if (events.length > MAX_EVENTS) events.shift();
  }
}
