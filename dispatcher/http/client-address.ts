/**
 * The client's address. Behind an ingress every connection comes from the ingress, and the sender's address is in a
 * header that any sender can write: it is trusted only as far as listed proxies have forwarded it.
 */
import { BlockList, isIP } from 'node:net';
import { networkOf } from '../config/network.ts';

/** Addresses and networks in CIDR notation: `10.0.0.0/8`, `192.0.2.7`, `fd00::/8`. */
export class TrustedProxies {
  readonly #list = new BlockList();
  readonly #some: boolean;

  /** Each entry must be valid for `networkOf`: the configuration has checked it. */
  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      const network = networkOf(entry);
      if (network === undefined) throw new RangeError(`${entry} is not an address or network`);
      this.#list.addSubnet(network.address, network.prefix, network.family);
    }
    this.#some = entries.length > 0;
  }

  /** IPv4-mapped IPv6 addresses (`::ffff:10.0.0.1`) are treated as IPv4. */
  has(address: string): boolean {
    if (!this.#some) return false;
    const version = isIP(address);
    return version !== 0 && this.#list.check(address, version === 4 ? 'ipv4' : 'ipv6');
  }
}

interface ForwardingHeaders {
  readonly 'x-forwarded-for'?: string | readonly string[] | undefined;
  readonly forwarded?: string | readonly string[] | undefined;
}

/**
 * The sender according to the listed proxies: read from the right, one hop for each listed proxy. If the two headers
 * disagree, the sender wrote one of them, and the proxy's own address is used instead.
 */
export function clientAddress(peer: string, headers: ForwardingHeaders, proxies: TrustedProxies): string {
  if (!proxies.has(peer)) return peer;
  const told = [hopsOf(headers['x-forwarded-for']), forwardedHops(headers.forwarded)]
    .filter((hops) => hops.length > 0)
    .map((hops) => lastUntrusted(peer, hops, proxies));
  const [first = peer, ...others] = told;
  return others.every((other) => other === first) ? first : peer;
}

function lastUntrusted(peer: string, hops: readonly string[], proxies: TrustedProxies): string {
  let nearest = peer;
  for (const hop of hops.toReversed()) {
    const address = addressOf(hop);
    // `unknown`, a name, or garbage: the proxy that forwarded it is the last known hop.
    if (address === undefined) return nearest;
    nearest = address;
    if (!proxies.has(address)) return address;
  }
  return nearest;
}

/** A request line and headers have 16 KB; more hops than this are meaningless. */
const MAX_HOPS = 64;

function hopsOf(header: string | readonly string[] | undefined): readonly string[] {
  const text = typeof header === 'string' ? header : (header ?? []).join(',');
  return text === '' ? [] : text.split(',').slice(-MAX_HOPS);
}

/** RFC 7239: `for=192.0.2.60;proto=http, for="[2001:db8::1]:4711"`. */
function forwardedHops(header: string | readonly string[] | undefined): readonly string[] {
  return hopsOf(header).map((element) => /(?:^|;)\s*for\s*=\s*("?)([^";]*)\1/i.exec(element)?.[2] ?? '');
}

/** Without its port. Undefined if it is not an address. */
function addressOf(hop: string): string | undefined {
  const text = hop.trim();
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([^:]*):\d+$/.exec(text)?.[1] ?? text;
  return isIP(bare) === 0 ? undefined : bare;
}

/** The key for limits: one IPv4 address, or an IPv6 /64 network, which belongs to one sender. */
export function addressKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (isIP(address) !== 6) return address;
  const [head = '', tail] = address.split('%')[0]?.toLowerCase().split('::') ?? [];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array.from({ length: zeros }, () => '0'), ...right].slice(0, 4);
  return `${groups.map((group) => group.replace(/^0+(?=.)/, '')).join(':')}::/64`;
}
