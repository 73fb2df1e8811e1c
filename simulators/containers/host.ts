/**
 * Local processes that the cloud simulators run in place of containers, one process group each. Time limits, states and
 * failures are up to the simulated service; this is only the machine underneath.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface ContainerSpec {
  readonly image: string;
  /** Replaces the image's ENTRYPOINT. */
  readonly command?: readonly string[];
  /** Replaces the image's CMD. */
  readonly args?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Files by their path in the container. They are stored elsewhere; command and args are rewritten accordingly. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface ContainerHostOptions {
  /** An image's default command. An image missing here does not exist. */
  readonly images: Readonly<Record<string, readonly string[]>>;
  /** Strings in command and args that are replaced by something local, such as `/home/runner/run.sh`. */
  readonly substitutions?: Readonly<Record<string, string>>;
}

export type ContainerEnd = { readonly exitCode: number } | { readonly signal: string };

export interface Container {
  readonly pid: number;
  /** Undefined while it runs. */
  readonly end: ContainerEnd | undefined;
  readonly ended: Promise<ContainerEnd>;
  /** Standard output and error in order of arrival, the last `KEPT_BYTES` of them. */
  output(): string;
  /** SIGTERM to the group, SIGKILL after the grace period. Resolves when it has ended. */
  stop(graceMs: number): Promise<ContainerEnd>;
}

/** The image does not exist, in a registry's words. */
export class NoSuchImage extends Error {
  constructor(image: string) {
    super(`manifest for ${image} not found`);
    this.name = 'NoSuchImage';
  }
}

export const KEPT_BYTES = 4 * 1024 * 1024;

export class ContainerHost {
  readonly #options: ContainerHostOptions;
  readonly #running = new Set<LocalContainer>();
  readonly #starting = new Set<Promise<Container>>();
  #folder: Promise<string> | undefined;
  #count = 0;
  #closed = false;

  constructor(options: ContainerHostOptions) {
    this.#options = options;
  }

  has(image: string): boolean {
    return Object.hasOwn(this.#options.images, image);
  }

  /** Rejects with NoSuchImage. A missing command ends with exit code 127, as in a shell. */
  async start(spec: ContainerSpec): Promise<Container> {
    const starting = this.#start(spec);
    this.#starting.add(starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(starting);
    }
  }

  async #start(spec: ContainerSpec): Promise<Container> {
    const own = this.#options.images[spec.image];
    if (!this.has(spec.image) || own === undefined) throw new NoSuchImage(spec.image);
    this.#folder ??= mkdtemp(join(tmpdir(), 'shr-containers-'));
    this.#count += 1;
    const root = join(await this.#folder, String(this.#count));
    await mkdir(root, { recursive: true });
    const substitutions = new Map(Object.entries(this.#options.substitutions ?? {}));
    for (const [path, text] of Object.entries(spec.files ?? {})) {
      const here = join(root, 'files', path);
      await mkdir(dirname(here), { recursive: true });
      await writeFile(here, text, { mode: 0o600 });
      substitutions.set(path, here);
    }
    const words = [...(spec.command ?? own), ...(spec.args ?? [])].map((word) => substitute(word, substitutions));
    const container = new LocalContainer(words, root, spec.environment, () => this.#running.delete(container));
    if (container.end === undefined) this.#running.add(container);
    // It was starting when the machine was switched off.
    if (this.#closed) await container.stop(0);
    return container;
  }

  /** Ends everything that still runs, and removes its folder. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#starting);
    await Promise.all([...this.#running].map((container) => container.stop(0)));
    if (this.#folder !== undefined) await rm(await this.#folder, { recursive: true, force: true });
  }
}

class LocalContainer implements Container {
  readonly pid: number;
  readonly ended: Promise<ContainerEnd>;
  end: ContainerEnd | undefined;
  readonly #child: ChildProcess;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(
    words: readonly string[],
    folder: string,
    environment: Readonly<Record<string, string>>,
    onEnd: () => void,
  ) {
    const [program = 'true', ...args] = words;
    this.#child = spawn(program, args, {
      cwd: folder,
      detached: true,
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: folder, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.pid = this.#child.pid ?? 0;
    const keep = (chunk: Buffer): void => this.#keep(chunk);
    this.#child.stdout?.on('data', keep);
    this.#child.stderr?.on('data', keep);
    this.ended = new Promise((resolve) => {
      const settle = (end: ContainerEnd): void => {
        if (this.end !== undefined) return;
        this.end = end;
        this.#signal('SIGKILL');
        onEnd();
        resolve(end);
      };
      this.#child.on('error', (error) => {
        keep(Buffer.from(`${error.message}\n`));
        settle({ exitCode: 127 });
      });
      // A child may keep the output open; the end of the process itself counts as the container's.
      this.#child.on('exit', (exitCode, signal) =>
        settle(exitCode === null ? { signal: signal ?? 'SIGKILL' } : { exitCode }),
      );
    });
  }

  output(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  async stop(graceMs: number): Promise<ContainerEnd> {
    if (this.end !== undefined) return this.end;
    this.#signal(graceMs > 0 ? 'SIGTERM' : 'SIGKILL');
    const timer = setTimeout(() => this.#signal('SIGKILL'), graceMs);
    const end = await this.ended;
    clearTimeout(timer);
    return end;
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.pid === 0) return;
    try {
      process.kill(-this.pid, signal);
    } catch {
      // The group has already gone.
    }
  }

  #keep(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes > KEPT_BYTES && this.#chunks.length > 1) this.#bytes -= this.#chunks.shift()?.length ?? 0;
  }
}

function substitute(word: string, substitutions: ReadonlyMap<string, string>): string {
  let text = word;
  for (const [from, to] of substitutions) text = text.replaceAll(from, to);
  return text;
}
