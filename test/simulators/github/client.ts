/** Ways to talk to the simulator: Octokit and bare requests, both judged by the contract. */
import { createAppAuth } from '@octokit/auth-app';
import { Octokit } from '@octokit/rest';
import type { GithubSimulator } from '../../../simulators/github/index.ts';
import { type Contract, loadContract } from './contract.ts';

export const contract: Contract | undefined = loadContract();
if (!contract) console.warn('  ../shared/specs is absent: replies are not judged by the API description');

const judgedFetch: typeof fetch = async (input, init) => {
  const response = await fetch(input, init);
  const text = await response.clone().text();
  const url = input instanceof Request ? input.url : String(input);
  if (text !== '' && response.headers.get('content-type')?.includes('json')) {
    contract?.judge(init?.method ?? 'GET', url, response.status, JSON.parse(text));
  }
  return response;
};

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function options(simulator: GithubSimulator) {
  return { baseUrl: simulator.url, log: silent, request: { fetch: judgedFetch } };
}

/** With a personal access token: the simulator's first, unless another is given. */
export function asPerson(simulator: GithubSimulator, token = simulator.tokens[0]): Octokit {
  return new Octokit({ ...options(simulator), auth: token });
}

export function asApp(simulator: GithubSimulator): Octokit {
  const [app] = simulator.apps;
  if (!app) throw new Error('the simulator has no App');
  return new Octokit({
    ...options(simulator),
    authStrategy: createAppAuth,
    auth: { appId: app.id, privateKey: app.privateKey },
  });
}

export function asInstallation(simulator: GithubSimulator, account = 'acme'): Octokit {
  const [app] = simulator.apps;
  const installation = app?.installations.find((each) => each.account === account);
  if (!app || !installation) throw new Error(`the simulator has no installation on ${account}`);
  return new Octokit({
    ...options(simulator),
    authStrategy: createAppAuth,
    auth: { appId: app.id, privateKey: app.privateKey, installationId: installation.id },
  });
}

export interface BareReply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** One request, as curl would send it. */
export async function bare(
  simulator: GithubSimulator,
  call: string,
  wish: { token?: string | undefined; body?: unknown; headers?: Record<string, string> } = {},
): Promise<BareReply> {
  const [method = 'GET', path = '/'] = call.split(' ');
  const response = await judgedFetch(`${simulator.url}${path}`, {
    method,
    headers: {
      ...(wish.token === undefined ? {} : { authorization: `Bearer ${wish.token}` }),
      ...wish.headers,
    },
    ...(wish.body === undefined ? {} : { body: typeof wish.body === 'string' ? wish.body : JSON.stringify(wish.body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
}

/** The status that a call was refused with; fails when it was not. */
export async function refusal(promise: Promise<unknown>): Promise<number> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error && 'status' in error && typeof error.status === 'number') return error.status;
    throw error;
  }
  throw new Error('the call was not refused');
}
