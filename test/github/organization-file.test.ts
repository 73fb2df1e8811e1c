import { expect } from 'chai';
import { Secret } from '../../dispatcher/model/registration.ts';
import { type GithubSimulator, startGithubSimulator } from '../../simulators/github/index.ts';
import { clientOf, failureOf } from './github-fixture.ts';
import { VirtualClock } from './virtual-clock.ts';

const MOST = 1_000;

describe('shr.yaml of an organization, over the wire', () => {
  let simulator: GithubSimulator;
  beforeEach(async () => {
    const repositories = ['.github-private', '.github', 'web'].map((name) => ({ name }));
    simulator = await startGithubSimulator({
      owners: [{ login: 'acme', repositories }],
      tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
    });
  });
  afterEach(() => simulator.close());

  const asPerson = () =>
    clientOf(simulator.url, {
      clock: new VirtualClock(Date.now()),
      credentials: { kind: 'token', token: new Secret(simulator.tokens[0] ?? '') },
    }).github;
  const put = (repository: string, text: string | undefined) =>
    simulator.putFile({ owner: 'acme', repository, path: 'shr.yaml', text });
  const used = async (): Promise<number> => {
    const headers = { authorization: `Bearer ${simulator.tokens[0]}` };
    const answer = await fetch(`${simulator.url}/rate_limit`, { headers });
    return Number(answer.headers.get('x-ratelimit-used'));
  };

  it('is that of .github-private, and of .github where there is none', async () => {
    const github = asPerson();
    expect(await github.readOrganizationFile('acme', MOST), 'none').to.equal(undefined);
    put('.github', 'policy: {}\n');
    const second = { file: 'acme/.github/shr.yaml', text: 'policy: {}\n' };
    expect(await github.readOrganizationFile('acme', MOST)).to.deep.equal(second);
    put('.github-private', '{ "json": [1, 2] }');
    const first = { file: 'acme/.github-private/shr.yaml', text: '{ "json": [1, 2] }' };
    expect(await github.readOrganizationFile('acme', MOST), 'as it is').to.deep.equal(first);
    put('.github-private', undefined);
    expect(await github.readOrganizationFile('acme', MOST)).to.deep.equal(second);
  });

  it('costs nothing where it is as it was', async () => {
    const github = asPerson();
    put('.github-private', 'policy: { maxCpu: 8 }');
    const first = await github.readOrganizationFile('acme', MOST);
    const before = await used();
    expect(await github.readOrganizationFile('acme', MOST)).to.deep.equal(first);
    expect(await used()).to.equal(before);
    put('.github-private', 'policy: { maxCpu: 4 }');
    expect((await github.readOrganizationFile('acme', MOST))?.text).to.include('maxCpu: 4');
    expect(await used()).to.equal(before + 1);
  });

  it('is not kept in memory beyond what may be in it', async () => {
    put('.github-private', 'x'.repeat(100_000));
    expect((await asPerson().readOrganizationFile('acme', MOST))?.text).to.have.length(MOST + 1);
  });

  it('fails, and does not fall back, where the App may not read contents', async () => {
    put('.github-private', 'policy: { maxCpu: 1 }');
    put('.github', '{}');
    const [app] = simulator.apps;
    const credentials = { kind: 'app', appId: String(app?.id), privateKey: new Secret(app?.privateKey ?? '') } as const;
    const { github } = clientOf(simulator.url, { clock: new VirtualClock(Date.now()), credentials });
    await failureOf(github.readOrganizationFile('acme', MOST), 'forbidden');
  });
});
