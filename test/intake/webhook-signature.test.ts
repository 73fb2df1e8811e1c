import { createHmac } from 'node:crypto';
import { expect } from 'chai';
import { Secret, type WebhookEndpoint } from '../../dispatcher/model/registration.ts';
import { exampleBody, type Fixture, openFixture, plainEndpoint, secret, sign } from './intake-fixture.ts';

describe('the signature of a webhook', () => {
  let fixture: Fixture;
  let endpoints: readonly WebhookEndpoint[];

  beforeEach(async () => {
    endpoints = [plainEndpoint()];
    fixture = await openFixture({ endpoints: () => endpoints });
  });
  afterEach(() => fixture.close());

  it('lets a well signed delivery in', async () => {
    const reply = await fixture.send({});
    expect(reply.status).to.equal(202);
    expect(reply.outcome).to.equal('recorded');
    expect(fixture.recorder.recorded).to.have.length(1);
  });

  it('agrees with the example of GitHub’s own documentation', () => {
    expect(sign('Hello, World!', "It's a Secret to Everybody")).to.equal(
      'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
    );
  });

  it('is wrong for a body that was changed in one byte', async () => {
    const body = exampleBody();
    const reply = await fixture.send({
      body: body.replace('queued', 'queueD'),
      headers: { 'x-hub-signature-256': sign(body) },
    });
    expect(reply.status).to.equal(401);
    expect(reply.outcome).to.equal('bad-signature');
    expect(fixture.recorder.batches).to.deep.equal([]);
  });

  it('is checked before the body is parsed', async () => {
    const reply = await fixture.send({ body: '{ no JSON', secret: 'another' });
    expect(reply.status).to.equal(401);
  });

  it('is checked before the event and the GUID are looked at', async () => {
    const reply = await fixture.send({
      secret: 'another',
      headers: { 'x-github-event': undefined, 'x-github-delivery': undefined },
    });
    expect(reply.status).to.equal(401);
  });

  it('is asked of ping and of foreign events too', async () => {
    for (const event of ['ping', 'push']) {
      expect((await fixture.send({ secret: 'another', headers: { 'x-github-event': event } })).status).to.equal(401);
    }
  });

  for (const [what, value] of [
    ['missing', undefined],
    ['empty', ''],
    ['too short', 'sha256=00'],
    ['too long', `sha256=${'0'.repeat(65)}`],
    ['no hexadecimal', `sha256=${'g'.repeat(64)}`],
    ['without its prefix', '0'.repeat(64)],
  ] as const) {
    it(`is refused when ${what}`, async () => {
      const reply = await fixture.send({ headers: { 'x-hub-signature-256': value } });
      expect(reply.status).to.equal(401);
      expect(reply.outcome).to.equal('unsigned');
    });
  }

  it('is not taken in SHA-1, and the reply says so', async () => {
    const body = exampleBody();
    const sha1 = `sha1=${createHmac('sha1', secret).update(body).digest('hex')}`;
    const reply = await fixture.send({ body, headers: { 'x-hub-signature-256': undefined, 'x-hub-signature': sha1 } });
    expect(reply.status).to.equal(401);
    expect(reply.message).to.contain('SHA-1');
  });

  it('may be of either secret while rotating, and of the old one no longer', async () => {
    endpoints = [plainEndpoint({ secrets: [new Secret('new'), new Secret('old')] })];
    expect((await fixture.send({ secret: 'new' })).status).to.equal(202);
    expect((await fixture.send({ secret: 'old' })).status).to.equal(202);
    endpoints = [plainEndpoint({ secrets: [new Secret('new')] })];
    expect((await fixture.send({ secret: 'new' })).status).to.equal(202);
    expect((await fixture.send({ secret: 'old' })).status).to.equal(401);
  });

  it('is tried with two secrets at the most', async () => {
    endpoints = [plainEndpoint({ secrets: [new Secret('one'), new Secret('two'), new Secret('three')] })];
    expect((await fixture.send({ secret: 'two' })).status).to.equal(202);
    expect((await fixture.send({ secret: 'three' })).status).to.equal(401);
  });

  it('is never right for an empty secret', async () => {
    endpoints = [plainEndpoint({ secrets: [new Secret('')] })];
    expect((await fixture.send({ secret: '' })).status).to.equal(401);
  });

  it('keeps secrets and signatures out of replies and log', async () => {
    const replies = [
      await fixture.send({}),
      await fixture.send({ secret: 'another' }),
      await fixture.send({ body: '{"action":1}' }),
    ];
    const body = exampleBody();
    const told = JSON.stringify([replies.map((reply) => [reply.text, reply.headers]), fixture.log.lines]);
    for (const hidden of [secret, sign(body).slice(7), sign(body, 'another').slice(7)]) {
      expect(told).not.to.contain(hidden);
    }
  });

  it('logs at most one line of each kind in 10 s for unauthenticated senders', async () => {
    for (let knock = 0; knock < 20; knock += 1) await fixture.send({ secret: 'another' });
    expect(fixture.log.lines.filter((line) => line.event === 'intake.refused')).to.have.length(1);
    expect(fixture.counts.outcomes.get('bad-signature')).to.equal(20);
  });
});
