/** One backend's way to its account: the provider contract, in bad weather. */

import {
  type Capabilities,
  type Finding,
  type Fit,
  type Instance,
  type InstanceRef,
  type LaunchRequest,
  type Provider,
  ProviderError,
  type ProviderErrorKind,
  type ShapeWish,
} from '../../../providers/provider.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Dice } from '../faults.ts';
import type { Stream } from '../random.ts';
import type { History } from '../trace.ts';
import { type Account, isLive, seenBy, type WorldInstance } from './provider.ts';

/** A time in which the service refuses. `capacity` and `quota` concern launches only. */
export interface ProviderOutage {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly kind: Extract<ProviderErrorKind, 'capacity' | 'quota' | 'throttled' | 'unauthorized' | 'transient'>;
}

export interface ProviderPortOptions {
  readonly account: Account;
  /** `registration/backend`. */
  readonly backend: string;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly history: History;
  readonly outages: readonly ProviderOutage[];
  /** The service does not know this image, and says so at once. */
  readonly unknownImage: string;
  /** A call about the instance of this name. */
  readonly lookedAt?: (name: string) => void;
  /** A call of any kind, with its name. */
  readonly called?: (call: string) => void;
  /** It was done, and its answer is no error. */
  readonly answered?: (call: string) => void;
}

const TIMEOUT_MS = 30_000;

interface Fate {
  readonly latencyMs: number;
  readonly error: ProviderError | undefined;
  /** When the effect takes place, if it does. */
  readonly effectAfterMs: number | undefined;
}

export class ProviderPort implements Provider {
  readonly capabilities: Capabilities = {
    architectures: ['x64'],
    spot: true,
    dockerInDocker: true,
    disk: true,
    bucket: true,
    subnet: true,
    securityGroup: true,
    logs: true,
    secretEnvironment: true,
  };
  readonly #options: ProviderPortOptions;
  readonly #luck: Stream;

  constructor(options: ProviderPortOptions) {
    this.#options = options;
    this.#luck = options.dice.stream(`provider port ${options.backend}`);
  }

  fit(wish: ShapeWish): Fit {
    return { fits: true, shape: { ...wish, cpu: wish.cpu ?? 1, memoryGiB: wish.memoryGiB ?? 2 } };
  }

