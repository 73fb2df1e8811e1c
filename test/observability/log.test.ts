import { expect } from 'chai';
import fc from 'fast-check';
import { GithubError } from '../../dispatcher/github/github.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { createLog, type LogLevel } from '../../dispatcher/observability/log.ts';
import { ProviderError } from '../../providers/provider.ts';

const AT = Date.parse('2026-03-04T05:06:07.089Z');

function recording(level: LogLevel = 'debug') {
  const lines: string[] = [];
  const log = createLog({ level, write: (line) => lines.push(line), clock: { now: () => AT } });
  const only = (): Record<string, unknown> => {
    expect(lines).to.have.length(1);
    return JSON.parse(lines[0] ?? '');
  };
  return { log, lines, only };
}

describe('log', () => {
  it('writes one line of JSON an event, with the time of the injected clock', () => {
    const { log, lines, only } = recording();
    log.info('runner.launched', { runner: 'shr-1', ms: 12.5, warm: false, job: null, labels: ['a', 'b'] });
    expect(lines[0]).to.match(/^[^\n]+\n$/);
    expect(only()).to.deep.equal({
      level: 'info',
      time: '2026-03-04T05:06:07.089Z',
      event: 'runner.launched',
      runner: 'shr-1',
      ms: 12.5,
      warm: false,
      job: null,
      labels: ['a', 'b'],
    });
  });

  it('keeps quiet below its level', () => {
    const { log, lines } = recording('warn');
    log.debug('one');
    log.info('two');
    log.warn('three');
    log.error('four');
    expect(lines.map((line) => JSON.parse(line).event)).to.deep.equal(['three', 'four']);
  });

  it('keeps a text with line feeds on one line', () => {
    const { log, lines, only } = recording();
    log.info('output', { text: 'first\nsecond\r\n{"event":"forged"}' });
    expect(lines[0]?.split('\n')).to.have.length(2);
    expect(only()['event']).to.equal('output');
  });

  it('carries no control character to a terminal that shows it, and says the same', () => {
    const { log, lines, only } = recording();
    const rude = 'job\u009b2J\u007f\u202e\u{e0041}\u2028\u001b[2J';
    log.warn('one', { text: rude });
    expect(lines[0]).to.not.match(/[^\P{C}\n]|\u2028/u);
    expect(only()).to.include({ text: rude });
  });

  it('does not let a field take the place of the event, the time or the level', () => {
    const { log, lines, only } = recording();
    log.info('real', { event: 'forged', time: 'never', level: 'fatal' });
    expect(lines[0]?.match(/"event":/g)).to.have.length(1);
    expect(only()).to.include({ event: 'real', level: 'info', event_: 'forged', time_: 'never', level_: 'fatal' });
  });

  it('prints a Secret as [secret], alone and in a list', () => {
    const { log, only } = recording();
    log.info('x', { webhook: new Secret('hunter2'), several: [new Secret('hunter3'), 1] });
    expect(only()).to.include({ webhook: '[secret]' });
    expect(only()['several']).to.deep.equal(['[secret]', 1]);
  });

  it('hides the text of a field that calls itself a secret, and keeps its number', () => {
    const { log, only } = recording();
    log.info('x', { adminToken: 'abc', password: 'abc', encodedJitConfig: 'abc', private_key: ['abc'], token: 3 });
    expect(only()).to.include({
      adminToken: '[secret]',
      password: '[secret]',
      encodedJitConfig: '[secret]',
      private_key: '[secret]',
      token: 3,
    });
  });

  it('names an object instead of walking into it', () => {
    const { log, only } = recording();
    log.info('x', { request: { headers: { authorization: 'hunter2' } }, map: new Map([['a', 'b']]), act: () => 1 });
    expect(only()).to.include({ request: '[object]', map: '[object]', act: '[function]' });
  });

  it('logs a typed error with operation, message and request id, and without its cause', () => {
    const { log, only } = recording();
    const cause = Object.assign(new Error('inner'), { request: { headers: { authorization: 'hunter2' } } });
    log.warn('github.failed', {
      error: new GithubError('transient', 'GET /orgs/{org}/actions/runners', 'bad gateway', {
        status: 502,
        requestId: 'A1:B2',
        cause,
      }),
    });
    expect(only()['error']).to.deep.equal({
      name: 'GithubError',
      kind: 'transient',
      operation: 'GET /orgs/{org}/actions/runners',
      message: 'GET /orgs/{org}/actions/runners: bad gateway',
      status: 502,
      requestId: 'A1:B2',
    });
  });

  it('tells the code of a provider error, and scrubs the words of the service', () => {
    const { log, only } = recording();
    log.warn('launch.failed', {
      error: new ProviderError('invalid', 'docker create', 'bad header "Authorization: Bearer abc.def"', {
        code: 'E1',
      }),
    });
    expect(only()['error']).to.deep.equal({
      name: 'ProviderError',
      kind: 'invalid',
      operation: 'docker create',
      message: 'docker create: bad header "Authorization: Bearer [secret]"',
      code: 'E1',
    });
  });

  it('says where an error without a kind comes from: it is a bug', () => {
    const { log, only } = recording();
    log.error('bug', { error: new TypeError('oops') });
    expect(only()['error'])
      .to.have.property('at')
      .that.matches(/log\.test\.ts:\d+/);
  });

  it('bounds texts, lists, the number of fields and the whole line', () => {
    const { log, lines, only } = recording();
    const words = 'word '.repeat(100_000);
    log.info('big', {
      ...Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`f${index}`, words])),
    });
    expect(lines[0]?.length).to.be.lessThan(20_000);
    expect(only()).to.include({ dropped: 68 });
    const list = recording();
    list.log.info('list', { items: Array.from({ length: 1000 }, (_, index) => index) });
    expect(list.only()['items']).to.have.length(33).and.to.include('… 968 more');
  });

  it('survives getters and proxies that throw', () => {
    const { log, lines } = recording();
    const hostile = new Proxy(
      {},
      {
        get: () => {
          throw new Error('no');
        },
        getPrototypeOf: () => {
          throw new Error('no');
        },
      },
    );
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const revokedFields = Proxy.revocable({}, {});
    revokedFields.revoke();
    log.info('x', { hostile, proxy, list: [hostile, proxy] });
    log.info('y', {
      get bad(): string {
        throw new Error('no');
      },
    });
    log.info('z', revokedFields.proxy);
    expect(lines.map((line) => JSON.parse(line).event)).to.deep.equal(['x', 'y', 'z']);
  });

  for (const [name, text, expected] of [
    ['a classic token', 'got ghp_16C7e42F292c6912E7710c838347Ae178B4a!', 'got [secret]!'],
    ['a fine-grained token', 'x=github_pat_11ABC_def,', 'x=[secret],'],
    ['an installation token', 'ghs_abc', '[secret]'],
    ['a refresh token', 'ghr_abc', '[secret]'],
    ['a JWT', 'jwt eyJhbGciOi.eyJpc3Mi.c2ln end', 'jwt [secret] end'],
    ['a bearer header', 'authorization: Bearer s3cr3t-x', 'authorization: Bearer [secret]'],
    ['a token header', '"authorization":"token s3cr3t-x"', '"authorization":"[secret]"'],
    ['a basic header', 'Basic dXNlcjpwYXNz', 'Basic [secret]'],
    ['a key block', 'k -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- z', 'k [secret] z'],
    ['a key block without its end', 'k -----BEGIN PRIVATE KEY-----\\nMII', 'k [secret]'],
    ['a user and password in a URL', 'https://user:pass@host/x', 'https://user:[secret]@host/x'],
    ['a query parameter', 'GET /x?client_secret=abc&y=1', 'GET /x?client_secret=[secret]&y=1'],
    ['a blob of base64', `blob ${'A1b2'.repeat(300)}== end`, 'blob [secret] end'],
    ['a blob in lines', `blob ${`${'A1b2'.repeat(19)}\n`.repeat(20)}end.`, 'blob [secret].'],
  ] as const) {
    it(`takes ${name} out of a text`, () => {
      const { log, only } = recording();
      log.info('x', { text });
      expect(only()['text']).to.equal(expected);
    });
  }

  it('leaves ordinary words, hashes, URLs and image references alone', () => {
    const { log, only } = recording();
    const text =
      'https://github.com/acme/web/actions/runs/1/job/2 ghcr.io/acme/runner:2.335-node@sha256:' +
      `${'0123456789abcdef'.repeat(4)} shr-01jxyz the token expired`;
    log.info('x', { text });
    expect(only()['text']).to.equal(text);
  });

  it('never prints a secret, in whatever object graph it hides', () => {
    const MARKER = 'MARKERaZ09';
    const base64 = fc.string({ unit: fc.constantFrom(...'ABCDwxyz0189+/'), maxLength: 700 });
    const word = fc.string({ unit: fc.constantFrom(...'ABCDwxyz0189_-'), maxLength: 40 });
    const shaped = fc.oneof(
      fc
        .tuple(fc.constantFrom('ghp_', 'ghs_', 'ghr_', 'gho_', 'ghu_', 'github_pat_'), word)
        .map((p) => p.join('') + MARKER),
      fc.tuple(word, word).map(([head, tail]) => `eyJ${head}.${MARKER}${tail}.${tail}`),
      fc.tuple(word, word).map(([head, tail]) => `eyJ${head}.${tail}.${MARKER}`),
      fc
        .tuple(base64, base64)
        .map(([a, b]) => `-----BEGIN PRIVATE KEY-----\n${a}\n${MARKER}${b}\n-----END PRIVATE KEY-----`),
      word.map((rest) => `Authorization: Bearer ${rest}${MARKER}`),
      fc.tuple(base64, base64).map(([a, b]) => `${a.padEnd(600, 'x')}${MARKER}${b.padEnd(600, 'y')}`),
    );
    const outside = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.constant('x '.repeat(8_150)));
    const text = fc.tuple(outside, shaped, outside).map((parts) => parts.join(' '));
    const holder = (value: unknown): fc.Arbitrary<unknown> =>
      fc.constantFrom<unknown>(
        value,
        [value],
        [[value]],
        { value },
        { toString: () => String(value), toJSON: () => value },
        new Map([[value, value]]),
        new Set([value]),
        new Error(String(value)),
        Object.assign(new Error('outer', { cause: new Error(MARKER) }), {
          request: { headers: { authorization: MARKER } },
          response: { data: MARKER },
          kind: value,
          operation: value,
          code: value,
          requestId: value,
          name: value,
        }),
        new AggregateError([new Error(MARKER)], String(value)),
        new GithubError('invalid', String(value), String(value), { requestId: String(value), cause: MARKER }),
        new Secret(MARKER),
        () => value,
        Symbol(String(value)),
        Buffer.from(String(value)),
        new URL(`https://x/?${encodeURIComponent(String(value))}`),
      );
    const fields = fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom('error', 'token', 'message', '__proto__'), text),
      text.chain(holder),
      { maxKeys: 8 },
    );
    fc.assert(
      fc.property(fields, fc.constantFrom('debug', 'info', 'warn', 'error'), text, (graph, level, event) => {
        const { log, lines } = recording();
        log[level](event, graph);
        expect(lines).to.have.length(1);
        JSON.parse(lines[0] ?? '');
        expect(lines[0]).to.not.include(MARKER);
      }),
      { numRuns: 600 },
    );
  });
});
