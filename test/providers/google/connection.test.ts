import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BatchServiceClient } from '@google-cloud/batch';
import { v2 } from '@google-cloud/run';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { expect } from 'chai';
import { callOptions, connect } from '../../../providers/google/connection.ts';
import { credentialsOption } from '../../../providers/google/credentials.ts';
import { endpointOf } from '../../../providers/google/endpoint.ts';
import { type CloudRunSimulator, startCloudRunSimulator } from '../../../simulators/gcp-cloud-run/index.ts';

const AUDIENCE = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k';
const azure = {
  url: 'http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fiam.googleapis.com',
  headers: { Metadata: 'True' },
  format: { type: 'json', subject_token_field_name: 'access_token' },
};
const aws = {
  environment_id: 'aws1',
  region_url: 'http://169.254.169.254/latest/meta-data/placement/availability-zone',
  url: 'http://169.254.169.254/latest/meta-data/iam/security-credentials',
  regional_cred_verification_url: 'https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15',
  imdsv2_session_token_url: 'http://169.254.169.254/latest/api/token',
};
const call = { parent: 'projects/demo-project/locations/europe-west1' };

describe('google: a connection', () => {
  let simulator: CloudRunSimulator;
  let folder: string;
  const saved = new Map<string, string | undefined>();
  const setEnvironment = (name: string, value: string): void => {
    saved.set(name, process.env[name]);
    process.env[name] = value;
  };

  before(async () => {
    // gRPC tells of a proxy that refuses.
    setLogVerbosity(logVerbosity.NONE);
    simulator = await startCloudRunSimulator({ images: {} });
    folder = await mkdtemp(join(tmpdir(), 'google-connection-'));
  });
  afterEach(() => {
    for (const [name, value] of saved) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    saved.clear();
  });
  after(async () => {
    setLogVerbosity(logVerbosity.ERROR);
    await simulator.close();
    await rm(folder, { recursive: true });
  });

  /** The SDKs bring different majors of google-auth-library. */
  const clients = [
    [
      '@google-cloud/run',
      (credentials: string, endpoint?: string) => {
        const { client } = connect(v2.JobsClient, { credentials, endpoint });
        return { client, list: () => client.listJobs(call, { timeout: 1000, autoPaginate: false }) };
      },
    ],
    [
      '@google-cloud/batch',
      (credentials: string, endpoint?: string) => {
        const { client } = connect(BatchServiceClient, { credentials, endpoint });
        return { client, list: () => client.listJobs(call, { timeout: 1000, autoPaginate: false }) };
      },
    ],
  ] as const;

  for (const [name, open] of clients) {
    it(`of ${name} says nothing on standard error, for a key and for an external account`, async () => {
      const file = join(folder, 'subject-token');
      await writeFile(file, 'their-token');
      simulator.identity.trust(AUDIENCE, 'their-token', 'pool-principal');
      const externalWith = (credential_source: object, kind = 'jwt'): string =>
        JSON.stringify({
          type: 'external_account',
          audience: AUDIENCE,
          subject_token_type: `urn:ietf:params:${kind === 'jwt' ? 'oauth' : 'aws'}:token-type:${kind}`,
          token_url: `${simulator.httpUrl}/v1/token`,
          credential_source,
        });
      const said: unknown[] = [];
      const { error, warn } = console;
      const listen = (...words: unknown[]): void => {
        said.push(words);
      };
      Object.assign(console, { error: listen, warn: listen });
      try {
        for (const credentials of [simulator.serviceAccountKey, externalWith({ file })]) {
          const { client } = open(credentials, simulator.endpoint);
          expect(console.warn, 'what others have to say is heard').to.equal(listen);
          const { otherArgs } = await callOptions(client.auth, endpointOf(simulator.endpoint), 3000);
          const token = otherArgs?.headers['authorization'];
          expect(simulator.identity.caller(token).email).to.match(/^(dispatcher@|pool-principal)/);
          await client.close();
        }
        // As gcloud writes them; those clouds are not here to be asked.
        for (const credentials of [externalWith(azure), externalWith(aws, 'aws4_request')]) {
          expect(credentialsOption.safeParse(credentials).error).to.equal(undefined);
          const { client } = open(credentials, simulator.endpoint);
          await client.auth.getClient();
          await client.close();
        }
      } finally {
        Object.assign(console, { error, warn });
      }
      expect(said).to.deep.equal([]);
    });

    it(`of ${name} outlives credentials that come late: no failure is kept, none is thrown where nobody catches it`, async () => {
      const file = join(folder, `${name.replaceAll('/', '-')}.json`);
      setEnvironment('GOOGLE_APPLICATION_CREDENTIALS', file);
      setEnvironment('METADATA_SERVER_DETECTION', 'none');
      // Nothing of this test leaves the machine.
      setEnvironment('grpc_proxy', 'http://127.0.0.1:1');
      const { client, list } = open('application-default');
      const reasonOf = async (attempt: Promise<unknown>): Promise<string> =>
        attempt.then(
          () => 'it went well',
          (reason: unknown) => String(reason),
        );
      const options = () => callOptions(client.auth, undefined, 1000);
      expect(await reasonOf(options())).to.include(file);
      expect(await reasonOf(list())).to.not.equal('it went well');
      await writeFile(file, simulator.serviceAccountKey);
      expect(await options()).to.deep.equal({ timeout: 1000 });
      expect(await reasonOf(list()))
        .to.match(/UNAVAILABLE|DEADLINE_EXCEEDED/)
        .and.not.include(file);
      await client.close();
    });
  }
});
