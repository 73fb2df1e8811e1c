/** The dispatcher as a service of Cloud Run with exactly one instance. Its ledger goes with the instance. */
import type { CloudRunOptions } from '../../providers/gcp-cloud-run/options.ts';
import { hasCode } from '../../providers/google/errors.ts';
import { ProviderError, type ProviderHost } from '../../providers/provider.ts';
import {
  type Deployed,
  type Deployer,
  type Deployment,
  DeploymentRefused,
  type DeploymentStatus,
  type PlannedStep,
  type Role,
  type Tell,
} from '../deployer.ts';
import { deploymentHash, GAP, hasDrained, LEDGER_ENDS, lastLines } from '../tags.ts';
import { RunServices, type ServiceAnswer } from './calls.ts';
import { DEPLOYMENT_LABEL, HASH_LABEL, labelsOf, ROLE_LABEL, serviceFor, serviceId } from './request.ts';

const READY_WITHIN_MS = 10 * 60_000;
const GONE_WITHIN_MS = 5 * 60_000;
const LOOK_MS = 1_000;
const LOG_ARRIVES_WITHIN_MS = 60_000;
/** Of a version of a secret. */
const MAX_SECRET_BYTES = 65_536;

export class CloudRunDeployer implements Deployer {
  readonly #serviceAccount: string | undefined;
  readonly #runnersAccount: string;
  readonly #options: CloudRunOptions;
  readonly #host: ProviderHost;
  readonly #services: RunServices;

  constructor(options: CloudRunOptions, serviceAccount: string | undefined, host: ProviderHost) {
    this.#options = options;
    this.#serviceAccount = serviceAccount;
    this.#runnersAccount = options.serviceAccount;
    this.#host = host;
    this.#services = new RunServices(options, host);
  }

  async plan(deployment: Deployment, role: Role): Promise<readonly PlannedStep[]> {
    this.#account();
    const what = `service ${serviceId(deployment.id)} and its secret in ${this.#options.project}`;
    const found = await this.#own(deployment.id);
    if (found === undefined) return [{ action: 'create', what }];
    if (found.labels?.[HASH_LABEL] === deploymentHash(deployment, role)) return [{ action: 'keep', what }];
    const why = 'the one that runs has another image, size or configuration; its ledger ends with it';
    return [{ action: 'replace', what, why }];
  }

