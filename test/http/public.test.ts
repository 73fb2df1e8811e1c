import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect } from 'chai';
import { createPublicListener } from '../../dispatcher/http/public.ts';
import { systemClock } from '../../time/clock.ts';
import {
  exampleBody,
  type Fixture,
  type FixtureOptions,
  nextGuid,
  openFixture,
  sign,
} from '../intake/intake-fixture.ts';

/** What the server says on a raw connection until it closes it. */
async function untilClosed(socket: Socket): Promise<string> {
  let said = '';
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    said += text;
  });
  socket.on('error', () => {});
  // Not `once`, which rejects on the reset that a cut-off sender may see.
  await new Promise((resolve) => socket.once('close', resolve));
  return said;
}

async function eventually(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(setImmediate);
}

function head(body: string, more: readonly string[] = []): string {
  return [
    'POST /webhooks/github HTTP/1.1',
    'Host: dispatcher.example',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'X-GitHub-Event: workflow_job',
    `X-GitHub-Delivery: ${nextGuid()}`,
    `X-Hub-Signature-256: ${sign(body)}`,
    ...more,
    '',
    '',
  ].join('\r\n');
}

describe('the public listener', () => {
  let fixture: Fixture;
  const open = async (options: FixtureOptions = {}) => {
    fixture = await openFixture(options);
  };
  const dial = () => connect(fixture.port, '127.0.0.1');
  afterEach(() => fixture.close());

  for (const path of [
    '/',
    '/webhooks',
    '/webhooks/github/',
    '/webhooks/github/a/b',
    '/webhooks/github/A',
    '/healthz',
  ]) {
    it(`has nothing at ${path}, and says where webhooks go`, async () => {
      await open();
      const reply = await fixture.send({ path });
      expect([reply.status, reply.outcome]).to.deep.equal([404, 'no-endpoint']);
      expect(reply.message).to.contain('/webhooks/github');
    });
  }

  it('does not mind a query', async () => {
    await open();
    expect((await fixture.send({ path: '/webhooks/github?from=github' })).status).to.equal(202);
  });

  for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) {
    it(`takes no ${method}`, async () => {
      await open();
      const reply = await fixture.send({ method });
      expect(reply.status).to.equal(405);
      expect(reply.headers.allow).to.equal('POST');
    });
  }

  it('names neither its software nor its version', async () => {
    await open();
    const { headers } = await fixture.send({});
    expect(Object.keys(headers)).to.have.members([
      'content-type',
      'content-length',
      'date',
      'connection',
      'keep-alive',
    ]);
  });

  it('cuts off a sender that never ends its headers', async () => {
    await open({ publicLimits: { headersTimeoutMs: 300, requestTimeoutMs: 300 } });
    const socket = dial();
    socket.write('POST /webhooks/github HTTP/1.1\r\nHost: dispatcher.example\r\n');
    expect(await untilClosed(socket)).to.match(/^HTTP\/1\.1 408 /);
    expect(fixture.counts.outcomes.get('slow')).to.equal(1);
  });

  it('cuts off a sender whose body drips, and gives back what it held', async () => {
    await open({ publicLimits: { headersTimeoutMs: 300, requestTimeoutMs: 300 } });
    const body = exampleBody();
    const socket = dial();
    socket.write(head(body));
    let sent = 0;
    const drip = setInterval(() => {
      if (socket.writable) socket.write(body[sent] ?? '');
      sent += 1;
    }, 20);
    const said = await untilClosed(socket);
    clearInterval(drip);
    expect(said).to.match(/^HTTP\/1\.1 408 /);
    expect(sent).to.be.lessThan(body.length);
    expect((await fixture.send({})).status).to.equal(202);
  });

  it('bounds the headers', async () => {
    await open();
    const socket = dial();
    socket.write(head('{}', [`X-Padding: ${'x'.repeat(20_000)}`]));
    expect(await untilClosed(socket)).to.match(/^HTTP\/1\.1 431 /);
  });

  it('answers a request that is not HTTP with 400, and serves the next', async () => {
    await open();
    const socket = dial();
    socket.write('\x16\x03\x01 hello?\r\n\r\n');
    expect(await untilClosed(socket)).to.match(/^HTTP\/1\.1 400 /);
    expect((await fixture.send({})).status).to.equal(202);
  });

  it('closes the connection of a sender that never reads its answers', async function () {
    // Some 15,000 answers fit into the system's buffers.
    this.timeout(60_000);
    await open({ publicLimits: { keepAliveMs: 200, headersTimeoutMs: 200, requestTimeoutMs: 200 } });
    const accepted: Socket[] = [];
    const onSocket = (message: unknown) => {
      if (typeof message === 'object' && message !== null && 'socket' in message)
        accepted.push(message.socket as Socket);
    };
    subscribe('net.server.socket', onSocket);
    const socket = dial();
    try {
      socket.on('error', () => {});
      await once(socket, 'connect');
      await eventually(() => accepted[0] !== undefined);
      const server = accepted[0];
      if (server === undefined) throw new Error('no connection');
      const closed = once(server, 'close');
      // Until the system's buffers are full, and answers stay with us.
      while (server.writableLength === 0 && !server.destroyed) {
        socket.write('GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(8));
        const isRead = () => server.bytesRead === socket.bytesWritten;
        await eventually(() => isRead() || server.writableLength > 0 || server.destroyed);
      }
      expect(server.destroyed, 'it is not the bound on pipelining').to.equal(false);
      await closed;
    } finally {
      unsubscribe('net.server.socket', onSocket);
      socket.destroy();
    }
  });

  it('bounds the connections: the oldest that is unfinished gives way to the newest', async () => {
    await open({ publicLimits: { maxConnections: 3 } });
    const held: Socket[] = [];
    for (let count = 0; count < 3; count += 1) {
      const socket = dial();
      held.push(socket);
      await once(socket, 'connect');
    }
    const closed = held.map(untilClosed);
    expect((await fixture.send({})).status).to.equal(202);
    expect(await closed[0]).to.equal('');
    expect(held.slice(1).map((socket) => socket.readyState)).to.deep.equal(['open', 'open']);
    for (const socket of held) socket.destroy();
  });

  it('stops reading from a sender that goes on and on after its refusal', async () => {
    await open({ publicLimits: { maxDiscardedBytes: 100_000 } });
    const socket = dial();
    const closed = untilClosed(socket);
    socket.write('POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n');
    const more = 'x'.repeat(50_000);
    let sent = 0;
    const flow = () => {
      while (socket.writable && !socket.destroyed) {
        sent += more.length;
        if (!socket.write(more)) return;
      }
    };
    socket.on('drain', flow);
    flow();
    expect(await closed).to.match(/^HTTP\/1\.1 404 /);
    expect(sent).to.be.lessThan(100_000_000);
  });

  it('rejects with the system’s error where the port is taken', async () => {
    await open();
    const other = createPublicListener({
      intake: { receive: () => ({ status: 500, outcome: 'failed', message: 'nobody calls it' }) },
      clock: systemClock,
      metrics: fixture.counts,
    });
    const failure = await other.listen('127.0.0.1', fixture.port).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).to.have.property('code', 'EADDRINUSE');
  });

  describe('when closing', () => {
    it('answers what is in flight, takes nothing more, and is done', async () => {
      await open();
      let openGate = () => {};
      fixture.recorder.gate = new Promise((resolve) => {
        openGate = resolve;
      });
      const reply = fixture.send({});
      while (fixture.recorder.batches.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const closed = fixture.listener.close(10_000);
      const refused = await fixture.send({}).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(refused).to.have.property('code', 'ECONNREFUSED');
      openGate();
      const { status, headers } = await reply;
      expect([status, headers.connection]).to.deep.equal([202, 'close']);
      await closed;
    });

    it('does not wait for idle connections', async () => {
      await open();
      await fixture.send({});
      expect(Object.values(fixture.agent.freeSockets).flat()).to.have.length(1);
      await fixture.listener.close(6_000);
    });

    it('cuts off what does not end in time', async () => {
      await open();
      const socket = dial();
      const closed = untilClosed(socket);
      socket.write(head(exampleBody()));
      await fixture.send({});
      await fixture.listener.close(50);
      expect(await closed).to.equal('');
    });
  });
});
