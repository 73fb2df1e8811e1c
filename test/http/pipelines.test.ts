/** Many requests on one connection, before the first of them was answered. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { expect } from 'chai';
import { exampleBody, nextGuid, openHouse as openPublicHouse, sign } from '../intake/reception.ts';
import { openHouse as openAdminHouse } from './admin-house.ts';

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
      const house = await openPublicHouse();
      try {
        await said(house.port, Array.from({ length: 2_000 }, request).join(''));
        expect(house.counts.outcomes.get('no-endpoint')).to.be.within(1, 16);
        expect((await house.send({})).status).to.equal(202);
      } finally {
        await house.close();
      }
    });
  }

  it('are answered up to 16, and any number one after another', async () => {
    const house = await openPublicHouse();
    try {
      const few = Array.from({ length: 16 }, () => delivery()).join('');
      const answers = await said(house.port, few, (text) => count(text, '"outcome"') === 16);
      expect(count(answers, 'HTTP/1.1 202')).to.equal(16);
      for (let index = 0; index < 50; index += 1) expect((await house.send({})).status).to.equal(202);
    } finally {
      await house.close();
    }
  });

  for (const [what, request] of [
    ['to /readyz', get('/readyz')],
    ['with an expectation that nobody knows', get('/readyz', 'Expect: more\r\n')],
  ] as const) {
    it(`end the connection to the admin listener beyond 16 that wait: ${what}`, async () => {
      const house = await openAdminHouse();
      try {
        const answers = await said(Number(new URL(house.url).port), request.repeat(2_000));
        expect(count(answers, 'HTTP/1.1')).to.be.at.most(16);
        expect((await house.ask('/api/lanes')).status).to.equal(200);
      } finally {
        await house.close();
      }
    });
  }

  for (const [which, open] of [
    [
      'public',
      async () => {
        const house = await openPublicHouse();
        return { port: house.port, close: () => house.close() };
      },
    ],
    [
      'admin',
      async () => {
        const house = await openAdminHouse();
        return { port: Number(new URL(house.url).port), close: () => house.close() };
      },
    ],
  ] as const) {
    it(`without a Host are refused by the ${which} listener, 16 of a connection at most`, async () => {
      const { port, close } = await open();
      const responses: ServerResponse[] = [];
      const onRequest = (message: unknown) => {
        if (typeof message !== 'object' || message === null || !('response' in message)) return;
        if (message.response instanceof ServerResponse) responses.push(message.response);
      };
      subscribe('http.server.request.start', onRequest);
      try {
        expect(await said(port, withoutHost)).to.match(/^HTTP\/1\.1 400 /);
        await said(port, withoutHost.repeat(2_000));
        expect(responses).to.have.lengthOf.above(1 + 16);
        expect(responses.filter(({ headersSent }) => headersSent)).to.have.lengthOf.at.most(1 + 16);
      } finally {
        unsubscribe('http.server.request.start', onRequest);
        await close();
      }
    });
  }
});
