/** The few calls to the engine that the provider makes, each with a time limit and its errors classified. */

import type { IncomingMessage } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import { z } from 'zod';
import type { Deadlines } from '../kit/deadlines.ts';
import { DISPATCHER_TAG } from '../kit/tags.ts';
import { Tail } from '../kit/tail.ts';
import { ProviderError } from '../provider.ts';
import { loginFor, parseReference } from '../registry/image-reference.ts';
import { EngineConnection, parseLine } from './connection.ts';
import { isAbsent } from './errors.ts';
import { FrameReader } from './frames.ts';
import type { DockerOptions } from './options.ts';
import type { EnginePlace } from './place.ts';
import type { ContainerBody } from './request.ts';
import { inspected, listed } from './state.ts';

const created = z.object({ Id: z.string().min(1) });
const version = z.object({ Version: z.string(), ApiVersion: z.string(), Arch: z.string(), Os: z.string() });
const info = z.object({
  NCPU: z.number(),
  MemTotal: z.number(),
  MemoryLimit: z.boolean().optional(),
  PidsLimit: z.boolean().optional(),
  CpuCfsQuota: z.boolean().optional(),
});
const words = z.array(z.string()).nullish();
const imageAnswer = z.object({
  Architecture: z.string().default(''),
  Config: z.object({ Entrypoint: words, Cmd: words, Labels: z.record(z.string(), z.unknown()).nullish() }).nullish(),
});
const progress = z.object({ error: z.string().optional() });

/** One line of a pull's progress has a few hundred characters. */
const MAX_LINE_CHARACTERS = 1024 * 1024;
/** An image that the engine has. */
export interface EngineImage {
  /** GOARCH name. */
  readonly architecture: string;
  /** The image's own entry point and command. */
  readonly command: readonly string[];
  readonly labels: Readonly<Record<string, unknown>>;
}

export class Engine {
  readonly #options: DockerOptions;
  readonly #connection: EngineConnection;

  constructor(options: DockerOptions, place: EnginePlace, deadlines: Deadlines) {
    this.#options = options;
    this.#connection = new EngineConnection(place, options.timeoutMs, deadlines);
  }

