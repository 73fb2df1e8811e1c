/** Runs read at GitHub because the event did not tell whether their code comes from a fork. */
import { expect } from 'chai';
import { RunReads } from '../../dispatcher/callbacks/run-reads.ts';
import { GithubError, type GithubRun } from '../../dispatcher/github/github.ts';
import { MINUTE } from '../../time/units.ts';

describe('whether the code of a run comes from a fork', () => {
  let nowMs: number;
  let asked: string[];
  let lines: string[];
  let answer: () => Promise<GithubRun | undefined>;
  let reads: RunReads;
  beforeEach(() => {
    nowMs = 0;
    asked = [];
    lines = [];
    answer = async () => ({ completed: false, attempt: 1, isFork: true });
    reads = new RunReads({
      now: () => nowMs,
      log: { debug: (event) => lines.push(event) },
      asker: (registration) =>
        registration === 'gone'
          ? undefined
          : {
              line: registration.startsWith('acme') ? 'tenant acme' : registration,
              github: {
                readRun: (owner, repository, run) => {
                  asked.push(`${registration} ${owner}/${repository} ${run}`);
                  return answer();
                },
              },
            },
    });
  });

  const run = (number: number) => ({ host: 'github.com', owner: 'acme', repository: 'web', run: number });

  it('is read once, also where several ask at once: it never changes', async () => {
    expect(await Promise.all([reads.isFork('acme', run(1)), reads.isFork('acme', run(1))])).to.deep.equal([true, true]);
    expect(await reads.isFork('acme', { ...run(1), owner: 'ACME' })).to.equal(true);
    expect(asked).to.deep.equal(['acme acme/web 1']);
  });

  it('is read by each registration with its own credentials', async () => {
    await reads.isFork('acme', run(1));
    answer = async () => undefined;
    expect(await reads.isFork('other', run(1)), 'it does not see it').to.equal(undefined);
    expect(asked).to.have.length(2);
  });

  it('is asked again where GitHub did not say, or could not be asked', async () => {
    answer = async () => ({ completed: false, attempt: 1 });
    expect(await reads.isFork('acme', run(1))).to.equal(undefined);
    answer = () => Promise.reject(new GithubError('transient', 'GET run', 'it is down'));
    expect(await reads.isFork('acme', run(1))).to.equal(undefined);
    expect(lines).to.deep.equal(['run-not-read']);
    answer = async () => ({ completed: false, attempt: 1, isFork: false });
    expect(await reads.isFork('acme', run(1))).to.equal(false);
    expect(asked).to.have.length(3);
  });

  it('costs a tenant at most 60 reads a minute, however many runs its containers name, and another none', async () => {
    for (let number = 1; number <= 100; number += 1)
      await reads.isFork(number % 2 === 0 ? 'acme' : 'acme-2', run(number));
    expect(asked).to.have.length(60);
    expect(await reads.isFork('other', run(1))).to.equal(true);
    nowMs += MINUTE;
    expect(await reads.isFork('acme', run(100))).to.equal(true);
    expect(asked).to.have.length(62);
  });

  it('is told beside who started it, anew after a minute, and at once where a later attempt is known of', async () => {
    const by = (triggeringActor: string) => ({ event: 'push', actor: 'octocat', triggeringActor });
    answer = async () => ({ completed: false, attempt: 1, isFork: false, origin: by('octocat') });
    expect(await reads.origin('acme', run(1), 1)).to.deep.equal(by('octocat'));
    expect(await reads.origin('acme', run(1), 1)).to.deep.equal(by('octocat'));
    expect(await reads.isFork('acme', run(1))).to.equal(false);
    expect(asked).to.have.length(1);
    expect(await reads.origin('acme', run(1), 2), 'an answer older than the attempt').to.equal(undefined);
    answer = async () => ({ completed: false, attempt: 2, isFork: false, origin: by('mallory') });
    expect(await reads.origin('acme', run(1), 2)).to.deep.equal(by('mallory'));
    expect(asked).to.have.length(3);
    nowMs += MINUTE;
    answer = async () => ({ completed: false, attempt: 3, isFork: false });
    expect(await reads.origin('acme', run(1), 2), 'GitHub does not say any more').to.equal(undefined);
    expect(await reads.isFork('acme', run(1))).to.equal(false);
  });

  it('is not known of a registration that is not in force', async () => {
    expect(await reads.isFork('gone', run(1))).to.equal(undefined);
    expect(asked).to.deep.equal([]);
  });
});
