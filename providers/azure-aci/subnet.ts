/** Reads a subnet from Azure's network service, for which the SDK of container instances has no call. */

import {
  bearerTokenAuthenticationPolicy,
  createPipelineFromOptions,
  createPipelineRequest,
  type HttpClient,
} from '@azure/core-rest-pipeline';
import type { TokenCredential } from '@azure/identity';
import { z } from 'zod';
import { clouds, tokenScope } from './clouds.ts';
import type { AzureAciOptions } from './options.ts';

const VERSION = '2024-05-01';
/** The service to which a subnet for container groups has to be delegated. */
export const DELEGATE = 'Microsoft.ContainerInstance/containerGroups';

export const subnetAnswer = z.object({
  properties: z.object({
    delegations: z.array(z.object({ properties: z.object({ serviceName: z.string().nullish() }).nullish() })).nullish(),
    natGateway: z.object({ id: z.string().nullish() }).nullish(),
  }),
});
const refusal = z.object({ error: z.object({ code: z.string(), message: z.string().default('') }) });

export interface Subnet {
  readonly delegated: boolean;
  readonly natGateway: boolean;
}

/** The answer, not yet validated. Rejects as the SDK's own calls do, with `code` and `statusCode`. */
export async function readSubnet(
  id: string,
  options: AzureAciOptions,
  { credential, httpClient }: { readonly credential: TokenCredential; readonly httpClient: HttpClient },
  abortSignal: AbortSignal,
): Promise<unknown> {
  const pipeline = createPipelineFromOptions({ retryOptions: { maxRetries: 0 } });
  pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes: tokenScope(options.cloud) }));
  const endpoint = options.endpoint ?? clouds[options.cloud].endpoint;
  const url = `${endpoint}${id}?api-version=${VERSION}`;
  const { status, bodyAsText } = await pipeline.sendRequest(
    httpClient,
    createPipelineRequest({ url, method: 'GET', abortSignal }),
  );
  const body = parsed(bodyAsText ?? '');
  if (status !== 200) {
    const said = refusal.safeParse(body);
    const { code, message } = said.success ? said.data.error : { code: String(status), message: 'no words' };
    throw Object.assign(new Error(message), { statusCode: status, code });
  }
  return body;
}

export function subnetOf({ properties: { delegations, natGateway } }: z.infer<typeof subnetAnswer>): Subnet {
  return {
    delegated: (delegations ?? []).some(({ properties }) => properties?.serviceName === DELEGATE),
    natGateway: natGateway !== null && natGateway !== undefined,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
