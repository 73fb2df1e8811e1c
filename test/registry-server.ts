/** A registry on loopback: the part of the OCI distribution API that a pull uses, with basic login or the token flow. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const CONFIG = 'application/vnd.docker.container.image.v1+json';
const LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip';

interface Blob {
  readonly digest: string;
  readonly bytes: Buffer;
}

interface Stored extends Blob {
  readonly type: string;
}

export interface RegistryOptions {
  /** Who may read what is not public. */
  readonly user?: { readonly username: string; readonly password: string };
  /** How it asks who somebody is. Default: by a token, from its own /token. */
  readonly challenge?: 'basic' | 'token';
  /** Where the tokens are, if not here. */
  readonly realm?: string;
  /** Default: every repository where there is no user, none where there is one. */
  isPublic?(repository: string): boolean;
}

export interface RegistryCall {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
}

export class RegistryServer {
  readonly #server: Server;
  readonly #options: RegistryOptions;
  /** By path below the repository's: `manifests/1`, `blobs/sha256:…`. */
  readonly #stored = new Map<string, Stored>();
  /** Token → what it opens beside the public ones. */
  readonly #tokens = new Map<string, string | undefined>();
  readonly calls: RegistryCall[] = [];
  /** Requests that were let in. */
  requests = 0;
  readonly #reads = new Map<string, number>();
  /** Answers in place of the registry where it returns true. */
  instead: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;

  constructor(options: RegistryOptions = {}) {
    this.#options = options;
    this.#server = createServer((request, response) => this.#serve(request, response));
  }

  static async start(options: RegistryOptions = {}): Promise<RegistryServer> {
    const registry = new RegistryServer(options);
    await new Promise<void>((resolve) => {
      registry.#server.listen(0, '127.0.0.1', resolve);
    });
    return registry;
  }

