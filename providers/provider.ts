/**
 * The provider contract: what the dispatcher asks of a container service, and what it may rely on.
 *
 * A provider imports this file and its vendor's SDK, nothing of the dispatcher. How to write one: providers/README.md.
 */
import type { z } from 'zod';

export type Architecture = 'x64' | 'arm64';

/** What a job may wish for. A missing `cpu` or `memoryGiB` lets the service choose the one that goes with the other. */
export interface ShapeWish {
  /** Cores, in the service's own steps after `fit` (`0.5` is half a core). */
  readonly cpu?: number;
  readonly memoryGiB?: number;
  readonly architecture: Architecture;
  /** A full image reference, as the service pulls it. */
  readonly image: string;
  /** Scratch disk at the work folder. */
  readonly diskGiB?: number;
  /** A bucket (or share) mounted at the work folder, under `bucketPrefix`. */
  readonly bucket?: string;
  readonly bucketPrefix?: string;
  readonly subnet?: string;
  readonly securityGroup?: string;
  /** The dispatcher has honoured it by its choice of the backend; a provider that serves several regions may use it. */
  readonly region?: string;
  readonly spot: boolean;
  readonly dockerInDocker: boolean;
  /** The longest life of the instance. Services that enforce one get it; else the dispatcher enforces it. */
  readonly timeLimitMs?: number;
}

/** A wish after `fit`: what will really run, and be billed. */
export interface Shape extends ShapeWish {
  readonly cpu: number;
  readonly memoryGiB: number;
}

export type Fit =
  | {
      readonly fits: true;
      readonly shape: Shape;
      /** In words, when it is more than was wished: "1 core becomes 2: …". */
      readonly note?: string;
    }
  | {
      readonly fits: false;
      /** Why, naming the nearest valid size where there is one. */
      readonly reason: string;
    };

export interface Capabilities {
  readonly architectures: readonly Architecture[];
  readonly spot: boolean;
  readonly dockerInDocker: boolean;
  readonly disk: boolean;
  readonly bucket: boolean;
  readonly subnet: boolean;
  readonly securityGroup: boolean;
  readonly logs: boolean;
  /**
   * True where somebody who may look at an instance (list, describe, inspect) does not see the JIT configuration.
   * Where it is false it still shows in no list, tag, command line or URL.
   */
  readonly secretEnvironment: boolean;
  /** What the service itself enforces at the most; undefined where the dispatcher must do it. */
  readonly longestLifeMs?: number;
}

/**
 * Tags that every instance carries, so that a dispatcher with an empty ledger can adopt it.
 * A service with a narrower alphabet encodes them reversibly: `list` gives them back as they were.
 */
export interface InstanceTags {
  /** The dispatcher's id; `list` filters by it. */
  readonly dispatcher: string;
  readonly registration: string;
  readonly lane: string;
  /** Where it registers at GitHub, as a path: `orgs/acme`, `repos/acme/web`, `enterprises/acme`. */
  readonly scope: string;
  /** The runner's name, equal to the instance's name. */
  readonly runner: string;
  /** Of the dispatcher's process that launched it, another at each start. Absent: an older version launched it. */
  readonly incarnation?: string;
  readonly createdAtMs: number;
  /** Nobody without a ledger row stops the instance before this time. */
  readonly deadlineAtMs: number;
  /** The tenant's own tags (cost centre and the like). */
  readonly charge: Readonly<Record<string, string>>;
}

export interface LaunchRequest {
  /** `[a-z0-9-]`, at most 63 characters. The idempotency key: two launches with one name give one instance. */
  readonly name: string;
  /**
   * True where the caller made this name up and every launch of it so far was a definite refusal other than `conflict`: then
   * nothing has it, and an adapter may create without looking first. A promise: where it is false, one name may get two
   * instances. After a `transient` it no longer holds.
   */
  readonly nameIsNew?: boolean;
  readonly shape: Shape;
  readonly tags: InstanceTags;
  readonly environment: Readonly<Record<string, string>>;
  /**
   * Among them the JIT configuration. Never in argv, a URL, a tag or what `list` returns.
   * A blob of `ACTIONS_RUNNER_INPUT_JITCONFIG` has about 4 KB.
   */
  readonly secretEnvironment: Readonly<Record<string, string>>;
}

/** How the dispatcher names an instance: its own name always, the service's id once it is known. */
export interface InstanceRef {
  readonly name: string;
  readonly id?: string;
}

/** `unknown` is an answer that the adapter cannot read; it never means "gone". */
export type InstanceState = 'pending' | 'running' | 'succeeded' | 'failed' | 'unknown';

