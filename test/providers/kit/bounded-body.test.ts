import { createServer, get, type RequestListener, type Server } from 'node:http';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { BodyTooLarge, readBounded } from '../../../providers/kit/bounded-body.ts';

describe('a bounded body', () => {
  let server: Server | undefined;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
    server = undefined;
  });

  const serve = async (listener: RequestListener): Promise<string> => {
    const listening = createServer(listener);
    server = listening;
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
    const address = listening.address();
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  };
  const byFetch = async (url: string, mostBytes: number, inspect?: (chunk: Uint8Array) => void) =>
    readBounded((await fetch(url)).body, mostBytes, inspect);
  const byNode = (url: string, mostBytes: number, inspect?: (chunk: Uint8Array) => void) =>
    new Promise<Buffer>((resolve, reject) => {
      get(url, { agent: false }, (response) => readBounded(response, mostBytes, inspect).then(resolve, reject));
    });

  for (const [name, read] of [
    ['fetch', byFetch],
    ['node:http', byNode],
  ] as const) {
    describe(`of ${name}`, () => {
      it('is read whole up to its limit, and refused one byte beyond', async () => {
        const url = await serve((_request, response) => response.end('x'.repeat(100_000)));
        expect((await read(url, 100_000)).toString()).to.equal('x'.repeat(100_000));
        const error = await read(url, 99_999).catch((reason: unknown) => reason);
        expect(error).to.be.instanceOf(BodyTooLarge).with.property('message', 'the answer is larger than 99999 bytes');
      });

      it('ends the connection of a sender without an end, and of one that is refused for its content', async () => {
        let closed = 0;
        const url = await serve((_request, response) => {
          const timer = setInterval(() => response.write('x'.repeat(1_000)), 1);
          response.on('close', () => {
            clearInterval(timer);
            closed += 1;
          });
        });
        expect(await read(url, 50_000).catch((reason: unknown) => reason)).to.be.instanceOf(BodyTooLarge);
        const refusal = new Error('not this');
        const refused = read(url, 50_000, () => {
          throw refusal;
        });
        expect(await refused.catch((reason: unknown) => reason)).to.equal(refusal);
        while (closed < 2) await new Promise(setImmediate);
      });

      it('is not taken for whole when it is cut off', async () => {
        const url = await serve((_request, response) => {
          response.writeHead(200, { 'content-length': 1_000 });
          response.write('x'.repeat(500), () => response.destroy());
        });
        expect(await read(url, 10_000).catch((reason: unknown) => reason)).to.be.instanceOf(Error);
      });
    });
  }

  it('counts what a compressed answer becomes', async () => {
    const bomb = gzipSync(Buffer.alloc(20_000_000));
    expect(bomb.length).to.be.below(50_000);
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
    });
    let read = 0;
    const error = await byFetch(url, 1_000_000, (chunk) => {
      read += chunk.length;
    }).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(BodyTooLarge);
    expect(read).to.be.at.most(1_000_000);
  });

  it('is empty for an answer without a body', async () => {
    expect(await readBounded(null, 1)).to.have.length(0);
  });
});
