/** The calls to Cloud Run's services and to Secret Manager: each with a time limit and typed errors. */
import { v2 } from '@google-cloud/run';
import { z } from 'zod';
import { type CallName, classify } from '../../providers/gcp-cloud-run/errors.ts';
import type { CloudRunOptions } from '../../providers/gcp-cloud-run/options.ts';
import { callOptions, connect } from '../../providers/google/connection.ts';
import { endpointOf } from '../../providers/google/endpoint.ts';
import { hasCode } from '../../providers/google/errors.ts';
import { quoted, readLog } from '../../providers/google/log.ts';
import { Deadlines } from '../../providers/kit/deadlines.ts';
import { ProviderError, type ProviderHost } from '../../providers/provider.ts';
import type { serviceFor } from './request.ts';

const PAGE = 100;
const MAX_PAGES = 1_000;
const ACCESSOR = 'roles/secretmanager.secretAccessor';

const service = z.object({
  name: z.string().transform((name) => name.slice(name.lastIndexOf('/') + 1)),
  labels: z.record(z.string(), z.string()).nullish(),
  uri: z.string().default(''),
  deleteTime: z.unknown(),
  latestCreatedRevision: z.string().default(''),
  template: z.object({ containers: z.array(z.object({ image: z.string() })).nullish() }).nullish(),
  terminalCondition: z
    .object({ state: z.union([z.string(), z.number()]).nullish(), message: z.string().nullish() })
    .nullish(),
});
export type ServiceAnswer = z.infer<typeof service>;

const secretList = z.object({
  secrets: z.array(z.object({ name: z.string(), labels: z.record(z.string(), z.string()).default({}) })).default([]),
  nextPageToken: z.string().default(''),
});
const version = z.object({ name: z.string().transform((name) => name.slice(name.lastIndexOf('/') + 1)) });

export class RunServices {
  readonly #options: CloudRunOptions;
  readonly #deadlines: Deadlines;
  readonly #client: InstanceType<typeof v2.ServicesClient>;
  readonly #place: string;

  constructor(options: CloudRunOptions, host: ProviderHost) {
    this.#options = options;
    this.#deadlines = new Deadlines(host);
    this.#client = connect(v2.ServicesClient, options).client;
    this.#place = `projects/${options.project}/locations/${options.region}`;
  }

