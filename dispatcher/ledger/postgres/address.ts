/** Where a PostgreSQL server is, and who we are there: what a connection URL says, read strictly. */

export interface PostgresAddress {
  /** A name, an address, or the folder of a socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  /** False: in the clear. The certificate of the server is always checked. */
  readonly encrypted: boolean;
}

/** Of the URL. Its parts are secrets, and the message names none. */
export class AddressError extends Error {}

const VERIFIED = ['require', 'verify-ca', 'verify-full'];

/**
 * `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=MODE`. Encrypted, with the certificate checked for the
 * host's name, unless `sslmode` is `disable` or the host is this machine.
 */
export function addressOf(text: string): PostgresAddress {
  const url = URL.parse(text);
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol)) {
    throw new AddressError('it is not a URL of the form postgresql://USER:PASSWORD@HOST:PORT/DATABASE');
  }
  const known = ['sslmode', 'host'];
  const other = [...url.searchParams.keys()].find((name) => !known.includes(name));
  if (other !== undefined)
    throw new AddressError(`the parameter ${JSON.stringify(other.slice(0, 40))} is not supported`);
  const host = url.searchParams.get('host') ?? decoded(url.hostname).replace(/^\[(.*)\]$/, '$1');
  if (host === '') throw new AddressError('it names no host');
  const user = decoded(url.username);
  if (user === '') throw new AddressError('it names no user');
  const database = decoded(url.pathname.slice(1));
  if (database === '' || database.includes('/')) throw new AddressError('it names no database');
  const mode = url.searchParams.get('sslmode');
  if (mode !== null && mode !== 'disable' && !VERIFIED.includes(mode)) {
    throw new AddressError(`sslmode is one of disable, ${VERIFIED.join(', ')}`);
  }
  return {
    host,
    port: url.port === '' ? 5432 : Number(url.port),
    user,
    password: url.password === '' ? undefined : decoded(url.password),
    database,
    encrypted: mode === null ? !isLocal(host) : mode !== 'disable',
  };
}

/** For messages: everything but the password. */
export function shownAddress({ host, port, user, database }: PostgresAddress): string {
  return `${user}@${host.includes(':') ? `[${host}]` : host}:${port}/${database}`;
}

export function isSocket(host: string): boolean {
  return host.startsWith('/');
}

function isLocal(host: string): boolean {
  return isSocket(host) || host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new AddressError('a part of it has a % that encodes nothing');
  }
}
