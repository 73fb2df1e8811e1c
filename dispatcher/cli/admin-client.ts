/** How the commands that inspect a running dispatcher call its admin API. */
import { Command } from 'commander';
import { z } from 'zod';
import { BodyTooLarge, readBounded } from '../../providers/kit/bounded-body.ts';
import type { Clock } from '../../time/clock.ts';
import { withDeadline } from '../../time/deadline.ts';
import { errorSchema } from '../http/admin-shapes.ts';
import { formatProblem } from '../model/problem.ts';
import type { Secret } from '../model/registration.ts';
import { AdminClientError } from './admin-client-error.ts';
import { adminTarget, DEFAULT_ADMIN_URL } from './admin-target.ts';
import { printable, printJson } from './output.ts';
import type { Terminal } from './terminal.ts';

const ANSWER_BYTES = 16 * 1024 * 1024;
const TIMEOUT_MS = 35_000;

const flagsSchema = z.object({
  url: z.string().optional(),
  tokenFile: z.string().optional(),
  profile: z.string().optional(),
  json: z.boolean().default(false),
});

/** A command that calls the admin API. It has no `--token` option: every user of the machine can read argv. */
export function adminCommand(name: string, description: string, terminal: Terminal): Command {
  return (
    new Command(name)
      .description(description)
      .option(
        '--url <url>',
        `the admin listener (default: SHR_ADMIN_URL, then dispatcher.yaml here, then ${DEFAULT_ADMIN_URL})`,
      )
      .option('--token-file <path>', 'a file with the token (default: SHR_ADMIN_TOKEN, then dispatcher.yaml here)')
      .option(
        '--profile <name>',
        'a dispatcher that `shr login` keeps (default: SHR_PROFILE, then `default` without dispatcher.yaml here)',
      )
      .option('--json', 'print the answer as JSON')
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
    const { base, token, tokenFrom } = await adminTarget(flags, terminal);
    const client = new AdminClient(base, token, clock, tokenFrom);
    const answer = await ask(client);
    if (flags.json) printJson(terminal, answer);
    else tell(answer);
  } catch (error) {
    if (!(error instanceof AdminClientError)) throw error;
    for (const problem of error.problems) terminal.error(`${printable(problem)}\n`);
    terminal.error(`shr: ${printable(error.message)}\n     ${printable(error.cure)}\n`);
    terminal.exit(error.exitCode);
  }
}

export { AdminClientError } from './admin-client-error.ts';

/** A list: the parameter once for each of its values. */
export type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

export class AdminClient {
  readonly #base: URL;
  readonly #token: Secret | undefined;
  readonly #clock: Clock;
  readonly #tokenFrom: string | undefined;

  /** `tokenFrom` says in messages where the token comes from. */
  constructor(base: URL, token: Secret | undefined, clock: Clock, tokenFrom?: string) {
    this.#base = base;
    this.#token = token;
    this.#clock = clock;
    this.#tokenFrom = tokenFrom;
  }

  get<Schema extends z.ZodType>(path: readonly string[], query: Query, schema: Schema): Promise<z.infer<Schema>> {
    return this.#ask('GET', path, query, schema);
  }

  /** Nothing secret goes into the query: proxies log it. */
  post<Schema extends z.ZodType>(path: readonly string[], schema: Schema, query: Query = {}): Promise<z.infer<Schema>> {
    return this.#ask('POST', path, query, schema);
  }

  /** `ifMatch`: only if it is still what this tag was of. */
  put<Schema extends z.ZodType>(
    path: readonly string[],
    schema: Schema,
    document: { readonly text: string; readonly type: string; readonly ifMatch?: string | undefined },
  ): Promise<z.infer<Schema>> {
    return this.#ask('PUT', path, {}, schema, document);
  }

  delete<Schema extends z.ZodType>(
    path: readonly string[],
    schema: Schema,
    ifMatch?: string,
  ): Promise<z.infer<Schema>> {
    return this.#ask('DELETE', path, {}, schema, { ifMatch });
  }

