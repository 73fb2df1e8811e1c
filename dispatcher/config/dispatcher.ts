/** `dispatcher.yaml`, the platform's own file: the service's settings, and what each tenant may reach. */
import { isAbsolute, join } from 'node:path';
import type { Backend, Credentials, DispatcherConfig, ShapeDefaults, WebhookEndpoint } from './model.ts';
import type { Reading } from './reading.ts';
import { dispatcherFile, durationMs, type TenantFile } from './schema.ts';
import { type ProviderLookup, readBackend, readCredentials, shapeOf } from './shared-sections.ts';

export interface Platform {
  /** Undefined when the file has problems, or there is no file. */
  readonly config: DispatcherConfig | undefined;
  /** By registration. Undefined without a `tenants` section: every registration is the platform's own. */
  readonly tenants: ReadonlyMap<string, TenantFile> | undefined;
  readonly credentials: ReadonlyMap<string, Credentials>;
  readonly backends: ReadonlyMap<string, SharedBackend>;
  readonly shapes: Readonly<Record<string, ShapeDefaults>>;
  readonly webhooks: readonly WebhookEndpoint[];
  readonly unsafeProcessBackend: boolean;
  /** False: a tenants' repository is checked where it lives, without the platform's file. */
  readonly known: boolean;
}

/** `maxRunners` is undefined where the file leaves it to the registration. */
interface SharedBackend extends Omit<Backend, 'maxRunners'> {
  readonly maxRunners: number | undefined;
}

export const unknownPlatform: Platform = {
  config: undefined,
  tenants: undefined,
  credentials: new Map(),
  backends: new Map(),
  shapes: {},
  webhooks: [],
  unsafeProcessBackend: true,
  known: false,
};

/** GHES redelivers for 7 days, github.com for 3: a delivery forgotten earlier could count twice. */
const DELIVERIES_MS = 7 * 86_400_000;
const HISTORY_MS = 30 * 86_400_000;
const HISTORY_ROWS = 200_000;
const SHORTEST_ADMIN_TOKEN = 16;

export async function readDispatcher(
  reading: Reading,
  context: { readonly folder: string; readonly provider: ProviderLookup },
): Promise<Platform> {
  if (!reading.readable || !reading.topLevel(dispatcherFile))
    return { ...unknownPlatform, unsafeProcessBackend: false, known: true };
  const form = dispatcherFile.shape;
  const id = reading.section(['id'], form.id);
  const ledger = reading.section(['ledger'], form.ledger) ?? 'data/ledger.db';
  const listen = reading.section(['listen'], form.listen);
  const adminToken = readAdminToken(reading);
  const logLevel = reading.section(['logLevel'], form.logLevel) ?? 'info';
  const limits = reading.section(['limits'], form.limits);
  const retention = reading.section(['retention'], form.retention);
  const unsafeProcessBackend = reading.section(['unsafeProcessBackend'], form.unsafeProcessBackend) ?? false;
  const webhooks = readWebhooks(reading);
  const shared = await readShared(reading, { ...context, unsafeProcessBackend });
  const tenants = readTenants(reading, shared);
  const publicListen = readAddress(reading, 'public', listen?.public ?? '0.0.0.0:8080');
  const adminListen = readAddress(reading, 'admin', listen?.admin ?? '127.0.0.1:9090');
  const complete =
    id !== undefined && adminToken !== undefined && publicListen !== undefined && adminListen !== undefined;
  const config: DispatcherConfig | undefined = complete
    ? {
        id,
        ledgerPath: isAbsolute(ledger) || ledger === ':memory:' ? ledger : join(context.folder, ledger),
        publicListen,
        adminListen,
        adminToken,
        webhooks,
        maxRunners: limits?.maxRunners ?? 1000,
        maxLaunches: limits?.maxLaunches ?? 20,
        shutdownMs: durationMs(limits?.shutdown, 20_000),
        retention: {
          deliveriesMs: durationMs(retention?.deliveries, DELIVERIES_MS),
          jobsMs: durationMs(retention?.jobs, HISTORY_MS),
          runnersMs: durationMs(retention?.runners, HISTORY_MS),
          maxJobs: retention?.maxJobs ?? HISTORY_ROWS,
          maxRunners: retention?.maxRunners ?? HISTORY_ROWS,
        },
        logLevel,
        unsafeProcessBackend,
      }
    : undefined;
  return { config, tenants, ...shared, webhooks, unsafeProcessBackend, known: true };
}

