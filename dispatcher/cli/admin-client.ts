/** How the commands that inspect a running dispatcher call its admin API. */
import { open } from 'node:fs/promises';
import { Command } from 'commander';
import { z } from 'zod';
import { BodyTooLarge, readBounded } from '../../providers/kit/bounded-body.ts';
import type { Clock } from '../../time/clock.ts';
import { errorSchema } from '../http/admin-shapes.ts';
import { Secret } from '../model/registration.ts';
import { printable, printJson } from './output.ts';
import type { Terminal } from './terminal.ts';

/** Exit code 1: the dispatcher could not be reached, or refused. 2: invalid usage. */
export class AdminClientError extends Error {
  readonly exitCode: 1 | 2;
  readonly hint: string;

  constructor(exitCode: 1 | 2, message: string, hint: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'AdminClientError';
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

const DEFAULT_ADMIN_URL = 'http://127.0.0.1:9090';
const TOKEN_BYTES = 4096;
const ANSWER_BYTES = 16 * 1024 * 1024;
const TIMEOUT_MS = 35_000;

const flagsSchema = z.object({
  url: z.string().optional(),
  tokenFile: z.string().optional(),
  json: z.boolean().default(false),
});
type AdminFlags = z.infer<typeof flagsSchema>;

/** A command that calls the admin API. It has no `--token` option: every user of the machine can read argv. */
export function adminCommand(name: string, description: string, terminal: Terminal): Command {
  return (
    new Command(name)
      .description(description)
      .option('--url <url>', `the dispatcher's admin listener (SHR_ADMIN_URL, else ${DEFAULT_ADMIN_URL})`)
      .option('--token-file <path>', 'a file with the admin token (else the variable SHR_ADMIN_TOKEN)')
      .option('--json', 'the answer as JSON')
      // A subcommand inherits neither from the command that it is added to.
      .exitOverride()
      .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.error(text) })
  );
}

/** Runs one request to completion: prints any failure with its cure, and sets the exit code. */
export async function answering<Answer>(
  question: { readonly command: Command; readonly terminal: Terminal; readonly clock: Clock },
  ask: (client: AdminClient) => Promise<Answer>,
  tell: (answer: Answer) => void,
): Promise<void> {
  const { command, terminal, clock } = question;
  const flags = flagsSchema.parse(command.optsWithGlobals());
  try {
    const client = new AdminClient(baseUrl(flags, terminal), await readToken(flags, terminal), clock);
    const answer = await ask(client);
    if (flags.json) printJson(terminal, answer);
    else tell(answer);
  } catch (error) {
    if (!(error instanceof AdminClientError)) throw error;
    terminal.error(`shr: ${printable(error.message)}\n     ${printable(error.hint)}\n`);
    terminal.exit(error.exitCode);
  }
}

export type Query = Readonly<Record<string, string | undefined>>;

export class AdminClient {
  readonly #base: URL;
  readonly #token: Secret | undefined;
  readonly #clock: Clock;

  constructor(base: URL, token: Secret | undefined, clock: Clock) {
    this.#base = base;
    this.#token = token;
    this.#clock = clock;
  }

  get<Schema extends z.ZodType>(path: readonly string[], query: Query, schema: Schema): Promise<z.infer<Schema>> {
    return this.#ask('GET', path, query, schema);
  }

  post<Schema extends z.ZodType>(path: readonly string[], schema: Schema): Promise<z.infer<Schema>> {
    return this.#ask('POST', path, {}, schema);
  }

