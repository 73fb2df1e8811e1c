/** The subscription: its resource group, container groups, operations, quota and rate limits. */
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ContainerHost } from '../containers/host.ts';
import { listed, type Place, shown } from './answers.ts';
import { type Decoded, decode, sum } from './body.ts';
import type { Faults, Operation } from './faults.ts';
import { type Failure, Group, type Timings } from './group.ts';
import { type AzureAciSimulatorOptions, demo, demoSubnet } from './options.ts';
import { Refusal } from './refusal.ts';

export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Supported versions: the SDK's, and the newest with a published description. */
const versions = ['2023-05-01', '2025-09-01'];

/** A request, after its URL was understood. */
interface Asked {
  readonly operation: Operation;
  readonly name: string;
  /** Of the simulator, for the links in its answers. */
  readonly origin: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

interface Running {
  readonly group: Group;
  readonly kind: 'create' | 'delete';
  readonly startTime: string;
}

export class World {
  readonly place: Place;
  readonly location: string;
  readonly #options: AzureAciSimulatorOptions;
  readonly #faults: Faults;
  readonly #host: ContainerHost;
  readonly #timings: Timings;
  /** By lower-case name: resource names are case-insensitive. */
  readonly #groups = new Map<string, Group>();
  readonly #operations = new Map<string, Running>();
  readonly #sentAtMs: Record<'create' | 'delete', number[]> = { create: [], delete: [] };
  readonly #working = new Set<Promise<void>>();
  #shares: Promise<string> | undefined;

  constructor(options: AzureAciSimulatorOptions, faults: Faults) {
    this.#options = options;
    this.#faults = faults;
    this.#host = new ContainerHost(options);
    this.#timings = { pendingMs: 30, pullMs: 20, deleteMs: 20, graceMs: 300, ...options.timings };
    this.place = {
      subscriptionId: options.subscriptionId ?? demo.subscriptionId,
      resourceGroup: options.resourceGroup ?? demo.resourceGroup,
      identities: options.identities ?? {},
    };
    this.location = options.location ?? demo.location;
  }

