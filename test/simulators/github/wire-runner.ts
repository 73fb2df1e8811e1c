/** A runner under the test's own control: it speaks the simulator's protocol one verb at a time. */
import type { GithubSimulator } from '../../../simulators/github/index.ts';
import { asPerson } from './client.ts';

export type RegistrationScope = { org: string } | { owner: string; repo: string } | { enterprise: string };

export interface Registration {
  readonly name: string;
  readonly labels: readonly string[];
  readonly group?: number;
  /** Default: organization `acme`. */
  readonly scope?: RegistrationScope;
}

/** The JIT blob of a new registration. */
export async function register(
  simulator: GithubSimulator,
  { name, labels, group = 1, scope }: Registration,
): Promise<string> {
  const octokit = asPerson(simulator);
  const wish = { name, labels: [...labels], runner_group_id: group };
  if (scope && 'owner' in scope) {
    const { data } = await octokit.actions.generateRunnerJitconfigForRepo({ ...scope, ...wish });
    return data.encoded_jit_config;
  }
  if (scope && 'enterprise' in scope) {
    const { data } = await octokit.request('POST /enterprises/{enterprise}/actions/runners/generate-jitconfig', {
      ...scope,
      ...wish,
    });
    return String(data.encoded_jit_config);
  }
  const { data } = await octokit.actions.generateRunnerJitconfigForOrg({ org: scope?.org ?? 'acme', ...wish });
  return data.encoded_jit_config;
}

export class WireRunner {
  readonly #url: string;
  readonly #token: string;
  #session = '';

  constructor(blob: string) {
    const files: unknown = JSON.parse(Buffer.from(blob, 'base64').toString());
    const file =
      typeof files === 'object' && files !== null && '.simulator' in files ? String(files['.simulator']) : '';
    const lines = Buffer.from(file, 'base64').toString();
    this.#url = /^url (.*)$/m.exec(lines)?.[1] ?? '';
    this.#token = /^token (.*)$/m.exec(lines)?.[1] ?? '';
  }

  static async connect(simulator: GithubSimulator, registration: Registration): Promise<WireRunner> {
    const runner = new WireRunner(await register(simulator, registration));
    await runner.hello();
    return runner;
  }

  async say(verb: string, fields: Record<string, string | number> = {}): Promise<string> {
    const lines = Object.entries({ token: this.#token, session: this.#session, ...fields }).map(
      ([key, value]) => `${key} ${value}`,
    );
    const response = await fetch(`${this.#url}/_runner/${verb}`, { method: 'POST', body: lines.join('\n') });
    return (await response.text()).trimEnd();
  }

  async hello(): Promise<string> {
    const reply = await this.say('hello', { os: 'Linux' });
    this.#session = /^session (\S+)/.exec(reply)?.[1] ?? this.#session;
    return reply.split(' ')[0] ?? '';
  }

  /** What lies there now, without waiting: `job 1`, `none`, `gone`. */
  poll(waitSeconds = 0): Promise<string> {
    return this.say('poll', { wait: waitSeconds });
  }

  /** Takes the job that lies there; undefined when none does. */
  async take(): Promise<number | undefined> {
    const [word, id = ''] = (await this.poll()).split(' ');
    if (word !== 'job') return undefined;
    const reply = await this.say('take', { job: id });
    return reply.startsWith('ok') ? Number(id) : undefined;
  }

  /** Goes through all steps with one outcome each; how the job ended. */
  async finish(outcome: 'success' | 'failure' | 'terminated' = 'success'): Promise<string> {
    let reply = await this.say('next', { after: 1, outcome: outcome === 'terminated' ? outcome : 'success' });
    while (reply.startsWith('run ')) reply = await this.say('next', { after: reply.split(' ')[1] ?? '', outcome });
    return reply;
  }
}
