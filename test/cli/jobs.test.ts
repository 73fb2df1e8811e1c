import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createCommand as jobsCommand } from '../../dispatcher/cli/jobs.ts';
import { createCommand as lanesCommand } from '../../dispatcher/cli/lanes.ts';
import { createCommand as registrationsCommand } from '../../dispatcher/cli/registrations.ts';
import { createCommand as runnersCommand } from '../../dispatcher/cli/runners.ts';
import { ledgerFailure } from '../../dispatcher/failures/failure.ts';
import { LedgerError } from '../../dispatcher/ledger/ledger.ts';
import { acmeLane, admit, type Fixture, fact, NOW, openFixture, runner, TOKEN } from '../http/admin-fixture.ts';
import { run } from './admin-run.ts';

describe('shr jobs and shr lanes', () => {
  let fixture: Fixture;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-cli-'));
    fixture = await openFixture();
    await admit(
      fixture.ledger,
      [
        fact(1, 'acme', { jobName: 'build\u001b[2Jgone\u202e' }),
        fact(2, 'acme', { labels: ['acme-runner', 'cpu-64'] }),
      ],
      (job) => (job.labels.includes('cpu-64') ? undefined : acmeLane),
    );
  });
  after(async () => {
    await fixture.close();
    await rm(folder, { recursive: true });
  });

  it('lists jobs with their state and, where refused, the reason', async () => {
    const { out, err, code } = await run(jobsCommand, ['--url', fixture.url]);
    expect([err, code]).to.deep.equal(['', 0]);
    const [head, refused, queued] = out.split('\n');
    expect(head).to.match(/^JOB +REPOSITORY +NAME +STATUS +FOR +ADMISSION +RUNNER +WHY$/);
    expect(refused).to.match(/^2 +acme\/web +job 2 +queued +\w+ +refused by acme +- +cpu-64 is more than the 8 cores/);
    expect(queued).to.match(/^1 +acme\/web +build.* +queued +\w+ +admitted by acme +- +acme has its 10 runners$/);
  });

  it('says that what it lists may be out of date while the ledger takes no writes, as does shr runners', async () => {
    const sinceMs = NOW - 200_000;
    const closed = ledgerFailure(new LedgerError('full', 'No room for the ledger'), sinceMs);
    const full = await openFixture({ ledgerClosed: () => ({ failure: closed, sinceMs }) });
    try {
      for (const command of [jobsCommand, runnersCommand]) {
        const { out, code } = await run(command, ['--url', full.url]);
        expect(code).to.equal(0);
        expect(out).to.match(
          /\nThis may be out of date: for 3m20s, nothing can be written down: No room for the ledger\n$/,
        );
        const list = JSON.parse((await run(command, ['--url', full.url, '--json'])).out);
        expect(list.ledgerProblem.since).to.equal(new Date(sinceMs).toISOString());
      }
    } finally {
      await full.close();
    }
  });

  it('names the jobs that are not listed because their rows cannot be read', async () => {
    const { jobs } = fixture.ledger;
    const bad = { key: 'github.com/acme/web/9', registration: 'acme', fault: 'column labels: Invalid input' };
    fixture.ledger.jobs = async (filter, unreadable) => {
      if (unreadable !== 'reject') unreadable(bad);
      return await jobs(filter, unreadable);
    };
    try {
      const { out, code } = await run(jobsCommand, ['--url', fixture.url]);
      expect(code).to.equal(0);
      expect(out.split('\n').slice(-3)).to.deep.equal([
        'Not listed: 1 row of the ledger that cannot be read. Stop the dispatcher and correct or delete it:',
        '  github.com/acme/web/9 (column labels: Invalid input)',
        '',
      ]);
      const list = JSON.parse((await run(jobsCommand, ['--url', fixture.url, '--json'])).out);
      expect(list.jobs).to.have.length(2);
      expect(list.unreadable).to.deep.equal([bad]);
    } finally {
      fixture.ledger.jobs = jobs;
    }
  });

  it("shows a stranger's control characters as a mark", async () => {
    const { out } = await run(jobsCommand, ['--url', fixture.url]);
    expect(out).to.include('build\ufffd[2Jgone\ufffd');
    for (const forged of ['\u001b', '\u202e']) expect(out).to.not.include(forged);
  });

  it('prints the same as JSON with --json, before or after the subcommand', async () => {
    const list = JSON.parse((await run(jobsCommand, ['--url', fixture.url, '--json'])).out);
    expect(list.jobs.map((job: { id: number }) => job.id)).to.deep.equal([2, 1]);
    for (const argv of [
      ['--json', '--url', fixture.url, 'show', '1'],
      ['show', 'github.com/1', '--url', fixture.url, '--json'],
    ]) {
      expect(JSON.parse((await run(jobsCommand, argv)).out).job).to.include({ key: 'github.com/acme/web/1' });
    }
  });

  it('understands the address of a job or a run, as a browser shows it', async () => {
    const web = 'https://github.com/acme/web';
    for (const address of [
      `${web}/actions/runs/101/job/1`,
      `${web}/actions/runs/101/job/1?pr=7#step:3:1`,
      `${web}/actions/runs/101/attempts/2/job/1`,
      'https://GitHub.com/Acme/Web/actions/runs/101/job/1/',
      `${web}/runs/1`,
    ]) {
      const { out, code } = await run(jobsCommand, ['show', address, '--url', fixture.url]);
      expect(code, address).to.equal(0);
      expect(out, address).to.match(/^job +github\.com\/acme\/web\/1\b/m);
    }
    for (const address of [`${web}/actions/runs/102`, `${web}/actions/runs/102/attempts/1`]) {
      const { out, code } = await run(jobsCommand, ['show', address, '--url', fixture.url]);
      expect(code, address).to.equal(0);
      expect(out.match(/^job +.*$/gm), address).to.deep.equal(['job         github.com/acme/web/2: job 2']);
      expect(out).to.include('cpu-64 is more than the 8 cores');
    }
  });

  describe('finds a job by an address whose host no registration has', () => {
    const show = (address: string) => run(jobsCommand, ['show', address, '--url', fixture.url]);

    it('through its repository and its id, or that of its run', async () => {
      for (const address of [
        'http://127.0.0.1:4321/Acme/web/actions/runs/101/job/1',
        'https://pages.acme.example/acme/web/runs/1',
        'pages.acme.example/acme/web/1',
        'pages.acme.example/1',
      ]) {
        const { out, code } = await show(address);
        expect([address, code]).to.deep.equal([address, 0]);
        expect(out).to.match(/^job +github\.com\/acme\/web\/1\b/m);
      }
      const { out } = await show('https://pages.acme.example/acme/web/actions/runs/102');
      expect(out.match(/^job +.*$/gm)).to.deep.equal(['job         github.com/acme/web/2: job 2']);
      expect((await show('https://pages.acme.example/acme/api/actions/runs/102')).code).to.equal(1);
    });

    it('names those that it may be where jobs of two hosts fit, and takes the one that GitHub gave the address to', async () => {
      const [one, other] = ['ghes.acme.example', 'ghes.globex.example'].map((host) =>
        fact(77, 'acme', { host, htmlUrl: `https://pages.${host}/acme/web/actions/runs/177/job/77` }),
      );
      if (one === undefined || other === undefined) throw new Error('no facts');
      await fixture.ledger.recordFacts([one, other]);
      for (const path of ['acme/web/actions/runs/177/job/77', 'acme/web/actions/runs/177']) {
        const unclear = await show(`https://proxy.example/${path}`);
        expect(unclear.code).to.equal(1);
        expect(unclear.err).to.include('ghes.acme.example/acme/web/77').and.include('ghes.globex.example/acme/web/77');
        const { out } = await show(`https://pages.ghes.globex.example/${path}`);
        expect(out.match(/^job +.*$/gm)).to.deep.equal(['job         ghes.globex.example/acme/web/77: job 77']);
      }
    });

    it('never takes a job of another host for one of a host that a registration has', async () => {
      await fixture.ledger.recordFacts([fact(78, 'acme', { host: 'ghes.acme.example' })]);
      expect((await show('https://github.com/acme/web/actions/runs/178/job/78')).code).to.equal(1);
      expect((await show('https://github.com/acme/web/actions/runs/178')).code).to.equal(1);
      expect((await show('78')).code).to.equal(1);
    });
  });

  it('says which job is unknown, and what is neither a job nor a run', async () => {
    const unknown = await run(jobsCommand, [
      'show',
      'https://github.com/globex/web/actions/runs/102',
      '--url',
      fixture.url,
    ]);
    expect(unknown.code).to.equal(1);
    expect(unknown.err).to.match(/^shr: no job of run 102 in github\.com\/globex\/web\n/);
    for (const address of ['https://github.com/acme/web/pull/3', 'ftp://github.com/acme/web/runs/1', 'build']) {
      const { err, code } = await run(jobsCommand, ['show', address, '--url', fixture.url]);
      expect([address, code]).to.deep.equal([address, 2]);
      expect(err).to.match(/^shr: this is not a job\n.*paste the address/);
    }
  });

  it('filters', async () => {
    const { out } = await run(jobsCommand, ['--url', fixture.url, '--admission', 'refused', '--json']);
    expect(JSON.parse(out).jobs.map((job: { id: number }) => job.id)).to.deep.equal([2]);
    expect((await run(jobsCommand, ['--url', fixture.url, '--registration', 'globex'])).out).to.equal('No jobs.\n');
  });

  it('says that there are more', async () => {
    const { out } = await run(jobsCommand, ['--url', fixture.url, '--limit', '1']);
    expect(out).to.match(/\nThere are more jobs: narrow the question/);
  });

  it('shows what one job waits for', async () => {
    const { out, code } = await run(jobsCommand, ['show', '1', '--url', fixture.url]);
    expect(code).to.equal(0);
    expect(out).to.match(/^waits for +acme has its 10 runners$/m);
    expect(out).to.match(/^status +queued for /m);
  });

  // J14
  it('never says that nothing runs while runners of a registration live that is not configured any more', async () => {
    const [spec, name] = [{ ...acmeLane, key: 'unknown', registration: 'removed' }, 'shr-left'];
    await fixture.ledger.createRunner(runner(name, spec, { state: 'busy' }), 'launched');
    const { out } = await run(lanesCommand, ['--url', fixture.url, '--registration', 'removed']);
    expect(out).to.include('1 live runner belongs to the registration removed, which is not in the configuration');
    expect(out).to.not.include('nothing runs');
    const other = await run(registrationsCommand, ['--url', fixture.url]);
    expect(other.out).to.include(
      '1 live runner belongs to the registration removed, which is not in the configuration',
    );
    const shown = await run(registrationsCommand, ['show', 'removed', '--url', fixture.url]);
    expect(shown.out).to.include('1 live runner belongs to the registration removed');
  });

  it('shows lanes with demand, supply and the reason they wait', async () => {
    const { out, code } = await run(lanesCommand, ['--url', fixture.url, '--waiting']);
    expect(code).to.equal(0);
    expect(out.split('\n')[1]).to.match(
      /^lane0acme0000001 +acme +orgs\/acme +acme-runner +1 +0 +\w+ +0 +0 +0 +acme has its 10 runners$/,
    );
    const pools = (await run(lanesCommand, ['--url', fixture.url, '--registration', 'acme'])).out;
    expect(pools).to.match(
      /^acme +registered +acme-runner +3 +2 +at most 3 jobs of acme started; not filled: the registration is at its cap of 2 runners$/m,
    );
    const json = JSON.parse((await run(lanesCommand, ['--url', fixture.url, '--json'])).out);
    expect(json.lanes[0]).to.include({ key: acmeLane.key, waitReason: 'acme has its 10 runners' });
    expect((await run(lanesCommand, ['--url', fixture.url, '--registration', 'globex'])).out).to.match(/^No lanes/);
  });

  describe('takes', () => {
    it('the URL from SHR_ADMIN_URL', async () => {
      expect((await run(jobsCommand, [], { SHR_ADMIN_URL: fixture.url })).code).to.equal(0);
    });

    it('the token from a file, before the environment', async () => {
      const path = join(folder, 'token');
      await writeFile(path, `${TOKEN}\n`);
      const argv = ['--url', fixture.url, '--token-file', path];
      expect((await run(jobsCommand, argv, { SHR_ADMIN_TOKEN: 'wrong' })).code).to.equal(0);
    });

    it('no token from argv', async () => {
      let thrown: unknown;
      await run(jobsCommand, ['--url', fixture.url, '--token', TOKEN]).catch((error: unknown) => {
        thrown = error;
      });
      expect(String(thrown)).to.match(/unknown option '--token'/);
    });
  });

  describe('ends with 1 and says what to do when', () => {
    it('no dispatcher listens', async () => {
      const closed = await openFixture();
      await closed.close();
      const { err, out, code } = await run(jobsCommand, ['--url', closed.url]);
      expect([out, code]).to.deep.equal(['', 1]);
      expect(err).to.equal(
        `shr: nothing listens at ${closed.url}\n` +
          '     Start the dispatcher with `shr serve`, or name its admin listener with --url.\n',
      );
    });

    it('the token is wrong, without repeating it', async () => {
      const { err, code } = await run(jobsCommand, ['--url', fixture.url], { SHR_ADMIN_TOKEN: 'hunter2' });
      expect(code).to.equal(1);
      expect(err).to.equal(
        'shr: SHR_ADMIN_TOKEN has the wrong token\n' +
          "     Use one of `shr token list`, or the `adminToken` of that dispatcher's dispatcher.yaml as it was when the dispatcher started.\n",
      );
      expect(err).to.not.include('hunter2');
    });

    it('there is no token', async () => {
      const { err, code } = await run(jobsCommand, ['--url', fixture.url], { SHR_ADMIN_TOKEN: '' });
      expect(code).to.equal(1);
      expect(err).to.equal(
        'shr: the dispatcher wants a token\n' +
          '     Use `shr login`, set SHR_ADMIN_TOKEN, name a file with --token-file, or run the command in the folder of dispatcher.yaml.\n',
      );
    });

    it('the job is unknown', async () => {
      const { err, code } = await run(jobsCommand, ['show', '77', '--url', fixture.url]);
      expect(code).to.equal(1);
      expect(err).to.match(/^shr: no job github\.com\/77\n/);
    });

    for (const [what, status, body] of [
      ['something else answers', 200, '<html>hello</html>'],
      ['something else answers in JSON', 200, '{"jobs":[{"id":"x"}],"more":false}'],
      ['a proxy answers', 502, 'bad gateway'],
    ] as const) {
      it(`${what}`, async () => {
        const { code, err } = await askServer((_request, response) => response.writeHead(status).end(body));
        expect(code).to.equal(1);
        expect(err).to.match(/is not an admin listener of this version/);
      });
    }

    it('it is sent elsewhere: the token does not go along', async () => {
      let reached = 0;
      const other = createServer((_request, response) => {
        reached += 1;
        response.end('{}');
      });
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
      const address = other.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const { code } = await askServer((_request, response) =>
        response.writeHead(302, { location: `http://127.0.0.1:${port}/` }).end(),
      );
      other.close();
      expect([code, reached]).to.deep.equal([1, 0]);
    });

    it('the answer never ends', async () => {
      const { code, err } = await askServer((_request, response) => {
        const chunk = 'x'.repeat(1024 * 1024);
        const pour = () => {
          while (!response.destroyed && response.write(chunk));
          response.once('drain', pour);
        };
        pour();
      });
      expect(code).to.equal(1);
      expect(err).to.match(/too long/);
    });
  });

  describe('ends with 2 when', () => {
    for (const [what, argv, env, message] of [
      ['a filter makes no sense', ['--lane', 'no lane'], {}, /the parameter lane is not valid/],
      ['the limit is beyond the bound', ['--limit', '501'], {}, /the parameter limit is not valid/],
      ['invalid URL', ['--url', 'nowhere'], {}, /invalid URL/],
      ['the URL is a file', ['--url', 'file:///etc/passwd'], {}, /invalid URL/],
      ['the URL holds a password', ['--url', 'http://a:hunter2@127.0.0.1'], {}, /user or password/],
      [
        'the token file is missing',
        ['--token-file', '/nowhere/token'],
        {},
        /--token-file \/nowhere\/token: there is no such file\n +Create it, or correct the path\./,
      ],
      [
        'the token has two lines',
        [],
        { SHR_ADMIN_TOKEN: 'hunter2\nhunter3' },
        /SHR_ADMIN_TOKEN does not have a valid admin token/,
      ],
      ['the job is none', ['show', 'build'], {}, /this is not a job/],
    ] as const) {
      it(`${what}, without repeating a secret`, async () => {
        const { code, err, out } = await run(jobsCommand, ['--url', fixture.url, ...argv], env);
        expect([code, out]).to.deep.equal([2, '']);
        expect(err).to.match(message);
        expect(err).to.not.include('hunter');
      });
    }
  });

  async function askServer(answer: Parameters<typeof createServer>[1]) {
    const server = createServer({}, answer);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      return await run(jobsCommand, ['--url', `http://127.0.0.1:${port}`]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }
});
