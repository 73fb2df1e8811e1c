/** A tenant's own GitHub Enterprise Server may answer anything: the dispatcher's calls go to that server alone. */
import { expect } from 'chai';
import { acme, clientOf, failureOf, runnerReply, TOKEN } from './github-fixture.ts';
import { type Says, type ScriptedGithub, scriptedGithub } from './scripted-github.ts';

describe('a redirect of GitHub', () => {
  let github: ScriptedGithub;
  let elsewhere: ScriptedGithub;
  let answer: (path: string) => Says;

  beforeEach(async () => {
    elsewhere = await scriptedGithub(() => ({ body: runnerReply(7, 'r-1') }));
    github = await scriptedGithub(({ path }) => answer(path));
  });
  afterEach(() => Promise.all([github.close(), elsewhere.close()]));

  const read = () => {
    const { clock, github: client } = clientOf(github.apiUrl);
    return clock.during(client.getRunner(acme, 7, 'verify'));
  };
  const failure = async (work: Promise<unknown>): Promise<string> => (await failureOf(work, 'transient')).message;

  for (const status of [301, 302, 303, 307, 308]) {
    it(`with ${status} to another host is not followed`, async () => {
      answer = () => ({ status, headers: { location: `${elsewhere.apiUrl}/orgs/acme/actions/runners/7` } });
      const { host } = new URL(elsewhere.apiUrl);
      expect(await failure(read())).to.include(`it redirects to another host, ${host}`);
      expect(elsewhere.asked).to.deep.equal([]);
    });
  }

  it('is not followed with what a call sends, such as the labels of a runner', async () => {
    answer = () => ({ status: 307, headers: { location: elsewhere.apiUrl } });
    const { clock, github: client } = clientOf(github.apiUrl);
    const request = { scope: acme, runnerGroup: 'Default', name: 'r-1', labels: ['acme-runner'] };
    await failure(clock.during(client.createJitRunner(request)));
    expect(github.asked.length).to.be.greaterThan(0);
    expect(elsewhere.asked).to.deep.equal([]);
  });

  it('within its own host is followed with the credentials, as for a repository that was renamed', async () => {
    answer = (path) =>
      path.startsWith('/moved')
        ? { body: runnerReply(7, 'r-1') }
        : { status: 301, headers: { location: '/moved/actions/runners/7' } };
    expect(await read()).to.include({ id: 7, name: 'r-1' });
    expect(github.asked.at(-1)).to.deep.include({ method: 'GET', path: '/moved/actions/runners/7' });
    expect(github.asked.at(-1)?.headers.authorization).to.equal(`token ${TOKEN}`);
  });

  it('that goes round ends', async () => {
    answer = (path) => ({ status: 302, headers: { location: path } });
    expect(await failure(read())).to.include('it redirects more than 5 times');
  });

  it('that names no place is a failure', async () => {
    answer = () => ({ status: 302, headers: { location: 'http://[' } });
    expect(await failure(read())).to.include('it redirects to an invalid URL');
  });
});
