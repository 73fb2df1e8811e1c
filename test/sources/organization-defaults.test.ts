import { expect } from 'chai';
import { GithubError } from '../../dispatcher/github/github.ts';
import type { OrganizationText } from '../../dispatcher/github/organization-file.ts';
import type { Configuration, Registration } from '../../dispatcher/model/registration.ts';
import { OrganizationDefaults } from '../../dispatcher/sources/organization-defaults.ts';
import { registration } from '../registration-fixture.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';

const FILE = 'acme/.github-private/shr.yaml';
const MINUTE = 60_000;

function world(registrations: readonly Registration[]) {
  const clock = new VirtualClock(0);
  const asked: string[] = [];
  const said: string[] = [];
  let changes = 0;
  const github: { answer: OrganizationText | GithubError | undefined } = { answer: undefined };
  const log = (event: string, fields: unknown) => void said.push(`${event} ${JSON.stringify(fields)}`);
  const defaults = new OrganizationDefaults({
    clock,
    random: () => 0.5,
    log: { info: log, warn: log, error: log },
    files: (name) => ({
      readOrganizationFile: async (organization) => {
        asked.push(`${name} ${organization}`);
        if (github.answer instanceof GithubError) throw github.answer;
        return github.answer;
      },
    }),
    onChange: () => {
      changes += 1;
    },
  });
  defaults.follow(registrations);
  const configuration = { registrations } as Configuration;
  const only = () => defaults.narrowed(configuration).registrations[0];
  const write = (text: string) => {
    github.answer = { file: FILE, text };
  };
  return { asked, clock, configuration, defaults, github, only, said, write, changes: () => changes };
}

const forced = registration({ organizationDefaults: 'forced' });
const pass = (clock: VirtualClock, ms: number) => clock.run(clock.now() + ms);

