import { expect } from 'chai';
import { believeKnown, believeUnknown } from '../../dispatcher/lifecycle/belief.ts';
import type { Claim } from '../../dispatcher/model/registration.ts';
import type { Instance, InstanceTags } from '../../providers/provider.ts';
import { NOW } from '../http/admin-fixture.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';
import { honestProvider, openSmallFixture, type SmallFixture } from './small-fixture.ts';

const MINUTE = 60_000;
const NAME = 'shr-01kjwe87x0gey1rrt40pvmqqzw';

function instance(changes: Partial<InstanceTags> = {}, name = NAME): Instance {
  return {
    ref: { name, id: 'i-1' },
    state: 'running',
    tags: {
      dispatcher: 'shr',
      registration: 'evil',
      lane: 'lane1',
      scope: 'orgs/evil',
      runner: NAME,
      createdAtMs: 1,
      deadlineAtMs: 2,
      charge: {},
      ...changes,
    },
  };
}

describe('what a tenant writes into the tags of a container of its own', () => {
  it('says nothing of a runner of another registration, whatever the tags call it', () => {
    expect(believeKnown('evil', instance(), { registration: 'acme' }, true)).to.deep.equal({
      kind: 'doubted',
      why: "the runner is acme's",
    });
    expect(believeKnown('evil', instance({ registration: 'acme' }), { registration: 'acme' }, true).kind).to.equal(
      'not-asked',
    );
  });

  it('says nothing of a runner that was placed on another backend', () => {
    expect(believeKnown('evil', instance(), { registration: 'evil' }, false).kind).to.equal('doubted');
    expect(believeKnown('evil', instance(), { registration: 'evil' }, true).kind).to.equal('believed');
  });

  it('makes no runner of a name that the dispatcher does not give', () => {
    const organization: Claim = { kind: 'organization', organization: 'evil' };
    const of = (one: Instance) => believeUnknown('shr', 'evil', organization, one).kind;
    expect(of(instance())).to.equal('believed');
    for (const runner of ['shr-1', 'other-01kjwe87x0gey1rrt40pvmqqzw', 'victim', `${NAME}0`]) {
      expect(of(instance({ runner }, runner)), runner).to.equal('doubted');
    }
    expect(of(instance({ runner: 'shr-01kjwe87x0gey1rrt40pvmqqzz' })), 'two names').to.equal('doubted');
  });

  const claims: readonly (readonly [Claim, readonly string[], readonly string[]])[] = [
    [
      { kind: 'organization', organization: 'Evil' },
      ['orgs/evil', 'repos/evil/web'],
      ['orgs/acme', 'repos/acme/web', 'enterprises/evil', 'nonsense', ''],
    ],
    [
      { kind: 'enterprise', enterprise: 'evil', organizations: ['any'] },
      ['enterprises/evil', 'repos/any/web'],
      ['enterprises/acme', 'orgs/acme', 'repos/acme/web'],
    ],
    [{ kind: 'user', user: 'evil' }, ['repos/evil/web'], ['repos/acme/web', 'orgs/evil']],
    [
      { kind: 'repositories', repositories: ['web', 'api'].map((repository) => ({ owner: 'evil', repository })) },
      ['repos/evil/web', 'repos/EVIL/Web', 'repos/evil/api'],
      ['repos/evil/other', 'orgs/evil'],
    ],
  ];
  for (const [claim, within, beyond] of claims) {
    it(`makes no runner beyond a claim of kind ${claim.kind}`, () => {
      const of = (scope: string) => believeUnknown('shr', 'evil', claim, instance({ scope })).kind;
      for (const scope of within) expect(of(scope), scope).to.equal('believed');
      for (const scope of beyond) expect(of(scope), scope).to.equal('doubted');
    });
  }

  describe('in a sweep', () => {
    let fixture: SmallFixture;
    afterEach(() => fixture.close());

    it('does not move, revive or end a runner that was placed on another backend, and is said once', async () => {
      const clock = new VirtualClock(NOW);
      let victim: Instance | undefined;
      const stopped: string[] = [];
      const forger = honestProvider({
        list: async () =>
          victim === undefined ? [] : [{ ...victim, ref: { ...victim.ref, id: 'forged' }, state: 'failed' }],
        async stop({ id }) {
          stopped.push(id ?? '');
        },
      });
      const platform = honestProvider();
      fixture = await openSmallFixture({ platform, own: forger }, { clock });
      await fixture.engine.start();
      await clock.advance(2_000);
      await fixture.queueJob(1);
      await clock.advance(MINUTE);
      [victim] = await platform.list({ dispatcher: 'acme' });
      expect(victim?.ref.id).to.be.a('string');
      await clock.advance(8 * MINUTE);
      const row = await fixture.ledger.runner(victim?.ref.name ?? '');
      expect(row).to.include({ state: 'starting', backend: 'platform', instanceId: victim?.ref.id });
      expect(fixture.log.filter(({ event }) => event === 'instance-doubted')).to.have.length(1);
      await clock.advance(60 * MINUTE);
      expect(await fixture.ledger.runner(victim?.ref.name ?? '')).to.include({ state: 'gone', backend: 'platform' });
      expect(stopped).to.not.include('forged').and.not.include(victim?.ref.id);
    });

    it('adopts no runner without an instance', async () => {
      const forged = instance(
        { dispatcher: 'acme', registration: 'acme', scope: 'orgs/victim', runner: 'acme-1' },
        'acme-1',
      );
      fixture = await openSmallFixture({ own: honestProvider({ list: async () => [forged] }) });
      await fixture.engine.start();
      await fixture.clock.advance(10 * MINUTE);
      expect(await fixture.ledger.runners({ limit: 10 }, 'reject')).to.deep.equal([]);
    });
  });
});
