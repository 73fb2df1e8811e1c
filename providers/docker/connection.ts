/** One connection's way to an engine: each call with a time limit, its errors classified and its answer parsed. */
import { IncomingMessage } from 'node:http';
import { addAbortSignal } from 'node:stream';
import Docker from 'dockerode';
import { z } from 'zod';
import { readBounded } from '../kit/bounded-body.ts';
import type { Deadlines } from '../kit/deadlines.ts';
import { ProviderError } from '../provider.ts';
import { type CallName, classify } from './errors.ts';
import type { EnginePlace } from './place.ts';

const engineWords = z.object({ message: z.string().optional(), error: z.string().optional() });

export type EngineRequest = Parameters<Docker['modem']['dial']>[0];

/** A list of 10,000 containers with our labels has 20 MB. A tenant's own engine could answer with any number of them. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** Brackets, braces, colons and commas: that list has 1.5 million. Megabytes of `[` block `JSON.parse` for seconds. */
const MAX_MARKS = 3_000_000;
const MARKS: ReadonlySet<number> = new Set([...'[{:,'].map((mark) => mark.charCodeAt(0)));
/** docker-modem collects the answer to any other status, however long it is. */
const EVERY_STATUS: Readonly<Record<string, true>> = Object.fromEntries(
  Array.from({ length: 900 }, (_, index) => [String(index + 100), true as const]),
);

export class EngineConnection {
  readonly #docker: Docker;
  readonly #place: EnginePlace;
  readonly #deadlines: Deadlines;
  readonly #timeoutMs: number;

  constructor(place: EnginePlace, timeoutMs: number, deadlines: Deadlines) {
    this.#place = place;
    this.#timeoutMs = timeoutMs;
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

  call(call: CallName, request: EngineRequest, ms = this.#timeoutMs): Promise<unknown> {
    return this.#bounded(call, ms, async (signal) => {
      const answer = await this.#dial(request, signal);
      const body = await bodyOf(answer);
      if (!accepts(request, answer)) throw refusalOf(answer, body, body.json ?? body.bytes);
      return body.json ?? body.bytes;
    });
  }

  /** `ms` limits the whole call, up to the last byte. */
  async stream(
    call: CallName,
    request: EngineRequest,
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
  #dial(request: EngineRequest, abortSignal: AbortSignal): Promise<IncomingMessage> {
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

  parse<T>(call: CallName, schema: z.ZodType<T>, answer: unknown): T {
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    // The request may have taken effect, so the caller must look again instead of giving up.
    const where = parsed.error.issues[0]?.path.join('.') ?? '';
    throw new ProviderError('transient', `docker ${call}`, `the engine's answer cannot be read (at ${where || 'top'})`);
  }
}

function accepts({ statusCodes }: EngineRequest, { statusCode = 0 }: IncomingMessage): boolean {
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

export function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
