import { once } from 'node:events';
import { request } from 'node:http';
import { expect } from 'chai';
import { LedgerError, type LedgerErrorKind } from '../../dispatcher/ledger/ledger.ts';
import { exampleBody, type House, type HouseOptions, nextGuid, openHouse, type Reply, sign } from './reception.ts';

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
  let house: House;
  const open = async (options: HouseOptions = {}) => {
    house = await openHouse(options);
  };
  afterEach(() => house.close());

  describe('bodies', () => {
    const padded = (bytes: number) => `{"padding":"${'x'.repeat(bytes - 14)}"}`;

    it('are refused by their announced length, before they are read', async () => {
      await open({ limits: { maxJobBytes: 20_000 } });
      const reply = await house.send({ body: padded(20_001) });
      expect([reply.status, reply.outcome]).to.deep.equal([413, 'too-large']);
      expect(reply.message).to.contain('20000');
    });

    it('are refused where they pass the limit, when their length is not announced', async () => {
      await open({ limits: { maxJobBytes: 20_000 } });
      const reply = await house.send({
        body: padded(50_000),
        headers: { 'content-length': undefined, 'transfer-encoding': 'chunked' },
      });
      expect([reply.status, reply.outcome]).to.deep.equal([413, 'too-large']);
    });

    it('of exactly the limit are read', async () => {
      await open({ limits: { maxJobBytes: 20_000 } });
      expect((await house.send({ body: padded(20_000) })).status).to.equal(400);
    });

    it('leave the connection usable after a refusal', async () => {
      await open({ limits: { maxJobBytes: 20_000 } });
      house.agent.maxSockets = 1;
      for (let round = 0; round < 3; round += 1) {
        expect((await house.send({ body: padded(3_000_000) })).status).to.equal(413);
        expect((await house.send({})).status).to.equal(202);
      }
      expect(Object.values(house.agent.freeSockets).flat()).to.have.length(1);
    });

    it('of foreign events may be as long as GitHub makes them, and are not kept', async () => {
      await open({ limits: { maxJobBytes: 20_000, maxBufferedBytes: 30_000 } });
      const reply = await house.send({ body: padded(24 * 1024 * 1024), headers: { 'x-github-event': 'push' } });
      expect([reply.status, reply.outcome]).to.deep.equal([200, 'not-ours']);
    });

    it('of foreign events are bounded too', async () => {
      await open();
      const reply = await house.send({ body: padded(26 * 1024 * 1024), headers: { 'x-github-event': 'push' } });
      expect(reply.status).to.equal(413);
    });

    it('that come in many small pieces are put together', async () => {
      await open();
      const body = exampleBody();
      const { outgoing, status } = openDelivery(house.port, body, { 'transfer-encoding': 'chunked' });
      for (let start = 0; start < body.length; start += 100) outgoing.write(body.slice(start, start + 100));
      outgoing.end();
      expect(await status).to.equal(202);
      expect(house.recorder.recorded[0]?.fact?.jobName).to.equal('update');
    });

    it('share one allowance: beyond it 503, and all is well when they are gone', async () => {
      await open({ limits: { maxBufferedBytes: 70_000 } });
      const body = exampleBody();
      const waiting = [0, 1, 2, 3].map(() => openDelivery(house.port, body));
      for (const { outgoing } of waiting) outgoing.write(body.slice(0, -1));
      // Until the four have arrived there is room.
      let greedy = await house.send({ body: padded(60_000) });
      while (greedy.status === 400) greedy = await house.send({ body: padded(60_000) });
      expect([greedy.status, greedy.outcome]).to.deep.equal([503, 'overloaded']);
      expect(greedy.headers['retry-after']).to.match(/^[1-9]\d*$/);
      for (const { outgoing } of waiting) outgoing.end(body.slice(-1));
      expect(await Promise.all(waiting.map(({ status }) => status))).to.deep.equal([202, 202, 202, 202]);
      expect((await house.send({ body: padded(60_000) })).status).to.equal(400);
    });

    it('of senders that go away are forgotten', async () => {
      await open({ limits: { maxInFlight: 1 } });
      const { outgoing } = openDelivery(house.port, exampleBody());
      outgoing.write('{');
      outgoing.on('error', () => {});
      await until(() => outgoing.socket?.bytesWritten !== undefined && outgoing.socket.bytesWritten > 0);
      let reply = await house.send({});
      // The first may not have arrived yet; once it has, the second finds the house full.
      while (reply.status === 202) reply = await house.send({});
      expect(reply.status).to.equal(503);
      outgoing.destroy();
      await until(() => house.counts.outcomes.get('aborted') === 1);
      expect((await house.send({})).status).to.equal(202);
    });
  });

  it('sheds with 503 and Retry-After beyond the deliveries in flight, and takes them again later', async () => {
    await open({ limits: { maxInFlight: 8 } });
    let openGate = () => {};
    house.recorder.gate = new Promise((resolve) => {
      openGate = resolve;
    });
    const early = Array.from({ length: 8 }, () => house.send({}));
    await until(() => house.recorder.batches.length > 0);
    const late: Reply[] = [];
    while (late.length < 5) {
      const reply = await Promise.race([house.send({}), Promise.all(early)]);
      if (!Array.isArray(reply)) late.push(reply);
    }
    for (const reply of late) {
      expect([reply.status, reply.outcome]).to.deep.equal([503, 'overloaded']);
      expect(reply.headers['retry-after']).to.match(/^[1-9]\d*$/);
    }
    openGate();
    const statuses = (await Promise.all(early)).map((reply) => reply.status);
    expect(statuses).to.deep.equal(Array.from({ length: 8 }, () => 202));
    expect((await house.send({})).status).to.equal(202);
  });

  for (const kind of ['full', 'locked', 'unavailable', 'corrupt'] satisfies LedgerErrorKind[]) {
    it(`sheds while the ledger is ${kind}, tells GitHub nothing of it, and recovers by itself`, async () => {
      await open();
      house.recorder.obstacle = () => {
        throw new LedgerError(kind, 'free some room under /var/lib/shr');
      };
      const headers = { 'x-github-delivery': nextGuid() };
      const reply = await house.send({ headers });
      expect([reply.status, reply.outcome]).to.deep.equal([503, 'ledger-unavailable']);
      expect(reply.headers['retry-after']).to.match(/^[1-9]\d*$/);
      expect(reply.text).not.to.contain('/var/lib');
      expect(house.wakes()).to.equal(0);
      house.recorder.obstacle = () => {};
      expect((await house.send({ headers })).status).to.equal(202);
    });
  }

  it('answers 500 for what is nobody’s fault but ours', async () => {
    await open();
    house.recorder.obstacle = () => {
      throw new TypeError('undefined is not a function');
    };
    const reply = await house.send({});
    expect([reply.status, reply.outcome]).to.deep.equal([500, 'failed']);
    expect(reply.text).not.to.contain('function');
    expect(house.log.lines.some((line) => line.event === 'intake.commit-failed')).to.equal(true);
  });

  it('answers nobody before the commit', async () => {
    await open();
    let openGate = () => {};
    house.recorder.gate = new Promise((resolve) => {
      openGate = resolve;
    });
    let answered = false;
    const reply = house.send({}).then((value) => {
      answered = true;
      return value;
    });
    await until(() => house.recorder.batches.length === 1);
    // A delivery that needs no commit overtakes it on another connection.
    expect((await house.send({ headers: { 'x-github-event': 'ping' } })).status).to.equal(200);
    expect(answered).to.equal(false);
    openGate();
    expect((await reply).status).to.equal(202);
  });
});
