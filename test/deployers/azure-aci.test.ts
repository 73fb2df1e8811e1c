import { expect } from 'chai';
import {
  type AzureAciSimulator,
  type Call,
  demo,
  demoOptions,
  startAzureAciSimulator,
} from '../../simulators/azure-aci/index.ts';
import { eventually } from '../e2e/service-fixture.ts';
import { problemsOf, readDescription } from '../providers/azure-aci/description.ts';
import { type DeployFolder, MACHINE, openDeployFolder, WEBHOOK_SECRET } from './simulated.ts';

const GROUP = 'shr-dep-acme-dispatcher';

describe('a dispatcher deployed to Azure Container Instances', function () {
  this.timeout(180_000);
  let simulator: AzureAciSimulator;
  let place: DeployFolder;
  const calls: Call[] = [];

  before(async () => {
    simulator = await startAzureAciSimulator({ ...MACHINE, onCall: (call) => calls.push(call) });
    const options = { ...demoOptions(simulator), command: ['/home/runner/run.sh'] };
    const credentials = { kind: 'secret', tenantId: demo.tenantId, clientId: demo.clientId };
    place = await openDeployFolder(
      'azure-aci',
      {
        ...options,
        command: [process.execPath, '/home/runner/run.sh'],
        credentials: { ...credentials, clientSecret: '${env:AZURE_SECRET}' },
      },
      { AZURE_SECRET: demo.clientSecret },
    );
  });

  after(async () => {
    await simulator?.close();
    await place?.close();
  });

  it('is planned without a trace, then installed, and says which webhook to add', async () => {
    const plan = await place.deploy('plan');
    expect(plan.code, plan.all).to.equal(0);
    expect(plan.out).to.include(`create  container group ${GROUP}`);
    expect(simulator.groups).to.deep.equal([]);
    const { code, all, out } = await place.deploy('apply');
    expect(code, all).to.equal(0);
    expect(out).to.match(/http:\/\/shr-dep-acme-[0-9a-f]{8}\.\w+\.azurecontainer\.io:\d+\/webhooks\/github\/acme/);
    expect((await place.deploy('status')).out).to.match(/state +healthy/);
  });

  it('has its configuration in a secret volume alone, and is never shown it', () => {
    const group = simulator.named(GROUP);
    const { volumes, ...rest } = group?.decoded.properties ?? {};
    expect(Object.keys(volumes?.[0]?.secret ?? {})).to.deep.equal(['bundle']);
    const bundle = volumes?.[0]?.secret?.['bundle'] ?? '';
    expect(JSON.stringify([rest, group?.decoded.tags])).to.not.include(bundle);
    for (const { answer } of calls) {
      expect(JSON.stringify(answer ?? null))
        .to.not.include(bundle.slice(0, 100))
        .and.not.include(WEBHOOK_SECRET);
    }
    expect(group?.decoded.properties.restartPolicy).to.equal('Always');
    expect(group?.decoded.tags).to.include({ 'shr.deployment': 'dep-acme', 'shr.deployment.role': 'serve' });
  });

  it('runs a job that a webhook reports, in a container group beside it', async () => {
    const { id } = place.push(0);
    await eventually('the job is done', 60_000, () => place.conclusion(id));
    expect(place.conclusion(id)).to.equal('success');
  });

  it('changes nothing where nothing has changed', async () => {
    const creations = () => calls.filter(({ operation }) => operation === 'create').length;
    const before = creations();
    const { code, all } = await place.deploy('apply');
    expect(code, all).to.equal(0);
    expect(all).to.include('nothing to change');
    expect(creations()).to.equal(before);
  });

  it('is updated while a job runs, which runs once and to its end', async () => {
    const started = place.github.executions().length;
    const { id } = place.push(12);
    await eventually('the job runs', 60_000, () => (place.github.executions().length > started ? true : undefined));
    await place.write({ logLevel: 'debug' });
    expect((await place.deploy('plan')).out).to.include('replace ');
    const { code, all } = await place.deploy('apply');
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

  it('says which permission is missing, and goes on where it stopped', async () => {
    await place.write({ logLevel: 'info' });
    const end = simulator.fault({ kind: 'no-permission', operation: 'create' });
    const refused = await place.deploy('apply');
    end();
    expect(refused.code).to.equal(1);
    expect(refused.error).to.include('Give these credentials');
    const { code, all } = await place.deploy('apply');
    expect(code, all).to.equal(0);
    expect((await place.deploy('status')).out).to.match(/state +healthy/);
  });

  it('says which image cannot be had, and what to do', async () => {
    const { code, error } = await place.deploy('apply', '--image', 'registry.example/absent:1');
    expect(code).to.equal(1);
    expect(error).to.include('registry.example/absent:1').and.include('Correct what it says, and run it again');
    const again = await place.deploy('apply');
    expect(again.code, again.all).to.equal(0);
  });

  it('is taken down after the job that runs, and nothing is left', async () => {
    const started = place.github.executions().length;
    const { id } = place.push(20);
    await eventually('the job runs', 60_000, () => (place.github.executions().length > started ? true : undefined));
    const { code, all } = await place.deploy('destroy');
    expect(code, all).to.equal(0);
    expect(all).to.include('waiting for').and.include('nothing is left');
    expect(place.conclusion(id)).to.equal('success');
    expect(simulator.groups).to.deep.equal([]);
    expect((await place.deploy('destroy')).error).to.include('nothing is deployed as dep-acme');
  });

  it('has asked and was answered as Azure describes', function () {
    const description = readDescription();
    if (description === undefined) this.skip();
    expect([...new Set(problemsOf(calls, description))]).to.deep.equal([]);
  });
});
