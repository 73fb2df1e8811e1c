/** The contract between `shr deploy` and a place where a dispatcher can run. */
import type { ProviderError, ProviderHost } from '../providers/provider.ts';

/** A dispatcher as it should run. */
export interface Deployment {
  /** The dispatcher's id, and the name of the deployment: one place has one dispatcher of an id. */
  readonly id: string;
  readonly image: string;
  /** The configuration with its secrets: a file that only the dispatcher can read, never a variable, word or tag. */
  readonly bundle: string;
  /** Changes with everything that the bundle says, and tells nothing of it: see `deploymentHash`. */
  readonly bundleHash: string;
  readonly cpu: number;
  readonly memoryGiB: number;
  /** Where the dispatcher listens for webhooks inside its container. */
  readonly listenPort: number;
  /** Present if it speaks TLS there itself. */
  readonly speaksTls?: true;
  /** Of the admin listener, for the health check. */
  readonly adminPort: number;
  /** The port that webhooks come to from outside. */
  readonly publicPort: number;
  /** Between SIGTERM and SIGKILL. */
  readonly stopGraceS: number;
  /** Present if the dispatcher starts jobs on the Docker engine of the machine that it runs on. */
  readonly engineSocket?: EngineSocket;
}

export interface EngineSocket {
  /** On the machine. */
  readonly source: string;
  /** Where the dispatcher looks for it. */
  readonly target: string;
}

/** `drain`: launches nothing, and ends when nothing of it runs any more. */
export type Role = 'serve' | 'drain';

/** One thing that `apply` would do. */
export interface PlannedStep {
  readonly action: 'create' | 'replace' | 'keep' | 'remove' | 'pull';
  readonly what: string;
  readonly why?: string;
}

export interface Deployed {
  /** False: everything was as it should be. */
  readonly changed: boolean;
  /** Where webhooks reach it, without a path. */
  readonly url: string;
  /** What to know about that address, such as who must bring TLS. */
  readonly urlNote?: string;
  /** What is lost with the container, and what is not. */
  readonly ledgerNote: string;
}

export interface DeploymentStatus {
  readonly role: Role;
  /** `starting`: not healthy yet. `ended`: a drain that is complete. */
  readonly state: 'starting' | 'healthy' | 'unhealthy' | 'ended' | 'stopped';
  readonly image: string;
  readonly hash: string;
  /** The service's own words. */
  readonly message?: string;
  /** What people type to run a command of `shr` in the dispatcher's container, where its own files hold the token. */
  readonly askWith?: string;
}

/** A line for people, when something begins or takes long. */
export type Tell = (line: string) => void;

/**
 * Deploys to one place under one account. It keeps no state of its own: deployments are found by their tags. Every method may be
 * repeated after an interruption, and finishes what the earlier call began. Rejects with a ProviderError, or with
 * DeploymentRefused where the input cannot work.
 */
export interface Deployer {
  /** Changes nothing. */
  plan(deployment: Deployment, role: Role): Promise<readonly PlannedStep[]>;
  /**
   * Resolves when the dispatcher is healthy; one in the role `drain` may have ended. The one before was stopped with
   * SIGTERM, and had its grace period. If the new one does not become healthy, the one before is started again.
   */
  apply(deployment: Deployment, role: Role, tell: Tell): Promise<Deployed>;
  /** Undefined if nothing of this id is deployed. */
  status(id: string): Promise<DeploymentStatus | undefined>;
  /** The dispatcher's last output; undefined if nothing is deployed. */
  logs(id: string): Promise<string | undefined>;
  /**
   * What a command of `shr` prints in the dispatcher's container, which needs no token from here. Undefined where nothing
   * runs, or it fails. Absent where the service lets no command in.
   */
  ask?(id: string, words: readonly string[]): Promise<string | undefined>;
  /** Stops the dispatcher in order, and removes everything that carries the deployment's tag. */
  remove(id: string, tell: Tell): Promise<void>;
  /** The names of everything that carries the deployment's tag. */
  left(id: string): Promise<readonly string[]>;
  /** What to do about a failure, where the place knows better than the kind of the error tells. */
  cure?(error: ProviderError): string | undefined;
  close(): Promise<void>;
}

export interface TargetWish {
  /** Parsed by the provider's own schema: the account, and where in it. */
  readonly options: unknown;
  readonly network?: string;
  /** The identity of the dispatcher's container, where a service gives it one. */
  readonly serviceAccount?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The default export of `deployers/<kind>/index.ts`. */
export interface DeployerModule {
  create(wish: TargetWish, host: ProviderHost): Deployer;
  /** The engine's socket, where a backend with these options uses one of the dispatcher's own machine. */
  engineSocket?(options: unknown, environment: TargetWish['environment']): EngineSocket | undefined;
}

/** The input cannot work; nothing was changed. */
export class DeploymentRefused extends Error {
  readonly cure: string;
  constructor(message: string, cure: string) {
    super(message);
    this.name = 'DeploymentRefused';
    this.cure = cure;
  }
}
