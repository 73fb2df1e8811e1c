/**
 * What strangers can send to the public listener, with its production limits, on real sockets. Meanwhile GitHub delivers,
 * from the same address: behind an ingress everybody has one.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect, Socket } from 'node:net';
import { expect } from 'chai';
import { exampleBody, type Fixture, nextGuid, openFixture, sign } from '../intake/intake-fixture.ts';

const senders = 2_000;

function head(more: readonly string[]): string {
  return ['POST /webhooks/github HTTP/1.1', 'Host: dispatcher.example', ...more, '', ''].join('\r\n');
}

const unsigned = head(['Content-Type: application/json', 'Content-Length: 2']);

function claimed(event: string, bytes: number | 'chunked', more: readonly string[] = []): string {
  return head([
    'Content-Type: application/json',
    bytes === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes}`,
    `X-GitHub-Event: ${event}`,
    `X-GitHub-Delivery: ${nextGuid()}`,
    `X-Hub-Signature-256: sha256=${'0'.repeat(64)}`,
    ...more,
  ]);
}

/** Many senders that come back some seconds after they were cut off, until they are stopped. */
class Crowd {
  readonly #port: number;
  readonly #behave: (socket: Socket) => void;
  readonly #sockets = new Set<Socket>();
  #stopped = false;
  cutOff = 0;

  constructor(port: number, behave: (socket: Socket) => void) {
    this.#port = port;
    this.#behave = behave;
  }

