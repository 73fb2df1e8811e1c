/**
 * The configuration of a dispatcher that serves one registration alone, perhaps in its tenant's account: nothing of the
 * platform comes along that the registration does not use. Pure.
 */
import { createHash, createHmac } from 'node:crypto';
import { stringify } from 'yaml';
import { readYaml } from '../../config/document.ts';
import { DISPATCHER_BOUNDS, REGISTRATION_BOUNDS } from '../../config/load.ts';
import { sealedIn } from '../../config/reference.ts';
import { tenantLookup } from '../../config/tenants.ts';
import { defined } from '../../model/defined.ts';
import type { Path } from '../../model/problem.ts';

const MAX_ID = 20;

/** Two dispatchers of one id would take each other's runners down. At most 20 characters, and always the same. */
export function ownId(platformId: string, alias: string): string {
  const id = `${platformId}-${alias}`;
  if (id.length <= MAX_ID) return id;
  const digest = createHash('sha256').update(id).digest('hex').slice(0, 6);
  return `${alias.slice(0, MAX_ID - 7).replace(/-+$/, '')}-${digest}`;
}

/** The tenant's account must not learn the platform's token, which this one does not tell. */
export function ownAdminToken(platformToken: string, id: string): string {
  return createHmac('sha256', platformToken).update(`shr deployment ${id}`).digest('hex');
}

export interface OwnConfiguration {
  readonly name: string;
  readonly id: string;
  /** As a reference. */
  readonly adminToken: string;
  /** The text of its file. */
  readonly registration: string;
  /** Where its public listener is reached; the platform's address leads to another dispatcher. */
  readonly url: string | undefined;
}

type Section = Readonly<Record<string, unknown>>;
type Used = Readonly<Record<'credentials' | 'backends', ReadonlySet<string>>>;
type Granted = Partial<Record<'credentials' | 'backends', readonly string[]>>;
type Sections = Partial<
  Record<'credentials' | 'backends' | 'tenants' | 'listen', Section> & { readonly ledger: unknown }
>;

/** `dispatcherYaml` has been found to be valid. Its values alone: comments may speak of others. */
export function ownDispatcherYaml(
  dispatcherYaml: string,
  { name, id, adminToken, registration, url }: OwnConfiguration,
): string {
  const platform = sectionOf(readYaml('dispatcher.yaml', dispatcherYaml, DISPATCHER_BOUNDS.bytes).value);
  const own = sectionOf(readYaml(`${name}.yaml`, registration, REGISTRATION_BOUNDS.bytes).value);
  const used: Used = {
    credentials: namesIn([own['credentials']]),
    backends: namesIn(Array.isArray(own['backends']) ? own['backends'] : []),
  };
  // The shared endpoint's secret speaks for others too, the sealing keys open what others sealed, and people log in to
  // the platform's own.
  // What it extends is in its own file already.
  const { webhooks: _webhooks, sealing: _sealing, oidc: _oidc, bases: _bases, ...kept } = platform;
  const { credentials, backends, tenants, listen, ledger, ...rest } = kept;
  const sections = defined<Sections>({
    credentials: chosen(credentials, used.credentials),
    backends: chosen(backends, used.backends),
    tenants: isSection(tenants) ? ownTenants(tenants, name, used) : undefined,
    listen: ownListen(listen, url),
    // The platform's server is not the tenant's, and a second dispatcher would take the ledger over.
    ledger: isSection(ledger) ? undefined : ledger,
  });
  return stringify({ ...rest, id, adminToken, ...sections }, { aliasDuplicateObjects: false });
}

/**
 * The registration's file with what was sealed in files of its own, since the keys stay with the platform. `open` gives
 * what a sealed value at the path holds. Undefined: nothing is sealed in it.
 */
export function withoutSeals(
  registration: string,
  folder: string,
  open: (sealed: string, path: Path) => string,
): { readonly text: string; readonly secrets: ReadonlyMap<string, string> } | undefined {
  const secrets = new Map<string, string>();
  const walk = (value: unknown, path: Path): unknown => {
    if (typeof value === 'string') {
      const sealed = sealedIn(value);
      if (sealed === undefined) return value;
      const file = `${folder}/sealed-${secrets.size + 1}`;
      secrets.set(file, open(sealed, path));
      return `\${file:${file}}`;
    }
    if (Array.isArray(value)) return value.map((item, index) => walk(item, [...path, index]));
    if (!isSection(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, [...path, key])]));
  };
  const value = walk(readYaml('registration.yaml', registration, REGISTRATION_BOUNDS.bytes).value, []);
  return secrets.size === 0 ? undefined : { text: stringify(value, { aliasDuplicateObjects: false }), secrets };
}

/** `listen.public` may be an address alone. */
function ownListen(listen: unknown, url: string | undefined): Section | undefined {
  if (!isSection(listen)) return url === undefined ? undefined : { public: { url } };
  const { public: written } = listen;
  if (url === undefined && !isSection(written)) return listen;
  const { url: _url, tls: _tls, ...at } = typeof written === 'string' ? { address: written } : sectionOf(written);
  return { ...listen, public: { ...at, ...defined<{ url?: string }>({ url }) } };
}

/** Its own alone, with what that was granted of what is still there. */
function ownTenants(tenants: Section, registration: string, used: Used): Section {
  const files = new Map(Object.entries(tenants).map(([name, file]) => [name, sectionOf(file)]));
  const entries = [...files].map(([name, file]) => {
    return { name, registrations: texts(file['registrations']) ?? [name], grant: undefined };
  });
  return Object.fromEntries(
    tenantLookup(entries)(registration).map(({ name }) => {
      const file = files.get(name) ?? {};
      const { credentials, backends } = file;
      const granted = defined<Granted>({
        credentials: texts(credentials)?.filter((one) => used.credentials.has(one)),
        backends: texts(backends)?.filter((one) => used.backends.has(one)),
      });
      return [name, { ...file, ...granted }];
    }),
  );
}

/** Undefined: none of it. */
function chosen(section: unknown, names: ReadonlySet<string>): Section | undefined {
  const entries = Object.entries(sectionOf(section)).filter(([name]) => names.has(name));
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** Values of `use`. */
function namesIn(items: readonly unknown[]): ReadonlySet<string> {
  return new Set(items.map((item) => sectionOf(item)['use']).filter((name) => typeof name === 'string'));
}

function texts(list: unknown): readonly string[] | undefined {
  return Array.isArray(list) ? list.map(String) : undefined;
}

function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sectionOf(value: unknown): Section {
  return isSection(value) ? value : {};
}
