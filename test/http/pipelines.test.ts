/** Many requests on one connection, before the first of them was answered. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { expect } from 'chai';
import { createPipelineServer } from '../../dispatcher/http/pipelines.ts';
import { exampleBody, nextGuid, openFixture as openPublicFixture, sign } from '../intake/intake-fixture.ts';
import { openFixture as openAdminFixture } from './admin-fixture.ts';

/** What is said on a connection until it ends, or until `isEnough`. */
function said(port: number, text: string, isEnough: (answers: string) => boolean = () => false): Promise<string> {
  return new Promise((resolve) => {
    let answers = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (chunk) => {
      answers += chunk;
      if (isEnough(answers)) socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answers));
  });
}

const count = (text: string, part: string) => text.split(part).length - 1;
const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: shr.example\r\n${more}\r\n`;
const withoutHost = 'GET / HTTP/1.1\r\n\r\n';

function delivery(): string {
  const body = exampleBody();
  const head = [
    'POST /webhooks/github HTTP/1.1',
    'Host: shr.example',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'X-GitHub-Event: workflow_job',
    `X-GitHub-Delivery: ${nextGuid()}`,
    `X-Hub-Signature-256: ${sign(body)}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

describe('pipelined requests', () => {
  for (const [what, request] of [
    ['to no endpoint', () => get('/x')],
    ['with an expectation that nobody knows', () => get('/x', 'Expect: more\r\n')],
  ] as const) {
    it(`end the connection beyond 16 that wait: ${what}`, async () => {
      const fixture = await openPublicFixture();
      try {
        await said(fixture.port, Array.from({ length: 2_000 }, request).join(''));
        expect(fixture.counts.outcomes.get('no-endpoint')).to.be.within(1, 16);
        expect((await fixture.send({})).status).to.equal(202);
      } finally {
        await fixture.close();
      }
    });
  }

  it('are answered up to 16, and any number one after another', async () => {
    const fixture = await openPublicFixture();
    try {
      const few = Array.from({ length: 16 }, () => delivery()).join('');
      const answers = await said(fixture.port, few, (text) => count(text, '"outcome"') === 16);
      expect(count(answers, 'HTTP/1.1 202')).to.equal(16);
      for (let index = 0; index < 50; index += 1) expect((await fixture.send({})).status).to.equal(202);
    } finally {
      await fixture.close();
    }
  });

  for (const [what, request] of [
    ['to /readyz', get('/readyz')],
    ['with an expectation that nobody knows', get('/readyz', 'Expect: more\r\n')],
  ] as const) {
    it(`end the connection to the admin listener beyond 16 that wait: ${what}`, async () => {
      const fixture = await openAdminFixture();
      try {
        const answers = await said(Number(new URL(fixture.url).port), request.repeat(2_000));
        expect(count(answers, 'HTTP/1.1')).to.be.at.most(16);
        expect((await fixture.ask('/api/lanes')).status).to.equal(200);
      } finally {
        await fixture.close();
      }
    });
  }

  for (const [which, open] of [
    [
      'public',
      async () => {
        const fixture = await openPublicFixture();
        return { port: fixture.port, close: () => fixture.close() };
      },
    ],
    [
      'admin',
      async () => {
        const fixture = await openAdminFixture();
        return { port: Number(new URL(fixture.url).port), close: () => fixture.close() };
      },
    ],
  ] as const) {
    for (const [what, request] of [
      ['without a Host', withoutHost],
      ['with a Host', get('/readyz')],
      ['with an expectation that nobody knows', get('/readyz', 'Expect: more\r\n')],
    ] as const) {
      it(`${what} are parsed by the ${which} listener no further than the first beyond 16`, async () => {
        const { port, close } = await open();
        let parsed = 0;
        const onRequest = () => {
          parsed += 1;
        };
        subscribe('http.server.request.start', onRequest);
        try {
          await said(port, request.repeat(2_000));
          expect(parsed).to.be.within(1, 16);
        } finally {
          unsubscribe('http.server.request.start', onRequest);
          await close();
        }
      });
    }

    for (const [what, request] of [
      ['without a Host', withoutHost],
      ['with two Host lines', get('/readyz', 'host: other.example\r\n')],
    ] as const) {
      it(`${what} are refused by the ${which} listener`, async () => {
        const { port, close } = await open();
        try {
          expect(await said(port, request)).to.match(/^HTTP\/1\.1 400 /);
        } finally {
          await close();
        }
      });
    }
  }

  for (const [what, last] of [
    ['by one beyond the bound', get('/')],
    ['by a CONNECT', 'CONNECT shr.example:443 HTTP/1.1\r\nHost: shr.example\r\n\r\n'],
  ] as const) {
    it(`that wait are told that their connection was ended ${what}`, async () => {
      const closed: Promise<unknown>[] = [];
      const server = createPipelineServer({ maxPipelined: 3 }, (_request, response) => {
        closed.push(once(response, 'close'));
      });
      await once(server.listen(0, '127.0.0.1'), 'listening');
      try {
        await said((server.address() as AddressInfo).port, get('/').repeat(3) + last);
        expect(closed).to.have.lengthOf(3);
        await Promise.all(closed);
      } finally {
        server.close();
      }
    });
  }

  it('are parsed no further once their connection was ended', async () => {
    let seen = 0;
    const server = createPipelineServer({ maxPipelined: 100 }, (request) => {
      seen += 1;
      request.socket.destroy();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    try {
      await said((server.address() as AddressInfo).port, get('/').repeat(50));
      expect(seen).to.equal(1);
    } finally {
      server.close();
    }
  });

  it('are answered where they ask for another protocol: in this one', async () => {
    const fixture = await openPublicFixture();
    try {
      const asking = delivery().replace('\r\n', '\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n');
      expect(await said(fixture.port, asking, (text) => text.includes('"outcome"'))).to.match(/^HTTP\/1\.1 202 /);
    } finally {
      await fixture.close();
    }
  });
});