  /** The container's id. */
  async create(name: string, body: ContainerBody): Promise<string> {
    const answer = await this.#connection.call('create', {
      path: '/containers/create?',
      method: 'POST',
      // Kept separate on purpose: when given as one, docker-modem also writes the whole body, secrets included, into
      // the URL.
      options: { _query: { name }, _body: body },
      statusCodes: { 200: true, 201: true },
    });
    return this.#connection.parse('create', created, answer).Id;
  }

  /** A container that is running or has already run is left alone (304). */
  async start(id: string): Promise<void> {
    await this.#connection.call('start', {
      path: `/containers/${id}/start`,
      method: 'POST',
      statusCodes: { 200: true, 204: true, 304: true },
    });
  }

  /** Undefined if there is none. */
  async inspect(idOrName: string): Promise<z.infer<typeof inspected> | undefined> {
    try {
      const answer = await this.#connection.call('inspect', {
        path: `/containers/${encodeURIComponent(idOrName)}/json`,
      });
      return this.#connection.parse('inspect', inspected, answer);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** The engine does not paginate: one answer holds everything. */
  async list(dispatcher: string): Promise<z.infer<typeof listed>> {
    const filters = JSON.stringify({ label: [`${DISPATCHER_TAG}=${dispatcher}`] });
    const answer = await this.#connection.call('list', { path: '/containers/json?', options: { all: true, filters } });
    return this.#connection.parse('list', listed, answer);
  }

  /** Resolves when the container has ended: SIGTERM, then SIGKILL after the grace period. */
  async stop(id: string): Promise<void> {
    const { stopGraceS, timeoutMs } = this.#options;
    await this.#connection.call(
      'stop',
      {
        path: `/containers/${id}/stop?`,
        method: 'POST',
        options: { _query: { t: stopGraceS }, _body: {} },
        statusCodes: { 200: true, 204: true, 304: true, 404: true },
      },
      timeoutMs + stopGraceS * 1000,
    );
  }

  /** Also removes its anonymous volumes. 409: a removal is already in progress. */
  async remove(id: string): Promise<void> {
    await this.#connection.call('remove', {
      path: `/containers/${id}?`,
      method: 'DELETE',
      options: { force: true, v: true },
      statusCodes: { 200: true, 204: true, 404: true, 409: true },
    });
  }

  /** Undefined if there is no such container, or its log driver does not support reading. */
  async logs(id: string): Promise<string | undefined> {
    const tail = new Tail();
    const frames = new FrameReader((bytes) => tail.push(bytes));
    try {
      // dockerode's own `logs` buffers everything in memory before it returns.
      await this.#connection.stream(
        'logs',
        { path: `/containers/${id}/logs?`, options: { stdout: true, stderr: true, tail: 65_536 } },
        this.#options.timeoutMs,
        async (answer) => {
          for await (const chunk of answer) if (Buffer.isBuffer(chunk)) frames.push(chunk);
        },
      );
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      if (isAbsent(error) || error.code === '409' || /does not support reading/i.test(error.message)) {
        return undefined;
      }
      throw error;
    }
    return tail.text();
  }

  /** Resolves when the engine has the image. */
  async pull(image: string): Promise<void> {
    const { registryAuth } = this.#options;
    // The engine would present it to any registry that the image names.
    const registry = parseReference(image)?.registry;
    const auth = registryAuth === undefined || registry === undefined ? undefined : loginFor(registry, [registryAuth]);
    await this.#connection.stream(
      'pull',
      {
        path: '/images/create?',
        method: 'POST',
        options: { _query: imageAndTag(image), _body: {} },
        ...(auth === undefined
          ? {}
          : { authconfig: { username: auth.username, password: auth.password, serveraddress: auth.server } }),
      },
      this.#options.pullTimeoutMs,
      async (answer) => {
        // A pull that fails halfway has already been answered with 200: the error is a line in the progress stream.
        for await (const line of linesOf(answer)) {
          const parsed = progress.safeParse(parseLine(line));
          if (parsed.success && parsed.data.error !== undefined) throw new Error(parsed.data.error);
        }
      },
    );
  }

  async version(): Promise<z.infer<typeof version> & z.infer<typeof info>> {
    const [about, machine] = await Promise.all([
      this.#connection.call('version', { path: '/version' }),
      this.#connection.call('version', { path: '/info' }),
    ]);
    return {
      ...this.#connection.parse('version', version, about),
      ...this.#connection.parse('version', info, machine),
    };
  }

  /** Undefined if the engine has no image of that name. `image` must be a valid reference. */
  async imageOf(image: string): Promise<EngineImage | undefined> {
    try {
      const answer = await this.#connection.call('image', { path: `/images/${image}/json` });
      const { Architecture, Config } = this.#connection.parse('image', imageAnswer, answer);
      return {
        architecture: Architecture,
        command: [...(Config?.Entrypoint ?? []), ...(Config?.Cmd ?? [])],
        labels: Config?.Labels ?? {},
      };
    } catch (error) {
      if (error instanceof ProviderError && error.code === '404') return undefined;
      throw error;
    }
  }

  async requireNetwork(name: string): Promise<void> {
    await this.#connection.call('network', { path: `/networks/${encodeURIComponent(name)}` });
  }

  async requireLogin(auth: NonNullable<DockerOptions['registryAuth']>): Promise<void> {
    await this.#connection.call('auth', {
      path: '/auth',
      method: 'POST',
      options: { username: auth.username, password: auth.password, serveraddress: auth.server },
      statusCodes: { 200: true, 204: true },
    });
  }
}

async function* linesOf(answer: IncomingMessage): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of answer) {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE_CHARACTERS) throw new Error('a line of the answer is longer than any of an engine');
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** Given a repository without a tag, the engine pulls all of its tags. */
function imageAndTag(image: string): { fromImage: string; tag?: string } {
  if (image.includes('@')) return { fromImage: image };
  const colon = image.lastIndexOf(':');
  return colon > image.lastIndexOf('/')
    ? { fromImage: image.slice(0, colon), tag: image.slice(colon + 1) }
    : { fromImage: image, tag: 'latest' };
}
