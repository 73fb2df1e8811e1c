/**
 * Which addresses may be called when a tenant chose the name: never those where a cloud serves a machine's credentials,
 * and this machine only if the name says so. Pure.
 *
 * Node's own BlockList, not ipaddr.js, which knows no metadata service and takes `0x7f.1` for an address.
 */
import { BlockList, isIP } from 'node:net';

const LOOPBACK_NAMES = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** Whether a URL's host names this machine; `hostname` as URL has it, in brackets for IPv6. */
export function isLoopbackName(hostname: string): boolean {
  return LOOPBACK_NAMES.has(hostname);
}

const loopback = listOf('127.0.0.0/8', '::1/128');

/** Metadata services, address ranges that lead to them, and addresses that no server has. */
const never = listOf(
  // Link-local: the metadata service of nearly every cloud (169.254.169.254), task credentials at AWS (169.254.170.2).
  '169.254.0.0/16',
  'fe80::/10',
  // The same behind NAT64 (RFC 6052).
  '64:ff9b::a9fe:0/112',
  // https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
  '100.100.100.200/32',
  // https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
  '168.63.129.16/32',
  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
  'fd00:ec2::/32',
  // https://cloud.google.com/compute/docs/metadata/querying-metadata
  'fd20:ce::/32',
  // "This host": connects to this machine.
  '0.0.0.0/8',
  '::/128',
  // Multicast and reserved.
  '224.0.0.0/3',
  'ff00::/8',
);

/** RFC 1918, RFC 6598 (carriers, and clouds' own services), RFC 4193. */
const ownNetworks = listOf('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7');

/** `never`: a registry may never be there. `private`: in the networks of an organization. */
export type AddressKind = 'loopback' | 'never' | 'private' | 'public';

/** For an IPv4 or IPv6 address, including IPv4-mapped IPv6. An invalid address is `never`. */
export function kindOfAddress(text: string): AddressKind {
  const [address = ''] = text.split('%');
  const version = isIP(address);
  if (version === 0) return 'never';
  const family = version === 4 ? 'ipv4' : 'ipv6';
  if (never.check(address, family)) return 'never';
  if (loopback.check(address, family)) return 'loopback';
  return ownNetworks.check(address, family) ? 'private' : 'public';
}

function listOf(...ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network = '', bits = ''] = range.split('/');
    list.addSubnet(network, Number(bits), network.includes(':') ? 'ipv6' : 'ipv4');
  }
  return list;
}
