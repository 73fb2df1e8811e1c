import { expect } from 'chai';
import { createCommand as lanesCommand } from '../../dispatcher/cli/lanes.ts';
import { createCommand as registrationsCommand } from '../../dispatcher/cli/registrations.ts';
import { createCommand as runnersCommand } from '../../dispatcher/cli/runners.ts';
import { type CanaryState, newCanary } from '../../dispatcher/lifecycle/canary-rules.ts';
import { problemsOf } from '../../dispatcher/observability/problems.ts';
import { failure } from '../failures/examples.ts';
import { acmeLane, type Fixture, MINUTE, NOW, openFixture, registration, runner } from '../http/admin-fixture.ts';
import { run } from './admin-run.ts';

const IMAGE = 'ghcr.io/acme/runner:2';
const IN_USE: CanaryState = { ...newCanary({ image: IMAGE, percent: 10 }), starts: '++-+' };
const STOPPED: CanaryState = {
  ...{ image: IMAGE, percent: 10, starts: '+---' },
  stopped: {
    ...{ atMs: NOW - MINUTE, reason: '3 starts in a row failed' },
    failure: failure({
      source: 'acme/main',
      kind: 'image-pull-failed',
      code: null,
      requestId: null,
      message: 'no such tag',
    }),
  },
};

describe('a candidate image', () => {
  let fixture: Fixture;
  let state: CanaryState;
  beforeEach(async () => {
    state = IN_USE;
    const acme = registration('acme', { defaults: { image: acmeLane.wish.image } });
    fixture = await openFixture({
      registrations: () => [acme, registration('globex', { defaults: { image: 'other:1' } })],
      canary: (name) => (name === 'acme' ? state : undefined),
    });
  });
  afterEach(() => fixture.close());

  const shown = async (command: Parameters<typeof run>[0], ...argv: readonly string[]) =>
    (await run(command, [...argv, '--url', fixture.url])).out;

  it('is shown with its registration, and whether it is stopped', async () => {
    expect(await shown(registrationsCommand, 'show', 'acme')).to.match(
      /^canary +10 % on ghcr\.io\/acme\/runner:2, 1 of its last 4 starts failed$/m,
    );
    expect(await shown(registrationsCommand, 'show', 'globex')).to.not.include('canary');
    state = STOPPED;
    expect(await shown(registrationsCommand, 'show', 'acme')).to.match(/^canary +stopped: ghcr\.io\/acme\/runner:2$/m);
    const { registration: json } = JSON.parse(await shown(registrationsCommand, 'show', 'acme', '--json'));
    expect(json.canary).to.deep.include({ image: IMAGE, percent: 10, starts: 4, failed: 3 });
    expect(json.canary.stopped).to.include({ reason: '3 starts in a row failed' });
    expect(json.canary.stopped.failure).to.include({ kind: 'image-pull-failed', message: 'no such tag' });
  });

  it('is shown with the lanes that it takes a part of, and with no other', async () => {
    await fixture.ledger.putLane(acmeLane);
    await fixture.ledger.createRunner(runner('shr-acme', acmeLane), 'launched');
    const [title, row] = (await shown(lanesCommand, '--registration', 'acme')).split('\n');
    expect(title).to.match(/ CANARY +WHY$/);
    expect(row).to.include('10 % on ghcr.io/acme/runner:2');
    const others = { ...acmeLane, key: 'lane0other', wish: { ...acmeLane.wish, image: 'other:1' } };
    await fixture.ledger.putLane(others);
    await fixture.ledger.createRunner(runner('shr-other', others), 'launched');
    const { lanes } = JSON.parse(await shown(lanesCommand, '--json'));
    const byKey = new Map(lanes.map((lane: { key: string; canary: unknown }) => [lane.key, lane.canary]));
    expect(byKey.get(acmeLane.key)).to.deep.equal({ image: IMAGE, percent: 10, stopped: false });
    expect(byKey.get('lane0other')).to.equal(null);
  });

  it('is shown with the runner that is on it', async () => {
    await fixture.ledger.createRunner(runner('shr-tried', acmeLane, { candidate: IMAGE }), 'launched');
    expect(await shown(runnersCommand, 'show', 'shr-tried')).to.match(/^candidate image +ghcr\.io\/acme\/runner:2$/m);
  });

  it('is a problem of its registration while it is stopped, with what to do', () => {
    const found = (of: CanaryState | undefined) =>
      problemsOf({
        ...{ configuration: [], poll: [], sweep: [], resting: [], others: [], skew: undefined },
        canary: { registration: 'acme', state: of },
      });
    expect(found(undefined)).to.deep.equal([]);
    expect(found(IN_USE)).to.deep.equal([]);
    const [problem] = found(STOPPED);
    expect(problem).to.include({ kind: 'canary', about: IMAGE, sinceMs: NOW - MINUTE });
    expect(problem?.message)
      .to.include('because 3 starts in a row failed (the last: no such tag)')
      .and.include('all launches use the stable image')
      .and.include('shr backends reset acme');
  });
});
