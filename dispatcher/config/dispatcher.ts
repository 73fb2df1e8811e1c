/** `dispatcher.yaml`, the platform's own file: the service's settings, and what each tenant may reach. */
import { isAbsolute, join } from 'node:path';
import type { z } from 'zod';
import type { Path, Problem } from '../model/problem.ts';
import type {
  Backend,
  Credentials,
  DispatcherConfig,
  Presets,
  TenantEntry,
  WebhookEndpoint,
} from '../model/registration.ts';
import { type PlatformBases, readBases } from './bases.ts';
import { findGrantOverlaps } from './grant-overlaps.ts';
import { readLedger } from './ledger.ts';
import { isLoopback } from './network.ts';
import { readOidc } from './oidc.ts';
import { NO_PRESETS, readPresets } from './presets.ts';
import { readPackages } from './provider-packages.ts';
import type { Reading } from './reading.ts';
import { dispatcherFile, durationMs } from './schema.ts';
import { readSealing, type SealingKeys } from './sealed-values.ts';
import {
  type PackagedKinds,
  type PrivateKeys,
  type ProviderLookup,
  readBackend,
  readCredentials,
} from './shared-sections.ts';
import { readSources } from './sources.ts';
import { readTenants } from './tenants.ts';

export interface Platform {
  /** Undefined when the file has problems or does not exist. */
  readonly config: DispatcherConfig | undefined;
  /** False: what is not found here may yet be there, as the file has problems or does not exist. */
  readonly complete: boolean;
  /** Where runners reach the dispatcher; undefined: nowhere. */
  readonly publicUrl: string | undefined;
  /** The file says another one, which takes effect after a restart. */
  readonly isPublicUrlLater?: true;
  /** Undefined without a `tenants` section: every registration is the platform's own. */
  readonly tenants: readonly TenantEntry[] | undefined;
  readonly credentials: ReadonlyMap<string, SharedCredentials>;
  readonly backends: ReadonlyMap<string, SharedBackend>;
  readonly presets: Presets;
  readonly bases: PlatformBases;
  readonly webhooks: readonly WebhookEndpoint[];
  readonly unsafeProcessBackend: boolean;
  readonly packages: PackagedKinds;
  /** Undefined without a `sealing` section. */
  readonly sealing: SealingKeys | undefined;
  /** Kinds that are closed because their package cannot be used. All others are served. */
  readonly closedKinds: readonly Problem[];
  /** False: a tenants' repository is checked by itself, without the platform's file. */
  readonly known: boolean;
}

interface SharedCredentials {
  /** Without a host if there are no tenants: they are then bound to the host of the registration that uses them. */
  readonly credentials: Credentials;
  /** Where they stand: `dispatcher.yaml:12:3`. */
  readonly place: string;
}

/** `maxRunners` is undefined if the file leaves it to the registration. */
interface SharedBackend extends Omit<Backend, 'maxRunners'> {
  readonly maxRunners: number | undefined;
}

export const unknownPlatform: Platform = {
  config: undefined,
  complete: false,
  publicUrl: undefined,
  tenants: undefined,
  credentials: new Map(),
  backends: new Map(),
  presets: NO_PRESETS,
  bases: new Map(),
  webhooks: [],
  unsafeProcessBackend: true,
  packages: new Map(),
  sealing: undefined,
  closedKinds: [],
  known: false,
};

/** GHES redelivers for 7 days, github.com for 3: a delivery forgotten earlier could be counted twice. */
const DELIVERIES_MS = 7 * 86_400_000;
const HISTORY_MS = 30 * 86_400_000;
const HISTORY_ROWS = 200_000;
/** Half a gigabyte at most. */
const DELIVERIES_ROWS = 1_000_000;