  async #ask<Schema extends z.ZodType>(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: readonly string[],
    query: Query,
    schema: Schema,
    sent: { readonly text?: string; readonly type?: string; readonly ifMatch?: string | undefined } = {},
  ): Promise<z.infer<Schema>> {
    const url = new URL(
      `${this.#base.pathname.replace(/\/$/, '')}/api/${path.map(encodeURIComponent).join('/')}`,
      this.#base,
    );
    for (const [name, given] of Object.entries(query)) {
      for (const value of typeof given === 'string' ? [given] : (given ?? [])) url.searchParams.append(name, value);
    }
    try {
      const { response, body } = await withDeadline(
        this.#clock,
        TIMEOUT_MS,
        () => tooLate(this.#base),
        undefined,
        async (signal) => {
          const response = await fetch(url, {
            method,
            ...(sent.text === undefined ? {} : { body: sent.text }),
            headers: {
              ...(sent.type === undefined ? {} : { 'content-type': sent.type }),
              ...(sent.ifMatch === undefined ? {} : { 'if-match': sent.ifMatch }),
              accept: 'application/json',
              ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token.reveal()}` }),
            },
            // A redirect would carry the token to another host.
            redirect: 'error',
            signal,
          });
          const text = await readBounded(response.body, ANSWER_BYTES);
          return { response, body: readJson(text.toString('utf8')) };
        },
      );
      if (!response.ok) throw refused(response.status, body, this.#base, this.#tokenFrom);
      const parsed = schema.safeParse(body);
      if (parsed.success) return parsed.data;
      throw notADispatcher(this.#base, parsed.error.issues[0]?.path.join('.'));
    } catch (error) {
      if (error instanceof BodyTooLarge) {
        throw new AdminClientError(1, 'the answer is too long', 'ask for less with --limit', error);
      }
      throw error instanceof AdminClientError ? error : unreachable(error, this.#base);
    }
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

function refused(status: number, body: unknown, base: URL, tokenFrom: string | undefined): AdminClientError {
  const parsed = errorSchema.safeParse(body);
  if (!parsed.success) return notADispatcher(base, `status ${status}`);
  const { error, cure, problems = [] } = parsed.data;
  if (status === 401 && tokenFrom === undefined) {
    return new AdminClientError(
      1,
      'the dispatcher wants a token',
      'Use `shr login`, set SHR_ADMIN_TOKEN, name a file with --token-file, or run the command in the folder of dispatcher.yaml.',
    );
  }
  if (status === 401 && error === 'wrong token') {
    return new AdminClientError(
      1,
      `${tokenFrom} has the wrong token`,
      "Use one of `shr token list`, or the `adminToken` of that dispatcher's dispatcher.yaml as it was when the dispatcher started.",
    );
  }
  // Of a token that was cut, has expired or was revoked.
  if (status === 401) return new AdminClientError(1, `${tokenFrom}: ${error}`, cure);
  return new AdminClientError(status === 400 ? 2 : 1, error, cure, undefined, problems.map(formatProblem));
}

function notADispatcher(base: URL, detail: string | undefined): AdminClientError {
  return new AdminClientError(
    1,
    `${base.origin} is not an admin listener of this version${detail ? ` (${detail})` : ''}`,
    'Check --url: the admin listener is not the one that takes webhooks.',
  );
}

function tooLate(base: URL): AdminClientError {
  return new AdminClientError(
    1,
    `no answer from ${base.origin} within ${TIMEOUT_MS / 1000} s`,
    'Look into the log of the dispatcher.',
  );
}

function unreachable(error: unknown, base: URL): AdminClientError {
  const code = codeOf(error) ?? (error instanceof Error ? codeOf(error.cause) : undefined);
  if (code === 'ECONNREFUSED') {
    return new AdminClientError(
      1,
      `nothing listens at ${base.origin}`,
      'Start the dispatcher with `shr serve`, or name its admin listener with --url.',
      error,
    );
  }
  return new AdminClientError(
    1,
    `${base.origin} cannot be reached (${code ?? 'no connection'})`,
    'Check --url, and the network between here and there.',
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
