/**
 * Thousands of registrations of one GitHub App: what they cost while nothing happens, and how long a job of one of them
 * waits, also right after a restart.
 */
import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Service, startService } from '../e2e/service-fixture.ts';
import type { Experiment } from './experiment.ts';
import { LABEL, push, rest } from './load.ts';

const RUNNER = join(import.meta.dirname, '..', '..', 'simulators', 'github', 'runner.mjs');
const CLOCK_TICKS = 100;
const UNBOUND = { pointsPerMinute: 1e6, requestsPerHour: 1e6, contentPerMinute: 1e6, contentPerHour: 1e6 };
const JOB_MS = 600_000;
/** The job's own calls, before calls are counted. */
const AFTER_JOB_MS = 15_000;

export const registrations: Experiment<'count' | 'settle' | 'idle' | 'polls'> = {
  title: 'many registrations of one App: at rest, a job of one of them, and one right after a restart',
  sizes: {
    count: { default: 2_000, least: 1, what: 'registrations, each of its own organization' },
    settle: { default: 120, least: 1, what: 'seconds between the start and the first job, for the catch-up' },
    polls: { default: 0, least: 0, what: '1: they also poll, at the default interval; rest is then no figure' },
    idle: { default: 60, least: 10, what: 'seconds of rest that are measured' },
  },
  async run({ count, settle, idle, polls }, say) {
    const others = Array.from({ length: count - 1 }, (_, index) => `org-${index}`);
    const names = ['acme', ...others];
    const requests = new Map<string, number>();
    const note = (message: unknown) => {
      const path = pathOf(message);
      if (path === undefined || path.startsWith('/_runner')) return;
      const route = path.replaceAll(/\/(org-)?\d+/g, '/N').replace(/\?.*/, '');
      requests.set(route, (requests.get(route) ?? 0) + 1);
    };
    const poll = polls === 0 ? { interval: 'off' } : undefined;
    const startedAt = performance.now();
    const service = await startService({
      github: {
        owners: names.map((login) => ({ login, repositories: [{ name: 'web' }] })),
        apps: [{ name: 'many', installations: names.map((account) => ({ account })) }],
        limits: UNBOUND,
      },
      dispatcher: { logLevel: 'info' },
      registration: { poll, maxRunners: 5 },
      others: ({ folder, github }) =>
        Object.fromEntries(
          others.map((name) => [
            `${name}.yaml`,
            registration(name, { folder, apiUrl: github.url, appId: github.apps[0]?.id, poll }),
          ]),
        ),
      startMs: 120_000,
    });
    subscribe('http.server.request.start', note);
    try {
      say(`started after ${Math.round(performance.now() - startedAt)} ms`);
      await rest(settle * 1000);
      const jobMs = await timeOfJob(service);
      await rest(AFTER_JOB_MS);

      requests.clear();
      const cpuBefore = await cpuSeconds(service.process);
      const restedAt = performance.now();
      await rest(idle * 1000);
      const seconds = (performance.now() - restedAt) / 1000;
      const share = ((await cpuSeconds(service.process)) - cpuBefore) / seconds;
      const calls = [...requests].map(([route, times]) => `${Math.round((times * 60) / seconds)} ${route}`);
      say(`at rest: ${calls.join(', ') || 'no'} calls a minute, ${await residentMegabytes(service.process)} MB`);

      await service.end('SIGKILL');
      await service.restart();
      const afterRestartMs = await timeOfJob(service);
      return [
        ...(polls === 0 ? [{ what: 'at rest', value: 100 * share, most: 1, unit: '% of a core' }] : []),
        { what: 'a job started after', value: jobMs / 1000, most: 10, unit: 's' },
        { what: 'right after a restart', value: afterRestartMs / 1000, most: 10, unit: 's' },
      ];
    } finally {
      unsubscribe('http.server.request.start', note);
      await service.close();
    }
  },
};

/** Milliseconds from the push until the job runs. */
async function timeOfJob(service: Service): Promise<number> {
  const pushedAt = performance.now();
  push(service, 1, 0);
  const { length } = service.github.jobs();
  await service.github.waitFor(
    () => service.github.jobs().filter(({ status }) => status !== 'queued').length === length,
    JOB_MS,
  );
  return performance.now() - pushedAt;
}

function registration(
  organization: string,
  place: {
    readonly folder: string;
    readonly apiUrl: string;
    readonly appId: number | undefined;
    readonly poll: unknown;
  },
): string {
  const options = { command: [process.execPath, RUNNER], root: join(place.folder, 'instances') };
  return stringify({
    organization,
    apiUrl: place.apiUrl,
    credentials: { app: { id: place.appId, privateKey: '${file:app.pem}' } },
    webhook: { secrets: ['${env:E2E_WEBHOOK_SECRET}'] },
    labels: [LABEL],
    defaults: { image: 'e2e:1', cpu: 1, memoryGiB: 1 },
    policy: { maxCpu: 1, maxMemoryGiB: 1 },
    backends: [{ name: 'process', kind: 'process', options }],
    maxRunners: 5,
    poll: place.poll,
  });
}

function pathOf(message: unknown): string | undefined {
  if (typeof message !== 'object' || message === null || !('request' in message)) return undefined;
  const { request } = message as { readonly request: Partial<IncomingMessage> };
  return request.url;
}

async function cpuSeconds({ pid }: ChildProcess): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

async function residentMegabytes({ pid }: ChildProcess): Promise<number> {
  const found = /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(found?.[1] ?? 0) / 1024);
}
