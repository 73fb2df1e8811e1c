/** How a deployed dispatcher reaches the internet, where that is not the direct way: it goes along if it is asked for. */
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { systemFiles } from '../../config/files.ts';
import type { ProxySettings } from '../../config/proxy.ts';
import { useProxy } from '../use-proxy.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const PROXIES = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'] as const;
/** In a bundle: the text of the file that NODE_EXTRA_CA_CERTS names, which Node itself reads at its start alone. */
const CERTIFICATES = 'SHR_EXTRA_CA_CERTS';
const FILE = 'NODE_EXTRA_CA_CERTS';
const MOST_BYTES = 4 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Names what of it this environment has. */
export function wayOutIn(environment: Environment): readonly string[] {
  return [...PROXIES.slice(0, 2), FILE].filter((name) => (environment[name] ?? '') !== '');
}

/** What a bundle says of it. Rejects with the system's error where the certificates cannot be read. */
export async function packedWayOut(environment: Environment): Promise<Readonly<Record<string, string>>> {
  const packed: Record<string, string> = {};
  for (const name of PROXIES) {
    const value = environment[name] ?? '';
    if (value !== '') packed[name] = value;
  }
  const file = environment[FILE] ?? '';
  if (file !== '') packed[CERTIFICATES] = (await systemFiles.read(file, { mostBytes: MOST_BYTES })).text;
  return packed;
}

/** Before anything opens a connection. Undefined: the bundle says nothing of a proxy. */
export function takeWayOut(packed: Environment): ProxySettings | undefined {
  const certificates = packed[CERTIFICATES]?.match(CERTIFICATE) ?? [];
  if (certificates.length > 0) setDefaultCACertificates([...getCACertificates('default'), ...certificates]);
  const proxies = PROXIES.flatMap((name) => (packed[name] === undefined ? [] : [[name, packed[name]] as const]));
  if (proxies.length === 0) return undefined;
  for (const [name, value] of proxies) process.env[name] = value;
  return useProxy(process.env);
}
