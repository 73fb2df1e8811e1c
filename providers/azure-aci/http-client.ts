/**
 * Sends the SDK's requests through Node's own agents, so that they use the process's proxy and its exceptions like all
 * others. With a proxy, the SDK's proxy policy would drop a custom CA, and it does not support address ranges.
 */
import { createDefaultHttpClient, type HttpClient } from '@azure/core-rest-pipeline';
import { plainAgent, secureAgent } from '../kit/proxy.ts';

/** `ca`: a CA that replaces the default ones. */
export function httpClientOf(ca: string | undefined): HttpClient {
  const inner = createDefaultHttpClient();
  const secure = secureAgent({ keepAlive: true, ...(ca === undefined ? {} : { ca }) });
  const plain = plainAgent({ keepAlive: true });
  return {
    sendRequest(request) {
      request.agent = request.url.startsWith('https:') ? secure : plain;
      return inner.sendRequest(request);
    },
  };
}
