/**
 * A child process of the benchmark, controlled by messages: the measured code does not share the measuring event loop.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { z } from 'zod';

export class Child {
  readonly #process: ChildProcess;

  /** `file` is relative to this one. The child exits with its parent, because the channel between them closes. */
  constructor(file: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    this.#process = fork(new URL(file, import.meta.url), [...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, ...environment },
    });
  }

  /** Sends a message that has no reply. */
  tell(message: object): void {
    this.#process.send(message);
  }

  /**
   * Sends the message (unless undefined) and resolves with the next one received. Rejects when the process ends first.
   */
  async ask<Schema extends z.ZodType>(message: object | undefined, answer: Schema): Promise<z.output<Schema>> {
    const ended = new AbortController();
    const onExit = () => ended.abort(new Error(`a process of the benchmark ended: ${this.#process.spawnfile}`));
    this.#process.once('exit', onExit);
    try {
      const next = once(this.#process, 'message', { signal: ended.signal });
      if (message !== undefined) this.#process.send(message);
      const [received] = await next;
      return answer.parse(received);
    } finally {
      this.#process.off('exit', onExit);
    }
  }

  async end(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    if (this.#process.connected) this.#process.disconnect();
    await exited;
  }
}

/** The child's side. Undefined: the message has no reply. Ends the process when the parent disconnects. */
export function serveParent(answer: (message: unknown) => Promise<object | undefined>): void {
  process.on('message', (message) => {
    void answer(message).then((reply) => {
      if (reply !== undefined) process.send?.(reply);
    });
  });
  process.on('disconnect', () => process.exit(0));
}

/** Milliseconds since the epoch with fractions: the clock shared by all processes of a benchmark. */
export function preciseNow(): number {
  return performance.timeOrigin + performance.now();
}
