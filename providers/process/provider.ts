/** Each instance is a process group on this machine, in its own folder. */
import { spawn } from 'node:child_process';
import { access, constants, mkdir, readdir, statfs } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { mapLimited } from '../../time/workers.ts';
import { Deadlines } from '../kit/deadlines.ts';
import { refuseWish, roundUp } from '../kit/wish.ts';
import {
  type Architecture,
  type Capabilities,
  type Finding,
  type Fit,
  type Instance,
  type InstanceRef,
  type LaunchRequest,
  type Provider,
  ProviderError,
  type ProviderHost,
  type ShapeWish,
} from '../provider.ts';
import { coresInWords, sizeInWords } from '../shape-words.ts';
import { classify } from './errors.ts';
import {
  errorCode,
  findInstance,
  forbidStart,
  type Meta,
  makeFolder,
  markStopping,
  readInstance,
  readOutput,
  readSupervisor,
  removeFolder,
  sweepScraps,
} from './folder.ts';
import type { ProcessOptions } from './options.ts';
import { EnvironmentScanner, isAlive, type ProcessIdentity, procProblem } from './proc.ts';

/** Set in the environment of every process of an instance to its folder: finds processes that left the group. */
const COOKIE = 'SHR_INSTANCE';
const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

export interface ProcessSettings extends ProcessOptions {
  readonly root: string;
  readonly architecture: Architecture;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly inherited: Readonly<Record<string, string>>;
}

export class ProcessProvider implements Provider {
  readonly capabilities: Capabilities;
  readonly #settings: ProcessSettings;
  readonly #host: ProviderHost;
  readonly #deadlines: Deadlines;
  readonly #scanner = new EnvironmentScanner(COOKIE);
  #ready: Promise<void> | undefined;

  constructor(settings: ProcessSettings, host: ProviderHost) {
    this.#settings = settings;
    this.#host = host;
    this.#deadlines = new Deadlines(host);
    this.capabilities = {
      architectures: [settings.architecture],
      spot: false,
      dockerInDocker: false,
      disk: false,
      bucket: false,
      subnet: false,
      securityGroup: false,
      logs: true,
      secretEnvironment: true,
    };
  }

  fit(wish: ShapeWish): Fit {
    const refusal = refuseWish(wish, this.capabilities);
    if (refusal !== undefined) return { fits: false, reason: refusal };
    const cpu = roundUp(wish.cpu ?? 1, 100);
    const memoryGiB = roundUp(wish.memoryGiB ?? 2 * cpu, 1024);
    const { cores, memoryGiB: machineGiB } = this.#settings;
    const note =
      cpu > cores || memoryGiB > machineGiB
        ? `processes share this machine, nothing is reserved: ${sizeInWords({ cpu, memoryGiB }).join(' and ')} wished, ` +
          `${coresInWords(cores)} and ${Math.floor(machineGiB)} GiB there`
        : undefined;
    return { fits: true, shape: { ...wish, cpu, memoryGiB }, ...(note === undefined ? {} : { note }) };
  }

