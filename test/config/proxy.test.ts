import { expect } from 'chai';
import { proxyInWords, proxySettings } from '../../dispatcher/config/proxy.ts';

// Case 10
describe('the proxy that the environment prescribes', () => {
  const PROXY = 'http://proxy.acme.test:3128';

  it('is none where no variable names one', () => {
    expect(proxySettings({ PATH: '/bin', NO_PROXY: 'a.test', https_proxy: '' })).to.deep.include({
      httpsProxy: undefined,
      httpProxy: undefined,
      shown: undefined,
      problems: [],
      off: false,
    });
  });

  for (const [what, environment, https, http] of [
    ['both variables', { HTTPS_PROXY: PROXY, HTTP_PROXY: 'http://plain.test' }, `${PROXY}/`, 'http://plain.test/'],
    ['the lower case', { HTTPS_PROXY: 'http://upper.test', https_proxy: PROXY }, `${PROXY}/`, undefined],
    ['HTTP_PROXY for both', { http_proxy: PROXY }, `${PROXY}/`, `${PROXY}/`],
    [
      'ALL_PROXY for what is absent',
      { all_proxy: PROXY, HTTP_PROXY: 'http://plain.test' },
      `${PROXY}/`,
      'http://plain.test/',
    ],
    ['one without a scheme', { HTTPS_PROXY: ' proxy.acme.test:3128 ' }, `${PROXY}/`, undefined],
    ['one that is spoken to by TLS', { HTTPS_PROXY: 'https://proxy.acme.test' }, 'https://proxy.acme.test/', undefined],
  ] as const) {
    it(`takes ${what}`, () => {
      const { httpsProxy, httpProxy, problems } = proxySettings(environment);
      expect({ httpsProxy, httpProxy, problems }).to.deep.equal({ httpsProxy: https, httpProxy: http, problems: [] });
    });
  }

  for (const [value, words] of [
    ['socks5://agent:p4ss@proxy.acme.test', 'socks5'],
    ['http://agent:p4ss@', 'not a URL'],
    ['http://', 'not a URL'],
    ['ftp://agent:p4ss@proxy.acme.test', 'ftp'],
  ] as const) {
    it(`says what is wrong with ${value}, without its password, and uses none`, () => {
      const settings = proxySettings({ HTTPS_PROXY: value, HTTP_PROXY: PROXY });
      expect(settings.problems).to.have.length(1);
      expect(settings.problems[0]).to.include('HTTPS_PROXY').and.include(words).and.not.include('p4ss');
      expect(settings).to.deep.include({ httpsProxy: undefined, httpProxy: undefined, shown: undefined });
    });
  }

  it('shows no login', () => {
    const { shown } = proxySettings({
      HTTPS_PROXY: 'http://agent:p4ss@proxy.acme.test:3128',
      NO_PROXY: 'ghe.acme.test',
    });
    if (shown === undefined) throw new Error('no proxy');
    expect(proxyInWords(shown)).to.equal('through http://proxy.acme.test:3128 with a login, except to ghe.acme.test');
    expect(JSON.stringify(shown)).to.not.match(/agent|p4ss/);
  });

  it('writes exceptions so that every reader understands them, and adds what never takes a proxy', () => {
    const { noProxy } = proxySettings({
      HTTPS_PROXY: PROXY,
      NO_PROXY: 'Acme.test, .corp.test;*.lab.test fd00::1 10.1.2.3 10.4.0.0/14 ghe.test:8443'.replace(';', ','),
    });
    for (const entry of [
      'acme.test',
      '.acme.test',
      '.corp.test',
      'corp.test',
      '.lab.test',
      'fd00::1',
      '[fd00::1]',
      '10.1.2.3',
      '10.4.0.0/14',
      '10.4.0.0-10.7.255.255',
      'ghe.test:8443',
    ]) {
      expect(noProxy).to.include(entry);
    }
    for (const entry of [
      'localhost',
      '127.0.0.1',
      '::1',
      '169.254.169.254',
      '100.100.100.200',
      'metadata.google.internal',
    ]) {
      expect(noProxy).to.include(entry);
    }
    for (const entry of ['.10.1.2.3', '.ghe.test:8443', '.10.4.0.0/14']) expect(noProxy).to.not.include(entry);
  });

  it('is none for anything where NO_PROXY is *', () => {
    expect(proxySettings({ HTTPS_PROXY: PROXY, no_proxy: 'a.test,*' })).to.deep.include({
      off: true,
      shown: undefined,
    });
  });

  it('names what obeys in part', () => {
    const { notes } = proxySettings({ HTTPS_PROXY: 'https://proxy.acme.test', NO_PROXY: '10.0.0.0/8' });
    expect(notes).to.have.length(2);
    expect(notes[0]).to.include('gcp-batch').and.include('grpc_proxy');
    expect(notes[1]).to.include('10.0.0.0/8').and.include("GitHub's client");
    expect(proxySettings({ HTTPS_PROXY: 'https://proxy.acme.test', grpc_proxy: PROXY }).notes).to.deep.equal([]);
    expect(proxySettings({ HTTPS_PROXY: PROXY, NO_PROXY: 'acme.test,10.1.2.3' }).notes).to.deep.equal([]);
  });
});
