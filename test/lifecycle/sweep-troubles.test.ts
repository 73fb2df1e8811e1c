import { expect } from 'chai';
import type { GithubErrorKind } from '../../dispatcher/failures/failure.ts';
import { githubFailure } from '../../dispatcher/failures/failure.ts';
import { GithubError } from '../../dispatcher/github/github.ts';
import type { SweepFailure } from '../../dispatcher/lifecycle/sweep.ts';
import { SweepTroubles } from '../../dispatcher/lifecycle/sweep-troubles.ts';
import { problemLines, problemsOf } from '../../dispatcher/observability/problems.ts';

describe('what sweeps fail at', () => {
  let nowMs: number;
  let lines: string[];
  let troubles: SweepTroubles;
  beforeEach(() => {
    nowMs = 1_000;
    lines = [];
    const line = (event: string, fields?: Readonly<Record<string, unknown>>) =>
      lines.push(
        `${event} ${String(fields?.['scope'] ?? fields?.['backend'])} ${String(fields?.['kind'] ?? fields?.['times'])}`,
      );
    troubles = new SweepTroubles({ now: () => nowMs }, { warn: line, info: line });
  });
  const failure = (kind: GithubErrorKind, about = 'orgs/acme'): SweepFailure => ({
    about,
    failure: githubFailure(new GithubError(kind, 'GET', 'words'), 0),
  });

  // J8, 09
  it('is logged when it begins, changes and ends, and stands as long as it lasts', () => {
    for (let sweep = 0; sweep < 100; sweep += 1) {
      nowMs += 60_000;
      troubles.record('acme', 'scope', [failure('transient')]);
    }
    troubles.record('acme', 'scope', [failure('not-found')]);
    expect(troubles.of('acme')).to.deep.equal([{ ...failure('not-found'), sinceMs: 61_000, times: 101 }]);
    troubles.record('acme', 'scope', []);
    expect(troubles.of('acme')).to.deep.equal([]);
    expect(lines).to.deep.equal([
      'sweep-failed orgs/acme transient',
      'sweep-failed orgs/acme not-found',
      'sweep-failed-over orgs/acme 101',
    ]);
  });

  it('keeps the two sides and the registrations apart', () => {
    troubles.record('acme', 'backend', [failure('transient', 'main')]);
    troubles.record('acme', 'scope', [failure('forbidden')]);
    troubles.record('globex', 'scope', []);
    troubles.record('acme', 'scope', []);
    expect(troubles.of('acme').map(({ about }) => about)).to.deep.equal(['main']);
    expect(troubles.of('globex')).to.deep.equal([]);
  });

  it('has a bound', () => {
    troubles.record(
      'acme',
      'scope',
      Array.from({ length: 5_000 }, (_, index) => failure('transient', `repos/acme/${index}`)),
    );
    expect(troubles.of('acme')).to.have.length(100);
  });

  it('is among the problems that the readiness names', () => {
    troubles.record('acme', 'scope', [failure('not-found')]);
    const problems = (name: string) =>
      problemsOf({ configuration: [], poll: [], resting: [], sweep: troubles.of(name), skew: undefined, others: [] });
    expect(problemLines([{ name: 'acme' }, { name: 'globex' }], problems)).to.deep.equal([
      'acme: sweep: orgs/acme: GET: words',
    ]);
    const many = Array.from({ length: 30 }, (_, index) => ({ name: `r${index}` }));
    const lines = problemLines(many, () => problems('acme'));
    expect(lines).to.have.length(21);
    expect(lines.at(-1)).to.equal('10 more problems: see shr registrations');
  });
});
