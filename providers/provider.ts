/**
 * The provider contract: what the dispatcher asks of a container service, and what it may rely on.
 *
 * A provider imports only this file and its vendor's SDK, nothing of the dispatcher. How to write one:
 * providers/README.md.
 */
import type { z } from 'zod';
import type { SecretStore } from './secret-store.ts';

/** In GitHub's terms: `x64` is amd64, `arm64` is aarch64. */
export type Architecture = 'x64' | 'arm64';

/** What a job may ask for. If only one of `cpu` and `memoryGiB` is given, the service chooses the other to match. */
export interface ShapeWish {
  /** Cores; after `fit`, in the service's own steps (`0.5` is half a core). */
  readonly cpu?: number;
  readonly memoryGiB?: number;
  readonly architecture: Architecture;
  /** A full image reference, in the form that the service pulls. */
  readonly image: string;
  /** Scratch disk at the work folder. */
  readonly diskGiB?: number;
  /** A bucket (or share) mounted at the work folder, under `bucketPrefix`. */
  readonly bucket?: string;
  readonly bucketPrefix?: string;
  readonly subnet?: string;
  readonly securityGroup?: string;
  /** Already applied by the choice of the backend; a provider that serves several regions may use it. */
  readonly region?: string;
  readonly spot: boolean;
  readonly dockerInDocker: boolean;
  /** Maximum lifetime of the instance. Passed to services that enforce one; otherwise the dispatcher enforces it. */
  readonly timeLimitMs?: number;
}

/** A wish after `fit`: what will actually run and be billed. */
export interface Shape extends ShapeWish {
  readonly cpu: number;
  readonly memoryGiB: number;
}

/** What a service makes of a wish: the shape that it sells, or why it sells none. */
export type Fit =
  | {
      readonly fits: true;
      readonly shape: Shape;
      /** Explains the difference when it is more than was asked for: "1 core becomes 2: …". */
      readonly note?: string;
    }
  | {
      readonly fits: false;
      /** The reason, naming the nearest valid size if there is one. */
      readonly reason: string;
    };

/** What a service can do at all. A wish beyond it never fits. */
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
   * True if users who may view an instance (list, describe, inspect) cannot see the JIT configuration.
   * Even if false, it never appears in a list, tag, command line or URL.
   */
  readonly secretEnvironment: boolean;
  /** The longest lifetime that the service itself enforces; undefined if the dispatcher must enforce it. */
  readonly longestLifeMs?: number;
}

/**
 * Tags on every instance, so that a dispatcher with an empty ledger can adopt it.
 * A service with a narrower alphabet encodes them reversibly: `list` returns the original values.
 */
export interface InstanceTags {
  /** The dispatcher's id; `list` filters by it. */
  readonly dispatcher: string;
  readonly registration: string;
  readonly lane: string;
  /** Where it is registered at GitHub, as a path: `orgs/acme`, `repos/acme/web`, `enterprises/acme`. */
  readonly scope: string;
  /** The runner's name, equal to the instance's name. */
  readonly runner: string;
  /**
   * Incarnation of the dispatcher process that launched it, new at each start. Absent: launched by an older version.
   */
  readonly incarnation?: string;
  readonly createdAtMs: number;
  /** An instance without a ledger row must not be stopped before this time. */
  readonly deadlineAtMs: number;
  /** The tenant's own tags (cost centre and the like). */
  readonly charge: Readonly<Record<string, string>>;
}

/** One instance to start. */
export interface LaunchRequest {
  /** `[a-z0-9-]`, at most 63 characters. The idempotency key: two launches with the same name give one instance. */
  readonly name: string;
  /**
   * True if the caller generated this name and every launch of it so far was a definite refusal other than `conflict`.
   * The name is then unused, and an adapter may create without looking first. This is a promise: if it is broken, one
   * name may get two instances. It no longer holds after a `transient`.
   */
  readonly nameIsNew?: boolean;
  readonly shape: Shape;
  readonly tags: InstanceTags;
  readonly environment: Readonly<Record<string, string>>;
  /**
   * Includes the JIT configuration. Must never appear in argv, a URL, a tag or the result of `list`.
   * The value of `ACTIONS_RUNNER_INPUT_JITCONFIG` has about 4 KB.
   */
  readonly secretEnvironment: Readonly<Record<string, string>>;
}

/** How the dispatcher refers to an instance: always its own name, and the service's id once it is known. */
export interface InstanceRef {
  readonly name: string;
  readonly id?: string;
}

/** `unknown` is an answer that the adapter cannot interpret; it never means "gone". */
export type InstanceState = 'pending' | 'running' | 'succeeded' | 'failed' | 'unknown';

/**
 * Why an instance ended, by what it means for its job:
 *
 * - `exited`: its first process ended by itself. `stopped`: on request. `unknown`: the service does not say.
 * - `out-of-memory`, `spot-reclaimed`, `time-limit`: the service ended it, or a process in it.
 * - `image-pull-failed`, `no-stock`: it never started.
 */
