/** The few calls to the engine that the provider makes, each with a time limit and its errors classified. */

import { createInterface } from 'node:readline';
import { addAbortSignal, Readable } from 'node:stream';
import Docker from 'dockerode';
import { z } from 'zod';
import type { Deadlines } from '../kit/deadlines.ts';
import { DISPATCHER_TAG } from '../kit/tags.ts';
import { Tail } from '../kit/tail.ts';
import { ProviderError } from '../provider.ts';
import { loginFor, parseReference } from '../registry/image-reference.ts';
import { type CallName, classify, isAbsent } from './errors.ts';
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
  Config: z.object({ Entrypoint: words, Cmd: words }).nullish(),
});
const progress = z.object({ error: z.string().optional() });

type Request = Parameters<Docker['modem']['dial']>[0];

/** An image that the engine has. */
export interface EngineImage {
  /** GOARCH name. */
  readonly architecture: string;
  /** The image's own entry point and command. */
  readonly command: readonly string[];
}

export class Engine {
  readonly #docker: Docker;
  readonly #options: DockerOptions;
  readonly #deadlines: Deadlines;
  readonly #place: EnginePlace;

  constructor(options: DockerOptions, place: EnginePlace, deadlines: Deadlines) {
    this.#options = options;
    this.#place = place;
    this.#deadlines = deadlines;
    // Every key is passed, even if undefined: docker-modem fills gaps from DOCKER_HOST and related variables, and a
    // host from there would override our socket.
    this.#docker = new Docker({
      socketPath: undefined,
      host: undefined,
      port: undefined,
      protocol: 'http',
      ca: undefined,
      cert: undefined,
      key: undefined,
      timeout: undefined,
      ...(place.found ? place.address : { socketPath: '/nowhere' }),
    });
  }

  /** The container's id. */
  async create(name: string, body: ContainerBody): Promise<string> {
    const answer = await this.#call('create', {
      path: '/containers/create?',
      method: 'POST',
      // Kept separate on purpose: when given as one, docker-modem also writes the whole body, secrets included, into
      // the URL.
      options: { _query: { name }, _body: body },
      statusCodes: { 200: true, 201: true },
    });
    return this.#parse('create', created, answer).Id;
  }

  /** A container that is running or has already run is left alone (304). */
  async start(id: string): Promise<void> {
    await this.#call('start', {
      path: `/containers/${id}/start`,
      method: 'POST',
      statusCodes: { 200: true, 204: true, 304: true },
    });
  }

  /** Undefined if there is none. */
  async inspect(idOrName: string): Promise<z.infer<typeof inspected> | undefined> {
    try {
      const answer = await this.#call('inspect', { path: `/containers/${encodeURIComponent(idOrName)}/json` });
      return this.#parse('inspect', inspected, answer);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** The engine does not paginate: one answer holds everything. */
  async list(dispatcher: string): Promise<z.infer<typeof listed>> {
    const filters = JSON.stringify({ label: [`${DISPATCHER_TAG}=${dispatcher}`] });
    const answer = await this.#call('list', { path: '/containers/json?', options: { all: true, filters } });
    return this.#parse('list', listed, answer);
  }

  /** Resolves when the container has ended: SIGTERM, then SIGKILL after the grace period. */
  async stop(id: string): Promise<void> {
    const { stopGraceS, timeoutMs } = this.#options;
    await this.#call(
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
    await this.#call('remove', {
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
      await this.#stream(
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
    await this.#stream(
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
        for await (const line of createInterface({ input: answer })) {
          const parsed = progress.safeParse(parseLine(line));
          if (parsed.success && parsed.data.error !== undefined) throw new Error(parsed.data.error);
        }
      },
    );
  }

  async version(): Promise<z.infer<typeof version> & z.infer<typeof info>> {
    const [about, machine] = await Promise.all([
      this.#call('version', { path: '/version' }),
      this.#call('version', { path: '/info' }),
    ]);
    return { ...this.#parse('version', version, about), ...this.#parse('version', info, machine) };
  }

  /** Undefined if the engine has no image of that name. `image` must be a valid reference. */
  async imageOf(image: string): Promise<EngineImage | undefined> {
    try {
      const answer = await this.#call('image', { path: `/images/${image}/json` });
      const { Architecture, Config } = this.#parse('image', imageAnswer, answer);
      return { architecture: Architecture, command: [...(Config?.Entrypoint ?? []), ...(Config?.Cmd ?? [])] };
    } catch (error) {
      if (error instanceof ProviderError && error.code === '404') return undefined;
      throw error;
    }
  }

  async requireNetwork(name: string): Promise<void> {
    await this.#call('network', { path: `/networks/${encodeURIComponent(name)}` });
  }

  async requireLogin(auth: NonNullable<DockerOptions['registryAuth']>): Promise<void> {
    await this.#call('auth', {
      path: '/auth',
      method: 'POST',
      options: { username: auth.username, password: auth.password, serveraddress: auth.server },
      statusCodes: { 200: true, 204: true },
    });
  }

  #call(call: CallName, request: Request, ms = this.#options.timeoutMs): Promise<unknown> {
    return this.#bounded(call, ms, (signal) => this.#dial(request, signal));
  }

  /** `ms` limits the whole call, up to the last byte. */
  async #stream(
    call: CallName,
    request: Request,
    ms: number,
    read: (answer: Readable) => Promise<void>,
  ): Promise<void> {
    await this.#bounded(call, ms, async (signal) => {
      const answer = await this.#dial({ ...request, isStream: true }, signal);
      if (!(answer instanceof Readable)) throw new Error('the answer is not a stream');
      await read(addAbortSignal(signal, answer));
    });
  }

  #dial(request: Request, abortSignal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#docker.modem.dial(
        { method: 'GET', statusCodes: { 200: true }, ...request, abortSignal },
        (error, answer) => (error === null || error === undefined ? resolve(answer) : reject(error)),
      );
    });
  }

  async #bounded<T>(call: CallName, ms: number, action: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const place = this.#place;
    if (!place.found) {
      throw new ProviderError('unauthorized', `docker ${call}`, `${place.problem}: ${place.cure}`, {
        code: 'no-engine',
      });
    }
    try {
      return await this.#deadlines.run(`docker ${call}`, ms, action);
    } catch (error) {
      throw classify(call, error);
    }
  }

  #parse<T>(call: CallName, schema: z.ZodType<T>, answer: unknown): T {
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    // The request may have taken effect, so the caller must look again instead of giving up.
    const where = parsed.error.issues[0]?.path.join('.') ?? '';
    throw new ProviderError('transient', `docker ${call}`, `the engine's answer cannot be read (at ${where || 'top'})`);
  }
}

/** Given a repository without a tag, the engine pulls all of its tags. */
function imageAndTag(image: string): { fromImage: string; tag?: string } {
  if (image.includes('@')) return { fromImage: image };
  const colon = image.lastIndexOf(':');
  return colon > image.lastIndexOf('/')
    ? { fromImage: image.slice(0, colon), tag: image.slice(colon + 1) }
    : { fromImage: image, tag: 'latest' };
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
