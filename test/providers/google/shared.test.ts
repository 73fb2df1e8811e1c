import { generateKeyPairSync } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { z } from 'zod';
import { credentialsOf, credentialsOption, refuseEndpoints } from '../../../providers/google/credentials.ts';
import { parseEndpoint } from '../../../providers/google/endpoint.ts';
import { classifyGoogle, hasCode } from '../../../providers/google/errors.ts';
import { readLog } from '../../../providers/google/log.ts';
import { minuteRate } from '../../../providers/google/rate.ts';
import { LOG_BYTES, ProviderError, type ProviderErrorKind } from '../../../providers/provider.ts';

const SECRET = 's3cr3t-material';
const key = {
  type: 'service_account',
  project_id: 'p',
  private_key_id: 'kid',
  private_key: `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----\n`,
  client_email: 'a@p.iam.gserviceaccount.com',
  token_uri: 'https://evil.example/token',
};
const external = {
  type: 'external_account',
  audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k',
  subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  token_url: 'https://sts.googleapis.com/v1/token',
  credential_source: { file: '/var/run/token' },
};

function messageFor(credentials: unknown): string | undefined {
  const parsed = credentialsOption.safeParse(
    typeof credentials === 'string' ? credentials : JSON.stringify(credentials),
  );
  return parsed.success ? undefined : parsed.error.issues[0]?.message;
}

describe('google: credentials', () => {
  it('take the application default, a key and an external account', () => {
    expect(credentialsOf(credentialsOption.parse(undefined))).to.equal(undefined);
    expect(credentialsOf(JSON.stringify(key))).to.deep.equal({
      type: 'service_account',
      client_email: key.client_email,
      private_key: key.private_key,
      private_key_id: 'kid',
    });
    expect(credentialsOf(JSON.stringify(external))).to.deep.equal(external);
  });

  const refused: [string, unknown, RegExp][] = [
    ['no JSON', 'my-key.json', /neither the word application-default/],
    ['a user', { type: 'authorized_user', refresh_token: SECRET }, /service_account or external_account/],
    ['a key without its key', { ...key, private_key: SECRET }, /private_key is not a PEM/],
    ['another universe', { ...key, universe_domain: 'evil.example' }, /googleapis\.com/],
    ['a token endpoint of somebody', { ...external, token_url: 'https://sts.evil.example/' }, /token_url/],
    [
      'a token endpoint that only looks right',
      { ...external, token_url: 'https://sts.googleapis.com.evil.example/' },
      /token_url/,
    ],
    ['a program to run', { ...external, credential_source: { executable: { command: 'sh' } } }, /credential_source/],
    [
      'an URL inside the fixture',
      { ...external, credential_source: { url: 'http://10.0.0.1/secret' } },
      /credential_source/,
    ],
    [
      'an impersonation of somebody',
      { ...external, service_account_impersonation_url: 'https://evil.example/' },
      /service_account_impersonation_url/,
    ],
  ];
  for (const [what, credentials, message] of refused) {
    it(`refuse ${what}, and say nothing of what is in it`, () => {
      expect(messageFor(credentials)).to.match(message).and.not.include(SECRET);
    });
  }

  it('of the dispatcher itself go to Google alone', () => {
    expect(refuseEndpoints('application-default', ['http://127.0.0.1:1'])).to.match(/may only be sent to Google/);
    expect(refuseEndpoints('application-default', [undefined, 'https://run.googleapis.com'])).to.equal(undefined);
    expect(refuseEndpoints(JSON.stringify(key), ['http://127.0.0.1:1'])).to.equal(undefined);
  });
});

describe('google: endpoints', () => {
  it('are hosts of Google, or this machine', () => {
    expect(parseEndpoint('https://run-psc.p.googleapis.com')).to.deep.equal({
      host: 'run-psc.p.googleapis.com',
      port: 443,
      insecure: false,
    });
    expect(parseEndpoint('http://127.0.0.1:8080')).to.deep.equal({ host: '127.0.0.1', port: 8080, insecure: true });
    for (const bad of [
      'https://run.evil.example',
      'https://googleapis.com.evil.example',
      'https://evilgoogleapis.com',
      'http://run.googleapis.com',
      'http://10.0.0.1:80',
      'https://run.googleapis.com/path',
      'https://user@run.googleapis.com',
      'ftp://127.0.0.1',
      'run.googleapis.com',
    ]) {
      expect(parseEndpoint(bad), bad).to.equal(undefined);
    }
  });
});

