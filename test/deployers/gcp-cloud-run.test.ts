import { expect } from 'chai';
import { type CloudRunSimulator, demoOptions, startCloudRunSimulator } from '../../simulators/gcp-cloud-run/index.ts';
import { eventually } from '../e2e/service-fixture.ts';
import { rules } from '../providers/gcp-cloud-run/description.ts';
import { readDiscovery } from '../providers/google/discovery.ts';
import { type DeployFolder, MACHINE, openDeployFolder, WEBHOOK_SECRET } from './simulated.ts';

const NAME = 'shr-dep-acme-dispatcher';
const ACCOUNT = ['--service-account', 'dispatcher@demo-project.iam.gserviceaccount.com'];

const serviceRules = {
  ...rules,
  methods: {
    ...rules.methods,
    'google.cloud.run.v2.Services/CreateService': { id: 'run.projects.locations.services.create', body: 'service' },
    'google.cloud.run.v2.Services/GetService': { id: 'run.projects.locations.services.get' },
    'google.cloud.run.v2.Services/ListServices': { id: 'run.projects.locations.services.list' },
    'google.cloud.run.v2.Services/DeleteService': { id: 'run.projects.locations.services.delete' },
  },
};

describe('a dispatcher deployed to Cloud Run', function () {
  this.timeout(180_000);
  let simulator: CloudRunSimulator;
  let place: DeployFolder;

  before(async () => {
    simulator = await startCloudRunSimulator({ ...MACHINE });
    const options = { ...demoOptions(simulator), credentials: '${env:GOOGLE_KEY}' };
    place = await openDeployFolder(
      'gcp-cloud-run',
      { ...options, command: [process.execPath, '/home/runner/run.sh'] },
      { GOOGLE_KEY: simulator.serviceAccountKey, METADATA_SERVER_DETECTION: 'none' },
    );
  });

  after(async () => {
    await simulator?.close();
    await place?.close();
  });

  const deploy = (verb: string, ...words: readonly string[]) => place.deploy(verb, ...ACCOUNT, ...words);

  it('wants an account of its own, whose secrets no job can read', async () => {
    expect((await place.deploy('plan')).error).to.include('as which service account');
    const runners = ['--service-account', 'runner@demo-project.iam.gserviceaccount.com'];
    expect((await place.deploy('plan', ...runners)).error).to.include('is the account of the runners');
  });

  it('is planned without a trace, then installed, and says which webhook to add', async () => {
    const plan = await deploy('plan');
    expect(plan.code, plan.all).to.equal(0);
    expect(plan.out).to.include(`create  service ${NAME}`);
    expect(simulator.services()).to.deep.equal([]);
    const { code, all, out } = await deploy('apply');
    expect(code, all).to.equal(0);
    expect(out).to.match(/https:\/\/shr-dep-acme-dispatcher-\d+\.europe-west1\.run\.app\/webhooks\/github\/acme/);
    expect((await deploy('status')).out).to.match(/state +healthy/);
  });

  it('is one instance that always runs, with its configuration in a secret alone', () => {
    const [service] = simulator.services();
    expect(service?.message.template.scaling).to.include({ minInstanceCount: 1, maxInstanceCount: 1 });
    expect(service?.message.labels).to.include({ 'shr-deployment': 'dep-acme', 'shr-deployment-role': 'serve' });
    expect(simulator.secrets()).to.deep.equal([NAME]);
    const said = JSON.stringify([simulator.exchanges, service]);
    expect(said).to.not.include(WEBHOOK_SECRET).and.not.include('PRIVATE KEY');
  });

  it('runs a job that a webhook reports, in an execution beside it', async () => {
    const { id } = place.push(0);
    await eventually('the job is done', 60_000, () => place.conclusion(id));
    expect(place.conclusion(id)).to.equal('success');
  });

  const creations = () => simulator.exchanges.filter(({ call }) => call.endsWith('/CreateService')).length;

  it('changes nothing where nothing has changed', async () => {
    const before = creations();
    const { code, all } = await deploy('apply');
    expect(code, all).to.equal(0);
    expect(all).to.include('nothing to change');
    expect(creations()).to.equal(before);
  });

  it('is updated while a job runs, which runs once and to its end', async () => {
    const started = place.github.executions().length;
    const { id } = place.push(12);
    await eventually('the job runs', 60_000, () => (place.github.executions().length > started ? true : undefined));
    await place.write({ logLevel: 'debug' });
    expect((await deploy('plan')).out).to.include('replace ');
    const { code, all } = await deploy('apply');
    expect(code, all).to.equal(0);
    expect(all)
      .to.include('stopping')
      .and.include('nothing is served until')
      .and.include('is deployed, and ready')
      .and.include('No job is: what runs is taken up again');
    await eventually('the job is done', 60_000, () => place.conclusion(id));
    expect(place.conclusion(id)).to.equal('success');
    expect(place.github.executions().length).to.equal(started + 1);
  });

  it('says that a permission is missing, and goes on where it stopped', async () => {
    await place.write({ logLevel: 'info' });
    simulator.faults.set({ refusals: [{ call: 'Services/CreateService', code: 'PERMISSION_DENIED', message: 'no' }] });
    const refused = await deploy('apply');
    simulator.faults.clear();
    expect(refused.code).to.equal(1);
    expect(refused.error).to.include('Give these credentials');
    const { code, all } = await deploy('apply');
    expect(code, all).to.equal(0);
    expect((await deploy('status')).out).to.match(/state +healthy/);
  });

  it('is taken down after the job that runs, and nothing is left', async () => {
    const started = place.github.executions().length;
    const { id } = place.push(20);
    await eventually('the job runs', 60_000, () => (place.github.executions().length > started ? true : undefined));
    const { code, all } = await deploy('destroy');
    expect(code, all).to.equal(0);
    expect(all).to.include('waiting for').and.include('nothing is left');
    expect(place.conclusion(id)).to.equal('success');
    expect(simulator.services()).to.deep.equal([]);
    expect(simulator.secrets()).to.deep.equal([]);
    expect((await deploy('destroy')).error).to.include('nothing is deployed as dep-acme');
  });

  it('has asked and was answered as Google describes', function () {
    const description = readDiscovery('google-run-v2.discovery.json', serviceRules);
    if (description === undefined) return this.skip();
    const services = simulator.exchanges.filter(({ call }) => call.includes('.Services/'));
    expect(services.length).to.be.greaterThan(10);
    expect([...new Set(services.flatMap((exchange) => description.problemsOf(exchange)))]).to.deep.equal([]);
  });
});
