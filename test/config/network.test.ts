import { expect } from 'chai';
import { networkOf } from '../../dispatcher/config/network.ts';

describe('an address or network', () => {
  for (const [text, address, prefix, family] of [
    ['192.0.2.7', '192.0.2.7', 32, 'ipv4'],
    ['10.0.0.0/8', '10.0.0.0', 8, 'ipv4'],
    ['0.0.0.0/0', '0.0.0.0', 0, 'ipv4'],
    ['192.0.2.7/32', '192.0.2.7', 32, 'ipv4'],
    ['::1', '::1', 128, 'ipv6'],
    ['fd00::/8', 'fd00::', 8, 'ipv6'],
    ['fd00::1/128', 'fd00::1', 128, 'ipv6'],
  ] as const) {
    it(`is ${text}`, () => {
      expect(networkOf(text)).to.deep.equal({ address, prefix, family });
    });
  }

  for (const text of [
    '',
    'proxy.corp',
    '10.0.0.0/',
    '10.0.0.0/x',
    '10.0.0.0/0x8',
    '10.0.0.0/33',
    '10.0.0.0/8/8',
    'fd00::/129',
    'fe80::1%eth0',
    '/8',
    '10.0.0/8',
  ]) {
    it(`is not "${text}"`, () => {
      expect(networkOf(text)).to.equal(undefined);
    });
  }
});
