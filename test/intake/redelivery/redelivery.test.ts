import { expect } from 'chai';
import { GithubError } from '../../../dispatcher/github/github.ts';
import { MAX_MISSED_OF_SHARE } from '../../../dispatcher/ledger/ledger.ts';
import { Secret } from '../../../dispatcher/model/registration.ts';
import { grantOf } from '../../registration-fixture.ts';
import { plainEndpoint, tenant } from '../intake-fixture.ts';
import { HookWorld, refusal } from './hook-world.ts';

const MINUTE = 60_000;

describe('redelivery', function () {
  this.timeout(60_000);
  let world: HookWorld;

  beforeEach(async () => {
    world = new HookWorld();
    await world.at.begin();
  });
  afterEach(async () => {
    await world.redelivery?.stop();
    await world.at.end();
  });

  /** Whatever GitHub sends again arrives. */
  const takeAll = (hook = world.hook()) => {
    hook.receive = async ({ guid }) => {
      await world.arrive(guid);
      return 202;
    };
  };

  it('asks for what never arrived, and for nothing that did', async () => {
    const hook = world.hook();
    takeAll();
    hook.sent('failed-and-lost');
    hook.sent('failed-and-recorded', { status: 504 });
    hook.sent('taken-by-a-proxy', { status: 202 });
    hook.sent('fine', { status: 202 });
    hook.sent('of another event', { event: 'push' });
    await world.arrive('failed-and-recorded');
    await world.arrive('fine');
    world.start();
    await world.pass(MINUTE);
    expect([...hook.asked].sort()).to.deep.equal(['failed-and-lost', 'taken-by-a-proxy']);
    await world.pass(60 * MINUTE);
    expect(hook.asked, 'once each, although each is in the log twice now').to.have.length(2);
    expect(Object.fromEntries(world.counts)).to.deep.include({ found: 2, asked: 2, arrived: 2, 'given-up': 0 });
  });

  it('finds what gets lost later, also where it reads the same page again', async () => {
    const hook = world.hook();
    takeAll();
    world.start();
    await world.pass(MINUTE);
    hook.sent('one');
    await world.pass(3 * MINUTE);
    expect(hook.asked).to.deep.equal(['one']);
    hook.sent('two', { status: 200 });
    await world.pass(3 * MINUTE);
    expect(hook.asked).to.deep.equal(['one', 'two']);
  });

  it('looks soon after deliveries were lost, but not more often than every half a minute', async () => {
    const hook = world.hook();
    takeAll();
    const redelivery = world.start();
    await world.pass(40_000);
    hook.sent('one');
    redelivery.lost(['registration/acme']);
    await world.pass(50_000);
    expect(hook.asked).to.deep.equal(['one']);
    const before = hook.calls.length;
    for (let n = 0; n < 60; n += 1) {
      redelivery.lost(['registration/acme']);
      await world.pass(1_000);
    }
    expect(hook.calls.length - before).to.be.at.most(3);
  });

  it('asks again, ever later, where it is answered 5xx, and gives up', async () => {
    const hook = world.hook();
    hook.receive = async () => 503;
    hook.sent('lost');
    world.start();
    await world.pass(MINUTE);
    expect(hook.asked).to.have.length(1);
    await world.pass(10 * MINUTE);
    expect(hook.asked).to.have.length(3);
    await world.pass(4 * 60 * MINUTE);
    expect(hook.asked).to.have.length(5);
    await world.pass(24 * 60 * MINUTE);
    expect(hook.asked, 'its own redeliveries begin nothing anew').to.have.length(5);
    expect(world.counts.get('given-up')).to.equal(1);
    expect(world.events('deliveries-given-up')).to.have.length(1);
  });

  it('counts an attempt whose answer was lost, and none that GitHub refused', async () => {
    const hook = world.hook();
    hook.sent('lost');
    hook.obstacle = ({ method }) => (method === 'POST' ? refusal('transient', 502) : undefined);
    world.start();
    await world.pass(30_000);
    expect(hook.calls.filter(({ method }) => method === 'POST')).to.have.length(1);
    await world.pass(30_000);
    expect(
      hook.calls.filter(({ method }) => method === 'POST'),
      'not yet',
    ).to.have.length(1);
    hook.obstacle = ({ method }) => (method === 'POST' ? refusal('rate-limited', 403) : undefined);
    await world.pass(4 * 60 * MINUTE);
    hook.obstacle = () => undefined;
    takeAll();
    await world.pass(5 * MINUTE);
    expect(world.counts.get('arrived')).to.equal(1);
  });

  it('asks no more often for being killed between the call and the note of its answer', async () => {
    const hook = world.hook();
    hook.sent('lost');
    let kills = 0;
    for (; kills < 3; kills += 1) {
      // Its answer never comes; the process is killed, and the next one begins on the same ledger.
      hook.isStuck = true;
      hook.receive = () => new Promise(() => {});
      world.start();
      await world.pass(30_000);
      await world.at.restart();
    }
    expect(hook.asked).to.have.length(2);
    hook.isStuck = false;
    hook.pending = 0;
    takeAll();
    world.start();
    await world.pass(10 * MINUTE);
    expect(hook.asked).to.have.length(3);
    await world.pass(60 * MINUTE);
    expect(hook.asked).to.have.length(3);
  });

  it('finds what was sent while it was down, from where it had read to', async () => {
    const hook = world.hook();
    world.start();
    hook.sent('before', { status: 202 });
    await world.arrive('before');
    await world.pass(5 * MINUTE);
    await world.redelivery?.stop();
    await world.pass(20 * 60 * MINUTE);
    hook.sent('meanwhile');
    await world.pass(20 * 60 * MINUTE);
    takeAll();
    world.start();
    await world.pass(MINUTE);
    expect(hook.asked).to.deep.equal(['meanwhile']);
  });

  it('leaves alone what was sent long before it was set up', async () => {
    const hook = world.hook();
    hook.sent('old', { atMs: world.clock.now() - 3 * 3_600_000 });
    hook.sent('new', { atMs: world.clock.now() - 1_800_000 });
    world.start();
    await world.pass(MINUTE);
    expect(hook.asked).to.deep.equal(['new']);
  });

  it('reads a log of 10,000 entries in bounded steps, and each entry once', async () => {
    const hook = world.hook();
    const beganMs = world.clock.now();
    hook.sent('first', { status: 202, event: 'push', atMs: beganMs - 3_000_000 });
    for (let n = 0; n < 10_000; n += 1) {
      const guid = `g-${n}`;
      hook.sent(guid, {
        status: 202,
        event: n === 5_000 ? 'workflow_job' : 'push',
        atMs: beganMs - 2_400_000 + n * 200,
      });
    }
    takeAll();
    world.start();
    await world.pass(20_000);
    const reads = () => hook.calls.filter(({ route }) => route.endsWith('/deliveries')).length;
    expect(reads()).to.equal(20);
    await world.pass(4 * MINUTE);
    expect(hook.asked).to.deep.equal(['g-5000']);
    expect(reads()).to.be.within(101, 101 + 30);
    const before = reads();
    await world.pass(20 * MINUTE);
    expect(reads() - before, 'afterwards only what is new, and five minutes more').to.be.below(11 * 17);
  });

  it('reads a log without end no further than one that is long, and others as soon', async () => {
    world.registrations = [tenant('endless'), tenant('acme')];
    const endless = world.hook('endless');
    endless.url = 'https://shr.example/webhooks/github/endless';
    endless.isEndless = true;
    world.hook().sent('lost');
    takeAll();
    world.start();
    await world.pass(MINUTE);
    expect(world.hook().asked).to.deep.equal(['lost']);
    await world.pass(9 * MINUTE);
    expect(endless.calls.length).to.be.at.most(1 + 20 * 20);
  });

  it('goes by GitHub’s clock, and not by an entry of a time to come', async () => {
    const hook = world.hook();
    world.aheadMs = 5 * 3_600_000;
    const githubMs = world.clock.now() - world.aheadMs;
    hook.sent('lost', { atMs: githubMs - MINUTE });
    hook.sent('of tomorrow', { atMs: githubMs + 24 * 3_600_000, event: 'push' });
    takeAll();
    world.start();
    await world.pass(MINUTE);
    expect(hook.asked).to.deep.equal(['lost']);
    hook.sent('later', { atMs: githubMs + 10 * MINUTE });
    await world.pass(10 * MINUTE);
    expect(hook.asked).to.deep.equal(['lost', 'later']);
  });

  it('asks for so many a minute at most, and takes repositories in turn', async () => {
    const hook = world.hook();
    for (let n = 0; n < 300; n += 1) hook.sent(`flood-${n}`);
    for (let n = 0; n < 5; n += 1) hook.sent(`small-${n}`, { repository: 2 });
    takeAll();
    world.start();
    await world.pass(30_000);
    expect(hook.asked).to.have.length(50);
    expect(hook.asked.filter((guid) => guid.startsWith('small'))).to.have.length(5);
    await world.pass(8 * MINUTE);
    expect(hook.asked).to.have.length(305);
  });

  it('says which it asks for again, and for which there is no room', async () => {
    const hook = world.hook();
    takeAll();
    world.isHeld = true;
    hook.sent('one', { repository: 2 });
    world.start();
    await world.pass(30_000);
    const told = () => world.events('deliveries-missed').map(({ reason }) => String(reason));
    expect(told()[0]).to.match(/not recorded here: they are asked for again$/);
    hook.sent('another', { repository: 3 });
    for (let n = 0; n < MAX_MISSED_OF_SHARE + 50; n += 1) hook.sent(`flood-${n}`);
    await world.pass(5 * MINUTE);
    const [, ...flood] = told();
    expect(flood.join('\n'))
      .to.match(/: 1 to be asked for again; for 50 there is no room/)
      .and.to.include('polling finds their jobs');
    expect(world.counts.get('found')).to.equal(2 + MAX_MISSED_OF_SHARE);
    hook.sent('one more');
    await world.pass(3 * MINUTE);
    expect(told().at(-1), 'none of them').to.match(/not recorded here: for \d+ there is no room/);
  });

  it('asks for what starts a job first', async () => {
    const hook = world.hook();
    takeAll();
    for (let n = 0; n < 40; n += 1) hook.sent(`done-${n}`, { action: 'completed' });
    for (let n = 0; n < 40; n += 1) hook.sent(`begun-${n}`, { action: 'in_progress' });
    for (let n = 0; n < 30; n += 1) hook.sent(`queued-${n}`);
    world.start();
    await world.pass(30_000);
    const kinds = hook.asked.map((guid) => guid.split('-')[0]);
    expect(kinds.filter((kind) => kind === 'queued')).to.have.length(30);
    expect(kinds.filter((kind) => kind === 'begun')).to.have.length(0);
  });

  it('does not ask while deliveries are turned away here', async () => {
    const hook = world.hook();
    hook.sent('lost');
    takeAll();
    world.isHeld = true;
    world.start();
    await world.pass(10 * MINUTE);
    expect(hook.asked).to.have.length(0);
    world.isHeld = false;
    await world.pass(MINUTE);
    expect(hook.asked).to.deep.equal(['lost']);
  });

  it('does not ask for what was answered for good, and once for what may have been', async () => {
    const hook = world.hook();
    hook.sent('foreign', { status: 403 });
    hook.sent('of an unknown status', { status: 200 });
    hook.sent('refused by a gateway', { status: 403 });
    world.answered.note('registration/acme', 'foreign');
    world.answered.note('registration/acme', 'of an unknown status');
    hook.receive = async () => 403;
    world.start();
    await world.pass(5 * 60 * MINUTE);
    expect(hook.asked).to.deep.equal(['refused by a gateway']);
  });

  it('asks no more for what was answered for good when it was sent again', async () => {
    const hook = world.hook();
    hook.sent('foreign');
    hook.sent('of an unknown status');
    hook.receive = async ({ guid }) => {
      world.answered.note('registration/acme', guid);
      return guid === 'foreign' ? 403 : 200;
    };
    world.start();
    await world.pass(5 * 60 * MINUTE);
    expect([...hook.asked].sort()).to.deep.equal(['foreign', 'of an unknown status']);
    expect(Object.fromEntries(world.counts)).to.deep.include({ arrived: 2, 'given-up': 0 });
    expect(world.events('deliveries-given-up')).to.deep.equal([]);
  });

  it('takes for gone what GitHub does not have any more', async () => {
    const hook = world.hook();
    const { id } = hook.sent('lost');
    hook.receive = async () => {
      throw new Error('it is gone');
    };
    hook.obstacle = ({ method }) => {
      if (method === 'POST')
        hook.entries.splice(
          hook.entries.findIndex((entry) => entry.id === id),
          1,
        );
      return undefined;
    };
    world.start();
    await world.pass(60 * MINUTE);
    expect(hook.calls.filter(({ method }) => method === 'POST')).to.have.length(1);
    expect(world.counts.get('given-up')).to.equal(1);
    const [given, ...others] = world.events('deliveries-given-up');
    expect(given).to.include({ givenUp: 1 });
    expect(given?.['reason']).to.include('GitHub does not have them any more');
    expect(others).to.have.length(0);
  });

  it('asks again for what GitHub does not send again now, although it has it', async () => {
    const hook = world.hook();
    hook.sent('lost');
    hook.refuses = 422;
    takeAll();
    world.start();
    await world.pass(5 * MINUTE);
    hook.refuses = undefined;
    await world.pass(30 * MINUTE);
    expect(world.counts.get('arrived')).to.equal(1);
  });

  describe('which webhook is ours', () => {
    it('is told by its address', async () => {
      const hook = world.hook();
      hook.url = 'https://other.example/webhooks/github/acme';
      hook.sent('lost');
      const redelivery = world.start();
      await world.pass(5 * MINUTE);
      expect(hook.asked).to.have.length(0);
      expect(redelivery.statusOf('acme')).to.include({ state: 'unproven' });
      expect(redelivery.statusOf('acme')?.message).to.include('other.example/webhooks/github/acme');
    });

    it('or, behind another address, by a delivery that arrived', async () => {
      const hook = world.hook();
      world.publicUrl = undefined;
      hook.url = 'https://gateway.example/shr/webhooks/github/acme?key=secret';
      hook.sent('one', { status: 202 });
      hook.sent('lost');
      await world.arrive('one');
      takeAll();
      const redelivery = world.start();
      await world.pass(MINUTE);
      expect(hook.asked).to.deep.equal(['lost']);
      expect(redelivery.statusOf('acme')).to.include({ state: 'watched' });
    });

    it('and none is where no path fits', async () => {
      const hook = world.hook();
      hook.url = 'https://ci.example/github-webhook/';
      hook.sent('lost');
      const redelivery = world.start();
      await world.pass(5 * MINUTE);
      expect(hook.calls).to.have.length(1);
      expect(redelivery.statusOf('acme')).to.include({ state: 'none' });
    });
  });

  describe('credentials', () => {
    it('without the permission are said once, with what to do', async () => {
      const hook = world.hook();
      hook.obstacle = () => refusal('forbidden', 403);
      const redelivery = world.start();
      await world.pass(5 * 60 * MINUTE);
      expect(world.events('redelivery-not-possible')).to.have.length(1);
      expect(world.events('redelivery-failed')).to.have.length(0);
      expect(hook.calls.length).to.be.at.most(6);
      const status = redelivery.statusOf('acme');
      expect(status?.state).to.equal('not-allowed');
      expect(status?.cure).to.include('Webhooks (organization): read and write');
    });

    it('that may read and not send again use up no attempts', async () => {
      const hook = world.hook();
      hook.sent('lost');
      hook.obstacle = ({ method }) => (method === 'POST' ? refusal('forbidden', 403) : undefined);
      const redelivery = world.start();
      await world.pass(10 * 60 * MINUTE);
      expect(redelivery.statusOf('acme')?.state).to.equal('not-allowed');
      hook.obstacle = () => undefined;
      takeAll();
      await world.pass(61 * MINUTE);
      expect(world.counts.get('arrived')).to.equal(1);
    });

    it('that may read and are shown no way to send again do not make a delivery gone', async () => {
      const hook = world.hook();
      hook.sent('lost');
      hook.refuses = 404;
      const redelivery = world.start();
      await world.pass(10 * 60 * MINUTE);
      expect(redelivery.statusOf('acme')?.state).to.equal('not-allowed');
      expect(redelivery.statusOf('acme')?.cure).to.include('admin:org_hook');
      expect(world.events('redelivery-not-possible')).to.have.length(1);
      hook.refuses = undefined;
      takeAll();
      await world.pass(61 * MINUTE);
      expect(world.counts.get('arrived')).to.equal(1);
    });

    it('that are broken hold up no other registration', async () => {
      const broken = Array.from({ length: 20 }, (_, n) => `broken-${n}`);
      world.registrations = [...broken, 'acme'].map((name) => tenant(name));
      for (const name of broken) {
        const hook = world.hook(name);
        hook.obstacle = () => refusal('unauthorized', 401);
      }
      world.hook().sent('lost');
      takeAll();
      world.start();
      await world.pass(MINUTE);
      expect(world.hook().asked).to.deep.equal(['lost']);
    });

    describe('of many registrations for one webhook', () => {
      const shared = (name: string) =>
        tenant(name, {
          ...{ webhookSecrets: [], grant: grantOf(name) },
          claim: { kind: 'organization', organization: 'acme' },
        });
      const arrived = async (guid: string) => {
        await world.arrive(guid, 'github.com/webhook');
        return 202;
      };
      const begin = (names: readonly string[]) => {
        world.endpoints = [plainEndpoint({ owners: ['acme'] })];
        world.registrations = names.map(shared);
        const hooks = names.map((name) => {
          const hook = world.hook(name);
          hook.url = 'https://shr.example/webhooks/github';
          hook.receive = ({ guid }) => arrived(guid);
          return hook;
        });
        return { hooks, last: hooks.at(-1) ?? world.hook() };
      };

      it('are tried until one may, however many are broken', async () => {
        const { hooks, last } = begin([...Array.from({ length: 12 }, (_, n) => `broken-${n}`), 'well']);
        for (const hook of hooks.slice(0, -1)) hook.obstacle = () => refusal('unauthorized', 401);
        last.sent('lost');
        world.start();
        await world.pass(5 * MINUTE);
        expect(last.asked).to.deep.equal(['lost']);
      });

      it('are left for the next where they may read and not send again, or see no webhook', async () => {
        const { hooks, last } = begin(['blind', 'reader', 'well']);
        const [blind, reader] = hooks;
        if (blind === undefined || reader === undefined) throw new Error('there are three');
        blind.url = '';
        reader.obstacle = ({ method }) => (method === 'POST' ? refusal('forbidden', 403) : undefined);
        reader.sent('lost');
        last.sent('lost');
        world.start();
        await world.pass(5 * MINUTE);
        expect(last.asked).to.deep.equal(['lost']);
      });

      it('take turns by tenant: many of one are not before that of another', async () => {
        const { hooks, last } = begin([...Array.from({ length: 100 }, (_, n) => `broken-${n}`), 'well']);
        world.registrations = world.registrations.map((one) =>
          one.name === 'well' ? one : { ...one, grant: grantOf('hostile') },
        );
        for (const hook of hooks.slice(0, -1)) hook.obstacle = () => refusal('unauthorized', 401);
        last.sent('lost');
        world.start();
        await world.pass(20_000);
        expect(last.asked).to.deep.equal(['lost']);
        await world.pass(60 * MINUTE);
        expect(hooks.slice(0, -1).flatMap(({ calls }) => calls)).to.have.length(1);
      });

      it('rest alone where GitHub limits them', async () => {
        const { hooks, last } = begin(['limited', 'well']);
        const [limited = last] = hooks;
        world.start();
        await world.pass(5 * MINUTE);
        expect(last.calls).to.have.length(0);
        limited.obstacle = () =>
          new GithubError('rate-limited', 'GET /x', 'not now', { retryAfterMs: 10 * 60 * MINUTE });
        last.sent('lost');
        await world.pass(5 * MINUTE);
        expect(last.asked).to.deep.equal(['lost']);
        expect(world.events('redelivery-failed')).to.have.length(0);
      });

      it('are told of their own credentials alone', async () => {
        const { hooks } = begin(['stranger', 'reader', 'blind']);
        const [stranger, reader, blind] = hooks;
        if (stranger === undefined || reader === undefined || blind === undefined) throw new Error('there are three');
        stranger.obstacle = () => refusal('unauthorized', 401);
        reader.obstacle = ({ method }) => (method === 'POST' ? refusal('forbidden', 403) : undefined);
        reader.sent('lost');
        blind.url = '';
        const redelivery = world.start();
        await world.pass(5 * MINUTE);
        expect(redelivery.statusOf('stranger')?.message).to.include('401');
        expect(redelivery.statusOf('reader')?.cure).to.include('Webhooks (organization): read and write');
        expect(redelivery.statusOf('blind')).to.include({ state: 'none' });
        reader.obstacle = () => undefined;
        reader.receive = ({ guid }) => arrived(guid);
        await world.pass(61 * MINUTE);
        for (const name of ['stranger', 'reader', 'blind'])
          expect(redelivery.statusOf(name), name).to.include({ state: 'watched' });
      });

      it('are not told the address of a webhook that only others see', async () => {
        const { hooks } = begin(['seeing', 'other']);
        for (const hook of hooks) hook.url = 'https://elsewhere.example/webhooks/github';
        const redelivery = world.start();
        await world.pass(MINUTE);
        expect(redelivery.statusOf('other')).to.include({ state: 'unproven' });
        expect(redelivery.statusOf('other')?.message).not.to.include('elsewhere');
      });

      it('use no turns of one tenant that has used up its own', async () => {
        const repositories = Array.from({ length: 2_000 }, (_, n) => ({ owner: 'many', repository: `r-${n}` }));
        const credentials = { kind: 'app', appId: '12', privateKey: new Secret('x') } as const;
        const app = { webhookSecrets: [], credentials, claim: { kind: 'organization', organization: 'acme' } } as const;
        const hostile = grantOf('hostile');
        world.endpoints = [plainEndpoint({ appId: '12', owners: ['acme'] })];
        world.registrations = [
          tenant('many', { grant: hostile, claim: { kind: 'repositories', repositories } }),
          tenant('borrowed', { ...app, grant: hostile }),
          tenant('well', { ...app, grant: grantOf('well') }),
        ];
        world.hook('many', 'repository').url = '';
        world.hook('borrowed', 'app').obstacle = () => refusal('unauthorized', 401);
        const well = world.hook('well', 'app');
        well.url = 'https://shr.example/webhooks/github';
        well.receive = async ({ guid }) => {
          await world.arrive(guid, 'github.com/app/12');
          return 202;
        };
        world.start();
        await world.pass(10 * MINUTE);
        well.sent('lost');
        await world.pass(5 * MINUTE);
        expect(well.asked).to.deep.equal(['lost']);
      });

      it('cost no more than a few calls an hour where none may', async () => {
        const { hooks } = begin(Array.from({ length: 12 }, (_, n) => `broken-${n}`));
        for (const hook of hooks) hook.obstacle = () => refusal('forbidden', 403);
        world.start();
        await world.pass(10 * 60 * MINUTE);
        // Five at a time: of twelve, three are asked twice in a round.
        for (const { calls } of hooks) expect(calls.length).to.be.at.most(14);
        expect(world.events('redelivery-not-possible')).to.have.length(1);
      });
    });

    it('of an App are asked first: its webhook needs no permission, and no other is looked for then', async () => {
      const credentials = { kind: 'app', appId: '12', privateKey: new Secret('x') } as const;
      world.registrations = [tenant('acme', { credentials })];
      const [app, organization] = [world.hook('acme', 'app'), world.hook('acme', 'organization')];
      organization.obstacle = () => refusal('forbidden', 403);
      app.sent('lost');
      takeAll(app);
      const redelivery = world.start();
      await world.pass(60 * MINUTE);
      expect(app.asked).to.deep.equal(['lost']);
      expect(organization.calls).to.have.length(0);
      expect(redelivery.statusOf('acme')?.state).to.equal('watched');
      expect(world.events('redelivery-not-possible')).to.have.length(0);
    });

    it('of an App with a claim of many repositories find what it loses as soon as with one', async () => {
      const credentials = { kind: 'app', appId: '12', privateKey: new Secret('x') } as const;
      const repositories = Array.from({ length: 1_000 }, (_, n) => ({ owner: 'acme', repository: `r-${n}` }));
      world.registrations = [tenant('acme', { credentials, claim: { kind: 'repositories', repositories } })];
      const [app, own] = [world.hook('acme', 'app'), world.hook('acme', 'repository')];
      takeAll(app);
      const redelivery = world.start();
      for (const guid of ['one', 'two', 'three']) {
        await world.pass(11 * MINUTE);
        app.sent(guid);
        await world.pass(3 * MINUTE);
        expect(app.asked.at(-1)).to.equal(guid);
      }
      expect(own.calls).to.have.length(0);
      app.url = 'https://elsewhere.example/';
      await world.pass(100 * MINUTE);
      expect(redelivery.statusOf('acme')?.state, 'each repository for itself then').to.equal('watched');
    });

    it('of an App stay first when the configuration changes, and while its webhook is looked up again', async () => {
      const credentials = { kind: 'app', appId: '12', privateKey: new Secret('x') } as const;
      const acme = tenant('acme', { credentials });
      world.registrations = [acme];
      const [app, organization] = [world.hook('acme', 'app'), world.hook('acme', 'organization')];
      organization.obstacle = () => refusal('forbidden', 403);
      const redelivery = world.start();
      for (let minute = 0; minute < 150; minute += 1) {
        // At any time after it was looked at.
        await world.pass(MINUTE + 5_000);
        world.registrations = minute % 2 === 0 ? [acme, tenant(`other-${minute}`)] : [{ ...acme }];
      }
      await world.pass(5 * MINUTE);
      expect(organization.calls).to.have.length(0);
      expect(redelivery.statusOf('acme')?.state).to.equal('watched');
      app.url = 'https://elsewhere.example/';
      await world.pass(90 * MINUTE);
      expect(organization.calls, 'it leads elsewhere now').not.to.have.length(0);
    });

    it('that are as before are asked no sooner when others change', async () => {
      const acme = tenant('acme');
      const hook = world.hook();
      hook.obstacle = () => refusal('forbidden', 403);
      world.registrations = [acme];
      world.start();
      for (let minute = 0; minute < 30; minute += 1) {
        await world.pass(MINUTE);
        world.registrations = [acme, tenant(`other-${minute}`)];
      }
      expect(hook.calls).to.have.length(1);
      hook.obstacle = () => undefined;
      world.registrations = [{ ...acme }];
      await world.pass(MINUTE);
      expect(hook.calls.length).to.be.above(1);
    });

    it('find a webhook that was deleted and made anew', async () => {
      const hook = world.hook();
      takeAll();
      const redelivery = world.start();
      await world.pass(5 * MINUTE);
      hook.id = 8;
      hook.sent('lost');
      await world.pass(5 * MINUTE);
      expect(hook.asked).to.deep.equal(['lost']);
      expect(redelivery.statusOf('acme')?.state).to.equal('watched');
      expect(world.events('redelivery-not-possible')).to.have.length(0);
    });

    it('of a tenant with thousands of webhooks leave room for others', async () => {
      const repositories = Array.from({ length: 2_000 }, (_, n) => ({ owner: 'many', repository: `r-${n}` }));
      const grant = grantOf('many');
      world.registrations = [tenant('many', { grant, claim: { kind: 'repositories', repositories } }), tenant('acme')];
      const many = world.hook('many', 'repository');
      many.url = '';
      world.hook().sent('lost');
      takeAll();
      world.start();
      await world.pass(5 * MINUTE);
      expect(world.hook().asked).to.deep.equal(['lost']);
      expect(many.calls.length).to.be.at.most(110);
    });
  });
});
