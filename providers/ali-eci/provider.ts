/** Each instance is a container group of Alibaba Cloud's Elastic Container Instance. */
import { z } from 'zod';
import { Deadlines } from '../kit/deadlines.ts';
import { DISPATCHER_TAG } from '../kit/tags.ts';
import { tailText } from '../kit/tail.ts';
import { refuseWish } from '../kit/wish.ts';
import {
  type Architecture,
  type Capabilities,
  type CheckedUse,
  type Finding,
  type Fit,
  type ImageLabels,
  type Instance,
  type InstanceRef,
  type LaunchRequest,
  LOG_BYTES,
  type NetworkRoom,
  type Provider,
  ProviderError,
  type ProviderHost,
  type ShapeWish,
} from '../provider.ts';
import { checkImages } from '../registry/check-images.ts';
import { readImageLabels } from '../registry/image-labels.ts';
import { Service } from './calls.ts';
import { check, freeAddresses } from './check.ts';
import { classify, isAbsent } from './errors.ts';
import { Groups } from './groups.ts';
import type { AliEciOptions } from './options.ts';
import { pullerOf } from './puller.ts';
import { Rate } from './rate.ts';
import { CONTAINER, carriedTexts, clientToken, createParameters, flatten, refuseBucket } from './request.ts';
import { fitSize, MAX_DISK_GIB } from './sizes.ts';
import { type ContainerGroup, toInstance } from './state.ts';
import { RUNNER_TAG } from './tags.ts';

/** The service accepts the contract's 63 characters, but no name shorter than 2 or ending in a dash. */
const NAME = /^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$/;
/** Names whose container group this object has removed. */
const MAX_RETIRED = 10_000;
/** Delays between looks after a deletion. After the last one, the service's acceptance is enough. */
const STOP_LOOKS_MS = [50, 100, 200, 400, 800, 1600];

const created = z.object({ ContainerGroupId: z.string().min(1) });
const anything = z.object({});
const log = z.object({ Content: z.string().nullish() });

export class AliEciProvider implements Provider {
  readonly capabilities: Capabilities;
  readonly #options: AliEciOptions;
  readonly #host: ProviderHost;
  readonly #service: Service;
  readonly #groups: Groups;
  /**
   * The last id under a name, once removed: see `clientToken`. Only a hint: without it, the service returns the old id,
   * which is then seen to be gone.
   */
  readonly #retired = new Map<string, string>();

  constructor(options: AliEciOptions, host: ProviderHost) {
    this.#options = options;
    this.#host = host;
    this.#service = new Service(options, new Deadlines(host), new Rate(host, options.rateShare, options.timeoutMs));
    this.#groups = new Groups(this.#service, options.region);
    this.capabilities = {
      architectures: ['x64', 'arm64'],
      spot: true,
      dockerInDocker: options.privileged,
      disk: true,
      // The mount signs with the role of the container group.
      bucket: options.ramRoleName !== undefined,
      subnet: true,
      securityGroup: true,
      logs: true,
      // DescribeContainerGroups returns the content of a ConfigFile, but not a hidden environment.
      secretEnvironment: options.secretsBy === 'hidden-environment',
      longestLifeMs: options.longestLifeS * 1000,
    };
  }

  fit(wish: ShapeWish): Fit {
    const refusal = this.#refuse(wish);
    return refusal === undefined ? fitSize(wish) : { fits: false, reason: refusal };
  }

