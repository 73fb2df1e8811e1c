import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { z } from 'zod';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import manifest from '../../package.json' with { type: 'json' };
import { loadProvider } from '../../providers/index.ts';
import { chart, helm, helmProblem } from './helm.ts';
import { readKubernetes } from './kubernetes.ts';

const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string() }),
});
type KubernetesObject = z.infer<typeof objectSchema>;

const acme = {
  organization: 'acme',
  credentials: { token: '${file:secrets/acme/github-token}' },
  webhook: { secrets: ['${file:secrets/acme/webhook-secret}'] },
  defaults: { image: 'ghcr.io/acme/runner:2.335' },
  backends: [{ kind: 'docker', options: { socketPath: '/var/run/docker.sock' } }],
};
const SECRET_FILES = [
  { secretName: 'shr-platform', path: 'platform' },
  { secretName: 'shr-acme', path: 'acme' },
];
const peer = [{ namespaceSelector: { matchLabels: { name: 'monitoring' } } }];

/** Each changes what is rendered: all are linted, rendered and checked. */
const MATRIX: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'as it comes': {},
  'with registrations and secrets': {
    registrations: { acme },
    secretFiles: SECRET_FILES,
    secretEnvironment: [{ secretName: 'shr-azure' }],
    environment: { HTTPS_PROXY: 'http://proxy.example:3128' },
  },
  'with an ingress': {
    registrations: { acme },
    ingress: {
      enabled: true,
      className: 'nginx',
      host: 'shr.acme.example',
      tlsSecret: 'shr-tls',
      annotations: { a: 'b' },
    },
  },
  'with an ingress, without TLS': { ingress: { enabled: true, host: 'shr.acme.example' } },
  'with a monitor': {
    serviceMonitor: { enabled: true, tokenSecret: 'shr-platform', labels: { release: 'prometheus' } },
    networkPolicy: { adminFrom: peer, publicFrom: peer },
  },
  'without what can be left out': {
    networkPolicy: { enabled: false },
    podDisruptionBudget: { enabled: false },
    persistence: { enabled: false },
    serviceAccount: { create: false, name: 'mine' },
    replicas: 0,
  },
  'with everything else': {
    image: { digest: `sha256:${'a'.repeat(64)}`, pullSecrets: ['registry'], pullPolicy: 'Always' },
    persistence: { storageClass: 'fast', size: '10Gi' },
    serviceAccount: { annotations: { 'azure.workload.identity/client-id': 'x' } },
    service: { type: 'LoadBalancer', port: 443, annotations: { c: 'd' } },
    podLabels: { 'azure.workload.identity/use': 'true' },
    podAnnotations: { e: 'f' },
    nodeSelector: { 'kubernetes.io/arch': 'arm64' },
    tolerations: [{ key: 'ci', operator: 'Exists' }],
    affinity: { nodeAffinity: {} },
    priorityClassName: 'high',
    terminationGracePeriodSeconds: 120,
    networkPolicy: { egress: [] },
  },
  'with TLS of its own': { listen: { url: 'https://shr.acme.example', tlsSecret: 'shr-tls' } },
  'with a claim that exists': { persistence: { existingClaim: 'ledger' } },
};

