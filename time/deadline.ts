// Not p-timeout: nothing may start for a caller that has gone, and the clock may be a virtual one.
import type { Clock } from './clock.ts';

/**
 * Runs `work` until `ms` have passed or `parent` is aborted, whichever is first; then its signal is aborted and the
 * reason thrown, whether or not the work heeds the signal.
 */
export async function withDeadline<T>(
  clock: Pick<Clock, 'after'>,
  ms: number,
  expired: () => Error,
  parent: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const forward = () => controller.abort(parent?.reason);
  const aborted = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true });
  });
  const cancel = clock.after(ms, () => controller.abort(expired()));
  parent?.addEventListener('abort', forward, { once: true });
  try {
    if (parent?.aborted) forward();
    // When aborted already, nothing may start: an abandoned request could still take effect.
    return await (controller.signal.aborted ? aborted : Promise.race([work(controller.signal), aborted]));
  } finally {
    cancel();
    parent?.removeEventListener('abort', forward);
  }
}

/** Rejects with the signal's reason when it is aborted first. */
export async function pause(clock: Pick<Clock, 'after'>, ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (ms <= 0) return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cancel = clock.after(ms, resolve);
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await promise;
  } finally {
    cancel();
    signal.removeEventListener('abort', abort);
  }
}