  get groups(): readonly Group[] {
    return [...this.#groups.values()];
  }

  named(name: string): Group | undefined {
    return this.#groups.get(name.toLowerCase());
  }

  /** The operation for this URL. Rejects unknown paths, as Resource Manager does. */
  route(method: string, url: URL): { readonly operation: Operation; readonly name: string } {
    // The network service has its own versions, and the subnets may be in any resource group.
    if (
      method === 'GET' &&
      /\/providers\/microsoft\.network\/virtualnetworks\/[^/]+\/subnets\/[^/]+$/i.test(url.pathname)
    ) {
      return { operation: 'subnet', name: decodeURIComponent(url.pathname) };
    }
    const version = url.searchParams.get('api-version');
    if (version === null) {
      throw new Refusal(
        400,
        'MissingApiVersionParameter',
        'The api-version query parameter (?api-version=) is required.',
      );
    }
    if (!versions.includes(version)) {
      throw new Refusal(400, 'InvalidApiVersionParameter', `The api-version '${version}' is invalid.`);
    }
    const parts = url.pathname.split('/').slice(1).map(decodeURIComponent);
    const [subscriptions, subscription = '', next] = parts;
    if (subscriptions?.toLowerCase() !== 'subscriptions') throw notThere(url.pathname);
    if (subscription.toLowerCase() !== this.place.subscriptionId) {
      throw new Refusal(404, 'SubscriptionNotFound', `The subscription '${subscription}' could not be found.`);
    }
    const rest = parts.join('/').toLowerCase();
    const provider = 'providers/microsoft.containerinstance';
    if (next?.toLowerCase() === 'providers') {
      const [, kind, location, what] = rest.split(`${provider}/`)[1]?.match(/^(locations)\/([^/]+)\/(\w+)/) ?? [];
      if (kind === undefined || method !== 'GET') throw notThere(url.pathname);
      if (location !== this.location) {
        throw new Refusal(400, 'LocationNotAvailableForResourceType', `The location '${location}' is not available.`);
      }
      if (what === 'usages' || what === 'capabilities') return { operation: what, name: '' };
      if (what === 'operations' || what === 'operationresults') {
        return { operation: 'operation', name: parts.at(-1) ?? '' };
      }
      throw notThere(url.pathname);
    }
    const resourceGroup = parts[3] ?? '';
    if (resourceGroup.toLowerCase() !== this.place.resourceGroup.toLowerCase()) {
      throw new Refusal(404, 'ResourceGroupNotFound', `Resource group '${resourceGroup}' could not be found.`);
    }
    const tail = parts.slice(4).join('/');
    const found =
      /^providers\/microsoft\.containerinstance\/containergroups(?:\/([^/]+)(\/containers\/([^/]+)\/logs)?)?$/i.exec(
        tail,
      );
    if (found === null) throw notThere(url.pathname);
    const [, name = '', logs] = found;
    const operation = operationOf(method, name !== '', logs !== undefined);
    if (operation === undefined) throw notThere(url.pathname);
    return { operation, name };
  }

  answer({ operation, name, origin, url, headers, body }: Asked): Answer {
    switch (operation) {
      case 'create':
        return this.#create(name, origin, headers, body);
      case 'get':
        return { status: 200, body: shown(this.#there(name), this.place) };
      case 'list':
        return this.#list(origin, url);
      case 'delete':
        return this.#delete(name, origin);
      case 'logs':
        return this.#logs(name, url);
      case 'usages':
        return { status: 200, body: { value: this.#usages() } };
      case 'capabilities':
        return { status: 200, body: { value: this.#capabilities() } };
      case 'operation':
        return this.#operation(name, url);
      case 'subnet':
        return { status: 200, body: this.#subnet(name) };
      case 'token':
        throw new Error('tokens are made elsewhere');
    }
  }

  #subnet(id: string): object {
    const { subnets = [demoSubnet], plainSubnets = [] } = this.#options;
    const delegated = subnets.includes(id);
    if (!delegated && !plainSubnets.includes(id)) {
      throw new Refusal(404, 'NotFound', `Resource ${id} not found.`);
    }
    const service = { name: 'aci', properties: { serviceName: 'Microsoft.ContainerInstance/containerGroups' } };
    return {
      id,
      name: id.slice(id.lastIndexOf('/') + 1),
      properties: { provisioningState: 'Succeeded', delegations: delegated ? [service] : [] },
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#groups.values()].map((group) => group.delete()));
    await this.#host.close();
    await Promise.allSettled(this.#working);
    if (this.#shares !== undefined) await rm(await this.#shares, { recursive: true, force: true });
  }

  #create(
    name: string,
    origin: string,
    headers: Readonly<Record<string, string | string[] | undefined>>,
    body: unknown,
  ): Answer {
    if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) {
      throw new Refusal(400, 'InvalidContainerGroupName', `The container group name '${name}' is invalid.`);
    }
    this.#take('create');
    const decoded = decode(name, body, {
      location: this.location,
      spotLocations: this.#options.spotLocations ?? ['eastus2', 'westeurope', 'westus'],
      subnets: this.#options.subnets ?? [demoSubnet],
      hasImage: (image) => this.#host.has(image),
    });
    const existing = this.named(name);
    if (existing !== undefined) return this.#update(existing, decoded, headers);
    const quota = this.#usages();
    const requested = { ContainerGroups: 1, [coresOf(decoded)]: sum(decoded, ({ cpu }) => cpu) };
    for (const [what, more] of Object.entries(requested)) {
      const { currentValue, limit } = quota.find((usage) => usage.name.value === what) ?? { currentValue: 0, limit: 0 };
      if (currentValue + more > limit) {
        throw new Refusal(
          400,
          'ContainerGroupQuotaReached',
          `Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota '${what}' exceeded in region '${this.location}'. Limit: '${limit}', Usage: '${currentValue}' Requested: '${more}'.`,
        );
      }
    }
    const group = new Group(name, decoded, this.#host, this.#timings, (account, share) => this.#share(account, share));
    this.#groups.set(name.toLowerCase(), group);
    const how = this.#faults.failsLater();
    this.#work(group.run(how === undefined ? undefined : this.#failure(how)));
    return { status: 201, body: shown(group, this.place), headers: this.#follow(group, 'create', origin) };
  }

  #update(existing: Group, decoded: Decoded, headers: Readonly<Record<string, string | string[] | undefined>>): Answer {
    if (this.#options.heedsIfNoneMatch === true && headers['if-none-match'] === '*') {
      throw new Refusal(412, 'PreconditionFailed', `The container group '${existing.name}' exists already.`);
    }
    if (!existing.isSettled) throw transitioning(existing.name);
    const fixed = ({ properties: own }: Decoded) => [
      own.osType,
      own.restartPolicy,
      own.containers.map(({ properties }) => properties.resources),
    ];
    if (!isDeepStrictEqual(fixed(decoded), fixed(existing.decoded))) {
      throw new Refusal(
        400,
        'InvalidContainerGroupUpdate',
        `The updates on container group '${existing.name}' are invalid. If you are going to update the os type, restart policy, network profile, CPU, memory or GPU resources for a container group, you must delete it first and then create a new one.`,
      );
    }
    // Restarts only if something has changed.
    if (!isDeepStrictEqual(decoded, existing.decoded)) this.#work(existing.update(decoded));
    return { status: 200, body: shown(existing, this.place) };
  }

  #list(origin: string, url: URL): Answer {
    const names = [...this.#groups.keys()].sort();
    const after = url.searchParams.get('$skiptoken');
    const rest = after === null ? names : names.filter((name) => name > Buffer.from(after, 'base64url').toString());
    const page = rest.slice(0, this.#options.pageSize ?? 100);
    const last = page.at(-1);
    const next = new URL(url.pathname, origin);
    next.searchParams.set('api-version', url.searchParams.get('api-version') ?? '');
    next.searchParams.set('$skiptoken', Buffer.from(last ?? '').toString('base64url'));
    return {
      status: 200,
      body: {
        value: page.flatMap((name) => {
          const group = this.#groups.get(name);
          return group === undefined ? [] : [listed(group, this.place)];
        }),
        ...(last === undefined || rest.length === page.length ? {} : { nextLink: String(next) }),
      },
    };
  }

  #delete(name: string, origin: string): Answer {
    this.#take('delete');
    const group = this.named(name);
    if (group === undefined) return { status: 204 };
    const headers = this.#follow(group, 'delete', origin);
    if (group.provisioningState === 'Deleting') return { status: 202, headers };
    if (!group.isSettled) throw transitioning(name);
    this.#work(
      group.delete().then(() => {
        if (this.named(name) === group) this.#groups.delete(name.toLowerCase());
      }),
    );
    return { status: 202, headers };
  }

  #logs(name: string, url: URL): Answer {
    const { log } = this.#there(name);
    if (log === undefined) {
      throw new Refusal(404, 'ContainerLogNotAvailable', `The container log of '${name}' is not available yet.`);
    }
    const tail = url.searchParams.get('tail');
    const content =
      tail === null
        ? log
        : log
            .split('\n')
            .slice(-Number(tail) - 1)
            .join('\n');
    return { status: 200, body: { content } };
  }

  #operation(id: string, url: URL): Answer {
    const running = this.#operations.get(id);
    if (running === undefined) throw new Refusal(404, 'NotFound', 'The operation was not found.');
    const { group, kind, startTime } = running;
    if (/\/operationresults\//i.test(url.pathname)) {
      // The resource that a `location` header points to: 202 until it is done.
      if (this.named(group.name) === group) return { status: 202, headers: { 'retry-after': '1' } };
      return { status: 204 };
    }
    const status =
      kind === 'delete'
        ? this.named(group.name) === group
          ? 'Running'
          : 'Succeeded'
        : ['Succeeded', 'Failed'].includes(group.provisioningState)
          ? group.provisioningState
          : 'Running';
    const event = group.groupEvents.at(-1);
    return {
      status: 200,
      body: {
        id: url.pathname,
        status,
        startTime,
        properties: { events: [...group.groupEvents, ...group.containerEvents] },
        ...(status === 'Failed'
          ? { error: { code: 'Failed', message: event?.message ?? 'The operation failed.' } }
          : {}),
      },
    };
  }

  #usages() {
    const living = this.groups.filter((group) => !group.isEnded && group.provisioningState !== 'Failed');
    const used = (what: string): number =>
      living
        .filter(({ decoded }) => coresOf(decoded) === what)
        .reduce((total, { decoded }) => total + sum(decoded, ({ cpu }) => cpu), 0);
    const { groups = 100, cores = 100, spotCores = 10 } = this.#options.quota ?? {};
    const values = [
      ['ContainerGroups', this.#groups.size, groups],
      ['StandardCores', used('StandardCores'), cores],
      ['StandardSpotCores', used('StandardSpotCores'), spotCores],
    ] as const;
    return values.map(([value, current, limit]) => ({
      id: `/subscriptions/${this.place.subscriptionId}/providers/Microsoft.ContainerInstance/locations/${this.location}/usages/${value}`,
      unit: 'Count',
      currentValue: Math.ceil(current),
      limit,
      name: { value, localizedValue: value },
    }));
  }

  #capabilities() {
    return ['Linux', 'Windows'].map((osType) => ({
      resourceType: 'containerGroups',
      osType,
      location: this.location,
      ipAddressType: 'Public',
      gpu: 'None',
      capabilities: {
        maxMemoryInGB: osType === 'Linux' ? 240 : 16,
        maxCpu: osType === 'Linux' ? 31 : 4,
        maxGpuCount: 0,
      },
    }));
  }

  #follow(group: Group, kind: 'create' | 'delete', origin: string): Record<string, string> {
    const id = randomUUID();
    this.#operations.set(id, { group, kind, startTime: new Date().toISOString() });
    const [oldest] = this.#operations.keys();
    if (this.#operations.size > 10_000 && oldest !== undefined) this.#operations.delete(oldest);
    const base = `${origin}/subscriptions/${this.place.subscriptionId}/providers/Microsoft.ContainerInstance/locations/${this.location}`;
    const tail = `${id}?api-version=2023-05-01`;
    return kind === 'create'
      ? { 'azure-asyncoperation': `${base}/operations/${tail}` }
      : { location: `${base}/operationresults/${tail}`, 'retry-after': '1' };
  }

  #there(name: string): Group {
    const group = this.named(name);
    if (group !== undefined) return group;
    throw new Refusal(
      404,
      'ResourceNotFound',
      `The Resource 'Microsoft.ContainerInstance/containerGroups/${name}' under resource group '${this.place.resourceGroup}' was not found.`,
    );
  }

  #failure(how: Failure['how']): Failure {
    const messages = {
      'no-stock': this.#faults.stockWords(),
      quota: this.#faults.quotaWords(),
      'image-pull': 'rpc error: code = Unknown desc = toomanyrequests: You have reached your pull rate limit.',
      timeout: 'The container group did not start within 30 minutes.',
    };
    return { how, message: messages[how] };
  }

  /** Counts a call against the limits for 5 minutes and for an hour. */
  #take(kind: 'create' | 'delete'): void {
    const { per5Minutes, perHour } = this.#options.limits ?? { per5Minutes: 100, perHour: 300 };
    const now = Date.now();
    const sent = this.#sentAtMs[kind];
    while (sent[0] !== undefined && sent[0] <= now - 3_600_000) sent.shift();
    const recent = sent.filter((at) => at > now - 300_000);
    if (recent.length >= per5Minutes || sent.length >= perHour) {
      const oldest = recent.length >= per5Minutes ? (recent[0] ?? now) + 300_000 : (sent[0] ?? now) + 3_600_000;
      throw new Refusal(
        429,
        'TooManyRequests',
        `Too many container groups: ${kind} requests are limited in this subscription.`,
        Math.max(1, Math.ceil((oldest - now) / 1000)),
      );
    }
    sent.push(now);
  }

  async #share(account: string, share: string): Promise<string> {
    this.#shares ??= mkdtemp(join(tmpdir(), 'shr-azure-files-'));
    const folder = join(await this.#shares, account, share);
    await mkdir(folder, { recursive: true });
    return folder;
  }

  #work(work: Promise<void>): void {
    this.#working.add(work);
    void work.finally(() => this.#working.delete(work));
  }
}

function coresOf({ properties }: Decoded): string {
  return properties.priority === 'Spot' ? 'StandardSpotCores' : 'StandardCores';
}

function operationOf(method: string, isOne: boolean, isLogs: boolean): Operation | undefined {
  if (isLogs) return method === 'GET' ? 'logs' : undefined;
  if (!isOne) return method === 'GET' ? 'list' : undefined;
  return ({ GET: 'get', PUT: 'create', DELETE: 'delete' } as const)[method];
}

function notThere(path: string): Refusal {
  return new Refusal(404, 'InvalidResourceType', `The resource of '${path}' could not be found.`);
}

function transitioning(name: string): Refusal {
  return new Refusal(
    409,
    'ContainerGroupTransitioning',
    `The container group '${name}' is still transitioning, please retry later.`,
  );
}
