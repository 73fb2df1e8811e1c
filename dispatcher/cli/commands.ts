/** Every command by name. A command's module is imported only when it is called, so that `shr --help` is fast. */
import type { CommandModule } from './terminal.ts';

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<CommandModule>;
}

/** In the order of `shr --help`: the order in which a new user needs them. */
export const commands: readonly CommandEntry[] = [
  {
    name: 'demo',
    summary: 'run a workflow through a simulated GitHub, on this machine',
    load: () => import('./demo/command.ts'),
  },
  { name: 'init', summary: 'write a first configuration into a folder', load: () => import('./init.ts') },
  { name: 'validate', summary: 'check dispatcher.yaml and the registrations', load: () => import('./validate.ts') },
  {
    name: 'explain',
    summary: 'say which registration, lane and backends a job would get, or why not',
    load: () => import('./explain.ts'),
  },
  {
    name: 'doctor',
    summary: 'ask GitHub and every backend whether they are ready; changes nothing',
    load: () => import('./doctor.ts'),
  },
  {
    name: 'verify-live',
    summary: "launch a small container in your account, look at it, take it away: what the tests can't prove",
    load: () => import('./verify-live.ts'),
  },
  {
    name: 'image-cache',
    summary: 'have a service keep an image at hand, so that runners start sooner (Alibaba ECI)',
    load: () => import('./image-cache.ts'),
  },
  { name: 'serve', summary: 'run the service', load: () => import('./serve.ts') },
  {
    name: 'registrations',
    summary: 'each registration, how it fares, and what is wrong with it',
    load: () => import('./registrations.ts'),
  },
  { name: 'jobs', summary: 'what became of each job, and why', load: () => import('./jobs.ts') },
  { name: 'runners', summary: 'the runners, their states and timelines', load: () => import('./runners.ts') },
  {
    name: 'backends',
    summary: 'which backends are tried now, which not and why; reset opens one',
    load: () => import('./backends.ts'),
  },
  { name: 'lanes', summary: 'demand, supply and what each lane waits for', load: () => import('./lanes.ts') },
];
