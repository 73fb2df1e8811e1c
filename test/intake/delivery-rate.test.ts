import { expect } from 'chai';
import { DeliveryRates } from '../../dispatcher/intake/rate.ts';
import { createIntake } from '../../dispatcher/intake/webhook.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { systemClock } from '../../time/clock.ts';
import {
  Counts,
  exampleBody,
  type Fixture,
  LogLines,
  nextGuid,
  openFixture,
  Recorder,
  sign,
  tenant,
} from './intake-fixture.ts';

// W11
describe('the deliveries of one tenant', () => {
  let fixture: Fixture | undefined;
  afterEach(async () => {
    await fixture?.close();
    fixture = undefined;
  });
  const ofAcme = { path: '/webhooks/github/codertocat', secret: 'a secret of codertocat' };
  const ofGlobex = { path: '/webhooks/github/globex', secret: 'a secret of globex' };

  async function open(perMinute: number) {
    const claim = { kind: 'user', user: 'Codertocat' } as const;
    const registrations = [
      tenant('codertocat'),
      tenant('globex', { claim, webhookSecrets: [new Secret(ofGlobex.secret)] }),
    ];
    fixture = await openFixture({ registrations: () => registrations, limits: { maxPerMinute: perMinute } });
    return fixture;
  }

  it('are bounded for it alone: beyond the bound 429 with Retry-After, and the other is served', async () => {
    const fixture = await open(20);
    const statuses = new Map<number, number>();
    const count = (status: number) => statuses.set(status, (statuses.get(status) ?? 0) + 1);
    const flood = Array.from({ length: 100 }, () => fixture.send(ofAcme).then(({ status }) => count(status)));
    const others = Array.from({ length: 10 }, () => fixture.send(ofGlobex));
    await Promise.all(flood);
    expect((await Promise.all(others)).map(({ status }) => status)).to.deep.equal(
      Array.from({ length: 10 }, () => 202),
    );
    expect(statuses.get(202)).to.be.within(20, 60);
    expect((statuses.get(202) ?? 0) + (statuses.get(429) ?? 0)).to.equal(100);

    expect(fixture.losses.map(({ cause }) => cause)).to.include('rate');
    const losers = new Set(fixture.losses.flatMap(({ sources }) => sources.map(({ endpoint }) => endpoint)));
    expect([...losers]).to.deep.equal(['registration/codertocat']);
  });

  it('are refused with when to come again', async () => {
    const fixture = await open(1);
    expect((await fixture.send(ofAcme)).status).to.equal(202);
    const beyond = await fixture.send(ofAcme);
    expect([beyond.status, beyond.outcome]).to.deep.equal([429, 'over-rate']);
    expect(Number(beyond.headers['retry-after'])).to.be.within(1, 60);
  });

  it('are not used up by what strangers send to its endpoint', async () => {
    const fixture = await open(3);
    for (let index = 0; index < 20; index += 1) {
      expect((await fixture.send({ ...ofAcme, secret: 'a guess' })).status).to.equal(401);
    }
    expect((await fixture.send(ofAcme)).status).to.equal(202);
  });

  it('come back as time goes by, up to a minute of them at once', () => {
    let nowMs = 0;
    const rates = new DeliveryRates({ now: () => nowMs, after: () => () => {} }, 60);
    const taken = () => {
      let count = 0;
      while (rates.take('one')) count += 1;
      return count;
    };
    expect(taken()).to.equal(60);
    expect(rates.exhausted('one')).to.equal(true);
    expect(rates.exhausted('other')).to.equal(false);
    nowMs += 5_000;
    expect(rates.exhausted('one')).to.equal(false);
    expect(taken()).to.equal(5);
    nowMs += 3_600_000;
    expect(taken()).to.equal(60);
    nowMs -= 3_600_000;
    expect(taken()).to.equal(0);
  });

  it('may come again when there is room for one, to the second, and not at once', () => {
    let nowMs = 0;
    const clock = { now: () => nowMs, after: () => () => {} };
    const few = new DeliveryRates(clock, 2);
    const many = new DeliveryRates(clock, 600);
    while (few.take('one'));
    while (many.take('one'));
    expect([few.retryAfterSeconds('one'), many.retryAfterSeconds('one')]).to.deep.equal([30, 1]);
    nowMs += 15_000;
    expect([few.retryAfterSeconds('one'), many.retryAfterSeconds('one')]).to.deep.equal([15, 1]);
  });

  it('that wait for the ledger leave places to the other, and half of each group', async () => {
    const claim = { kind: 'user', user: 'Codertocat' } as const;
    const registrations = [
      tenant('codertocat'),
      tenant('globex', { claim, webhookSecrets: [new Secret(ofGlobex.secret)] }),
    ];
    const recorder = new Recorder();
    let openGate = () => {};
    recorder.gate = new Promise((resolve) => {
      openGate = resolve;
    });
    const nothing: never[] = [];
    const intake = createIntake({
      ledger: recorder,
      clock: systemClock,
      log: new LogLines(),
      metrics: new Counts(),
      endpoints: () => nothing,
      registrations: () => registrations,
      onRecorded: () => {},
      defer: (action) => action(),
      limits: { maxWaiting: 16, maxGroup: 8 },
    });
    const body = Buffer.from(exampleBody());
    const deliver = async (registration: string, key: string) => {
      const headers = {
        'content-type': 'application/json',
        'content-length': String(body.length),
        'x-github-delivery': nextGuid(),
        'x-github-event': 'workflow_job',
        'x-hub-signature-256': sign(body, key),
      };
      const reception = intake.receive(registration, headers, { from: '192.0.2.1', turnAway: () => {} });
      if ('status' in reception) return reception.status;
      return reception.take(body)?.status ?? (await reception.finish()).status;
    };
    // The first one is on its way to the ledger; sixteen of the rest may wait.
    const flood = Array.from({ length: 60 }, () => deliver('codertocat', ofAcme.secret));
    const others = Array.from({ length: 4 }, () => deliver('globex', ofGlobex.secret));
    openGate();
    const statuses = await Promise.all(flood);
    expect(statuses.filter((status) => status === 503)).to.have.length(43);
    expect(await Promise.all(others)).to.deep.equal([202, 202, 202, 202]);
    // The first group after the gate holds all four of the other.
    const next = recorder.batches[1]?.map(({ delivery }) => delivery.endpoint) ?? [];
    expect(next.filter((endpoint) => endpoint === 'registration/globex')).to.have.length(4);
  });
});