  /** Resolves when all have connected once. */
  async come(count: number): Promise<void> {
    for (let index = 0; index < count; index += 250) {
      await Promise.all(Array.from({ length: Math.min(250, count - index) }, () => this.#dial()));
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #dial(): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect(this.#port, '127.0.0.1');
      this.#sockets.add(socket);
      socket.on('connect', () => {
        this.#behave(socket);
        resolve();
      });
      socket.on('error', () => {});
      socket.resume();
      socket.on('close', () => {
        this.#sockets.delete(socket);
        resolve();
        if (this.#stopped) return;
        this.cutOff += 1;
        const timer = setTimeout(() => {
          if (!this.#stopped) void this.#dial();
        }, 10_000);
        timer.unref();
      });
    });
  }
}

describe('strangers at the public listener', function () {
  // Seconds on a quiet machine.
  this.timeout(150_000);
  let fixture: Fixture;
  let crowd: Crowd | undefined;
  afterEach(async () => {
    crowd?.stop();
    await fixture.close();
  });

  /** Half of them on new connections, as GitHub and as an ingress deliver. */
  async function deliver(count: number) {
    const took: number[] = [];
    const cpu = process.cpuUsage();
    const loop = performance.eventLoopUtilization();
    const statuses = new Map<number, number>();
    for (let index = 0; index < count; index += 5) {
      const batch = Array.from({ length: 5 }, async (_, one) => {
        const startedAtMs = performance.now();
        const headers = one % 2 === 0 ? { connection: 'close' } : {};
        const { status } = await fixture.send({ headers });
        took.push(performance.now() - startedAtMs);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      });
      await Promise.all(batch);
    }
    took.sort((one, other) => one - other);
    const { user, system } = process.cpuUsage(cpu);
    // How much longer the work took than it would have, had other programs not taken the processor: 1 on a quiet machine.
    const slowdown = Math.max(1, performance.eventLoopUtilization(loop).active / ((user + system) / 1000));
    const p99Ms = took[Math.floor(took.length * 0.99) - 1] ?? 0;
    return { statuses: Object.fromEntries(statuses), p99Ms, slowdown };
  }

  // W7
  for (const [what, behave] of [
    [
      'stall in their bodies',
      (socket: Socket) => {
        socket.write(`${claimed('workflow_job', 20_000)}{`);
      },
    ],
    [
      'announce a megabyte each, and send a kilobyte of it',
      (socket: Socket) => {
        socket.write(`${claimed('workflow_job', 1024 * 1024)}${'x'.repeat(1024)}`);
      },
    ],
    [
      'stall in their headers',
      (socket: Socket) => {
        socket.write('POST /webhooks/github HTTP/1.1\r\nHost: dispatcher.example\r\nX-A: ');
      },
    ],
    [
      'idle after a refused request',
      (socket: Socket) => {
        socket.write(`${unsigned}{}`);
      },
    ],
    ['say nothing', () => {}],
  ] as const) {
    it(`leave signed deliveries answered when ${senders} of them, from the same address, ${what}`, async () => {
      fixture = await openFixture();
      const quiet = await deliver(40);
      crowd = new Crowd(fixture.port, behave);
      await crowd.come(senders);
      // First while all of them come at once, which is mostly this process's own work, then while they stay and return.
      expect((await deliver(40)).statuses).to.deep.equal({ 202: 40 });
      const { statuses, p99Ms, slowdown } = await deliver(80);
      expect(statuses).to.deep.equal({ 202: 80 });
      // A second, or on a machine that is busy with other things what it makes of such deliveries anyway.
      expect(p99Ms / slowdown, `${p99Ms} ms, slowed down by ${slowdown}`).to.be.lessThan(
        Math.max(1_000, 10 * quiet.p99Ms),
      );
      while (crowd.cutOff < senders / 2) await new Promise((resolve) => setTimeout(resolve, 20));
      expect(fixture.losses.some(({ verified }) => verified)).to.equal(false);
    });
  }

  it('are cut off when their bodies drip', async () => {
    fixture = await openFixture({ publicLimits: { bodyGraceMs: 1_000 } });
    const drips = new Set<NodeJS.Timeout>();
    crowd = new Crowd(fixture.port, (socket) => {
      socket.write(claimed('workflow_job', 20_000));
      const drip = setInterval(() => socket.write('x'), 100);
      drips.add(drip);
      socket.on('close', () => clearInterval(drip));
    });
    await crowd.come(50);
    while (crowd.cutOff < 50) await new Promise((resolve) => setTimeout(resolve, 50));
    for (const drip of drips) clearInterval(drip);
    expect(fixture.counts.outcomes.get('slow') ?? 0).to.be.at.least(50);
    expect(fixture.losses[0]).to.include({ cause: 'slow', verified: false, from: '127.0.0.1' });
  });

  it('leave signed deliveries answered when they pipeline', async () => {
    fixture = await openFixture();
    const many = `${unsigned}{}`.repeat(100);
    crowd = new Crowd(fixture.port, (socket) => {
      const flow = () => {
        if (socket.write(many)) setTimeout(flow, 100);
      };
      socket.on('drain', flow);
      flow();
    });
    await crowd.come(4);
    const { statuses } = await deliver(50);
    expect(statuses).to.deep.equal({ 202: 50 });
  });

  it('leave signed deliveries answered when they send 25 MB of other events', async () => {
    fixture = await openFixture();
    const piece = Buffer.alloc(64 * 1024, 'x');
    crowd = new Crowd(fixture.port, (socket) => {
      socket.write(claimed('push', 25 * 1024 * 1024));
      const flow = () => {
        while (socket.writable && socket.write(piece));
      };
      socket.on('drain', flow);
      flow();
    });
    await crowd.come(8);
    const { statuses } = await deliver(50);
    expect(statuses).to.deep.equal({ 202: 50 });
  });

  it('leave signed deliveries answered when they send chunks of one byte', async () => {
    fixture = await openFixture();
    const crumbs = '1\r\nx\r\n'.repeat(20_000);
    crowd = new Crowd(fixture.port, (socket) => {
      socket.write(claimed('push', 'chunked') + crumbs);
    });
    await crowd.come(50);
    const { statuses } = await deliver(50);
    expect(statuses).to.deep.equal({ 202: 50 });
    expect(fixture.counts.outcomes.get('fragmented') ?? 0).to.be.at.least(50);
  });

  it('take places of their own address alone, which listed proxies tell', async () => {
    fixture = await openFixture({ trustedProxies: ['127.0.0.0/8'], publicLimits: { maxUnfinishedPerAddress: 4 } });
    const half = (address: string) =>
      new Promise<Socket>((resolve) => {
        const socket = connect(fixture.port, '127.0.0.1', () => {
          socket.write(`${claimed('workflow_job', 20_000, [`X-Forwarded-For: ${address}`])}{`, () => resolve(socket));
        });
        socket.on('error', () => {});
        socket.resume();
      });
    const patient = await half('203.0.113.1');
    const crowded = await Promise.all(Array.from({ length: 40 }, () => half('203.0.113.2')));
    while (crowded.filter((socket) => socket.closed).length < 36) await new Promise((resolve) => setImmediate(resolve));
    expect(patient.closed).to.equal(false);
    expect(new Set(fixture.losses.map(({ from }) => from))).to.deep.equal(new Set(['203.0.113.2']));
    for (const socket of [patient, ...crowded]) socket.destroy();
  });

  it('do not end a connection that waits for its answer', async () => {
    fixture = await openFixture({ publicLimits: { maxConnections: 20, maxUnfinishedPerAddress: 4 } });
    let openGate = () => {};
    fixture.recorder.gate = new Promise((resolve) => {
      openGate = resolve;
    });
    const whole = Array.from({ length: 10 }, () => fixture.send({}));
    while (fixture.recorder.batches.length === 0) await new Promise((resolve) => setImmediate(resolve));
    crowd = new Crowd(fixture.port, (socket) => {
      socket.write(`${claimed('workflow_job', 20_000)}{`);
    });
    await crowd.come(60);
    openGate();
    expect((await Promise.all(whole)).map(({ status }) => status)).to.deep.equal(Array.from({ length: 10 }, () => 202));
  });

  it('get an answer when their half request gives way', async () => {
    fixture = await openFixture({ publicLimits: { maxUnfinishedPerAddress: 2 } });
    const body = exampleBody();
    await fixture.send({});
    const socket = connect(fixture.port, '127.0.0.1');
    let said = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    socket.on('error', () => {});
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(
      `${head([
        'Content-Type: application/json',
        `Content-Length: ${body.length}`,
        'X-GitHub-Event: workflow_job',
        `X-GitHub-Delivery: ${nextGuid()}`,
        `X-Hub-Signature-256: ${sign(body)}`,
      ])}${body.slice(0, 100)}`,
    );
    // On the connection of before, until the half request has surely arrived.
    for (let round = 0; round < 5; round += 1) expect((await fixture.send({})).status).to.equal(202);
    const others = [0, 1].map(() => connect(fixture.port, '127.0.0.1').on('error', () => {}));
    await closed;
    for (const other of others) other.destroy();
    expect(said).to.match(/^HTTP\/1\.1 503 /);
    expect(said.toLowerCase()).to.include('retry-after: ').and.include('connection: close');
  });

  it('lose their connection when their half request gives way and they have read no answer', async () => {
    fixture = await openFixture({ publicLimits: { maxUnfinishedPerAddress: 2 } });
    let begun = 0;
    const onRequest = (message: unknown) => {
      begun += 1;
      if (typeof message !== 'object' || message === null || !('socket' in message)) return;
      if (!(message.socket instanceof Socket)) return;
      // As if the system took no more bytes for a sender that does not read; megabytes of answers, in truth.
      message.socket.cork();
      Object.assign(message.socket, { uncork() {} });
    };
    subscribe('http.server.request.start', onRequest);
    try {
      const socket = connect(fixture.port, '127.0.0.1').resume();
      socket.on('error', () => {});
      const closed = new Promise((resolve) => socket.once('close', resolve));
      for (const request of [`${unsigned}{}`, `${claimed('workflow_job', 20_000)}{`]) {
        const before = begun;
        socket.write(request);
        while (begun === before) await new Promise((resolve) => setImmediate(resolve));
      }
      const others = [0, 1].map(() => connect(fixture.port, '127.0.0.1').on('error', () => {}));
      await closed;
      for (const other of others) other.destroy();
      expect(fixture.losses.map(({ cause }) => cause)).to.deep.equal(['connections']);
    } finally {
      unsubscribe('http.server.request.start', onRequest);
    }
  });
});
