import { connect } from 'node:net';
import { expect } from 'chai';
import { z } from 'zod';
import { createAdminListener } from '../../dispatcher/http/admin.ts';
import { LedgerError } from '../../dispatcher/ledger/ledger.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { type Fixture, fact, noPauses, openFixture, TOKEN } from './admin-fixture.ts';

/** Sends the bytes as they are: fetch corrects what must not be corrected here. */
function raw(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString();
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

const get = (path: string, ...headers: string[]) =>
  `GET ${path} HTTP/1.1\r\nConnection: close\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n`;

describe('admin listener', () => {
  let fixture: Fixture;
  const opened: Fixture[] = [];
  const open = async (...change: Parameters<typeof openFixture>) => {
    fixture = await openFixture(...change);
    opened.push(fixture);
    return fixture;
  };
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
  });

  describe('health', () => {
    it('says alive and ready to everybody', async () => {
      await open();
      const alive = await fetch(`${fixture.url}/healthz`);
      expect([alive.status, await alive.json()]).to.deep.equal([200, { alive: true }]);
      const ready = await fetch(`${fixture.url}/readyz`);
      expect([ready.status, await ready.json()]).to.deep.equal([200, { ready: true, reasons: [] }]);
    });

    it('looks once for everyone who asks within a second, and again for those who ask later', async () => {
      let looks = 0;
      const later: (() => void)[] = [];
      await open({
        clock: {
          now: () => 0,
          after(ms, action) {
            if (ms === 1_000) later.push(action);
            return () => {};
          },
        },
        readiness: async () => {
          looks += 1;
          return { ready: true, reasons: [] };
        },
      });
      for (let index = 0; index < 5; index += 1) await fetch(`${fixture.url}/readyz`);
      expect([looks, later.length]).to.deep.equal([1, 1]);
      later[0]?.();
      await fetch(`${fixture.url}/readyz`);
      expect(looks).to.equal(2);
    });

    it('stays alive while not ready, and says why', async () => {
      await open();
      fixture.say.ready = false;
      fixture.say.reasons = ['acme: GitHub was not listed yet'];
      expect((await fetch(`${fixture.url}/healthz`)).status).to.equal(200);
      const ready = await fetch(`${fixture.url}/readyz`);
      expect([ready.status, await ready.json()]).to.deep.equal([
        503,
        { ready: false, reasons: ['acme: GitHub was not listed yet'] },
      ]);
    });
  });

  it('tells what is wrong with registrations to the holder of the token, and its number to everyone else', async () => {
    await open({
      readiness: async () => ({
        ready: true,
        reasons: [],
        problems: ['globex: set aside, 2 problems'],
        details: ['acme: poll: acme/secret-project: moved to other/secret-project'],
        notes: ['acme: its registration is paused by ops-a'],
      }),
    });
    const problemsFor = async (headers: Readonly<Record<string, string>>) => {
      const answer: unknown = await (await fetch(`${fixture.url}/readyz`, { headers })).json();
      return z.object({ problems: z.array(z.string()) }).parse(answer).problems;
    };
    expect(await problemsFor({})).to.deep.equal([
      'globex: set aside, 2 problems',
      '1 problem of registrations: the admin token shows what they are',
    ]);
    expect(await problemsFor({ authorization: `Bearer ${TOKEN}` })).to.deep.equal([
      'globex: set aside, 2 problems',
      'acme: poll: acme/secret-project: moved to other/secret-project',
    ]);
    const notes = async (init: RequestInit) => {
      const answer: unknown = await (await fetch(`${fixture.url}/readyz`, init)).json();
      return z.object({ notes: z.array(z.string()).optional() }).parse(answer).notes;
    };
    expect(await notes({}), 'who paused what').to.equal(undefined);
    expect(await notes({ headers: { authorization: `Bearer ${TOKEN}` } })).to.deep.equal([
      'acme: its registration is paused by ops-a',
    ]);
    const guess = await fetch(`${fixture.url}/readyz`, { headers: { authorization: 'Bearer a-guess' } });
    expect(guess.status).to.equal(401);
  });

  it('looks once for all who ask at the same time whether it is ready', async () => {
    let looks = 0;
    await open({
      readiness: async () => {
        looks += 1;
        await new Promise((resolve) => setImmediate(resolve));
        return { ready: true, reasons: [] };
      },
    });
    // One write holds them all, so that they are read at the same time.
    const seven = 'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(7);
    const answers = await raw(fixture.url, seven + get('/readyz', 'Host: x'));
    expect(answers.match(/HTTP\/1\.1 200 OK/g)).to.have.length(8);
    expect(looks).to.equal(1);
  });

  describe('access', () => {
    for (const [name, headers] of [
      ['no token', {}],
      ['a wrong token', { authorization: 'Bearer wrong' }],
      ['a token that is only the beginning', { authorization: `Bearer ${TOKEN.slice(0, -1)}` }],
      ['another scheme', { authorization: `Basic ${TOKEN}` }],
      ['a token in the query alone', {}],
    ] as const) {
      it(`refuses ${name} on every path but the open ones`, async () => {
        await open();
        const query = name.includes('query') ? `?token=${TOKEN}&access_token=${TOKEN}` : '';
        for (const path of ['/metrics', '/api/jobs', '/api/runners/x/forget', '/nothing']) {
          const response = await fetch(`${fixture.url}${path}${query}`, { headers });
          expect(response.status, path).to.equal(401);
          expect(response.headers.get('www-authenticate')).to.match(/^Bearer /);
          expect(await response.json()).to.have.keys('type', 'title', 'status', 'detail', 'error', 'cure');
        }
      });
    }

    it('takes the token, whatever the case of the scheme', async () => {
      await open();
      const response = await fetch(`${fixture.url}/api/jobs`, { headers: { authorization: `bEARER ${TOKEN}` } });
      expect(response.status).to.equal(200);
    });

    it('never logs the token that it was sent', async () => {
      await open();
      await fetch(`${fixture.url}/api/jobs?x=${TOKEN}`, { headers: { authorization: `Bearer ${TOKEN}x` } });
      await fixture.ask(`/api/jobs?x=${TOKEN}`);
      expect(fixture.logged.join('')).to.not.include(TOKEN);
    });

    it('does not listen beyond this machine without a token', async () => {
      await open();
      for (const token of [undefined, new Secret('')]) {
        const listener = createAdminListener({
          ledger: fixture.ledger,
          clock: systemClock,
          random: systemRandom,
          log: { debug() {}, info() {}, warn() {}, error() {} },
          token,
          registrations: () => [],
          laneReason: async () => undefined,
          jobReason: async () => undefined,
          forgetRunner: async () => undefined,
          backends: () => [],
          resetBackends: async () => undefined,
          pausing: noPauses,
          readiness: async () => ({ ready: true, reasons: [] }),
          metrics: { expose: async () => ({ contentType: 'text/plain', text: '' }) },
        });
        for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.com', '127.0.0.1.example.com', '']) {
          const failure = await listener.listen(host, 0).then(
            () => undefined,
            (error: unknown) => error,
          );
          expect(String(failure), host).to.match(/open to every client/);
        }
      }
    });

    it('without a token, answers programs on this machine and no web page', async () => {
      await open({ token: undefined });
      const { host, port } = new URL(fixture.url);
      const status = async (...headers: string[]) =>
        (await raw(fixture.url, get('/api/jobs', ...headers))).slice(9, 12);
      expect(await status(`Host: ${host}`)).to.equal('200');
      expect(await status(`Host: localhost:${port}`)).to.equal('200');
      expect(await status(`Host: [::1]:${port}`)).to.equal('200');
      expect(await status(`Host: evil.example:${port}`)).to.equal('403');
      expect(await status('Host: 127.0.0.1.evil.example')).to.equal('403');
      expect(await status(`Host: ${host}`, 'Origin: https://evil.example')).to.equal('403');
    });
  });

  describe('every answer', () => {
    it('carries security headers, is not cached, and names no framework', async () => {
      await open();
      for (const path of ['/healthz', '/metrics', '/api/jobs', '/nothing']) {
        const { headers } = await fixture.ask(path);
        expect(headers.get('x-powered-by')).to.equal(null);
        if (path !== '/api/jobs') expect(headers.get('etag')).to.equal(null);
        expect(headers.get('cache-control')).to.equal('no-store');
        expect(headers.get('x-content-type-options')).to.equal('nosniff');
        expect(headers.get('x-frame-options')).to.equal('DENY');
        expect(headers.get('content-security-policy')).to.include("default-src 'none'");
      }
    });

    it('has a tag that spares the body while nothing has changed, for one who sends it back', async () => {
      await open();
      const headers = { authorization: `Bearer ${TOKEN}` };
      const first = await fixture.ask('/api/jobs');
      const tag = first.headers.get('etag') ?? '';
      expect(tag).to.match(/^"[\w-]{27}"$/);
      const again = await fixture.ask('/api/jobs', { headers: { ...headers, 'if-none-match': tag } });
      expect([again.status, await again.text()]).to.deep.equal([304, '']);
      await fixture.ledger.recordFacts([fact(1, 'acme')]);
      const changed = await fixture.ask('/api/jobs', { headers: { ...headers, 'if-none-match': tag } });
      expect(changed.status).to.equal(200);
      expect(changed.headers.get('etag')).to.not.equal(tag);
    });

    it('is JSON with an error and a cure for an unknown path', async () => {
      await open();
      const nothing = await fixture.ask('/api/nothing');
      expect([nothing.status, Object.keys(Object(await nothing.json()))]).to.deep.equal([
        404,
        ['type', 'title', 'status', 'detail', 'error', 'cure'],
      ]);
      const wrongVerb = await fixture.ask('/api/jobs', { method: 'DELETE' });
      expect(wrongVerb.status).to.equal(405);
      const malformed = await fixture.ask('/api/runners/%zz');
      expect(malformed.status).to.equal(400);
      expect(await malformed.json()).to.have.keys('type', 'title', 'status', 'detail', 'error', 'cure');
    });

    it('refuses a body, whatever its length says', async () => {
      await open();
      const path = '/api/runners/shr-a/forget';
      expect((await fixture.ask(path, { method: 'POST', body: '{}' })).status).to.equal(413);
      const chunked = await raw(
        fixture.url,
        `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n`,
      );
      expect(chunked).to.match(/^HTTP\/1\.1 413 /);
      expect(fixture.forgotten).to.deep.equal([]);
    });
  });

  describe('trouble', () => {
    it('says what to do when the ledger is sick', async () => {
      await open();
      const { ledger } = fixture;
      await open({
        ledger: {
          ...ledger,
          jobs: async () => {
            throw new LedgerError('full', 'the disk of the ledger is full: make room');
          },
        },
      });
      const response = await fixture.ask('/api/jobs');
      expect([response.status, await response.json()]).to.deep.equal([
        503,
        {
          type: 'about:blank',
          title: 'Service Unavailable',
          status: 503,
          detail: 'the ledger is full: the disk of the ledger is full: make room',
          error: 'the ledger is full',
          cure: 'the disk of the ledger is full: make room',
        },
      ]);
    });

    it('tells a defect to the log and not to the one who asked', async () => {
      await open({
        laneReason: async () => {
          throw new TypeError('detail of the inside');
        },
        readiness: async () => {
          throw new TypeError('detail of the inside');
        },
      });
      const response = await fetch(`${fixture.url}/readyz`);
      expect(response.status).to.equal(500);
      expect(await response.text()).to.not.include('inside');
      const [line] = fixture.logged.map((text) => JSON.parse(text));
      expect(line).to.include({ event: 'admin.failed', level: 'error' });
      expect(line.error).to.include({ name: 'TypeError', message: 'detail of the inside' });
    });

    it('answers 503 when the answer does not come in time, and survives that it comes later', async () => {
      let finish: () => void = () => {};
      const late = new Promise<void>((resolve) => {
        finish = resolve;
      });
      await open({
        limits: { answerTimeoutMs: 50 },
        readiness: async () => {
          await late;
          return { ready: true, reasons: [] };
        },
      });
      expect((await fetch(`${fixture.url}/readyz`)).status).to.equal(503);
      finish();
      expect((await fetch(`${fixture.url}/healthz`)).status).to.equal(200);
      expect(fixture.logged.map((line) => JSON.parse(line).event)).to.deep.equal(['admin.timeout']);
    });

    it('cuts off who does not finish the request', async () => {
      await open({ limits: { requestTimeoutMs: 200 } });
      expect(await raw(fixture.url, 'GET /healthz HTTP/1.1\r\nHost: x\r\n')).to.match(/^HTTP\/1\.1 408 /);
    });
  });

  it('serves the metrics as Prometheus reads them', async () => {
    await open();
    const response = await fixture.ask('/metrics');
    expect(response.headers.get('content-type')).to.match(/^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    expect(text).to.match(/^shr_ledger_up 1$/m);
    expect(text).to.match(/^shr_demand_jobs\{registration="acme"\} 0$/m);
  });
});
