/** Each instance is a container group of Azure Container Instances, with one container. */

import { mapLimited } from '../../time/workers.ts';
import { Deadlines } from '../kit/deadlines.ts';
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
  type Provider,
  ProviderError,
  type ProviderHost,
  type ShapeWish,
} from '../provider.ts';
import { checkImages } from '../registry/check-images.ts';
import { readImageLabels } from '../registry/image-labels.ts';
import { Service } from './calls.ts';
import { check } from './check.ts';
import { hasNoLogs, isRefusedInTransition } from './errors.ts';
import type { AzureAciOptions } from './options.ts';
import { pullerOf } from './puller.ts';
import { containerGroup, refusePlaces } from './request.ts';
import { fitSize, mostOf, STORAGE_GIB, sellsSpot } from './sizes.ts';
import { type Group, isDeleting, isTransitioning, needsDetail, toInstance } from './state.ts';

/** Must not end in a dash [vendor's page "Troubleshoot common issues", naming conventions]. */
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** How long a look at a name stays valid. */
const STALE_LOOK_MS = 500;
/** Concurrent reads when completing a list. */
const DETAILS_AT_ONCE = 8;
/** Delays between looks after a deletion. After the last one, the service's acceptance is enough. */
const GONE_LOOKS_MS = [50, 100, 200, 400, 800, 1600];

export class AzureAciProvider implements Provider {
  readonly capabilities: Capabilities;
  readonly #options: AzureAciOptions;
  readonly #host: ProviderHost;
  readonly #service: Service;
  /** A second PUT of one name is an update, and restarts the container: this process never sends one. */
  readonly #launches = new Map<string, Promise<Instance>>();

  constructor(options: AzureAciOptions, host: ProviderHost) {
    this.#options = options;
    this.#host = host;
    this.#service = new Service(options, host);
    this.capabilities = {
      architectures: ['x64'],
      spot: sellsSpot(options),
      dockerInDocker: options.privileged,
      // The same for all, see STORAGE_GIB.
      disk: false,
      bucket: options.files !== undefined,
      subnet: options.subnetId !== undefined,
      // Network security groups belong to the subnet.
      securityGroup: false,
      logs: true,
      secretEnvironment: true,
    };
  }

