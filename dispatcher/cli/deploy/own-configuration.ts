/**
 * The configuration of a dispatcher that serves one registration alone, perhaps in its tenant's account: nothing of the
 * platform comes along that the registration does not use. Pure.
 */
import { createHash, createHmac } from 'node:crypto';
import { type Document, isMap, isSeq, parseDocument } from 'yaml';

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
  readonly id: string;
  /** As a reference. */
  readonly adminToken: string;
  readonly registration: string;
  /** Where its public listener is reached; the platform's address leads to another dispatcher. */
  readonly url: string | undefined;
}

/** `dispatcherYaml` has been found to be valid. */
export function ownDispatcherYaml(
  dispatcherYaml: string,
  { id, adminToken, registration, url }: OwnConfiguration,
): string {
  const document = parseDocument(dispatcherYaml);
  document.set('id', id);
  document.set('adminToken', adminToken);
  // The shared endpoint's secret speaks for others too.
  document.delete('webhooks');
  if (isMap(document.getIn(['listen', 'public']))) {
    document.deleteIn(['listen', 'public', 'url']);
    document.deleteIn(['listen', 'public', 'tls']);
  }
  if (url !== undefined) setUrl(document, url);
  const used = usedNames(registration);
  for (const section of ['credentials', 'backends']) {
    const named = document.get(section);
    if (!isMap(named)) continue;
    for (const { key } of [...named.items]) if (!used.has(String(key))) named.delete(key);
    if (named.items.length === 0) document.delete(section);
    forgetGrants(document, section, used);
  }
  return document.toString();
}

/** `listen.public` may be an address alone. */
function setUrl(document: Document, url: string): void {
  const written = document.getIn(['listen', 'public']);
  if (!isMap(written)) {
    document.setIn(['listen', 'public'], document.createNode(typeof written === 'string' ? { address: written } : {}));
  }
  document.setIn(['listen', 'public', 'url'], url);
}

/** What a tenant was granted of what is not there any more. */
function forgetGrants(document: Document, section: string, used: ReadonlySet<string>): void {
  const tenants = document.get('tenants');
  if (!isMap(tenants)) return;
  for (const { value: tenant } of tenants.items) {
    const granted = isMap(tenant) ? tenant.get(section) : undefined;
    if (isSeq(granted)) granted.items = granted.items.filter((name) => used.has(String(name)));
  }
}

/** Values of `use` in a registration. */
function usedNames(registration: string): ReadonlySet<string> {
  const document = parseDocument(registration);
  const backends = document.get('backends');
  const uses = isSeq(backends) ? backends.items.map((item) => (isMap(item) ? item.get('use') : undefined)) : [];
  return new Set([document.getIn(['credentials', 'use']), ...uses].filter((name) => typeof name === 'string'));
}
