/** One container group: its states, its events and its only container. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Container, type ContainerEnd, type ContainerHost, NoSuchImage } from '../containers/host.ts';
import type { VSwitch } from './options.ts';
import type { Decoded } from './parameters.ts';
import type { Timings } from './timings.ts';

export interface GroupEvent {
  readonly reason: string;
  readonly message: string;
  readonly type: 'Normal' | 'Warning';
  readonly atMs: number;
}

interface Failure {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

const MAX_EVENTS = 50;

export class Group {
  readonly id: string;
  readonly decoded: Decoded;
  readonly createdAtMs: number;
  readonly size: { readonly cpu: number; readonly memory: number };
  readonly vSwitch: VSwitch;
  status = 'Scheduling';
  endedAtMs: number | undefined;
  waiting: { readonly reason: string; readonly message: string } | undefined;
  readonly events: GroupEvent[] = [];
  #container: Container | undefined;
  #outOfMemory = false;
  #deleted = false;
  /** The final status if the container does not end by itself. */
  #verdict: Failure | undefined;
  readonly #now: () => number;

  constructor(id: string, decoded: Decoded, size: Group['size'], vSwitch: VSwitch, now: () => number) {
    this.id = id;
    this.decoded = decoded;
    this.size = size;
    this.vSwitch = vSwitch;
    this.#now = now;
    this.createdAtMs = now();
  }

  get container(): Container | undefined {
    return this.#container;
  }

  get outOfMemory(): boolean {
    return this.#outOfMemory;
  }

  get isEnded(): boolean {
    return this.endedAtMs !== undefined;
  }

  /** Resolves when it has ended, for whatever reason. */
  async run(host: ContainerHost, timings: Timings, failure: Failure | undefined): Promise<void> {
    await delay(timings.scheduleMs);
    if (this.#deleted) return;
    if (failure !== undefined) {
      this.#end(failure);
      return;
    }
    this.status = 'Pending';
    this.#event('Normal', 'Scheduled', `Successfully assigned to ${this.vSwitch.zone}`);
    this.#event('Normal', 'Pulling', `Pulling image "${this.decoded.container.Image}"`);
    await delay(timings.imageMs);
    if (this.#deleted) return;
    try {
      this.#container = await host.start(this.#spec());
    } catch (error) {
      if (!(error instanceof NoSuchImage)) throw error;
      // Like the kubelet: it stays Pending and retries, less and less often.
      this.waiting = { reason: 'ErrImagePull', message: error.message };
      this.#event('Warning', 'Failed', `Failed to pull image "${this.decoded.container.Image}": ${error.message}`);
      return;
    }
    if (this.#deleted) {
      await this.#container.stop(0);
      return;
    }
    this.status = 'Running';
    this.#event('Normal', 'Started', `Started container ${this.decoded.container.Name}`);
    const { activeDeadlineSeconds } = this.decoded;
    const timer =
      activeDeadlineSeconds === undefined
        ? undefined
        : setTimeout(
            () => {
              void this.kill({
                status: 'Failed',
                reason: 'DeadlineExceeded',
                message: 'the active deadline has passed',
              });
            },
            Math.min(activeDeadlineSeconds * timings.secondMs, 2 ** 31 - 1),
          );
    timer?.unref();
    const end = await this.#container.ended;
    clearTimeout(timer);
    if (!this.#deleted) this.#ended(end);
  }

  /** For faults: the service removes it, and gives the reason. */
  async kill(verdict: Failure): Promise<void> {
    if (this.isEnded || this.#deleted) return;
    this.#verdict = verdict;
    this.#event('Warning', verdict.reason, verdict.message);
    if (this.#container === undefined) this.#end(verdict);
    else await this.#container.stop(0);
  }

  async killForMemory(): Promise<void> {
    if (this.#container === undefined || this.isEnded) return;
    this.#outOfMemory = true;
    this.#event('Warning', 'OOMKilled', 'Out of memory');
    await this.#container.stop(0);
  }

  /** Resolves when everything has been removed. */
  async delete(timings: Timings, force: boolean): Promise<void> {
    this.#deleted = true;
    this.status = 'Terminating';
    await this.#container?.stop(force ? 0 : this.decoded.terminationGracePeriodSeconds * timings.secondMs);
    await delay(timings.cleanUpMs);
  }

  #spec() {
    const { container, volumes } = this.decoded;
    const files = container.VolumeMount.flatMap((mount) =>
      (volumes.find((volume) => volume.Name === mount.Name)?.files ?? []).map(
        ({ Path, Content }) =>
          [`${mount.MountPath.replace(/\/$/, '')}/${Path}`, Buffer.from(Content, 'base64').toString()] as const,
      ),
    );
    return {
      image: container.Image,
      ...(container.Command.length === 0 ? {} : { command: container.Command }),
      ...(container.Arg.length === 0 ? {} : { args: container.Arg }),
      environment: Object.fromEntries(container.EnvironmentVar.map(({ Key, Value }) => [Key, Value])),
      // Longest first: one path may be a prefix of another.
      files: Object.fromEntries(files.sort(([one], [other]) => other.length - one.length)),
    };
  }

  #ended(end: ContainerEnd): void {
    if (this.#verdict !== undefined) {
      this.status = this.#verdict.status;
    } else {
      this.status = 'exitCode' in end && end.exitCode === 0 && !this.#outOfMemory ? 'Succeeded' : 'Failed';
    }
    this.endedAtMs = this.#now();
  }

  #end(failure: Failure): void {
    this.status = failure.status;
    if (this.#verdict === undefined) this.#event('Warning', failure.reason, failure.message);
    this.endedAtMs = this.#now();
  }

  #event(type: GroupEvent['type'], reason: string, message: string): void {
    this.events.push({ type, reason, message, atMs: this.#now() });
    if (this.events.length > MAX_EVENTS) this.events.shift();
  }
}
