/** Whether the public address leads here: on the wire, and by the clock. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { expect } from 'chai';
import { type AddressReply, addressCaller, type CallAddress } from '../../dispatcher/callbacks/address-call.ts';
import { createAddressProof, PROOF_PATH, proverOf } from '../../dispatcher/callbacks/address-proof.ts';
import { addressInWords, isAmiss, OwnAddress } from '../../dispatcher/callbacks/own-address.ts';
import { newCallbackToken } from '../../dispatcher/lifecycle/callback-token.ts';
import { makeCertificate } from '../../simulators/azure-aci/certificate.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import { VirtualClock } from '../github/virtual-clock.ts';
import { type Fixture, LogLines, openFixture } from '../intake/intake-fixture.ts';

const HOUR = 60 * MINUTE;
const NONCE = 'a'.repeat(32);
const KEY = 'k'.repeat(32);
const ID = 'shr';

describe('the proof that the public address leads to this process', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await openFixture({ addressProof: createAddressProof({ key: KEY, id: ID }) });
  });
  afterEach(() => fixture.close());

  const ask = async (body: string, method = 'POST') => {
    const answer = await fetch(`http://127.0.0.1:${fixture.port}${PROOF_PATH}`, {
      method,
      ...(method === 'POST' ? { body } : {}),
    });
    return { status: answer.status, text: await answer.text() };
  };

  it('holds for one nonce and one key', async () => {
    const { status, text } = await ask(`nonce=${NONCE}`);
    expect(status).to.equal(200);
    expect(proverOf(text, NONCE, { key: KEY, id: ID })).to.equal('process');
    expect(proverOf(text, NONCE, { key: 'another', id: ID })).to.equal('dispatcher');
    expect(proverOf(text, NONCE, { key: 'another', id: 'other' })).to.equal('another dispatcher');
    expect(proverOf(text, 'b'.repeat(32), { key: KEY, id: ID })).to.equal('another dispatcher');
    expect(proverOf('<html>', NONCE, { key: KEY, id: ID })).to.equal('something else');
    expect(text).not.to.include(KEY).and.not.include(NONCE);
  });

  it('is given for a nonce alone, and costs a stranger’s form nothing more', async () => {
    for (const body of ['', 'nonce=', `nonce=${NONCE}a`, `nonce=${NONCE}&more=1`, 'x'.repeat(10_000)]) {
      expect((await ask(body)).status, body).to.equal(400);
    }
    expect((await ask('', 'GET')).status).to.equal(405);
    expect(fixture.counts.outcomes.size, 'deliveries').to.be.lessThan(2);
  });
});

describe('one request to the public address', () => {
  const call = addressCaller(systemClock);
  const form = `nonce=${NONCE}`;
  const servers: { close(): unknown }[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });
  const open = async (server: Server): Promise<number> => {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return portOf(server.address());
  };
  const serve = (listener: RequestListener) => open(createServer(listener));
  const causeOf = (reply: AddressReply) => (reply.kind === 'none' ? reply.cause : `status ${reply.status}`);

  it('follows no redirect, and reads little', async () => {
    let redirected = 0;
    const inside = await serve((_request, response) => {
      redirected += 1;
      response.end('inside');
    });
    const port = await serve((_request, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${inside}/` });
      response.end('x'.repeat(1_000_000));
    });
    const reply = await call({ url: `http://127.0.0.1:${port}/`, form, way: 'direct' });
    expect(reply).to.include({ kind: 'answer', status: 307 });
    expect(reply.kind === 'answer' ? reply.text.length : 0).to.equal(1024);
    expect(redirected).to.equal(0);
  });

  it('says why there was no answer', async () => {
    const taken = createTcpServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const port = portOf(taken.address());
    await new Promise((resolve) => taken.close(resolve));
    expect(causeOf(await call({ url: `http://127.0.0.1:${port}/`, form, way: 'direct' }))).to.equal('refused');
    expect(causeOf(await call({ url: 'http://shr.invalid/', form, way: 'direct' }))).to.equal('dns');
    const pair = makeCertificate('elsewhere.example');
    const secure = createTlsServer({ cert: pair.certificate, key: pair.privateKey });
    servers.push(secure);
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
    const tls = await call({ url: `https://127.0.0.1:${portOf(secure.address())}/`, form, way: 'direct' });
    expect(causeOf(tls)).to.equal('tls');
  });

  it('ends after ten seconds', async () => {
    const port = await serve(() => {});
    const clock = new VirtualClock();
    const asked = addressCaller(clock)({ url: `http://127.0.0.1:${port}/`, form, way: 'direct' });
    await clock.advance(10 * SECOND);
    expect(causeOf(await asked)).to.equal('timeout');
  });
});

describe('what the dispatcher knows of its public address', () => {
  const url = 'https://shr.example';
  let clock: VirtualClock;
  let log: LogLines;
  let reply: AddressReply | 'itself' | 'same id';
  let byProxy: typeof reply | undefined;
  let asked: string[];
  let address: OwnAddress;

  const call: CallAddress = async ({ url: at, form, way }) => {
    asked.push(`${way} ${at}`);
    const said = way === 'proxy' && byProxy !== undefined ? byProxy : reply;
    if (typeof said === 'object') return said;
    const question = createAddressProof({ key: said === 'itself' ? KEY : 'another', id: ID }).receive();
    question.take(Buffer.from(form));
    return { kind: 'answer', ...(await question.finish()) };
  };
  const open = (hasProxy = false) => {
    address = new OwnAddress({ url, id: ID, key: KEY, hasProxy, clock, random: systemRandom, log, call });
    address.start();
  };
  beforeEach(() => {
    clock = new VirtualClock();
    log = new LogLines();
    reply = 'itself';
    byProxy = undefined;
    asked = [];
  });
  afterEach(() => address.stop());

  const words = () => addressInWords(address.status());
  const events = () => log.lines.map(({ level, event }) => `${level} ${event}`);
  const refused = { kind: 'none', cause: 'refused', words: 'connect ECONNREFUSED' } as const;
  const page = { kind: 'answer', status: 404, text: '<html><title>Welcome</title>' } as const;

  it('is asked at the start, then about once a minute, with another nonce each time', async () => {
    open();
    expect(address.status().state).to.equal('unknown');
    await clock.advance(6 * SECOND);
    expect(address.status().state).to.equal('itself');
    await clock.advance(10 * MINUTE);
    expect(asked.length).to.be.within(9, 13);
    expect(new Set(asked)).to.deep.equal(new Set([`direct ${url}/runners/proof`]));
    expect(log.lines).to.deep.equal([]);
    expect(words()).to.equal(`${url} leads to this dispatcher`);
  });

  it('raises no alarm where only this machine cannot reach it, and says that runners may', async () => {
    reply = refused;
    open();
    await clock.advance(HOUR);
    expect(address.status().state).to.equal('unreached');
    expect(isAmiss(address.status())).to.equal(false);
    expect(words()).to.include('could not be reached from here (refused: connect ECONNREFUSED); runners may reach it');
    expect(events()).to.deep.equal(['info public-url-not-reached']);
    address.heardRunner(tokenOf(url));
    expect(words()).to.include('; runners reach it: one called at ');
    expect(events()).to.deep.equal(['info public-url-not-reached', 'info public-url-reached']);
    await clock.advance(HOUR);
    expect(isAmiss(address.status())).to.equal(false);
    expect(log.lines).to.have.length(2);
  });

  it('is amiss where it was reached before, until it is again', async () => {
    open();
    address.heardRunner(tokenOf(url));
    await clock.advance(5 * MINUTE);
    reply = refused;
    const before = asked.length;
    while (asked.length === before) await clock.advance(SECOND);
    expect(isAmiss(address.status()), 'after one that failed').to.equal(false);
    await clock.advance(MINUTE);
    expect(isAmiss(address.status())).to.equal(true);
    expect(words()).to.match(
      /could not be reached from here .*, and was until .*; the last runner that was launched with it by this version called at .*Let its name/,
    );
    reply = 'itself';
    await clock.advance(2 * MINUTE);
    expect(isAmiss(address.status())).to.equal(false);
    expect(events()).to.deep.equal(['warn public-url-not-reached', 'info public-url-reached']);
  });

  it('is amiss where something else answers, unless runners call', async () => {
    reply = page;
    open();
    await clock.advance(MINUTE);
    expect(address.status().state).to.equal('other');
    expect(isAmiss(address.status())).to.equal(true);
    expect(words()).to.include(
      'answered by something else when it is asked from here (status 404, an HTML page ("Welcome"))',
    );
    expect(events()).to.deep.equal(['warn public-url-not-reached']);
    address.heardRunner(tokenOf(url));
    expect(isAmiss(address.status())).to.equal(false);
    reply = 'same id';
    await clock.advance(2 * MINUTE);
    expect(words()).to.include('another process of this dispatcher');
  });

  it('is not proven by a runner that was launched with another URL, as before a restart with a wrong one', async () => {
    reply = page;
    open();
    await clock.advance(MINUTE);
    const oldToken = tokenOf('https://old.shr.example');
    const unmarked = newCallbackToken(systemRandom).token;
    for (const token of [oldToken, unmarked]) address.heardRunner(token);
    expect(isAmiss(address.status())).to.equal(true);
    expect(words()).to.include('no runner that was launched with it by this version has called since the start');
    expect(events()).to.deep.equal(['warn public-url-not-reached']);
    address.heardRunner(tokenOf(url));
    expect(events()).to.deep.equal(['warn public-url-not-reached', 'info public-url-reached']);
  });

  it('fills no log where it comes and goes', async () => {
    open();
    for (let minute = 0; minute < 120; minute += 4) {
      reply = 'itself';
      await clock.advance(2 * MINUTE);
      reply = refused;
      await clock.advance(2 * MINUTE);
    }
    expect(log.lines.length).to.be.within(4, 26);
  });

  it('is asked through the proxy only where it is not found straight', async () => {
    reply = refused;
    byProxy = 'itself';
    open(true);
    await clock.advance(6 * SECOND);
    expect(asked.map((one) => one.split(' ')[0])).to.deep.equal(['direct', 'proxy']);
    expect(words()).to.equal(`${url} leads to this dispatcher, through the proxy of its environment`);
    byProxy = page;
    await clock.advance(3 * MINUTE);
    expect(words(), 'a proxy’s own page says nothing of the address').to.include('could not be reached from here');
  });

  it('is not asked after the stop', async () => {
    open();
    await clock.advance(6 * SECOND);
    address.stop();
    await clock.advance(HOUR);
    expect(asked).to.have.length(1);
  });
});

function tokenOf(url: string): string {
  return newCallbackToken(systemRandom, url).token;
}

function portOf(address: string | AddressInfo | null): number {
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
