/** The account in its region: container groups and image caches, and what each call does to them. */
import { createHash, randomBytes } from 'node:crypto';
import { ContainerHost } from '../containers/host.ts';
import { described, statusOf } from './answers.ts';
import type { Faults } from './faults.ts';
import { Group } from './group.ts';
import { type AliEciSimulatorOptions, demoSecurityGroup, demoVSwitches, type VSwitch } from './options.ts';
import { type Decoded, decodeCreate, type Flat, items, texts } from './parameters.ts';
import { Refusal } from './refusal.ts';
import { billed } from './sizes.ts';
import type { Timings } from './timings.ts';

export type Answer = Readonly<Record<string, unknown>>;

interface ImageCache {
  readonly id: string;
  readonly name: string;
  readonly images: readonly string[];
  readonly createdAtMs: number;
}

export class World {
  readonly region: string;
  readonly timings: Timings;
  readonly #options: AliEciSimulatorOptions;
  readonly #faults: Faults;
  readonly #host: ContainerHost;
  readonly #groups = new Map<string, Group>();
  readonly #caches = new Map<string, ImageCache>();
  /** Client tokens, with what they created. Kept after a deletion, as the vendor's services do. */
  readonly #tokens = new Map<string, { readonly id: string; readonly digest: string }>();
  readonly #odd = new Map<string, string>();
  readonly #vSwitches: readonly VSwitch[];
  readonly #work = new Set<Promise<unknown>>();
  /** The first internal error of the simulator. */
  #broken: unknown;

  constructor(options: AliEciSimulatorOptions, faults: Faults) {
    this.#options = options;
    this.#faults = faults;
    this.region = options.region ?? 'cn-hangzhou';
    this.timings = { scheduleMs: 20, imageMs: 20, cleanUpMs: 30, secondMs: 1000, ...options.timings };
    this.#vSwitches = options.vSwitches ?? demoVSwitches;
    this.#host = new ContainerHost(options);
  }

