/** Where a browser goes after a login. */

/** What a login is for, as long as it says nothing else. */
const HOME = '/api/me';
const MAX_LENGTH = 512;

/** A path of our own: one slash at its beginning, and nothing that a browser takes for another one. */
const OWN_PATH = /^\/(?:[A-Za-z0-9_\-.~!$&'()*+,;=:@%?#][A-Za-z0-9_\-.~!$&'()*+,;=:@%?#/]*)?$/;

/**
 * Always at `origin`, whatever was asked for: an address elsewhere would lend our name to a stranger's page. The answer
 * is a whole URL, so that no reader has to complete it.
 */
export function returnUrl(origin: string, asked: unknown): string {
  const home = `${origin}${HOME}`;
  if (typeof asked !== 'string' || asked.length > MAX_LENGTH || !OWN_PATH.test(asked)) return home;
  const url = URL.parse(`${origin}${asked}`);
  if (url === null || url.origin !== origin) return home;
  // Back to where it came from, without an end.
  return /^\/log(?:in|out)(?:\/|$)/.test(url.pathname) ? home : url.href;
}