describe('reading the defaults of organizations', () => {
  it('asks for no registration that does not want it, and makes nothing of it', async () => {
    const { asked, clock, configuration, defaults } = world([registration()]);
    defaults.start();
    await pass(clock, 20 * MINUTE);
    expect(asked).to.deep.equal([]);
    expect(defaults.narrowed(configuration)).to.equal(configuration);
    expect(defaults.statusOf('acme')).to.equal(undefined);
  });

  it('reads at the start and every five minutes, and tells of what is another', async () => {
    const { asked, changes, clock, defaults, only, write } = world([forced]);
    expect(only()).to.have.property('organizationUnknown');
    write('policy: { maxCpu: 4 }');
    defaults.start();
    await pass(clock, 1_000);
    expect(only()?.organization?.policy).to.deep.equal({ maxCpu: 4 });
    expect(only(), 'one object while nothing changes').to.equal(only());
    expect([asked.length, changes()]).to.deep.equal([1, 1]);
    await pass(clock, 12 * MINUTE);
    expect([asked.length, changes()]).to.deep.equal([3, 1]);
    write('policy: { maxCpu: 2 }');
    await pass(clock, 5 * MINUTE);
    expect(changes()).to.equal(2);
    expect(only()?.organization?.policy).to.deep.equal({ maxCpu: 2 });
    defaults.stop();
    await pass(clock, 60 * MINUTE);
    expect(asked.length).to.equal(4);
  });

  it('takes a missing file for what it is: nothing is limited, and nothing is wrong', async () => {
    const { changes, clock, defaults, github, only, write } = world([forced]);
    defaults.start();
    await pass(clock, 1_000);
    expect(only()).to.equal(forced);
    expect(defaults.problemOf('acme')).to.equal(undefined);
    expect(defaults.statusOf('acme')).to.include({ file: null });
    write('policy: { maxCpu: 2 }');
    await pass(clock, 6 * MINUTE);
    github.answer = undefined;
    await pass(clock, 6 * MINUTE);
    expect(only()).to.not.have.property('organization');
    expect(changes()).to.equal(3);
  });

  it('keeps what was read last where the file is broken, too large, or GitHub is away, and says so once', async () => {
    const { changes, clock, defaults, github, only, said, write } = world([forced]);
    write('policy: { maxCpu: 4 }');
    defaults.start();
    await pass(clock, 1_000);
    const good = only();
    for (const [answer, words] of [
      [{ file: FILE, text: 'policy:\n  maxCpuu: 1\n' }, `${FILE}:2:3: policy.maxCpuu`],
      [{ file: FILE, text: 'policy: {' }, `${FILE}:1:`],
      [{ file: FILE, text: `# ${'x'.repeat(70_000)}` }, 'more than 65536 bytes'],
      [new GithubError('transient', 'GET contents', 'nothing within 20 s'), 'nothing within 20 s'],
      [new GithubError('forbidden', 'GET contents', 'Resource not accessible'), 'Contents: read'],
    ] as const) {
      github.answer = answer;
      await pass(clock, 12 * MINUTE);
      expect(only(), words).to.equal(good);
      const problem = defaults.problemOf('acme');
      expect(problem?.message).to.include(words).and.include('what was read last without a problem holds');
      expect(problem?.sinceMs, 'since the first').to.be.lessThan(6 * MINUTE);
      expect(said.filter((line) => line.includes(words.replaceAll('"', '\\"')))).to.have.length(1);
    }
    expect(changes()).to.equal(1);
    write('policy: { maxCpu: 4 }');
    await pass(clock, 6 * MINUTE);
    expect(defaults.problemOf('acme')).to.equal(undefined);
  });

  it('lets none in where what is forced was never read, asks sooner, and goes on without where it is not forced', async () => {
    const optional = registration({ name: 'optional', organizationDefaults: 'default' });
    const { asked, clock, configuration, defaults, github } = world([forced, optional]);
    github.answer = new GithubError('forbidden', 'GET contents', 'Resource not accessible');
    defaults.start();
    await pass(clock, MINUTE);
    const [one, other] = defaults.narrowed(configuration).registrations;
    expect(one?.organizationUnknown).to.include('Contents: read');
    expect(other).to.equal(optional);
    expect(asked.length).to.be.greaterThan(4);
  });

  it('says what is in force and since when, and why it is not read', async () => {
    const { clock, defaults, github, write } = world([forced]);
    const status = () => defaults.statusOf('acme');
    expect(status()).to.deep.include({ file: undefined, readAtMs: null, sinceMs: 0, problem: undefined });
    write('policy: {');
    defaults.start();
    await pass(clock, 1_000);
    // GitHub has answered: nothing of it can be used.
    expect(status()).to.deep.include({ file: undefined, readAtMs: 0, sinceMs: 0 });
    expect(status()?.problem?.reason).to.include(`${FILE}:1:`);
    await pass(clock, 2 * MINUTE);
    github.answer = undefined;
    await pass(clock, 5 * MINUTE);
    const none = status();
    expect(none).to.include({ file: null, problem: undefined });
    expect(none?.sinceMs).to.be.within(2 * MINUTE, 7 * MINUTE + 1_000);
    await pass(clock, 20 * MINUTE);
    expect(status()).to.include({ sinceMs: none?.sinceMs });
    expect(status()?.readAtMs).to.be.greaterThan(none?.readAtMs ?? 0);
    write('policy: {');
    await pass(clock, 6 * MINUTE);
    expect(status(), 'what is there has problems').to.include({ file: null, sinceMs: none?.sinceMs });
    expect(status()?.problem?.file).to.equal(FILE);
    expect(defaults.problemOf('acme')?.message)
      .to.include(`${FILE}:1:`)
      .and.include('nothing is limited, as before it was there');
    const writtenAtMs = clock.now();
    write('policy: { maxCpu: 4 }');
    await pass(clock, 6 * MINUTE);
    expect(status()?.sinceMs).to.be.within(writtenAtMs, writtenAtMs + 6 * MINUTE);
    github.answer = new GithubError('forbidden', 'GET contents', 'Resource not accessible');
    const awayAtMs = clock.now();
    await pass(clock, 6 * MINUTE);
    expect(status()?.file?.policy).to.deep.equal({ maxCpu: 4 });
    expect(status()?.problem?.reason).to.include('Contents: read').and.not.include('in force');
    expect(status()?.problem?.file).to.equal(null);
    expect(status()?.problem?.sinceMs).to.be.within(awayAtMs, awayAtMs + 6 * MINUTE);
  });

  it('forgets what another organization said', async () => {
    const { clock, defaults, only, write, configuration } = world([forced]);
    write('policy: { maxCpu: 4 }');
    defaults.start();
    await pass(clock, 1_000);
    expect(only()?.organization?.policy.maxCpu).to.equal(4);
    const moved = registration({ ...forced, claim: { kind: 'organization', organization: 'bee' } });
    defaults.follow([moved]);
    const [now] = defaults.narrowed({ ...configuration, registrations: [moved] }).registrations;
    expect(now).to.have.property('organizationUnknown');
    defaults.follow([]);
    expect(defaults.statusOf('acme')).to.equal(undefined);
  });

  it('asks for eight at once where thousands are due', async () => {
    const many = Array.from({ length: 100 }, (_, index) => registration({ ...forced, name: `r-${index}` }));
    let open = 0;
    let most = 0;
    const clock = new VirtualClock(0);
    const defaults = new OrganizationDefaults({
      clock,
      random: () => 0.5,
      log: { info: () => {}, warn: () => {}, error: () => {} },
      files: () => ({
        readOrganizationFile: async () => {
          open += 1;
          most = Math.max(most, open);
          await new Promise<void>((resolve) => clock.after(1_000, resolve));
          open -= 1;
          return undefined;
        },
      }),
      onChange: () => {},
    });
    defaults.follow(many);
    defaults.start();
    await pass(clock, 20_000);
    expect(most).to.equal(8);
    expect(many.filter(({ name }) => defaults.statusOf(name)?.file === null)).to.have.length(100);
    defaults.stop();
  });
});
