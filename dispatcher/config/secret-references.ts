/**
 * `${azure-key-vault:…}`, `${gcp-secret:…}` and `${alibaba-secret:…}`: whose credentials read a secret in a cloud's own store.
 * A tenant's file reaches it with a key of its own, or what its grant names by the identity of the dispatcher, nothing else.
 */
import { loadProvider } from '../../providers/index.ts';
import type { SecretAddress, SecretStore, StoreKey } from '../../providers/secret-store.ts';
import { cureOf } from '../admission/grants.ts';
import { matchesAny } from '../labels/glob.ts';
import type { Reach, Resolution } from './reach.ts';
import type { SecretValues } from './secret-values.ts';

/** Kinds of backends whose credentials open it; the first one's adapter reads it. */
const KINDS = {
  'azure-key-vault': ['azure-aci'],
  'gcp-secret': ['gcp-cloud-run', 'gcp-batch'],
  'alibaba-secret': ['ali-eci'],
} as const satisfies Record<string, readonly [string, ...string[]]>;
export type SecretScheme = keyof typeof KINDS;

export const SECRET_SCHEMES = Object.keys(KINDS).filter(isScheme);

const SECRET = new RegExp(`^\\$\\{(${SECRET_SCHEMES.join('|')}):([^}]*)\\}$`);

export interface SecretReference {
  readonly scheme: SecretScheme;
  readonly text: string;
}

/** Undefined: the text is no such reference. */
export function secretIn(text: string): SecretReference | undefined {
  const [, scheme = '', name = ''] = SECRET.exec(text) ?? [];
  return isScheme(scheme) ? { scheme, text: name } : undefined;
}

function isScheme(text: string): text is SecretScheme {
  return Object.hasOwn(KINDS, text);
}

export interface SecretContext {
  readonly reach: Reach;
  /** `backends` of the same file, with the values of what they refer to, or placeholders. */
  readonly backends: unknown;
  /** Undefined: nothing is read here. */
  readonly values: SecretValues | undefined;
  /** Until when a value is waited for. */
  readonly untilMs: number;
  readonly isPlaceholder: (value: unknown) => boolean;
}

export interface ResolvedSecret {
  readonly resolution: Resolution;
  /** To be watched like a file. */
  readonly path?: string;
}

export async function resolveSecret(reference: SecretReference, context: SecretContext): Promise<ResolvedSecret> {
  const store = await storeOf(reference.scheme);
  const address = store.parse(reference.text);
  if (address === undefined) {
    const message = 'the reference does not name a secret of this store';
    return { resolution: { outcome: 'wrong', message, cure: `Write ${store.form}.` } };
  }
  const { reach, values } = context;
  const own = ownKeys(reference.scheme, store, address, context);
  const isGranted = reach.kind === 'tenant' && matchesAny(reach.grant?.secretStores ?? [], address.secret);
  if (isGranted) return await read({ store, address, key: undefined }, context);
  if (values === undefined) {
    return {
      resolution: own.isThere || reach.kind === 'platform' ? unread(address) : refused(reference, address, reach),
    };
  }
  if (own.key !== undefined) return await read({ store, address, key: own.key }, context);
  // A key that is there and has no value yet must not become the dispatcher's own identity.
  if (own.isPending) {
    const message = `the credentials of the backend that read ${address.secret} have no value`;
    const cure = 'Provide them; they cannot be in such a store themselves.';
    return { resolution: { outcome: 'absent', message, cure } };
  }
  if (reach.kind === 'platform') return await read({ store, address, key: undefined }, context);
  return { resolution: refused(reference, address, reach) };
}

async function storeOf(scheme: SecretScheme): Promise<SecretStore> {
  const { secretStore } = await loadProvider(KINDS[scheme][0]);
  if (secretStore === undefined) throw new TypeError(`the adapter of ${scheme} has no store of secrets`);
  return secretStore;
}

interface OwnKeys {
  readonly key: StoreKey | undefined;
  /** A backend of the kind is in the file. */
  readonly isThere: boolean;
  /** One would have a key if what it refers to had a value. */
  readonly isPending: boolean;
}

/** In dispatcher.yaml `backends` is no list: nothing there has a backend of its own. */
function ownKeys(
  scheme: SecretScheme,
  store: SecretStore,
  address: SecretAddress,
  { backends, isPlaceholder }: SecretContext,
): OwnKeys {
  const kinds: readonly string[] = KINDS[scheme];
  let isPending = false;
  let isThere = false;
  for (const backend of Array.isArray(backends) ? backends : []) {
    if (!isOwn(backend) || !kinds.includes(String(backend['kind']))) continue;
    isThere = true;
    const key = store.keyOf(backend['options'], address);
    if (key !== undefined && !isPlaceholder(key)) return { key, isThere, isPending: false };
    isPending ||= isPlaceholder(key ?? credentialsIn(backend['options']));
  }
  return { key: undefined, isThere, isPending };
}

function isOwn(backend: unknown): backend is Readonly<Record<string, unknown>> {
  return typeof backend === 'object' && backend !== null && !('use' in backend);
}

function credentialsIn(options: unknown): unknown {
  if (typeof options !== 'object' || options === null) return null;
  const given = Object.entries(options).filter(([key]) => /^(credentials|accessKey|securityToken)/.test(key));
  return Object.fromEntries(given);
}

async function read(
  sought: { readonly store: SecretStore; readonly address: SecretAddress; readonly key: StoreKey | undefined },
  { reach, untilMs, values }: SecretContext,
): Promise<ResolvedSecret> {
  if (values === undefined) return { resolution: unread(sought.address) };
  const whole = { ...sought, owner: reach.kind === 'tenant' ? reach.alias : '' };
  return { resolution: await values.resolve(whole, untilMs), path: values.pathOf(whole) };
}

function unread({ secret }: SecretAddress): Resolution {
  return {
    outcome: 'unread',
    message: `${secret} is not read here`,
    cure: '`shr doctor` reads it, where the dispatcher runs.',
  };
}

function refused({ scheme }: SecretReference, { secret }: SecretAddress, reach: Reach): Resolution {
  const what = `the secret ${secret}`;
  const grant = reach.kind === 'tenant' ? reach.grant : undefined;
  const granting = grant === undefined ? '' : ` ${cureOf(grant, { field: 'secretStores', what, value: secret })}`;
  return {
    outcome: 'wrong',
    message: `this registration has no backend of kind ${KINDS[scheme].join(' or ')} with a key of its own that could read ${secret}, and its tenant may not read it by the identity of the dispatcher`,
    cure: `Give such a backend a key.${granting}`,
  };
}