  get server(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the registry does not listen');
    return `127.0.0.1:${address.port}`;
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  /** `architecture` as Go calls it. Without a layer it can be looked at, not run. Returns the manifest's digest. */
  addImage(
    repository: string,
    tag: string,
    architecture: string,
    layer?: { bytes: Buffer; diffId: string },
    labels: Readonly<Record<string, unknown>> | null = null,
  ): string {
    const parts = layer === undefined ? [] : [layer];
    const config = this.#addBlob(repository, {
      architecture,
      os: 'linux',
      config: labels === null ? {} : { Labels: labels },
      rootfs: { type: 'layers', diff_ids: parts.map(({ diffId }) => diffId) },
      history: [],
    });
    const part = (type: string, { digest, bytes }: Blob) => ({ mediaType: type, size: bytes.length, digest });
    return this.addManifest(repository, tag, MANIFEST, {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: part(CONFIG, config),
      layers: parts.map(({ bytes }) => part(LAYER, this.#addBlob(repository, bytes))),
    });
  }

  /** With the attestations that buildx puts beside the images. */
  addIndex(repository: string, tag: string, architectures: readonly string[], os = 'linux'): void {
    const entry = (architecture: string, os: string) => ({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: blob(Buffer.from(architecture)).digest,
      size: 1,
      platform: { architecture, os },
    });
    const manifests = [...architectures.map((name) => entry(name, os)), entry('unknown', 'unknown')];
    this.addManifest(repository, tag, INDEX, { schemaVersion: 2, mediaType: INDEX, manifests });
  }

  /** An image for several architectures, each with labels of its own. */
  addLabelled(
    repository: string,
    tag: string,
    labels: Readonly<Record<string, Readonly<Record<string, string>>>>,
  ): string {
    const manifests = Object.entries(labels).map(([architecture, own]) => ({
      mediaType: MANIFEST,
      digest: this.addImage(repository, `${tag}-${architecture}`, architecture, undefined, own),
      size: 1,
      platform: { architecture, os: 'linux' },
    }));
    return this.addManifest(repository, tag, INDEX, { schemaVersion: 2, mediaType: INDEX, manifests });
  }

  addManifest(repository: string, tag: string, type: string, content: unknown): string {
    const manifest = { ...blob(Buffer.from(JSON.stringify(content))), type };
    for (const version of [tag, manifest.digest]) {
      this.#stored.set(`/v2/${repository}/manifests/${version}`, manifest);
    }
    return manifest.digest;
  }

  /** How often its bytes were sent. */
  readsOf(digest: string): number {
    return this.#reads.get(digest) ?? 0;
  }

  #addBlob(repository: string, content: Buffer | object): Blob {
    const added = blob(Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content)));
    this.#stored.set(`/v2/${repository}/blobs/${added.digest}`, { ...added, type: 'application/octet-stream' });
    return added;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url: path = '' } = request;
    const { authorization } = request.headers;
    this.calls.push({ method, url: path, authorization });
    if (this.instead?.(request, response) === true) return;
    const url = new URL(path, 'http://registry');
    if (url.pathname === '/token') {
      this.#giveToken(url, authorization, response);
      return;
    }
    const repository = /^\/v2\/(.+)\/(?:manifests|blobs)\//.exec(path)?.[1];
    if (!this.#lets(authorization, repository)) {
      this.#refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': this.#challenge(repository) });
      return;
    }
    this.requests += 1;
    if (repository === undefined) {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      return;
    }
    const found = this.#stored.get(path);
    if (found === undefined) {
      this.#refuse(response, 404, 'MANIFEST_UNKNOWN');
      return;
    }
    if (method === 'GET') this.#reads.set(found.digest, this.readsOf(found.digest) + 1);
    response.writeHead(200, {
      'content-type': found.type,
      'content-length': found.bytes.length,
      'docker-content-digest': found.digest,
    });
    response.end(method === 'HEAD' ? undefined : found.bytes);
  }

  #challenge(repository: string | undefined): string {
    if (this.#options.challenge === 'basic') return 'Basic realm="test"';
    const realm = this.#options.realm ?? `http://${this.server}/token`;
    const scope = repository === undefined ? '' : `,scope="repository:${repository}:pull"`;
    return `Bearer realm="${realm}",service="registry of the test"${scope}`;
  }

  #lets(authorization: string | undefined, repository: string | undefined): boolean {
    if (this.#options.challenge === 'basic') {
      return this.#isUser(authorization) || (repository !== undefined && this.#isPublic(repository));
    }
    const [, token] = /^Bearer (.+)$/.exec(authorization ?? '') ?? [];
    if (token === undefined || !this.#tokens.has(token)) return false;
    return repository === undefined || this.#isPublic(repository) || this.#tokens.get(token) === repository;
  }

  /** As Docker Hub: everybody gets a token, which opens what its bearer may read. A wrong password gets none. */
  #giveToken(url: URL, authorization: string | undefined, response: ServerResponse): void {
    if (authorization !== undefined && !this.#isUser(authorization)) {
      this.#refuse(response, 401, 'UNAUTHORIZED');
      return;
    }
    const repository = /^repository:(.+):pull$/.exec(url.searchParams.get('scope') ?? '')?.[1];
    const token = `token-${createHash('sha256').update(`${url.search}${this.#tokens.size}`).digest('hex')}`;
    this.#tokens.set(token, authorization === undefined ? undefined : repository);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token }));
  }

  #isUser(authorization: string | undefined): boolean {
    const { user } = this.#options;
    if (user === undefined) return false;
    return authorization === `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`;
  }

  #isPublic(repository: string): boolean {
    return this.#options.isPublic?.(repository) ?? this.#options.user === undefined;
  }

  #refuse(response: ServerResponse, status: number, code: string, headers: Record<string, string> = {}): void {
    response.writeHead(status, { ...headers, 'content-type': 'application/json' });
    const message = code.toLowerCase().replaceAll('_', ' ');
    response.end(
      JSON.stringify({ errors: [{ code, message: code === 'UNAUTHORIZED' ? 'authentication required' : message }] }),
    );
  }
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function blob(bytes: Buffer): Blob {
  return { digest: digestOf(bytes), bytes };
}
