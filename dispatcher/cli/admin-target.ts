/**
 * Which dispatcher a command asks, and with which token: flags, then variables, then dispatcher.yaml in this folder, or,
 * in the container of a deployed dispatcher, its bundle.
 */
import { open } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { BUNDLE_FILE } from '../../deployers/tags.ts';
import { type AdminAccess, readAdminAccess } from '../config/admin-access.ts';
import { BUNDLE_PLACES, bundleFiles } from '../config/bundle.ts';
import { errorCode, fileProblem, systemFiles } from '../config/files.ts';
import { isLoopback } from '../http/admin-access.ts';
import { formatProblem, type Problem } from '../model/problem.ts';
import { type DispatcherConfig, Secret } from '../model/registration.ts';
import { AdminClientError } from './admin-client-error.ts';
import { readBundleFile } from './bundle-file.ts';
import { DEFAULT_PROFILE, type Profile, profileNames, readProfile } from './profiles.ts';
import type { Terminal } from './terminal.ts';

export const DEFAULT_ADMIN_URL = 'http://127.0.0.1:9090';
const FILE = 'dispatcher.yaml';
const TOKEN_BYTES = 4096;

export interface AdminTarget {
  readonly base: URL;
  readonly token: Secret | undefined;
  /** `SHR_ADMIN_TOKEN`, a file: for messages. Undefined without a token. */
  readonly tokenFrom: string | undefined;
}

interface AdminFlags {
  readonly url?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly profile?: string | undefined;
}

export async function adminTarget(flags: AdminFlags, terminal: Terminal): Promise<AdminTarget> {
  const profile = wantedProfile(flags, terminal);
  if (profile !== undefined) return targetOf(await existingProfile(profile, terminal));
  const named = namedUrl(flags, terminal);
  const given = await givenToken(flags, terminal);
  const access = named !== undefined && given !== undefined ? undefined : await accessOf(terminal);
  if (named === undefined && given === undefined && access === undefined) {
    const usual = await readProfile(DEFAULT_PROFILE, terminal);
    if (usual !== undefined) return targetOf(usual);
  }
  const base = named ?? urlOf(access);
  const { token, from } = given ?? tokenFor(base, access) ?? {};
  return { base, token, tokenFrom: from };
}

/** Of the flag, or of a variable where nothing else names a dispatcher. */
function wantedProfile({ profile, tokenFile, url }: AdminFlags, { environment }: Terminal): string | undefined {
  if (profile !== undefined && (url !== undefined || tokenFile !== undefined)) {
    throw new AdminClientError(
      2,
      '--profile has an address and a token of its own',
      'Leave --url and --token-file out.',
    );
  }
  if (profile !== undefined || url !== undefined || tokenFile !== undefined) return profile;
  const others = [environment['SHR_ADMIN_URL'], environment['SHR_ADMIN_TOKEN']];
  return others.every((text) => text === undefined || text === '')
    ? environment['SHR_PROFILE'] || undefined
    : undefined;
}

async function existingProfile(name: string, terminal: Terminal): Promise<Profile> {
  const profile = await readProfile(name, terminal);
  if (profile !== undefined) return profile;
  const names = await profileNames(terminal);
  const cure = names.length === 0 ? 'Make one with `shr login`.' : `There are: ${names.join(', ')}.`;
  throw new AdminClientError(2, `there is no profile ${name}`, cure);
}

function targetOf({ name, token, url }: Profile): AdminTarget {
  const from = `profile ${name}`;
  return { base: url, token: sendable(token.reveal(), from), tokenFrom: from };
}

function namedUrl(flags: AdminFlags, terminal: Terminal): URL | undefined {
  const text = flags.url ?? terminal.environment['SHR_ADMIN_URL'];
  if (text === undefined) return undefined;
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
      'Remove it: the token comes from SHR_ADMIN_TOKEN, --token-file or dispatcher.yaml.',
    );
  }
  return url;
}

interface GivenToken {
  readonly token: Secret;
  readonly from: string;
}

async function givenToken(flags: AdminFlags, terminal: Terminal): Promise<GivenToken | undefined> {
  const from = flags.tokenFile ?? 'SHR_ADMIN_TOKEN';
  const text =
    flags.tokenFile === undefined
      ? terminal.environment['SHR_ADMIN_TOKEN']
      : await readTokenFile(flags.tokenFile, terminal);
  const token = text?.trim() ?? '';
  return token === '' ? undefined : { token: sendable(token, from), from };
}