  get groups(): readonly Group[] {
    return [...this.#groups.values()];
  }

  /** The newest with this name. */
  named(name: string): Group | undefined {
    return this.groups.findLast((group) => group.decoded.name === name);
  }

  /** The service reports an undocumented status; undefined ends that. */
  confuse(name: string, status: string | undefined): void {
    if (status === undefined) this.#odd.delete(name);
    else this.#odd.set(name, status);
  }

  async close(): Promise<void> {
    await Promise.all(this.groups.map((group) => group.delete({ ...this.timings, cleanUpMs: 0, secondMs: 0 }, true)));
    await Promise.all(this.#work);
    await this.#host.close();
    if (this.#broken !== undefined) throw this.#broken;
  }

  answer(action: string, flat: Flat): Answer {
    switch (action) {
      case 'CreateContainerGroup':
        return this.#create(flat);
      case 'DescribeContainerGroups':
        return this.#describe(flat);
      case 'DescribeContainerGroupStatus':
        return this.#describeStatus(flat);
      case 'DeleteContainerGroup':
        return this.#delete(flat);
      case 'DescribeContainerLog':
        return this.#log(flat);
      case 'CreateImageCache':
        return this.#createCache(flat);
      case 'DescribeImageCaches':
        return this.#describeCaches(flat);
      case 'DescribeRegions':
        return {
          Regions: [
            { RegionId: this.region, RegionEndpoint: 'localhost', Zones: this.#vSwitches.map(({ zone }) => zone) },
          ],
        };
      case 'ListUsage':
        return { Attributes: { vcpu: this.#vcpuInUse(), maxVcpu: this.#options.mostVcpu ?? 1000 } };
      case 'DescribeVSwitches':
        return this.#describeVSwitches(flat);
      default:
        throw new Refusal(
          404,
          'InvalidAction.NotFound',
          'Specified api is not found, please check your url and method.',
        );
    }
  }

  /** What DescribeContainerGroups returns for a key without its permission. */
  nothing(): Answer {
    return { TotalCount: 0, NextToken: '', ContainerGroups: [] };
  }

  #create(flat: Flat): Answer {
    this.#requireRegion(flat);
    const decoded = decodeCreate(flat);
    this.#requireNetwork(decoded);
    const size = billed(decoded);
    const vSwitch = this.#vSwitchFor(decoded);
    if (decoded.ramRoleName !== undefined && !(this.#options.ramRoles ?? []).includes(decoded.ramRoleName)) {
      throw new Refusal(403, 'NoPermission', 'The RAM role does not belong to ECS.');
    }
    if (this.#vcpuInUse() + size.cpu > (this.#options.mostVcpu ?? 1000)) {
      throw new Refusal(403, 'QuotaExceeded', 'Vcpu quota exceeded.');
    }
    if (decoded.dryRun) {
      throw new Refusal(400, 'DryRunOperation', 'Request validation has been passed with DryRun flag set.');
    }
    const digest = createHash('sha256')
      .update(JSON.stringify(Object.entries(flat).sort()))
      .digest('hex');
    const known = decoded.clientToken === undefined ? undefined : this.#tokens.get(decoded.clientToken);
    if (known !== undefined) {
      if (known.digest === digest) return { ContainerGroupId: known.id };
      throw new Refusal(
        400,
        'IdempotentParameterMismatch',
        'The request uses the same client token as a previous, but non-identical request.',
      );
    }
    const id = `eci-${randomBytes(10).toString('hex')}`;
    const group = new Group(id, decoded, size, vSwitch, Date.now);
    this.#groups.set(id, group);
    if (decoded.clientToken !== undefined) this.#tokens.set(decoded.clientToken, { id, digest });
    this.#forgetOld();
    this.#do(group.run(this.#host, this.timings, this.#faults.failsLater()));
    return { ContainerGroupId: id };
  }

  #describe(flat: Flat): Answer {
    this.#requireRegion(flat);
    const limit = flat['Limit'] === undefined ? 20 : Number(flat['Limit']);
    if (!(limit >= 1 && limit <= 20)) throw new Refusal(400, 'InvalidParameter', 'Limit must be 1 to 20.');
    const all = this.#filtered(flat);
    const from =
      flat['NextToken'] === undefined ? 0 : all.findIndex(({ id }) => id > decodeToken(flat['NextToken'] ?? ''));
    const rest = from < 0 ? [] : all.slice(from);
    const size = this.#options.shortPages === true ? Math.max(1, limit - 7) : limit;
    const page = rest.slice(0, size);
    const last = page.at(-1);
    return {
      TotalCount: all.length,
      NextToken: rest.length > size && last !== undefined ? Buffer.from(last.id).toString('base64url') : '',
      ContainerGroups: page.map((group) =>
        described(group, this.region, flat['WithEvent'] === 'true', this.#odd.get(group.decoded.name)),
      ),
    };
  }

  #describeStatus(flat: Flat): Answer {
    this.#requireRegion(flat);
    const limit = flat['Limit'] === undefined ? 200 : Number(flat['Limit']);
    if (!(limit >= 1 && limit <= 200)) throw new Refusal(400, 'InvalidParameter', 'Limit must be 1 to 200.');
    const token = flat['NextToken'];
    const found = this.#filtered(flat);
    const rest = token === undefined ? found : found.filter(({ id }) => id > decodeToken(token));
    // A page may be empty while more follow.
    const page = this.#options.shortPages === true && token === undefined ? [] : rest.slice(0, limit);
    const following = Buffer.from(page.at(-1)?.id ?? '!').toString('base64url');
    return {
      TotalCount: found.length,
      NextToken: rest.length > page.length ? following : '',
      Data: page.map(statusOf),
    };
  }

  #delete(flat: Flat): Answer {
    this.#requireRegion(flat);
    const group = this.#require(flat);
    if (group.status === 'Terminating') {
      throw new Refusal(400, 'OperationConflict', 'Request was denied due to conflict with a previous request.');
    }
    this.#do(
      group.delete(this.timings, flat['Force'] === 'true').then(() => {
        this.#groups.delete(group.id);
      }),
    );
    return {};
  }

  #log(flat: Flat): Answer {
    const group = this.#require(flat);
    if (flat['ContainerName'] !== group.decoded.container.Name) {
      throw new Refusal(400, 'InvalidParameter', 'The specified container does not exist.');
    }
    const tail = Number(flat['Tail'] ?? 500);
    const bytes = Number(flat['LimitBytes'] ?? 1_048_576);
    if (!(tail >= 1 && tail <= 2000)) throw new Refusal(400, 'InvalidParameter', 'Tail must be 1 to 2000.');
    if (!(bytes >= 1 && bytes <= 1_048_576))
      throw new Refusal(400, 'InvalidParameter', 'LimitBytes must be 1 to 1048576.');
    const lines = (group.container?.output() ?? '').split(/(?<=\n)/);
    const content = Buffer.from(lines.slice(-tail).join('')).subarray(-bytes).toString();
    return { ContainerName: flat['ContainerName'], Content: content };
  }

  #createCache(flat: Flat): Answer {
    this.#requireRegion(flat);
    const name = flat['ImageCacheName'];
    const images = texts(flat, 'Image');
    if (name === undefined || images.length === 0)
      throw new Refusal(400, 'MissingParameter', 'ImageCacheName and Image are required.');
    const id = `imc-${randomBytes(8).toString('hex')}`;
    this.#caches.set(id, { id, name, images, createdAtMs: Date.now() });
    return { ImageCacheId: id, ContainerGroupId: `eci-${randomBytes(10).toString('hex')}` };
  }

  #describeCaches(flat: Flat): Answer {
    this.#requireRegion(flat);
    const readyAfterMs = this.timings.imageMs * 10;
    const found = [...this.#caches.values()].filter(
      ({ name }) => flat['ImageCacheName'] === undefined || flat['ImageCacheName'] === name,
    );
    return {
      TotalCount: found.length,
      NextToken: '',
      ImageCaches: found.map(({ id, name, images, createdAtMs }) => {
        const done = Math.min(1, (Date.now() - createdAtMs) / Math.max(1, readyAfterMs));
        return {
          ImageCacheId: id,
          ImageCacheName: name,
          Images: images,
          RegionId: this.region,
          Status: done < 1 ? 'Creating' : 'Ready',
          Progress: `${Math.floor(done * 100)}%`,
          CreationTime: new Date(createdAtMs).toISOString(),
        };
      }),
    };
  }

