/** The few calls to the engine that the provider makes, each with a time limit and its errors classified. */

import { IncomingMessage } from 'node:http';
import { addAbortSignal } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import Docker from 'dockerode';
import { z } from 'zod';
import { readBounded } from '../kit/bounded-body.ts';
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
const engineWords = z.object({ message: z.string().optional(), error: z.string().optional() });

type Request = Parameters<Docker['modem']['dial']>[0];

/** A list of 10,000 containers with our labels has 20 MB. A tenant's own engine could answer with any number of them. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** Brackets, braces, colons and commas: that list has 1.5 million. Megabytes of `[` block `JSON.parse` for seconds. */
const MAX_MARKS = 3_000_000;
const MARKS: ReadonlySet<number> = new Set([...'[{:,'].map((mark) => mark.charCodeAt(0)));
/** One line of a pull's progress has a few hundred characters. */
const MAX_LINE_CHARACTERS = 1024 * 1024;
/** docker-modem collects the answer to any other status, however long it is. */
const EVERY_STATUS: Readonly<Record<string, true>> = Object.fromEntries(
  Array.from({ length: 900 }, (_, index) => [String(index + 100), true as const]),
);

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
        for await (const line of linesOf(answer)) {
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
    return this.#bounded(call, ms, async (signal) => {
      const answer = await this.#dial(request, signal);
      const body = await bodyOf(answer);
      if (!accepts(request, answer)) throw refusalOf(answer, body, body.json ?? body.bytes);
      return body.json ?? body.bytes;
    });
  }

  /** `ms` limits the whole call, up to the last byte. */
  async #stream(
    call: CallName,
    request: Request,
    ms: number,
    read: (answer: IncomingMessage) => Promise<void>,
  ): Promise<void> {
    await this.#bounded(call, ms, async (signal) => {
      const answer = await this.#dial(request, signal);
      if (!accepts(request, answer)) throw refusalOf(answer, await bodyOf(answer), null);
      await read(answer);
    });
  }

  /** Any answer, unread. */
  #dial(request: Request, abortSignal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      this.#docker.modem.dial(
        { method: 'GET', ...request, statusCodes: EVERY_STATUS, isStream: true, abortSignal },
        (error, answer) => {
          if (error !== null && error !== undefined) reject(error);
          else if (answer instanceof IncomingMessage) resolve(addAbortSignal(abortSignal, answer));
          else reject(new Error('the answer is not a stream'));
        },
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

function accepts({ statusCodes }: Request, { statusCode = 0 }: IncomingMessage): boolean {
  return new Map(Object.entries(statusCodes ?? { 200: true })).get(String(statusCode)) === true;
}

interface Body {
  readonly bytes: Buffer;
  /** Undefined if it is not JSON. */
  readonly json: unknown;
}

async function bodyOf(answer: IncomingMessage): Promise<Body> {
  let marks = 0;
  const bytes = await readBounded(answer, MAX_ANSWER_BYTES, (chunk) => {
    for (const byte of chunk) if (MARKS.has(byte)) marks += 1;
    if (marks > MAX_MARKS) throw new Error('the answer has more values than any of an engine');
  });
  const parsed = parseLine(bytes.toString());
  return { bytes, json: parsed === null ? undefined : parsed };
}

/** As docker-modem makes it: see errors.ts. */
function refusalOf({ statusCode = 0 }: IncomingMessage, { bytes, json }: Body, shown: unknown): Error {
  const said = engineWords.safeParse(json);
  const words = said.success ? (said.data.message ?? said.data.error) : undefined;
  const message = `(HTTP code ${statusCode}) unexpected - ${words ?? bytes.toString('utf8', 0, 65_536)} `;
  return Object.assign(new Error(message), { statusCode, json: shown });
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

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
