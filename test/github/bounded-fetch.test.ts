import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { boundedFetch } from '../../dispatcher/github/bounded-fetch.ts';

describe('a bounded fetch', () => {
  let server: Server;
  let url: string;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;

  beforeEach(async () => {
    server = createServer((request, response) => answer(request, response));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  async function failure(work: Promise<unknown>): Promise<string> {
    try {
      await work;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    throw new Error('it did not fail');
  }

  for (const [how, send] of [
    ['with a length', (response: ServerResponse, body: string) => response.setHeader('content-length', body.length)],
    ['in chunks', (response: ServerResponse) => response.setHeader('transfer-encoding', 'chunked')],
  ] as const) {
    it(`takes an answer of the largest size ${how}, and not a byte more`, async () => {
      let bytes = 1_000;
      answer = (_request, response) => {
        const body = 'x'.repeat(bytes);
        send(response, body);
        response.end(body);
      };
      expect(await (await boundedFetch(url, undefined, 1_000)).text()).to.have.length(1_000);
      bytes = 1_001;
      expect(await failure(boundedFetch(url, undefined, 1_000))).to.include('larger than');
    });
  }

  it('does not wait for the body of an answer that announces too much', async () => {
    let ended = false;
    answer = (request, response) => {
      request.socket.once('close', () => {
        ended = true;
      });
      response.writeHead(200, { 'content-length': 1_001 });
      response.flushHeaders();
    };
    expect(await failure(boundedFetch(url, undefined, 1_000))).to.include('larger than');
    while (!ended) await new Promise(setImmediate);
  });

  it('takes half a million brackets, braces, colons and commas, and not one more', async () => {
    let marks = 500_000;
    answer = (_request, response) => response.end('[{:,'.repeat(marks / 4) + ' '.repeat(10) + '['.repeat(marks % 4));
    expect((await boundedFetch(url)).status).to.equal(200);
    marks = 500_001;
    expect(await failure(boundedFetch(url))).to.include('more values than any of GitHub');
  });

  for (const status of [204, 205, 304]) {
    it(`passes ${status} on, which has no body`, async () => {
      answer = (_request, response) => response.writeHead(status, { 'x-it': 'yes' }).end();
      const response = await boundedFetch(url);
      expect([response.status, response.body, response.headers.get('x-it')]).to.deep.equal([status, null, 'yes']);
    });
  }

  it('follows five redirects, and no sixth', async () => {
    let left = 5;
    answer = (_request, response) => {
      if (left === 0) return response.end('there');
      left -= 1;
      return response.writeHead(302, { location: '/next' }).end();
    };
    expect(await (await boundedFetch(url)).text()).to.equal('there');
    left = 6;
    expect(await failure(boundedFetch(url))).to.include('more than 5 times');
  });

  for (const [status, method, after] of [
    [301, 'POST', 'GET'],
    [302, 'POST', 'GET'],
    [303, 'POST', 'GET'],
    [303, 'PUT', 'GET'],
    [301, 'PUT', 'PUT'],
    [307, 'POST', 'POST'],
    [308, 'POST', 'POST'],
    [302, 'DELETE', 'DELETE'],
  ] as const) {
    it(`sends ${after} after ${status} to ${method}`, async () => {
      const got: { readonly method: string | undefined; readonly body: string }[] = [];
      answer = async (request, response) => {
        let body = '';
        for await (const chunk of request) body += chunk;
        got.push({ method: request.method, body });
        if (got.length === 1) response.writeHead(status, { location: '/next' }).end();
        else response.end('there');
      };
      const response = await boundedFetch(url, { method, body: 'labels' });
      expect(await response.text()).to.equal('there');
      expect(got.at(-1)).to.deep.equal({ method: after, body: after === method ? 'labels' : '' });
    });
  }

  it('passes a redirect on that has no location', async () => {
    answer = (_request, response) => response.writeHead(302).end('no place');
    const response = await boundedFetch(url);
    expect([response.status, await response.text()]).to.deep.equal([302, 'no place']);
  });
});