describe('google: errors', () => {
  const grpc = (code: number, details: string, more: object = {}) =>
    Object.assign(new Error(`${code} X: ${details}`), { code, details, ...more });
  const http = (status: number, error: object) =>
    Object.assign(new Error('Request failed'), {
      status,
      code: String(status),
      config: { headers: { authorization: `Bearer ${SECRET}` } },
      response: { status, data: { error } },
    });
  const rate =
    "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute per region' of service";
  const table: [unknown, ProviderErrorKind][] = [
    [grpc(1, 'cancelled'), 'transient'],
    [grpc(2, 'unknown'), 'transient'],
    [grpc(3, 'Invalid value specified for cpu'), 'invalid'],
    [grpc(4, 'Deadline exceeded after 20s'), 'transient'],
    [grpc(5, 'Resource projects/p was not found'), 'invalid'],
    [grpc(6, 'Resource already exists'), 'conflict'],
    [grpc(7, "Permission 'run.jobs.create' denied"), 'unauthorized'],
    [grpc(8, rate), 'throttled'],
    [grpc(8, 'whatever', { reason: 'RATE_LIMIT_EXCEEDED' }), 'throttled'],
    [grpc(12, 'Received HTTP status code 404'), 'unauthorized'],
    [grpc(8, 'Too many requests'), 'throttled'],
    [grpc(8, 'Quota CPUS exceeded. Limit: 24.0 in region europe-west1'), 'quota'],
    [grpc(8, 'Received message larger than max (70000000 vs. 67108864)'), 'transient'],
    [grpc(9, 'The resource is not ready'), 'transient'],
    [grpc(10, 'Conflict, try again'), 'transient'],
    [grpc(11, 'out of range'), 'invalid'],
    [grpc(12, 'unimplemented'), 'unauthorized'],
    [grpc(13, 'internal'), 'transient'],
    [grpc(14, 'No connection established. Last error: connect ECONNREFUSED 127.0.0.1:1'), 'transient'],
    [grpc(14, 'No connection established. Last error: unable to verify the first certificate'), 'unauthorized'],
    [grpc(14, 'Getting metadata from plugin failed with error: invalid_grant: Invalid JWT Signature.'), 'unauthorized'],
    [
      grpc(16, 'Getting metadata from plugin failed with error: getaddrinfo EAI_AGAIN oauth2.googleapis.com'),
      'transient',
    ],
    [grpc(15, 'data loss'), 'transient'],
    [grpc(16, 'Request had invalid authentication credentials'), 'unauthorized'],
    [grpc(3, 'no reason', { reason: 'SERVICE_DISABLED' }), 'unauthorized'],
    [grpc(99, 'a code of the future'), 'transient'],
    [http(400, { status: 'INVALID_ARGUMENT', message: 'Unparseable filter' }), 'invalid'],
    [http(403, { status: 'PERMISSION_DENIED', message: 'Permission denied' }), 'unauthorized'],
    [
      http(429, {
        status: 'RESOURCE_EXHAUSTED',
        message: 'whatever',
        details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'RATE_LIMIT_EXCEEDED' }],
      }),
      'throttled',
    ],
    [
      http(429, { status: 'RESOURCE_EXHAUSTED', message: "Quota exceeded for quota metric 'Read requests'" }),
      'throttled',
    ],
    [http(500, { message: 'boom' }), 'transient'],
    [http(502, {}), 'transient'],
    [new Error('Could not load the default credentials. Browse to …'), 'unauthorized'],
    [new Error('error:1E08010C:DECODER routines::unsupported'), 'unauthorized'],
    [Object.assign(new Error('connect ECONNRESET'), { code: 'ECONNRESET' }), 'transient'],
    ['not even an error', 'transient'],
  ];
  for (const [error, kind] of table) {
    it(`${JSON.stringify(error instanceof Error ? error.message : error)} is ${kind}`, () => {
      const said = classifyGoogle('gcp-x Call', error);
      expect(said).to.be.instanceOf(ProviderError);
      expect(said.kind).to.equal(kind);
    });
  }

  it('keep the words of the service, and the time that it asks for', () => {
    const said = classifyGoogle(
      'gcp-x Call',
      grpc(8, rate, { statusDetails: [{ reason: 'X' }, { retryDelay: { seconds: '7', nanos: 500_000_000 } }] }),
    );
    expect(said.message).to.equal(`gcp-x Call: ${rate}`);
    expect(said.retryAfterMs).to.equal(7500);
    const details = [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '3s' }];
    expect(classifyGoogle('x', http(429, { message: rate, details })).retryAfterMs).to.equal(3000);
  });

  it('let the words of a service come before the code', () => {
    const said = classifyGoogle('x', grpc(3, 'Quota violated'), [[/quota violated/i, 'quota']]);
    expect(said.kind).to.equal('quota');
    expect(hasCode(said, 'INVALID_ARGUMENT')).to.equal(true);
  });

  it('pass through what is sorted already', () => {
    const sorted = new ProviderError('capacity', 'a', 'b');
    expect(classifyGoogle('x', sorted)).to.equal(sorted);
  });

  it('do not carry the token of the failed request along', () => {
    const said = classifyGoogle('x', http(403, { message: 'no' }));
    const cause = said.cause instanceof Error ? JSON.stringify([said.cause.message, said.cause]) : '';
    expect(`${JSON.stringify(said)}${said.stack}${cause}`).to.not.include(SECRET);
  });
});