export async function readDispatcher(
  reading: Reading,
  context: {
    readonly folder: string;
    readonly provider: ProviderLookup;
    readonly keys: PrivateKeys;
    /** By which the process was started: its listeners are as they were. Default: this is the start. */
    readonly started?: Pick<Platform, 'publicUrl'> | undefined;
  },
): Promise<Platform> {
  if (!reading.readable || !reading.topLevel(dispatcherFile))
    return { ...unknownPlatform, unsafeProcessBackend: false, known: true };
  const form = dispatcherFile.shape;
  const id = reading.section(['id'], form.id);
  const ledger = readLedger(reading, context.folder, id);
  const adminToken = readAdminToken(reading);
  const logLevel = reading.section(['logLevel'], form.logLevel) ?? 'info';
  const limits = reading.section(['limits'], form.limits);
  const trustedProxies = reading.section(['trustedProxies'], form.trustedProxies) ?? [];
  const retention = reading.section(['retention'], form.retention);
  const unsafeProcessBackend = reading.section(['unsafeProcessBackend'], form.unsafeProcessBackend) ?? false;
  const { packages, closedKinds } = await readPackages(reading, context);
  const shared = await readShared(reading, { ...context, packages, unsafeProcessBackend });
  const { publicListen, adminListen } = readListen(reading, context.folder);
  const { publicUrl } = context.started ?? { publicUrl: publicListen?.url };
  const later = publicUrl === publicListen?.url ? {} : ({ isPublicUrlLater: true } as const);
  const maxRunners = limits?.maxRunners ?? 1000;
  const tenants = readTenants(reading, { ...shared, ...later, callbackUrl: publicUrl }, maxRunners);
  findGrantOverlaps(reading, tenants ?? []);
  const webhooks = readWebhooks(reading, tenants);
  const sealing = readSealing(reading);
  const oidc = readOidc(reading, tenants);
  const sources = readSources(reading, context.folder, tenants);
  const complete =
    id !== undefined && adminToken !== undefined && publicListen !== undefined && adminListen !== undefined;
  const config: DispatcherConfig | undefined = complete
    ? {
        id,
        ...ledger,
        publicListen,
        adminListen,
        adminToken,
        ...(oidc === undefined ? {} : { oidc }),
        webhooks,
        ...(sources.length === 0 ? {} : { sources }),
        tenants,
        maxRunners,
        maxLaunches: limits?.maxLaunches ?? 20,
        deliveriesPerMinute: limits?.deliveriesPerMinute ?? 60_000,
        trustedProxies,
        shutdownMs: durationMs(limits?.shutdown, 20_000),
        retention: {
          deliveriesMs: durationMs(retention?.deliveries, DELIVERIES_MS),
          jobsMs: durationMs(retention?.jobs, HISTORY_MS),
          runnersMs: durationMs(retention?.runners, HISTORY_MS),
          maxDeliveries: retention?.maxDeliveries ?? DELIVERIES_ROWS,
          maxJobs: retention?.maxJobs ?? HISTORY_ROWS,
          maxRunners: retention?.maxRunners ?? HISTORY_ROWS,
        },
        logLevel,
        unsafeProcessBackend,
      }
    : undefined;
  return {
    config,
    complete: config !== undefined,
    publicUrl,
    ...later,
    tenants,
    ...shared,
    webhooks,
    unsafeProcessBackend,
    packages,
    sealing,
    closedKinds,
    known: true,
  };
}

export function readAdminToken(reading: Reading): DispatcherConfig['adminToken'] | undefined {
  const path = ['adminToken'];
  const token = reading.section(path, dispatcherFile.shape.adminToken);
  if (token === undefined) return undefined;
  return reading.chosenSecret(path, token);
}

/** Undefined where the file says it wrongly. */
export function readListen(
  reading: Reading,
  folder: string,
): { readonly [K in 'publicListen' | 'adminListen']: DispatcherConfig[K] | undefined } {
  const listen = reading.section(['listen'], dispatcherFile.shape.listen);
  if (reading.isWrong('listen')) return { publicListen: undefined, adminListen: undefined };
  return {
    publicListen: readPublic(reading, listen?.public, folder),
    adminListen: readAddress(reading, ['listen', 'admin'], listen?.admin ?? '127.0.0.1:9090'),
  };
}

type PublicFile = NonNullable<z.output<typeof dispatcherFile>['listen']>['public'];

/** Written as an address alone, or with what goes with it. */
function readPublic(reading: Reading, file: PublicFile, folder: string): DispatcherConfig['publicListen'] | undefined {
  if (typeof file !== 'object') return readAddress(reading, ['listen', 'public'], file ?? '0.0.0.0:8080');
  const address = readAddress(reading, ['listen', 'public', 'address'], file.address ?? '0.0.0.0:8080');
  const url = readPublicUrl(reading, file);
  const from = (path: string) => (isAbsolute(path) ? path : join(folder, path));
  const { tls } = file;
  if (address === undefined || (file.url !== undefined && url === undefined)) return undefined;
  return {
    ...address,
    ...(url === undefined ? {} : { url }),
    ...(tls === undefined ? {} : { tls: { certificate: from(tls.certificate), key: from(tls.key) } }),
  };
}

/** Without a slash at its end. */
function readPublicUrl(
  reading: Reading,
  { url, unsafeHttpUrl, tls }: Exclude<PublicFile, string | undefined>,
): string | undefined {
  if (url === undefined) return undefined;
  const path = ['listen', 'public', 'url'];
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined) {
    reading.problem(path, 'it is not a valid URL', 'Write it like `https://shr.example.com`.');
    return undefined;
  }
  if (parsed.protocol === 'http:' && tls !== undefined) {
    reading.problem(path, 'the listener speaks TLS, and this URL does not', 'Write `https://`.');
    return undefined;
  }
  if (parsed.protocol === 'http:' && !isLoopback(parsed.hostname) && unsafeHttpUrl !== true) {
    reading.problem(
      path,
      'over plain http, tokens and runner configurations can be read on the way',
      'Write `https://`, with `tls` here or a proxy that speaks TLS. On a network that you trust, add `unsafeHttpUrl: true`.',
    );
    return undefined;
  }
  return url.replace(/\/+$/, '');
}

