import { once } from 'node:events';
import { request } from 'node:http';
import { expect } from 'chai';
import { LedgerError, type LedgerErrorKind } from '../../dispatcher/ledger/ledger.ts';
import {
  exampleBody,
  type Fixture,
  type FixtureOptions,
  nextGuid,
  openFixture,
  type Reply,
  sign,
} from './intake-fixture.ts';

/** Resolves when `condition` holds, looked at once each turn of the event loop. The test's time limit bounds it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** A delivery whose body is written piece by piece. */
function openDelivery(port: number, body: string, headers: Record<string, string> = {}) {
  const outgoing = request({
    host: '127.0.0.1',
    port,
    method: 'POST',
    path: '/webhooks/github',
    headers: {
      'content-type': 'application/json',
      'x-github-delivery': nextGuid(),
      'x-github-event': 'workflow_job',
      'x-hub-signature-256': sign(body),
      ...headers,
    },
  });
  const status = once(outgoing, 'response').then(([response]) => {
    response.resume();
    return Number(response.statusCode);
  });
  status.catch(() => {});
  outgoing.flushHeaders();
  return { outgoing, status };
}

describe('webhook intake under pressure', () => {
  let fixture: Fixture;
  const open = async (options: FixtureOptions = {}) => {
    fixture = await openFixture(options);
  };
  afterEach(() => fixture.close());

  describe('bodies', () => {
    const padded = (bytes: number) => `{"padding":"${'x'.repeat(bytes - 14)}"}`;

    it('are refused by their announced length, before they are read', async () => {
      await open({ limits: { maxJobBytes: 20_000 } });
      const reply = await fixture.send({ body: padded(20_001) });
      expect([reply.status, reply.outcome]).to.deep.equal([413, 'too-large']);
      expect(reply.message).to.contain('20000');
    });

    it('are refused where they pass the limit, when their length is not announced', async () => {
      await open({ limits: { maxJobBytes: 20_000 } });
      const reply = await fixture.send({
        body: padded(50_000),
        headers: { 'content-length': undefined, 'transfer-encoding': 'chunked' },
      });
      expect([reply.status, reply.outcome]).to.deep.equal([413, 'too-large']);
    });

    it('of exactly the limit are read', async () => {
      await open({ limits: { maxJobBytes: 20_000 } });
      expect((await fixture.send({ body: padded(20_000) })).status).to.equal(400);
    });

    it('leave the connection usable after a refusal', async () => {
      await open({ limits: { maxJobBytes: 20_000 } });
      fixture.agent.maxSockets = 1;
      for (let round = 0; round < 3; round += 1) {
        expect((await fixture.send({ body: padded(3_000_000) })).status).to.equal(413);
        expect((await fixture.send({})).status).to.equal(202);
      }
      expect(Object.values(fixture.agent.freeSockets).flat()).to.have.length(1);
    });

    it('of foreign events may be as long as GitHub makes them, and are not kept', async () => {
      await open({ limits: { maxJobBytes: 20_000, maxBufferedBytes: 30_000 } });
      const reply = await fixture.send({ body: padded(24 * 1024 * 1024), headers: { 'x-github-event': 'push' } });
      expect([reply.status, reply.outcome]).to.deep.equal([200, 'not-ours']);
    });

    it('of foreign events are bounded too', async () => {
      await open();
      const reply = await fixture.send({ body: padded(26 * 1024 * 1024), headers: { 'x-github-event': 'push' } });
      expect(reply.status).to.equal(413);
    });

    it('that come in many small pieces are put together', async () => {
      await open();
      const body = exampleBody();
      const { outgoing, status } = openDelivery(fixture.port, body, { 'transfer-encoding': 'chunked' });
      for (let start = 0; start < body.length; start += 100) outgoing.write(body.slice(start, start + 100));
      outgoing.end();
      expect(await status).to.equal(202);
      expect(fixture.recorder.recorded[0]?.fact?.jobName).to.equal('update');
    });

    // W7
    it('share one allowance: beyond it the oldest unfinished one gives way, and the newest is taken', async () => {
      await open({ limits: { maxBufferedBytes: 70_000 } });
      const body = exampleBody();
      const waiting = [];
      for (let index = 0; index < 4; index += 1) {
        const delivery = openDelivery(fixture.port, body);
        delivery.outgoing.write(body.slice(0, -1));
        waiting.push(delivery);
      }
      // Until the first of the four has given way there was room, or they have not all arrived.
      while (!fixture.counts.outcomes.has('gave-way')) {
        expect((await fixture.send({ body: padded(60_000) })).status).to.equal(400);
      }
      expect(fixture.losses.map(({ cause, verified }) => [cause, verified])).to.deep.include(['memory', false]);
      const statuses = await Promise.all(
        waiting.map(({ outgoing, status }) => {
          outgoing.end(body.slice(-1));
          return status.catch(() => 0);
        }),
      );
      // The oldest first: what was turned away stands before what was served.
      const turnedAway = statuses.filter((status) => status !== 202).length;
      expect(statuses.slice(turnedAway)).to.deep.equal(Array.from({ length: 4 - turnedAway }, () => 202));
      expect(turnedAway).to.be.within(1, 4);
      expect((await fixture.send({ body: padded(60_000) })).status).to.equal(400);
    });

    it('have room by what has arrived, whatever length they announce', async () => {
      await open({ limits: { maxBufferedBytes: 400_000 } });
      const held = Array.from({ length: 64 }, () =>
        openDelivery(fixture.port, '{', { 'content-length': String(1024 * 1024) }),
      );
      for (const { outgoing } of held) outgoing.write('{"padding":"');
      for (let round = 0; round < 20; round += 1) expect((await fixture.send({})).status).to.equal(202);
      expect(fixture.counts.outcomes.get('gave-way')).to.equal(undefined);
      for (const { outgoing } of held) outgoing.on('error', () => {}).destroy();
    });

    it('of senders that go away are forgotten', async () => {
      await open({ limits: { maxBufferedBytes: 200_000 } });
      for (let round = 1; round <= 5; round += 1) {
        const { outgoing } = openDelivery(fixture.port, exampleBody());
        outgoing.on('error', () => {});
        await new Promise((resolve) => outgoing.write('x'.repeat(80_000), resolve));
        await fixture.send({ headers: { 'x-github-event': 'ping' } });
        outgoing.destroy();
        await until(() => fixture.counts.outcomes.get('aborted') === round);
      }
      expect(fixture.counts.outcomes.get('gave-way')).to.equal(undefined);
    });

    it('in pieces of single bytes are refused before they cost a processor', async () => {
      await open();
      const body = exampleBody();
      const { outgoing, status } = openDelivery(fixture.port, body, { 'transfer-encoding': 'chunked' });
      outgoing.on('error', () => {});
      outgoing.setNoDelay(true);
      for (const byte of body) outgoing.write(byte);
      outgoing.end();
      expect(await status.catch(() => 400)).to.equal(400);
      await until(() => fixture.counts.outcomes.get('fragmented') === 1);
      expect((await fixture.send({})).status).to.equal(202);
    });

    // T10
    it('of a job have exactly the bound that production has: 1 MiB', async () => {
      await open();
      const mebibyte = 1024 * 1024;
      expect((await fixture.send({ body: padded(mebibyte) })).status).to.equal(400);
      expect((await fixture.send({ body: padded(mebibyte + 1) })).status).to.equal(413);
    });

    it('of a job of any size up to the bound are recorded', async () => {
      await open();
      const event: unknown = JSON.parse(exampleBody());
      const body = JSON.stringify({ ...(typeof event === 'object' ? event : {}), padding: 'x'.repeat(1_000_000) });
      expect((await fixture.send({ body })).status).to.equal(202);
    });
  });

  it('sheds with 503 and Retry-After beyond the deliveries that wait, and takes them again later', async () => {
    await open({ limits: { maxWaiting: 8, maxGroup: 1 } });
    let openGate = () => {};
    fixture.recorder.gate = new Promise((resolve) => {
      openGate = resolve;
    });
    const all = Array.from({ length: 14 }, () => fixture.send({}));
    const late: Reply[] = [];
    for (const reply of all) void reply.then((value) => value.status === 503 && late.push(value));
    // One is being committed, eight wait.
    await until(() => late.length === 5);
    for (const reply of late) {
      expect([reply.status, reply.outcome]).to.deep.equal([503, 'overloaded']);
      expect(reply.headers['retry-after']).to.match(/^[1-9]\d*$/);
    }
    expect(fixture.losses).to.have.length(5);
    expect(fixture.losses[0]).to.include({ cause: 'queue', verified: true });
    openGate();
    const statuses = (await Promise.all(all)).map((reply) => reply.status).sort();
    expect(statuses).to.deep.equal([...Array(9).fill(202), ...Array(5).fill(503)]);
    expect((await fixture.send({})).status).to.equal(202);
  });

  for (const kind of ['full', 'locked', 'unavailable', 'corrupt'] satisfies LedgerErrorKind[]) {
    it(`sheds while the ledger is ${kind}, tells GitHub nothing of it, and recovers by itself`, async () => {
      await open();
      fixture.recorder.obstacle = () => {
        throw new LedgerError(kind, 'free some room under /var/lib/shr');
      };
      const headers = { 'x-github-delivery': nextGuid() };
      const reply = await fixture.send({ headers });
      expect([reply.status, reply.outcome]).to.deep.equal([503, 'ledger-unavailable']);
      expect(reply.headers['retry-after']).to.match(/^[1-9]\d*$/);
      expect(reply.text).not.to.contain('/var/lib');
      expect(fixture.wakes()).to.equal(0);
      fixture.recorder.obstacle = () => {};
      expect((await fixture.send({ headers })).status).to.equal(202);
    });
  }

  it('asks to come again in a minute where a tenant has as many open jobs as it may', async () => {
    await open({ ledger: { recordDeliveries: async (batch) => batch.map(() => 'full' as const) } });
    const reply = await fixture.send({});
    expect([reply.status, reply.outcome, reply.headers['retry-after']]).to.deep.equal([429, 'overloaded', '60']);
    expect(fixture.losses.map(({ cause, verified }) => [cause, verified])).to.deep.equal([['queue', true]]);
    expect(fixture.wakes()).to.equal(0);
  });

  it('answers 500 for a defect of ours', async () => {
    await open();
    fixture.recorder.obstacle = () => {
      throw new TypeError('undefined is not a function');
    };
    const reply = await fixture.send({});
    expect([reply.status, reply.outcome]).to.deep.equal([500, 'failed']);
    expect(reply.text).not.to.contain('function');
    expect(fixture.log.lines.some((line) => line.event === 'intake.commit-failed')).to.equal(true);
  });

  it('answers no delivery before its commit', async () => {
    await open();
    let openGate = () => {};
    fixture.recorder.gate = new Promise((resolve) => {
      openGate = resolve;
    });
    let answered = false;
    const reply = fixture.send({}).then((value) => {
      answered = true;
      return value;
    });
    await until(() => fixture.recorder.batches.length === 1);
    // A delivery that needs no commit overtakes it on another connection.
    expect((await fixture.send({ headers: { 'x-github-event': 'ping' } })).status).to.equal(200);
    expect(answered).to.equal(false);
    openGate();
    expect((await reply).status).to.equal(202);
  });
});
