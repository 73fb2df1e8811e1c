import { expect } from 'chai';
import { indexRegistrations, type Match, match } from '../../dispatcher/admission/match.ts';
import type { JobSubject } from '../../dispatcher/jobs/lane.ts';
import { readLabels } from '../../dispatcher/labels/grammar.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { registration } from '../registration-fixture.ts';

function matchIn(
  registrations: readonly Registration[],
  labels: readonly string[],
  where: Partial<JobSubject> = {},
): Match {
  const job: JobSubject = {
    host: 'github.com',
    owner: 'acme',
    repository: 'web',
    labels,
    visibility: 'private',
    ...where,
  };
  return match(indexRegistrations(registrations), job, readLabels(labels));
}

function nameOf(found: Match): string {
  return found.outcome === 'matched' ? found.registration.name : found.outcome;
}

function reasonOf(found: Match): string {
  return found.outcome === 'none' ? found.reason : '';
}

const web = registration({
  name: 'web',
  claim: { kind: 'repositories', repositories: [{ owner: 'Acme', repository: 'Web' }] },
});
const organization = registration({ name: 'organization', labels: ['acme-runner', 'big'] });
const enterprise = registration({
  name: 'enterprise',
  claim: { kind: 'enterprise', enterprise: 'acme-corp', organizations: ['ACME', 'other'] },
});

describe('matching a job with a registration', () => {
  it('takes any non-empty subset of the registration’s labels, without case', () => {
    expect(nameOf(matchIn([organization], ['BIG']))).to.equal('organization');
    expect(nameOf(matchIn([organization], ['acme-runner', 'big']))).to.equal('organization');
  });

  it('ignores the built-in labels', () => {
    expect(nameOf(matchIn([organization], ['self-hosted', 'Linux', 'X64', 'big']))).to.equal('organization');
  });

  it('needs more than built-in labels and overrides', () => {
    expect(nameOf(matchIn([organization], ['self-hosted', 'linux']))).to.equal('none');
    expect(nameOf(matchIn([organization], ['cpu-4', 'spot']))).to.equal('none');
    expect(nameOf(matchIn([organization], []))).to.equal('none');
  });

  it('leaves a job alone that has a foreign label', () => {
    expect(nameOf(matchIn([organization], ['acme-runner', 'gpu']))).to.equal('none');
  });

  it('takes a malformed override for an override, so that it can be refused', () => {
    expect(nameOf(matchIn([organization], ['acme-runner', 'cpu-abc']))).to.equal('organization');
    expect(nameOf(matchIn([organization], ['ubuntu-latest', 'cpu-abc']))).to.equal('none');
  });

  it('lets a registration’s own label win over an override that looks the same', () => {
    const own = registration({ labels: ['cpu-large', 'spot'] });
    const found = matchIn([own], ['cpu-large', 'spot', 'memory-8']);
    expect(found.outcome === 'matched' && found.rest.map(({ text }) => text)).to.deep.equal(['memory-8']);
  });

  it('prefers the repository’s registration to the organization’s to the enterprise’s', () => {
    const all = [enterprise, organization, web];
    expect(nameOf(matchIn(all, ['acme-runner']))).to.equal('web');
    expect(nameOf(matchIn(all, ['acme-runner'], { repository: 'api' }))).to.equal('organization');
    expect(nameOf(matchIn(all, ['acme-runner'], { owner: 'other' }))).to.equal('enterprise');
  });

  it('goes on to the next level when the closer one lacks a label', () => {
    expect(nameOf(matchIn([enterprise, organization, web], ['acme-runner', 'big']))).to.equal('organization');
  });

  it('prefers the higher priority within a level, and calls equal ones a tie', () => {
    const high = registration({ name: 'high', priority: 5 });
    expect(nameOf(matchIn([organization, high], ['acme-runner']))).to.equal('high');
    const same = registration({ name: 'same' });
    const tie = matchIn([same, organization], ['acme-runner']);
    expect(tie.outcome === 'tie' && tie.registrations.map(({ name }) => name)).to.deep.equal(['organization', 'same']);
  });

  it('keeps hosts apart', () => {
    expect(nameOf(matchIn([organization], ['big'], { host: 'ghes.acme.example' }))).to.equal('none');
    expect(nameOf(matchIn([organization], ['big'], { host: 'GitHub.com', owner: 'ACME' }))).to.equal('organization');
  });

  it('serves all repositories of a user account', () => {
    const user = registration({ claim: { kind: 'user', user: 'Octocat' } });
    expect(nameOf(matchIn([user], ['acme-runner'], { owner: 'octocat', repository: 'any' }))).to.equal('acme');
  });

  describe('the one-label form', () => {
    const usual = registration({ labels: ['serverless-hosted-runner'] });

    it('stands for the default label when it is alone', () => {
      expect(nameOf(matchIn([usual], ['shr=1/cpu=4']))).to.equal('acme');
      expect(nameOf(matchIn([usual], ['self-hosted', 'shr=1/cpu=4']))).to.equal('acme');
      expect(nameOf(matchIn([organization], ['shr=1/cpu=4']))).to.equal('none');
    });

    it('is an override beside a label of the registration’s own', () => {
      expect(nameOf(matchIn([organization], ['big', 'shr=1/cpu=4']))).to.equal('organization');
    });

    it('does not carry a foreign label in', () => {
      expect(nameOf(matchIn([usual], ['shr=1/cpu=4', 'gpu']))).to.equal('none');
    });
  });

  describe('when nobody takes the job', () => {
    it('names the label that kept the nearest registration away', () => {
      expect(reasonOf(matchIn([organization], ['acme-runner', 'windows'])))
        .to.include('`organization`')
        .and.include('`windows`');
    });

    it('suggests what was probably meant', () => {
      expect(reasonOf(matchIn([organization], ['acme-runner', 'mem-4']))).to.include('did you mean `memory-4`?');
      expect(reasonOf(matchIn([organization], ['acme-runer']))).to.include('did you mean `acme-runner`?');
      expect(reasonOf(matchIn([organization], ['acme-runner', 'big,cpu-4']))).to.include('[big, cpu-4]');
    });

    it('says so when no registration claims the repository', () => {
      expect(reasonOf(matchIn([web], ['acme-runner'], { repository: 'api' }))).to.equal(
        'no registration claims acme/api on github.com',
      );
    });
  });

  it('looks at as few registrations among 10,000 as among 10', () => {
    const crowd = (count: number): Registration[] => [
      ...Array.from({ length: count }, (_, index) =>
        registration({ name: `r${index}`, claim: { kind: 'organization', organization: `org-${index}` } }),
      ),
      // As many in the same organization, each with a label of its own.
      ...Array.from({ length: count }, (_, index) => registration({ name: `l${index}`, labels: [`label-${index}`] })),
      web,
      enterprise,
    ];
    for (const labels of [['acme-runner'], ['label-7', 'cpu-4'], ['unheard-of']]) {
      const few = matchIn(crowd(10), labels);
      const many = matchIn(crowd(10_000), labels);
      expect(nameOf(many)).to.equal(nameOf(few));
      expect(many.candidates).to.equal(few.candidates);
      expect(many.candidates).to.be.at.most(2);
    }
  });
});
