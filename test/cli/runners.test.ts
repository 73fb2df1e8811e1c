import { expect } from 'chai';
import { createCommand as runnersCommand } from '../../dispatcher/cli/runners.ts';
import { ProviderError } from '../../providers/provider.ts';
import { failure } from '../failures/examples.ts';
import { acmeLane, type Fixture, MINUTE, NOW, openFixture, runner } from '../http/admin-fixture.ts';
import { run } from './admin-run.ts';

const pullFailed = failure({
  kind: 'image-pull-failed',
  code: 'MANIFEST_UNKNOWN',
  requestId: 'r-1',
  message: 'manifest unknown',
});

describe('shr runners', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await openFixture();
    await fixture.ledger.createRunner(
      runner('shr-one', acmeLane, { stateSinceMs: NOW - 3 * MINUTE, createdAtMs: NOW - 3 * MINUTE }),
      'job github.com/acme/web/1 waits',
    );
    await fixture.ledger.stepRunner('shr-one', () => ({
      patch: { state: 'starting', stateSinceMs: NOW - 2 * MINUTE, failure: pullFailed },
      entries: [
        {
          atMs: NOW - 2 * MINUTE,
          state: 'starting',
          reason: 'accepted by main',
          details: 'instance c0ffee',
          failure: null,
        },
        {
          atMs: NOW - 2 * MINUTE,
          state: 'starting',
          reason: 'its container is that reports a failure',
          details: null,
          failure: pullFailed,
        },
      ],
    }));
    await fixture.ledger.createRunner(
      runner('shr-gone', acmeLane, { state: 'gone', nextCheckAtMs: null, deadlineAtMs: null }),
      'launched',
    );
  });
  afterEach(() => fixture.close());

  it('lists those that live, and those that are gone only where asked', async () => {
    const { out, code } = await run(runnersCommand, ['--url', fixture.url]);
    expect(code).to.equal(0);
    const lines = out.trimEnd().split('\n');
    expect(lines).to.have.length(2);
    expect(lines[0]).to.match(/^RUNNER +REGISTRATION +BACKEND +STATE +FOR +AGE +JOB +WHY$/);
    expect(lines[1]).to.match(
      /^shr-one +acme +main +starting +2m00s +3m00s +- +main: manifest unknown \(MANIFEST_UNKNOWN, request r-1\)$/,
    );
    const gone = JSON.parse((await run(runnersCommand, ['--url', fixture.url, '--state', 'gone', '--json'])).out);
    expect(gone.runners.map((one: { name: string }) => one.name)).to.deep.equal(['shr-gone']);
    expect((await run(runnersCommand, ['--url', fixture.url, '--state', 'busy'])).out).to.match(
      /^No such runners now; .*--state gone/,
    );
  });

  it('says why the registration of one is not in force, before anything else', async () => {
    await fixture.ledger.createRunner(
      runner(
        'shr-left',
        { ...acmeLane, key: 'unknown', registration: 'removed' },
        { state: 'busy', failure: pullFailed },
      ),
      'launched',
    );
    const { out } = await run(runnersCommand, ['--url', fixture.url, '--registration', 'removed']);
    expect(out).to.match(/^shr-left .* its registration is no longer in the configuration: no runner is launched/m);
    const shown = await run(runnersCommand, ['show', 'shr-left', '--url', fixture.url]);
    expect(shown.out).to.match(/^not in force +its registration is no longer in the configuration: .*Put the reg/m);
    const { runner: view } = JSON.parse(
      (await run(runnersCommand, ['show', 'shr-left', '--url', fixture.url, '--json'])).out,
    );
    expect(view.absent).to.include({ absence: 'removed' });
  });

  it('shows one with its timeline', async () => {
    const { out, code } = await run(runnersCommand, ['show', 'shr-one', '--url', fixture.url]);
    expect(code).to.equal(0);
    expect(out).to.match(/^state +starting for 2m00s$/m);
    expect(out).to.match(/^failure +image-pull-failed: main: manifest unknown \(MANIFEST_UNKNOWN, request r-1\)$/m);
    expect(out).to.match(/^2026-03-04T11:58:00\.000Z +\w+ +starting +accepted by main: instance c0ffee$/m);
    expect(out).to.match(
      /its container is that reports a failure: main: manifest unknown \(MANIFEST_UNKNOWN, request r-1\)$/m,
    );
    expect(out).to.not.match(/output/);
  });

  it("shows the container's output where asked, with control characters as a mark", async () => {
    const none = await run(runnersCommand, ['show', 'shr-one', '--output', '--url', fixture.url]);
    expect(none.out).to.match(/\nNo output was kept\.\n$/);
    await fixture.ledger.keepOutput('shr-one', 'first\tline\r\n\u001b]0;title\u0007second\n', NOW);
    const some = await run(runnersCommand, ['show', 'shr-one', '--output', '--url', fixture.url]);
    expect(some.out).to.match(/\nThe end of its output:\nfirst\tline\n\ufffd\]0;title\ufffdsecond\n$/);
  });

  it('shows the output of a container that runs, and what was kept where the service does not answer', async () => {
    let answer: () => Promise<string | undefined> = async () => 'Listening for Jobs\nX=ghs_16C7e42F292c6912E7710c83\n';
    const live = await openFixture({ liveOutput: () => answer() });
    try {
      await live.ledger.createRunner(runner('shr-one', acmeLane, { state: 'busy' }), 'launched');
      const args = ['show', 'shr-one', '--output', '--url', live.url];
      expect((await run(runnersCommand, args)).out).to.match(
        /\nOutput until now:\nListening for Jobs\nX=\[secret\]\n$/,
      );
      await live.ledger.keepOutput('shr-one', 'what was kept\n', NOW);
      answer = () => Promise.reject(new ProviderError('transient', 'docker logs', 'connection refused'));
      expect((await run(runnersCommand, args)).out).to.match(
        /\nIts live output cannot be read: docker logs: connection refused\n\nThe end of its output:\nwhat was kept\n$/,
      );
    } finally {
      await live.close();
    }
  });

  describe('forget', () => {
    const forget = (ask?: (question: string) => Promise<string>, ...more: readonly string[]) =>
      run(runnersCommand, ['forget', 'shr-one', '--url', fixture.url, ...more], {}, ask);

    it('gives one up once a person said yes, who was told what it means', async () => {
      const questions: string[] = [];
      const { out, code } = await forget(async (question) => {
        questions.push(question);
        return 'y';
      });
      expect([code, fixture.forgotten]).to.deep.equal([0, ['shr-one']]);
      expect(out).to.match(/^shr-one is draining: /);
      expect(questions).to.have.length(1);
      expect(questions[0]).to.match(/^shr-one is starting for 2m00s: .* Go on\? \[y\/N\] $/);
    });

    it('says so when a job would be ended', async () => {
      await fixture.ledger.stepRunner('shr-one', () => ({
        patch: { state: 'busy', jobKey: 'github.com/1' },
        entries: [],
      }));
      const questions: string[] = [];
      await forget(async (question) => {
        questions.push(question);
        return '';
      });
      expect(questions[0]).to.include('with job github.com/1: the job is ended with its container');
    });

    it('changes nothing without a yes', async () => {
      for (const answer of ['', 'n', 'what?']) {
        const { err, code } = await forget(async () => answer);
        expect(code).to.equal(1);
        expect(err).to.match(/^shr: shr-one stays as it is\n/);
      }
      expect(fixture.forgotten).to.deep.equal([]);
    });

    it('wants --yes where no person can be asked', async () => {
      const { err, code } = await forget();
      expect([code, fixture.forgotten]).to.deep.equal([2, []]);
      expect(err).to.match(/^shr: shr-one is starting for 2m00s: .*\n +.*add --yes/);
      expect((await forget(undefined, '--yes')).code).to.equal(0);
      expect(fixture.forgotten).to.deep.equal(['shr-one']);
    });
  });

  it('says that a runner is unknown', async () => {
    for (const verb of ['show', 'forget']) {
      const { err, code } = await run(runnersCommand, [verb, 'shr-nobody', '--url', fixture.url]);
      expect(code).to.equal(1);
      expect(err).to.match(/^shr: no runner shr-nobody\n +it was never ours/);
    }
  });

  it('does not let a name reach another path', async () => {
    const { code } = await run(runnersCommand, ['forget', '../runners/shr-one', '--url', fixture.url]);
    expect([code, fixture.forgotten]).to.deep.equal([2, []]);
  });
});
