import { expect } from 'chai';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import { differenceOf } from '../../dispatcher/live/difference.ts';
import { LiveTenants } from '../../dispatcher/live/live-tenants.ts';
import type { Configuration } from '../../dispatcher/model/registration.ts';
import { Documents } from '../../dispatcher/sources/documents.ts';
import { dispatcherYaml } from '../config/files.ts';
import { clientOf } from '../github/github-fixture.ts';
import { DocumentLedger, EditedSource, editedFiles } from './live-fixture.ts';

const REGISTRATIONS = 10_000;

const registrationOf = (index: number, more = '') => `
organization: acme-${index}
credentials: { token: "\${env:GITHUB_TOKEN}" }
defaults: { image: ghcr.io/acme/runner:1 }
backends: [{ kind: docker }]
${more}`;

describe('ten thousand registrations', function () {
  this.timeout(120_000);

  it('in a git repository, of which one changes, cost the work of one', async () => {
    const source = new EditedSource('tenants');
    const all = Array.from({ length: REGISTRATIONS }, (_, index) => [`t${index}.yaml`, registrationOf(index)]);
    source.write(Object.fromEntries(all), { trusted: true });
    const edited = editedFiles({ 'dispatcher.yaml': dispatcherYaml }, [source]);
    const loaded = await loadConfiguration({ ...edited.sources, memory: edited.live.memory });
    if (!loaded.ok) throw new Error('it is right');
    expect(loaded.configuration.registrations).to.have.length(REGISTRATIONS);
    expect(source.reads.splice(0)).to.have.length(REGISTRATIONS);
    expect(await edited.live.stamps.look()).to.deep.equal({ isChanged: false, isPending: false });
    source.write({ 't7777.yaml': registrationOf(7777, 'maxRunners: 3') }, { trusted: true });
    expect(await edited.live.stamps.look()).to.deep.equal({ isChanged: true, isPending: false });
    const again = await edited.live.read('changed');
    if (!again.ok) throw new Error('it is right');
    const difference = differenceOf(loaded.configuration, again.configuration);
    expect(difference.changed.map(({ name }) => name)).to.deep.equal(['t7777']);
    expect(difference.ended.length + difference.moved.length).to.equal(0);
    expect(source.reads).to.deep.equal(['git:tenants/t7777.yaml']);
  });

  it('by the API, of which one changes, cost the work of one', async () => {
    const ledger = new DocumentLedger();
    const written = { tenant: null, putBy: 'portal', putAtMs: 1, hash: '1' };
    for (let index = 0; index < REGISTRATIONS; index += 1) {
      await ledger.putApiRegistration({ ...written, name: `t${index}`, document: registrationOf(index) });
    }
    const documents = new Documents();
    await documents.open(ledger);
    const edited = editedFiles({ 'dispatcher.yaml': dispatcherYaml }, [documents]);
    const loaded = await loadConfiguration({ ...edited.sources, memory: edited.live.memory });
    if (!loaded.ok) throw new Error('it is right');
    expect(loaded.configuration.registrations).to.have.length(REGISTRATIONS);
    expect(ledger.reads.splice(0)).to.have.length(REGISTRATIONS);
    const document = registrationOf(7777, 'maxRunners: 3');
    const checked = await edited.live.check({ name: 't7777', file: 'api:t7777', text: document }, loaded.configuration);
    expect(checked).to.deep.equal({ problems: [], notes: [] });
    expect(ledger.reads, 'read for the check').to.deep.equal([]);
    await documents.put({ ...written, name: 't7777', document }, undefined);
    expect(await edited.live.stamps.look()).to.deep.equal({ isChanged: true, isPending: false });
    const again = await edited.live.read('changed');
    if (!again.ok) throw new Error('it is right');
    const difference = differenceOf(loaded.configuration, again.configuration);
    expect(difference.changed.map(({ name }) => name)).to.deep.equal(['t7777']);
    expect(difference.ended.length + difference.moved.length).to.equal(0);
    expect(ledger.reads).to.deep.equal(['t7777']);
  });

  it('of which one changes cost the work of one', async () => {
    const files: Record<string, string> = { 'dispatcher.yaml': dispatcherYaml };
    for (let index = 0; index < REGISTRATIONS; index += 1) {
      files[`registrations/t${index}.yaml`] = registrationOf(index);
    }
    const edited = editedFiles(files);
    const loaded = await loadConfiguration({ ...edited.sources, memory: edited.live.memory });
    if (!loaded.ok) throw new Error('it is right');
    let before: Configuration = loaded.configuration;
    const { github } = clientOf('http://127.0.0.1:9');
    const made: string[] = [];
    const reconfigured: string[] = [];
    const tenants = new LiveTenants(before.registrations, {
      githubOf: ({ name }) => {
        made.push(name);
        return github;
      },
      backends: {
        of: () => Promise.reject(new Error('no backend is asked')),
        reconfigure: ({ name }) => void reconfigured.push(name),
        forgetFormer: () => {},
      },
    });
    expect(made).to.have.length(REGISTRATIONS);
    expect(edited.reads()).to.have.length(REGISTRATIONS + 1);
    made.length = 0;

    async function change(name: string, text: string): Promise<readonly string[]> {
      edited.write(`registrations/${name}.yaml`, text);
      expect(await edited.live.stamps.look()).to.deep.equal({ isChanged: false, isPending: true });
      expect(await edited.live.stamps.look()).to.deep.equal({ isChanged: true, isPending: false });
      const again = await edited.live.read('changed');
      if (!again.ok) throw new Error('it is right');
      const difference = differenceOf(before, again.configuration);
      expect(difference.ended).to.deep.equal([]);
      expect(difference.moved).to.deep.equal([]);
      expect(difference.readmit).to.deep.equal([{ host: 'github.com', owner: `acme-${name.slice(1)}` }]);
      tenants.apply(difference);
      before = again.configuration;
      return difference.changed.map((one) => one.name);
    }

    expect(await change('t7777', registrationOf(7777, 'maxRunners: 3'))).to.deep.equal(['t7777']);
    expect(edited.reads()).to.deep.equal(['/etc/shr/registrations/t7777.yaml']);
    expect(reconfigured).to.deep.equal(['t7777']);
    expect(made, 'its way to GitHub is the same').to.deep.equal([]);

    expect(await change('t10000', registrationOf(10_000))).to.deep.equal(['t10000']);
    expect(edited.reads()).to.deep.equal(['/etc/shr/registrations/t10000.yaml']);
    expect(made).to.deep.equal(['t10000']);
    expect(tenants.all.size).to.equal(REGISTRATIONS + 1);
  });
});
