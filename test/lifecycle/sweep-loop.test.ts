import { expect } from 'chai';
import { GithubError, type GithubRunner } from '../../dispatcher/github/github.ts';
import { scopePath } from '../../dispatcher/jobs/scope.ts';
import { GithubView } from '../../dispatcher/lifecycle/github-view.ts';
import { InstanceView } from '../../dispatcher/lifecycle/instance-view.ts';
import { OtherDispatchers } from '../../dispatcher/lifecycle/other-dispatchers.ts';
import { SweepLoop } from '../../dispatcher/lifecycle/sweep-loop.ts';
import { SweepTroubles } from '../../dispatcher/lifecycle/sweep-troubles.ts';
import { ProviderError } from '../../providers/provider.ts';
import { type EngineParts, laneOf, openEngineParts } from './engine-parts.ts';
import { runnerRow } from './runner-fixture.ts';
import { honestProvider } from './small-fixture.ts';

const MINUTE = 60_000;

describe('the loop of sweeps', () => {
  const ofLedger = new Error('the disk is full');
  let parts: EngineParts;
  let loop: SweepLoop;
  let troubles: SweepTroubles;
  let calls: string[];
  let list: () => Promise<readonly []>;
  let listRunners: () => Promise<readonly GithubRunner[]>;

  beforeEach(async () => {
    calls = [];
    list = async () => [];
    listRunners = async () => [];
    parts = await openEngineParts({
      isOfLedger: (error) => error === ofLedger,
      provider: async () =>
        honestProvider({
          list: () => {
            calls.push('list instances');
            return list();
          },
        }),
      github: {
        listRunners: (scope) => {
          calls.push(`list runners of ${scopePath(scope)}`);
          return listRunners();
        },
      },
    });
    const { clock, context, dispatcherId, incarnation, ledger, log, sweeps } = parts;
    troubles = new SweepTroubles(clock, log);
    loop = new SweepLoop({
      ...parts,
      instances: new InstanceView(dispatcherId, () => clock.now()),
      view: new GithubView(context),
      others: new OtherDispatchers(ledger, incarnation, clock, log),
      ...{ schedule: sweeps, troubles },
    });
  });
  afterEach(() => parts.close());

  async function sweep(): Promise<void> {
    loop.run();
    await Promise.all(loop.underWay);
  }

  const failures = () => Object.fromEntries(parts.sweeps.failures);
  const troublesOf = () => troubles.of('acme').map(({ about, failure }) => `${about}: ${failure.kind}`);
  const events = (name: string) => parts.logged.filter((event) => event.startsWith(name));

  it('compares instances and runners of each registration when its turn has come', async () => {
    expect(failures()).to.deep.equal({ acme: ['not listed yet'] });
    const wakes = parts.wakes();
    await sweep();
    expect(calls).to.deep.equal(['list instances', 'list runners of orgs/acme']);
    expect(failures()).to.deep.equal({});
    expect([...loop.underWay]).to.have.length(0);
    expect(parts.wakes()).to.be.above(wakes + 1);
    await sweep();
    expect(calls).to.have.length(2);
    await parts.clock.advance(6 * MINUTE);
    await sweep();
    expect(calls).to.have.length(4);
  });

  it('does not wait for its sweeps', () => {
    list = () => new Promise(() => {});
    loop.run();
    expect([...loop.underWay]).to.have.length(1);
  });

  it('looks also where lanes of the registration are', async () => {
    await parts.queue(laneOf({ scope: { kind: 'repository', owner: 'acme', repository: 'web' } }), 1);
    await sweep();
    expect(calls).to.include.members(['list runners of orgs/acme', 'list runners of repos/acme/web']);
  });

  it('looks also where its runners are, were they all busy with long jobs', async () => {
    const scope = 'repos/acme/api';
    const LANE = laneOf({ scope: { kind: 'repository', owner: 'acme', repository: 'api' } });
    const row = { scope, laneKey: LANE.key, state: 'busy', backend: 'main', instanceState: 'running' } as const;
    await parts.ledger.createRunner(runnerRow({ name: 'd1-busy', ...row }), 'launch');
    await sweep();
    expect(calls).to.include.members(['list runners of orgs/acme', `list runners of ${scope}`]);
    await parts.ledger.stepRunner('d1-busy', () => ({ patch: { state: 'gone' }, entries: [] }));
    calls = [];
    await parts.clock.advance(6 * MINUTE);
    await sweep();
    expect(calls).to.not.include(`list runners of ${scope}`);
  });

  it('leaves GitHub alone where it is not its turn, and once the engine stops', async () => {
    parts.sweeps.includesGithub = () => false;
    await sweep();
    expect(calls).to.deep.equal(['list instances']);
    parts.sweeps.includesGithub = () => true;
    parts.stop();
    await parts.clock.advance(6 * MINUTE);
    await sweep();
    expect(calls).to.deep.equal(['list instances', 'list instances']);
  });

  it('tells what could not be listed, at the backends and at GitHub, until it can', async () => {
    list = () => Promise.reject(new ProviderError('unauthorized', 'docker list', 'no permission'));
    listRunners = () => Promise.reject(new GithubError('unauthorized', 'GET runners', 'bad credentials'));
    await sweep();
    expect(failures()['acme']?.join()).to.include('no permission');
    expect(troublesOf()).to.deep.equal(['main: unauthorized', 'orgs/acme: unauthorized']);
    list = async () => [];
    listRunners = async () => [];
    await parts.clock.advance(6 * MINUTE);
    await sweep();
    expect(failures()).to.deep.equal({});
    expect(troublesOf()).to.deep.equal([]);
  });

  it('reports a runner in GitHub’s list that cannot be read', async () => {
    const odd = { id: 1, name: 'd1-odd', status: 'offline', busy: false, labels: [], unreadable: 'no id' } as const;
    listRunners = async () => [odd];
    await sweep();
    expect(troublesOf()).to.deep.equal(['orgs/acme: invalid']);
  });

  it('says once that a sweep broke, tries it again, and says when it is over', async () => {
    list = () => Promise.reject(new TypeError('x is not a function'));
    await sweep();
    expect(failures()).to.deep.equal({ acme: ['the sweep broke: see the log'] });
    expect(events('sweep-broken')).to.have.length(1);
    expect([...loop.underWay]).to.have.length(0);
    list = async () => [];
    await parts.clock.advance(6 * MINUTE);
    await sweep();
    expect(failures()).to.deep.equal({});
    expect(events('sweep-broken')).to.have.length(2);
  });

  it('leaves what the ledger failed at to the ledger’s own line', async () => {
    list = () => Promise.reject(ofLedger);
    await sweep();
    expect(failures()).to.deep.equal({ acme: ['the sweep broke: see the log'] });
    expect(parts.logged).to.deep.equal([]);
  });
});