describe('google: the budget of a minute', () => {
  const clockwork = () => {
    const clock = { nowMs: 1_000_000, slept: 0 };
    const host = {
      now: () => clock.nowMs,
      after: () => () => {},
      sleep: async (ms: number) => {
        clock.slept += ms;
      },
      random: () => 0,
    };
    return { clock, host };
  };

  it('never lets more than its number leave in any minute, whoever comes when', async () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), gaps, async (perMinute, arrivals) => {
        const { clock, host } = clockwork();
        const budget = minuteRate(host, 'writes', perMinute, 3_600_000);
        const leavings: number[] = [];
        for (const gap of arrivals) {
          clock.nowMs += gap;
          clock.slept = 0;
          await budget.permit('x');
          leavings.push(clock.nowMs + clock.slept);
        }
        for (const [index, at] of leavings.entries()) {
          const later = leavings[index + perMinute];
          if (later !== undefined) expect(later - at).to.be.at.least(60_000);
        }
      }),
    );
  });

  it('refuses at once where the turn is too far away, and says when it comes', async () => {
    const { host } = clockwork();
    const budget = minuteRate(host, 'job runs', 1, 5000);
    await budget.permit('gcp-x Run');
    const error = await budget.permit('gcp-x Run').catch((reason: unknown) => reason);
    if (!(error instanceof ProviderError)) throw new Error('it was let through');
    expect(error.kind).to.equal('throttled');
    expect(error.retryAfterMs).to.equal(60_000);
    expect(error.message).to.equal('gcp-x Run: 1 job runs a minute are used up; the next is free in 60 s');
  });

  it('stays closed for as long as the service asked', async () => {
    const { clock, host } = clockwork();
    const budget = minuteRate(host, 'writes', 100, 60_000);
    budget.close(4000);
    await budget.permit('x');
    expect(clock.slept).to.equal(4000);
  });
});

describe('google: the log', () => {
  const pages = (answers: readonly object[]) => {
    const bodies: unknown[] = [];
    return {
      bodies,
      read: () =>
        readLog({
          auth: {
            request: async (request) => {
              bodies.push(request.data);
              return { data: answers[Math.min(bodies.length, answers.length) - 1] };
            },
          },
          endpoint: 'https://logging.googleapis.com',
          project: 'p',
          filter: 'f',
          call: (request) => request(new AbortController().signal),
        }),
    };
  };

  it('is read backwards over all pages, empty ones too, and comes forwards', async () => {
    const { bodies, read } = pages([
      { entries: [{ textPayload: 'c' }, { jsonPayload: { level: 'info' } }], nextPageToken: '1' },
      { nextPageToken: '2' },
      { entries: [{ textPayload: 'a' }] },
    ]);
    expect(await read()).to.equal('a\n{"level":"info"}\nc\n');
    const tokens = z.array(z.object({ pageToken: z.string().optional() })).parse(bodies);
    expect(tokens.map((body) => body.pageToken)).to.deep.equal([undefined, '1', '2']);
  });

  it('ends with what is kept, however much there is', async () => {
    const { bodies, read } = pages([{ entries: [{ textPayload: 'x'.repeat(100_000) }], nextPageToken: 'more' }]);
    expect(Buffer.byteLength(await read())).to.be.at.most(LOG_BYTES);
    expect(bodies.length).to.equal(3);
  });

  it('takes what it cannot read for a fault, not for silence', async () => {
    const error = await pages([{ entries: 'none' }])
      .read()
      .catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(ProviderError).and.have.property('kind', 'transient');
  });
});

// A key of the right form, so that the schema above is not only tested with fragments.
describe('google: a real key', () => {
  it('is taken', () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    expect(messageFor({ ...key, private_key: pem })).to.equal(undefined);
  });
});