/** fetch would quote a header value that it cannot send in its error message. */
export function sendable(token: string, from: string): Secret {
  if (/^[\x21-\x7e]+$/.test(token)) return new Secret(token);
  throw new AdminClientError(
    2,
    `${from} does not have a valid admin token`,
    'Write the token alone: one line of printable ASCII, without spaces.',
  );
}

export async function readTokenFile(path: string, terminal: Pick<Terminal, 'workingFolder'>): Promise<string> {
  const text = await firstBytes(resolve(terminal.workingFolder, path), TOKEN_BYTES + 1).catch((error: unknown) => {
    const { message, cure } = fileProblem(error);
    throw new AdminClientError(2, `--token-file ${path}: ${message}`, cure, error);
  });
  if (text.length > TOKEN_BYTES) {
    throw new AdminClientError(2, `${path} is too long for a token`, 'Name the file that holds the token alone.');
  }
  if (text.trim() === '') throw new AdminClientError(2, `${path} is empty`, 'Write the admin token into it.');
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

async function accessOf({ workingFolder, environment }: Terminal): Promise<AdminAccess | undefined> {
  const own = await readAdminAccess({ dispatcherFile: join(workingFolder, FILE), environment, files: systemFiles });
  return own ?? accessInBundle(join(workingFolder, basename(BUNDLE_FILE)), environment);
}

/** Whoever may read the bundle has the token: nothing is opened to others. Undefined without one. */
async function accessInBundle(file: string, environment: Terminal['environment']): Promise<AdminAccess | undefined> {
  try {
    const bundle = await readBundleFile(file, environment);
    if (bundle === undefined) return undefined;
    const { dispatcherFile } = BUNDLE_PLACES;
    // It brings every variable that it refers to: one of another origin learns none of this process.
    return await readAdminAccess({ dispatcherFile, environment: bundle.environment, files: bundleFiles(bundle) });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    const { message, cure } = fileProblem(error);
    throw new AdminClientError(2, `${file}: ${message}`, cure, error);
  }
}

function urlOf(access: AdminAccess | undefined): URL {
  if (access === undefined) return new URL(DEFAULT_ADMIN_URL);
  if (access.listen === undefined)
    throw unusable(
      access.problem,
      `Or ask without the file: add --url ${DEFAULT_ADMIN_URL} (where it listens, if elsewhere) --token-file FILE.`,
    );
  const url = localUrl(access.listen);
  if (url !== undefined) return url;
  const { host, port } = access.listen;
  const message =
    port === 0
      ? `${FILE} lets the system choose the port of the admin listener`
      : `the admin listener of ${FILE}, ${host}:${port}, is not at an address of this machine`;
  throw new AdminClientError(2, message, 'Name the admin listener with --url, and its token with --token-file.');
}

/** The author of the file chose the address: a token of this machine is not sent to another one. */
export function localUrl({ host, port }: DispatcherConfig['adminListen']): URL | undefined {
  if (port === 0) return undefined;
  if (host === '0.0.0.0') return new URL(`http://127.0.0.1:${port}`);
  if (host === '::') return new URL(`http://[::1]:${port}`);
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  if (!isLoopback(host) && !own.some(({ address }) => address === host)) return undefined;
  return new URL(`http://${host.includes(':') ? `[${host}]` : host}:${port}`);
}

/** The file's token goes to the file's own listener alone. */
function tokenFor(base: URL, access: AdminAccess | undefined): GivenToken | undefined {
  const own = access?.listen === undefined ? undefined : localUrl(access.listen);
  if (access === undefined || own?.origin !== base.origin) return undefined;
  if (access.token === undefined)
    throw unusable(
      access.problem,
      `Or ask without the file: add --url ${base.origin} --token-file FILE, or set SHR_ADMIN_TOKEN.`,
    );
  const from = `${FILE} (adminToken)`;
  return { token: sendable(access.token.reveal().trim(), from), from };
}

function unusable(problem: Problem | undefined, otherwise: string): AdminClientError {
  const message = problem === undefined ? `${FILE} cannot be used` : formatProblem({ ...problem, file: FILE });
  return new AdminClientError(2, message, otherwise);
}
