import { expect } from 'chai';
import type { GithubErrorKind } from '../../dispatcher/failures/failure.ts';
import { ownFailure } from '../../dispatcher/failures/failure.ts';
import { pageOf, withoutPage } from '../../dispatcher/failures/html-page.ts';
import type { GithubDenial } from '../../dispatcher/github/denial.ts';
import { deepestWords, wordsOfBody } from '../../dispatcher/github/reply-words.ts';
import { acme, clientOf, failureOf } from './github-fixture.ts';
import { type Says, type Script, type ScriptedGithub, scriptedGithub } from './scripted-github.ts';

const UNICORN = `<!DOCTYPE html>
<!--

Hello future GitHubber! I bet you're here to remove those nasty inline styles. -->
<html>
  <head>
    <meta http-equiv="Content-type" content="text/html; charset=utf-8">
    <title>Unicorn! &middot; GitHub</title>
    <style type="text/css" media="screen">body { background-color: #f1f1f1; }</style>
  </head>
  <body><p><strong>We had issues producing the response to your request.</strong></p></body>
</html>`;

describe('a list that GitHub answers in part, for want of single sign-on', () => {
  const headers = { 'x-github-sso': 'partial-results; organizations=21955855,20582480', etag: 'W/"part"' };
  const runner = { id: 7, name: 'd1-one', os: 'linux', status: 'online', busy: false, labels: [] };
  let server: ScriptedGithub;
  afterEach(() => server.close());

  it('is a failure where the whole list matters: what it leaves out is not gone', async () => {
    let isFirst = true;
    server = await scriptedGithub(({ headers: { 'if-none-match': known } }) => {
      // The second time GitHub says that nothing has changed.
      if (!isFirst) expect(known).to.equal(headers.etag);
      const says = isFirst
        ? { headers, body: { total_count: 1, runners: [runner] } }
        : { status: 304, headers: { etag: headers.etag } };
      isFirst = false;
      return says;
    });
    const { github } = clientOf(server.apiUrl);
    for (const _time of [1, 2]) {
      const error = await failureOf(github.listRunners(acme, 'sweep'), 'forbidden');
      expect(error.message).to.include('tells a part of the list only').and.include('Configure SSO');
    }
    expect(server.asked).to.have.length(2);
  });

  it('proves no absence of a runner, and is good enough for one that it holds', async () => {
    server = await scriptedGithub(() => ({ headers, body: { total_count: 1, runners: [runner] } }));
    const { github } = clientOf(server.apiUrl);
    expect(await github.findRunner(acme, 'd1-one', 'drain')).to.include({ id: 7 });
    await failureOf(github.findRunner(acme, 'd1-other', 'drain'), 'forbidden');
  });

  it('of repositories gives those that it tells, and says why the others are missing', async () => {
    let repositories: readonly object[] = [];
    server = await scriptedGithub(() => ({ headers, body: repositories }));
    const { github } = clientOf(server.apiUrl);
    const signal = new AbortController().signal;
    for (const names of [[], ['web']]) {
      repositories = names.map((name) => ({
        id: 1,
        name,
        owner: { login: 'acme' },
        private: true,
      }));
      const listed = await github.listRepositories(signal);
      expect(listed.repositories.map(({ repository }) => repository)).to.deep.equal(names);
      expect(listed.failures.map(({ about, error }) => [about, error.kind])).to.deep.equal([['acme', 'forbidden']]);
      expect(listed.failures[0]?.error.message).to.include('single sign-on');
    }
  });
});

interface Refusal {
  readonly what: string;
  readonly says: Says;
  readonly kind: GithubErrorKind;
  readonly denial?: GithubDenial;
  /** In the message. */
  readonly words: readonly string[];
  readonly not?: readonly string[];
}

/** A cure that belongs to another failure. */
const MISLEADING = ['lack', 'renew', 'permission', 'documentation', '<', 'docs.github.com'];