  async launch(request: LaunchRequest): Promise<Instance> {
    const operation = 'process launch';
    const folder = this.#folder(request.name, operation);
    const refusal = refuseWish(request.shape, this.capabilities);
    if (refusal !== undefined) throw new ProviderError('invalid', operation, refusal);
    return this.#guard(operation, async () => {
      const problem = await procProblem();
      if (problem !== undefined) {
        throw new ProviderError('invalid', operation, `this needs Linux with /proc mounted: ${problem}`);
      }
      const environment = this.#environment(request, folder);
      await this.#requireProgram(environment, operation);
      await this.#prepareRoot();
      let meta: Meta = { id: this.#newId(), tags: request.tags };
      if (!(await makeFolder(this.#settings.root, request.name, meta))) {
        meta = await this.#adopt(folder, request, operation);
      }
      const supervisor = await readSupervisor(folder);
      if (supervisor.kind === 'forbidden') {
        throw new ProviderError('transient', operation, `${request.name} is being stopped`, { code: 'stopping' });
      }
      if (supervisor.kind === 'none') {
        // Not started yet, or the creator of the folder died before it could start. Starting twice is harmless:
        // the second supervisor exits at once.
        await this.#start(folder, { ...environment, [COOKIE]: folder }, operation);
        if ((await readSupervisor(folder)).kind === 'none') {
          throw new ProviderError('transient', operation, `the supervisor of ${request.name} did not start`);
        }
      }
      return readInstance(folder, request.name, meta);
    });
  }

  async inspect(ref: InstanceRef): Promise<Instance | undefined> {
    const operation = 'process inspect';
    const folder = this.#folder(ref.name, operation);
    return this.#guard(operation, async () => {
      await this.#prepareRoot();
      return this.#look(folder, ref);
    });
  }

  async list(owner: { readonly dispatcher: string }): Promise<readonly Instance[]> {
    return this.#guard('process list', async () => {
      const { root } = this.#settings;
      await this.#prepareRoot();
      const names = (await readdir(root)).filter((name) => NAME.test(name)).sort();
      const found: Instance[] = [];
      await mapLimited(names, 16, async (name) => {
        const instance = await this.#look(join(root, name), { name });
        if (instance === undefined) return;
        // With damaged tags, only the name identifies the owner: the dispatcher's id is its prefix.
        const ours =
          instance.tags === undefined
            ? name.startsWith(`${owner.dispatcher}-`)
            : instance.tags.dispatcher === owner.dispatcher;
        if (ours) found.push(instance);
      });
      return found;
    });
  }

  async stop(ref: InstanceRef): Promise<void> {
    const operation = 'process stop';
    const folder = this.#folder(ref.name, operation);
    await this.#guard(operation, async () => {
      await this.#prepareRoot();
      const found = await findInstance(folder);
      if (found.kind === 'nothing' || found.kind === 'foreign') return;
      if (found.kind === 'instance' && ref.id !== undefined && ref.id !== found.meta.id) return;
      // Damaged tags must not keep it alive: the stop does not need them.
      await markStopping(folder);
      const supervisor = await forbidStart(folder);
      if (supervisor.kind === 'started') await this.#endGroup(supervisor.identity);
      await this.#endStragglers(folder, operation);
      await removeFolder(this.#settings.root, ref.name, found.kind === 'instance' ? found.meta.id : 'damaged');
    });
  }

  async logs(ref: InstanceRef): Promise<string | undefined> {
    const operation = 'process logs';
    const folder = this.#folder(ref.name, operation);
    return this.#guard(operation, async () => {
      await this.#prepareRoot();
      const found = await findInstance(folder);
      if (found.kind === 'nothing' || found.kind === 'foreign') return undefined;
      if (found.kind === 'instance' && ref.id !== undefined && ref.id !== found.meta.id) return undefined;
      return readOutput(folder);
    });
  }

  async check(): Promise<readonly Finding[]> {
    const { root, command, cores, memoryGiB } = this.#settings;
    const problem = await procProblem();
    const findings: Finding[] = [
      problem === undefined
        ? {
            subject: 'engine',
            ok: true,
            message: `Linux with /proc, ${coresInWords(cores)}, ${Math.floor(memoryGiB)} GiB`,
          }
        : {
            subject: 'engine',
            ok: false,
            message: problem,
            cure: 'run the dispatcher on Linux with /proc mounted, or use another kind of backend',
          },
    ];
    try {
      await this.#prepareRoot();
      await access(root, constants.W_OK | constants.X_OK);
      const { bavail, bsize } = await statfs(root);
      const freeMiB = Math.floor((bavail * bsize) / 2 ** 20);
      findings.push(
        freeMiB >= 256
          ? { subject: 'quota', ok: true, message: `${freeMiB} MiB free in ${root}` }
          : {
              subject: 'quota',
              ok: false,
              message: `only ${freeMiB} MiB free in ${root}`,
              cure: 'make room there, or set the option root to another disk',
            },
      );
    } catch (error) {
      findings.push({
        subject: 'permissions',
        ok: false,
        message: classify('process check', error).message,
        cure: `let this user write to ${root}, or set the option root to a folder that it owns`,
      });
    }
    try {
      await this.#requireProgram({ ...this.#settings.inherited, ...this.#settings.environment }, 'process check');
      findings.push({ subject: 'image', ok: true, message: `${command[0]} can be run` });
    } catch (error) {
      findings.push({
        subject: 'image',
        ok: false,
        message: error instanceof Error ? error.message : String(error),
        cure: 'install it, write its full path in the option command, or add its folder to environment.PATH',
      });
    }
    return findings;
  }

  async close(): Promise<void> {
    // No resources are held: the instances are independent of this process.
  }

  async #look(folder: string, ref: InstanceRef): Promise<Instance | undefined> {
    const found = await findInstance(folder);
    switch (found.kind) {
      case 'nothing':
      case 'foreign':
        return undefined;
      case 'unreadable':
        return {
          ref: { name: ref.name, id: ref.id ?? ref.name },
          state: 'unknown',
          reason: { kind: 'unknown', message: found.message },
        };
      case 'instance': {
        if (ref.id !== undefined && ref.id !== found.meta.id) return undefined;
        const instance = await readInstance(folder, ref.name, found.meta);
        // The folder may be moved away between two reads of it, which looks like "no exit, no supervisor".
        return (await findInstance(folder)).kind === 'nothing' ? undefined : instance;
      }
    }
  }

  async #adopt(folder: string, request: LaunchRequest, operation: string): Promise<Meta> {
    const found = await findInstance(folder);
    switch (found.kind) {
      case 'instance':
        if (found.meta.tags.dispatcher === request.tags.dispatcher) return found.meta;
        throw new ProviderError('conflict', operation, `${request.name} belongs to ${found.meta.tags.dispatcher}`);
      case 'nothing':
        throw new ProviderError('transient', operation, `${request.name} disappeared while it was being read`);
      case 'unreadable':
        throw new ProviderError('conflict', operation, found.message);
      case 'foreign':
        throw new ProviderError('conflict', operation, `${folder} exists and was not created by this provider`);
    }
  }

  /** Settles when the supervisor has taken the lock, or has exited because another one holds it. */
  async #start(folder: string, environment: Record<string, string>, operation: string): Promise<void> {
    const child = spawn('/bin/sh', [join(folder, 'supervise'), folder, ...this.#settings.command], {
      cwd: join(folder, 'work'),
      env: environment,
      // Its own session and group: signals of the dispatcher's terminal do not reach it, and one kill ends everything.
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    child.unref();
    try {
      await this.#deadlines.run(
        operation,
        this.#settings.timeoutMs,
        () =>
          new Promise<void>((settle, reject) => {
            child.once('error', reject);
            // Without a free file descriptor there is no pipe, despite the types; 'error' follows.
            child.stdout?.once('error', reject).once('close', settle).resume();
          }),
      );
    } finally {
      child.stdout?.destroy();
    }
  }

  async #endGroup(identity: ProcessIdentity): Promise<void> {
    if (!(await isAlive(identity))) return;
    const group = -identity.pid;
    if (!signal(group, 'SIGTERM')) return;
    let waitMs = 10;
    for (let waitedMs = 0; waitedMs < this.#settings.stopGraceMs; waitedMs += waitMs) {
      // Not "is the group empty": zombies count, and they persist if PID 1 does not reap orphans.
      if (!(await isAlive(identity))) return;
      waitMs = Math.min(2 * waitMs, 200);
      await this.#host.sleep(waitMs);
    }
    signal(group, 'SIGKILL');
  }

  /** Ends processes that left the group (a daemon in its own session) or outlived their supervisor. */
  async #endStragglers(folder: string, operation: string): Promise<void> {
    for (let round = 0; round < 10; round += 1) {
      const pids = (await this.#scanner.pidsOf(folder)).filter((pid) => pid !== process.pid);
      if (pids.length === 0) return;
      for (const pid of pids) signal(pid, 'SIGKILL');
      await this.#host.sleep(10 * (round + 1));
    }
    throw new ProviderError('transient', operation, 'processes of the instance do not end after SIGKILL');
  }

  #environment(request: LaunchRequest, folder: string): Record<string, string> {
    return {
      HOME: join(folder, 'work'),
      TMPDIR: join(folder, 'tmp'),
      ...this.#settings.inherited,
      ...this.#settings.environment,
      ...request.environment,
      ...request.secretEnvironment,
    };
  }

  /**
   * The counterpart of a missing image. Without this check the shell would exit with 127, after the runner was
   * registered.
   */
  async #requireProgram(environment: Readonly<Record<string, string>>, operation: string): Promise<void> {
    const program = this.#settings.command[0] ?? '';
    const places = program.includes('/')
      ? [resolve('/', program)]
      : (environment['PATH'] ?? '').split(delimiter).map((folder) => join(folder, program));
    for (const place of places) {
      if (await access(place, constants.X_OK).then(yes, no)) return;
    }
    throw new ProviderError('invalid', operation, `${program} does not exist or is not executable`, { code: 'ENOENT' });
  }

  /** Only once: if the folder disappears later (a disk is unmounted), that must not look like "no instances". */
  #prepareRoot(): Promise<void> {
    this.#ready ??= (async () => {
      await mkdir(this.#settings.root, { recursive: true, mode: 0o700 });
      await sweepScraps(this.#settings.root, this.#host.now());
    })().catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    return this.#ready;
  }

  #newId(): string {
    let id = '';
    while (id.length < 16) id += Math.floor(this.#host.random() * 16).toString(16);
    return id;
  }

  #folder(name: string, operation: string): string {
    if (!NAME.test(name)) {
      throw new ProviderError(
        'invalid',
        operation,
        `${JSON.stringify(name)} is not a valid name: [a-z0-9-], at most 63`,
      );
    }
    return join(this.#settings.root, name);
  }

  async #guard<T>(operation: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw classify(operation, error);
    }
  }
}

/** False if there is no such process (any more). */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return false;
    throw error;
  }
}

const yes = (): boolean => true;
const no = (): boolean => false;
