/**
 * The calls to the service that the provider makes: signed by the SDK's core, parameters in a form body, each bounded in
 * time, within the rate, and with its error sorted. Why not the product's own client: docs/decisions/alibaba-form-body.md.
 */
import Credential, { Config as CredentialConfig } from '@alicloud/credentials';
import OpenApi, { $OpenApiUtil } from '@alicloud/openapi-core';
import { RuntimeOptions } from '@darabonba/typescript';
import { z } from 'zod';
import type { Deadlines } from '../deadlines.ts';
import { ProviderError } from '../provider.ts';
import { eciEndpoint, vpcEndpoint } from './endpoints.ts';
import { type Call, classify } from './errors.ts';
import type { AliEciOptions } from './options.ts';
import type { Rate } from './rate.ts';

const versions = { eci: '2018-08-08', vpc: '2016-04-28' } as const;
const answered = z.object({ body: z.unknown() });

export class Service {
  readonly #options: AliEciOptions;
  readonly #deadlines: Deadlines;
  readonly #rate: Rate;
  readonly #hide: readonly string[];
  readonly #clients: Readonly<Record<'eci' | 'vpc', Client | undefined>>;

  constructor(options: AliEciOptions, deadlines: Deadlines, rate: Rate) {
    this.#options = options;
    this.#deadlines = deadlines;
    this.#rate = rate;
    this.#hide = [
      ...(options.accessKeySecret === undefined ? [] : [options.accessKeySecret]),
      ...(options.securityToken === undefined ? [] : [options.securityToken]),
      ...options.registries.map(({ password }) => password),
    ];
    const credential = credentialOf(options);
    const client = (place: string | undefined): Client | undefined =>
      place === undefined ? undefined : clientFor(place, options, credential);
    this.#clients = {
      eci: client(options.endpoint ?? eciEndpoint(options.region)),
      vpc: client(options.vpcEndpoint ?? vpcEndpoint(options.region)),
    };
  }

  /** False where the vendor's table has no address of the network service for the region. */
  get knowsNetwork(): boolean {
    return this.#clients.vpc !== undefined;
  }

  async call<T>(
    action: Call,
    parameters: Readonly<Record<string, string>>,
    schema: z.ZodType<T>,
    hide: readonly string[] = [],
  ): Promise<T> {
    const product = action === 'DescribeVSwitches' ? 'vpc' : 'eci';
    const client = this.#clients[product];
    if (client === undefined) {
      throw new ProviderError(
        'invalid',
        `ali-eci ${action}`,
        `no address of ${product} in ${this.#options.region} is known`,
      );
    }
    await this.#rate.permit(action);
    let answer: unknown;
    try {
      answer = await this.#deadlines.run(`ali-eci ${action}`, this.#options.timeoutMs, () =>
        client.callApi(shapeOf(action, versions[product]), form(parameters), new RuntimeOptions({})),
      );
    } catch (error) {
      throw classify(action, error, [...this.#hide, ...hide]);
    }
    const parsed = schema.safeParse(answered.parse(answer).body);
    if (parsed.success) return parsed.data;
    // Whatever answered, it may have done what was asked: so it is looked at again, not given up.
    const where = parsed.error.issues[0]?.path.join('.') ?? '';
    throw new ProviderError('transient', `ali-eci ${action}`, `the answer cannot be read (at ${where || 'top'})`);
  }
}

type Client = InstanceType<typeof OpenApi.default>;

/** Parameters go into the body: in the query they would show in access logs, and 16 KB would be too long. */
function form(parameters: Readonly<Record<string, string>>) {
  return new $OpenApiUtil.OpenApiRequest({ body: parameters });
}

function shapeOf(action: Call, version: string) {
  return new $OpenApiUtil.Params({
    action,
    version,
    protocol: 'HTTPS',
    pathname: '/',
    method: 'POST',
    authType: 'AK',
    style: 'RPC',
    reqBodyType: 'formData',
    bodyType: 'json',
  });
}

function clientFor(place: string, options: AliEciOptions, credential: InstanceType<typeof Credential.default>): Client {
  const plain = place.startsWith('http://');
  // The SDK's own time limits begin after ours: by default they are 3 s, and `connectTimeout` also ends a call that
  // waits for its answer [httpx 2.3.3].
  const longest = options.timeoutMs + 5000;
  return new OpenApi.default(
    new $OpenApiUtil.Config({
      credential,
      regionId: options.region,
      endpoint: place.replace(/^https?:\/\//, ''),
      protocol: plain ? 'http' : 'https',
      readTimeout: longest,
      connectTimeout: longest,
      // Given, so that ALIBABA_CLOUD_USER_AGENT of the environment is not read.
      userAgent: 'serverless-hosted-runner',
    }),
  );
}

function credentialOf(options: AliEciOptions): InstanceType<typeof Credential.default> {
  const { accessKeyId, accessKeySecret, securityToken, ecsRamRole } = options;
  if (ecsRamRole !== undefined) {
    return new Credential.default(
      new CredentialConfig({
        type: 'ecs_ram_role',
        roleName: ecsRamRole,
        // A hardened token for the metadata service; its older form answers any request that a job can forge.
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
