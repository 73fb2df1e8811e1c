/**
 * The way out of this machine that its environment prescribes. The process decides once, at its start, by handing the
 * variables to `http.setGlobalProxyFromEnv`; an adapter that makes agents of its own makes them here, so that they go
 * the same way. Connections over a Unix socket take no proxy.
 */
import { Agent as PlainAgent, type AgentOptions as PlainAgentOptions } from 'node:http';
// Not by name: the process's own agent is replaced when it is told of a proxy.
import https, { Agent, type AgentOptions } from 'node:https';

/** As `new Agent` of node:https, through the process's proxy where it has one. */
export function secureAgent(options: AgentOptions): Agent {
  return new Agent({ ...options, ...way() });
}

/** As `new Agent` of node:http, through the process's proxy where it has one. */
export function plainAgent(options: PlainAgentOptions): PlainAgent {
  return new PlainAgent({ ...options, ...way() });
}

/** Whether a request there leaves through a proxy: then its host is resolved there, and not here. */
export function isProxied(url: URL): boolean {
  const environment = https.globalAgent.options.proxyEnv;
  const proxy = url.protocol === 'https:' ? environment?.['https_proxy'] : environment?.['http_proxy'];
  if (proxy === undefined || proxy === '') return false;
  const host = url.hostname.toLowerCase();
  const excepted = (environment?.['no_proxy'] ?? '').split(',').map((entry) => entry.trim().toLowerCase());
  return !excepted.some((entry) => entry === '*' || entry === host || (entry.startsWith('.') && host.endsWith(entry)));
}

function way(): Pick<AgentOptions, 'proxyEnv'> {
  const { proxyEnv } = https.globalAgent.options;
  return proxyEnv === undefined ? {} : { proxyEnv };
}