  async launch(request: LaunchRequest): Promise<Instance> {
    requireName(request.name, 'launch');
    const refusal = this.#refuse(request.shape);
    if (refusal !== undefined) throw new ProviderError('invalid', 'ali-eci launch', refusal);
    const { name, tags } = request;
    // Built first, so that an invalid request is refused without a call.
    const token = clientToken(tags.dispatcher, name, this.#retired.get(name));
    const parameters = createParameters(request, this.#options, token);
    if (request.nameIsNew !== true) {
      // Names are not unique at this service, so it would not refuse a duplicate; the client token merges two launches
      // that look at the same time. A group that is being deleted no longer holds the name.
      const existing = (await this.#groupsNamed(name)).filter(({ Status }) => Status !== 'Terminating');
      if (existing.length > 0) return adopted(existing, request);
    }
    const { ContainerGroupId: id } = await this.#service.call('CreateContainerGroup', parameters, created, () =>
      carriedTexts(request.secretEnvironment),
    );
    return { ref: { name, id }, state: 'pending', tags };
  }

  async inspect(ref: InstanceRef): Promise<Instance | undefined> {
    const [found] = await this.#find(ref, 'inspect');
    return found;
  }

  async list(owner: { readonly dispatcher: string }): Promise<readonly Instance[]> {
    const filter = { Tag: [{ Key: DISPATCHER_TAG, Value: owner.dispatcher }] };
    const groups = await this.#groups.describe(filter);
    if (groups.length === 0) await this.#groups.requireTrulyEmpty(filter);
    // Filtered again here, because the service ignores filters that it does not know.
    return groups
      .flatMap((group) => toInstance(group) ?? [])
      .filter(({ tags }) => tags?.dispatcher === owner.dispatcher);
  }

  async stop(ref: InstanceRef): Promise<void> {
    for (const instance of await this.#find(ref, 'stop')) {
      const { id } = instance.ref;
      try {
        await this.#service.call(
          'DeleteContainerGroup',
          flatten({ RegionId: this.#options.region, ContainerGroupId: id }),
          anything,
        );
      } catch (error) {
        // Another call was faster.
        if (!isAbsent(error) && (await this.#isLive(id))) throw error;
      }
      this.#retire(ref.name, id);
      await this.#untilGone(id);
    }
  }

  async logs(ref: InstanceRef): Promise<string | undefined> {
    const [instance] = await this.#find(ref, 'logs');
    if (instance === undefined) return undefined;
    try {
      const { Content } = await this.#service.call(
        'DescribeContainerLog',
        flatten({
          RegionId: this.#options.region,
          ContainerGroupId: instance.ref.id,
          ContainerName: CONTAINER,
          // The service's maximum number of lines; the default is the last 500.
          Tail: 2000,
          LimitBytes: 1024 * 1024,
        }),
        log,
      );
      return Content === null || Content === undefined ? undefined : tailText(Buffer.from(Content), LOG_BYTES);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  async check(use?: CheckedUse): Promise<readonly Finding[]> {
    const { timeoutMs } = this.#options;
    const images = checkImages(use?.images ?? [], pullerOf(this.#options), new Deadlines(this.#host), timeoutMs);
    const [findings, ofImages] = await Promise.all([check(this.#options, this.#service), images]);
    return [...findings, ...ofImages];
  }

  async freeAddresses(): Promise<readonly NetworkRoom[]> {
    try {
      return await freeAddresses(this.#options, this.#service);
    } catch (error) {
      throw classify('DescribeVSwitches', error);
    }
  }

  imageLabels(reference: string, architecture: Architecture): Promise<ImageLabels> {
    const within = { deadlines: new Deadlines(this.#host), timeoutMs: this.#options.timeoutMs };
    return readImageLabels(reference, architecture, pullerOf(this.#options), within);
  }

  async close(): Promise<void> {
    this.#service.close();
  }

  #refuse(wish: ShapeWish): string | undefined {
    const refusal = refuseWish(wish, this.capabilities);
    if (refusal !== undefined) {
      if (wish.dockerInDocker && !this.#options.privileged) return `${refusal}; the option privileged allows it`;
      if (wish.bucket !== undefined && !this.capabilities.bucket)
        return `${refusal}: the option ramRoleName is missing`;
      return refusal;
    }
    if (wish.diskGiB !== undefined && wish.diskGiB > MAX_DISK_GIB) {
      return `a disk of ${wish.diskGiB} GiB is not sold; the largest is ${MAX_DISK_GIB} GiB`;
    }
    return wish.bucket === undefined ? undefined : refuseBucket(wish.bucket, wish.bucketPrefix);
  }

  /** Only our own container group; matched by id if one is given. */
  async #find(ref: InstanceRef, what: string): Promise<readonly Instance[]> {
    requireName(ref.name, what);
    const groups = ref.id === undefined ? await this.#groupsNamed(ref.name) : await this.#groupWithId(ref.id);
    if (groups.length === 0) {
      await this.#groups.requireTrulyEmpty(
        ref.id === undefined
          ? { Tag: [{ Key: RUNNER_TAG, Value: ref.name }] }
          : { ContainerGroupIds: JSON.stringify([ref.id]) },
      );
    }
    const ours = groups.flatMap((group) => toInstance(group) ?? []).filter((found) => found.ref.name === ref.name);
    // Two groups share a name only if the service forgot a client token: prefer the live one.
    return ours.sort((one, other) => rank(one) - rank(other) || (one.ref.id < other.ref.id ? -1 : 1));
  }

  async #groupsNamed(name: string): Promise<readonly ContainerGroup[]> {
    const groups = await this.#groups.describe({ ContainerGroupName: name });
    return groups.filter((group) => group.ContainerGroupName === name);
  }

  async #groupWithId(id: string): Promise<readonly ContainerGroup[]> {
    const groups = await this.#groups.describe({ ContainerGroupIds: JSON.stringify([id]) });
    return groups.filter((group) => group.ContainerGroupId === id);
  }

  async #isLive(id: string): Promise<boolean> {
    const [group] = await this.#groupWithId(id);
    if (group === undefined) await this.#groups.requireTrulyEmpty({ ContainerGroupIds: JSON.stringify([id]) });
    return group !== undefined && group.Status !== 'Terminating';
  }

  async #untilGone(id: string): Promise<void> {
    for (const ms of STOP_LOOKS_MS) {
      const groups = await this.#groupWithId(id).catch(() => undefined);
      // The deletion was accepted, so a failed look does not matter.
      if (groups === undefined || groups.length === 0) return;
      await this.#host.sleep(ms);
    }
  }

  #retire(name: string, id: string): void {
    this.#retired.delete(name);
    this.#retired.set(name, id);
    const [oldest] = this.#retired.keys();
    if (this.#retired.size > MAX_RETIRED && oldest !== undefined) this.#retired.delete(oldest);
  }
}

/** What already holds the name: ours or foreign. */
function adopted(groups: readonly ContainerGroup[], request: LaunchRequest): Instance {
  for (const group of groups) {
    const instance = toInstance(group);
    if (instance?.tags?.dispatcher === request.tags.dispatcher) return instance;
  }
  throw new ProviderError(
    'conflict',
    'ali-eci launch',
    `container group ${groups[0]?.ContainerGroupId} is named ${request.name} and is not ours`,
  );
}

function rank(instance: Instance): number {
  return ['running', 'pending', 'unknown'].includes(instance.state) && instance.reason?.kind !== 'stopped' ? 0 : 1;
}

function requireName(name: string, what: string): void {
  if (NAME.test(name)) return;
  throw new ProviderError(
    'invalid',
    `ali-eci ${what}`,
    `${JSON.stringify(name)} is not a valid name: [a-z0-9-], 2 to 63`,
  );
}