  #describeVSwitches(flat: Flat): Answer {
    const found = this.#vSwitches.filter(({ id }) => flat['VSwitchId'] === undefined || flat['VSwitchId'] === id);
    return {
      TotalCount: found.length,
      PageNumber: 1,
      PageSize: 10,
      VSwitches: {
        VSwitch: found.map(({ id, zone, addresses }) => ({
          VSwitchId: id,
          ZoneId: zone,
          Status: 'Available',
          AvailableIpAddressCount: addresses - this.#addressesTaken(id),
        })),
      },
    };
  }

  #filtered(flat: Flat): Group[] {
    const tags = items(flat, 'Tag');
    if (tags.length > 20) throw new Refusal(400, 'InvalidParameter', 'At most 20 tags.');
    const ids = flat['ContainerGroupIds'] === undefined ? undefined : idsOf(flat['ContainerGroupIds']);
    const name = flat['ContainerGroupName'];
    return this.groups
      .filter(
        (group) =>
          (ids === undefined || ids.includes(group.id)) &&
          (name === undefined || group.decoded.name === name) &&
          (flat['Status'] === undefined || group.status === flat['Status']) &&
          tags.every((tag) =>
            group.decoded.tags.some(
              ({ Key, Value }) => Key === tag['Key'] && (tag['Value'] === undefined || Value === tag['Value']),
            ),
          ),
      )
      .sort((one, other) => (one.id < other.id ? -1 : 1));
  }

  #require(flat: Flat): Group {
    const group = this.#groups.get(flat['ContainerGroupId'] ?? '');
    if (group === undefined) {
      throw new Refusal(404, 'InvalidContainerGroupId.NotFound', 'The specified container group does not exist.');
    }
    return group;
  }

  #requireRegion(flat: Flat): void {
    if (flat['RegionId'] === undefined) throw new Refusal(400, 'MissingParameter', 'RegionId is required.');
    if (flat['RegionId'] !== this.region)
      throw new Refusal(404, 'InvalidRegionId.NotFound', 'The specified region does not exist.');
  }

  #requireNetwork(decoded: Decoded): void {
    const known = this.#vSwitches.map(({ id }) => id);
    const odd = decoded.vSwitchIds.find((id) => !known.includes(id));
    if (odd !== undefined) throw new Refusal(404, 'InvalidVSwitchId.NotFound', `VSwitch ${odd} does not exist.`);
    const groups = this.#options.securityGroups ?? [demoSecurityGroup];
    if (decoded.securityGroupId !== undefined && !groups.includes(decoded.securityGroupId)) {
      throw new Refusal(
        404,
        'InvalidSecurityGroupId.NotFound',
        `Security group ${decoded.securityGroupId} does not exist.`,
      );
    }
  }

  /** The first of the requested vSwitches, or else of the account's, that has a free address. */
  #vSwitchFor({ vSwitchIds }: Decoded): VSwitch {
    const asked = vSwitchIds.length === 0 ? this.#vSwitches.map(({ id }) => id) : vSwitchIds;
    const found = asked
      .flatMap((id) => this.#vSwitches.find((vSwitch) => vSwitch.id === id) ?? [])
      .find(({ id, addresses }) => this.#addressesTaken(id) < addresses);
    if (found !== undefined) return found;
    throw new Refusal(403, 'InvalidVSwitchId.IpNotEnough', 'The specified VSwitch does not have enough IP addresses.');
  }

  #addressesTaken(vSwitchId: string): number {
    return this.#alive().filter((group) => group.vSwitch.id === vSwitchId).length;
  }

  #alive(): Group[] {
    return this.groups.filter((group) => !group.isEnded);
  }

  #vcpuInUse(): number {
    return this.#alive().reduce((sum, group) => sum + group.size.cpu, 0);
  }

  #forgetOld(): void {
    const cutMs = Date.now() - (this.#options.keepEndedMs ?? 3_600_000);
    const old = this.groups.filter((group) => group.endedAtMs !== undefined && group.endedAtMs < cutMs);
    for (const group of old.slice(0, -100)) this.#groups.delete(group.id);
  }

  #do(work: Promise<unknown>): void {
    const done = work
      .catch((error: unknown) => {
        this.#broken ??= error;
      })
      .finally(() => this.#work.delete(done));
    this.#work.add(done);
  }
}

function idsOf(text: string): string[] {
  try {
    const parsed: unknown = JSON.parse(text);
    if (Array.isArray(parsed) && parsed.length <= 20 && parsed.every((id) => typeof id === 'string')) return parsed;
  } catch {
    // Answered below.
  }
  throw new Refusal(400, 'InvalidParameter', 'ContainerGroupIds must be a JSON list of at most 20 ids.');
}

function decodeToken(token: string): string {
  return Buffer.from(token, 'base64url').toString();
}
