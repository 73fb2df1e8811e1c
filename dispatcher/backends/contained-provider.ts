/**
 * Contains a provider: whatever an adapter does wrong (throws its own errors, does not answer, answers
 * nonsense), the dispatcher gets a ProviderError of kind `transient`, and the defect is logged once.
 */
import { z } from 'zod';
import { tailText } from '../../providers/kit/tail.ts';
import {
  type Finding,
  type ImageLabels,
  type Instance,
  type InstanceRef,
  isProviderError,
  LOG_BYTES,
  MAX_IMAGES,
  type Provider,
  ProviderError,
} from '../../providers/provider.ts';
import type { Clock } from '../../time/clock.ts';
import { withDeadline } from '../../time/deadline.ts';
import { SECOND } from '../../time/units.ts';

/** How an adapter broke the contract. */
export interface Defect {
  /** `docker launch` */
  readonly operation: string;
  /** A description; never includes what was sent. */
  readonly message: string;
  /** Where it was thrown; absent for a late or unreadable answer. */
  readonly stack?: string;
}

export interface Containment {
  readonly kind: string;
  readonly clock: Clock;
  /** Per call, whatever the adapter's own limits are. */
  readonly limits: { readonly callMs: number; readonly launchMs: number };
  /** Once when it begins, and again when the description changes. */
  readonly onDefect: (defect: Defect) => void;
  /** The operation succeeded again, after this many failures caused by the defect. */
  readonly onMended: (operation: string, times: number) => void;
}

/** Added to each of the adapter's own limits: one operation may consist of several calls, each within that limit. */
const SLACK_MS = 60 * SECOND;
const PARTS_OF_A_CALL = 4;
/** Used where an adapter's options have no limit: providers/provider.ts promises this one. */
const PROMISED_MS = 30 * SECOND;
const IMAGE_LOOK_MS = 10 * SECOND;
const IMAGES_AT_ONCE = 4;
const MAX_WORDS = 300;

const ownLimits = z.object({
  timeoutMs: z.number().positive().default(PROMISED_MS).catch(PROMISED_MS),
  pullTimeoutMs: z.number().nonnegative().default(0).catch(0),
  readyTimeoutMs: z.number().nonnegative().default(0).catch(0),
});

/** From a backend's validated options: longer than any adapter that keeps its promise may take. */
export function outerLimits(options: unknown): Containment['limits'] {
  const parsed = ownLimits.safeParse(options);
  const { timeoutMs, pullTimeoutMs, readyTimeoutMs } = parsed.success ? parsed.data : ownLimits.parse({});
  const callMs = SLACK_MS + PARTS_OF_A_CALL * timeoutMs;
  return { callMs, launchMs: callMs + pullTimeoutMs + readyTimeoutMs };
}

const tags = z.object({
  dispatcher: z.string(),
  registration: z.string(),
  lane: z.string(),
  scope: z.string(),
  runner: z.string(),
  incarnation: z.string().optional(),
  createdAtMs: z.number().finite(),
  deadlineAtMs: z.number().finite(),
  charge: z.record(z.string(), z.string()),
});

const endKinds = [
  'exited',
  'out-of-memory',
  'spot-reclaimed',
  'image-pull-failed',
  'no-stock',
  'time-limit',
  'stopped',
  'unknown',
] as const;

const instance = z.object({
  ref: z.object({ name: z.string().min(1), id: z.string().min(1) }),
  state: z.enum(['pending', 'running', 'succeeded', 'failed', 'unknown']),
  reason: z.object({ kind: z.enum(endKinds), message: z.string(), exitCode: z.number().int().optional() }).optional(),
  tags: tags.optional(),
}) satisfies z.ZodType<unknown>;

const finding = z.object({
  subject: z.enum(['credentials', 'network', 'image', 'quota', 'permissions', 'region', 'engine']),
  ok: z.boolean(),
  note: z.literal(true).optional(),
  message: z.string(),
  cure: z.string().optional(),
});

const imageLabels = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('read'), labels: z.record(z.string(), z.string()) }),
  z.object({ kind: z.literal('unknown'), why: z.string() }),
]);
const networkRooms = z.array(z.object({ network: z.string().min(1).max(512), free: z.int().min(0) })).max(1000);
const NO_LABELS: ImageLabels = { kind: 'unknown', why: 'this kind of backend does not read them' };

const fit = z.union([
  z.object({ fits: z.literal(false), reason: z.string().min(1) }),
  z.object({
    fits: z.literal(true),
    shape: z.object({ cpu: z.number().positive(), memoryGiB: z.number().positive() }),
    note: z.string().optional(),
  }),
]);

