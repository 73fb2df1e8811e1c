/**
 * The proxy that the environment prescribes, parsed once for everything that leaves this machine: GitHub's client, each
 * cloud's SDK and the registry look-ups all read the variables differently (some only the upper case, some only the
 * lower; a name with or without its subdomains; some also proxy this machine's own address). Pure.
 */
import { isIP } from 'node:net';

export interface ProxySettings {
  /** Includes the login, if any: only for code that opens connections. */
  readonly httpsProxy: string | undefined;
  readonly httpProxy: string | undefined;
  /** Host names, `.suffixes` and addresses, in a form that every reader understands. */
  readonly noProxy: readonly string[];
  /** `NO_PROXY` exempts everything. */
  readonly off: boolean;
  /** For display: without logins. Undefined: no proxy. */
  readonly shown: ProxyShown | undefined;
  /** Why a variable cannot be used: then no connection may be made as if it were not set. */
  readonly problems: readonly string[];
  /** Clients that support it only in part. */
  readonly notes: readonly string[];
}

export interface ProxyShown {
  readonly https: string | null;
  readonly http: string | null;
  readonly login: boolean;
  readonly except: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * This machine, and the services that give it its credentials: never through a proxy, whatever the variables say.
 * Alibaba, Azure and Google at 169.254.169.254, Alibaba also at 100.100.100.200, tasks at AWS at 169.254.170.2.
 */
const NEVER = [
  'localhost',
  '.localhost',
  '127.0.0.1',
  '127.0.0.0/8',
  '127.0.0.1-127.255.255.255',
  '::1',
  '[::1]',
  '169.254.169.254',
  '169.254.0.0/16',
  '169.254.0.0-169.254.255.255',
  '169.254.170.2',
  '100.100.100.200',
  'metadata',
  'metadata.google.internal',
  'metadata.google.internal.',
] as const;

const SHOWN = 20;

export function proxySettings(environment: Environment): ProxySettings {
  const problems: string[] = [];
  const all = read(environment, 'ALL_PROXY', problems);
  const http = read(environment, 'HTTP_PROXY', problems) ?? all;
  // As the Azure, Google and gRPC clients do on their own: so that all traffic takes the same route.
  const https = read(environment, 'HTTPS_PROXY', problems) ?? all ?? http;
  const given = value(environment, 'NO_PROXY')
    .split(/[\s,]+/)
    .filter((entry) => entry !== '');
  const off = given.includes('*');
  if (off || problems.length > 0 || (https === undefined && http === undefined)) {
    return { httpsProxy: undefined, httpProxy: undefined, noProxy: [], off, shown: undefined, problems, notes: [] };
  }
  return {
    httpsProxy: https?.href,
    httpProxy: http?.href,
    noProxy: [...new Set([...given.flatMap(understood), ...NEVER])],
    off,
    shown: {
      https: https === undefined ? null : originOf(https),
      http: http === undefined ? null : originOf(http),
      login: [https, http].some((url) => url !== undefined && (url.username !== '' || url.password !== '')),
      except: given.slice(0, SHOWN),
    },
    problems,
    notes: notesOn(environment, https, given),
  };
}

/** On one line, without logins. */
export function proxyInWords({ https, http, login, except }: ProxyShown): string {
  const way = https === http || http === null ? (https ?? '') : `${https ?? 'none'} (plain http: ${http})`;
  const but = except.length === 0 ? '' : `, except to ${except.join(', ')}`;
  return `through ${way}${login ? ' with a login' : ''}${but}`;
}

/** Lower case takes precedence, as in curl; an empty value counts as unset. */
function value(environment: Environment, name: string): string {
  return (environment[name.toLowerCase()] || environment[name] || '').trim();
}

function read(environment: Environment, name: string, problems: string[]): URL | undefined {
  const text = value(environment, name);
  if (text === '') return undefined;
  // `proxy.corp:3128`, which curl accepts too.
  const whole = text.includes('://') ? text : `http://${text}`;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  if (url === undefined || url.hostname === '') {
    // Not repeated: it may hold a password.
    problems.push(`${name} is not a URL: write http://HOST:PORT`);
    return undefined;
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    problems.push(`${name} has the scheme ${url.protocol.slice(0, -1)}, which is not supported: give an HTTP proxy`);
    return undefined;
  }
  return url;
}

/** A name includes its subdomains, as in curl; ports are left to clients that support them. */
function understood(entry: string): readonly string[] {
  const text = entry.toLowerCase();
  if (text.startsWith('*.')) return [text.slice(1)];
  if (text.startsWith('.')) return [text, text.slice(1)];
  if (isIP(text) === 6) return [text, `[${text}]`];
  const range = rangeOf(text);
  if (range !== undefined) return [text, range];
  return isIP(text) !== 0 || text.includes(':') || text.includes('/') ? [text] : [text, `.${text}`];
}

/** `10.0.0.0/8` as Node writes ranges: `10.0.0.0-10.255.255.255`. */
function rangeOf(text: string): string | undefined {
  const [network = '', bits = ''] = text.split('/');
  if (isIP(network) !== 4 || !/^\d{1,2}$/.test(bits) || Number(bits) > 32) return undefined;
  const size = 2 ** (32 - Number(bits));
  const number = network.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const first = Math.floor(number / size) * size;
  return `${dotted(first)}-${dotted(first + size - 1)}`;
}

function dotted(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}

function notesOn(environment: Environment, https: URL | undefined, given: readonly string[]): readonly string[] {
  const ranges = given.filter((entry) => rangeOf(entry) !== undefined || entry.includes('/'));
  return [
    ...(https?.protocol === 'https:' && value(environment, 'GRPC_PROXY') === ''
      ? ['the backends gcp-batch and gcp-cloud-run cannot use a proxy over TLS: set grpc_proxy to one at http://']
      : []),
    ...(ranges.length > 0
      ? [
          `NO_PROXY has address ranges (${ranges.slice(0, 3).join(', ')}): GitHub's client and Google's sign-in ignore them: list the hosts as well`,
        ]
      : []),
  ];
}

function originOf(url: URL): string {
  return `${url.protocol}//${url.host}`;
}
