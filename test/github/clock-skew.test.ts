/** Case 08: this machine's clock is not GitHub's. */
import { expect } from 'chai';
import { type GithubTime, GithubTimes, measuredSkew } from '../../dispatcher/github/github-time.ts';
import { acme, appCredentials, clientOf, failureOf, runnerReply, TOKEN } from './github-fixture.ts';
import { type Asked, type Says, type Script, type ScriptedGithub, scriptedGithub } from './scripted-github.ts';
import { VirtualClock } from './virtual-clock.ts';

const GITHUB_AT_MS = Date.UTC(2026, 0, 5, 12);

describe("a clock that is not GitHub's", () => {
  let server: ScriptedGithub;
  let script: Script;
  let clock: VirtualClock;
  let told: string[];
  /** What GitHub's clock is behind ours. */
  let aheadMs: number;
  /** What the machine's clock shows beyond the dispatcher's, which follows it slowly. */
  let machineAheadMs: number;
  let accepted: number;
  let refused: number;

  beforeEach(async () => {
    [told, accepted, refused, machineAheadMs] = [[], 0, 0, 0];
    script = github;
    server = await scriptedGithub((asked) => script(asked));
  });
  afterEach(() => server.close());

  const githubNow = () => clock.now() - aheadMs;
  const dated = (says: Says): Says => ({
    ...says,
    headers: { date: new Date(githubNow()).toUTCString(), ...says.headers },
  });

  /** Judges the JWT as GitHub does. */
  const github = (asked: Asked): Says => {
    if (!asked.path.endsWith('/installation') && !asked.path.endsWith('/access_tokens')) {
      return dated({ body: runnerReply(7, 'shr-1') });
    }
    const jwt = String(asked.headers.authorization).replace('Bearer ', '');
    const { iat, exp } = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString());
    const now = githubNow() / 1000;
    const message =
      iat > now
        ? "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
        : exp < now
          ? "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
          : exp > now + 600
            ? "'Expiration time' claim ('exp') is too far in the future"
            : undefined;
    if (message !== undefined) {
      refused += 1;
      return dated({ status: 401, body: { message, documentation_url: 'https://docs.github.com/rest' } });
    }
    accepted += 1;
    if (asked.path.endsWith('/installation')) return dated({ body: { id: 99 } });
    const expires_at = new Date(githubNow() + 3_600_000).toISOString();
    return dated({ status: 201, body: { token: `ghs_token${accepted}`, expires_at } });
  };

  function skewed(ms: number, credentials: 'app' | 'token' = 'app') {
    aheadMs = ms;
    clock = new VirtualClock(GITHUB_AT_MS + ms);
    const times = new GithubTimes({
      clock,
      machine: { now: () => clock.now() + machineAheadMs },
      log: {
        warn: (event, fields) => told.push(`${event} ${String(fields['reason'])}`),
        info: (event) => told.push(event),
      },
    });
    const { github: client, budgets } = clientOf(server.apiUrl, {
      clock,
      times,
      ...(credentials === 'app' ? { credentials: appCredentials() } : {}),
    });
    return { client, times, budgets, time: times.at(server.apiUrl) };
  }

  for (const [seconds, words] of [
    [180, "this machine's clock is 180 s ahead of GitHub's"],
    [7_200, "this machine's clock is 7200 s ahead of GitHub's"],
    [-600, "this machine's clock is 600 s behind GitHub's"],
    [-86_400, "this machine's clock is 86400 s behind GitHub's"],
  ] as const) {
    it(`of ${seconds} s is made up for: signed again with GitHub's time, and said once`, async () => {
      const { client, time } = skewed(seconds * 1000);
      expect((await client.getRunner(acme, 7, 'verify'))?.id).to.equal(7);
      expect([accepted, refused]).to.deep.equal([2, 1]);
      expect(Math.round(time.aheadMs / 1000)).to.equal(seconds);
      for (let minutes = 0; minutes < 240; minutes += 10) {
        await clock.advance(600_000);
        await client.getRunner(acme, 7, 'verify');
      }
      expect(refused).to.equal(1);
      expect(told).to.deep.equal([`github.clock ${words}`]);
    });
  }

  it('renews a token before its end by GitHub’s clock', async () => {
    const { client } = skewed(-600_000);
    await client.getRunner(acme, 7, 'verify');
    const before = accepted;
    // By our clock it would live for 70 minutes.
    await clock.advance(54 * 60_000);
    await client.getRunner(acme, 7, 'verify');
    expect(accepted).to.equal(before);
    await clock.advance(2 * 60_000);
    await client.getRunner(acme, 7, 'verify');
    expect(accepted).to.equal(before + 1);
  });

  it('does not take a token of an hour for one that has ended', async () => {
    const { client } = skewed(7_200_000);
    await client.getRunner(acme, 7, 'verify');
    await client.getRunner(acme, 7, 'verify');
    expect(accepted).to.equal(2);
  });

  it('is right again: the next refusal is cured with the time that it tells, and the end is said', async () => {
    const { client, time } = skewed(3_600_000);
    await client.getRunner(acme, 7, 'verify');
    // The clock is set: our time now is GitHub's.
    clock.set(githubNow());
    aheadMs = 0;
    await client.getRunner(acme, 7, 'verify');
    expect(time.skew).to.equal(undefined);
    expect(told.at(-1)).to.equal('github.clock.right');
    await clock.advance(56 * 60_000);
    await client.getRunner(acme, 7, 'verify');
    expect(accepted).to.equal(3);
  });

  it('is made up for as long as the dispatcher’s own time is off, and told while the machine’s is', async () => {
    const { client, time } = skewed(3_600_000);
    await client.getRunner(acme, 7, 'verify');
    expect(told).to.deep.equal(["github.clock this machine's clock is 3600 s ahead of GitHub's"]);
    // Somebody has set the machine's clock; the dispatcher's time goes on.
    machineAheadMs = -3_600_000;
    await clock.advance(56 * 60_000);
    await client.getRunner(acme, 7, 'verify');
    expect(told.at(-1)).to.equal('github.clock.right');
    expect(time.skew).to.equal(undefined);
    expect(Math.round(time.aheadMs / 1000)).to.equal(3_600);
    expect([accepted, refused]).to.deep.equal([3, 1]);
  });

  it('keeps the wait for a reset right', async () => {
    const { client } = skewed(180_000, 'token');
    script = () =>
      dated({
        status: 403,
        body: { message: 'API rate limit exceeded' },
        headers: {
          'x-ratelimit-limit': '5000',
          'x-ratelimit-remaining': '0',
          'x-ratelimit-reset': String(githubNow() / 1000 + 900),
        },
      });
    const failure = await failureOf(client.getRunner(acme, 7, 'verify'), 'rate-limited');
    expect(failure.retryAfterMs).to.be.within(899_000, 901_000);
  });

  it('keeps a date in retry-after right', async () => {
    const { client } = skewed(-600_000, 'token');
    script = () => dated({ status: 503, headers: { 'retry-after': new Date(githubNow() + 120_000).toUTCString() } });
    const failure = await failureOf(client.getRunner(acme, 7, 'verify'), 'transient');
    expect(failure.retryAfterMs).to.be.within(119_000, 121_000);
  });

  it('is seen with a token too', async () => {
    const { client, time } = skewed(180_000, 'token');
    await client.getRunner(acme, 7, 'verify');
    expect(Math.round((time.skew?.aheadMs ?? 0) / 1000)).to.equal(180);
    expect(JSON.stringify(told)).to.not.include(TOKEN);
  });

  it('is the cure that is named where GitHub tells no time', async () => {
    const { client } = skewed(180_000);
    const dateless = (says: Says): Says => ({ ...says, headers: {} });
    script = (asked) => dateless(github(asked));
    const failure = await failureOf(client.getRunner(acme, 7, 'verify'), 'unauthorized');
    expect(failure.words).to.include("set this machine's clock").and.not.include('renew');
  });

  it('is not made of a cached answer, of half a minute, or of an answer that took long', async () => {
    const { client, time } = skewed(0, 'token');
    script = () => ({
      body: runnerReply(7, 'shr-1'),
      headers: { date: new Date(githubNow() - 400_000).toUTCString(), age: '400' },
    });
    await client.getRunner(acme, 7, 'verify');
    expect(time.skew).to.equal(undefined);
    script = () => ({
      body: runnerReply(7, 'shr-1'),
      headers: { date: new Date(githubNow() - 25_000).toUTCString() },
    });
    await client.getRunner(acme, 7, 'verify');
    expect(time.skew).to.equal(undefined);
    const date = new Date(GITHUB_AT_MS).toUTCString();
    expect(measuredSkew(date, GITHUB_AT_MS, GITHUB_AT_MS + 60_000)).to.equal(undefined);
    expect(measuredSkew(date, GITHUB_AT_MS + 5_000, GITHUB_AT_MS)).to.equal(undefined);
    expect(measuredSkew('yesterday', GITHUB_AT_MS, GITHUB_AT_MS)).to.equal(undefined);
  });

  it('is logged again when it has changed by half a minute, and keeps the time when it was first seen', () => {
    const { times, time } = skewed(60_000);
    const learn = (ms: number) => time.learn(new Date(clock.now() - ms - 500).toUTCString(), clock.now());
    clock.set(GITHUB_AT_MS + 500);
    learn(60_000);
    const sinceMs = clock.now();
    clock.set(clock.now() + 10_000);
    learn(89_000);
    expect(time.skew).to.deep.equal({ api: new URL(server.apiUrl).host, aheadMs: 89_000, sinceMs });
    expect(told).to.have.length(1);
    learn(90_000);
    expect(told.at(-1)).to.equal("github.clock this machine's clock is 90 s ahead of GitHub's");
    expect(told).to.have.length(2);
    expect(times.machineAheadMs()).to.deep.equal([{ api: new URL(server.apiUrl).host, aheadMs: 90_000 }]);
    learn(30_000);
    expect(told.at(-1)).to.equal('github.clock.right');
    expect(times.machineAheadMs()).to.deep.equal([{ api: new URL(server.apiUrl).host, aheadMs: 0 }]);
    learn(31_000);
    expect(told.at(-1), 'a new one').to.equal("github.clock this machine's clock is 31 s ahead of GitHub's");
  });

  it('is measured at the middle of the call, and of the second that GitHub tells', () => {
    const date = new Date(GITHUB_AT_MS).toUTCString();
    expect(measuredSkew(date, GITHUB_AT_MS + 100_000, GITHUB_AT_MS + 110_000)).to.equal(104_500);
    expect(measuredSkew(date, GITHUB_AT_MS, GITHUB_AT_MS)).to.equal(-500);
    expect(measuredSkew(date, GITHUB_AT_MS, GITHUB_AT_MS + 25_000)).to.equal(12_000);
    expect(measuredSkew(date, GITHUB_AT_MS, GITHUB_AT_MS + 25_001)).to.equal(undefined);
  });

  it('is one for all registrations of an API, and another for another', () => {
    clock = new VirtualClock();
    const times = new GithubTimes({ clock });
    const same: GithubTime = times.at('https://api.github.com');
    expect(times.at('https://api.github.com/')).to.equal(same);
    expect(times.at('https://ghe.example/api/v3')).to.not.equal(same);
  });
});
