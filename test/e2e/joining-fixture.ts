/** What both ways of joining need: a platform with tenants on a GitHub host of its own, and its dispatcher. */
import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { createServer, type Server } from 'node:https';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeCertificate } from '../../simulators/azure-aci/certificate.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const RUNNER = join(ROOT, 'simulators', 'github', 'runner.mjs');
const SHR = join(ROOT, 'dispatcher', 'cli', 'shr.mjs');

export interface TlsFront {
  /** As a registration names the GitHub host. */
  readonly host: string;
  readonly certificate: string;
  /** Where it leads. */
  target: string;
  close(): Promise<void>;
}

/** Tenants cannot name an address for the API: a host of their own speaks TLS. */
export async function tlsFront(): Promise<TlsFront> {
  const { certificate, privateKey } = makeCertificate();
  const front = { target: '' };
  const server: Server = createServer({ cert: certificate, key: privateKey }, (incoming, response) => {
    const { headers, method, url = '/' } = incoming;
    const forward = request(new URL(url, front.target), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    forward.on('error', () => response.destroy());
    incoming.pipe(forward);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('it does not listen');
  return Object.assign(front, {
    host: `127.0.0.1:${address.port}`,
    certificate,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  });
}

/** For dispatcher.yaml: the tenants `web` and `data`, each with an organization of its name. */
export function platformOf(host: string, place: string): Readonly<Record<string, unknown>> {
  const grant = (name: string) => ({
    registrations: [name],
    hosts: [host],
    owners: [`${name}-team`],
    labels: [`${name}-*`],
    runnerGroups: ['Default'],
    credentials: ['app'],
    backends: ['machine'],
    limits: { maxRunners: 30, maxCpu: 4, maxMemoryGiB: 8 },
    powers: { images: ['runner:*'] },
  });
  return {
    credentials: { app: { host, app: { id: '${env:APP_ID}', privateKey: '${file:app.pem}' } } },
    backends: {
      machine: { kind: 'process', options: { command: [process.execPath, RUNNER], root: join(place, 'instances') } },
    },
    tenants: { own: { trusted: true, registrations: ['e2e'] }, web: grant('web'), data: grant('data') },
  };
}

export const APP = 4711;

export const GITHUB = {
  owners: ['acme', 'web-team', 'data-team'].map((login) => ({ login, repositories: [{ name: 'web' }] })),
  apps: [{ id: APP, name: 'e2e', installations: ['acme', 'web-team', 'data-team'].map((account) => ({ account })) }],
};

/** Of a tenant; `changes` are further lines. */
export function registrationText(tenant: string, host: string, changes = 'maxRunners: 20\n'): string {
  return `host: ${host}
organization: ${tenant}-team
credentials: { use: app }
labels: [${tenant}-runner]
defaults: { image: "runner:1", cpu: 1, memoryGiB: 1 }
backends: [{ use: machine }]
poll: { interval: 2s }
${changes}`;
}

export function workflowText(label: string, jobs: number, script: string): string {
  const all = Array.from(
    { length: jobs },
    (_, index) => `  work${index}:\n    runs-on: ${label}\n    steps: [{ run: "${script}" }]`,
  );
  return `on: push\njobs:\n${all.join('\n')}`;
}

export async function shr(
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const env = { PATH: process.env['PATH'] ?? '', ...environment };
  const run = promisify(execFile)(process.execPath, [SHR, ...words], { env });
  return await run.then(
    ({ stderr, stdout }) => ({ code: 0, out: stdout, err: stderr }),
    (error: { readonly code: number; readonly stdout: string; readonly stderr: string }) => ({
      ...{ code: error.code, out: error.stdout, err: error.stderr },
    }),
  );
}
