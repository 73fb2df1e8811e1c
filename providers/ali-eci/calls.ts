/**
 * The calls to the service that the provider makes, with the SDK's credentials and signature and the parameters in a
 * form body. Each call has a time limit, respects the rate limit and has its errors classified. Why not the SDK's own
 * client: docs/decisions/0010-alibaba-form-body.md.
 */
import Credential, { Config as CredentialConfig } from '@alicloud/credentials';
import { z } from 'zod';
import type { Deadlines } from '../kit/deadlines.ts';
import { ProviderError } from '../provider.ts';
import { eciEndpoint, vpcEndpoint } from './endpoints.ts';
import { type CallName, classify } from './errors.ts';
import type { AliEciOptions } from './options.ts';
import type { Rate } from './rate.ts';
import { formOf, signedHeaders } from './signature.ts';
import { type EciAnswer, StaleConnection, Transport } from './transport.ts';

const versions = { eci: '2018-08-08', vpc: '2016-04-28' } as const;
const answered = z.object({ RequestId: z.string().min(1) });
const refused = z.object({ Code: z.string(), Message: z.string().default(''), RequestId: z.string().optional() });

export class Service {
  readonly #options: AliEciOptions;
  readonly #deadlines: Deadlines;
  readonly #rate: Rate;
  readonly #passwords: readonly string[];
  /** What the last call was signed with: a role's credentials rotate every few hours. */
  #signedWith: readonly string[] = [];
  readonly #credential: InstanceType<typeof Credential.default>;
  readonly #transports: Readonly<Record<'eci' | 'vpc', Transport | undefined>>;

  constructor(options: AliEciOptions, deadlines: Deadlines, rate: Rate) {
    this.#options = options;
    this.#deadlines = deadlines;
    this.#rate = rate;
    this.#passwords = options.registries.map(({ password }) => password);
    this.#credential = credentialOf(options);
    const transport = (place: string | undefined): Transport | undefined =>
      place === undefined ? undefined : new Transport(place.includes('://') ? place : `https://${place}`);
    this.#transports = {
      eci: transport(options.endpoint ?? eciEndpoint(options.region)),
      vpc: transport(options.vpcEndpoint ?? vpcEndpoint(options.region)),
    };
  }

  /** False when the vendor's table has no network service endpoint for the region. */
  get knowsNetwork(): boolean {
    return this.#transports.vpc !== undefined;
  }

  /** `hide`: further strings to redact from error messages; called when there is an error. */
  async call<T>(
    action: CallName,
    parameters: Readonly<Record<string, string>>,
    schema: z.ZodType<T>,
    hide: () => readonly string[] = () => [],
  ): Promise<T> {
    const product = action === 'DescribeVSwitches' ? 'vpc' : 'eci';
    const transport = this.#transports[product];
    if (transport === undefined) {
      const { region } = this.#options;
      throw new ProviderError('invalid', `ali-eci ${action}`, `no address of ${product} in ${region} is known`);
    }
    await this.#rate.permit(action);
    const body = formOf(parameters);
    let answer: unknown;
    try {
      answer = await this.#deadlines.run(`ali-eci ${action}`, this.#options.timeoutMs, async (signal) => {
        const post = async (): Promise<EciAnswer> =>
          transport.post(await this.#signed(action, versions[product], transport.host, body), body, signal);
        // Every call is safe to repeat: a creation carries a client token, all others are idempotent. Each attempt is
        // signed anew, because a nonce is accepted only once.
        return read(await post().catch((error: unknown) => (error instanceof StaleConnection ? post() : raise(error))));
      });
    } catch (error) {
      const said = classify(action, error, [...this.#signedWith, ...this.#passwords, ...hide()]);
      if (said.kind === 'throttled' && said.retryAfterMs !== undefined) this.#rate.close(action, said.retryAfterMs);
      throw said;
    }
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    // The request may have taken effect, so the caller must look again instead of giving up.
    const where = parsed.error.issues[0]?.path.join('.') ?? '';
    throw new ProviderError('transient', `ali-eci ${action}`, `the answer cannot be read (at ${where || 'top'})`);
  }

  close(): void {
    for (const transport of Object.values(this.#transports)) transport?.close();
  }

  async #signed(action: CallName, version: string, host: string, body: string): Promise<Record<string, string>> {
    const { accessKeyId, accessKeySecret, securityToken } = await this.#credential.getCredential();
    if (accessKeyId === undefined || accessKeySecret === undefined) {
      throw new ProviderError('unauthorized', `ali-eci ${action}`, 'the role gave no credentials');
    }
    this.#signedWith = [accessKeySecret, securityToken ?? ''];
    return signedHeaders({ accessKeyId, accessKeySecret, securityToken }, { action, version, host, body });
  }
}

/** Returns the service's answer, or throws its refusal. */
function read({ status, headers, text }: EciAnswer): unknown {
  const answer = parsedJson(text);
  // Every answer of the service has a RequestId [API description]; `{}` from a proxy would read as an empty account.
  if (status < 400) return status < 300 && answered.safeParse(answer).success ? answer : undefined;
  const said = refused.safeParse(answer);
  const wait = Number(headers['x-acs-retry-after']);
  return raise(
    Object.assign(new Error(said.success ? said.data.Message : 'no words'), {
      statusCode: status,
      ...(said.success ? { code: said.data.Code, requestId: said.data.RequestId } : {}),
      ...(Number.isFinite(wait) && wait >= 0 ? { retryAfter: wait } : {}),
    }),
  );
}

/** Undefined when it is not JSON: a proxy in between may answer for the service. */
function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function raise(error: unknown): never {
  throw error;
}

function credentialOf(options: AliEciOptions): InstanceType<typeof Credential.default> {
  const { accessKeyId, accessKeySecret, securityToken, ecsRamRole } = options;
  if (ecsRamRole !== undefined) {
    return new Credential.default(
      new CredentialConfig({
        type: 'ecs_ram_role',
        roleName: ecsRamRole,
        // Only IMDSv2, with its session token: IMDSv1 also answers forged requests (SSRF).
        disableIMDSv1: true,
        timeout: options.timeoutMs,
        connectTimeout: options.timeoutMs,
      }),
    );
  }
  return new Credential.default(
    new CredentialConfig({
      type: securityToken === undefined ? 'access_key' : 'sts',
      accessKeyId,
      accessKeySecret,
      securityToken,
    }),
  );
}