  async apply(deployment: Deployment, role: Role, tell: Tell): Promise<Deployed> {
    const { id, bundle } = deployment;
    const name = serviceId(id);
    const reader = this.#account();
    if (deployment.speaksTls === true) {
      throw new DeploymentRefused(
        'Cloud Run brings TLS itself, and speaks plain HTTP to the dispatcher',
        'Remove `listen.public.tls` from dispatcher.yaml.',
      );
    }
    if (bundle.length > MAX_SECRET_BYTES) {
      throw new DeploymentRefused(
        `the configuration has ${bundle.length} bytes when packed, and a secret has ${MAX_SECRET_BYTES}`,
        'Deploy fewer registrations with this dispatcher, or choose another target.',
      );
    }
    const hash = deploymentHash(deployment, role);
    const found = await this.#own(id);
    const isWanted = found !== undefined && found.labels?.[HASH_LABEL] === hash && !isDeleting(found);
    if (isWanted && (await this.#isReady(found))) {
      tell(`${name} runs as it should`);
      return { changed: false, ledgerNote: LEDGER_ENDS, ...addressOf(found) };
    }
    const starts = isWanted && found.terminalCondition?.state !== 'CONDITION_FAILED';
    if (!starts) {
      if (found !== undefined) {
        tell(`stopping ${name} in order, and removing it: its history goes with it, jobs that run do not; ${GAP}`);
        await this.#delete(name);
      }
      tell(`creating ${name} and its secret`);
      await this.#services.deleteSecret(name);
      const labels = labelsOf(id, { role, hash });
      const version = await this.#services.createSecret(name, { labels, text: bundle, reader });
      const revision = `${name}-${hash.slice(0, 6)}-${this.#host.now().toString(36)}`;
      const plan = { role, hash, version, revision, serviceAccount: reader };
      await this.#services.create(name, serviceFor(deployment, plan, this.#options));
    }
    tell('waiting until it is ready');
    return { changed: true, ledgerNote: LEDGER_ENDS, ...addressOf(await this.#whenReady(id)) };
  }

  async status(id: string): Promise<DeploymentStatus | undefined> {
    const found = await this.#own(id);
    if (found === undefined) return undefined;
    const isFailed = found.terminalCondition?.state === 'CONDITION_FAILED';
    const message = found.terminalCondition?.message ?? '';
    const ended = await this.#isDrained(found);
    return {
      role: isDrain(found) ? 'drain' : 'serve',
      state: ended ? 'ended' : isFailed ? 'unhealthy' : (await this.#isReady(found)) ? 'healthy' : 'starting',
      image: found.template?.containers?.[0]?.image ?? '',
      hash: found.labels?.[HASH_LABEL] ?? '',
      ...(isFailed && !ended ? { message } : {}),
    };
  }

  async logs(id: string): Promise<string | undefined> {
    const found = await this.#own(id);
    return found === undefined ? undefined : this.#output(found);
  }

  async remove(id: string, tell: Tell): Promise<void> {
    const name = serviceId(id);
    if ((await this.#own(id)) !== undefined) {
      tell(`removing the service ${name}`);
      await this.#delete(name);
    }
    for (const secret of await this.#services.secrets(DEPLOYMENT_LABEL, id)) {
      tell(`removing the secret ${secret}`);
      await this.#services.deleteSecret(secret);
    }
  }

  async left(id: string): Promise<readonly string[]> {
    const services = (await this.#services.list()).filter(({ labels }) => labels?.[DEPLOYMENT_LABEL] === id);
    const secrets = await this.#services.secrets(DEPLOYMENT_LABEL, id);
    return [...services.map(({ name }) => `service ${name}`), ...secrets.map((name) => `secret ${name}`)];
  }

  async close(): Promise<void> {
    await this.#services.close();
  }

  /** Whom the secret is shown to: jobs act by the runners' account. */
  #account(): string {
    const account = this.#serviceAccount;
    if (account !== undefined && account !== this.#runnersAccount) return account;
    throw new DeploymentRefused(
      account === undefined
        ? 'it does not say as which service account the dispatcher runs'
        : `${account} is the account of the runners, whose jobs could then read the dispatcher's secrets`,
      'Create one without roles, and name it with --service-account.',
    );
  }

  /** Undefined if there is none. Rejects if the name is taken by something else. */
  async #own(id: string): Promise<ServiceAnswer | undefined> {
    const name = serviceId(id);
    const found = await this.#services.get(name);
    if (found === undefined || found.labels?.[DEPLOYMENT_LABEL] === id) return found;
    const words = `the service ${name} is not a dispatcher of ours: remove or rename it`;
    throw new ProviderError('conflict', 'gcp-cloud-run GetService', words);
  }

  /** The service sends SIGTERM. Resolves when the name is free. */
  async #delete(name: string): Promise<void> {
    const endsAtMs = this.#host.now() + GONE_WITHIN_MS;
    for (;;) {
      const found = await this.#services.get(name);
      if (found === undefined) return;
      if (this.#host.now() >= endsAtMs) {
        throw new ProviderError('transient', 'gcp-cloud-run DeleteService', `the service ${name} is still there`);
      }
      if (!isDeleting(found)) {
        await this.#services.delete(name).catch((error: unknown) => {
          // Another operation is in progress.
          if (!hasCode(error, 'ABORTED')) throw error;
        });
      }
      await this.#host.sleep(LOOK_MS);
    }
  }

  async #whenReady(id: string): Promise<ServiceAnswer> {
    const endsAtMs = this.#host.now() + READY_WITHIN_MS;
    let failedAtMs: number | undefined;
    for (;;) {
      const found = await this.#own(id);
      if (found === undefined) {
        throw new ProviderError('transient', 'gcp-cloud-run GetService', `${serviceId(id)} was removed meanwhile`);
      }
      if (await this.#isReady(found)) return found;
      const { state, message } = found.terminalCondition ?? {};
      const isFailed = state === 'CONDITION_FAILED';
      if (isFailed) failedAtMs ??= this.#host.now();
      // A drain with nothing to wait for ends before it listens; its log comes later.
      const failed = isFailed && (!isDrain(found) || this.#host.now() >= (failedAtMs ?? 0) + LOG_ARRIVES_WITHIN_MS);
      if (failed || this.#host.now() >= endsAtMs) {
        const why = failed ? (message ?? '') : `it was not ready within ${READY_WITHIN_MS / 60_000} minutes`;
        const output = await this.#output(found).catch(() => '');
        const words = `the dispatcher does not run: ${why} ${lastLines(output)}`;
        throw new ProviderError('invalid', 'gcp-cloud-run start', words);
      }
      await this.#host.sleep(LOOK_MS);
    }
  }

  /** The service itself waits until it listens. A drain may have ended before. */
  async #isReady(found: ServiceAnswer): Promise<boolean> {
    if (isDeleting(found)) return false;
    return found.terminalCondition?.state === 'CONDITION_SUCCEEDED' || (await this.#isDrained(found));
  }

  async #isDrained(found: ServiceAnswer): Promise<boolean> {
    return isDrain(found) && hasDrained(await this.#output(found));
  }

  #output({ latestCreatedRevision }: ServiceAnswer): Promise<string> {
    return this.#services.logs(latestCreatedRevision.slice(latestCreatedRevision.lastIndexOf('/') + 1));
  }
}

function isDrain({ labels }: ServiceAnswer): boolean {
  return labels?.[ROLE_LABEL] === 'drain';
}

function isDeleting({ deleteTime }: ServiceAnswer): boolean {
  return deleteTime !== undefined && deleteTime !== null;
}

function addressOf({ uri }: ServiceAnswer): Pick<Deployed, 'url'> {
  return { url: uri };
}
