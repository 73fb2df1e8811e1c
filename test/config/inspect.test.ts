import { expect } from 'chai';
import { type ConfigurationSources, type Inspection, inspectConfiguration } from '../../dispatcher/config/load.ts';
import { dispatcherYaml, registrationYaml, sourcesOf } from './files.ts';

function inspect(
  files: Readonly<Record<string, string>>,
  changes: Partial<ConfigurationSources> = {},
): Promise<Inspection> {
  return inspectConfiguration(sourcesOf(files, changes), 'required');
}

function told({ problems }: Inspection): readonly string[] {
  return problems.map(({ file, message }) => `${file}: ${message}`);
}

const noFolder = {
  list: async () => {
    throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
  },
};

describe('an inspection of the configuration', () => {
  it('names the files that were read, and none that could not be', async () => {
    const all = {
      'dispatcher.yaml': dispatcherYaml,
      'registrations/acme.yaml': registrationYaml,
      'registrations/broken.yaml': 'organization: [',
    };
    const { files } = sourcesOf(all);
    const inspection = await inspect(all, {
      files: { ...files, list: async () => ['acme.yaml', 'broken.yaml', 'gone.yaml'] },
    });
    expect(inspection.files).to.deep.equal([
      '/etc/shr/dispatcher.yaml',
      '/etc/shr/registrations/acme.yaml',
      '/etc/shr/registrations/broken.yaml',
    ]);
  });

  it('notes that there is no registration yet, without a problem', async () => {
    const inspection = await inspect({ 'dispatcher.yaml': dispatcherYaml });
    expect(inspection.notes.map(({ message }) => message)).to.deep.equal(['there is no registration yet']);
    expect(inspection.problems).to.deep.equal([]);
    expect(inspection.notes[0]?.cure).to.include('shr init');
    const tenants = await inspect({
      'dispatcher.yaml': `${dispatcherYaml}tenants: { acme: { hosts: [github.com], owners: [acme] } }\n`,
    });
    expect(tenants.notes.map(({ cure }) => cure)).to.deep.equal([
      'Nothing has to be done here until a tenant writes one.',
    ]);
    const served = await inspect({ 'dispatcher.yaml': dispatcherYaml, 'registrations/acme.yaml': registrationYaml });
    expect(served.notes).to.deep.equal([]);
  });

  it('tells the folder once where it has neither file', async () => {
    expect(told(await inspect({}))).to.deep.equal([
      '/etc/shr/registrations: there is neither dispatcher.yaml nor a registration',
    ]);
  });

  it('reports once that a folder does not exist', async () => {
    const files = { ...sourcesOf({}).files, ...noFolder };
    expect(told(await inspect({}, { files }))).to.deep.equal(['/etc/shr/registrations: there is no such folder']);
  });

  it('reports a dispatcher.yaml that was named and is missing, beside a folder without registrations', async () => {
    const inspection = await inspect({}, { dispatcherFile: '/elsewhere/dispatcher.yaml' });
    expect(told(inspection)).to.deep.equal(['/elsewhere/dispatcher.yaml: there is no such file']);
    expect(inspection.notes.map(({ message }) => message)).to.deep.equal(['there is no registration yet']);
  });

  it('takes a dispatcher.yaml that cannot be read for one that allows no process backend', async () => {
    const unsafe = registrationYaml.replace('kind: docker', 'kind: process');
    const inspection = await inspect({ 'dispatcher.yaml': '- a list', 'registrations/acme.yaml': unsafe });
    expect(told(inspection).join('\n')).to.include(
      "/etc/shr/registrations/acme.yaml: a process backend runs jobs as the dispatcher's own user",
    );
  });

  it('reports the dispatcher.yaml alone where there are registrations', async () => {
    expect(told(await inspect({ 'registrations/acme.yaml': registrationYaml }))).to.deep.equal([
      '/etc/shr/dispatcher.yaml: there is no such file',
    ]);
  });
});