  async #ask<Schema extends z.ZodType>(
    method: 'GET' | 'POST',
    path: readonly string[],
    query: Query,
    schema: Schema,
  ): Promise<z.infer<Schema>> {
    const url = new URL(
      `${this.#base.pathname.replace(/\/$/, '')}/api/${path.map(encodeURIComponent).join('/')}`,
      this.#base,
    );
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
    const abort = new AbortController();
    const cancel = this.#clock.after(TIMEOUT_MS, () => abort.abort());
    try {
      const response = await fetch(url, {
        method,
        headers: {
          accept: 'application/json',
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token.reveal()}` }),
        },
        // A redirect would carry the token to another host.
        redirect: 'error',
        signal: abort.signal,
      });
      const body = readJson((await readBounded(response.body, ANSWER_BYTES)).toString('utf8'));
      if (!response.ok) throw refused(response.status, body, this.#base);
      const parsed = schema.safeParse(body);
      if (parsed.success) return parsed.data;
      throw notADispatcher(this.#base, parsed.error.issues[0]?.path.join('.'));
    } catch (error) {
      if (error instanceof BodyTooLarge) {
        throw new AdminClientError(1, 'the answer is too long', 'ask for less with --limit', error);
      }
      throw error instanceof AdminClientError ? error : unreachable(error, this.#base, abort.signal.aborted);
    } finally {
      cancel();
    }
  }
}

function baseUrl(flags: AdminFlags, terminal: Terminal): URL {
  const text = flags.url ?? terminal.environment['SHR_ADMIN_URL'] ?? DEFAULT_ADMIN_URL;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new AdminClientError(
      2,
      'invalid URL',
      `--url wants http://HOST:PORT or https://HOST, such as ${DEFAULT_ADMIN_URL}`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new AdminClientError(
      2,
      'the URL has a user or password in it',
      'the token comes from SHR_ADMIN_TOKEN or --token-file',
    );
  }
  return url;
}

async function readToken(flags: AdminFlags, terminal: Terminal): Promise<Secret | undefined> {
  const text =
    flags.tokenFile === undefined ? terminal.environment['SHR_ADMIN_TOKEN'] : await readTokenFile(flags.tokenFile);
  const token = text?.trim() ?? '';
  if (token === '') return undefined;
  // fetch would quote a header value that it cannot send in its error message.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new AdminClientError(
      2,
      'the admin token has characters that no token has',
      'it is one line of printable ASCII, without spaces',
    );
  }
  return new Secret(token);
}

async function readTokenFile(path: string): Promise<string> {
  const text = await firstBytes(path, TOKEN_BYTES + 1).catch((error: unknown) => {
    const code = codeOf(error) ?? 'unknown reason';
    throw new AdminClientError(
      2,
      `${path} cannot be read (${code})`,
      '--token-file names a file with the admin token',
      error,
    );
  });
  if (text.length > TOKEN_BYTES) {
    throw new AdminClientError(2, `${path} is too long for a token`, 'name the file that holds the token alone');
  }
  if (text.trim() === '') throw new AdminClientError(2, `${path} is empty`, 'write the admin token into it');
  return text;
}

async function firstBytes(path: string, count: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(count), 0, count, null);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A response that is not JSON fails the schema check, which reports it.
    return undefined;
  }
}

function refused(status: number, body: unknown, base: URL): AdminClientError {
  const parsed = errorSchema.safeParse(body);
  if (!parsed.success) return notADispatcher(base, `status ${status}`);
  const { error, hint } = parsed.data;
  if (status === 401)
    return new AdminClientError(
      1,
      `the dispatcher wants its admin token: ${error}`,
      'set SHR_ADMIN_TOKEN, or name its file with --token-file (`shr init` writes secrets/admin-token)',
    );
  return new AdminClientError(status === 400 ? 2 : 1, error, hint);
}

function notADispatcher(base: URL, detail: string | undefined): AdminClientError {
  return new AdminClientError(
    1,
    `${base.origin} is not an admin listener of this version${detail ? ` (${detail})` : ''}`,
    'check --url: the admin listener is not the one that takes webhooks',
  );
}

function unreachable(error: unknown, base: URL, late: boolean): AdminClientError {
  if (late)
    return new AdminClientError(
      1,
      `no answer from ${base.origin} within ${TIMEOUT_MS / 1000} s`,
      'see the log of the dispatcher',
      error,
    );
  const code = codeOf(error) ?? (error instanceof Error ? codeOf(error.cause) : undefined);
  if (code === 'ECONNREFUSED') {
    return new AdminClientError(
      1,
      `nothing listens at ${base.origin}`,
      'is the dispatcher running? Start it with `make serve`, or name its admin listener with --url',
      error,
    );
  }
  return new AdminClientError(
    1,
    `${base.origin} cannot be reached (${code ?? 'no connection'})`,
    'check --url, and the network between here and there',
    error,
  );
}

function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

/** The options given to this command, as the API takes them. The API validates their values. */
export function filters(command: Command, names: readonly string[]): Query {
  const given = z.record(z.string(), z.unknown()).parse(command.opts());
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = given[name];
      return typeof value === 'string' ? [[name, value]] : [];
    }),
  );
}
