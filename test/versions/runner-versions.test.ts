/** Versions that containers report, against GitHub's word on the wire. */
import { expect } from 'chai';
import { BudgetPool } from '../../dispatcher/github/budget-pool.ts';
import { requestersFor } from '../../dispatcher/github/credential.ts';
import { GithubTimes } from '../../dispatcher/github/github-time.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { compareVersions, releasesAt } from '../../dispatcher/versions/releases.ts';
import { oldVersionWords, RunnerVersions } from '../../dispatcher/versions/runner-versions.ts';
import { type GithubSimulator, type SimulatorOptions, startGithubSimulator } from '../../simulators/github/index.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { DAY, SECOND } from '../../time/units.ts';
import { VirtualClock } from '../github/virtual-clock.ts';
import { LogLines } from '../intake/intake-fixture.ts';
import { registration } from '../registration-fixture.ts';

const SCOPE = 'orgs/acme';
const LOOK_MS = 5 * SECOND;

describe('the versions of runners in use', () => {
  let clock: VirtualClock;
  let log: LogLines;
  let asked: number;
  let newest: string | undefined;
  let nextDay: () => void;
  let versions: RunnerVersions;

  beforeEach(() => {
    clock = new VirtualClock();
    log = new LogLines();
    asked = 0;
    newest = '2.338.1';
    versions = new RunnerVersions({
      clock,
      log,
      releases: (name) =>
        name === 'removed'
          ? undefined
          : {
              newest: async () => {
                asked += 1;
                return newest;
              },
              endOfMs: async (version) => (version === '2.330.0' ? Date.UTC(2026, 11, 24) : undefined),
            },
      daily: (action) => {
        nextDay = action;
        return () => {};
      },
    });
    versions.start();
  });
  afterEach(() => versions.stop());

  const saw = (registration: string, version: string, image = 'acme/runner:1') =>
    versions.saw(registration, SCOPE, { image, version });
  const warnings = () => log.lines.filter(({ event }) => event === 'runner-version-old');

  it('are compared when they are first seen, and not for each container', async () => {
    for (let runner = 0; runner < 50; runner += 1) saw('acme', '2.330.0');
    await clock.advance(LOOK_MS);
    expect(asked).to.equal(1);
    const old = versions.oldOf('acme');
    expect(old === undefined ? undefined : oldVersionWords(old)).to.equal(
      'its runners have version 2.330.0, and 2.338.1 is out: GitHub gives it no jobs from 2026-12-24 on. Build the image with the newer one',
    );
    expect(warnings()).to.have.length(1);
  });

  it('are compared by number, and a newer one than the newest is none of GitHub’s business', async () => {
    expect(compareVersions('2.9.0', '2.10.0')).to.be.lessThan(0);
    expect(compareVersions('2.338.1', '2.338.1')).to.equal(0);
    saw('acme', '2.1000.0');
    await clock.advance(LOOK_MS);
    expect(versions.oldOf('acme')).to.equal(undefined);
  });

  it('tell of the oldest in use, without an end where GitHub says none', async () => {
    saw('acme', '2.338.1');
    saw('acme', '2.331.0');
    await clock.advance(LOOK_MS);
    const old = versions.oldOf('acme');
    expect(old?.version).to.equal('2.331.0');
    expect(old === undefined ? '' : oldVersionWords(old)).to.include('30 days after a newer release');
  });

  it('are compared again each day, when a release may have come out', async () => {
    saw('acme', '2.338.1');
    await clock.advance(LOOK_MS);
    expect(versions.oldOf('acme')).to.equal(undefined);
    newest = '2.339.0';
    nextDay();
    await clock.advance(0);
    expect(versions.oldOf('acme')).to.include({ version: '2.338.1', newest: '2.339.0' });
  });

  it('are no problem any more once the image was replaced, a week after the last old container', async () => {
    saw('acme', '2.330.0');
    await clock.advance(LOOK_MS);
    const { sinceMs } = versions.oldOf('acme') ?? {};
    saw('acme', '2.338.1');
    await clock.advance(6 * DAY);
    nextDay();
    await clock.advance(0);
    expect(versions.oldOf('acme')?.sinceMs, 'since it was found').to.equal(sinceMs);
    await clock.advance(2 * DAY);
    saw('acme', '2.338.1');
    nextDay();
    await clock.advance(0);
    expect(versions.oldOf('acme')).to.equal(undefined);
  });

  it('are bounded, whatever containers report', async () => {
    for (let patch = 0; patch < 100; patch += 1) saw('acme', `2.1.${patch}`);
    await clock.advance(LOOK_MS);
    expect(versions.oldOf('acme')?.version).to.equal('2.1.84');
    expect(versions.seenOf('acme')).to.have.length(16);
    expect(asked).to.equal(1);
  });

  it('are told for each image, until it was not used for a week', async () => {
    saw('acme', '2.338.1', 'acme/runner:1');
    await clock.advance(DAY);
    saw('acme', '2.338.1', 'acme/runner:2');
    saw('acme', '2.331.0', 'acme/runner:2');
    const told = () => versions.seenOf('acme').map(({ image, version }) => `${image} ${version}`);
    expect(told()).to.deep.equal(['acme/runner:1 2.338.1', 'acme/runner:2 2.338.1', 'acme/runner:2 2.331.0']);
    await clock.advance(7 * DAY - 1);
    expect(told()).to.deep.equal(['acme/runner:2 2.338.1', 'acme/runner:2 2.331.0']);
    expect(versions.seenOf('other')).to.deep.equal([]);
  });

  it('are left alone where GitHub offers none, and where the registration is gone', async () => {
    newest = undefined;
    saw('acme', '2.330.0');
    saw('removed', '2.330.0');
    await clock.advance(LOOK_MS);
    expect(versions.oldOf('acme')).to.equal(undefined);
    expect(versions.oldOf('removed')).to.equal(undefined);
  });
});

describe('what GitHub says of the runner’s releases', () => {
  let github: GithubSimulator;
  afterEach(() => github.close());

  async function releases(options: SimulatorOptions) {
    github = await startGithubSimulator({
      owners: [{ login: 'acme', repositories: [{ name: 'web' }] }],
      tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
      ...options,
    });
    const token = new Secret(github.tokens[0] ?? '');
    const caller = requestersFor({
      ...registration({ apiUrl: github.url, credentials: { kind: 'token', token } }),
      budgets: new BudgetPool(systemClock),
      times: new GithubTimes({ clock: systemClock }),
      clock: systemClock,
      random: systemRandom,
    })('acme');
    return releasesAt(caller, { kind: 'organization', organization: 'acme' });
  }

  it('is the newest, and the end of an old one', async () => {
    const said = await releases({ runnerRelease: { version: '2.338.1', ends: { '2.330.0': '2026-12-24T00:00:00Z' } } });
    expect(await said.newest()).to.equal('2.338.1');
    expect(await said.endOfMs('2.330.0')).to.equal(Date.UTC(2026, 11, 24));
  });

  it('is no end where it does not offer that answer', async () => {
    const said = await releases({ runnerRelease: { version: '2.338.1' } });
    expect(await said.endOfMs('2.330.0')).to.equal(undefined);
  });
});
