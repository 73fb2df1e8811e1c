/**
 * In place of a container service that another machine runs: it outlives every provider object, as a service does.
 * A real adapter has its vendor's SDK here.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type InstanceTags, LOG_BYTES } from 'serverless-hosted-runner/provider';

export interface Container {
  readonly name: string;
  readonly id: string;
  readonly tags: InstanceTags;
  readonly process: ChildProcess;
  output: string;
  exitCode: number | undefined;
}

const containers = new Map<string, Container>();
let started = 0;

export type Service = typeof service;

/** Rejects where nothing answers there, as an SDK's first call would. */
export async function connect(endpoint: string): Promise<Service> {
  if (endpoint !== 'acme.example') throw new Error(`connect ECONNREFUSED ${endpoint}`);
  return service;
}

export const service = {
  find: (name: string): Container | undefined => containers.get(name),
  all: (): readonly Container[] => [...containers.values()],

  async start(
    name: string,
    [program = '', ...words]: readonly string[],
    environment: Readonly<Record<string, string>>,
    tags: InstanceTags,
  ): Promise<Container> {
    const env = { PATH: process.env['PATH'], ...environment };
    const child = spawn(program, words, { detached: true, env, stdio: ['ignore', 'pipe', 'pipe'] });
    started += 1;
    const id = `acme-${started}`;
    const container: Container = { name, id, tags, process: child, output: '', exitCode: undefined };
    containers.set(name, container);
    const keep = (text: string) => {
      container.output = (container.output + text).slice(-LOG_BYTES);
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.on('close', (code, signal) => {
      container.exitCode = signal === null ? (code ?? 1) : 137;
    });
    try {
      await once(child, 'spawn');
    } catch (error) {
      containers.delete(name);
      throw error;
    }
    return container;
  },

  async remove(container: Container): Promise<void> {
    if (containers.get(container.name) === container) containers.delete(container.name);
    if (container.exitCode !== undefined || container.process.pid === undefined) return;
    const closed = once(container.process, 'close');
    process.kill(-container.process.pid, 'SIGKILL');
    await closed;
  },
};
