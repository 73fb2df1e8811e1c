/**
 * `${env:NAME}` and `${file:PATH}`: how a configuration refers to a value stored elsewhere. Who may refer to what:
 * the platform's own files anything; a tenant's file its own variables and its own folder, nothing else.
 * `${sealed:…}` holds the value itself, which opens in one field of one registration. What is in a cloud's own store:
 * secret-references.ts.
 */
import { isAbsolute, join, normalize } from 'node:path';
import { errorCode, type FileContent, FileRefused, type Files, fileProblem } from './files.ts';
import type { Reach, Resolution } from './reach.ts';
import {
  type ResolvedSecret,
  resolveSecret,
  SECRET_SCHEMES,
  type SecretContext,
  type SecretReference,
} from './secret-references.ts';
import type { SecretValues } from './secret-values.ts';

export interface ReferenceSources {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly files: Pick<Files, 'read'>;
  /** Undefined: nothing in the clouds' own stores is read. */
  readonly secretValues?: SecretValues | undefined;
  /** Until when values in them are waited for. */
  readonly secretsUntilMs?: number | undefined;
  /** Of dispatcher.yaml: `${file:…}` is relative to it. */
  readonly folder: string;
}

const WHOLE = /^\$\{(env|file):([^}]*)\}$/;
const ANYWHERE = new RegExp(`\\$\\{(?:env|file|sealed|${SECRET_SCHEMES.join('|')}):`);
/** What an end that was not copied leaves. */
const OPEN = new RegExp(`^\\$\\{(env|file|sealed|${SECRET_SCHEMES.join('|')}):[^}]*$`);
const SEALED = /^\$\{sealed:([^}]*)\}$/;
const MAX_VALUE_BYTES = 65_536;

/** Each reference is looked up once for all files of its reach: thousands may name the same key. */
export class References {
  readonly #sources: ReferenceSources;
  readonly #known = new Map<string, Promise<Resolution>>();

  constructor(sources: ReferenceSources) {
    this.#sources = sources;
  }

