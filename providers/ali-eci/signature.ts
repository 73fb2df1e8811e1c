/** Signs one call with the SDK's credentials: ACS3-HMAC-SHA256, the parameters in a form body. */
import { Readable } from 'node:stream';
import { OpenApiUtil } from '@alicloud/openapi-core';

const ALGORITHM = 'ACS3-HMAC-SHA256';
/** The SDK's type requires a body; the signature uses the hash of ours. */
const nothing = Readable.from([]);

export interface SigningKey {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly securityToken?: string | undefined;
}

export interface UnsignedCall {
  readonly action: string;
  readonly version: string;
  readonly host: string;
  readonly body: string;
}

export function formOf(parameters: Readonly<Record<string, string>>): string {
  return OpenApiUtil.toForm({ ...parameters });
}

/** Anew for each attempt: a nonce is accepted only once. */
export function signedHeaders(
  { accessKeyId, accessKeySecret, securityToken }: SigningKey,
  { action, version, host, body }: UnsignedCall,
): Record<string, string> {
  const hash = OpenApiUtil.hash(Buffer.from(body), ALGORITHM).toString('hex');
  const temporary =
    securityToken === undefined || securityToken === ''
      ? {}
      : { 'x-acs-accesskey-id': accessKeyId, 'x-acs-security-token': securityToken };
  const headers: Record<string, string> = {
    host,
    accept: 'application/json',
    'content-type': 'application/x-www-form-urlencoded',
    'user-agent': 'serverless-hosted-runner',
    'x-acs-action': action,
    'x-acs-version': version,
    'x-acs-date': OpenApiUtil.getTimestamp(),
    'x-acs-signature-nonce': OpenApiUtil.getNonce(),
    'x-acs-content-sha256': hash,
    ...temporary,
  };
  const request = { method: 'POST', pathname: '/', query: {}, headers, protocol: 'https', port: 443, body: nothing };
  headers['authorization'] = OpenApiUtil.getAuthorization(request, ALGORITHM, hash, accessKeyId, accessKeySecret);
  return headers;
}
