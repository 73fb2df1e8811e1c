/** Sections common to both files: credentials, backends, shapes. */
import { createPrivateKey } from 'node:crypto';
import type { z } from 'zod';
import { providerKinds } from '../../providers/index.ts';
import type { ProviderPackage } from '../../providers/package.ts';
import { ProviderError, type ProviderModule } from '../../providers/provider.ts';
import { nearest } from '../labels/nearest.ts';
import { isCarriedOut, type SpotMode, type SpotModes } from '../labels/spot-mode.ts';
import { quote } from '../labels/values.ts';
import { defined } from '../model/defined.ts';
import type { Path } from '../model/problem.ts';
import type { AppKey, Backend, Credentials, ShapeDefaults } from '../model/registration.ts';
import type { Reading } from './reading.ts';
import { isRecord } from './salvage.ts';
import { type BackendFile, durationMs, type ShapeFile } from './schema.ts';

/** `providers/index.ts` exports one: rejects with ProviderError `invalid` for an unknown kind. */
export type ProviderLookup = (kind: string, from?: ProviderPackage) => Promise<ProviderModule>;

interface AppFile {
  readonly id: string | number;
  readonly privateKey: string;
}

export interface CredentialsFile {
  readonly app?: AppFile | undefined;
  readonly furtherApps?: readonly AppFile[] | undefined;
  readonly token?: string | undefined;
}

export function readCredentials(
  reading: Reading,
  path: Path,
  file: CredentialsFile,
  keys: PrivateKeys,
): Credentials | undefined {
  const { app, token } = file;
  // Both are checked, so that a plain-text secret is reported even if one of them is superfluous.
  const tokenSecret = token === undefined ? undefined : reading.secret([...path, 'token'], token);
  const first = app === undefined ? undefined : readApp(reading, [...path, 'app'], app, keys);
  const others = readFurtherApps(reading, path, file, keys);
  if (first !== undefined && tokenSecret === undefined) {
    return { kind: 'app', ...first, ...(others.length === 0 ? {} : { others }) };
  }
  if (tokenSecret !== undefined && app === undefined) return { kind: 'token', token: tokenSecret };
  // Present but invalid values were reported already.
  if (
    app === undefined &&
    token === undefined &&
    (reading.mentions([...path, 'app']) || reading.mentions([...path, 'token']))
  ) {
    return undefined;
  }
  const message = app === undefined ? 'it has no credentials' : 'it names an App and a token';
  reading.problem(path, message, 'Name one: `app` (with `id` and `privateKey`) or `token`.');
  return undefined;
}

function readApp(reading: Reading, path: Path, { id, privateKey }: AppFile, keys: PrivateKeys): AppKey | undefined {
  const keyPath = [...path, 'privateKey'];
  const key = reading.secret(keyPath, readPrivateKey(reading, keyPath, privateKey, keys));
  // `APP-ID`, as `shr import` writes it where it found none.
  if (!/^[\w.]+$/.test(String(id)) && !reading.unresolved([...path, 'id'])) {
    const cure = "Write what the App's page shows.";
    reading.note([...path, 'id'], "it is neither an App's id nor a client id: GitHub would refuse it", cure);
  }
  return key === undefined ? undefined : { appId: String(id), privateKey: key };
}

function readFurtherApps(
  reading: Reading,
  path: Path,
  { app, furtherApps = [] }: CredentialsFile,
  keys: PrivateKeys,
): readonly AppKey[] {
  if (furtherApps.length > 0 && app === undefined) {
    reading.problem(
      [...path, 'furtherApps'],
      '`furtherApps` requires `app`, whose load they share',
      'Move the first one to `app`; it is the one that subscribes to events.',
    );
  }
  const ids = new Set(app === undefined ? [] : [String(app.id)]);
  return furtherApps.flatMap((file, index) => {
    const place = [...path, 'furtherApps', index];
    if (ids.has(String(file.id))) {
      reading.problem([...place, 'id'], `App ${file.id} is named twice`, 'Name each App once: its limits are its own.');
    }
    ids.add(String(file.id));
    return readApp(reading, place, file, keys) ?? [];
  });
}

/** PEM in a variable often contains a literal `\n`; both forms are accepted. */
function readPrivateKey(reading: Reading, path: Path, text: string, keys: PrivateKeys): string {
  const pem = text.includes('\n') ? text : text.replaceAll('\\n', '\n');
  if (!reading.isReference(path) || reading.unresolved(path)) return pem;
  const cure = 'Use the whole .pem file that GitHub created for the App.';
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) {
    reading.problem(path, 'the reference does not resolve to a private key in PEM format', cure);
  } else if (!keys.isRsa(pem)) {
    reading.problem(path, 'the private key is damaged, or it is not an RSA key', cure);
  }
  return pem;
}

/** Looks at each key once: thousands of registrations may name the same App. */
export class PrivateKeys {
  readonly #rsa = new Map<string, boolean>();

  isRsa(pem: string): boolean {
    let is = this.#rsa.get(pem);
    if (is === undefined) {
      is = isRsaKey(pem);
      this.#rsa.set(pem, is);
    }
    return is;
  }
}

function isRsaKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'rsa';
  } catch {
    // The parser's error may quote the key.
    return false;
  }
}