describe('the Helm chart', function () {
  this.timeout(60_000);
  let folder: string;

  before(async function () {
    if (helmProblem !== undefined) this.skip();
    folder = await mkdtemp(join(tmpdir(), 'shr-chart-'));
  });

  after(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  async function valuesFile(values: Readonly<Record<string, unknown>>): Promise<string> {
    const file = join(folder, 'values.yaml');
    const image = { repository: 'registry.acme.example/shr', ...(values['image'] ?? {}) };
    // Without the Secrets that its references name, nothing is rendered.
    await writeFile(file, stringify({ secretFiles: SECRET_FILES, ...values, image }));
    return file;
  }

  async function rendered(values: Readonly<Record<string, unknown>>): Promise<readonly KubernetesObject[]> {
    const words = ['--namespace', 'ci', '--values', await valuesFile(values)];
    const { code, out, error } = await helm('template', 'shr', chart, ...words);
    expect(error).to.equal('');
    expect(code).to.equal(0);
    return parseAllDocuments(out).map((document) => objectSchema.parse(document.toJS()));
  }

  async function refusal(values: Readonly<Record<string, unknown>>): Promise<string> {
    const { code, error } = await helm('template', 'shr', chart, '--values', await valuesFile(values));
    expect(code).to.not.equal(0);
    return error;
  }

  for (const [name, values] of Object.entries(MATRIX)) {
    it(`passes helm lint --strict, ${name}`, async () => {
      const { code, out, error } = await helm('lint', '--strict', '--values', await valuesFile(values), chart);
      expect(code, `${out}${error}`).to.equal(0);
      expect(out).to.not.match(/\[(?:WARNING|ERROR)\]/);
    });

    it(`renders what Kubernetes 1.36 describes, ${name}`, async function () {
      const kubernetes = readKubernetes();
      if (kubernetes === undefined) this.skip();
      const objects = await rendered(values);
      // Of an operator, not of Kubernetes.
      const described = objects.filter(({ apiVersion }) => !apiVersion.startsWith('monitoring.coreos.com/'));
      expect(described.flatMap((object) => kubernetes.objections(object))).to.deep.equal([]);
      expect(new Set(objects.map(({ metadata }) => metadata.namespace))).to.deep.equal(new Set(['ci']));
    });
  }

  it('has a check that finds an unknown field and a wrong type', function () {
    const kubernetes = readKubernetes();
    if (kubernetes === undefined) this.skip();
    const wrong = { apiVersion: 'v1', kind: 'Service', spec: { ports: [{ port: 'http', name: 'a' }], selectors: {} } };
    expect(kubernetes.objections(wrong).join('\n')).to.include('selectors').and.include('/spec/ports/0/port');
    expect(kubernetes.objections({ apiVersion: 'v2', kind: 'Service' })).to.deep.equal(['v2 Service is not described']);
  });

  it('has the version of the package', async () => {
    const said = parse(await readFile(join(chart, 'Chart.yaml'), 'utf8'));
    expect(said).to.include({ version: manifest.version, appVersion: manifest.version });
  });

  it('fails where two dispatchers would share SQLite', async () => {
    expect(await refusal({ replicas: 2 })).to.include('replicas is 2, and the ledger is SQLite');
  });

  for (const [what, values, words] of [
    ['no image', { image: { repository: '' } }, /image\.repository is missing/],
    ['an ingress without a host', { ingress: { enabled: true } }, /ingress\.enabled needs ingress\.host/],
    ['a monitor without a token', { serviceMonitor: { enabled: true } }, /needs serviceMonitor\.tokenSecret/],
    ['a misspelt value', { replicaCount: 1 }, /replicaCount/],
    ['a secret in clear text', { dispatcher: { adminToken: 'hunter2-hunter2-hunter2' } }, /adminToken/],
    ['a ledger of its own', { dispatcher: { ledger: 'here.db' } }, /dispatcher/],
    ['no Secret with the admin token', { secretFiles: [] }, /secrets\/platform\/…\} is in no Secret of secretFiles/],
    [
      "no Secret of a registration's",
      { registrations: { acme }, secretFiles: [SECRET_FILES[0]] },
      /secrets\/acme\/…\} is in no Secret of secretFiles.*add \{secretName: shr-acme, path: acme\}/,
    ],
    ['a URL without TLS', { listen: { url: 'http://shr.acme.example' } }, /listen/],
    [
      'a registration that no file can be called',
      { registrations: { 'Acme Web': {} } },
      /Acme Web|propertyNames|property name/i,
    ],
  ] as const) {
    it(`says what is wrong with ${what}`, async () => {
      expect(await refusal(values)).to.match(words);
    });
  }

  it('runs a pod that the restricted standard admits, with a read-only root', async () => {
    const set = (await rendered({})).find(({ kind }) => kind === 'StatefulSet');
    const pod = z.object({ spec: z.object({ template: z.object({ spec: z.looseObject({}) }) }) }).parse(set).spec
      .template.spec;
    expect(pod).to.deep.include({ automountServiceAccountToken: false, terminationGracePeriodSeconds: 60 });
    expect(pod['securityContext']).to.deep.include({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    const [container] = z.array(z.looseObject({})).parse(pod['containers']);
    expect(container?.['securityContext']).to.deep.equal({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(container).to.include.keys('startupProbe', 'livenessProbe', 'readinessProbe');
  });

  it('lets nobody reach the admin port, and no ingress leads there', async () => {
    const objects = await rendered(MATRIX['with an ingress'] ?? {});
    const policy = objects.find(({ kind }) => kind === 'NetworkPolicy');
    expect(policy?.['spec']).to.deep.include({
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ ports: [{ port: 8080, protocol: 'TCP' }] }],
    });
    const ingress = JSON.stringify(objects.find(({ kind }) => kind === 'Ingress'));
    expect(ingress).to.include('"/webhooks"').and.not.include('admin');
    const monitored = await rendered(MATRIX['with a monitor'] ?? {});
    const open = JSON.stringify(monitored.find(({ kind }) => kind === 'NetworkPolicy'));
    expect(open).to.include('9090').and.include('"monitoring"');
  });

  it('writes a configuration that the dispatcher takes', async () => {
    const objects = await rendered(MATRIX['with registrations and secrets'] ?? {});
    const maps = objects.filter(({ kind }) => kind === 'ConfigMap');
    const files = new Map(
      maps.flatMap(({ data }) => Object.entries(z.record(z.string(), z.string()).parse(data ?? {}))),
    );
    const loaded = await loadConfiguration({
      dispatcherFile: '/etc/shr/dispatcher.yaml',
      registrationsFolder: '/etc/shr/registrations',
      environment: {},
      files: {
        read: async (path) => {
          const text = files.get(path.split('/').at(-1) ?? '');
          if (text === undefined) throw Object.assign(new Error(path), { code: 'ENOENT' });
          return { text, readableBy: 'owner' };
        },
        list: async () => [...files.keys()].filter((name) => name !== 'dispatcher.yaml'),
      },
      provider: loadProvider,
      secrets: 'optional',
    });
    expect(loaded.problems).to.deep.equal([]);
    if (!loaded.ok) throw new Error('not loaded');
    expect(loaded.configuration.dispatcher).to.deep.include({
      ledgerPath: '/var/lib/shr/ledger.db',
      publicListen: { host: '0.0.0.0', port: 8080 },
      adminListen: { host: '0.0.0.0', port: 9090 },
    });
    expect(loaded.configuration.registrations.map(({ name }) => name)).to.deep.equal(['acme']);
  });

  it('tells runners where to call back, where there is TLS', async () => {
    const publicOf = async (name: string): Promise<unknown> => {
      const maps = (await rendered(MATRIX[name] ?? {})).filter(({ kind }) => kind === 'ConfigMap');
      const text = z.object({ 'dispatcher.yaml': z.string() }).parse(maps[0]?.['data'])['dispatcher.yaml'];
      return parse(text).listen.public;
    };
    const address = '0.0.0.0:8080';
    expect(await publicOf('with an ingress')).to.deep.equal({ address, url: 'https://shr.acme.example' });
    expect(await publicOf('with an ingress, without TLS')).to.deep.equal({ address });
    expect(await publicOf('with TLS of its own')).to.deep.equal({
      address,
      url: 'https://shr.acme.example',
      tls: { certificate: '/etc/shr/tls/tls.crt', key: '/etc/shr/tls/tls.key' },
    });
  });

  it('restarts the pod when its configuration changes', async () => {
    const sum = async (registrations: Readonly<Record<string, unknown>>) => {
      const text = JSON.stringify((await rendered({ registrations })).find(({ kind }) => kind === 'StatefulSet'));
      return /"checksum\/config":"(\w{64})"/.exec(text)?.[1];
    };
    expect(await sum({ acme }))
      .to.be.a('string')
      .and.not.equal(await sum({}));
  });
});