  launch(request: LaunchRequest): Promise<Instance> {
    const { account, backend, dice, unknownImage } = this.#options;
    const fate = this.#fate('launch');
    const nameTaken = dice.hits('providerConflict') && account.find({ name: request.name }) === undefined;
    const refused = account.launching(request);
    return this.#call('launch', [request.name], fate, (late) => {
      if (request.shape.image === unknownImage) throw this.#error('invalid', 'launch', 'no such image');
      if (nameTaken) throw this.#error('conflict', 'launch', 'a container of somebody else has this name');
      return seenBy(account.create(request, backend, late));
    }).catch((error: unknown) => {
      // Of a name that somebody has, nobody may say that it is new.
      if (error instanceof ProviderError && error.kind !== 'transient' && error.kind !== 'conflict') refused();
      throw error;
    });
  }

  inspect(ref: InstanceRef): Promise<Instance | undefined> {
    const { account, clock, dice } = this.#options;
    return this.#call('inspect', [ref.name], this.#fate('inspect'), () => {
      const found = account.find(ref);
      if (found === undefined || found.visibleAtMs > clock.now()) return undefined;
      return dice.hits('unknownState') ? seenBy(found, 'unknown') : seenBy(found);
    });
  }

  list(owner: { readonly dispatcher: string }): Promise<readonly Instance[]> {
    const { account, clock, dice } = this.#options;
    return this.#call('list', [], this.#fate('list'), () => {
      const own = account.present.filter((instance) => instance.tags.dispatcher === owner.dispatcher);
      const visible = own.filter(({ visibleAtMs }) => visibleAtMs <= clock.now());
      const shown = dice.hits('providerListGap') ? this.#someOf(visible) : visible;
      for (const instance of own) instance.leftOutAtMs = shown.includes(instance) ? undefined : clock.now();
      return shown.map((instance) => seenBy(instance));
    });
  }

  #someOf(instances: readonly WorldInstance[]): readonly WorldInstance[] {
    return this.#luck.chance(0.5) ? [] : instances.filter(() => this.#luck.chance(0.5));
  }

  stop(ref: InstanceRef): Promise<void> {
    return this.#call('stop', [ref.name], this.#fate('stop'), () => {
      const found = this.#options.account.find(ref);
      if (found !== undefined) this.#options.account.stop(found);
    });
  }

  logs(ref: InstanceRef): Promise<string | undefined> {
    return this.#call('logs', [ref.name], this.#fate('logs'), () => {
      const found = this.#options.account.find(ref);
      return found === undefined ? undefined : `√ Connected to GitHub\n${found.name}: Listening for Jobs\n`;
    });
  }

  check(): Promise<readonly Finding[]> {
    return this.#call('check', [], this.#fate('check'), () => [{ subject: 'credentials', ok: true, message: 'valid' }]);
  }

  async close(): Promise<void> {}

  /** For the invariants: what exists here, without weather. */
  get live(): readonly WorldInstance[] {
    return this.#options.account.present.filter(
      (instance) => instance.backend === this.#options.backend && isLive(instance),
    );
  }

  #error(kind: ProviderErrorKind, call: string, message: string, retryAfterMs?: number): ProviderError {
    return new ProviderError(kind, `simulated ${call}`, message, retryAfterMs === undefined ? {} : { retryAfterMs });
  }

  #fate(call: string): Fate {
    const { clock, dice, outages } = this.#options;
    const latencyMs = dice.hits('providerSlow') ? this.#luck.between(3_000, 25_000) : this.#luck.between(50, 2_000);
    const refused = (error: ProviderError): Fate => ({ latencyMs, error, effectAfterMs: undefined });
    const outage = outages.find(({ fromMs, untilMs }) => fromMs <= clock.now() && clock.now() < untilMs);
    if (outage !== undefined) {
      const launchOnly = outage.kind === 'capacity' || outage.kind === 'quota';
      if (!launchOnly || call === 'launch') {
        const retryAfterMs = outage.kind === 'throttled' ? 20_000 : undefined;
        return refused(this.#error(outage.kind, call, `outage: ${outage.kind}`, retryAfterMs));
      }
    }
    if (call === 'launch') {
      if (dice.hits('providerCapacity')) return refused(this.#error('capacity', call, 'no stock'));
      if (dice.hits('providerQuota')) return refused(this.#error('quota', call, 'quota reached'));
      if (dice.hits('providerTimeoutLate')) {
        const error = this.#error('transient', call, 'no answer within 30 s');
        return { latencyMs: TIMEOUT_MS, error, effectAfterMs: TIMEOUT_MS + this.#luck.between(5_000, 90_000) };
      }
    }
    if (dice.hits('providerThrottled')) {
      return refused(this.#error('throttled', call, 'slow down', this.#luck.whole(1, 30) * 1000));
    }
    if (dice.hits('providerTransient')) return refused(this.#error('transient', call, 'internal error'));
    if (dice.hits('providerTimeoutAfter')) {
      const error = this.#error('transient', call, 'no answer within 30 s');
      return { latencyMs: TIMEOUT_MS, error, effectAfterMs: latencyMs / 2 };
    }
    return { latencyMs, error: undefined, effectAfterMs: latencyMs / 2 };
  }

  #call<T>(call: string, subjects: readonly string[], fate: Fate, effect: (late: boolean) => T): Promise<T> {
    const { answered, backend, called, clock, history, lookedAt } = this.#options;
    called?.(call);
    for (const name of subjects) lookedAt?.(name);
    const late = fate.error !== undefined && (fate.effectAfterMs ?? 0) > fate.latencyMs;
    let answer: { readonly value: T } | { readonly error: unknown } = { error: fate.error };
    if (fate.effectAfterMs !== undefined) {
      clock.after(fate.effectAfterMs, () => {
        try {
          const value = effect(late);
          if (fate.error !== undefined) return;
          answer = { value };
          answered?.(call);
        } catch (error) {
          if (fate.error === undefined) answer = { error };
        }
      });
    }
    return new Promise((resolve, reject) => {
      clock.after(fate.latencyMs, () => {
        if ('value' in answer) {
          resolve(answer.value);
          return;
        }
        const words = answer.error instanceof Error ? answer.error.message : `${call} failed`;
        history.record('provider', [backend, ...subjects], words);
        reject(answer.error);
      });
    });
  }
}
