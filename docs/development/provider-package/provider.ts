/** The contract, kept: see providers/README.md of serverless-hosted-runner for what each method promises. */
import { refuseWish, roundUp } from 'serverless-hosted-runner/kit/wish';
import {
  type Capabilities,
  type CheckedUse,
  type Finding,
  type Fit,
  type Instance,
  type InstanceRef,
  type LaunchRequest,
  type Provider,
  ProviderError,
  type ShapeWish,
} from 'serverless-hosted-runner/provider';
import { type Container, connect, type Service } from './service.js';

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

export class AcmeProvider implements Provider {
  readonly capabilities: Capabilities = {
    architectures: ['x64'],
    spot: false,
    dockerInDocker: false,
    disk: false,
    bucket: false,
    subnet: false,
    securityGroup: false,
    logs: true,
    secretEnvironment: true,
  };
  readonly #endpoint: string;
  readonly #command: readonly string[];

  constructor(endpoint: string, command: readonly string[]) {
    this.#endpoint = endpoint;
    this.#command = command;
  }

  fit(wish: ShapeWish): Fit {
    const refusal = refuseWish(wish, this.capabilities);
    if (refusal !== undefined) return { fits: false, reason: refusal };
    const cpu = roundUp(wish.cpu ?? 1, 1);
    return { fits: true, shape: { ...wish, cpu, memoryGiB: roundUp(wish.memoryGiB ?? 2 * cpu, 2) } };
  }

  async launch(request: LaunchRequest): Promise<Instance> {
    const operation = 'acme launch';
    holdName(request.name, operation);
    const refusal = refuseWish(request.shape, this.capabilities);
    if (refusal !== undefined) throw new ProviderError('invalid', operation, refusal);
    const service = await this.#reach(operation);
    const known = service.find(request.name);
    if (known !== undefined) {
      if (known.tags.dispatcher === request.tags.dispatcher && known.tags.runner === request.name) return seen(known);
      throw new ProviderError('conflict', operation, `${request.name} belongs to something else`);
    }
    try {
      const environment = { ...request.environment, ...request.secretEnvironment };
      return seen(await service.start(request.name, this.#command, environment, request.tags));
    } catch (error) {
      throw new ProviderError('invalid', operation, 'the command cannot be started', { cause: error });
    }
  }

  async inspect(ref: InstanceRef): Promise<Instance | undefined> {
    const container = await this.#ours(ref, 'acme inspect');
    return container === undefined ? undefined : seen(container);
  }

  async list({ dispatcher }: { readonly dispatcher: string }): Promise<readonly Instance[]> {
    return (await this.#reach('acme list'))
      .all()
      .filter(({ tags }) => tags.dispatcher === dispatcher)
      .map(seen);
  }

  async stop(ref: InstanceRef): Promise<void> {
    const container = await this.#ours(ref, 'acme stop');
    if (container !== undefined) await (await this.#reach('acme stop')).remove(container);
  }

  async logs(ref: InstanceRef): Promise<string | undefined> {
    return (await this.#ours(ref, 'acme logs'))?.output;
  }

  async check(use?: CheckedUse): Promise<readonly Finding[]> {
    try {
      await this.#reach('acme check');
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return [{ subject: 'engine', ok: false, message, cure: 'Correct `endpoint`.' }];
    }
    return [
      { subject: 'engine', ok: true, message: 'programs run on this machine' },
      ...(use?.images ?? []).map(({ reference }): Finding => {
        return {
          subject: 'image',
          ok: true,
          note: true,
          message: `${reference} is not used: programs run without one`,
        };
      }),
    ];
  }

  async close(): Promise<void> {}

  async #reach(operation: string): Promise<Service> {
    try {
      return await connect(this.#endpoint);
    } catch (error) {
      throw new ProviderError('transient', operation, `${this.#endpoint} does not answer`, { cause: error });
    }
  }

  async #ours({ name, id }: InstanceRef, operation: string): Promise<Container | undefined> {
    holdName(name, operation);
    const container = (await this.#reach(operation)).find(name);
    if (container === undefined || container.tags.runner !== name) return undefined;
    return id === undefined || container.id === id ? container : undefined;
  }
}

function holdName(name: string, operation: string): void {
  if (!NAME.test(name)) throw new ProviderError('invalid', operation, `${JSON.stringify(name)} is not a name`);
}

function seen({ name, id, tags, exitCode }: Container): Instance {
  const known = { ref: { name, id }, tags };
  if (exitCode === undefined) return { ...known, state: 'running' };
  const reason = { kind: 'exited', message: `exit code ${exitCode}`, exitCode } as const;
  return { ...known, state: exitCode === 0 ? 'succeeded' : 'failed', reason };
}
