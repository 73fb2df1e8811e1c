import { hostname } from 'node:os';
import { expect } from 'chai';
import { stringify } from 'yaml';
import { loadProvider } from '../../providers/index.ts';
import { dispatcherYaml, load, problemsOf } from './files.ts';

const guid = '11111111-2222-4333-8444-555555555555';
const bases = {
  docker: { host: 'engine.acme.example', port: 2376, ca: '-----BEGIN' },
  'ali-eci': {
    region: 'cn-hangzhou',
    accessKeyId: 'LTAI0000',
    accessKeySecret: '${env:TENANT_ACME_KEY}',
    vSwitchIds: ['vsw-1'],
    securityGroupId: 'sg-1',
  },
  'azure-aci': {
    subscriptionId: guid,
    resourceGroup: 'runners',
    location: 'westeurope',
    credentials: { kind: 'secret', tenantId: guid, clientId: guid, clientSecret: '${env:TENANT_ACME_KEY}' },
  },
  'gcp-batch': {
    project: 'acme-ci',
    region: 'europe-west4',
    serviceAccount: 'runner@acme-ci.iam.gserviceaccount.com',
    credentials: '${env:TENANT_ACME_GOOGLE}',
  },
  'gcp-cloud-run': {
    project: 'acme-ci',
    region: 'europe-west4',
    serviceAccount: 'runner@acme-ci.iam.gserviceaccount.com',
    credentials: '${env:TENANT_ACME_GOOGLE}',
  },
} as const;
type Kind = keyof typeof bases;

const kinds: readonly Kind[] = ['ali-eci', 'azure-aci', 'docker', 'gcp-batch', 'gcp-cloud-run'];
const environment = {
  ADMIN_TOKEN: 'an-admin-token-of-32-characters!',
  TENANT_ACME_TOKEN: 'ghp_of-acme',
  TENANT_ACME_KEY: 'a-key-of-acme',
  TENANT_ACME_GOOGLE: JSON.stringify({
    type: 'service_account',
    client_email: 'shr@acme-ci.iam.gserviceaccount.com',
    private_key: '-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n',
  }),
  TENANT_ACME_FEDERATED: JSON.stringify({
    type: 'external_account',
    audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    token_url: 'https://sts.googleapis.com/v1/token',
    credential_source: { file: '/var/run/secrets/tokens/dispatcher' },
  }),
};
const changes = { environment, provider: loadProvider };

const claims = {
  hosts: ['github.com'],
  owners: ['acme'],
  labels: ['serverless-hosted-runner'],
  runnerGroups: ['Default'],
};

function registration(backend: object): string {
  return stringify({
    organization: 'acme',
    credentials: { token: '${env:TENANT_ACME_TOKEN}' },
    defaults: { image: 'ghcr.io/acme/runner:1' },
    backends: [backend],
  });
}

/** Of acme's file, with a backend of its own. */
function problemsWith(kind: Kind, options: object): Promise<readonly string[]> {
  return problemsOf(
    {
      'dispatcher.yaml': dispatcherYaml + stringify({ tenants: { acme: { ...claims, backendKinds: [kind] } } }),
      'registrations/acme.yaml': registration({ kind, options: { ...bases[kind], ...options } }),
    },
    changes,
  );
}

describe('a backend of a tenant’s own', () => {
  for (const kind of kinds) {
    it(`may be a ${kind} with credentials of its own`, async () => {
      expect(await problemsWith(kind, {})).to.deep.equal([]);
    });
  }

  const machine = { kind: 'managed-identity' };
  const workload = { kind: 'workload-identity', tenantId: guid, clientId: guid };
  const inside = 'http://127.0.0.1:8500';
  const here = [
    '127.0.0.1',
    '127.9.9.9',
    '127.1',
    '0x7f000001',
    '2130706433',
    '0.0.0.0',
    '::1',
    '::ffff:127.0.0.1',
    '::',
  ];
  const alsoHere = [
    'localhost',
    'LocalHost.',
    'a.localhost',
    hostname(),
    '169.254.169.254',
    'engine/..',
    'a@127.0.0.1',
  ];
  const reaching: readonly (readonly [Kind, string, object])[] = [
    ...[...here, ...alsoHere].map((host) => ['docker', 'host', { host }] as const),
    ['ali-eci', 'ecsRamRole', { ecsRamRole: 'dispatcher', accessKeyId: undefined, accessKeySecret: undefined }],
    ['ali-eci', 'endpoint', { endpoint: 'http://127.0.0.1:8500' }],
    ['ali-eci', 'vpcEndpoint', { vpcEndpoint: 'http://127.0.0.1:8500' }],
    ['azure-aci', 'credentials.kind', { credentials: machine }],
    ['azure-aci', 'credentials.kind', { credentials: workload }],
    ['azure-aci', 'endpoint', { endpoint: 'https://vault.internal:8200' }],
    ['azure-aci', 'authorityHost', { authorityHost: 'https://vault.internal:8200' }],
    ['gcp-batch', 'credentials', { credentials: undefined }],
    ['gcp-batch', 'credentials', { credentials: '${env:TENANT_ACME_FEDERATED}' }],
    ['gcp-batch', 'endpoint', { endpoint: inside }],
    ['gcp-batch', 'loggingEndpoint', { loggingEndpoint: inside }],
    ['gcp-batch', 'computeEndpoint', { computeEndpoint: inside }],
    ['gcp-batch', 'kmsEndpoint', { kmsEndpoint: inside }],
    ['gcp-cloud-run', 'credentials', { credentials: undefined }],
    ['gcp-cloud-run', 'credentials', { credentials: '${env:TENANT_ACME_FEDERATED}' }],
    ['gcp-cloud-run', 'endpoint', { endpoint: inside }],
    ['gcp-cloud-run', 'loggingEndpoint', { loggingEndpoint: inside }],
  ];
  for (const [kind, option, options] of reaching) {
    it(`may not be a ${kind} with ${JSON.stringify(options)}`, async () => {
      const problems = await problemsWith(kind, options);
      expect(problems).to.have.length(1);
      expect(problems[0])
        .to.include(`backends[0].options.${option}: tenants may not set this option`)
        .and.include('have the platform define the backend in dispatcher.yaml and `use` it');
    });

    it(`may be so where the platform wrote it: ${kind} with ${JSON.stringify(options)}`, async () => {
      const shared = { kind, options: { ...bases[kind], ...options } };
      const loaded = await load(
        {
          'dispatcher.yaml':
            dispatcherYaml +
            stringify({
              tenants: { acme: { ...claims, backends: ['own'], powers: { images: ['ghcr.io/acme/*'] } } },
              backends: { own: shared },
            }),
          'registrations/acme.yaml': registration({ use: 'own' }),
        },
        changes,
      );
      expect(loaded.ok).to.equal(true);
    });
  }
});
