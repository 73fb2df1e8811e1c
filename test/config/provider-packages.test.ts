import { expect } from 'chai';
import { z } from 'zod';
import { createProviderPool } from '../../dispatcher/backends/pool.ts';
import type { ConfigurationSources } from '../../dispatcher/config/load.ts';
import { PackageProblem, type ProviderPackage } from '../../providers/package.ts';
import { isProviderError } from '../../providers/provider.ts';
import { systemClock } from '../../time/clock.ts';
import { dispatcherYaml, load, problemsOf, provider, registrationYaml } from './files.ts';

const withPackages = (lines: string): string => `${dispatcherYaml}providers:\n${lines}`;
const both = registrationYaml.replace(
  '- kind: docker',
  '- kind: acme\n    options: { region: here }\n  - kind: docker',
);

/** Knows acme-runners@1.4.0, which brings `acme`, and records what is asked for. */
function lookup(asked: ProviderPackage[] = []): ConfigurationSources['provider'] {
  return async (kind, from) => {
    if (from === undefined) return await provider(kind);
    asked.push(from);
    if (from.name !== 'acme-runners') throw new PackageProblem(`the package ${from.name} is not installed`, 'Do so.');
    return { ...(await provider('docker')), kind, options: z.strictObject({ region: z.string() }) };
  };
}

describe('providers from packages', () => {
  it('bring a kind, whose options are checked by their schema', async () => {
    const asked: ProviderPackage[] = [];
    const loaded = await load(
      { 'dispatcher.yaml': withPackages('  acme: acme-runners@1.4.0\n'), 'registrations/acme.yaml': both },
      { provider: lookup(asked) },
    );
    if (!loaded.ok) throw new Error('not loaded');
    expect(loaded.problems).to.deep.equal([]);
    const from = { name: 'acme-runners', version: '1.4.0', folder: '/etc/shr' };
    expect(asked).to.deep.equal([from]);
    const [backend] = loaded.configuration.registrations[0]?.backends ?? [];
    expect(backend).to.deep.include({ kind: 'acme', from, options: { region: 'here' } });

    const wrong = both.replace('{ region: here }', '{ region: 1 }');
    const files = { 'dispatcher.yaml': withPackages('  acme: acme-runners@1.4.0\n'), 'registrations/acme.yaml': wrong };
    const [problem] = await problemsOf(files, { provider: lookup() });
    expect(problem).to.include('registrations/acme.yaml').and.include('backends[0].options.region');
  });

  it('that cannot be used close their kind alone, with the problem shown', async () => {
    const files = {
      'dispatcher.yaml': withPackages('  acme: gone@1.0.0\n'),
      'registrations/acme.yaml': both,
      'registrations/other.yaml': registrationYaml.replace('organization: acme', 'organization: other'),
    };
    const loaded = await load(files, { provider: lookup() });
    if (!loaded.ok) throw new Error('not loaded');
    expect(await problemsOf(files, { provider: lookup() })).to.deep.equal([
      'dispatcher.yaml:5:9: providers.acme: backends of kind `acme` are closed: the package gone is not installed. Do so.',
    ]);
    expect(loaded.configuration.registrations.map(({ name }) => name)).to.deep.equal(['acme', 'other']);
    const [registration] = loaded.configuration.registrations;
    if (registration === undefined) throw new Error('no registration');
    expect(registration.backends.map(({ kind, closed }) => [kind, closed])).to.deep.equal([
      ['acme', 'the package gone is not installed. Do so.'],
      ['docker', undefined],
    ]);
    // A definite refusal of this backend, with the reason: a launch goes to the next one.
    const pool = createProviderPool({ clock: systemClock, random: () => 0.5 });
    const error = await pool.of(registration, 'acme').catch((reason: unknown) => reason);
    if (!isProviderError(error)) throw new Error(`no provider's error: ${String(error)}`);
    expect(error.kind).to.equal('unauthorized');
    expect(error.message).to.include('the package gone is not installed');
    await pool.close();
  });

  it('are named by dispatcher.yaml alone', async () => {
    const before = 'registrations/acme.yaml:2:1: providers:';
    const yaml = `\nproviders: { acme: acme-runners@1.4.0 }${registrationYaml}`;
    const [problem] = await problemsOf({ 'registrations/acme.yaml': yaml }, { provider: lookup() });
    expect(problem)
      .to.include(before)
      .and.match(/unknown/i);
    const [other] = await problemsOf({ 'registrations/acme.yaml': both }, { provider: lookup() });
    expect(other).to.include('unknown kind `acme`');
    for (const kind of ['acme-runners@1.4.0', '../acme', 'npm:acme']) {
      const named = registrationYaml.replace('kind: docker', `kind: '${kind}'`);
      const [refused] = await problemsOf({ 'registrations/acme.yaml': named }, { provider: lookup() });
      expect(refused).to.include(`unknown kind \`${kind}\``);
    }
  });

  it('cannot replace a kind that is built in', async () => {
    const files = {
      'dispatcher.yaml': withPackages('  docker: acme-runners@1.4.0\n'),
      'registrations/acme.yaml': both,
    };
    expect(await problemsOf(files, { provider: lookup() })).to.include(
      'dispatcher.yaml:5:11: providers.docker: the kind `docker` is built in. Remove the line, or have the package use another kind.',
    );
  });

  for (const text of ['acme-runners', 'acme-runners@1', 'acme-runners@^1.4.0', 'acme-runners@latest', './acme@1.4.0']) {
    it(`are not written ${text}`, async () => {
      const asked: ProviderPackage[] = [];
      const files = {
        'dispatcher.yaml': withPackages(`  acme: '${text}'\n`),
        'registrations/acme.yaml': registrationYaml,
      };
      const [problem] = await problemsOf(files, { provider: lookup(asked) });
      expect(problem).to.include('dispatcher.yaml:5:9: providers.acme: ').and.include('name@version');
      expect(asked).to.deep.equal([]);
    });
  }
});
