/** The dispatcher as a container group of Alibaba Cloud's Elastic Container Instance. Its ledger goes with the container. */
import { z } from 'zod';
import { Service } from '../../providers/ali-eci/calls.ts';
import { isAbsent } from '../../providers/ali-eci/errors.ts';
import { type GroupFilter, Groups } from '../../providers/ali-eci/groups.ts';
import type { AliEciOptions } from '../../providers/ali-eci/options.ts';
import { Rate } from '../../providers/ali-eci/rate.ts';
import { clientToken, flatten } from '../../providers/ali-eci/request.ts';
import type { ContainerGroup } from '../../providers/ali-eci/state.ts';
import { Deadlines } from '../../providers/kit/deadlines.ts';
import { ProviderError, type ProviderHost } from '../../providers/provider.ts';
import type { Deployed, Deployer, Deployment, DeploymentStatus, PlannedStep, Role, Tell } from '../deployer.ts';
import {
  CERTIFICATE_NOTE,
  DEPLOYMENT_TAG,
  deploymentHash,
  GAP,
  HASH_TAG,
  hasStarted,
  LEDGER_ENDS,
  lastLines,
  ROLE_TAG,
  schemeOf,
} from '../tags.ts';
import { CONTAINER, dispatcherParameters, groupName } from './request.ts';

const READY_WITHIN_MS = 15 * 60_000;
const GONE_WITHIN_MS = 5 * 60_000;
const LOOK_MS = 1_000;

const created = z.object({ ContainerGroupId: z.string().min(1) });
const anything = z.object({});
const log = z.object({ Content: z.string().nullish() });

export class AliEciDeployer implements Deployer {
  readonly #options: AliEciOptions;
  readonly #host: ProviderHost;
  readonly #service: Service;
  readonly #groups: Groups;

  constructor(options: AliEciOptions, host: ProviderHost) {
    this.#options = options;
    this.#host = host;
    this.#service = new Service(options, new Deadlines(host), new Rate(host, options.rateShare, options.timeoutMs));
    this.#groups = new Groups(this.#service, options.region);
  }

  async plan(deployment: Deployment, role: Role): Promise<readonly PlannedStep[]> {
    const what = `container group ${groupName(deployment.id)} in ${this.#options.region}`;
    const found = await this.#own(deployment.id);
    const [first] = found;
    if (first === undefined) return [{ action: 'create', what }];
    if (found.length === 1 && tagOf(first, HASH_TAG) === deploymentHash(deployment, role)) {
      return [{ action: 'keep', what }];
    }
    const why = 'the one that runs has another image, size or configuration; its ledger ends with it';
    return [{ action: 'replace', what, why }];
  }

  async apply(deployment: Deployment, role: Role, tell: Tell): Promise<Deployed> {
    const { id } = deployment;
    const name = groupName(id);
    const hash = deploymentHash(deployment, role);
    const found = await this.#own(id);
    const usable = found.filter(
      (group) => tagOf(group, HASH_TAG) === hash && group.Status !== 'Terminating' && failureOf(group) === undefined,
    );
    const [wanted] = usable;
    const others = found.filter((group) => group !== wanted);
    if (wanted !== undefined && others.length === 0 && (await this.#isReady(wanted))) {
      tell(`${name} runs as it should`);
      return { changed: false, ledgerNote: LEDGER_ENDS, ...addressOf(wanted, deployment) };
    }
    if (others.length > 0) {
      tell(`stopping ${name} in order, and removing it: its history goes with it, jobs that run do not; ${GAP}`);
      for (const other of others) await this.#delete(other.ContainerGroupId);
    }
    let group = wanted?.ContainerGroupId;
    if (group === undefined) {
      tell(`creating ${name}`);
      const token = clientToken(id, name, `${this.#host.now()} ${this.#host.random()}`);
      const { parameters, key } = dispatcherParameters(deployment, { role, hash, token }, this.#options);
      const hide = (): readonly string[] => [key, deployment.bundle];
      group = (await this.#service.call('CreateContainerGroup', parameters, created, hide)).ContainerGroupId;
    }
    tell('waiting until it is ready');
    const ready = await this.#whenReady(group);
    return { changed: true, ledgerNote: LEDGER_ENDS, ...addressOf(ready, deployment) };
  }

  async status(id: string): Promise<DeploymentStatus | undefined> {
    const [found] = await this.#own(id);
    if (found === undefined) return undefined;
    const message = failureOf(found);
    return {
      role: tagOf(found, ROLE_TAG) === 'drain' ? 'drain' : 'serve',
      state: isDrained(found)
        ? 'ended'
        : message !== undefined
          ? 'unhealthy'
          : (await this.#isReady(found))
            ? 'healthy'
            : 'starting',
      image: found.Containers?.[0]?.Image ?? '',
      hash: tagOf(found, HASH_TAG) ?? '',
      ...(message === undefined ? {} : { message }),
    };
  }

  async logs(id: string): Promise<string | undefined> {
    const [found] = await this.#own(id);
    return found === undefined ? undefined : this.#output(found.ContainerGroupId);
  }

  async remove(id: string, tell: Tell): Promise<void> {
    for (const { ContainerGroupId, ContainerGroupName } of await this.#own(id)) {
      tell(`removing ${ContainerGroupName}`);
      await this.#delete(ContainerGroupId);
    }
  }

  async left(id: string): Promise<readonly string[]> {
    const found = await this.#own(id);
    return found.map(({ ContainerGroupId }) => `container group ${ContainerGroupId} in ${this.#options.region}`);
  }

  async close(): Promise<void> {
    this.#service.close();
  }

  /** By the tag: names are not unique at this service. An empty answer is proved. Newest last. */
  async #own(id: string): Promise<readonly ContainerGroup[]> {
    return this.#described(
      { Tag: [{ Key: DEPLOYMENT_TAG, Value: id }] },
      (group) => tagOf(group, DEPLOYMENT_TAG) === id,
    );
  }

  async #described(filter: GroupFilter, fits: (group: ContainerGroup) => boolean): Promise<readonly ContainerGroup[]> {
    const groups = await this.#groups.describe(filter);
    if (groups.length === 0) await this.#groups.requireTrulyEmpty(filter);
    // Filtered again here, because the service ignores filters that it does not know.
    return groups.filter(fits);
  }

  async #withId(id: string): Promise<ContainerGroup | undefined> {
    const filter = { ContainerGroupIds: JSON.stringify([id]) };
    const [found] = await this.#described(filter, ({ ContainerGroupId }) => ContainerGroupId === id);
    return found;
  }

