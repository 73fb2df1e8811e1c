/** Secret Manager's REST calls, as far as a deployment makes them (https://cloud.google.com/secret-manager/docs/reference/rest). */
import { z } from 'zod';
import { GoogleRefusal } from '../google/status.ts';

const MAX_PAYLOAD_BYTES = 65_536;

const creation = z.strictObject({
  replication: z.strictObject({ automatic: z.strictObject({}) }),
  labels: z.record(z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/), z.string().regex(/^[a-z0-9_-]{0,63}$/)).default({}),
});
const addition = z.strictObject({ payload: z.strictObject({ data: z.base64() }) });
const policy = z.strictObject({
  policy: z.strictObject({
    bindings: z.array(z.strictObject({ role: z.string(), members: z.array(z.string()) })),
  }),
});

interface Secret {
  readonly labels: Readonly<Record<string, string>>;
  readonly versions: string[];
  readers: readonly string[];
}

export class Secrets {
  readonly #project: string;
  readonly #all = new Map<string, Secret>();

  constructor(project: string) {
    this.#project = project;
  }

  names(): readonly string[] {
    return [...this.#all.keys()];
  }

  /** The content for a service account; undefined if it may not read it. */
  read(id: string, version: string, account: string): string | undefined {
    const secret = this.#all.get(id);
    if (secret?.readers.includes(`serviceAccount:${account}`) !== true) return undefined;
    return secret.versions[Number(version) - 1];
  }

  rest(method: string, path: string, body: unknown, query: URLSearchParams): object | undefined {
    const prefix = `/v1/projects/${this.#project}/secrets`;
    if (!path.startsWith(prefix)) return undefined;
    const [, id = '', verb = ''] = /^\/([\w-]+)(?::(\w+))?$/.exec(path.slice(prefix.length)) ?? [];
    switch (`${method} ${verb}`) {
      case 'POST addVersion': {
        const { versions } = this.#there(id);
        const { data } = addition.parse(body).payload;
        const text = Buffer.from(data, 'base64');
        if (text.length > MAX_PAYLOAD_BYTES) {
          throw new GoogleRefusal('INVALID_ARGUMENT', 'The payload is larger than 65536 bytes.');
        }
        versions.push(text.toString());
        return { name: `${this.#name(id)}/versions/${versions.length}`, state: 'ENABLED' };
      }
      case 'POST setIamPolicy': {
        const { bindings } = policy.parse(body).policy;
        const readers = bindings.find(({ role }) => role === 'roles/secretmanager.secretAccessor')?.members ?? [];
        this.#there(id).readers = readers;
        return { bindings };
      }
      case 'POST ':
        return id === '' ? this.#create(query.get('secretId') ?? '', body) : undefined;
      case 'GET ':
        if (id !== '') return { name: this.#name(id), labels: this.#there(id).labels };
        return { secrets: [...this.#all].map(([name, { labels }]) => ({ name: this.#name(name), labels })) };
      case 'DELETE ':
        this.#there(id);
        this.#all.delete(id);
        return {};
      default:
        return undefined;
    }
  }

  #create(id: string, body: unknown): object {
    const { labels } = creation.parse(body);
    if (!/^[\w-]{1,255}$/.test(id)) throw new GoogleRefusal('INVALID_ARGUMENT', 'secret_id is invalid.');
    if (this.#all.has(id)) throw new GoogleRefusal('ALREADY_EXISTS', `Secret [${this.#name(id)}] already exists.`);
    this.#all.set(id, { labels, versions: [], readers: [] });
    return { name: this.#name(id), labels };
  }

  #there(id: string): Secret {
    const secret = this.#all.get(id);
    if (secret === undefined) throw new GoogleRefusal('NOT_FOUND', `Secret [${this.#name(id)}] not found.`);
    return secret;
  }

  #name(id: string): string {
    return `projects/${this.#project}/secrets/${id}`;
  }
}
