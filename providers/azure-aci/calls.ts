/**
 * The calls to Azure Container Instances: each with a time limit, within the budget, and with its errors classified.
 */
import {
  type ContainerGroup,
  ContainerInstanceManagementClient,
  getContinuationToken,
} from '@azure/arm-containerinstance';
import type { HttpClient } from '@azure/core-rest-pipeline';
import type { TokenCredential } from '@azure/identity';
import { z } from 'zod';
import { Deadlines } from '../kit/deadlines.ts';
import { ProviderError, type ProviderHost } from '../provider.ts';
import { clouds, tokenScope } from './clouds.ts';
import { credentialOf } from './credential.ts';
import { type CallName, classify, isAbsent } from './errors.ts';
import { httpClientOf } from './http-client.ts';
import { type AzureAciOptions, secretsOf } from './options.ts';
import { Rate } from './rate.ts';
import { CONTAINER } from './request.ts';
import { type Group, group } from './state.ts';
import { readSubnet, type Subnet, subnetAnswer, subnetOf } from './subnet.ts';

/** Far beyond any quota of a subscription: more than that means a faulty answer. */
const MAX_PAGES = 1000;

const usages = z.array(
  z.object({
    name: z.object({ value: z.string().nullish() }).nullish(),
    currentValue: z.number().nullish(),
    limit: z.number().nullish(),
  }),
);
export type Usages = z.infer<typeof usages>;

const capabilities = z.array(
  z.object({
    osType: z.string().nullish(),
    capabilities: z.object({ maxCpu: z.number().nullish(), maxMemoryInGB: z.number().nullish() }).nullish(),
  }),
);
export type RegionCapabilities = z.infer<typeof capabilities>;

interface Answered {
  readonly status: number;
  readonly request: { readonly method: string };
}

export class Service {
  readonly #options: AzureAciOptions;
  readonly #credential: TokenCredential;
  readonly #httpClient: HttpClient;
  readonly #client: ContainerInstanceManagementClient;
  readonly #deadlines: Deadlines;
  readonly #rate: Rate;
  readonly #secrets: readonly string[];

