import { generateKeyPairSync, verify } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect } from 'chai';
import { Secret } from '../../dispatcher/model/registration.ts';
import { acme, appCredentials, appKey, clientOf, failureOf, runnerReply, TOKEN } from './github-fixture.ts';
import { type Asked, type Says, type Script, type ScriptedGithub, scriptedGithub } from './scripted-github.ts';
import { VirtualClock } from './virtual-clock.ts';

function claimsOf(jwt: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString());
}

describe('a GitHub App', () => {
  let server: ScriptedGithub;
  let script: Script;
  let clock: VirtualClock;
  let minted: number;

  beforeEach(async () => {
    clock = new VirtualClock();
    minted = 0;
    script = installed;
    server = await scriptedGithub((asked) => script(asked));
  });
  afterEach(() => server.close());

  const token = (): Says => {
    minted += 1;
    return {
      status: 201,
      body: { token: `ghs_token${minted}`, expires_at: new Date(clock.now() + 3_600_000).toISOString() },
    };
  };
  const installed = (asked: Asked): Says => {
    if (asked.path.endsWith('/installation')) return { body: { id: 99 } };
    if (asked.path.endsWith('/access_tokens')) return token();
    return { body: runnerReply(7, 'shr-1') };
  };
  const app = (options: Parameters<typeof clientOf>[1] = {}) =>
    clientOf(server.apiUrl, { clock, credentials: appCredentials(), ...options });
  const paths = () => server.asked.map((one) => `${one.method} ${one.path}`);

  it('finds its installation by the organization and uses its token', async () => {
    await app().github.getRunner(acme, 7, 'verify');
    expect(paths()).to.deep.equal([
      'GET /orgs/acme/installation',
      'POST /app/installations/99/access_tokens',
      'GET /orgs/acme/actions/runners/7',
    ]);
    expect(server.asked[2]?.headers.authorization).to.equal('token ghs_token1');
  });

  // X2
  it('does not let a launch wait for the token that a sweep asked for', async () => {
    let hung = false;
    script = (asked) => {
      if (!asked.path.endsWith('/access_tokens') || hung) return installed(asked);
      hung = true;
      return 'hang';
    };
    const { github } = app();
    const swept = github.getRunner(acme, 7, 'sweep').catch((error: unknown) => error);
    while (!hung) await new Promise((resolve) => setImmediate(resolve));
    expect(await github.getRunner(acme, 7, 'launch')).to.include({ id: 7 });
    await clock.advance(60_000);
    await swept;
  });

  it('shares no budget with a registration that has written its id beside another key', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const forged = new Secret(privateKey.export({ type: 'pkcs1', format: 'pem' }).toString());
    const isForged = ({ headers }: Asked) => {
      const [head = '', payload = '', signature = ''] = (headers.authorization ?? '').replace('Bearer ', '').split('.');
      return !verify(
        'sha256',
        Buffer.from(`${head}.${payload}`),
        appKey.publicKey,
        Buffer.from(signature, 'base64url'),
      );
    };
    // GitHub counts what it does not accept by address, and says that nothing is left.
    const nothingLeft = {
      'x-ratelimit-limit': '60',
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': String(Math.floor(clock.now() / 1000) + 3600),
      'x-ratelimit-resource': 'core',
    };
    script = (asked) =>
      asked.path.endsWith('/installation') && isForged(asked)
        ? { status: 401, headers: nothingLeft, body: { message: 'A JSON web token could not be decoded' } }
        : installed(asked);
    const victim = app();
    const others = app({
      budgets: victim.budgets,
      claim: { kind: 'organization', organization: 'mallory' },
      credentials: { kind: 'app', appId: '12345', privateKey: forged },
    });
    await failureOf(
      others.github.getRunner({ kind: 'organization', organization: 'mallory' }, 7, 'launch'),
      'unauthorized',
    );
    expect(await victim.github.getRunner(acme, 7, 'launch')).to.include({ id: 7 });
    const names = new Set(victim.budgets.snapshot().map(({ credential }) => credential));
    expect(
      [...names].filter((name) => name.startsWith('app 12345 at ')).length,
      'each with a name of its own',
    ).to.equal(2);
  });

  it('signs each JWT with RS256 and its own jti, for at most ten minutes', async () => {
    await app().github.getRunner(acme, 7, 'verify');
    const jwts = server.asked.slice(0, 2).map((one) => (one.headers.authorization ?? '').replace('Bearer ', ''));
    for (const jwt of jwts) {
      const [header = '', claims = '', signature = ''] = jwt.split('.');
      expect(JSON.parse(Buffer.from(header, 'base64url').toString())).to.deep.equal({ alg: 'RS256', typ: 'JWT' });
      const signed = Buffer.from(`${header}.${claims}`);
      expect(verify('RSA-SHA256', signed, appKey.publicKey, Buffer.from(signature, 'base64url'))).to.equal(true);
      const { iat, exp, iss } = claimsOf(jwt);
      expect(iss).to.equal('12345');
      expect(Number(iat)).to.be.below(clock.now() / 1000);
      expect(Number(exp) - Number(iat)).to.be.at.most(600);
      expect(Number(exp)).to.be.above(clock.now() / 1000);
    }
  });

  it('never makes the same JWT twice in one second', async () => {
    let counter = 0;
    const { ulid } = await import('../../time/clock.ts');
    const { appJwt } = await import('../../dispatcher/github/app-jwt.ts');
    const random = () => {
      counter += 1;
      return (counter % 997) / 997;
    };
    const jwts = await Promise.all(
      Array.from({ length: 50 }, () => appJwt('1', appKey.privateKey, 0, ulid(0, random))),
    );
    expect(new Set(jwts).size).to.equal(50);
  });

  it('finds its installation by user account and by repository', async () => {
    await app({ claim: { kind: 'user', user: 'ada' } }).github.getRunner(
      { kind: 'repository', owner: 'ada', repository: 'web' },
      7,
      'verify',
    );
    expect(paths()[0]).to.equal('GET /users/ada/installation');
    const claim = {
      kind: 'repositories',
      repositories: [
        { owner: 'bob', repository: 'old' },
        { owner: 'bob', repository: 'api' },
      ],
    } as const;
    script = (asked) =>
      asked.path === '/repos/bob/old/installation' ? { status: 404, body: { message: 'Not Found' } } : installed(asked);
    await app({ claim }).github.getRunner({ kind: 'repository', owner: 'bob', repository: 'api' }, 7, 'verify');
    expect(paths()).to.include('GET /repos/bob/api/installation');
  });

  it('is looked for among the repositories of the owner alone, and not for an owner that is not claimed', async () => {
    const of = (owner: string, ...names: string[]) => names.map((repository) => ({ owner, repository }));
    const claim = {
      kind: 'repositories',
      repositories: [...of('bob', 'a', 'b', 'c', 'd', 'e', 'f'), ...of('Ada', 'web')],
    } as const;
    const { github } = app({ claim });
    await github.getRunner({ kind: 'repository', owner: 'ada', repository: 'web' }, 7, 'verify');
    expect(paths()[0]).to.equal('GET /repos/ada/web/installation');
    const asked = server.asked.length;
    const stranger = { kind: 'repository', owner: 'eve', repository: 'web' } as const;
    const failure = await failureOf(github.getRunner(stranger, 7, 'verify'), 'unauthorized');
    expect(failure.words).to.include('eve is not an owner that the registration claims');
    expect(server.asked).to.have.length(asked);
  });

  it('asks for one token however many calls wait for it, and keeps it until five minutes before its end', async () => {
    const { github } = app();
    await Promise.all(Array.from({ length: 20 }, () => github.getRunner(acme, 7, 'verify')));
    expect(minted).to.equal(1);
    await clock.advance(54 * 60_000);
    await github.getRunner(acme, 7, 'verify');
    expect(minted).to.equal(1);
    await clock.advance(60_000);
    await github.getRunner(acme, 7, 'verify');
    expect(minted).to.equal(2);
    expect(paths().filter((path) => path === 'GET /orgs/acme/installation')).to.have.length(1);
  });

  for (const status of [404, 401]) {
    it(`looks for the installation again, once, when its token is answered with ${status}`, async () => {
      let id = 99;
      script = (asked) => {
        if (asked.path.endsWith('/installation')) return { body: { id } };
        if (asked.path.includes('/installations/99/') && id !== 99) return { status, body: { message: 'gone' } };
        return installed(asked);
      };
      const { github } = app();
      await github.getRunner(acme, 7, 'verify');
      id = 100;
      await clock.advance(3_600_000);
      expect((await github.getRunner(acme, 7, 'verify'))?.id).to.equal(7);
      expect(paths().slice(3)).to.deep.equal([
        'POST /app/installations/99/access_tokens',
        'GET /orgs/acme/installation',
        'POST /app/installations/100/access_tokens',
        'GET /orgs/acme/actions/runners/7',
      ]);
    });
  }

  it('takes a new token, and makes even a write again, when GitHub refuses the old one', async () => {
    script = (asked) => {
      if (asked.method !== 'DELETE') return installed(asked);
      return asked.headers.authorization === 'token ghs_token1'
        ? { status: 401, body: { message: 'Bad credentials' } }
        : { status: 204 };
    };
    const { github } = app();
    await github.getRunner(acme, 7, 'verify');
    await clock.advance(60_000);
    expect(await github.deleteRunner(acme, 7)).to.equal('deleted');
    expect(minted).to.equal(2);
  });

  it('gives a fresh token a second to become known', async () => {
    let refusals = 1;
    script = (asked) => {
      if (asked.path !== '/orgs/acme/actions/runners/7') return installed(asked);
      refusals -= 1;
      return refusals >= 0 ? { status: 401, body: { message: 'Bad credentials' } } : installed(asked);
    };
    expect((await clock.during(app().github.getRunner(acme, 7, 'verify')))?.id).to.equal(7);
    expect(minted).to.equal(1);
  });

  it('does not take a missing installation for a missing runner or job', async () => {
    script = () => ({ status: 404, body: { message: 'Not Found' } });
    const { github } = app();
    const failure = await failureOf(github.getRunner(acme, 7, 'verify'), 'unauthorized');
    expect(failure.message).to.include('not installed for acme');
    await failureOf(github.deleteRunner(acme, 7), 'unauthorized');
    await failureOf(github.readJob('acme', 'web', 1), 'unauthorized');
    expect(paths()).to.deep.equal(['GET /orgs/acme/installation']);
  });

  it('goes on with the old token while GitHub cannot make a new one', async () => {
    let down = false;
    script = (asked) =>
      down && asked.path.endsWith('/access_tokens') ? { status: 503, body: 'busy' } : installed(asked);
    const { github } = app();
    await github.getRunner(acme, 7, 'verify');
    down = true;
    await clock.advance(56 * 60_000);
    expect((await clock.during(github.getRunner(acme, 7, 'verify')))?.id).to.equal(7);
  });

  it('says that an enterprise needs a personal access token', async () => {
    const { github } = app({ claim: { kind: 'enterprise', enterprise: 'big', organizations: ['acme'] } });
    const failure = await failureOf(
      github.listRunners({ kind: 'enterprise', enterprise: 'big' }, 'sweep'),
      'unauthorized',
    );
    expect(failure.message).to.include('manage_runners:enterprise');
    expect(server.asked).to.have.length(0);
  });

  it('says what is wrong with a key that cannot be read, without quoting it', async () => {
    const { github } = app({
      credentials: { kind: 'app', appId: '1', privateKey: new Secret('-----BEGIN RSA PRIVATE KEY-----\nMIIsecret') },
    });
    const failure = await failureOf(github.getRunner(acme, 7, 'verify'), 'unauthorized');
    expect(failure.message).to.include('PEM').and.not.include('MIIsecret');
  });

  it('has a budget for each installation, and one for itself', async () => {
    const { github, budgets } = app();
    await github.getRunner(acme, 7, 'verify');
    const host = new URL(server.apiUrl).host;
    const names = new Set(budgets.snapshot().map((level) => level.credential));
    expect([...names].sort()).to.deep.equal([`app 12345 at ${host}`, `app 12345 for acme at ${host}`]);
  });

  // W4
  for (const credentials of [
    { ...appCredentials(), host: 'ghes.b.example' },
    { kind: 'token', token: new Secret(TOKEN), host: 'ghes.b.example' } as const,
  ]) {
    it(`sends ${credentials.kind === 'app' ? "an App's" : 'a token'} to no host but its own`, async () => {
      const { github } = clientOf(server.apiUrl, { credentials });
      const failure = await failureOf(
        github.createJitRunner({ scope: acme, name: 'x', runnerGroup: 'Default', labels: ['a'] }),
        'unauthorized',
      );
      expect(failure.message).to.include('they belong to ghes.b.example and are not sent to github.com');
      await failureOf(github.getRunner(acme, 7, 'verify'), 'unauthorized');
      expect(server.asked).to.deep.equal([]);
    });
  }
});

