import { expect } from 'chai';
import fc from 'fast-check';
import { fingerprint } from '../../dispatcher/config/fingerprint.ts';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import type { Configuration } from '../../dispatcher/model/registration.ts';
import { dispatcherYaml, registrationYaml } from '../config/files.ts';
import { editedFiles } from './live-fixture.ts';

const tenants = (acme: string) => `${dispatcherYaml}
tenants:
  platform: { trusted: true, registrations: [a, b, c] }
  acme: { hosts: [github.com], labels: [${acme}], owners: [acme], backendKinds: [docker], runnerGroups: [Default] }
`;
const own = registrationYaml.replace('env:GITHUB_TOKEN', 'env:TENANT_ACME_TOKEN');

/** By file: what it may hold. Undefined: it is not there. */
const VERSIONS: Readonly<Record<string, readonly (string | undefined)[]>> = {
  'dispatcher.yaml': [dispatcherYaml, tenants('x'), tenants('x, y'), `# moved\n${tenants('x')}`],
  'registrations/a.yaml': [undefined, registrationYaml, `${registrationYaml}labels: [x]\n`, 'organization: [\n'],
  'registrations/b.yaml': [
    undefined,
    registrationYaml.replace('env:GITHUB_TOKEN', 'file:token'),
    `${registrationYaml}labels: [y]\npriority: 2\n`,
  ],
  'registrations/acme.yaml': [
    undefined,
    `${own}labels: [x]\n`,
    `${own}labels: [y]\n`,
    `${own}labels: [x]\nnonsense: 1\n`,
  ],
  'registrations/c.yaml': [undefined, `${registrationYaml.replace('organization: acme', 'organization: emca')}`],
  token: [undefined, 'ghp_one', 'ghp_two', ''],
};

const edit = fc
  .constantFrom(...Object.keys(VERSIONS))
  .chain((name) => fc.record({ name: fc.constant(name), text: fc.constantFrom(...(VERSIONS[name] ?? [])) }));

describe('a configuration that was reloaded', () => {
  it('is the one of a restart, but for versions that are kept in force', async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 12 }), async (edits) => {
        const files: Record<string, string> = {
          'dispatcher.yaml': dispatcherYaml,
          'registrations/a.yaml': registrationYaml,
        };
        const edited = editedFiles(files);
        const loaded = await loadConfiguration({ ...edited.sources, memory: edited.live.memory });
        if (!loaded.ok) throw new Error('it is right');
        let before: Configuration = loaded.configuration;
        let hasTenants = false;
        for (const { name, text } of edits) {
          if (name === 'dispatcher.yaml') {
            // That there are none any more takes a restart: see reloading.test.ts.
            if (hasTenants && text === dispatcherYaml) continue;
            hasTenants = text !== dispatcherYaml;
          }
          edited.write(name, text);
          await edited.live.stamps.look();
          await edited.live.stamps.look();
          const again = await edited.live.read('changed');
          if (!again.ok) throw new Error(JSON.stringify(again.problems));
          const anew = editedFiles({});
          anew.copy(edited);
          const fresh = await anew.live.read('all');
          if (!fresh.ok) throw new Error(JSON.stringify(fresh.problems));
          const kept = new Set((again.configuration.kept ?? []).map((one) => one.name));
          const served = ({ registrations }: Configuration) =>
            registrations.filter((one) => !kept.has(one.name)).map((one) => fingerprint(one, 'with places'));
          expect(served(again.configuration)).to.deep.equal(served(fresh.configuration));
          const wrong = ({ quarantined, kept: instead = [] }: Configuration) =>
            [...quarantined, ...instead].map((one) => one.name).sort();
          // What overlaps with a version that is kept does not overlap with a broken file.
          if (kept.size === 0) expect(wrong(again.configuration)).to.deep.equal(wrong(fresh.configuration));
          const known = new Map(before.registrations.map((one) => [one.name, one]));
          for (const one of again.configuration.registrations) {
            const earlier = known.get(one.name);
            const same =
              earlier !== undefined && fingerprint(earlier, 'with places') === fingerprint(one, 'with places');
            if (same) expect(one, `${one.name} says the same`).to.equal(earlier);
          }
          before = again.configuration;
        }
      }),
      { numRuns: 150 },
    );
  });
});
