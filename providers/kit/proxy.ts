/**
 * The proxy settings of this machine's environment. The process applies them once at its start, by passing the
 * variables to `http.setGlobalProxyFromEnv`; adapters with agents of their own create them here, so that they use the
 * same proxy. Connections over a Unix socket use no proxy.
 */
import { Agent as PlainAgent, type AgentOptions as PlainAgentOptions } from 'node:http';
// Not a named import: the process's global agent is replaced when the proxy is set.
import https, { Agent, type AgentOptions } from 'node:https';

/** Like `new Agent` of node:https, through the process's proxy if it has one. */
export function secureAgent(options: AgentOptions): Agent {
  return new Agent({ ...options, ...way() });
}

/** Like `new Agent` of node:http, through the process's proxy if it has one. */
export function plainAgent(options: PlainAgentOptions): PlainAgent {
  return new PlainAgent({ ...options, ...way() });
}

/** Whether a request to this URL uses a proxy: then the proxy resolves the host. */
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