export type EndKind =
  | 'exited'
  | 'out-of-memory'
  | 'spot-reclaimed'
  | 'image-pull-failed'
  | 'no-stock'
  | 'time-limit'
  | 'stopped'
  | 'unknown';

export interface InstanceReason {
  readonly kind: EndKind;
  /** The service's own words. */
  readonly message: string;
  /** 128 + signal where a signal ended it. Of the container's first process: 0 of a runner proves nothing about its job. */
  readonly exitCode?: number;
}

export interface Instance {
  readonly ref: InstanceRef & { readonly id: string };
  readonly state: InstanceState;
  /**
   * Why it ended or does not start, as far as the service says. `out-of-memory` can come with `succeeded` or `running`:
   * a step of the job was killed, and the runner went on.
   */
  readonly reason?: InstanceReason;
  /** Undefined where `inspect` of this service does not tell; `list` always does. */
  readonly tags?: InstanceTags;
}

export interface Finding {
  readonly subject: 'credentials' | 'network' | 'image' | 'quota' | 'permissions' | 'region' | 'engine';
  readonly ok: boolean;
  readonly message: string;
  /** What to do; present when `ok` is false. */
  readonly cure?: string;
}

/** An image that jobs may get. It is well where it is there for one of these architectures: labels choose among them. */
export interface ImageUse {
  /** As in a wish. */
  readonly reference: string;
  readonly architectures: readonly Architecture[];
}

/** What a check is told of its registration. */
export interface CheckedUse {
  /** At most MAX_IMAGES are looked at; who has more says what was left out. */
  readonly images: readonly ImageUse[];
}

/** Sorted by what follows from it, not by what the service calls it. The verdicts: DESIGN, "Provider contract". */
export type ProviderErrorKind =
  /** No stock, zone full: the next backend now. */
  | 'capacity'
  /** The account's limit: the next backend; shown to the tenant. */
  | 'quota'
  /** Same backend after `retryAfterMs`. */
  | 'throttled'
  /** 5xx, timeout, reset: it may have taken effect. Look (`inspect`) before repeating. */
  | 'transient'
  /** The backend is closed until its credentials are mended. */
  | 'unauthorized'
  /** Image, shape or network unknown to the service: the jobs are refused with its words. */
  | 'invalid'
  /** Something that is not ours has the name. */
  | 'conflict';

/** Shared by every copy of this contract: a provider of an npm package has a class of its own, which `instanceof` does not know. */
const BRAND = Symbol.for('serverless-hosted-runner.provider-error');

const errorKinds: ReadonlySet<unknown> = new Set<ProviderErrorKind>([
  'capacity',
  'quota',
  'throttled',
  'transient',
  'unauthorized',
  'invalid',
  'conflict',
]);

