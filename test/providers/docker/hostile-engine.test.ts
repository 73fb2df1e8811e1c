/** A tenant's own engine may answer anything. What it answers is read no further than any engine's. */
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline, Readable } from 'node:stream';
import { expect } from 'chai';
import dockerModule from '../../../providers/docker/index.ts';
import { type LaunchRequest, type Provider, ProviderError } from '../../../providers/provider.ts';
import { testHost } from '../../conformance/harness.ts';

const MEGABYTE = Buffer.alloc(1024 * 1024, ' ');

describe('provider docker, with an engine of a tenant', () => {
  let server: Server;
  let provider: Provider;
  let answer: (url: string, response: ServerResponse) => void;
  let sentBytes: number;

  beforeEach(async () => {
    sentBytes = 0;
    server = createServer(({ url = '' }, response) => answer(url, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const options = dockerModule.options.parse({ host: '127.0.0.1', port, timeoutMs: 60_000, pullTimeoutMs: 60_000 });
    provider = dockerModule.create(options, testHost());
  });
  afterEach(async () => {
    await provider.close();
    server.closeAllConnections();
    server.close();
  });

  /** As long as somebody reads it, a gigabyte at most. */
  function endless(response: ServerResponse, chunk: Buffer = MEGABYTE): void {
    const chunks = function* () {
      for (; sentBytes < 2 ** 30; sentBytes += chunk.length) yield chunk;
    };
    pipeline(Readable.from(chunks()), response, () => {});
  }

  const request: LaunchRequest = {
    name: 'hostile-1',
    shape: {
      cpu: 1,
      memoryGiB: 1,
      architecture: 'x64',
      image: 'ghcr.io/acme/runner:1',
      spot: false,
      dockerInDocker: false,
    },
    tags: {
      dispatcher: 'd1',
      registration: 'acme',
      lane: 'l1',
      scope: 'orgs/acme',
      runner: 'hostile-1',
      createdAtMs: 1,
      deadlineAtMs: 2,
      charge: {},
    },
    environment: {},
    secretEnvironment: {},
  };

  const refusal = async (promise: Promise<unknown>): Promise<ProviderError> => {
    const error = await promise.catch((caught: unknown) => caught);
    if (error instanceof ProviderError) return error;
    throw new Error(`not refused: ${JSON.stringify(error)}`);
  };

  for (const [what, status] of [
    ['a list', 200],
    ['a refusal', 500],
  ] as const) {
    it(`reads ${what} without end no further than any engine’s`, async () => {
      answer = (_, response) => {
        response.writeHead(status);
        endless(response);
      };
      expect((await refusal(provider.list({ dispatcher: 'd1' }))).message).to.include('larger than');
      expect(sentBytes).to.be.lessThan(64 * MEGABYTE.length);
    });
  }

  it('does not parse an answer of brackets', async () => {
    answer = (_, response) => endless(response, Buffer.alloc(1024 * 1024, '['));
    expect((await refusal(provider.list({ dispatcher: 'd1' }))).message).to.include('more values');
    expect(sentBytes).to.be.lessThan(16 * MEGABYTE.length);
  });

  it('reads no line of a pull without end', async () => {
    answer = (url, response) => {
      if (url.includes('/images/create')) endless(response);
      else response.writeHead(404).end('{"message":"No such image"}');
    };
    expect((await refusal(provider.launch(request))).message).to.include('a line of the answer');
    expect(sentBytes).to.be.lessThan(16 * MEGABYTE.length);
  });

  it('tells the words of an engine that refuses, and takes what is absent for absent', async () => {
    answer = (_, response) => response.writeHead(404).end('{"message":"No such container: hostile-1"}');
    expect(await provider.inspect({ name: 'hostile-1' })).to.equal(undefined);
    answer = (_, response) => response.writeHead(500).end('{"message":"no space left on device"}');
    expect(await refusal(provider.list({ dispatcher: 'd1' }))).to.include({ kind: 'capacity', code: '500' });
    answer = (_, response) => response.writeHead(502).end('<html>a proxy</html>');
    expect(await refusal(provider.list({ dispatcher: 'd1' }))).to.include({ kind: 'transient', code: 'http-502' });
    answer = (_, response) => response.end('[]');
    expect(await provider.list({ dispatcher: 'd1' })).to.deep.equal([]);
  });
});