// X3
describe('several Apps that share the load of one registration', () => {
  let server: ScriptedGithub;
  let clock: VirtualClock;
  /** By App: how many runners it has registered. */
  let registered: Map<string, number>;
  let suspended: Set<string>;

  beforeEach(async () => {
    clock = new VirtualClock();
    registered = new Map();
    suspended = new Set();
    server = await scriptedGithub((asked) => answer(asked));
  });
  afterEach(() => server.close());

  const answer = (asked: Asked): Says => {
    const authorization = asked.headers.authorization ?? '';
    if (asked.path.endsWith('/installation')) {
      const app = String(claimsOf(authorization.replace('Bearer ', ''))['iss']);
      return { body: { id: Number(app) } };
    }
    if (asked.path.endsWith('/access_tokens')) {
      const app = asked.path.split('/').at(-2) ?? '';
      if (suspended.has(app)) return { status: 403, body: { message: 'This installation has been suspended' } };
      const expires = new Date(clock.now() + 3_600_000).toISOString();
      return { status: 201, body: { token: `ghs_of${app}`, expires_at: expires } };
    }
    const app = /ghs_of(\d+)/.exec(authorization)?.[1] ?? 'none';
    if (suspended.has(app)) return { status: 403, body: { message: 'This installation has been suspended' } };
    const total = (registered.get(app) ?? 0) + 1;
    registered.set(app, total);
    return { status: 201, body: { runner: runnerReply(total, 'shr-1'), encoded_jit_config: 'jit' } };
  };

  function sharing(ids: readonly string[]) {
    const [first, ...others] = ids.map((appId) => {
      const credentials = appCredentials(appId);
      if (credentials.kind !== 'app') throw new Error('not an App');
      return { appId, privateKey: credentials.privateKey };
    });
    if (first === undefined) throw new Error('at least one App');
    return clientOf(server.apiUrl, {
      clock,
      credentials: { kind: 'app', ...first, others },
      limits: { pointsPerMinute: 100, longestWaitMs: 1_000 },
    });
  }

  /** Requests on the wire: the virtual clock must not run on while a busy machine is about to answer them. */
  let onTheWire = 0;
  const sent = () => {
    onTheWire += 1;
  };
  const ended = () => {
    onTheWire -= 1;
  };
  const channels = { 'undici:request:create': sent, 'undici:request:trailers': ended, 'undici:request:error': ended };
  before(() => {
    for (const [channel, listener] of Object.entries(channels)) subscribe(channel, listener);
  });
  after(() => {
    for (const [channel, listener] of Object.entries(channels)) unsubscribe(channel, listener);
  });

  async function answered(): Promise<void> {
    for (let idleTurns = 0; idleTurns < 5; idleTurns = onTheWire === 0 ? idleTurns + 1 : 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Registers as fast as it may for so long; answers how many. */
  async function burst(ids: readonly string[], ms: number): Promise<number> {
    const { github } = sharing(ids);
    // The first call of each App makes its token, which is not only a matter of the wire.
    for (const id of ids) {
      await github
        .createJitRunner({ scope: acme, name: `shr-first-${id}`, runnerGroup: 'Default', labels: ['x'] })
        .catch((error: unknown) => error);
    }
    const before = [...registered.values()].reduce((sum, one) => sum + one, 0);
    for (let passed = 0; passed < ms; passed += 500) {
      for (let index = 0; index < 4; index += 1) {
        void github
          .createJitRunner({ scope: acme, name: `shr-${passed}-${index}`, runnerGroup: 'Default', labels: ['x'] })
          .catch((error: unknown) => error);
      }
      await clock.advance(500);
      // Not the calls that wait for their budget: time has to pass for those.
      await answered();
    }
    await clock.advance(2_000);
    await answered();
    return [...registered.values()].reduce((sum, one) => sum + one, 0) - before;
  }

  it('carry as much as each of them alone, together', async () => {
    const one = await burst(['11'], 120_000);
    const three = await burst(['21', '22', '23'], 120_000);
    expect(one).to.be.greaterThan(20);
    expect(three / one).to.be.at.least(2.7);
  });

  it('lose the share of one that is suspended, and nothing else', async () => {
    suspended.add('32');
    const two = await burst(['31', '32', '33'], 120_000);
    const one = await burst(['41'], 120_000);
    expect(two / one).to.be.at.least(1.8);
    expect([...registered.keys()]).to.not.include('32');
  });

  it('ask the one with most of its budget left first', async () => {
    const { github } = sharing(['51', '52']);
    for (let index = 0; index < 6; index += 1) {
      await github.createJitRunner({ scope: acme, name: `shr-${index}`, runnerGroup: 'Default', labels: ['x'] });
    }
    expect([registered.get('51'), registered.get('52')]).to.deep.equal([3, 3]);
  });

  it('say what is wrong when none of them may', async () => {
    suspended = new Set(['61', '62']);
    const { github } = sharing(['61', '62']);
    const failure = await failureOf(
      github.createJitRunner({ scope: acme, name: 'shr-1', runnerGroup: 'Default', labels: ['x'] }),
      'forbidden',
    );
    expect(failure.message).to.include('suspended');
  });
});