  /** The service sends SIGTERM. Resolves when the group is gone. */
  async #delete(id: string): Promise<void> {
    const endsAtMs = this.#host.now() + GONE_WITHIN_MS;
    for (;;) {
      const found = await this.#withId(id);
      if (found === undefined) return;
      if (this.#host.now() >= endsAtMs) {
        throw new ProviderError(
          'transient',
          'ali-eci DeleteContainerGroup',
          `the container group ${id} is still there`,
        );
      }
      if (found.Status !== 'Terminating') {
        const parameters = flatten({ RegionId: this.#options.region, ContainerGroupId: id });
        await this.#service.call('DeleteContainerGroup', parameters, anything).catch((error: unknown) => {
          if (!isAbsent(error)) throw error;
        });
      }
      await this.#host.sleep(LOOK_MS);
    }
  }

  async #whenReady(id: string): Promise<ContainerGroup> {
    const endsAtMs = this.#host.now() + READY_WITHIN_MS;
    for (;;) {
      // A list may not show yet what was created just now.
      const [found] = (await this.#groups.describe({ ContainerGroupIds: JSON.stringify([id]) })).filter(
        ({ ContainerGroupId }) => ContainerGroupId === id,
      );
      if (found !== undefined && (await this.#isReady(found))) return found;
      const failure = found === undefined ? undefined : failureOf(found);
      if (failure !== undefined || this.#host.now() >= endsAtMs) {
        const why = failure ?? `it was not ready within ${READY_WITHIN_MS / 60_000} minutes`;
        const output = await this.#output(id).catch(() => '');
        const words = `the dispatcher does not run: ${why}. ${lastLines(output)}`;
        throw new ProviderError('invalid', 'ali-eci start', words);
      }
      await this.#host.sleep(LOOK_MS);
    }
  }

  async #isReady(group: ContainerGroup): Promise<boolean> {
    if (isDrained(group)) return true;
    return group.Status === 'Running' && hasStarted(await this.#output(group.ContainerGroupId));
  }

  async #output(id: string): Promise<string> {
    const parameters = flatten({
      RegionId: this.#options.region,
      ContainerGroupId: id,
      ContainerName: CONTAINER,
      Tail: 2000,
      LimitBytes: 1024 * 1024,
    });
    const { Content } = await this.#service.call('DescribeContainerLog', parameters, log);
    return Content ?? '';
  }
}

function tagOf(group: ContainerGroup, key: string): string | undefined {
  return group.Tags?.find(({ Key }) => Key === key)?.Value;
}

function isDrained(group: ContainerGroup): boolean {
  return tagOf(group, ROLE_TAG) === 'drain' && group.Status === 'Succeeded';
}

/** Why it does not run; undefined if it does, or may still start. */
function failureOf(group: ContainerGroup): string | undefined {
  if (isDrained(group)) return undefined;
  const current = group.Containers?.[0]?.CurrentState;
  const warning = group.Events?.findLast(({ Type }) => Type === 'Warning');
  const said = warning === undefined ? '' : `: ${warning.Reason} ${warning.Message}`;
  if (['Failed', 'Succeeded', 'ScheduleFailed', 'Expired'].includes(group.Status)) {
    const code = current?.ExitCode;
    return code === undefined ? `the service says ${group.Status}${said}` : `it ended with ${code}`;
  }
  if (/^(ErrImagePull|ImagePullBackOff|InvalidImageName)$/.test(current?.Reason ?? '')) {
    return `its image cannot be pulled: ${current?.Message ?? ''}`;
  }
  return current?.Reason === 'CrashLoopBackOff' ? 'it ends again and again' : undefined;
}

function addressOf(group: ContainerGroup, { listenPort, speaksTls }: Deployment): Pick<Deployed, 'url' | 'urlNote'> {
  const isPublic = group.InternetIp !== undefined && group.InternetIp !== null && group.InternetIp !== '';
  return {
    url: `${schemeOf(speaksTls)}://${isPublic ? group.InternetIp : (group.IntranetIp ?? 'ADDRESS')}:${listenPort}`,
    urlNote: [
      speaksTls === true
        ? `${CERTIFICATE_NOTE} The address is another one after an update.`
        : 'The service brings no TLS, and the address is another one after an update: put a load balancer in front, and give GitHub its address.',
      ...(isPublic ? [] : ['`publicAddress` of the backend would give it an address that the internet reaches.']),
    ].join(' '),
  };
}
