/** The dispatcher as a container group of Azure Container Instances. Its ledger goes with the container. */
import { Service } from '../../providers/azure-aci/calls.ts';
import type { AzureAciOptions } from '../../providers/azure-aci/options.ts';
import { type Group, isDeleting } from '../../providers/azure-aci/state.ts';
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
import { CONTAINER, dispatcherGroup, groupName } from './request.ts';

/** A pull of a large image takes minutes. */
const READY_WITHIN_MS = 15 * 60_000;
const GONE_WITHIN_MS = 5 * 60_000;
const LOOK_MS = 1_000;

export class AzureAciDeployer implements Deployer {
  readonly #options: AzureAciOptions;
  readonly #host: ProviderHost;
  readonly #service: Service;
  readonly #lookMs: number;

  constructor(options: AzureAciOptions, host: ProviderHost, lookMs = LOOK_MS) {
    this.#options = options;
    this.#host = host;
    this.#service = new Service(options, host);
    this.#lookMs = lookMs;
  }

  async plan(deployment: Deployment, role: Role): Promise<readonly PlannedStep[]> {
    const what = `container group ${groupName(deployment.id)} in ${this.#options.resourceGroup}`;
    const found = await this.#own(deployment.id);
    if (found === undefined) return [{ action: 'create', what }];
    if (tagOf(found, HASH_TAG) === deploymentHash(deployment, role)) return [{ action: 'keep', what }];
    const why = 'the one that runs has another image, size or configuration; its ledger ends with it';
    return [{ action: 'replace', what, why }];
  }

  async apply(deployment: Deployment, role: Role, tell: Tell): Promise<Deployed> {
    const name = groupName(deployment.id);
    const hash = deploymentHash(deployment, role);
    const found = await this.#own(deployment.id);
    const isWanted = found !== undefined && tagOf(found, HASH_TAG) === hash && !isDeleting(found);
    if (isWanted && (await this.#isReady(found))) {
      tell(`${name} runs as it should`);
      return { changed: false, ledgerNote: LEDGER_ENDS, ...addressOf(found, deployment) };
    }
    // One with this hash that is not ready may be starting still.
    if (found !== undefined && !(isWanted && failureOf(found) === undefined)) {
      tell(`stopping ${name} in order, and removing it: its history goes with it, jobs that run do not; ${GAP}`);
      await this.#delete(name);
    }
    if (found === undefined || !isWanted || failureOf(found) !== undefined) {
      tell(`creating ${name}`);
      const body = dispatcherGroup(deployment, { role, hash }, this.#options);
      await this.#service.reserve();
      await this.#service.create(name, body, [deployment.bundle]);
    }
    tell('waiting until it is ready');
    const ready = await this.#whenReady(deployment.id);
    return { changed: true, ledgerNote: LEDGER_ENDS, ...addressOf(ready, deployment) };
  }

  async status(id: string): Promise<DeploymentStatus | undefined> {
    const found = await this.#own(id);
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
      image: found.containers?.[0]?.image ?? '',
      hash: tagOf(found, HASH_TAG) ?? '',
      ...(message === undefined ? {} : { message }),
    };
  }

  async logs(id: string): Promise<string | undefined> {
    return (await this.#own(id)) === undefined ? undefined : this.#output(groupName(id));
  }

  async remove(id: string, tell: Tell): Promise<void> {
    if ((await this.#own(id)) === undefined) return;
    const name = groupName(id);
    tell(`removing ${name}`);
    await this.#delete(name);
  }

  async left(id: string): Promise<readonly string[]> {
    const groups = await this.#service.list();
    return groups
      .filter((group) => tagOf(group, DEPLOYMENT_TAG) === id)
      .map(({ name }) => `container group ${name} in ${this.#options.resourceGroup}`);
  }

  async close(): Promise<void> {}

  /** Undefined if there is none. Rejects if the name is taken by something else. */
  async #own(id: string): Promise<Group | undefined> {
    const name = groupName(id);
    const found = await this.#service.get(name);
    if (found === undefined || tagOf(found, DEPLOYMENT_TAG) === id) return found;
    const words = `the container group ${name} is not a dispatcher of ours: remove or rename it`;
    throw new ProviderError('conflict', 'azure-aci get', words);
  }

  /** Sends SIGTERM, and resolves when the name is free. */
  async #delete(name: string): Promise<void> {
    const endsAtMs = this.#host.now() + GONE_WITHIN_MS;
    for (;;) {
      const found = await this.#service.get(name);
      if (found === undefined) return;
      if (this.#host.now() >= endsAtMs) {
        const words = `the container group ${name} is still there`;
        throw new ProviderError('transient', 'azure-aci delete', words);
      }
      if (!isDeleting(found)) {
        await this.#service.delete(name).catch((error: unknown) => {
          // Another operation is in progress.
          if (!(error instanceof ProviderError) || error.kind !== 'transient') throw error;
        });
      }
      await this.#host.sleep(this.#lookMs);
    }
  }