function readAddress(
  reading: Reading,
  path: Path,
  text: string,
): { readonly host: string; readonly port: number } | undefined {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  const host = text.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  if (port > 65_535) {
    reading.problem(path, `${port} is not a valid port`, 'Write a port from 0 (any free one) to 65535.');
    return undefined;
  }
  // `80:90`: ports in the form that container engines use.
  if (/^\d+$/.test(host)) {
    reading.problem(
      path,
      `${host} is not an address to listen on`,
      `Write \`${path.includes('public') ? '0.0.0.0' : '127.0.0.1'}:${port}\`.`,
    );
    return undefined;
  }
  return { host, port };
}

function readWebhooks(reading: Reading, tenants: readonly TenantEntry[] | undefined): readonly WebhookEndpoint[] {
  const files = reading.section(['webhooks'], dispatcherFile.shape.webhooks) ?? [];
  const endpoints = files.map(
    (file, index): WebhookEndpoint => ({
      host: (file.host ?? 'github.com').toLowerCase(),
      appId: file.appId === undefined ? undefined : String(file.appId),
      secrets: file.secrets.map((text, at) => reading.chosenSecret(['webhooks', index, 'secrets', at], text)),
      owners: file.owners.map((owner) => owner.toLowerCase()),
      ...(file.tenants === undefined ? {} : { tenants: file.tenants }),
    }),
  );
  for (const [index, endpoint] of endpoints.entries()) holdTenants(reading, index, endpoint, tenants);
  const seen = new Map<string, number>();
  for (const [index, { host, appId }] of endpoints.entries()) {
    if (appId === undefined) continue;
    const earlier = seen.get(`${host} ${appId}`);
    seen.set(`${host} ${appId}`, index);
    if (earlier === undefined) continue;
    reading.problem(
      ['webhooks', index, 'appId'],
      `webhooks[${earlier}] has the same App on ${host}`,
      'Keep one; it may have two secrets while you rotate them.',
    );
  }
  return endpoints;
}

/** `"*"` used to cover every tenant. Now the tenants have to be named, so that nothing is lost silently. */
function holdTenants(
  reading: Reading,
  index: number,
  { owners, tenants: named }: WebhookEndpoint,
  tenants: readonly TenantEntry[] | undefined,
): void {
  for (const [at, name] of (named ?? []).entries()) {
    if (name === '*' || tenants?.some((tenant) => tenant.name === name) === true) continue;
    reading.problem(
      ['webhooks', index, 'tenants', at],
      `there is no tenant \`${name}\``,
      'Correct the name, or remove it.',
    );
  }
  const granted = (tenants ?? []).filter(({ grant }) => grant !== undefined).map(({ name }) => name);
  if (!owners.includes('*') || named !== undefined || granted.length === 0) return;
  const shown = granted.slice(0, 5).join(', ');
  reading.problem(
    ['webhooks', index, 'owners'],
    '`"*"` does not cover the owners that tenants were granted',
    `List the tenants that it may report for: \`tenants: [${shown}]\`, \`tenants: ["*"]\` for all, or \`tenants: []\`.`,
  );
}

async function readShared(
  reading: Reading,
  context: {
    readonly provider: ProviderLookup;
    readonly packages: PackagedKinds;
    readonly unsafeProcessBackend: boolean;
    readonly keys: PrivateKeys;
  },
): Promise<Pick<Platform, 'credentials' | 'backends' | 'presets' | 'bases'>> {
  const shared = new Map<string, SharedCredentials>();
  const credentialFiles = reading.section(['credentials'], dispatcherFile.shape.credentials) ?? {};
  const places = reading.placesOfKeys(['credentials']);
  for (const [name, file] of Object.entries(credentialFiles)) {
    const read = readCredentials(reading, ['credentials', name], file, context.keys);
    if (read === undefined) continue;
    const host = file.host ?? (reading.has(['tenants']) ? 'github.com' : undefined);
    const credentials = host === undefined ? read : { ...read, host: host.toLowerCase() };
    shared.set(name, { credentials, place: places.get(`${name}.host`) ?? places.get(name) ?? 'dispatcher.yaml' });
  }
  const backends = new Map<string, SharedBackend>();
  const backendFiles = reading.section(['backends'], dispatcherFile.shape.backends) ?? {};
  for (const [name, file] of Object.entries(backendFiles)) {
    const read = await readBackend(reading, ['backends', name], name, file, {
      ...context,
      defaultMaxRunners: 1,
      ofTenant: false,
    });
    if (read !== undefined) backends.set(name, { ...read, maxRunners: file.maxRunners });
  }
  return { credentials: shared, backends, presets: readPresets(reading), bases: readBases(reading) };
}