  /** The file that the text refers to, where that is within reach: another is not even looked at. */
  fileOf(text: string, reach: Reach): string | undefined {
    const [, kind, path = ''] = WHOLE.exec(text) ?? [];
    if (kind !== 'file' || path === '' || path.includes('\0')) return undefined;
    const plain = normalize(path);
    if (!mayReadFile(plain, reach)) return undefined;
    return isAbsolute(plain) ? plain : join(this.#sources.folder, plain);
  }

  resolve(text: string, reach: Reach): Promise<Resolution> {
    // An alias has no space in it.
    const key = reach.kind === 'platform' ? ` ${text}` : `${reach.alias} ${text}`;
    let resolution = this.#known.get(key);
    if (resolution === undefined) {
      resolution = resolveReference(text, reach, this.#sources);
      this.#known.set(key, resolution);
    }
    return resolution;
  }

  /** Not kept here: the values are. */
  secret(reference: SecretReference, context: Omit<SecretContext, 'untilMs' | 'values'>): Promise<ResolvedSecret> {
    const { secretValues: values, secretsUntilMs: untilMs = 0 } = this.#sources;
    return resolveSecret(reference, { ...context, untilMs, values });
  }
}

/** What `${sealed:…}` holds; undefined if the text is no such value. Spaces and line ends of a folded text do not count. */
export function sealedIn(text: string): string | undefined {
  return SEALED.exec(text)?.[1]?.replaceAll(/\s/g, '');
}

async function resolveReference(text: string, reach: Reach, sources: ReferenceSources): Promise<Resolution> {
  const match = WHOLE.exec(text);
  if (!match) {
    if (!ANYWHERE.test(text)) return { outcome: 'none' };
    const [, scheme] = OPEN.exec(text) ?? [];
    if (scheme !== undefined) {
      const cure =
        scheme === 'sealed' ? 'Copy all that `shr seal` printed, to the last character.' : 'Put a `}` at its end.';
      return { outcome: 'wrong', message: `the reference \`\${${scheme}:…\` has no closing brace`, cure };
    }
    return {
      outcome: 'wrong',
      message: 'a reference must be the whole value',
      cure: 'Put the whole value into the variable or file.',
    };
  }
  const name = match[2] ?? '';
  return match[1] === 'env' ? fromEnvironment(name, reach, sources) : fromFile(name, reach, sources);
}

function tenantPrefix(alias: string): string {
  return `TENANT_${alias.toUpperCase().replaceAll('-', '_')}_`;
}

/** `TENANT_A_B_TOKEN` belongs to `a-b`, although it also has the prefix of `a`: the longest prefix wins. */
function mayReadVariable(name: string, reach: Reach): boolean {
  if (reach.kind === 'platform') return true;
  const own = tenantPrefix(reach.alias);
  if (!name.startsWith(own)) return false;
  return reach.aliases.every((alias) => {
    const prefix = tenantPrefix(alias);
    return prefix.length <= own.length || !name.startsWith(prefix);
  });
}

function fromEnvironment(name: string, reach: Reach, sources: ReferenceSources): Resolution {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(name)) {
    return { outcome: 'wrong', message: `\`${name}\` is not a valid name of a variable`, cure: 'Write ${env:NAME}.' };
  }
  if (!mayReadVariable(name, reach)) {
    const own = reach.kind === 'tenant' ? tenantPrefix(reach.alias) : '';
    return {
      outcome: 'wrong',
      message: `the variable ${name} is not this tenant's`,
      cure: `Use a variable whose name begins with ${own} (and with no other tenant's prefix).`,
    };
  }
  const value = sources.environment[name];
  if (value === undefined || value === '') {
    const state = value === undefined ? 'is not set' : 'is empty';
    return { outcome: 'absent', message: `the variable ${name} ${state}`, cure: `Set ${name} for the dispatcher.` };
  }
  return bounded(value, `the variable ${name}`);
}

function ownFolder(alias: string): string {
  return `secrets/${alias}/`;
}

/** `plain`: normalized. */
function mayReadFile(plain: string, reach: Reach): boolean {
  if (reach.kind === 'platform') return true;
  const own = ownFolder(reach.alias);
  return !isAbsolute(plain) && plain.startsWith(own) && plain !== own;
}

async function fromFile(path: string, reach: Reach, sources: ReferenceSources): Promise<Resolution> {
  const plain = normalize(path);
  if (path === '' || path.includes('\0')) {
    return { outcome: 'wrong', message: 'the reference does not name a file', cure: 'Write ${file:PATH}.' };
  }
  if (!mayReadFile(plain, reach)) {
    const own = reach.kind === 'tenant' ? ownFolder(reach.alias) : '';
    return {
      outcome: 'wrong',
      message: `the file ${path} is not this tenant's`,
      cure: `Use a file in ${own}, as \${file:${own}NAME}.`,
    };
  }
  const around = join(sources.folder, 'secrets');
  const within = reach.kind === 'tenant' ? { around, name: reach.alias } : undefined;
  let content: FileContent;
  try {
    const file = isAbsolute(plain) ? plain : join(sources.folder, plain);
    content = await sources.files.read(file, { mostBytes: MAX_VALUE_BYTES, within });
  } catch (error) {
    const { message, cure } = fileProblem(error);
    return { outcome: isAbsence(error) ? 'absent' : 'wrong', message: `${path}: ${message}`, cure };
  }
  // Editors and `echo` end a file with a newline that is not part of the token.
  const value = content.text.replace(/\r?\n$/, '');
  if (value.trim() === '') {
    return { outcome: 'absent', message: `the file ${path} is empty`, cure: 'Put the value into it.' };
  }
  const { readableBy } = content;
  if (readableBy === 'owner') return { outcome: 'value', value };
  return { outcome: 'value', value, exposed: { file: path, to: readableBy } };
}

/** For a machine without the secrets. One that exists but may not be used is an error everywhere. */
function isAbsence(error: unknown): boolean {
  return !(error instanceof FileRefused) && ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(errorCode(error) ?? '');
}

function bounded(value: string, what: string): Resolution {
  if (value.length <= MAX_VALUE_BYTES) return { outcome: 'value', value };
  return {
    outcome: 'wrong',
    message: `${what} has ${value.length} characters, and ${MAX_VALUE_BYTES} is the limit`,
    cure: 'Refer to the value itself, such as a token or a PEM key.',
  };
}
