/**
 * How the SDK's requests leave: by Node's own agents, so that they take the process's proxy and heed its exceptions as
 * all others do. The SDK's proxy policy would drop an authority of one's own behind a proxy, and has no address ranges.
 */
import { createDefaultHttpClient, type HttpClient } from '@azure/core-rest-pipeline';
import { plainAgent, secureAgent } from '../kit/proxy.ts';

/** `ca`: an authority in place of the known ones. */
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