export type EndKind =
  | 'exited'
  | 'out-of-memory'
  | 'spot-reclaimed'
  | 'image-pull-failed'
  | 'no-stock'
  | 'time-limit'
  | 'stopped'
  | 'unknown';

/** Why it ended or does not start, as far as the service says. */
export interface InstanceReason {
  readonly kind: EndKind;
  /** The service's own words. */
  readonly message: string;
  /**
   * 128 + signal if a signal ended it. Of the container's first process: 0 from a runner proves nothing about its job.
   */
  readonly exitCode?: number;
}

/** An instance as the service describes it now. */
export interface Instance {
  readonly ref: InstanceRef & { readonly id: string };
  readonly state: InstanceState;
  /**
   * Why it ended or does not start, if the service says so. `out-of-memory` can accompany `succeeded` or `running`:
   * a step of the job was killed, and the runner continued.
   */
  readonly reason?: InstanceReason;
  /** Undefined if this service's `inspect` does not include it; `list` always does. */
  readonly tags?: InstanceTags;
}

/** One line of `shr doctor`. */
export interface Finding {
  readonly subject: 'credentials' | 'network' | 'image' | 'quota' | 'permissions' | 'region' | 'engine';
  readonly ok: boolean;
  /** Only if `ok`: a limitation, or what could not be checked. */
  readonly note?: true;
  readonly message: string;
  /** What to do; present when `ok` is false. */
  readonly cure?: string;
}

/** An image that jobs may request. It passes if it exists for one of these architectures: labels choose among them. */
export interface ImageUse {
  /** As in a wish. */
  readonly reference: string;
  readonly architectures: readonly Architecture[];
}

/**
 * What an image says of itself: those of its labels that this project knows (`serverless-hosted-runner.…` and
 * `org.opencontainers.image.version`). Whoever builds an image chooses its labels.
 */
export type ImageLabels =
  | { readonly kind: 'read'; readonly labels: Readonly<Record<string, string>> }
  | {
      readonly kind: 'unknown';
      /** In words: the registry does not answer, or does not show the image. */
      readonly why: string;
    };

/** What a check is told about its registration. */
export interface CheckedUse {
  /** At most MAX_IMAGES are checked; a caller with more reports which ones were left out. */
  readonly images: readonly ImageUse[];
}

/** Classified by what to do about it, not by the service's name for it. The verdicts: DESIGN, "Provider contract". */
export type ProviderErrorKind =
  /** No stock, zone full: try the next backend now. */
  | 'capacity'
  /** The account's quota: try the next backend; shown to the tenant. */
  | 'quota'
  /** Same backend after `retryAfterMs`. */
  | 'throttled'
  /** 5xx, timeout, reset: it may have taken effect. Look (`inspect`) before repeating. */
  | 'transient'
  /** The backend is closed until its credentials are fixed. */
  | 'unauthorized'
  /** Image, shape or network unknown to the service: the jobs are refused with the service's message. */
  | 'invalid'
  /** The name is held by something that is not ours. */
  | 'conflict';

/**
 * Shared by every copy of this contract: a provider from an npm package has its own class, which `instanceof` does not
 * recognize.
 */
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

/**
 * What a provider rejects with. `message` is the service's own words; it must not contain a secret.
 *
 * @example
 * throw new ProviderError('capacity', 'ali-eci CreateContainerGroup', 'no stock in the zone', { code: 'NoStock' });
 */
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

/** Recognizes errors of this copy of the contract or of another one, if this copy knows their kind. */
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
 * Every method may be called concurrently, rejects only with ProviderError, and settles within the time limit in the
 * backend's options (default: 30 s): a provider puts time limits on its own remote calls.
 */
export interface Provider {
  readonly capabilities: Capabilities;

  /** Pure: rounds up to what the service sells, or says why it cannot. */
  fit(wish: ShapeWish): Fit;

  /**
   * Starts one instance. Idempotent by `request.name`: if an instance of that name with our dispatcher in its tags
   * exists, it is returned, even if it has ended; one that a dispatcher left half-launched is completed. If anything
   * else has the name: `conflict`. Resolves when the service has accepted, which is not yet "running". `transient`
   * means "maybe created"; every other kind is a definite refusal that left nothing behind. May take longer than other
   * methods, by what the options allow for a pull.
   */
  launch(request: LaunchRequest): Promise<Instance>;

  /**
   * By id if it is given, else by name. Undefined only if the service said that there is no such instance, or if the
   * name is held by something that is not ours. Says more than `list` if the service does (out of memory).
   */
  inspect(ref: InstanceRef): Promise<Instance | undefined>;

  /**
   * Every instance tagged with exactly this dispatcher, including ended and half-launched ones; all pages. A failure
   * never looks like an empty list.
   */
  list(owner: { readonly dispatcher: string }): Promise<readonly Instance[]>;

  /**
   * Ends the instance and removes all that remains of it, including its logs. Resolves when the service has accepted. A
   * missing instance is success; so is a name that is not ours, or that now has another id: both are left alone.
   */
  stop(ref: InstanceRef): Promise<void>;

