/** The cookies of logins and sessions. */

export interface Cookie {
  readonly name: string;
  readonly isSecure: boolean;
}

/**
 * With `__Host-` a browser takes the cookie from this host over TLS alone, for all its paths and no other host: none of
 * a neighbouring domain, and none from a network that is listened on, can take its place. Over plain http, which only
 * this machine's own address may use, there is no such thing.
 */
export function cookieOf(origin: string, name: string): Cookie {
  const isSecure = origin.startsWith('https:');
  return { name: isSecure ? `__Host-${name}` : name, isSecure };
}

/** Undefined also where it is there twice: one of them is not ours, and nothing says which. */
export function cookieValue({ name }: Cookie, header: string | undefined): string | undefined {
  const values = (header ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  return values.length === 1 ? values[0] : undefined;
}

/**
 * Lax, not Strict: the browser comes back from the issuer, a page of another site, and must bring it along. It is
 * readable for no script.
 */
export function setting(cookie: Cookie, value: string, maxAgeS: number): string {
  const secure = cookie.isSecure ? '; Secure' : '';
  return `${cookie.name}=${value}; Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=Lax${secure}`;
}

export function clearing(cookie: Cookie): string {
  return setting(cookie, '', 0);
}
