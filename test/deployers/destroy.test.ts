import { expect } from 'chai';
import type { Deployer, Deployment, DeploymentStatus } from '../../deployers/deployer.ts';
import { destroy } from '../../deployers/destroy.ts';
import { deploymentHash, slowHash } from '../../deployers/tags.ts';

const deployment: Deployment = {
  id: 'shr-acme',
  image: 'shr:1',
  bundle: 'packed',
  bundleHash: 'hash',
  cpu: 1,
  memoryGiB: 1,
  listenPort: 8080,
  adminPort: 9090,
  publicPort: 8080,
  stopGraceS: 30,
};

interface World {
  status: DeploymentStatus | undefined;
  runners: string[];
  left: string[];
  /** What happens while the command sleeps, one after the other. */
  readonly meanwhile: (() => void)[];
  readonly did: string[];
  readonly said: string[];
}

function world(changes: Partial<World> = {}): World {
  const status = { role: 'serve', state: 'healthy', image: 'shr:1', hash: 'h' } as const;
  return { status, runners: [], left: [], meanwhile: [], did: [], said: [], ...changes };
}

function run(all: World, { now = false, image = 'shr:1' } = {}): Promise<void> {
  const deployer: Pick<Deployer, 'apply' | 'status' | 'remove' | 'left'> = {
    async apply(_deployment, role) {
      all.did.push(`apply ${role}`);
      all.status = { role, state: 'healthy', image, hash: 'h' };
      return { changed: true, ledgerNote: '', url: '' };
    },
    status: async () => all.status,
    async remove() {
      all.did.push('remove');
      all.status = undefined;
    },
    left: async () => all.left,
  };
  return destroy({
    deployer,
    now,
    deployment: { ...deployment, image },
    tell: (line) => void all.said.push(line),
    runners: async () =>
      all.runners.map((name) => ({
        name,
        state: 'running',
        async stop() {
          all.did.push(`stop ${name}`);
          all.runners = all.runners.filter((other) => other !== name);
        },
      })),
    async sleep() {
      // A loop without an end must not keep the test from failing.
      await new Promise(setImmediate);
      all.meanwhile.shift()?.();
    },
  });
}

const failure = (promise: Promise<void>) =>
  promise.then(
    () => '',
    (error: unknown) => (error instanceof Error ? error.message : 'no error'),
  );

describe('a deployment that is destroyed', () => {
  const ended: DeploymentStatus = { role: 'drain', state: 'ended', image: 'shr:1', hash: 'h' };

  it('waits for the dispatcher that drains, says for what, and kills nothing', async () => {
    const all = world({ runners: ['r-1', 'r-2'] });
    all.meanwhile.push(
      () => void all.runners.pop(),
      () => void all.runners.pop(),
      () => {
        all.status = ended;
      },
    );
    await run(all);
    expect(all.did).to.deep.equal(['apply drain', 'remove']);
    expect(all.said).to.include('waiting for r-1 (running), r-2 (running)').and.include('waiting for r-1 (running)');
    expect(all.said.at(-1)).to.include('nothing is left');
  });

  it('with now removes the dispatcher before the runners, which it would launch again', async () => {
    const all = world({ runners: ['r-1'] });
    await run(all, { now: true });
    expect(all.did).to.deep.equal(['remove', 'stop r-1', 'remove']);
    expect(all.said).to.include('killing the runner r-1 (running)');
  });

  it('says where there is nothing', async () => {
    const all = world({ status: undefined });
    await run(all);
    expect(all.did).to.not.include('apply drain');
    expect(all.said).to.include('nothing is deployed as shr-acme');
  });

  it('drains runners that an interrupted command left without a dispatcher', async () => {
    const all = world({ status: undefined, runners: ['r-1'] });
    all.meanwhile.push(() => {
      all.runners = [];
      all.status = ended;
    });
    await run(all);
    expect(all.did).to.deep.equal(['apply drain', 'remove']);
    const imageless = world({ status: undefined, runners: ['r-1'] });
    expect(await failure(run(imageless, { image: '' }))).to.include('no dispatcher that could wait for them');
    expect(imageless.did).to.deep.equal([]);
  });

  it('kills nothing where the dispatcher that drains is gone or was stopped', async () => {
    const stopped: DeploymentStatus = { ...ended, state: 'stopped' };
    for (const [status, words] of [
      [undefined, 'was removed'],
      [stopped, 'was stopped'],
    ] as const) {
      const all = world({ runners: ['r-1'] });
      all.meanwhile.push(() => {
        all.status = status;
      });
      expect(await failure(run(all))).to.include(words);
      expect(all.did).to.deep.equal(['apply drain']);
    }
  });

  it('says what keeps the dispatcher from draining, and does not wait for it without end', async () => {
    const all = world({ runners: ['r-1'] });
    all.meanwhile.push(() => {
      all.status = { ...ended, state: 'unhealthy', message: 'it ends again and again' };
    });
    expect(await failure(run(all))).to.include('it ends again and again');
    expect(all.did).to.deep.equal(['apply drain']);
  });

  it('goes on waiting for a dispatcher that was unhealthy for a while', async () => {
    const all = world({ runners: ['r-1'] });
    const becomes = (state: DeploymentStatus['state']) => () => {
      all.status = { ...ended, state };
    };
    for (let look = 0; look < 800; look += 1) all.meanwhile.push(becomes(look % 400 === 399 ? 'healthy' : 'unhealthy'));
    all.meanwhile.push(() => {
      all.runners = [];
      becomes('ended')();
    });
    await run(all);
    expect(all.did).to.deep.equal(['apply drain', 'remove']);
  });

  it('does not say that nothing is left where something is', async () => {
    const all = world({ left: ['volume shr-shr-acme-ledger'] });
    expect(await failure(run(all, { now: true }))).to.include('this is left: volume shr-shr-acme-ledger');
    expect(all.said.join()).to.not.include('nothing is left');
  });
});

describe('the hash of a deployment', () => {
  it('changes with everything but the packed text, which its own hash stands for', () => {
    const known = deploymentHash(deployment, 'serve');
    expect(known).to.match(/^[0-9a-f]{12}$/);
    expect(deploymentHash({ ...deployment, bundle: 'packed otherwise' }, 'serve')).to.equal(known);
    const others = [
      deploymentHash(deployment, 'drain'),
      deploymentHash(deployment, 'serve', 'sha256:1'),
      deploymentHash({ ...deployment, bundleHash: 'other' }, 'serve'),
      deploymentHash({ ...deployment, memoryGiB: 2 }, 'serve'),
      deploymentHash({ ...deployment, id: 'shr-other' }, 'serve'),
    ];
    expect(new Set([known, ...others]).size).to.equal(6);
  });

  it('of one configuration is another one in another deployment', () => {
    expect(slowHash('secret', 'one')).to.equal(slowHash('secret', 'one'));
    expect(slowHash('secret', 'one')).to.not.equal(slowHash('secret', 'other'));
  });
});
