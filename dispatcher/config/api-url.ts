/**
 * Where a host's REST API lives: `api.github.com`, `api.HOST` for GitHub Enterprise Cloud with data residency
 * (`*.ghe.com`), `HOST/api/v3` for GitHub Enterprise Server. Source: docs.github.com, "REST API" of each product.
 */
export function defaultApiUrl(host: string): string {
  const folded = host.toLowerCase();
  if (folded === 'github.com') return 'https://api.github.com';
  if (folded.endsWith('.ghe.com')) return `https://api.${folded}`;
  return `https://${folded}/api/v3`;
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/** What is wrong with an `apiUrl`; undefined if nothing is. Plain HTTP is allowed only to the local machine. */
export function judgeApiUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return 'it is not a valid URL';
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return 'it carries credentials';
  if (url.search !== '' || url.hash !== '') return 'it has a query or fragment';
  if (url.protocol === 'https:') return undefined;
  if (url.protocol !== 'http:') return `it must use https, not ${url.protocol.slice(0, -1)}`;
  return LOOPBACK.has(url.hostname)
    ? undefined
    : 'http would send the token unencrypted, and is allowed for loopback only';
}
