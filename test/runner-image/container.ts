/** The image's scripts without a container: in a folder of their own, with a listener that a test writes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const SCRIPTS = join(import.meta.dirname, '..', '..', 'runner-image', 'scripts');

export const JIT = Buffer.from(
  JSON.stringify(
    Object.fromEntries(
      ['.runner', '.credentials', '.credentials_rsaparams'].map((name) => [
        name,
        Buffer.from(`{"of":"${name}","with":"+/="}`).toString('base64'),
      ]),
    ),
  ),
).toString('base64');

/** What the listener's log has when it is online. */
export const ONLINE = 'echo "WRITE LINE: Listening for Jobs" >"$home/_diag/Runner_1-utc.log"';
/** A process that is called as the worker is. */
export const WORKER = 'cp "$(command -v sleep)" "$home/Runner.Worker"';

export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  output(): string;
  /** Resolves when it has said this. */
  said(text: string): Promise<void>;
}

export class Container {
  readonly root: string;
  readonly home: string;
  #started: ChildProcess[] = [];

  private constructor(root: string) {
    this.root = root;
    this.home = join(root, 'home');
  }

  /** `listener`: the script in place of the real one; `$home` is the runner's folder. */
  static async create(listener: string): Promise<Container> {
    const container = new Container(await mkdtemp(join(tmpdir(), 'shr-image-')));
    await cp(SCRIPTS, join(container.root, 'shr'), { recursive: true });
    // Where tests run as root, they stay it: the machine may have a user `runner`, who could not write here.
    await writeFile(container.script('as-root'), '#!/bin/sh\nexec "${0%/*}/supervise"\n');
    for (const folder of ['home/bin', 'home/_diag', 'home/externals/node24/bin', 'tmp'])
      await mkdir(join(container.root, folder), { recursive: true });
    await symlink(process.execPath, join(container.home, 'externals/node24/bin/node'));
    const file = join(container.home, 'bin/Runner.Listener');
    await writeFile(file, `#!/bin/sh\nhome=${container.home}\n${listener}\n`);
    await chmod(file, 0o755);
    return container;
  }

  script(name: string): string {
    return join(this.root, 'shr', name);
  }

  start(environment: Readonly<Record<string, string>>, script = 'entrypoint'): Started {
    const child = spawn(this.script(script), [], {
      env: {
        PATH: process.env['PATH'] ?? '',
        TMPDIR: join(this.root, 'tmp'),
        SHR_RUNNER_HOME: this.home,
        ...environment,
      },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#started.push(child);
    let output = '';
    const keep = (text: string): void => {
      output += text;
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    const ended = new Promise<Ended>((resolve) => {
      child.on('exit', (code) => {
        // A moment for what is in the pipes; something that sleeps on may keep them open.
        setTimeout(() => resolve({ code, output }), 50);
      });
    });
    const said = async (text: string): Promise<void> => {
      while (!output.includes(text)) {
        if (child.exitCode !== null) throw new Error(`it ended without saying ${text}:\n${output}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    return { child, ended, output: () => output, said };
  }

  async close(): Promise<void> {
    for (const { pid } of this.#started) {
      try {
        if (pid !== undefined) process.kill(-pid, 'SIGKILL');
      } catch {
        // All of it has ended.
      }
    }
    await rm(this.root, { recursive: true, force: true });
  }
}