// Case 08 and the HTML body of case 06. The messages are GitHub's own, from public reports and its source.
const refusals: readonly Refusal[] = [
  {
    what: 'a token that is wrong or expired',
    says: { status: 401, body: { message: 'Bad credentials', documentation_url: 'https://docs.github.com/rest' } },
    kind: 'unauthorized',
    denial: 'token',
    words: ['Bad credentials', 'renew it'],
    not: ['docs.github.com'],
  },
  {
    what: 'a clock that is ahead',
    says: {
      status: 401,
      body: {
        message: "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
      },
    },
    kind: 'unauthorized',
    denial: 'clock',
    words: ["'Issued at' claim", "set this machine's clock"],
    not: ['renew'],
  },
  {
    what: 'a clock that is far ahead',
    says: { status: 401, body: { message: "'Expiration time' claim ('exp') is too far in the future" } },
    kind: 'unauthorized',
    denial: 'clock',
    words: ["set this machine's clock"],
    not: ['renew'],
  },
  {
    what: 'the key of another App',
    says: { status: 401, body: { message: 'A JSON web token could not be decoded' } },
    kind: 'unauthorized',
    denial: 'key',
    words: ['could not be decoded', "compare the App's id"],
  },
  {
    what: 'an App that does not exist',
    says: { status: 404, body: { message: 'Integration not found' } },
    kind: 'not-found',
    denial: 'app',
    words: ["correct the App's id"],
    not: ['may not see it'],
  },
  {
    what: 'something that does not exist, or is not seen',
    says: { status: 404, body: { message: 'Not Found' } },
    kind: 'not-found',
    words: ['404: Not Found (it does not exist, or the credentials may not see it)'],
  },
  {
    what: 'a suspended installation',
    says: { status: 403, body: { message: 'This installation has been suspended' } },
    kind: 'forbidden',
    denial: 'suspended',
    words: ['has been suspended (ask the owner to unsuspend the App)'],
    not: MISLEADING,
  },
  {
    what: 'a suspended account',
    says: { status: 403, body: { message: 'Sorry. Your account was suspended' } },
    kind: 'forbidden',
    denial: 'account-suspended',
    words: ['account was suspended', "GitHub's support"],
    not: MISLEADING,
  },
  {
    what: 'an IP allow list',
    says: {
      status: 403,
      body: {
        message:
          'Although you appear to have the correct authorization credentials, the `acme` organization has an IP allow list enabled, and your IP address is not permitted to access this resource.',
      },
    },
    kind: 'forbidden',
    denial: 'address',
    words: ['IP allow list enabled', "(allow this machine's address there)"],
    not: ['lack', 'renew', 'documentation'],
  },
  {
    what: 'a token without single sign-on',
    says: {
      status: 403,
      body: {
        message:
          'Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization.',
      },
      headers: { 'x-github-sso': 'required; url=https://github.com/orgs/acme/sso?authorization_request=AAAA' },
    },
    kind: 'forbidden',
    denial: 'sso',
    words: ['SAML enforcement', 'authorize the token', 'single sign-on'],
    not: ['authorization_request', 'lack'],
  },
  {
    what: 'an organization that forbids classic tokens',
    says: {
      status: 403,
      body: {
        message:
          '`acme` forbids access via a personal access token (classic). Please use a GitHub App, OAuth App, or a personal access token with fine-grained permissions.',
      },
    },
    kind: 'forbidden',
    denial: 'token-forbidden',
    words: ['forbids access via', 'GitHub App'],
    not: ['lack', 'renew'],
  },
  {
    what: 'a repository whose self-hosted runners are disabled, which GitHub tells in `errors` alone',
    says: {
      status: 403,
      body: { message: 'Forbidden', errors: 'Repository level self-hosted runners are disabled on this repository' },
    },
    kind: 'forbidden',
    denial: 'runners-disabled',
    words: ['Forbidden: Repository level self-hosted runners are disabled', 'allow self-hosted runners'],
    not: ['lack', 'renew', 'permission'],
  },
  {
    what: 'disabled Actions',
    says: { status: 403, body: { message: 'Actions has been disabled for this repository.' } },
    kind: 'forbidden',
    denial: 'actions-disabled',
    words: ['switch Actions on'],
    not: MISLEADING,
  },
  {
    what: 'an archived repository',
    says: { status: 403, body: { message: 'Repository was archived so is read-only.' } },
    kind: 'forbidden',
    denial: 'archived',
    words: ['archived so is read-only', 'unarchive'],
    not: MISLEADING,
  },
  {
    what: 'a blocked repository',
    says: { status: 451, body: { message: 'Repository access blocked', block: { reason: 'dmca' } } },
    kind: 'forbidden',
    denial: 'blocked',
    words: ['access blocked'],
    not: [...MISLEADING, '('],
  },
  {
    what: 'a permission that the App lacks, by its name',
    says: {
      status: 403,
      body: { message: 'Resource not accessible by integration' },
      headers: { 'x-accepted-github-permissions': 'organization_self_hosted_runners=write' },
    },
    kind: 'forbidden',
    denial: 'permission',
    words: ['not accessible by integration', 'grant Self-hosted runners (organization): write on the App'],
  },
  {
    what: 'a token without admin rights',
    says: { status: 403, body: { message: 'Must have admin rights to Repository.' } },
    kind: 'forbidden',
    denial: 'permission',
    words: ['admin rights', 'lacks a permission: compare its permissions with step 2 of README.md'],
  },
  {
    what: 'a permission of two kinds that would do, and one that we have no name for',
    says: {
      status: 403,
      body: { message: 'Resource not accessible by personal access token' },
      headers: { 'x-accepted-github-permissions': 'administration=read,actions=read; organization_secrets=read' },
    },
    kind: 'forbidden',
    denial: 'permission',
    words: ['grant Administration (repository): read and Actions (repository): read or organization_secrets: read on'],
  },
  {
    what: 'a classic token without the scope',
    says: {
      status: 403,
      body: { message: 'Must have admin rights to Repository.' },
      headers: { 'x-oauth-scopes': 'repo, gist', 'x-accepted-oauth-scopes': 'admin:org, manage_runners:org' },
    },
    kind: 'forbidden',
    denial: 'permission',
    words: ['add the scope admin:org or manage_runners:org to the token, which has repo, gist'],
  },
  {
    what: 'a classic token that has the scope, of an account without admin rights',
    says: {
      status: 403,
      body: { message: 'Must have admin rights to Repository.' },
      headers: { 'x-oauth-scopes': 'repo', 'x-accepted-oauth-scopes': 'repo' },
    },
    kind: 'forbidden',
    denial: 'permission',
    words: ['compare its permissions'],
    not: ['add the scope'],
  },
  {
    what: 'a refusal that we have never met: its own words, and no cure of ours',
    says: { status: 403, body: { message: 'Not on a Sunday' } },
    kind: 'forbidden',
    words: ['GitHub answered 403: Not on a Sunday'],
    not: ['('],
  },
  {
    what: 'a primary limit',
    says: {
      status: 403,
      body: { message: 'API rate limit exceeded for installation ID 1.' },
      headers: {
        'x-ratelimit-limit': '5000',
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': String(Date.UTC(2026, 0, 5, 12, 10) / 1000),
      },
    },
    kind: 'rate-limited',
    words: ['API rate limit exceeded'],
    not: MISLEADING,
  },
  {
    what: 'a secondary limit',
    says: {
      status: 403,
      body: { message: 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.' },
    },
    kind: 'rate-limited',
    words: ['secondary rate limit'],
    not: MISLEADING,
  },
  {
    what: 'a limit that also speaks of blocked access: it passes by itself',
    says: { status: 403, body: { message: 'Access blocked: you have exceeded a secondary rate limit.' } },
    kind: 'rate-limited',
    words: ['Access blocked: you have exceeded a secondary rate limit'],
    not: MISLEADING,
  },
  {
    what: 'a 429 of a proxy',
    says: {
      status: 429,
      body: '<html><head><title>Slow down</title></head></html>',
      headers: { 'content-type': 'text/html' },
    },
    kind: 'rate-limited',
    words: ['429: an HTML page ("Slow down")'],
    not: ['<'],
  },
  {
    what: 'an HTML page instead of an answer',
    says: { status: 503, body: UNICORN, headers: { 'content-type': 'text/html; charset=utf-8' } },
    kind: 'transient',
    words: ['GitHub answered 503: an HTML page ("Unicorn! · GitHub")'],
    not: ['<', 'style', 'Hello'],
  },
  {
    what: 'an HTML page with a type that it is not of',
    says: { status: 502, body: UNICORN, headers: { 'content-type': 'application/json; charset=utf-8' } },
    kind: 'transient',
    words: ['502: an HTML page ("Unicorn! · GitHub")'],
    not: ['<', 'style'],
  },
  {
    what: 'a page without a title',
    says: { status: 500, body: '<html><body>oops</body></html>', headers: { 'content-type': 'text/html' } },
    kind: 'transient',
    words: ['500: an HTML page'],
    not: ['<', 'oops'],
  },
  {
    what: 'JSON without a message',
    says: { status: 403, body: { weather: 'bad' } },
    kind: 'forbidden',
    words: ['GitHub answered 403: no message'],
    not: ['weather', '('],
  },
  {
    what: 'a list instead of an object',
    says: { status: 500, body: [1, 2] },
    kind: 'transient',
    words: ['GitHub answered 500: no message'],
  },
  {
    what: 'nothing at all',
    says: { status: 504 },
    kind: 'transient',
    words: ['GitHub answered 504: no message'],
  },
  {
    what: 'several invalid fields',
    says: {
      status: 422,
      body: {
        message: 'Validation Failed',
        errors: [{ resource: 'Runner', field: 'labels', code: 'invalid' }, 'name is too long', { message: 'no group' }],
      },
    },
    kind: 'invalid',
    words: ['Validation Failed: Runner labels invalid, name is too long, no group'],
  },
  {
    what: 'a full runner group',
    says: {
      status: 422,
      body: { message: 'Invalid Argument - Runner group 1 has reached max limit of 10000 runners.' },
    },
    kind: 'invalid',
    words: ['max limit of 10000 runners'],
    not: ['('],
  },
];

describe("GitHub's refusals, in words", () => {
  let server: ScriptedGithub;
  let script: Script;

  beforeEach(async () => {
    server = await scriptedGithub((asked) => script(asked));
  });
  afterEach(() => server.close());

  for (const { what, says, kind, denial, words, not = [] } of refusals) {
    it(`names the cause: ${what}`, async () => {
      script = () => says;
      const { github, clock } = clientOf(server.apiUrl);
      const request = { scope: acme, name: 'shr-1', runnerGroup: 'Default', labels: ['acme-runner'] };
      const failure = await failureOf(clock.during(github.createJitRunner(request)), kind);
      expect(failure.denial).to.equal(denial);
      expect(failure.requestId).to.equal('REQ:1');
      for (const text of words) expect(failure.words).to.include(text);
      for (const text of not) expect(failure.words).to.not.include(text);
      expect(failure.words.length).to.be.below(800);
      expect(failure.words).to.not.match(/[\r\n]/);
    });
  }

  it('says what page came where JSON was to come', async () => {
    script = () => ({ body: UNICORN, headers: { 'content-type': 'text/html' } });
    const { github, clock } = clientOf(server.apiUrl);
    const failure = await failureOf(clock.during(github.getRunner(acme, 7, 'verify')), 'transient');
    expect(failure.words).to.include('an HTML page ("Unicorn! · GitHub")').and.include('proxy').and.not.include('<');
  });

  it('tells a page in the words of any service by its title', () => {
    expect(withoutPage(`aci list: ${UNICORN} (request 7)`)).to.equal(
      'aci list: an HTML page ("Unicorn! · GitHub") (request 7)',
    );
    expect(withoutPage('aci list: <html>half a page')).to.equal('aci list: an HTML page');
    expect(withoutPage('a < b, and <b>bold</b>')).to.equal('a < b, and <b>bold</b>');
    const told = ownFailure('defect', `no answer: ${UNICORN}`, 0);
    expect(told.message).to.equal('no answer: an HTML page ("Unicorn! · GitHub")');
  });

  it('finds the title of a page of any size in no time', () => {
    expect(pageOf(`<html>${'<!--'.repeat(1_000_000)}`)).to.equal('an HTML page');
    expect(wordsOfBody(`<!doctype html><title>${'x'.repeat(5_000)}</title>`)).to.equal('an HTML page');
    expect(wordsOfBody('not a page: 1 < 2')).to.equal('not a page: 1 < 2');
  });

  for (const [what, body, words] of [
    ['text with breaks and blanks, as one line', ' \n bad\r\n\tgateway \n', 'bad gateway'],
    ['blanks alone', '  \n ', 'no message'],
    ['details that are empty or odd, left out', { message: 'Bad.', errors: [null, '', 7, { message: 'x' }] }, 'Bad: x'],
    ['details without a message', { errors: ['one', 'two'] }, 'one, two'],
    ['a message that ends in a colon', { message: 'Bad: ', errors: 'one' }, 'Bad: one'],
    ['an error where there is no message', { message: ' ', error: 'token expired ' }, 'token expired'],
    ['the first five of many details', { message: 'Bad', errors: [...'abcdefg'] }, 'Bad: a, b, c, d, e'],
    ['details in a shape that is not known', { message: 'Bad', errors: { one: 1 } }, 'Bad'],
    ['five hundred characters', 'x'.repeat(500), 'x'.repeat(500)],
    ['more than that, cut', 'x'.repeat(501), `${'x'.repeat(500)}…`],
  ] as const) {
    it(`are said of ${what}`, () => {
      expect(wordsOfBody(body)).to.equal(words);
    });
  }

  it('of a connection that failed are those that lie deepest', () => {
    const refused = Object.assign(new Error(''), { code: 'ECONNREFUSED' });
    const failed = new TypeError('fetch failed', { cause: new Error('connect', { cause: refused }) });
    expect(deepestWords(failed)).to.equal('ECONNREFUSED');
    expect(deepestWords(new Error('a', { cause: new Error('b', { cause: 'a text' }) }))).to.equal('a text');
    expect(deepestWords(new Error(''))).to.equal('');
    const loop = new Error('loop');
    loop.cause = loop;
    expect(deepestWords(loop)).to.equal('loop');
  });
});
