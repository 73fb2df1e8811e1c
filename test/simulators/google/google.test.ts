import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { v2 } from '@google-cloud/run';
import { expect } from 'chai';
import { callOptions, connect } from '../../../providers/google/connection.ts';
import { endpointOf } from '../../../providers/google/endpoint.ts';
import { type CloudRunSimulator, startCloudRunSimulator } from '../../../simulators/gcp-cloud-run/index.ts';
import { parseFilter } from '../../../simulators/google/filter.ts';
import { GoogleRefusal } from '../../../simulators/google/status.ts';

const AUDIENCE = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k';

describe('the foundation of the simulators of Google', () => {
  let simulator: CloudRunSimulator;
  let folder: string;
  before(async () => {
    simulator = await startCloudRunSimulator({ images: {} });
    folder = await mkdtemp(join(tmpdir(), 'google-simulator-'));
  });
  afterEach(() => simulator.faults.clear());
  after(async () => {
    await simulator.close();
    await rm(folder, { recursive: true });
  });

  /** What Google's own SDK gets for a list of jobs, with these credentials. */
  const list = async (credentials: string, timeoutMs = 3000): Promise<unknown> => {
    const { client } = connect(v2.JobsClient, { endpoint: simulator.endpoint, credentials });
    try {
      const options = await callOptions(client.auth, endpointOf(simulator.endpoint), timeoutMs);
      const parent = `projects/${simulator.project}/locations/${simulator.region}`;
      const [jobs] = await client.listJobs({ parent }, { ...options, autoPaginate: false });
      return jobs;
    } catch (error) {
      return error;
    } finally {
      await client.close();
    }
  };

  const federated = async (subjectToken: string, more: object = {}): Promise<string> => {
    const file = join(folder, 'token');
    await writeFile(file, subjectToken);
    return JSON.stringify({
      type: 'external_account',
      audience: AUDIENCE,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `${simulator.httpUrl}/v1/token`,
      credential_source: { file },
      ...more,
    });
  };

  describe('tokens', () => {
    it('let a service account in by a token that its key has signed', async () => {
      expect(await list(simulator.serviceAccountKey)).to.deep.equal([]);
    });

    it('keep a key out that is another one, or disabled', async () => {
      const stranger = await startCloudRunSimulator({ images: {} });
      await stranger.close();
      expect(await list(stranger.serviceAccountKey)).to.include({ code: 16 });
      const email = 'leaver@demo-project.iam.gserviceaccount.com';
      const key = simulator.identity.createKey(email, simulator.project);
      expect(await list(key)).to.deep.equal([]);
      simulator.identity.disable(email);
      expect(await list(key)).to.include({ code: 16 });
    });

    it('let another cloud in through the token endpoint', async () => {
      simulator.identity.trust(AUDIENCE, 'their-token', 'pool-principal');
      expect(await list(await federated('their-token'))).to.deep.equal([]);
      expect(simulator.requests.some((request) => request.path === '/v1/token')).to.equal(true);
    });

    it('let it act as a service account', async () => {
      simulator.identity.trust(AUDIENCE, 'their-token', 'pool-principal');
      const service_account_impersonation_url = `${simulator.httpUrl}/v1/projects/-/serviceAccounts/a%40p.iam.gserviceaccount.com:generateAccessToken`;
      expect(await list(await federated('their-token', { service_account_impersonation_url }))).to.deep.equal([]);
    });

    it('keep out whom the pool does not know', async () => {
      expect(await list(await federated('another-token'))).to.match(/invalid_grant/);
    });
  });

  describe('faults', () => {
    it('refuse with code, words and details, as many times as was said', async () => {
      simulator.faults.set({
        refusals: [
          { call: 'ListJobs', code: 'RESOURCE_EXHAUSTED', message: 'slow down', retryAfterSeconds: 9, times: 1 },
        ],
      });
      const error = await list(simulator.serviceAccountKey);
      expect(error).to.include({ code: 8, details: 'slow down' });
      expect(JSON.stringify(error)).to.include('"seconds"');
      expect(await list(simulator.serviceAccountKey)).to.deep.equal([]);
    });

    it('never answer, when told so', async () => {
      simulator.faults.set({ silences: [{ call: 'ListJobs', effect: 'before', times: 1 }] });
      expect(await list(simulator.serviceAccountKey, 150)).to.include({ code: 4 });
    });

    it('are switched by HTTP', async () => {
      const control = `${simulator.httpUrl}/_simulator/faults`;
      const set = (body: object) => fetch(control, { method: 'POST', body: JSON.stringify(body) });
      expect((await set({ refusals: [{ code: 'NONSENSE' }] })).status).to.equal(400);
      expect((await set({ refusals: [{ call: 'ListJobs', code: 'INTERNAL' }] })).status).to.equal(200);
      expect(await list(simulator.serviceAccountKey)).to.include({ code: 13 });
      expect((await fetch(control, { method: 'DELETE' })).status).to.equal(200);
      expect(await list(simulator.serviceAccountKey)).to.deep.equal([]);
    });
  });

  describe('the record of exchanges', () => {
    it('has what was said, without tokens', async () => {
      await list(simulator.serviceAccountKey);
      const last = simulator.exchanges.at(-1);
      expect(last?.call).to.equal('google.cloud.run.v2.Jobs/ListJobs');
      expect(last?.request).to.include({ parent: 'projects/demo-project/locations/europe-west1' });
      expect(JSON.stringify(last?.metadata)).to.include('x-goog-request-params').and.not.include('Bearer');
    });
  });

  describe('the filter of the log', () => {
    const entry = {
      logName: 'projects/p/logs/run.googleapis.com%2Fstdout',
      resource: { type: 'cloud_run_job', labels: { job_name: 'j' } },
      labels: { 'run.googleapis.com/execution_name': 'j-1' },
      timestamp: '2026-09-21T10:00:00.000000000Z',
      textPayload: 'hello "you"',
    };
    const table: [string, boolean][] = [
      ['', true],
      ['resource.type="cloud_run_job"', true],
      ['resource.type="other"', false],
      ['resource.labels.job_name = "j" AND labels."run.googleapis.com/execution_name"="j-1"', true],
      ['resource.labels.job_name = "j" labels."run.googleapis.com/execution_name"="j-2"', false],
      ['resource.labels.job_name="k" OR resource.labels.job_name="j"', true],
      ['resource.type="x" AND (resource.labels.job_name="j" OR resource.labels.job_name="k")', false],
      ['log_id("run.googleapis.com/stdout")', true],
      ['log_id("run.googleapis.com/stderr")', false],
      ['NOT log_id("run.googleapis.com/stderr")', true],
      ['timestamp>="2026-09-21T00:00:00Z"', true],
      ['timestamp>="2026-09-22T00:00:00Z"', false],
      ['textPayload="hello \\"you\\""', true],
      ['textPayload:"ell"', true],
      ['labels.missing="x"', false],
    ];
    for (const [filter, expected] of table) {
      it(`${expected ? 'takes' : 'leaves out'} by ${filter || 'nothing'}`, () => {
        expect(parseFilter(filter)(entry)).to.equal(expected);
      });
    }

    it('refuses what it does not understand, rather than to give everything', () => {
      for (const filter of ['resource.type=', '(a="b"', 'a="b")', 'a ~ "b"', 'a="b', 'foo bar']) {
        expect(() => parseFilter(filter), filter).to.throw(GoogleRefusal);
      }
    });
  });
});
