import { expect } from 'chai';
import { networkOf } from '../../dispatcher/config/network.ts';
import { addressKey, clientAddress, TrustedProxies } from '../../dispatcher/http/client-address.ts';

describe('the address of a sender', () => {
  const proxies = new TrustedProxies(['10.0.0.0/8', '192.0.2.7', 'fd00::/8']);
  const of = (peer: string, forwardedFor?: string, forwarded?: string) =>
    clientAddress(peer, { 'x-forwarded-for': forwardedFor, forwarded }, proxies);

  for (const [what, peer, forwardedFor, forwarded, expected] of [
    ['without a proxy', '203.0.113.9', undefined, undefined, '203.0.113.9'],
    ['that writes the header itself', '203.0.113.9', '140.82.115.1', undefined, '203.0.113.9'],
    ['behind one proxy', '10.1.2.3', '140.82.115.1', undefined, '140.82.115.1'],
    [
      'behind one proxy, with an invented hop before it',
      '10.1.2.3',
      '1.1.1.1, 140.82.115.1',
      undefined,
      '140.82.115.1',
    ],
    ['behind two proxies', '10.1.2.3', '140.82.115.1, 192.0.2.7', undefined, '140.82.115.1'],
    ['behind a stranger’s proxy', '10.1.2.3', '140.82.115.1, 192.0.2.8', undefined, '192.0.2.8'],
    ['with a port', '10.1.2.3', '140.82.115.1:4711', undefined, '140.82.115.1'],
    ['of IPv6', 'fd00::1', '2001:db8::7', undefined, '2001:db8::7'],
    ['of IPv6 with a port', 'fd00::1', '[2001:db8::7]:443', undefined, '2001:db8::7'],
    ['of a proxy in IPv6 clothes', '::ffff:10.1.2.3', '140.82.115.1', undefined, '140.82.115.1'],
    ['that the proxy does not tell', '10.1.2.3', 'unknown', undefined, '10.1.2.3'],
    ['that is nonsense', '10.1.2.3', '140.82.115.1, 999.1.1.1', undefined, '10.1.2.3'],
    ['by RFC 7239', '10.1.2.3', undefined, 'for=140.82.115.1;proto=https', '140.82.115.1'],
    ['by RFC 7239, quoted', '10.1.2.3', undefined, 'proto=https;for="[2001:db8::7]:443";by=_x', '2001:db8::7'],
    ['of two headers that agree', '10.1.2.3', '140.82.115.1', 'for=140.82.115.1', '140.82.115.1'],
    ['of two headers that do not: the sender wrote one', '10.1.2.3', '140.82.115.1', 'for=1.1.1.1', '10.1.2.3'],
    ['of proxies alone', '10.1.2.3', '10.9.9.9', undefined, '10.9.9.9'],
  ] as const) {
    it(`${what}`, () => expect(of(peer, forwardedFor, forwarded)).to.equal(expected));
  }

  it('is counted by the IPv4 address, or by the /64 of IPv6', () => {
    expect(addressKey('::ffff:192.0.2.1')).to.equal('192.0.2.1');
    expect(addressKey('192.0.2.1')).to.equal('192.0.2.1');
    expect(addressKey('2001:db8:0:1::1')).to.equal(addressKey('2001:db8:0:1:ffff::2'));
    expect(addressKey('2001:db8::1')).to.equal(addressKey('2001:0db8:0000:0000:1:2:3:4'));
    expect(addressKey('2001:db8:0:1::1')).to.not.equal(addressKey('2001:db8:0:2::1'));
    expect(addressKey('fe80::1%eth0')).to.equal('fe80:0:0:0::/64');
    expect(addressKey('::1')).to.equal('0:0:0:0::/64');
  });

  it('is trusted of addresses and networks only', () => {
    for (const good of ['10.0.0.0/8', '192.0.2.7', '::1', 'fd00::/8', '0.0.0.0/0'])
      expect(networkOf(good), good).to.not.equal(undefined);
    for (const bad of [
      '',
      'ingress',
      '10.0.0.0/33',
      '10.0.0/8',
      '::/129',
      '10.0.0.0/8/8',
      '10.0.0.0/',
      'fe80::1%eth0',
    ]) {
      expect(networkOf(bad), bad).to.equal(undefined);
    }
  });
});
