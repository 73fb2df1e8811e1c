import { expect } from 'chai';
import {
  backendSource,
  defectFailure,
  failureFields,
  failureWords,
  githubFailure,
  instanceFailure,
  isFailureKind,
  isFailureSource,
  ownFailure,
  placedWords,
  providerFailure,
  withContext,
} from '../../dispatcher/failures/failure.ts';
import { GithubError } from '../../dispatcher/github/github.ts';
import { ProviderError } from '../../providers/provider.ts';

const source = backendSource('acme', 'aci');
const TOKEN = `ghs_${'a'.repeat(36)}`;

describe('a failure', () => {
  it('keeps kind, code and request id of what a provider, GitHub or a container said', () => {
    const refusal = new ProviderError('invalid', 'azure-aci create', 'not accessible', {
      code: 'InaccessibleImage',
      requestId: 'r-1',
    });
    expect(providerFailure(refusal, source, 5)).to.deep.equal({
      source: 'acme/aci',
      kind: 'invalid',
      code: 'InaccessibleImage',
      requestId: 'r-1',
      message: 'azure-aci create: not accessible',
      atMs: 5,
    });
    const answer = new GithubError('forbidden', 'POST /x', 'no', { status: 403, requestId: 'GH:1' });
    expect(githubFailure(answer, 6)).to.include({
      source: 'github',
      kind: 'forbidden',
      code: '403',
      requestId: 'GH:1',
    });
    const end = instanceFailure({ kind: 'out-of-memory', message: 'killed', exitCode: 137 }, source, 7);
    expect(end).to.include({ source: 'acme/aci', kind: 'out-of-memory', code: '137', message: 'killed' });
    expect(ownFailure('interrupted', 'stopped', 8)).to.include({
      source: 'dispatcher',
      kind: 'interrupted',
      code: null,
    });
  });

  it('is scrubbed of secrets, cut, and free of NUL before anything keeps it', () => {
    const texts = { code: `c-${TOKEN}`, requestId: `r-${TOKEN}` };
    const told = providerFailure(
      new ProviderError('invalid', 'x', `a\0b ${TOKEN} ${'w '.repeat(5000)}`, texts),
      source,
      0,
    );
    expect(JSON.stringify(told)).to.not.include(TOKEN).and.not.include('\\u0000');
    expect(told.message.length).to.be.lessThan(1600);
    expect(defectFailure(new TypeError(`bad ${TOKEN}`), 0).message)
      .to.include('TypeError')
      .and.not.include(TOKEN);
    expect(withContext(told, TOKEN, 0).message).to.not.include(TOKEN);
  });

  it('is put in words with what a ticket needs, once', () => {
    const told = { source, code: 'NotFound', requestId: 'r-1', message: 'no such image' };
    expect(failureWords(told)).to.equal('no such image (NotFound, request r-1)');
    expect(failureWords({ ...told, message: 'NotFound: no such image' })).to.equal(
      'NotFound: no such image (request r-1)',
    );
    expect(placedWords(told)).to.equal('aci: no such image (NotFound, request r-1)');
    expect(placedWords({ source: 'github', code: null, requestId: null, message: 'no' })).to.equal('GitHub: no');
    expect(placedWords({ source: 'dispatcher', code: null, requestId: null, message: 'no' })).to.equal('no');
  });

  it('is logged with its code and request id', () => {
    const error = new GithubError('transient', 'GET /x', 'bad gateway', { status: 502, requestId: 'GH:1' });
    expect(failureFields(githubFailure(error, 0))).to.deep.equal({
      source: 'github',
      kind: 'transient',
      code: '502',
      requestId: 'GH:1',
      reason: 'GET /x: bad gateway',
    });
  });

  it('is read back only where its kind and source are known', () => {
    expect(['invalid', 'launch-timeout', 'rate-limited', 'no-stock'].every(isFailureKind)).to.equal(true);
    expect(['', 'toString', 'github-invalid'].some(isFailureKind)).to.equal(false);
    expect(['github', 'dispatcher', 'acme/aci'].every(isFailureSource)).to.equal(true);
    expect(['', 'acme', '/aci', 'acme/'].some(isFailureSource)).to.equal(false);
  });
});