export async function readBackend(
  reading: Reading,
  path: Path,
  name: string,
  file: BackendFile,
  context: {
    readonly provider: ProviderLookup;
    readonly packages: PackagedKinds;
    readonly unsafeProcessBackend: boolean;
    readonly defaultMaxRunners: number;
    /** Written by a tenant, which must not act as the dispatcher. */
    readonly ofTenant: boolean;
  },
): Promise<Backend | undefined> {
  const optionsPath = [...path, 'options'];
  findPlainSecrets(reading, optionsPath, file.options);
  if (file.kind === 'process' && !context.unsafeProcessBackend) {
    reading.problem(
      [...path, 'kind'],
      "a process backend runs jobs as the dispatcher's own user, who can read its secrets",
      'Use another kind, or, for a demo or test, set `unsafeProcessBackend: true` in dispatcher.yaml.',
    );
  }
  const packaged = context.packages.get(file.kind);
  const maxRunners = file.maxRunners ?? context.defaultMaxRunners;
  if (packaged?.closed !== undefined) {
    // Without its schema nobody knows whether the options are right, or what a tenant may not set.
    const { from, closed } = packaged;
    return { name, kind: file.kind, from, closed, region: file.region, options: undefined, maxRunners };
  }
  const module = packaged?.module ?? (await loadModule(reading, [...path, 'kind'], file.kind, context));
  if (module === undefined) return undefined;
  const before = reading.problemCount;
  const parsed = reading.section(optionsPath, optionsOf(module));
  if (parsed !== undefined && context.ofTenant) {
    for (const { option, why } of module.platformOptions?.(parsed) ?? []) {
      reading.problem(
        [...optionsPath, ...option.split('.')],
        `tenants may not set this option: ${why}`,
        'Remove it here, or have the platform define the backend in dispatcher.yaml and `use` it.',
      );
    }
  }
  if (reading.problemCount > before) return undefined;
  return {
    name,
    kind: file.kind,
    ...(packaged === undefined ? {} : { from: packaged.from }),
    region: file.region,
    options: parsed,
    maxRunners,
  };
}

/** By module: making a schema costs more than using it. */
const optionSchemas = new WeakMap<ProviderModule, z.ZodType>();

function optionsOf(module: ProviderModule): z.ZodType {
  let schema = optionSchemas.get(module);
  if (schema === undefined) {
    schema = module.options.prefault({});
    optionSchemas.set(module, schema);
  }
  return schema;
}

async function loadModule(
  reading: Reading,
  path: Path,
  kind: string,
  { provider, packages }: { readonly provider: ProviderLookup; readonly packages: PackagedKinds },
): Promise<ProviderModule | undefined> {
  try {
    return await provider(kind);
  } catch (error) {
    if (!(error instanceof ProviderError) || error.kind !== 'invalid') throw error;
    const kinds = [...providerKinds, ...packages.keys()];
    const guess = nearest(kind, kinds);
    reading.problem(
      path,
      `unknown kind \`${kind}\``,
      guess === undefined ? `Write one of ${kinds.join(', ')}.` : `Did you mean \`${guess}\`?`,
    );
    return undefined;
  }
}

/** The kinds that packages bring, by `providers` of dispatcher.yaml. */
export type PackagedKinds = ReadonlyMap<
  string,
  | { readonly from: ProviderPackage; readonly module: ProviderModule; readonly closed?: undefined }
  | { readonly from: ProviderPackage; readonly module?: undefined; readonly closed: string }
>;

/** We do not know which of a provider's options are secrets; their names are a good enough guide. */
export const SECRET_NAME = /(?:secret|password|passwd|token|private_?key|access_?key|api_?key|account_?key)$/i;

function findPlainSecrets(reading: Reading, path: Path, value: unknown): void {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) findPlainSecrets(reading, [...path, index], item);
    return;
  }
  if (!isRecord(value)) return;
  for (const [key, item] of Object.entries(value)) {
    const at = [...path, key];
    if (typeof item === 'string' && item !== '' && SECRET_NAME.test(key) && !reading.isReference(at))
      reading.plainSecret(at, item);
    else findPlainSecrets(reading, at, item);
  }
}

/** A mode that nothing carries out yet may stand in a list: jobs that ask for it are refused all the same. */
export function spotModesOf(reading: Reading, path: Path, file: SpotModes | SpotMode | undefined): SpotModes {
  if (file === undefined || typeof file === 'boolean') return file ?? false;
  const modes = typeof file === 'string' ? [file] : file;
  for (const [index, mode] of modes.entries()) {
    if (isCarriedOut(mode)) continue;
    reading.note(
      typeof file === 'string' ? path : [...path, index],
      `${quote(mode)} has no effect yet: this version does not fall back from spot to on-demand capacity`,
      'Jobs that ask for it are refused. Keep it for later, or remove it.',
    );
  }
  return modes;
}

export function shapeOf(file: ShapeFile = {}): ShapeDefaults {
  return defined<ShapeDefaults>({
    cpu: file.cpu,
    memoryGiB: file.memoryGiB,
    architecture: file.architecture,
    image: file.image,
    diskGiB: file.diskGiB,
    bucket: file.bucket,
    subnet: file.subnet,
    securityGroup: file.securityGroup,
    spot: typeof file.spot === 'string' ? file.spot === 'only' : file.spot,
    dockerInDocker: file.dockerInDocker,
    timeLimitMs: file.timeLimit === undefined ? undefined : durationMs(file.timeLimit, 0),
  });
}
