/**
 * Image references, parsed as Docker does: https://github.com/distribution/reference/blob/main/reference.go and
 * normalize.go. Pure.
 */

/** Where an image is. `ubuntu` is `docker.io`, `library/ubuntu`, `latest`. */
export interface ImageReference {
  /** Host and port, lower case; `docker.io` if none is named. */
  readonly registry: string;
  /** `library/ubuntu` for Docker Hub's official images. */
  readonly repository: string;
  /** A digest if there is one, else a tag; `latest` if neither is written. */
  readonly version: string;
}

/** Its name in references; its API is at `registry-1.docker.io`. */
export const DOCKER_HUB = 'docker.io';
/** Names of Docker Hub in references and in `docker login`. */
const HUB_NAMES = new Set([DOCKER_HUB, 'index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com']);

const HOST = /^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:\d{1,5})?$/;
const COMPONENT = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
/** `sha256:` and 64 hexadecimal digits, or another algorithm of the OCI specification. */
export const DIGEST = /^[a-z0-9]+([.+_-][a-z0-9]+)*:[0-9a-f]{32,128}$/;
const MAX_CHARACTERS = 1024;

/** Undefined for an invalid reference. */
export function parseReference(text: string): ImageReference | undefined {
  if (text.length > MAX_CHARACTERS) return undefined;
  const [named = '', digest, ...tooMuch] = text.split('@');
  if (tooMuch.length > 0 || (digest !== undefined && !DIGEST.test(digest))) return undefined;
  const colon = named.lastIndexOf(':');
  const tagged = colon > named.lastIndexOf('/');
  const tag = tagged ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !TAG.test(tag)) return undefined;
  const parts = (tagged ? named.slice(0, colon) : named).split('/');
  const [first = '', ...rest] = parts;
  const hosted = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  const registry = registryName(hosted ? first : DOCKER_HUB);
  const path = hosted ? rest : parts;
  if (registry === undefined || !path.every((part) => COMPONENT.test(part))) return undefined;
  const official = registry === DOCKER_HUB && path.length === 1;
  return {
    registry,
    repository: official ? `library/${path.join('/')}` : path.join('/'),
    version: digest ?? tag ?? 'latest',
  };
}

/** A registry as named in an option, including `https://host/v1/`; undefined for an invalid host. */
function registryName(server: string): string | undefined {
  const [host = ''] = server
    .trim()
    .toLowerCase()
    .replace(/^https?:\/\//, '')
    .split('/');
  // A port beyond 65535, or an invalid address.
  if (!HOST.test(host) || !URL.canParse(`https://${host}`)) return undefined;
  return HUB_NAMES.has(host) ? DOCKER_HUB : host;
}

/** The login that belongs to this registry, in the form that references name it. */
export function loginFor<L extends { readonly server: string }>(registry: string, logins: readonly L[]): L | undefined {
  return logins.find(({ server }) => registryName(server) === registry);
}