  async #whenReady(id: string): Promise<Group> {
    const endsAtMs = this.#host.now() + READY_WITHIN_MS;
    const name = groupName(id);
    for (;;) {
      const found = await this.#own(id);
      if (found === undefined) throw new ProviderError('transient', 'azure-aci get', `${name} was removed meanwhile`);
      if (isDrained(found) || (await this.#isReady(found))) return found;
      const failure = failureOf(found);
      if (failure !== undefined || this.#host.now() >= endsAtMs) {
        const why = failure ?? `it was not ready within ${READY_WITHIN_MS / 60_000} minutes`;
        const output = await this.#output(name).catch(() => '');
        const words = `the dispatcher does not run: ${why}. ${lastLines(output)}`;
        throw new ProviderError('invalid', 'azure-aci start', words);
      }
      await this.#host.sleep(this.#lookMs);
    }
  }

  async #isReady(group: Group): Promise<boolean> {
    if (isDrained(group)) return true;
    const isRunning = group.containers?.[0]?.instanceView?.currentState?.state === 'Running';
    return isRunning && !isDeleting(group) && hasStarted(await this.#output(group.name));
  }

  async #output(name: string): Promise<string> {
    try {
      return await this.#service.logs(name, CONTAINER);
    } catch (error) {
      // There is none before the container has started.
      if (error instanceof ProviderError && error.code === 'ContainerLogNotAvailable') return '';
      throw error;
    }
  }
}

function tagOf(group: Group, name: string): string | undefined {
  // Azure may return names in a different case.
  return Object.entries(group.tags ?? {}).find(([key]) => key.toLowerCase() === name)?.[1];
}

function endOf(group: Group): number | undefined {
  const current = group.containers?.[0]?.instanceView?.currentState;
  return current?.state === 'Terminated' ? (current.exitCode ?? undefined) : undefined;
}

function isDrained(group: Group): boolean {
  return tagOf(group, ROLE_TAG) === 'drain' && endOf(group) === 0;
}

/** Why it does not run; undefined if it does, or may still start. */
function failureOf(group: Group): string | undefined {
  if (isDrained(group) || isDeleting(group)) return undefined;
  const view = group.containers?.[0]?.instanceView;
  const events = [...(group.instanceView?.events ?? []), ...(view?.events ?? [])];
  const last = events.findLast(({ type }) => type === 'Warning')?.message ?? '';
  const code = endOf(group);
  if (code !== undefined) return `it ended with ${code}`;
  if (group.provisioningState === 'Failed') return `the service failed to create it${last === '' ? '' : `: ${last}`}`;
  if (/ImagePullBackOff|ErrImagePull/.test(view?.currentState?.detailStatus ?? ''))
    return last || 'its image cannot be pulled';
  if (view?.currentState?.detailStatus === 'CrashLoopBackOff') return 'it ends again and again';
  return undefined;
}

function addressOf(group: Group, { listenPort, speaksTls }: Deployment): Pick<Deployed, 'url' | 'urlNote'> {
  const host = group.ipAddress?.fqdn ?? group.ipAddress?.ip ?? 'ADDRESS';
  return {
    url: `${schemeOf(speaksTls)}://${host}:${listenPort}`,
    urlNote:
      speaksTls === true
        ? CERTIFICATE_NOTE
        : 'The service brings no TLS: put something that speaks it in front (Application Gateway, Front Door), and give GitHub that address.',
  };
}
