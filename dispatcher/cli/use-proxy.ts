/** Makes this process use the proxy that its environment prescribes. Call before anything opens a connection. */
import { type ProxySettings, proxySettings } from '../config/proxy.ts';

// Not imported: see dispatcher/http/pipelines.ts.
const http = process.getBuiltinModule('node:http');

/**
 * Configures Node's `fetch` and agents, and writes the variables back in the form that every reader understands: cloud
 * SDKs read them on their own when they are loaded. Returns what it found.
 */
export function useProxy(environment: NodeJS.ProcessEnv): ProxySettings {
  const settings = proxySettings(environment);
  // Available since Node 24.14.
  if (settings.shown !== undefined && typeof http.setGlobalProxyFromEnv !== 'function') {
    const problem = `this Node (${process.version}) cannot use a proxy by itself: take 24.14 or later`;
    return { ...settings, shown: undefined, problems: [problem] };
  }
  const { httpsProxy, httpProxy, noProxy } = settings;
  const way = { HTTPS_PROXY: httpsProxy, HTTP_PROXY: httpProxy, NO_PROXY: noProxy.join(',') };
  if (settings.shown === undefined) {
    if (settings.off) for (const name of Object.keys(way)) forget(environment, name);
    return settings;
  }
  for (const [name, value] of Object.entries(way)) {
    forget(environment, name);
    if (value === undefined) continue;
    environment[name] = value;
    environment[name.toLowerCase()] = value;
  }
  http.setGlobalProxyFromEnv({
    ...(httpsProxy === undefined ? {} : { https_proxy: httpsProxy }),
    ...(httpProxy === undefined ? {} : { http_proxy: httpProxy }),
    no_proxy: way.NO_PROXY,
  });
  return settings;
}

function forget(environment: NodeJS.ProcessEnv, name: string): void {
  delete environment[name];
  delete environment[name.toLowerCase()];
}