export class ProviderError extends Error {
  readonly [BRAND] = true;
  readonly kind: ProviderErrorKind;
  /** `<kind> <call>`, such as `docker create`. */
  readonly operation: string;
  readonly code: string | undefined;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: ProviderErrorKind,
    operation: string,
    message: string,
    details: { code?: string; requestId?: string; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(`${operation}: ${message}`, { cause: details.cause });
    this.name = 'ProviderError';
    this.kind = kind;
    this.operation = operation;
    this.code = details.code;
    this.requestId = details.requestId;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** Of this copy of the contract or of another one, and of a kind that this one knows. */
export function isProviderError(error: unknown): error is ProviderError {
  return (
    error instanceof Error &&
    BRAND in error &&
    error[BRAND] === true &&
    'kind' in error &&
    errorKinds.has(error.kind) &&
    'operation' in error &&
    typeof error.operation === 'string'
  );
}

/**
 * Every method may be called concurrently, rejects with nothing but ProviderError, and settles within the time
 * that the backend's options set (30 s where they say nothing): a provider bounds its own remote calls.
 */
export interface Provider {
  readonly capabilities: Capabilities;

  /** Pure: rounds up to what the service sells, or says why it cannot. */
  fit(wish: ShapeWish): Fit;

  /**
   * Starts one instance. Idempotent by `request.name`: where an instance of that name with our dispatcher in its tags
   * exists, it is returned, also when it has ended; one that a dispatcher left half-launched is finished. Of anything
   * else that has the name: `conflict`. Resolves when the service has accepted, which is not yet "running".
   * `transient` means "maybe created"; every other kind is a definite refusal that left nothing behind.
   * May take longer than other methods by what the options allow for a pull.
   */
  launch(request: LaunchRequest): Promise<Instance>;

  /**
   * By id where it is given, else by name. Undefined only when the service said that there is no such instance, or that
   * what has the name is not ours. Says more than `list` where the service does (out of memory).
   */
  inspect(ref: InstanceRef): Promise<Instance | undefined>;

  /** Every instance, ended and half-launched ones included, tagged with exactly this dispatcher; all pages. Never empty by failure. */
  list(owner: { readonly dispatcher: string }): Promise<readonly Instance[]>;

  /**
   * Ends the instance and removes what is left of it, its logs too. Resolves when the service has accepted. Absent is
   * success; so is a name that is not ours, or whose id is another one by now: both are left alone.
   */
  stop(ref: InstanceRef): Promise<void>;

  /** The container's last output, at most 256 KB of it; undefined where there is none (any more). */
  logs(ref: InstanceRef): Promise<string | undefined>;

  /**
   * What `shr doctor` prints, one line a finding; of each image in `use` one, its reference in the message. A registry
   * that cannot be asked from here is no fault. May take longer than other methods, by 10 s for each four images. Does
   * not reject.
   */
  check(use?: CheckedUse): Promise<readonly Finding[]>;

  /** Lets go of sockets and timers. The instances stay. */
  close(): Promise<void>;
}

/** What a provider gets from its host, so that time and randomness stay in one place. */
export interface ProviderHost {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Cannot be called off: bound remote calls by `Deadlines`, not by a sleep each. */
  sleep(ms: number): Promise<void>;
  /** Uniform in [0, 1). */
  random(): number;
}

/** An option that a tenant may not write in a file of its own, and what it would give away. */
export interface PlatformOption {
  /** Its name, with dots between the levels. */
  readonly option: string;
  /** "with it …": what follows from it. */
  readonly why: string;
}

/** What the demo gives to a kind that is to be shown on one machine. */
export interface DemoStage {
  /** The demo's own, removed with it. */
  readonly folder: string;
  /** A runner for the simulated GitHub, as a command of this machine. */
  readonly command: readonly string[];
  /** The same as a script for a container's `/bin/sh`. */
  readonly script: string;
  /** Makes a small image with `/bin/sh` at the engine that the docker command uses with this environment; its name. */
  makeImage(environment: Readonly<Record<string, string>>): Promise<string>;
  /** Starts the simulator of this kind, whose containers run `command`: `options` of a backend that uses it. */
  simulate(): Promise<{
    readonly options: Readonly<Record<string, unknown>>;
    readonly image: string;
    close(): Promise<void>;
  }>;
}

/** A backend of the demo, and how its runners reach the simulated GitHub. */
export interface DemoBackend {
  /** The `options` of the registration's backend. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly image: string;
  /** The simulated GitHub's address as the runners see it, when it listens on this port of the loopback. */
  runnerUrl(port: number): string;
  /** Lets runners through to that port. Called once the simulated GitHub listens. */
  open(port: number): Promise<void>;
  /** Removes what was made for the demo. */
  close(): Promise<void>;
}

/** The steps of `shr verify-live`, in their order. */
export const verifySteps = [
  'launch',
  'launch-again',
  'list',
  'inspect',
  'run',
  'output',
  'secrecy',
  'stop',
  'gone',
  'stop-again',
  'runner',
] as const;
export type VerifyStep = (typeof verifySteps)[number];

/** The default export of `providers/<kind>/index.ts`. */
export interface ProviderModule<Options = unknown> {
  readonly kind: string;
  /** Validates the `options` of a backend. Unknown keys are an error; messages are read by tenants. */
  readonly options: z.ZodType<Options>;
  /**
   * Of these options those with which the backend acts as the dispatcher itself (its role, its files), or calls an
   * address of the writer's choice from the dispatcher's network. Absent where there are none.
   */
  platformOptions?(options: Options): readonly PlatformOption[];
  create(options: Options, host: ProviderHost): Provider;
  /** The same backend with this program in place of what its containers run. */
  withCommand(options: Options, command: readonly string[]): Options;
  /** What `shr demo` runs. Rejects with ProviderError where this machine lacks something; the message says what to do. */
  demo(stage: DemoStage): Promise<DemoBackend>;
  /** The assumptions in docs/assumptions.md that a step confirms for this service, in addition to those of every service. */
  readonly assumptions?: Partial<Readonly<Record<VerifyStep, readonly string[]>>>;
}

export const LOG_BYTES = 256 * 1024;
/** In one check. */
export const MAX_IMAGES = 20;
