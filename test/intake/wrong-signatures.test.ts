import { expect } from 'chai';
import { WrongSignatures } from '../../dispatcher/intake/wrong-signatures.ts';
import type { WebhookEndpoint } from '../../dispatcher/model/registration.ts';
import { sharedWebhookProblems, webhookProblems } from '../../dispatcher/observability/webhook-problems.ts';
import { manualClock } from '../lifecycle/manual-clock.ts';
import { type Fixture, openFixture, plainEndpoint, tenant } from './intake-fixture.ts';

const MINUTE = 60_000;
const TEN = Date.UTC(2026, 10, 28, 10);

describe('deliveries with a wrong signature', () => {
  let clock: ReturnType<typeof manualClock>;
  let signatures: WrongSignatures;
  let fixture: Fixture;
  const acme = tenant('acme');
  const globex = tenant('globex', { webhookSecrets: [] });
  const registrations = [acme, globex];
  const problemsOf = (registration: typeof acme) =>
    webhookProblems(registration, signatures.current(registration.name));

  beforeEach(async () => {
    clock = manualClock(TEN);
    signatures = new WrongSignatures(clock);
    const plain: readonly WebhookEndpoint[] = [plainEndpoint({ owners: ['globex'] })];
    fixture = await openFixture({ registrations: () => registrations, endpoints: () => plain, signatures });
  });
  afterEach(() => fixture.close());

  const send = (secret: string, path?: string) => fixture.send({ secret, ...(path === undefined ? {} : { path }) });
  const own = '/webhooks/github/acme';

  it('are a problem of the registration whose endpoint it is, until one is signed rightly', async () => {
    for (let sent = 0; sent < 11; sent += 1) expect((await send('wrong', own)).outcome).to.equal('bad-signature');
    clock.move(5 * MINUTE);
    expect(problemsOf(acme)).to.deep.equal([
      {
        kind: 'webhook',
        about: '/webhooks/github/acme',
        message:
          "11 deliveries since 10:00:00 UTC have a wrong signature: compare the secret at GitHub's webhook with webhook.secrets, unless the requests come from somewhere else",
        sinceMs: TEN,
      },
    ]);
    expect(problemsOf(globex)).to.deep.equal([]);
    await send('a secret of acme', own);
    expect(problemsOf(acme)).to.deep.equal([]);
  });

  it('of the shared endpoint are a problem of those that depend on it', async () => {
    await send('wrong');
    expect(problemsOf(acme), 'has an endpoint of its own').to.deep.equal([]);
    const [problem] = problemsOf(globex);
    expect(problem?.about).to.equal('/webhooks/github (github.com/webhook)');
    expect(problem?.message).to.match(
      /^1 delivery since 10:00:00 UTC has a wrong signature: .* with webhooks of dispatcher\.yaml/,
    );
    const elsewhere = tenant('initech', { webhookSecrets: [] });
    expect(problemsOf(elsewhere), 'the endpoint does not speak for it').to.deep.equal([]);
  });

  it('of the shared endpoint are a problem of the platform, whether or not a registration depends on it', async () => {
    const shared = () => sharedWebhookProblems(signatures.shared()).map(({ kind, about }) => `${kind} ${about}`);
    await send('wrong', own);
    expect(shared(), "a registration's own endpoint").to.deep.equal([]);
    await send('wrong');
    expect(shared()).to.deep.equal(['webhook /webhooks/github (github.com/webhook)']);
    await fixture.send({});
    expect(shared(), 'until one is signed rightly').to.deep.equal([]);
    await send('wrong');
    expect(shared(), 'so soon after a right one').to.deep.equal([]);
    clock.move(MINUTE);
    await send('wrong');
    expect(shared()).to.have.length(1);
    clock.move(24 * 60 * MINUTE);
    expect(shared(), 'a day after the last').to.deep.equal([]);
  });

  it('are told apart from those without one: the webhook at GitHub has no secret', async () => {
    const unsigned = () => fixture.send({ path: own, headers: { 'x-hub-signature-256': undefined } });
    expect((await unsigned()).outcome).to.equal('unsigned');
    expect((await unsigned()).outcome).to.equal('unsigned');
    expect(problemsOf(acme).map(({ message }) => message)).to.deep.equal([
      "2 deliveries since 10:00:00 UTC have no signature: set webhook.secrets as the secret of GitHub's webhook, unless the requests come from somewhere else",
    ]);
    await send('wrong', own);
    expect(problemsOf(acme)[0]?.message).to.match(/^3 deliveries since .* have a wrong signature: /);
    await send('a secret of acme', own);
    expect(problemsOf(acme)).to.deep.equal([]);
  });

  it('of the shared endpoint without one are a problem of those that depend on it', async () => {
    await fixture.send({ headers: { 'x-hub-signature-256': undefined } });
    expect(problemsOf(acme)).to.deep.equal([]);
    expect(problemsOf(globex)[0]?.message).to.match(
      /^1 delivery since 10:00:00 UTC has no signature: set a secret of webhooks in dispatcher\.yaml as/,
    );
  });

  it('are none for a minute after a right one, and gone a day after the last', async () => {
    await send('a secret of acme', own);
    await send('wrong', own);
    expect(problemsOf(acme)).to.deep.equal([]);
    clock.move(MINUTE);
    await send('wrong', own);
    expect(problemsOf(acme)).to.have.length(1);
    clock.move(24 * 60 * MINUTE);
    expect(problemsOf(acme)).to.deep.equal([]);
  });

  it('are not looked for where nothing can be compared: endpoints that do not exist', async () => {
    for (let sent = 0; sent < 20; sent += 1) await send('wrong', `/webhooks/github/guess-${sent}`);
    expect(['guess-1', 'acme'].flatMap((name) => signatures.current(name))).to.deep.equal([]);
  });
});