  fit(wish: ShapeWish): Fit {
    const refusal = this.#refuse(wish);
    return refusal === undefined ? fitSize(wish, mostOf(this.#options, wish.spot)) : { fits: false, reason: refusal };
  }

  async launch(request: LaunchRequest): Promise<Instance> {
    requireName(request.name, 'launch');
    const refusal = this.#refuse(request.shape);
    if (refusal !== undefined) throw new ProviderError('invalid', 'azure-aci launch', refusal);
    const running = this.#launches.get(request.name);
    if (running !== undefined) return requireOwn(await running, request);
    const launch = this.#launch(request).finally(() => this.#launches.delete(request.name));
    this.#launches.set(request.name, launch);
    return launch;
  }

  async inspect(ref: InstanceRef): Promise<Instance | undefined> {
    return (await this.#find(ref, 'inspect'))?.instance;
  }

  async list(owner: { readonly dispatcher: string }): Promise<readonly Instance[]> {
    const ours = (await this.#service.list()).filter(
      (group) => toInstance(group)?.tags?.dispatcher === owner.dispatcher,
    );
    const giveUpAtMs = this.#host.now() + this.#options.timeoutMs;
    const found = await mapLimited(ours, DETAILS_AT_ONCE, (group) => this.#detailed(group, giveUpAtMs));
    return found.flatMap((instance) => instance ?? []);
  }

  async stop(ref: InstanceRef): Promise<void> {
    const giveUpAtMs = this.#host.now() + this.#options.timeoutMs;
    let refusals = 0;
    for (let waitMs = 200; ; waitMs = Math.min(2 * waitMs, 3200)) {
      const found = await this.#find(ref, 'stop');
      if (found === undefined) return;
      if (isDeleting(found.group)) return this.#untilGone(ref);
      const isLast = this.#host.now() + waitMs > giveUpAtMs;
      // Deletions are limited more tightly than reads, so the reads wait.
      if (refusals === 0 || isLast || (refusals === 1 && !isTransitioning(found.group))) {
        try {
          await this.#service.delete(ref.name);
          return await this.#untilGone({ name: ref.name, id: found.instance.ref.id });
        } catch (error) {
          // It has only just started: the service accepts no second operation before the first is done.
          if (!isRefusedInTransition(error) || isLast) throw error;
          refusals += 1;
        }
      }
      await this.#host.sleep(waitMs);
    }
  }

  async logs(ref: InstanceRef): Promise<string | undefined> {
    if ((await this.#find(ref, 'logs')) === undefined) return undefined;
    try {
      // Without `tail`, which counts lines: at most 4 MB, and 16 KB of an ended container.
      return tailText(Buffer.from(await this.#service.logs(ref.name)), LOG_BYTES);
    } catch (error) {
      if (hasNoLogs(error)) return undefined;
      throw error;
    }
  }

  async check(use?: CheckedUse): Promise<readonly Finding[]> {
    const { timeoutMs } = this.#options;
    const images = checkImages(use?.images ?? [], pullerOf(this.#options), new Deadlines(this.#host), timeoutMs);
    const [findings, ofImages] = await Promise.all([check(this.#options, this.#service), images]);
    return [...findings, ...ofImages];
  }

  imageLabels(reference: string, architecture: Architecture): Promise<ImageLabels> {
    const within = { deadlines: new Deadlines(this.#host), timeoutMs: this.#options.timeoutMs };
    return readImageLabels(reference, architecture, pullerOf(this.#options), within);
  }

  async close(): Promise<void> {
    // Idle connections belong to the SDK's own agents, which do not keep the process alive.
  }

  async #launch(request: LaunchRequest): Promise<Instance> {
    const { name, tags } = request;
    const id = this.#newId();
    // Built first, so that an invalid request is refused without a call.
    const body = containerGroup(request, this.#options, id);
    const isNew = request.nameIsNew === true;
    const existing = isNew ? undefined : await this.#service.get(name);
    if (existing !== undefined) return adopted(existing, request);
    const lookedAtMs = this.#host.now();
    await this.#service.reserve();
    // The wait for a slot may have been long; meanwhile another process may have created it, and a PUT would restart
    // it.
    if (!isNew && this.#host.now() - lookedAtMs > STALE_LOOK_MS) {
      const meanwhile = await this.#service.get(name);
      if (meanwhile !== undefined) return adopted(meanwhile, request);
    }
    try {
      await this.#service.create(name, body, Object.values(request.secretEnvironment));
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      // The job's own choice: no reason to close the backend to other jobs.
      if (
        error.code === 'LinkedAuthorizationFailed' &&
        request.shape.subnet !== undefined &&
        /subnets/i.test(error.message)
      ) {
        throw new ProviderError('invalid', error.operation, error.message.replace(`${error.operation}: `, ''), {
          code: error.code,
          cause: error,
        });
      }
      if (error.kind !== 'conflict') throw error;
      // Another caller was faster: a second process of this dispatcher, or an earlier attempt whose answer was lost.
      const taken = await this.#service.get(name);
      if (taken !== undefined) return adopted(taken, request);
      throw new ProviderError('transient', error.operation, error.message, {
        ...(error.code === undefined ? {} : { code: error.code }),
        cause: error,
      });
    }
    return { ref: { name, id }, state: 'pending', tags };
  }

  #refuse(wish: ShapeWish): string | undefined {
    const { location, sku, spotLocations, subnetId, zone, files } = this.#options;
    const refusal = refuseWish(wish, this.capabilities);
    if (refusal === undefined) return refusePlaces(wish);
    if (wish.dockerInDocker && !this.capabilities.dockerInDocker) {
      return `${refusal}: Azure runs privileged containers with the sku Confidential only, and the option privileged`;
    }
    if (wish.spot && !this.capabilities.spot) {
      if (sku === 'Confidential') return `${refusal}: it is not sold with the sku Confidential`;
      if (subnetId !== undefined) return `${refusal}: it is not sold in a subnet`;
      if (zone !== undefined) return `${refusal}: it is not sold with a choice of zone`;
      return `${refusal}: it is not sold in ${location}, but in ${spotLocations.join(', ')}`;
    }
    if (wish.bucket !== undefined && files === undefined) return `${refusal}: the option files is missing`;
    if (wish.diskGiB !== undefined) return `${refusal}: each container has ${STORAGE_GIB} GB`;
    if (wish.subnet !== undefined && subnetId === undefined) return `${refusal}: the option subnetId is missing`;
    return refusal;
  }

  /** Only our own container group, and only with that id if one is given. */
  async #find(
    ref: InstanceRef,
    what: string,
  ): Promise<{ readonly group: Group; readonly instance: Instance } | undefined> {
    requireName(ref.name, what);
    const group = await this.#service.get(ref.name);
    const instance = group === undefined ? undefined : toInstance(group);
    if (group === undefined || instance === undefined) return undefined;
    if (instance.ref.name !== ref.name || (ref.id !== undefined && instance.ref.id !== ref.id)) return undefined;
    return { group, instance };
  }

  /** Undefined if it has gone since the list. */
  async #detailed(group: Group, giveUpAtMs: number): Promise<Instance | undefined> {
    const listed = toInstance(group);
    if (listed === undefined || !needsDetail(group)) return listed;
    if (this.#host.now() > giveUpAtMs) return { ...listed, state: 'unknown' };
    try {
      return await this.inspect(listed.ref);
    } catch (error) {
      // It certainly exists, but its state is unknown.
      if (error instanceof ProviderError && (error.kind === 'transient' || error.kind === 'throttled')) {
        return { ...listed, state: 'unknown' };
      }
      throw error;
    }
  }

  async #untilGone(ref: InstanceRef): Promise<void> {
    for (const ms of GONE_LOOKS_MS) {
      try {
        if ((await this.#find(ref, 'stop')) === undefined) return;
      } catch {
        // The deletion was accepted, so a failed look does not matter.
        return;
      }
      await this.#host.sleep(ms);
    }
  }

  #newId(): string {
    const digit = (): string => Math.floor(this.#host.random() * 16).toString(16);
    return Array.from({ length: 20 }, digit).join('');
  }
}

function adopted(existing: Group, request: LaunchRequest): Instance {
  const instance = toInstance(existing);
  if (instance !== undefined && isDeleting(existing)) {
    throw new ProviderError(
      'transient',
      'azure-aci launch',
      `the last container group ${request.name} is being deleted`,
    );
  }
  return requireOwn(instance, request);
}

function requireOwn(instance: Instance | undefined, request: LaunchRequest): Instance {
  if (instance?.tags?.dispatcher === request.tags.dispatcher) return instance;
  throw new ProviderError(
    'conflict',
    'azure-aci launch',
    `there is a container group ${request.name} that is not ours`,
  );
}

function requireName(name: string, what: string): void {
  if (NAME.test(name)) return;
  throw new ProviderError(
    'invalid',
    `azure-aci ${what}`,
    `${JSON.stringify(name.slice(0, 80))} is not a valid name: [a-z0-9-], at most 63, no dash at the ends`,
  );
}
