import { expect } from 'chai';
import type { AddressStatus } from '../../dispatcher/callbacks/own-address.ts';
import { createCommand as registrationsCommand } from '../../dispatcher/cli/registrations.ts';
import { type RegistrationProblem, secretNotes } from '../../dispatcher/observability/problems.ts';
import type { OrganizationStatus } from '../../dispatcher/sources/organization-defaults.ts';
import { breaker, failure } from '../failures/examples.ts';
import { type Fixture, MINUTE, NOW, openFixture } from '../http/admin-fixture.ts';
import { run } from './admin-run.ts';

describe('shr registrations', () => {
  let fixture: Fixture;
  let isAway: boolean;
  beforeEach(async () => {
    isAway = false;
    fixture = await openFixture({
      problems: (name) =>
        name === 'acme'
          ? [
              {
                kind: 'poll',
                about: 'acme/homepage',
                message: 'moved to other/homepage: change the claim',
                sinceMs: NOW - MINUTE,
              },
              {
                kind: 'clock',
                about: 'api.github.com',
                message: "this machine's clock is 180 s ahead of GitHub's",
                sinceMs: null,
              },
            ]
          : [],
      notes: ({ name }) =>
        name === 'globex' && isAway
          ? secretNotes([
              {
                secret: 'azure-key-vault:globex/token',
                reason: 'Azure Key Vault answers 503 ServiceUnavailable',
                cure: 'It is asked again.',
                sinceMs: NOW - 10 * MINUTE,
              },
            ])
          : [],
    });
  });
  afterEach(() => fixture.close());

  it('shows a secret that is kept while its store is away: no problem, with since when and what to do', async () => {
    isAway = true;
    const { out } = await run(registrationsCommand, ['show', 'globex', '--url', fixture.url]);
    const note =
      'azure-key-vault:globex/token: its store is away, and its value from before stays in force: Azure Key Vault answers 503 ServiceUnavailable. It is asked again. Keep the former value valid, and do not restart the dispatcher until then: a start needs the store';
    expect(out).to.include(`\nNo problems.\n\nWorth knowing, and no problem:\nsecret (for 10m00s)  ${note}\n`);
    const { registration } = JSON.parse(
      (await run(registrationsCommand, ['show', 'globex', '--url', fixture.url, '--json'])).out,
    );
    expect(registration.problems).to.deep.equal([]);
    expect(registration.notes).to.deep.equal([
      {
        kind: 'secret',
        about: 'azure-key-vault:globex/token',
        message: note.slice(30),
        since: '2026-03-04T11:50:00.000Z',
      },
    ]);
    expect((await run(registrationsCommand, ['--url', fixture.url])).out).to.not.include('azure-key-vault');
  });

  it('lists each with its claim, its backends, its poll and the first of its problems', async () => {
    const { out, code } = await run(registrationsCommand, ['--url', fixture.url]);
    expect(code).to.equal(0);
    const lines = out.trimEnd().split('\n');
    expect(lines[0]).to.match(/^REGISTRATION +CLAIM +BACKENDS +RUNNERS +POLL +PROBLEMS$/);
    expect(lines[1]).to.match(
      /^acme +organization acme +main +0\/10 +every 1m, last 30s ago +poll: acme\/homepage: moved to other\/homepage: change the claim \(and 1 more\)$/,
    );
    expect(lines[2]).to.match(/^globex +organization globex +main +0\/10 +every 1m$/);
    expect(lines).to.have.length(3);
  });

  it('lists of several problems the one that holds jobs up', async () => {
    const quiet = { kind: 'runner', about: 'runner:1', message: 'ran jobs and never called', sinceMs: null } as const;
    const stopped = { kind: 'canary', about: 'runner:2', message: 'is stopped', sinceMs: null } as const;
    const refused = { kind: 'poll', about: 'acme', message: 'Bad credentials', sinceMs: null } as const;
    const shown = async (...problems: readonly RegistrationProblem[]) => {
      const own = await openFixture({ problems: (name) => (name === 'acme' ? problems : []) });
      try {
        const open = (await run(registrationsCommand, ['--url', own.url])).out;
        const key = failure({ kind: 'unauthorized', message: 'the key is wrong' });
        await own.ledger.putBreaker(breaker({ failure: key, closedUntilMs: NOW + MINUTE }));
        return [open, (await run(registrationsCommand, ['--url', own.url])).out];
      } finally {
        await own.close();
      }
    };
    const [open, closed] = await shown(quiet, stopped, refused);
    expect(open).to.match(/poll: acme: Bad credentials \(and 2 more\)$/m);
    expect(closed).to.match(/backend: main: the key is wrong.* \(and 3 more\)$/m);
    // Whoever sends wrong signatures hides nothing.
    const noise = { kind: 'webhook', about: 'acme', message: 'a wrong signature', sinceMs: null } as const;
    const claimed = {
      kind: 'configuration',
      about: 'acme',
      message: 'nothing is admitted yet',
      sinceMs: null,
    } as const;
    expect((await shown(noise, claimed))[0]).to.match(/configuration: acme: nothing is admitted yet \(and 1 more\)$/m);
  });

  it('shows wrong signatures at the shared endpoint as a problem of the platform', async () => {
    const about = '/webhooks/github (github.com/webhook)';
    const own = await openFixture({
      webhookProblems: () => [{ kind: 'webhook', about, message: 'a wrong signature', sinceMs: NOW - MINUTE }],
    });
    try {
      const { out } = await run(registrationsCommand, ['--url', own.url]);
      expect(out).to.include(`\nthe platform\nwebhook (for 1m00s)  ${about}: a wrong signature\n`);
    } finally {
      await own.close();
    }
  });

  it('shows which defaults of its organization are in force, since when and of when', async () => {
    const base = { readAtMs: NOW - MINUTE, sinceMs: NOW - 60 * MINUTE, problem: undefined, unused: [] } as const;
    const blob = '9e26dfeeb6e641a33dae4961196235bdb965b21b';
    const file = { file: 'acme/.github-private/shr.yaml', blob, policy: {}, defaults: {}, places: {} };
    const problem = {
      reason: 'Resource not accessible. Give it Contents: read',
      sinceMs: NOW - 2 * MINUTE,
      file: null,
    };
    const broken = { reason: `${file.file}:1:10: it ends early.`, sinceMs: NOW - 2 * MINUTE, file: file.file };
    const shown = async (status: Partial<OrganizationStatus>, mode: OrganizationStatus['mode'] = 'forced') => {
      const all = { ...base, mode, file: undefined, ...status };
      const own = await openFixture({ organizationOf: (name) => (name === 'acme' ? all : undefined) });
      try {
        const { out } = await run(registrationsCommand, ['show', 'acme', '--url', own.url]);
        return /^organization +(.*)$/m.exec(out)?.[1];
      } finally {
        await own.close();
      }
    };
    const of =
      'of acme/.github-private/shr.yaml (blob 9e26dfeeb6e6), in force since at least 2026-03-04T11:00:00.000Z, read 1m00s ago';
    const none = 'no shr.yaml in .github-private or .github that its credentials see, read 1m00s ago';
    for (const [status, words] of [
      [{ file }, `forced, ${of}`],
      [{ file, unused: ['defaults.cpu'] }, `forced, ${of}; not used, because it is not allowed: defaults.cpu`],
      [{ file, problem }, `forced, ${of}. It cannot be read now (for 2m00s): ${problem.reason}`],
      [{ file: null }, `forced, ${none}: nothing is limited since at least 2026-03-04T11:00:00.000Z`],
      [
        { readAtMs: null },
        'forced, not read yet, asked for since at least 2026-03-04T11:00:00.000Z: no job is admitted before it was read',
      ],
      [
        { file, problem: broken },
        `forced, of ${file.file} (blob 9e26dfeeb6e6), in force since at least 2026-03-04T11:00:00.000Z. As it is now, read 1m00s ago, it has problems, and is not in force (for 2m00s): ${broken.reason}`,
      ],
      [
        { file: null, problem: broken },
        `forced, nothing is limited since at least 2026-03-04T11:00:00.000Z, because there was no shr.yaml. ${file.file} is there now, read 1m00s ago: it has problems, and is not in force (for 2m00s): ${broken.reason}`,
      ],
      [
        { file: null, problem },
        `forced, no shr.yaml in .github-private or .github that its credentials see, read 1m00s ago: nothing is limited since at least 2026-03-04T11:00:00.000Z. It cannot be read now (for 2m00s): ${problem.reason}`,
      ],
      [
        { problem: broken },
        `forced, nothing in force: no job is admitted before it was read. ${file.file} is there, read 1m00s ago: it has problems, and is not in force (for 2m00s): ${broken.reason}`,
      ],
      [
        { problem },
        `forced, nothing in force: no job is admitted before it was read. It could not be read (for 2m00s): ${problem.reason}`,
      ],
    ] as const) {
      expect(await shown(status)).to.equal(words);
    }
    expect(await shown({ readAtMs: null }, 'default')).to.equal(
      'default, not read yet, asked for since at least 2026-03-04T11:00:00.000Z: the registration alone counts until then',
    );
    expect((await run(registrationsCommand, ['show', 'acme', '--url', fixture.url])).out).not.to.match(
      /^organization /m,
    );
  });

  it('shows one with all of its problems, closed backends among them', async () => {
    await fixture.ledger.putBreaker(
      breaker({
        failure: failure({ kind: 'unauthorized', message: 'the key is wrong', code: null, requestId: 'r-1' }),
        sinceMs: NOW - 2 * MINUTE,
        closedUntilMs: NOW + MINUTE,
      }),
    );
    const { out, code } = await run(registrationsCommand, ['show', 'acme', '--url', fixture.url]);
    expect(code).to.equal(0);
    expect(out).to.match(/^claim +organization acme$/m);
    expect(out).to.match(/^main +docker/m);
    expect(out).to.include('poll (for 1m00s)  acme/homepage: moved to other/homepage: change the claim\n');
    expect(out).to.include("clock  api.github.com: this machine's clock is 180 s ahead of GitHub's\n");
    expect(out).to.include('backend (for 2m00s)  main: the key is wrong (request r-1)\n');
    const { problems } = JSON.parse(
      (await run(registrationsCommand, ['show', 'acme', '--url', fixture.url, '--json'])).out,
    ).registration;
    expect(problems.map(({ kind }: { kind: string }) => kind)).to.deep.equal(['poll', 'clock', 'backend']);
    expect(problems[0]).to.deep.equal({
      kind: 'poll',
      about: 'acme/homepage',
      message: 'moved to other/homepage: change the claim',
      since: '2026-03-04T11:59:00.000Z',
    });
  });

  it('says of one without problems that it has none, and of an unknown one that there is none', async () => {
    expect((await run(registrationsCommand, ['show', 'globex', '--url', fixture.url])).out).to.match(
      /\nNo problems\.\n$/,
    );
    const { err, code } = await run(registrationsCommand, ['show', 'initech', '--url', fixture.url]);
    expect(code).to.equal(1);
    expect(err).to.match(/^shr: no registration initech\n +`shr registrations` lists/);
  });

  it('shows those that are set aside with all of their problems', async () => {
    const problem = {
      line: 0,
      column: 0,
      path: '',
      file: 'registrations/bad.yaml',
      message: 'empty',
      cure: 'Fill it.',
    };
    const problems = [problem, { ...problem, line: 3, column: 7, path: 'labels', message: 'no list' }];
    const own = await openFixture({
      quarantined: () => [{ name: 'bad', file: 'registrations/bad.yaml', problems, claims: undefined }],
    });
    const words =
      '\nset aside: bad, its configuration has 2 problems\n' +
      '  registrations/bad.yaml: empty. Fill it.\n' +
      '  registrations/bad.yaml:3:7: labels: no list. Fill it.\n';
    try {
      const all = await run(registrationsCommand, ['--url', own.url]);
      expect(all.out)
        .to.match(/^REGISTRATION/)
        .and.to.include(words);
      const one = await run(registrationsCommand, ['show', 'bad', '--url', own.url]);
      expect(one).to.include({ code: 0, out: words });
      const { quarantined } = JSON.parse((await run(registrationsCommand, ['--url', own.url, '--json'])).out);
      expect(quarantined).to.deep.equal([{ name: 'bad', file: 'registrations/bad.yaml', problems }]);
    } finally {
      await own.close();
    }
  });

  it('says what is found at the public address, where it is not the dispatcher itself', async () => {
    const at = (change: Partial<AddressStatus>): AddressStatus => ({
      ...{ url: 'https://shr.example', state: 'unreached', words: 'refused: no', way: 'direct' },
      ...{ sinceMs: NOW, itselfAtMs: null, calledAtMs: null },
      ...change,
    });
    const said = async (status: AddressStatus) => {
      const other = await openFixture({ publicAddress: () => status });
      const { out } = await run(registrationsCommand, ['--url', other.url]);
      await other.close();
      return out.split('\n').filter((line) => line.includes('listen.public.url:'));
    };
    expect(await said(at({ state: 'itself' }))).to.deep.equal([]);
    const [note] = await said(at({}));
    expect(note).to.match(
      /^note listen\.public\.url: https:\/\/shr\.example could not be reached from here .*; runners may/,
    );
    const [problem] = await said(at({ state: 'other', words: 'status 404' }));
    expect(problem).to.match(/^problem listen\.public\.url: .*answered by something else/);
  });
});
