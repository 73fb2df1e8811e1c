import { createHmac } from 'node:crypto';
import { expect } from 'chai';
import { PushIntake } from '../../dispatcher/intake/pushes.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { systemClock } from '../../time/clock.ts';

const SECRET = 'the-secret-of-the-tenants-repository';
const BODY = Buffer.from('{"ref":"refs/heads/main"}');
const signed = (secret: string, body = BODY) => `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

describe('pushes to a source', () => {
  let pushed: string[];
  let outcomes: string[];
  let intake: PushIntake;

  beforeEach(() => {
    pushed = [];
    outcomes = [];
    const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    intake = new PushIntake({
      clock: systemClock,
      log: silent,
      metrics: { delivery: (outcome) => void outcomes.push(outcome) },
      sources: () => [
        { name: 'tenants', webhookSecrets: [new Secret(SECRET), new Secret('another-one-while-rotating')] },
        { name: 'silent', webhookSecrets: [] },
      ],
      onPush: (source) => void pushed.push(source),
    });
  });

  async function deliver(source: string, headers: Readonly<Record<string, string>>, body = BODY): Promise<number> {
    const all = { 'content-type': 'application/json', 'x-github-event': 'push', ...headers };
    const received = intake.receive(source, all, { from: '192.0.2.1', turnAway: () => {} });
    if ('status' in received) return received.status;
    return (received.take(body) ?? (await received.finish())).status;
  }

  it('wake its reading where they are signed with a secret of it', async () => {
    expect(await deliver('tenants', { 'x-hub-signature-256': signed(SECRET) })).to.equal(202);
    expect(await deliver('tenants', { 'x-hub-signature-256': signed('another-one-while-rotating') })).to.equal(202);
    expect(pushed).to.deep.equal(['tenants', 'tenants']);
    expect(outcomes).to.deep.equal(['pushed', 'pushed']);
  });

  it('do nothing where they are signed otherwise, or not', async () => {
    expect(await deliver('tenants', { 'x-hub-signature-256': signed('wrong') })).to.equal(401);
    expect(await deliver('tenants', {})).to.equal(401);
    expect(await deliver('tenants', { 'x-hub-signature-256': signed(SECRET) }, Buffer.from('{}'))).to.equal(401);
    expect(await deliver('silent', { 'x-hub-signature-256': signed('') })).to.equal(404);
    expect(await deliver('other', { 'x-hub-signature-256': signed(SECRET) })).to.equal(404);
    expect(pushed).to.deep.equal([]);
  });

  it('are the only event that does anything', async () => {
    const signature = { 'x-hub-signature-256': signed(SECRET) };
    expect(await deliver('tenants', { ...signature, 'x-github-event': 'ping' })).to.equal(200);
    expect(await deliver('tenants', { ...signature, 'x-github-event': 'workflow_job' })).to.equal(200);
    expect(pushed).to.deep.equal([]);
  });

  it('are bounded', async () => {
    const length = { 'x-hub-signature-256': signed(SECRET), 'content-length': '99999999' };
    expect(await deliver('tenants', length)).to.equal(413);
  });
});
