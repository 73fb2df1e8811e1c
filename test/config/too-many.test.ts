import { expect } from 'chai';
import { reloadConfiguration } from '../../dispatcher/config/load.ts';
import { editedFiles } from '../live/live-fixture.ts';
import { dispatcherYaml, registrationYaml } from './files.ts';

const granted = (tenant: string) => `
  ${tenant}:
    registrations: ["${tenant}", "${tenant}-*"]
    hosts: [github.com]
    owners: [${tenant}]
    labels: ["*"]
    runnerGroups: [Default]
    backendKinds: [docker]`;
const platform = `${dispatcherYaml}tenants:${granted('acme')}${granted('hostile')}\n`;
const acme = registrationYaml.replace('GITHUB_TOKEN', 'TENANT_ACME_TOKEN');
const many = (name: (index: number) => string) =>
  Object.fromEntries(Array.from({ length: 20_001 }, (_, index) => [`registrations/${name(index)}`, 'x']));

async function inForce(files: Readonly<Record<string, string>>) {
  const edited = editedFiles(files);
  return await reloadConfiguration({ ...edited.sources, memory: edited.live.memory });
}

describe('more registrations than there may be', function () {
  this.timeout(30_000);

  for (const [what, name] of [
    ['of one tenant', (index: number) => `hostile-${index}.yaml`],
    ['with names that are none', (index: number) => `Hostile-${index}.yaml`],
    ['that end otherwise', (index: number) => `hostile-${index}.yml`],
  ] as const) {
    it(`${what} keep those of others from nothing, and fill no lists`, async () => {
      const loaded = await inForce({
        ...{ 'dispatcher.yaml': platform, 'registrations/acme.yaml': acme },
        ...many(name),
      });
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      const { platformProblems, quarantined, registrations } = loaded.configuration;
      expect(registrations.map((one) => one.name)).to.deep.equal(['acme']);
      expect(platformProblems).to.deep.equal([]);
      expect(quarantined.length).to.be.within(100, 200);
    });
  }

  it('of the platform leave in force what was there', async () => {
    const files = { 'dispatcher.yaml': dispatcherYaml, ...many((index) => `own-${index}.yaml`) };
    const loaded = await inForce({ ...files, 'registrations/Wrong.yaml': 'x' });
    expect(loaded.ok).to.equal(false);
    expect(loaded.problems.map(({ message }) => message)).to.include(
      'there are 20001 registrations, and 20000 is the limit',
    );
  });
});
