/** A registry on loopback with one image, as far as the engine needs one for a pull. Engines trust 127.0.0.0/8 without TLS. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { testImage } from './engine.ts';

const REPOSITORY = 'shr-test/pulled';
const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';

interface Blob {
  readonly digest: string;
  readonly bytes: Buffer;
}

const blob = (bytes: Buffer): Blob => ({
  digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
  bytes,
});

export class RegistryServer {
  readonly #server: Server;
  readonly #authorization: string;
  readonly #layer: Blob;
  readonly #config: Blob;
  readonly #manifest: Blob;
  /** Requests that were let in. */
  requests = 0;
  /** How often the layer was read. */
  blobReads = 0;

  private constructor(user: { username: string; password: string }, tar: Buffer) {
    this.#authorization = `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`;
    this.#layer = blob(gzipSync(tar));
    const config = {
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: [blob(tar).digest] },
      history: [],
    };
    this.#config = blob(Buffer.from(JSON.stringify(config)));
    const part = (type: string, { digest, bytes }: Blob) => ({ mediaType: type, size: bytes.length, digest });
    this.#manifest = blob(
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: MANIFEST,
          config: part('application/vnd.docker.container.image.v1+json', this.#config),
          layers: [part('application/vnd.docker.image.rootfs.diff.tar.gzip', this.#layer)],
        }),
      ),
    );
    this.#server = createServer((request, response) => this.#serve(request, response));
  }

  static async start(user: { username: string; password: string }): Promise<RegistryServer> {
    const registry = new RegistryServer(user, await rootOf(await testImage()));
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

  get image(): string {
    return `${this.server}/${REPOSITORY}:1`;
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    if (request.headers.authorization !== this.#authorization) {
      this.#refuse(response, 401, 'UNAUTHORIZED', 'authentication required', {
        'www-authenticate': 'Basic realm="test"',
      });
      return;
    }
    this.requests += 1;
    const path = request.url ?? '';
    if (path === '/v2/' || path === '/v2') {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      return;
    }
    const base = `/v2/${REPOSITORY}`;
    if (path === `${base}/manifests/1` || path === `${base}/manifests/${this.#manifest.digest}`) {
      this.#send(request, response, this.#manifest, MANIFEST);
      return;
    }
    const found = [this.#layer, this.#config].find(({ digest }) => path === `${base}/blobs/${digest}`);
    if (found === undefined) {
      this.#refuse(response, 404, 'MANIFEST_UNKNOWN', 'manifest unknown');
      return;
    }
    if (found === this.#layer && request.method === 'GET') this.blobReads += 1;
    this.#send(request, response, found, 'application/octet-stream');
  }

  #send(request: IncomingMessage, response: ServerResponse, { digest, bytes }: Blob, type: string): void {
    response.writeHead(200, {
      'content-type': type,
      'content-length': bytes.length,
      'docker-content-digest': digest,
    });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  }

  #refuse(
    response: ServerResponse,
    status: number,
    code: string,
    message: string,
    headers: Record<string, string> = {},
  ): void {
    response.writeHead(status, { ...headers, 'content-type': 'application/json' });
    response.end(JSON.stringify({ errors: [{ code, message }] }));
  }
}

/** The files of an image as one tar: the layer to offer. */
async function rootOf(image: string): Promise<Buffer> {
  const run = promisify(execFile);
  const container = (await run('docker', ['create', '--network', 'none', image])).stdout.trim();
  try {
    return (await run('docker', ['export', container], { encoding: 'buffer', maxBuffer: 64 * 2 ** 20 })).stdout;
  } finally {
    await run('docker', ['rm', container]);
  }
}
