import { expect } from 'chai';
import type { DoctorFinding } from '../../dispatcher/cli/doctor/finding.ts';
import { askRunning } from '../../dispatcher/cli/doctor/running.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { systemClock } from '../../time/clock.ts';
import { type Fixture, NOW, noPauses, openFixture, TOKEN } from '../http/admin-fixture.ts';

describe('shr doctor, beside a dispatcher that runs', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await openFixture({
      publicAddress: () => ({
        ...{ url: 'https://shr.example', state: 'other', words: 'status 404', way: 'direct' },
        ...{ sinceMs: NOW, itselfAtMs: null, calledAtMs: null },
      }),
      webhookProblems: () => [
        { kind: 'webhook', about: '/webhooks/github (github.com/webhook)', message: 'a wrong signature', sinceMs: NOW },
      ],
      problems: (name) =>
        name === 'acme'
          ? [
              { kind: 'runner', about: 'runner:1', message: 'the last 5 runners never called', sinceMs: NOW },
              { kind: 'clock', about: null, message: 'the clock is wrong', sinceMs: NOW },
            ]
          : [],
    });
  });
  afterEach(() => fixture.close());

  const ask = (port: number, token = TOKEN) =>
    askRunning({ adminListen: { host: '127.0.0.1', port }, adminToken: new Secret(token) }, systemClock);
  const port = () => Number(new URL(fixture.url).port);

  it('says what only that one knows: where its address leads, and what its runners do', async () => {
    const running = await ask(port());
    expect(running.dispatcher.map(({ about, subject, ok }) => [about, subject, ok])).to.deep.equal([
      ['listener', 'running', false],
      ['listener', 'running', true],
    ]);
    const [, signatures] = running.dispatcher;
    expect(signatures?.note, 'anyone can send such requests').to.equal(true);
    expect(signatures?.message).to.equal(
      'the running dispatcher says: /webhooks/github (github.com/webhook): a wrong signature',
    );
    expect(running.dispatcher[0]?.message).to.include('answered by something else');
    expect(running.of('acme').map(({ message }) => message)).to.deep.equal([
      'the running dispatcher says: the last 5 runners never called',
    ]);
    expect(running.of('globex')).to.deep.equal([]);
  });

  it('notes each pause and maintenance window in force: whose, since when, until when and why', async () => {
    const platforms = { by: 'ops-a', byPlatform: true, reason: null, sinceMs: NOW } as const;
    const own = { registration: 'acme', by: 'acme-ops', byPlatform: false, reason: null, sinceMs: NOW };
    await fixture.close();
    fixture = await openFixture({
      pausing: {
        ...noPauses,
        pauses: () => [
          { ...platforms, registration: null, reason: 'the registry moves' },
          { ...platforms, registration: 'acme', reason: 'over budget', own },
          { ...platforms, registration: 'removed' },
        ],
      },
      maintenanceUntilMs: async (name) => (name === 'globex' ? NOW + 60_000 : undefined),
    });
    const running = await ask(port());
    const told = (findings: readonly DoctorFinding[]) =>
      findings
        .filter(({ about }) => about === 'launches')
        .map(({ subject, note, ok, message, cure }) => [subject, note && ok, message, cure]);
    const since = new Date(NOW).toISOString();
    const until = new Date(NOW + 60_000).toISOString();
    expect(told(running.dispatcher)).to.deep.equal([
      [
        'pause',
        true,
        `nothing is launched for any registration: paused by ops-a since ${since}, until it is resumed (the registry moves)`,
        '`shr resume --all` ends it',
      ],
      [
        'pause',
        true,
        `nothing is launched for removed: paused by ops-a since ${since}, until it is resumed`,
        '`shr resume removed` ends it',
      ],
    ]);
    expect(told(running.of('acme'))).to.deep.equal([
      [
        'pause',
        true,
        `nothing is launched for acme: paused by ops-a since ${since}, until it is resumed (over budget), and by acme-ops since ${since}, until it is resumed: each has to end`,
        '`shr resume acme` ends one at a time',
      ],
    ]);
    expect(told(running.of('globex'))).to.deep.equal([
      ['maintenance', true, `nothing is launched for globex: it is in a maintenance window until ${until}`, undefined],
    ]);
  });

  it('says nothing where none runs, or another one with another token', async () => {
    const here = port();
    expect((await ask(here, 'another-token-entirely')).dispatcher).to.deep.equal([]);
    await fixture.close();
    expect((await ask(here)).dispatcher).to.deep.equal([]);
    fixture = await openFixture();
    expect((await ask(0)).dispatcher).to.deep.equal([]);
  });
});