  /** Undefined if there is none. */
  get(id: string): Promise<ServiceAnswer | undefined> {
    return this.#absent(
      this.#call('GetService', async (options) => {
        const [found] = await this.#client.getService({ name: this.#name(id) }, options);
        return this.#read('GetService', service, found);
      }),
    );
  }

  /** Accepted, not yet ready. */
  async create(id: string, body: ReturnType<typeof serviceFor>): Promise<void> {
    await this.#call('CreateService', async (options) => {
      const request = { parent: this.#place, serviceId: id, service: body };
      const [operation] = await this.#client.createService(request, options);
      const { error } = operation.latestResponse;
      if (error !== undefined && error !== null) throw error;
    });
  }

  /** Accepted, also where there is none. */
  async delete(id: string): Promise<void> {
    await this.#absent(
      this.#call('DeleteService', (options) => this.#client.deleteService({ name: this.#name(id) }, options)),
    );
  }

  async list(): Promise<readonly ServiceAnswer[]> {
    const all: ServiceAnswer[] = [];
    let pageToken = '';
    for (let count = 0; count < MAX_PAGES; count += 1) {
      const [, , answer] = await this.#call('ListServices', (options) => {
        const request = { parent: this.#place, pageSize: PAGE, pageToken };
        return this.#client.listServices(request, { ...options, autoPaginate: false });
      });
      all.push(...this.#read('ListServices', z.array(service), answer?.services ?? []));
      pageToken = answer?.nextPageToken ?? '';
      if (pageToken === '') return all;
    }
    throw new ProviderError('transient', 'gcp-cloud-run ListServices', `a list of more than ${MAX_PAGES} pages`);
  }

  /** Of one revision: an earlier service of the same name has left lines too. */
  async logs(revision: string): Promise<string> {
    try {
      return await readLog({
        auth: this.#client.auth,
        endpoint: this.#options.loggingEndpoint.replace(/\/$/, ''),
        project: this.#options.project,
        filter: [
          'resource.type="cloud_run_revision"',
          `resource.labels.revision_name=${quoted(revision)}`,
          `resource.labels.location=${quoted(this.#options.region)}`,
          '(log_id("run.googleapis.com/stdout") OR log_id("run.googleapis.com/stderr"))',
        ].join(' AND '),
        call: (request) => this.#deadlines.run('gcp-cloud-run logs', this.#options.timeoutMs, request),
      });
    } catch (error) {
      throw classify('logs', error);
    }
  }

  /** Creates a secret with one version, which this allows only `reader` to read. Returns the version. */
  async createSecret(
    id: string,
    { labels, text, reader }: { labels: Readonly<Record<string, string>>; text: string; reader: string },
  ): Promise<string> {
    await this.#rest('POST', `?secretId=${id}`, { replication: { automatic: {} }, labels });
    const bindings = [{ role: ACCESSOR, members: [`serviceAccount:${reader}`] }];
    await this.#rest('POST', `/${id}:setIamPolicy`, { policy: { bindings } });
    const data = Buffer.from(text).toString('base64');
    const added = await this.#rest('POST', `/${id}:addVersion`, { payload: { data } });
    return this.#read('secret', version, added).name;
  }

  async deleteSecret(id: string): Promise<void> {
    await this.#absent(this.#rest('DELETE', `/${id}`));
  }

  /** The ids of those with the label. */
  async secrets(label: string, value: string): Promise<readonly string[]> {
    const found: string[] = [];
    let pageToken = '';
    for (let count = 0; count < MAX_PAGES; count += 1) {
      const query = new URLSearchParams({ filter: `labels.${label}=${value}`, pageSize: String(PAGE), pageToken });
      const answer = this.#read('secret', secretList, await this.#rest('GET', `?${query}`));
      // Filtered again here, as everywhere.
      const fitting = answer.secrets.filter(({ labels }) => labels[label] === value);
      found.push(...fitting.map(({ name }) => name.slice(name.lastIndexOf('/') + 1)));
      pageToken = answer.nextPageToken;
      if (pageToken === '') return found;
    }
    throw new ProviderError('transient', 'gcp-cloud-run secret', `a list of more than ${MAX_PAGES} pages`);
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  #name(id: string): string {
    return `${this.#place}/services/${id}`;
  }

  async #rest(method: 'GET' | 'POST' | 'DELETE', path: string, data?: object): Promise<unknown> {
    const { project, secretsEndpoint, timeoutMs } = this.#options;
    const url = `${secretsEndpoint.replace(/\/$/, '')}/v1/projects/${project}/secrets${path}`;
    try {
      const answer = await this.#deadlines.run('gcp-cloud-run secret', timeoutMs, (signal) =>
        this.#client.auth.request({ url, method, signal, retry: false, ...(data === undefined ? {} : { data }) }),
      );
      return answer.data;
    } catch (error) {
      throw classify('secret', error);
    }
  }

  async #call<T>(call: CallName, action: (options: Awaited<ReturnType<typeof callOptions>>) => Promise<T>): Promise<T> {
    const { endpoint, timeoutMs } = this.#options;
    try {
      return await this.#deadlines.run(`gcp-cloud-run ${call}`, timeoutMs, async () =>
        action(
          await callOptions(this.#client.auth, endpoint === undefined ? undefined : endpointOf(endpoint), timeoutMs),
        ),
      );
    } catch (error) {
      throw classify(call, error);
    }
  }

  async #absent<T>(call: Promise<T>): Promise<T | undefined> {
    try {
      return await call;
    } catch (error) {
      if (hasCode(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  #read<T extends z.ZodType>(call: CallName, schema: T, answer: unknown): z.infer<T> {
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    throw new ProviderError('transient', `gcp-cloud-run ${call}`, 'an answer that cannot be read');
  }
}