  /** The container's last output, at most 256 KB; undefined if there is none (any more). */
  logs(ref: InstanceRef): Promise<string | undefined>;

  /**
   * What `shr doctor` prints, one line per finding; one for each image in `use`, with its reference in the message. A
   * registry that is unreachable from here is not a failure. May take longer than other methods, by 10 s for every four
   * images. Does not reject.
   */
  check(use?: CheckedUse): Promise<readonly Finding[]>;

  /**
   * The labels of an image as it would be pulled now, for this architecture. Absent: this kind has no images, or cannot
   * read them. At most 10 s for each question. Does not reject.
   */
  imageLabels?(reference: string, architecture: Architecture): Promise<ImageLabels>;

  /**
   * How many addresses are left in each network that its instances can be in. Absent: this kind cannot tell; empty: nor can
   * this service. Rejects with ProviderError.
   */
  freeAddresses?(): Promise<readonly NetworkRoom[]>;

  /** Releases sockets and timers. The instances stay. */
  close(): Promise<void>;
}

/** Of a network: a subnet, a vSwitch. */
export interface NetworkRoom {
  /** Its id at the service. */
  readonly network: string;
  readonly free: number;
}

/** What a provider gets from its host, so that time and randomness stay in one place. */
export interface ProviderHost {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs `action` once after `ms`; the returned function cancels it. */
  after(ms: number, action: () => void): () => void;
  /** Cannot be cancelled: limit remote calls with `Deadlines`, not with a sleep each. */
  sleep(ms: number): Promise<void>;
  /** Uniform in [0, 1). */
  random(): number;
}

/** An option that tenants may not set in their own files, and what it would expose. */
export interface PlatformOption {
  /** Its name, with dots between the levels. */
  readonly option: string;
  /** The reason, as in: "tenants may not set this option: it acts by the role of the dispatcher’s own machine". */
  readonly why: string;
}

/** What the demo passes to a kind that runs on one machine. */
export interface DemoStage {
  /** The demo's own folder, removed with it. */
  readonly folder: string;
  /** A runner for the simulated GitHub, as a command on this machine. */
  readonly command: readonly string[];
  /**
   * Builds the runner image, with a runner for the simulated GitHub, on the engine that the docker command uses with this
   * environment. Returns its name.
   */
  makeImage(environment: Readonly<Record<string, string>>): Promise<string>;
  /**
   * Starts the simulator of this kind, whose containers run `command`. Returns the `options` of a backend that uses it.
   */
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
  /** What the jobs ran in and stays on this machine for the next demo, with how to remove it; one sentence. */
  readonly stays?: string;
  /** The simulated GitHub's address as seen by the runners, when it listens on this port of the loopback interface. */
  runnerUrl(port: number): string;
  /** Lets runners connect to that port. Called once the simulated GitHub listens. */
  open(port: number): Promise<void>;
  /** A command line that removes what a killed demo leaves: containers whose names begin so, and the rest. */
  removal?(containers: string): string;
  /** Removes everything that was created for the demo. */
  close(): Promise<void>;
}

/** The steps of `shr verify-live`, in order. */
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
/** See `verifySteps`. */
export type VerifyStep = (typeof verifySteps)[number];

/**
 * Of this contract: raised with every change that a provider written before it would notice. A dispatcher takes a
 * package's provider only if it was written for the same one.
 */
export const CONTRACT_VERSION = 1;

/** The default export of `providers/<kind>/index.ts`, and of a package that brings a provider. */
export interface ProviderModule<Options = unknown> {
  readonly kind: string;
  /** `CONTRACT_VERSION`, as it was when the module was written. Required of a package. */
  readonly contract?: number;
  /** Validates the `options` of a backend. Unknown keys are an error; tenants read the messages. */
  readonly options: z.ZodType<Options>;
  /**
   * The given options with which the backend acts as the dispatcher itself (its role, its files), or connects to an
   * address of the author's choice from the dispatcher's network. Absent if there are none.
   */
  platformOptions?(options: Options): readonly PlatformOption[];
  /**
   * Makes no remote calls. `options` are what the schema returned. May throw ProviderError for options that cannot
   * work.
   */
  create(options: Options, host: ProviderHost): Provider;
  /** The cloud's own store of secrets, which the backend's credentials may open. Absent: it has none that is known here. */
  readonly secretStore?: SecretStore;
  /** The same backend, with this program in place of the one that its containers run. */
  withCommand(options: Options, command: readonly string[]): Options;
  /** What `shr demo` runs. Rejects with ProviderError if this machine lacks something; the message says what to do. */
  demo(stage: DemoStage): Promise<DemoBackend>;
  /**
   * The assumptions in docs/assumptions.md that a step confirms for this service, in addition to those for every
   * service.
   */
  readonly assumptions?: Partial<Readonly<Record<VerifyStep, readonly string[]>>>;
}

/** As much of an output as `logs` returns and the ledger keeps. */
export const LOG_BYTES = 256 * 1024;
/** Maximum in one check. */
export const MAX_IMAGES = 20;