export function containProvider(provider: Provider, containment: Containment): Provider {
  const { kind, clock, limits, onDefect, onMended } = containment;
  const broken = new Map<string, { message: string; times: number }>();

  function defect(operation: string, message: string, cause?: unknown): ProviderError {
    const words = message.slice(0, MAX_WORDS);
    const before = broken.get(operation);
    broken.set(operation, { message: words, times: (before?.times ?? 0) + 1 });
    if (before?.message !== words) {
      onDefect({ operation, message: words, ...(cause instanceof Error ? { stack: cause.stack ?? '' } : {}) });
    }
    return new ProviderError('transient', operation, `a defect in the adapter: ${words}`, { code: 'defect', cause });
  }

  function mended(operation: string): void {
    const before = broken.get(operation);
    if (before === undefined) return;
    broken.delete(operation);
    onMended(operation, before.times);
  }

  /** The adapter's error, as an instance of this copy of the contract's class. */
  function contained(operation: string, error: unknown): ProviderError {
    if (error instanceof ProviderError) return error;
    if (isProviderError(error)) {
      const { code, requestId, retryAfterMs } = error;
      return new ProviderError(error.kind, operation, error.message.replace(`${error.operation}: `, ''), {
        ...(typeof code === 'string' ? { code } : {}),
        ...(typeof requestId === 'string' ? { requestId } : {}),
        ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
        cause: error,
      });
    }
    const words = error instanceof Error ? `${error.name}: ${error.message}` : `it threw ${typeof error}`;
    return defect(operation, words, error);
  }

  async function call<T>(
    method: string,
    ms: number,
    work: () => Promise<T>,
    problem: (answer: T) => string | undefined,
  ) {
    const operation = `${kind} ${method}`;
    let answer: T;
    try {
      answer = await within(operation, ms, work);
    } catch (error) {
      throw contained(operation, error);
    }
    const wrong = problem(answer);
    if (wrong !== undefined) throw defect(operation, wrong);
    mended(operation);
    return answer;
  }

  /** The call continues in the background; its outcome is ignored. */
  function within<T>(operation: string, ms: number, work: () => Promise<T>): Promise<T> {
    const late = () => defect(operation, `no answer within ${ms} ms, although adapters must bound their own calls`);
    // In its own promise: a method that is not async throws synchronously.
    return withDeadline(clock, ms, late, undefined, () => Promise.resolve().then(work));
  }

  return {
    capabilities: provider.capabilities,

    fit(wish) {
      const operation = `${kind} fit`;
      try {
        const answer = provider.fit(wish);
        const wrong = problemOf(fit, answer);
        if (wrong !== undefined) throw defect(operation, wrong);
        mended(operation);
        return answer;
      } catch (error) {
        throw contained(operation, error);
      }
    },

    launch: (request) =>
      call(
        'launch',
        limits.launchMs,
        () => provider.launch(request),
        (answer) => problemOf(instance, answer) ?? wrongName(request.name, answer),
      ),

    inspect: (ref) =>
      call(
        'inspect',
        limits.callMs,
        () => provider.inspect(ref),
        (answer) => (answer === undefined ? undefined : (problemOf(instance, answer) ?? wrongRef(ref, answer))),
      ),

    // All or nothing: an instance left out of a list would be considered gone.
    list: (owner) =>
      call(
        'list',
        limits.callMs,
        () => provider.list(owner),
        (answer) => problemOf(z.array(instance), answer) ?? foreignOf(owner.dispatcher, answer),
      ),

    stop: (ref) =>
      call(
        'stop',
        limits.callMs,
        () => provider.stop(ref),
        () => undefined,
      ),

    async logs(ref) {
      const text = await call(
        'logs',
        limits.callMs,
        () => provider.logs(ref),
        (answer) => problemOf(z.string().optional(), answer),
      );
      return text === undefined || text.length <= LOG_BYTES / 4 ? text : tailText(Buffer.from(text, 'utf8'));
    },

    async check(use) {
      const images = Math.min(use?.images.length ?? 0, MAX_IMAGES);
      const ms = limits.callMs + Math.ceil(images / IMAGES_AT_ONCE) * IMAGE_LOOK_MS;
      try {
        return await call(
          'check',
          ms,
          () => provider.check(use),
          (answer) => problemOf(z.array(finding), answer),
        );
      } catch (error) {
        return [unchecked(kind, error)];
      }
    },

    // Absent where the adapter's is.
    ...(provider.imageLabels === undefined
      ? {}
      : {
          async imageLabels(reference, architecture) {
            try {
              return await call(
                'imageLabels',
                limits.callMs,
                async () => (await provider.imageLabels?.(reference, architecture)) ?? NO_LABELS,
                (answer) => problemOf(imageLabels, answer),
              );
            } catch (error) {
              return { kind: 'unknown', why: error instanceof Error ? error.message : String(error) };
            }
          },
        }),

    // Absent where the adapter's is.
    ...(provider.freeAddresses === undefined
      ? {}
      : {
          freeAddresses: () =>
            call(
              'freeAddresses',
              limits.callMs,
              async () => (await provider.freeAddresses?.()) ?? [],
              (answer) => problemOf(networkRooms, answer),
            ),
        }),

    close: () =>
      call(
        'close',
        limits.callMs,
        () => provider.close(),
        () => undefined,
      ),
  };
}

function unchecked(kind: string, error: unknown): Finding {
  return {
    subject: 'engine',
    ok: false,
    message: error instanceof Error ? error.message : String(error),
    cure: `Report this to the maintainers of the provider ${kind}: its check may not fail.`,
  };
}

/** Where it is invalid, never the value: an answer may contain a secret. */
function problemOf(schema: z.ZodType<unknown>, answer: unknown): string | undefined {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return undefined;
  const [issue] = parsed.error.issues;
  return `its answer cannot be read (at ${issue?.path.join('.') || 'top'}: ${issue?.code ?? 'unknown'})`;
}

function wrongName(name: string, answer: Instance): string | undefined {
  return answer.ref.name === name ? undefined : 'it answered with an instance of another name';
}

function wrongRef(ref: InstanceRef, answer: Instance): string | undefined {
  if (ref.id !== undefined && answer.ref.id !== ref.id && answer.state !== 'unknown') {
    return 'it answered with an instance of another id';
  }
  return wrongName(ref.name, answer);
}

function foreignOf(dispatcher: string, answer: readonly Instance[]): string | undefined {
  const foreign = answer.some(({ tags: found }) => found !== undefined && found.dispatcher !== dispatcher);
  return foreign ? 'it listed an instance of another dispatcher' : undefined;
}