function readAdminToken(reading: Reading): DispatcherConfig['adminToken'] | undefined {
  const path = ['adminToken'];
  const token = reading.section(path, dispatcherFile.shape.adminToken);
  if (token === undefined) return undefined;
  if (!reading.unresolved(path) && token.length < SHORTEST_ADMIN_TOKEN) {
    reading.problem(
      path,
      `the token has fewer than ${SHORTEST_ADMIN_TOKEN} characters`,
      'Make one with `openssl rand -hex 32`.',
    );
  }
  return reading.secret(path, token);
}

function readAddress(
  reading: Reading,
  key: 'public' | 'admin',
  text: string,
): { readonly host: string; readonly port: number } | undefined {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  if (port <= 65_535) return { host: text.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port };
  reading.problem(['listen', key], `${port} is no port`, 'Ports go from 0 (any free one) to 65535.');
  return undefined;
}

function readWebhooks(reading: Reading): readonly WebhookEndpoint[] {
  const files = reading.section(['webhooks'], dispatcherFile.shape.webhooks) ?? [];
  const endpoints = files.map(
    (file, index): WebhookEndpoint => ({
      host: (file.host ?? 'github.com').toLowerCase(),
      appId: file.appId === undefined ? undefined : String(file.appId),
      secrets: file.secrets.map((text, at) => reading.secret(['webhooks', index, 'secrets', at], text)),
      owners: file.owners.map((owner) => owner.toLowerCase()),
    }),
  );
  const seen = new Map<string, number>();
  for (const [index, { host, appId }] of endpoints.entries()) {
    if (appId === undefined) continue;
    const earlier = seen.get(`${host} ${appId}`);
    seen.set(`${host} ${appId}`, index);
    if (earlier === undefined) continue;
    reading.problem(
      ['webhooks', index, 'appId'],
      `webhooks[${earlier}] is of the same App on ${host}`,
      'Keep one; two secrets may stand in one while rotating.',
    );
  }
  return endpoints;
}

async function readShared(
  reading: Reading,
  context: { readonly provider: ProviderLookup; readonly unsafeProcessBackend: boolean },
): Promise<Pick<Platform, 'credentials' | 'backends' | 'shapes'>> {
  const shared = new Map<string, Credentials>();
  const credentialFiles = reading.section(['credentials'], dispatcherFile.shape.credentials) ?? {};
  for (const [name, file] of Object.entries(credentialFiles)) {
    const read = readCredentials(reading, ['credentials', name], file);
    if (read !== undefined) shared.set(name, read);
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
  const shapeFiles = reading.section(['shapes'], dispatcherFile.shape.shapes) ?? {};
  const shapes = Object.fromEntries(Object.entries(shapeFiles).map(([name, file]) => [name, shapeOf(file)]));
  return { credentials: shared, backends, shapes };
}

function readTenants(
  reading: Reading,
  shared: Pick<Platform, 'credentials' | 'backends'>,
): ReadonlyMap<string, TenantFile> | undefined {
  if (!reading.has(['tenants'])) return undefined;
  const files = reading.section(['tenants'], dispatcherFile.shape.tenants);
  // A broken section must not turn tenants into the platform's own: nobody is known instead.
  if (files === undefined) return new Map();
  for (const [name, tenant] of Object.entries(files)) {
    for (const [index, used] of (tenant.credentials ?? []).entries()) {
      if (shared.credentials.has(used) || reading.has(['credentials', used])) continue;
      reading.problem(
        ['tenants', name, 'credentials', index],
        `there are no credentials \`${used}\` in this file`,
        'Add them under `credentials`, or correct the name.',
      );
    }
    for (const [index, used] of (tenant.backends ?? []).entries()) {
      if (shared.backends.has(used) || reading.has(['backends', used])) continue;
      reading.problem(
        ['tenants', name, 'backends', index],
        `there is no backend \`${used}\` in this file`,
        'Add it under `backends`, or correct the name.',
      );
    }
  }
  return new Map(Object.entries(files));
}
