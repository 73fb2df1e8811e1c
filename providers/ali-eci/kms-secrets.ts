/** Secrets Manager of Alibaba Cloud's KMS: `GetSecretValue` at the shared gateway, signed as the adapter signs. */
import { z } from 'zod';
import { ask, codeOf, unexpectedAnswer, unreachable, usualFailure } from '../kit/secret-answer.ts';
import {
  type SecretAddress,
  SecretFailure,
  type SecretReader,
  type SecretStore,
  type SecretStoreHost,
  type StoreKey,
} from '../secret-store.ts';
import type { SigningKey } from './signature.ts';

const STORE = 'Secrets Manager of KMS';
const VERSION = '2016-01-20';
/** Names may have slashes and at-signs, so that a version follows a `#`. No ARN: those are of other accounts. */
const NAME = /^([a-z]{2}-[a-z0-9-]{2,40})\/([\w/+=.@-]{1,192})(?:#([\w.-]{1,64}))?$/;

const answered = z.object({ SecretData: z.string(), SecretDataType: z.string().optional() });
const refusal = z.object({ Code: z.unknown() });
const backend = z.object({
  accessKeyId: z.string().min(1),
  accessKeySecret: z.string().min(1),
  securityToken: z.string().min(1).optional(),
});

export const secretsManager: SecretStore = {
  scheme: 'alibaba-secret',
  form: '${alibaba-secret:REGION/NAME} or ${alibaba-secret:REGION/NAME#VERSION}',
  parse(text) {
    const [, region, name, version = ''] = NAME.exec(text) ?? [];
    if (region === undefined || name === undefined) return undefined;
    return { secret: `alibaba-secret:${region}/${name}`, version, place: `kms.${region}.aliyuncs.com/${name}` };
  },
  keyOf(options) {
    const parsed = backend.safeParse(options);
    return parsed.success ? parsed.data : undefined;
  },
  open: (given, host) => new SecretsManagerReader(given, host),
};

class SecretsManagerReader implements SecretReader {
  readonly #key: SigningKey | undefined;
  readonly #host: SecretStoreHost;
  #machine: (() => Promise<SigningKey>) | undefined;

  constructor(given: StoreKey | undefined, host: SecretStoreHost) {
    this.#key = given === undefined ? undefined : backend.parse(given);
    this.#host = host;
  }

  async read(address: SecretAddress, signal: AbortSignal): Promise<string> {
    const slash = address.place.indexOf('/');
    const at = address.place.slice(0, slash);
    // The vendor's library is loaded when something is read.
    const { formOf, signedHeaders } = await import('./signature.ts');
    const body = formOf({
      SecretName: address.place.slice(slash + 1),
      ...(address.version === '' ? {} : { VersionId: address.version }),
    });
    const key = this.#key ?? (await this.#machineKey());
    const headers = signedHeaders(key, { action: 'GetSecretValue', version: VERSION, host: at, body });
    const answer = await ask(this.#host, STORE, `https://${at}/`, { method: 'POST', headers, body, signal });
    if (answer.status === 200) {
      const found = answered.safeParse(answer.body);
      if (!found.success)
        throw new SecretFailure('away', `${STORE} gave an answer that cannot be read`, 'It is asked again.');
      if (found.data.SecretDataType === 'binary')
        throw new SecretFailure('unusable', `${address.secret} is binary`, 'Store it as text.');
      return found.data.SecretData;
    }
    const said = refusal.safeParse(answer.body);
    const code = said.success ? codeOf(said.data.Code) : '';
    throw (
      refused(answer.status, code, address) ??
      usualFailure(STORE, answer, code) ??
      unexpectedAnswer(STORE, answer.status, code)
    );
  }

  async #machineKey(): Promise<SigningKey> {
    this.#machine ??= await machineKeys(this.#host.environment);
    try {
      return await this.#machine();
    } catch (error) {
      throw unreachable('the machine’s own identity of Alibaba Cloud', error);
    }
  }
}

/** As the vendor's own libraries name them; otherwise the RAM role of the instance, whose name its metadata tells. */
async function machineKeys(environment: SecretStoreHost['environment']): Promise<() => Promise<SigningKey>> {
  const { default: Credential, Config } = await import('@alicloud/credentials');
  const of = (name: string): string | undefined => environment[`ALIBABA_CLOUD_${name}`] || undefined;
  const accessKeyId = of('ACCESS_KEY_ID');
  const accessKeySecret = of('ACCESS_KEY_SECRET');
  if (accessKeyId !== undefined && accessKeySecret !== undefined) {
    return async () => ({ accessKeyId, accessKeySecret, securityToken: of('SECURITY_TOKEN') });
  }
  const roleArn = of('ROLE_ARN');
  const federated = { roleArn, oidcProviderArn: of('OIDC_PROVIDER_ARN'), oidcTokenFilePath: of('OIDC_TOKEN_FILE') };
  const roleName = of('ECS_METADATA');
  const config =
    roleArn === undefined
      ? // Only IMDSv2, with its session token: IMDSv1 also answers forged requests (SSRF).
        { type: 'ecs_ram_role', ...(roleName === undefined ? {} : { roleName }), disableIMDSv1: true }
      : { type: 'oidc_role_arn', ...federated, roleSessionName: 'serverless-hosted-runner' };
  const credential = new Credential.default(new Config(config));
  return async () => {
    const found = await credential.getCredential();
    const { accessKeyId: id = '', accessKeySecret: secret = '', securityToken } = found;
    return { accessKeyId: id, accessKeySecret: secret, securityToken };
  };
}

function refused(status: number, code: string, { secret }: SecretAddress): SecretFailure | undefined {
  const said = `${status}${code === '' ? '' : ` ${code}`}`;
  if (/Throttling/.test(code)) {
    return new SecretFailure('throttled', `${STORE} gets too many requests (${said})`, 'It is asked again.');
  }
  if (/^(InvalidAccessKeyId|SignatureDoesNotMatch|IncompleteSignature|InvalidSecurityToken)/.test(code)) {
    return new SecretFailure(
      'denied',
      `${STORE} refuses the access key (${said})`,
      'Check the key, and that its site is the region’s.',
    );
  }
  if (/NotFound/.test(code) || status === 404) {
    return new SecretFailure(
      'absent',
      `${secret} does not exist, or not in this version (${said})`,
      'Correct its name and region.',
    );
  }
  if (/Disabled|PendingDeletion/.test(code)) {
    return new SecretFailure('unusable', `${secret} is disabled (${said})`, 'Restore it, or its key.');
  }
  if (status !== 401 && status !== 403) return undefined;
  return new SecretFailure(
    'denied',
    `${secret} may not be read (${said})`,
    'Allow `kms:GetSecretValue` on the secret, and `kms:Decrypt` on the key that encrypts it, to the RAM user or role.',
  );
}