  constructor(options: AzureAciOptions, host: ProviderHost) {
    this.#options = options;
    this.#deadlines = new Deadlines(host);
    this.#rate = new Rate(host, options.limits, options.rateShare, options.timeoutMs);
    this.#secrets = secretsOf(options);
    const endpoint = options.endpoint ?? clouds[options.cloud].endpoint;
    this.#httpClient = httpClientOf(options.ca);
    this.#credential = credentialOf(options, this.#httpClient);
    this.#client = new ContainerInstanceManagementClient(this.#credential, options.subscriptionId, {
      endpoint,
      credentialScopes: tokenScope(options.cloud),
      // How to handle a 429 or a lost create is the dispatcher's decision.
      retryOptions: { maxRetries: 0 },
      httpClient: this.#httpClient,
    });
  }

  /** Waits for a slot in the budget of creations: `create` itself does not wait. */
  reserve(): Promise<void> {
    return this.#rate.permit('create');
  }

  /** Call `reserve` first. Resolves when the service has accepted. `secrets` are those of this launch. */
  create(name: string, body: ContainerGroup, secrets: readonly string[]): Promise<void> {
    return this.#call(
      'create',
      (signal) =>
        atAcceptance(signal, 'PUT', (options) =>
          this.#client.containerGroups.beginCreateOrUpdate(this.#options.resourceGroup, name, body, {
            ...options,
            // Part of Azure's guidelines for resource providers; if this one ignores it, `launch` has already checked.
            requestOptions: { customHeaders: { 'If-None-Match': '*' } },
          }),
        ),
      secrets,
    );
  }

  /** Undefined when there is no container group of this name. */
  async get(name: string): Promise<Group | undefined> {
    try {
      const found = await this.#call('get', (abortSignal) =>
        this.#client.containerGroups.get(this.#options.resourceGroup, name, { abortSignal }),
      );
      return this.#read('get', group, found);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** Reads all pages. */
  async list(): Promise<readonly Group[]> {
    const groups: Group[] = [];
    let continuationToken: string | undefined;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const token = continuationToken;
      const { items, next } = await this.#call('list', async (abortSignal) => {
        const pages = this.#client.containerGroups
          .listByResourceGroup(this.#options.resourceGroup, { abortSignal })
          .byPage(token === undefined ? {} : { continuationToken: token });
        const page = await pages.next();
        return page.done === true
          ? { items: [], next: undefined }
          : { items: page.value, next: getContinuationToken(page.value) };
      });
      groups.push(...this.#read('list', z.array(group), items));
      if (next === undefined || next === token) return groups;
      continuationToken = next;
    }
    throw new ProviderError('transient', 'azure-aci list', `no end after ${MAX_PAGES} pages`);
  }

  /** Resolves when the service has accepted, also when the container group does not exist. */
  async delete(name: string): Promise<void> {
    try {
      await this.#call('delete', (signal) =>
        atAcceptance(signal, 'DELETE', (options) =>
          this.#client.containerGroups.beginDelete(this.#options.resourceGroup, name, options),
        ),
      );
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  }

  async logs(name: string, container = CONTAINER): Promise<string> {
    const { content } = await this.#call('logs', (abortSignal) =>
      this.#client.containers.listLogs(this.#options.resourceGroup, name, container, { abortSignal }),
    );
    return content ?? '';
  }

  async usage(): Promise<Usages> {
    const found = await this.#call('usage', (abortSignal) =>
      collected(this.#client.location.listUsage(this.#options.location, { abortSignal })),
    );
    return this.#read('usage', usages, found);
  }

  async capabilities(): Promise<RegionCapabilities> {
    const found = await this.#call('capabilities', (abortSignal) =>
      collected(this.#client.location.listCapabilities(this.#options.location, { abortSignal })),
    );
    return this.#read('capabilities', capabilities, found);
  }

  async subnet(id: string): Promise<Subnet> {
    const found = await this.#call('subnet', (signal) =>
      readSubnet(id, this.#options, { credential: this.#credential, httpClient: this.#httpClient }, signal),
    );
    return subnetOf(this.#read('subnet', subnetAnswer, found));
  }

  async #call<T>(
    call: CallName,
    action: (signal: AbortSignal) => Promise<T>,
    secrets: readonly string[] = [],
  ): Promise<T> {
    if (call !== 'create') await this.#rate.permit(call);
    try {
      return await this.#deadlines.run(`azure-aci ${call}`, this.#options.timeoutMs, action);
    } catch (error) {
      const said = classify(call, error, [...this.#secrets, ...secrets]);
      if (said.kind === 'throttled' && said.retryAfterMs !== undefined) this.#rate.close(call, said.retryAfterMs);
      throw said;
    }
  }

  #read<Schema extends z.ZodType>(call: CallName, schema: Schema, answer: unknown): z.infer<Schema> {
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    throw new ProviderError('transient', `azure-aci ${call}`, 'the answer cannot be read', { code: 'unreadable' });
  }
}

interface CallOptions {
  readonly abortSignal: AbortSignal;
  readonly onResponse: (answer: Answered) => void;
}

/**
 * The SDK's `begin…` calls poll the operation once before they resolve. That is one call too many, and its failure
 * would look like the request's own, so the first answer counts and the rest is aborted.
 */
function atAcceptance(
  signal: AbortSignal,
  method: 'PUT' | 'DELETE',
  begin: (options: CallOptions) => Promise<unknown>,
): Promise<void> {
  const rest = new AbortController();
  return new Promise((resolve, reject) => {
    begin({
      abortSignal: AbortSignal.any([signal, rest.signal]),
      // Called for refusals too, without saying so: the SDK's generated code drops the error on the way.
      onResponse: ({ status, request }) => {
        if (status >= 300 || request.method !== method) return;
        resolve();
        rest.abort();
      },
    }).then(() => resolve(), reject);
  });
}

async function collected<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of pages) {
    items.push(item);
    if (items.length >= 10_000) break;
  }
  return items;
}
