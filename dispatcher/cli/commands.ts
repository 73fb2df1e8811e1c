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
    name: 'import',
    summary: 'write registrations from the older dispatcher, ARC, GARM or terraform-aws-github-runner',
    load: () => import('./import.ts'),
  },
  {
    name: 'platform',
    summary: 'export what tenants may use, for a repository of theirs without dispatcher.yaml',
    load: () => import('./platform.ts'),
  },
  {
    name: 'explain',
    summary: 'show which registration, lane and backends a job would get, or why none',
    load: () => import('./explain.ts'),
  },
  {
    name: 'doctor',
    summary: 'ask GitHub and every backend whether they are ready; changes nothing',
    load: () => import('./doctor.ts'),
  },
  {
    name: 'verify-live',
    summary: 'launch two small containers in your account for each backend, check and remove them',
    load: () => import('./verify-live.ts'),
  },
  {
    name: 'image-cache',
    summary: 'let a service cache an image, so that runners start sooner (Alibaba ECI)',
    load: () => import('./image-cache.ts'),
  },
  {
    name: 'runner-dist',
    summary: "pin the runner image to GitHub's newest release of the runner, and mirror releases into a folder",
    load: () => import('./runner-dist/command.ts'),
  },
  {
    name: 'runner-version',
    summary: "show the runner's versions in use beside GitHub's newest release, and when GitHub ends old ones",
    load: () => import('./runner-version/command.ts'),
  },
  {
    name: 'seal',
    summary: "seal a secret for a registration's file, so that only the dispatcher can read it",
    load: () => import('./seal.ts'),
  },
  { name: 'serve', summary: 'run the dispatcher', load: () => import('./serve.ts') },
  {
    name: 'deploy',
    summary: 'run the dispatcher as a container: plan, apply, status, logs, destroy',
    load: () => import('./deploy.ts'),
  },
  {
    name: 'registrations',
    summary: 'list the registrations, with the state and problems of each',
    load: () => import('./registrations.ts'),
  },
  { name: 'jobs', summary: 'list the jobs: what happened to each, and why', load: () => import('./jobs.ts') },
  { name: 'runners', summary: 'list the runners, their states and timelines', load: () => import('./runners.ts') },
  {
    name: 'backends',
    summary: 'list the backends: which are in use, which are closed and why; reset opens them',
    load: () => import('./backends.ts'),
  },
  {
    name: 'lanes',
    summary: 'list the lanes: demand, supply, and what each waits for',
    load: () => import('./lanes.ts'),
  },
  {
    name: 'observe',
    summary: 'show what a registration that only observes would have run, waited and cost',
    load: () => import('./observe.ts'),
  },
  {
    name: 'pause',
    summary: 'launch nothing for a registration, or for all; jobs are taken in and wait',
    load: () => import('./pause.ts'),
  },
  { name: 'resume', summary: 'end a pause', load: () => import('./resume.ts') },
  {
    name: 'login',
    summary: 'keep the address and token of a dispatcher for the commands that ask one',
    load: () => import('./login.ts'),
  },
  { name: 'logout', summary: 'forget what `shr login` kept', load: () => import('./logout.ts') },
  {
    name: 'token',
    summary: 'create, list and revoke the tokens of the admin API',
    load: () => import('./token.ts'),
  },
  { name: 'audit', summary: 'show who did what with the admin API', load: () => import('./audit.ts') },
];
