import { expect } from 'chai';
import { type AliEciSimulator, type Call, demoOptions, startAliEciSimulator } from '../../simulators/ali-eci/index.ts';
import { demoKey } from '../../simulators/ali-eci/options.ts';
import { eventually } from '../e2e/service-fixture.ts';
import { problemsOf } from '../providers/ali-eci/described-calls.ts';
import { readDescription } from '../providers/ali-eci/description.ts';
import { type DeployFolder, MACHINE, openDeployFolder, WEBHOOK_SECRET } from './simulated.ts';

const GROUP = 'shr-dep-acme-dispatcher';

describe('a dispatcher deployed to Elastic Container Instance', function () {
  this.timeout(180_000);
  let simulator: AliEciSimulator;
  let place: DeployFolder;
  const calls: Call[] = [];

  before(async () => {
    simulator = await startAliEciSimulator({ ...MACHINE, onCall: (call) => calls.push(call) });
    const options = { ...demoOptions(simulator), accessKeySecret: '${env:ALI_SECRET}', publicAddress: {} };
    place = await openDeployFolder(
      'ali-eci',
      { ...options, command: [process.execPath, '/home/runner/run.sh'] },
      { ALI_SECRET: demoKey.secret },
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
    expect(out).to.include(`http://203.0.113.8:${place.port}/webhooks/github/acme`);
    expect((await place.deploy('status')).out).to.match(/state +healthy/);
  });

  it('has its configuration in a file that those who may describe it cannot open', () => {
    const group = simulator.named(GROUP);
    const { container, restartPolicy, tags, volumes } = group?.decoded ?? {};
    expect(volumes?.[0]?.files.map(({ Path }) => Path)).to.deep.equal(['bundle']);
    expect(container?.EnvironmentVarHide).to.equal(true);
    const [{ Value: key } = { Value: '' }] = container?.EnvironmentVar ?? [];
    expect(key).to.have.length(44);
    for (const { answer, url } of calls) {
      const shown = `${url} ${JSON.stringify(answer ?? null)}`;
      expect(shown).to.not.include(key).and.not.include(WEBHOOK_SECRET);
      expect(shown).to.not.include(Buffer.from(WEBHOOK_SECRET).toString('base64').slice(0, 30));
    }
    expect(restartPolicy).to.equal('Always');
    expect(tags).to.deep.include({ Key: 'shr.deployment', Value: 'dep-acme' });
  });

  it('runs a job that a webhook reports, in a container group beside it', async () => {
    const { id } = place.push(0);
    await eventually('the job is done', 60_000, () => place.conclusion(id));
    expect(place.conclusion(id)).to.equal('success');
  });

  it('changes nothing where nothing has changed', async () => {
    const creations = () => calls.filter(({ action }) => action === 'CreateContainerGroup').length;
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

  it('says that a permission is missing, and goes on where it stopped', async () => {
    await place.write({ logLevel: 'info' });
    const end = simulator.fault({ kind: 'no-permission', action: 'CreateContainerGroup' });
    const refused = await place.deploy('apply');
    end();
    expect(refused.code).to.equal(1);
    expect(refused.error).to.include('Give these credentials');
    const { code, all } = await place.deploy('apply');
    expect(code, all).to.equal(0);
    expect((await place.deploy('status')).out).to.match(/state +healthy/);
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

  it('has asked and was answered as the vendor describes', function () {
    const eci = readDescription('2018-08-08');
    const vpc = readDescription('2016-04-28');
    if (eci === undefined || vpc === undefined) return this.skip();
    expect(problemsOf(calls, [eci, vpc])).to.deep.equal([]);
  });
});
