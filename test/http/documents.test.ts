/** Registrations that the admin API is given: checked by the same code as files, kept in the ledger, and put in force. */
import { request } from 'node:http';
import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import { problemSchema, registrationDetailSchema } from '../../dispatcher/http/admin-shapes.ts';
import { LiveFiles } from '../../dispatcher/live/live-files.ts';
import type { Configuration } from '../../dispatcher/model/registration.ts';
import { Documents, fileOf } from '../../dispatcher/sources/documents.ts';
import { dispatcherYaml, registrationYaml, sourcesOf } from '../config/files.ts';
import { type Fixture, openFixture, TOKEN } from './admin-fixture.ts';
import { as, tokenOf } from './tenants-fixture.ts';

const tenant = (name: string, more = '') => `
  ${name}:
    registrations: ["${name}", "${name}-*"]
    hosts: [github.com]
    owners: [${name}]
    labels: ["*"]
    runnerGroups: [Default]
    backendKinds: [docker]
    limits: { maxRegistrations: 2, maxRunners: 20 }${more}`;

const PLATFORM = `${dispatcherYaml}
tenants:
  own: { trusted: true, registrations: ["own-*"] }${tenant('acme')}${tenant('emca')}
`;

const registrationOf = (name: string, more = '') =>
  `${registrationYaml.replace('organization: acme', `organization: ${name}`).replace('GITHUB_TOKEN', `TENANT_${name.toUpperCase()}_TOKEN`)}${more}`;

describe('registrations by the admin API', () => {
  let fixture: Fixture;
  let live: LiveFiles;
  let current: Configuration;
  let documents: Documents;
  let files: Record<string, string>;
  let admin: string;
  /** Secrets in stores, of the registration of that name. */
  let stores: (name: string) => Promise<void>;

  beforeEach(async () => {
    stores = async () => {};
    files = { 'dispatcher.yaml': PLATFORM };
    documents = new Documents();
    const sources = {
      ...sourcesOf({}),
      environment: {
        ADMIN_TOKEN: 'an-admin-token-of-32-characters!',
        GITHUB_TOKEN: 'ghp_of-the-platform',
        TENANT_ACME_TOKEN: 'ghp_of-acme',
        TENANT_EMCA_TOKEN: 'ghp_of-emca',
      },
      files: {
        read: (path: string, bounds: { readonly mostBytes: number }) => sourcesOf(files).files.read(path, bounds),
        list: (folder: string) => sourcesOf(files).files.list(folder),
      },
      elsewhere: async () => [documents],
    };
    live = new LiveFiles(sources, {
      now: () => 1_000_000,
      elsewhere: () => [documents],
      keptValues: async () => undefined,
      stampNow: (path) => {
        const text = files[path.replace('/etc/shr/', '')];
        return text === undefined ? undefined : { text, changedAtMs: 0 };
      },
    });
    const apply = async () => {
      await live.stamps.look(true);
      const loaded = await live.read('changed');
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      current = loaded.configuration;
    };
    const loaded = await loadConfiguration({ ...sources, memory: live.memory });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    current = loaded.configuration;
    fixture = await openFixture({
      tenants: () => current.dispatcher.tenants,
      registrations: () => current.registrations,
      quarantined: () => current.quarantined,
      kept: () => current.kept ?? [],
      doubles: () => current.doubles ?? [],
      originOf: (name) => current.origins?.get(name),
      freeAddresses: async (registration, backend) => [{ network: `vsw-of-${registration}/${backend}`, free: 7 }],
      documents: {
        entry: (name) => documents.entry(name),
        text: (name) => documents.text(name),
        check: async (name, text) => {
          await stores(name);
          return await live.check({ name, file: fileOf(name), text }, current);
        },
        put: (one, expected) => documents.put(one, expected),
        remove: (name, expected) => documents.remove(name, expected),
        apply,
      },
    });
    await documents.open(fixture.ledger);
    admin = await tokenOf(fixture.ledger, 'admin', ['acme']);
  });
  afterEach(() => fixture.close());

  const put = (name: string, body: string, headers: Readonly<Record<string, string>> = {}, token = admin) =>
    fixture.ask(`/api/registrations/${name}`, {
      method: 'PUT',
      body,
      headers: { 'content-type': 'application/yaml', ...headers, authorization: `Bearer ${token}` },
    });
  const get = (name: string, token = admin) => fixture.ask(`/api/registrations/${name}`, as(token));
  const remove = (name: string, headers: Readonly<Record<string, string>> = {}, token = admin) =>
    fixture.ask(`/api/registrations/${name}`, {
      method: 'DELETE',
      headers: { ...headers, authorization: `Bearer ${token}` },
    });
  const detailOf = async (response: Response) => registrationDetailSchema.parse(await response.json());
  const problemIn = async (response: Response) => problemSchema.parse(await response.json());
  const names = () => current.registrations.map(({ name }) => name);

  it('are in force when the answer comes, with who put them and when', async () => {
    const made = await put('acme', registrationOf('acme'));
    expect(made.status).to.equal(201);
    expect(names()).to.deep.equal(['acme']);
    const detail = await detailOf(made);
    expect(detail).to.include({ name: 'acme', tenant: 'acme', state: 'in-force', source: 'api', file: 'api:acme' });
    expect(detail.document?.putBy).to.match(/^token-/);
    expect(detail.document?.putAt).to.equal('2026-03-04T12:00:00.000Z');
    expect(made.headers.get('etag')).to.equal(detail.document?.etag);
    const read = await get('acme');
    expect(await detailOf(read)).to.deep.equal(detail);
    expect((await put('acme', registrationOf('acme', 'maxRunners: 3\n'))).status).to.equal(200);
    expect(current.registrations[0]?.maxRunners).to.equal(3);
    expect((await remove('acme')).status).to.equal(200);
    expect(names()).to.deep.equal([]);
    expect((await get('acme')).status).to.equal(404);
  });

  it('are in the audit trail, refused ones too', async () => {
    await put('acme', registrationOf('acme'));
    await put('acme', 'nonsense: 1');
    await remove('acme');
    const rows = await fixture.ledger.audits({ limit: 10 });
    expect(rows.map(({ action, status, subject, tenant }) => [action, status, subject, tenant])).to.have.deep.members([
      ['registration.put', 201, 'registration acme', 'acme'],
      ['registration.put', 422, 'registration acme', 'acme'],
      ['registration.delete', 200, 'registration acme', 'acme'],
    ]);
  });

  it('extend what dispatcher.yaml offers, and no file; each holds one registration', async () => {
    files['dispatcher.yaml'] = `${PLATFORM.replace('maxRegistrations: 2,', 'maxRegistrations: 3,').replace(
      'backendKinds: [docker]\n',
      'backendKinds: [docker]\n    bases: [common]\n',
    )}bases: { common: { maxRunners: 4 } }\n`;
    files['acme.base.yaml'] = 'maxRunners: 5\n';
    files['registrations/acme.base.yaml'] = 'maxRunners: 5\n';
    await live.stamps.look(true);
    await live.read('changed');
    expect((await put('acme', registrationOf('acme', 'extends: common\n'))).status).to.equal(201);
    expect(current.registrations[0]?.maxRunners).to.equal(4);
    const refused = await put('acme', registrationOf('acme', 'extends: acme\n'));
    expect(refused.status).to.equal(422);
    expect(JSON.stringify(await refused.json())).to.include(
      'it has no base `acme`: what is put can extend the `bases` of dispatcher.yaml alone',
    );
    const several = await put('acme', `registrations:\n  acme:\n    organization: acme\n`);
    expect(several.status).to.equal(422);
    expect((await problemIn(several)).problems).to.deep.equal([
      {
        ...{ file: 'api:acme', line: 1, column: 1, path: 'registrations' },
        message: 'what is put is one registration, and this holds several by their names',
        cure: 'Put what stands below each name by itself, under that name.',
      },
    ]);
    expect(current.registrations[0]?.maxRunners).to.equal(4);
  });

  it('can be written as JSON', async () => {
    const document = {
      organization: 'acme',
      credentials: { token: '${env:TENANT_ACME_TOKEN}' },
      defaults: { image: 'ghcr.io/acme/runner:1' },
      backends: [{ kind: 'docker' }],
    };
    const made = await put('acme', JSON.stringify(document), { 'content-type': 'application/json' });
    expect(made.status).to.equal(201);
  });

  it('are refused with what is wrong and where, and what was there before stays', async () => {
    await put('acme', registrationOf('acme'));
    const refused = await put('acme', registrationOf('acme', 'maxRunners: 21\nnonsense: 1\n'));
    expect(refused.status).to.equal(422);
    const { error, problems } = await problemIn(refused);
    expect(error).to.equal('the registration acme has 2 problems');
    expect(problems?.map(({ file, line, path }) => [file, line, path])).to.deep.equal([
      ['api:acme', 9, 'maxRunners'],
      ['api:acme', 10, 'nonsense'],
    ]);
    expect(problems?.[0]?.cure).to.match(/tenants\.acme\.limits\.maxRunners/);
    expect((await detailOf(await get('acme'))).document?.text).to.equal(registrationOf('acme'));
  });

  it('reserve no more than others of the tenant leave', async () => {
    files['dispatcher.yaml'] = PLATFORM.replaceAll('maxRunners: 20 }', 'maxRunners: 20 }\n    reservedRunners: 4');
    const reserving = (label: string, some: number) =>
      registrationOf('acme', `labels: [${label}]\nreservedRunners: ${some}\n`);
    expect((await put('acme-z', registrationOf('acme', 'labels: [z]\n'))).status).to.equal(201);
    expect((await put('acme-a', reserving('a', 2))).status).to.equal(201);
    expect((await put('acme-z', reserving('z', 2))).status).to.equal(200);
    const refused = await put('acme-a', reserving('a', 4));
    expect(refused.status).to.equal(422);
    const { problems } = await problemIn(refused);
    expect(problems?.map(({ file, path }) => [file, path])).to.deep.equal([['api:acme-a', 'reservedRunners']]);
    expect(problems?.[0]?.message).to.equal(
      'with this the registrations of tenant `acme` reserve 6 runners, and 4 are reserved for it',
    );
    expect(current.quarantined).to.deep.equal([]);
    const reserved = current.registrations.map(({ name, reservedRunners }) => [name, reservedRunners]);
    expect(reserved).to.have.deep.members([
      ['acme-a', 2],
      ['acme-z', 2],
    ]);
    expect((await put('acme-a', reserving('a', 1))).status).to.equal(200);
    expect((await put('acme-z', reserving('z', 3))).status).to.equal(200);
  });

  it('hold no secret in plain text, and repeat none', async () => {
    const secret = 'ghp_plain-and-secret-0123456789abcdef';
    const refused = await put('acme', registrationOf('acme').replace('${env:TENANT_ACME_TOKEN}', secret));
    expect(refused.status).to.equal(422);
    const text = await refused.text();
    expect(text).to.include('it is a secret in plain text').and.not.include(secret);
    expect(await fixture.ledger.apiRegistrations()).to.deep.equal([]);
  });

  it('use no secret of the platform or of another tenant', async () => {
    for (const reference of ['env:GITHUB_TOKEN', 'env:TENANT_EMCA_TOKEN', 'file:../secrets/x', 'file:secrets/emca/x']) {
      const refused = await put('acme', registrationOf('acme').replace('env:TENANT_ACME_TOKEN', reference));
      expect(refused.status, reference).to.equal(422);
    }
  });

  it('reach for nothing that is another’s', async () => {
    const emca = await tokenOf(fixture.ledger, 'admin', ['emca']);
    expect((await put('emca', registrationOf('emca'), {}, emca)).status).to.equal(201);
    expect((await put('emca', registrationOf('acme'))).status).to.equal(404);
    expect((await get('emca')).status).to.equal(404);
    expect((await remove('emca')).status).to.equal(404);
    const refused = await put('acme', registrationOf('acme').replace('organization: acme', 'organization: emca'));
    expect(refused.status).to.equal(422);
    expect((await problemIn(refused)).problems?.[0]?.cure).to.match(/tenants\.acme/);
    expect(names()).to.deep.equal(['emca']);
  });

  it('are the platform’s own by its tokens alone', async () => {
    const own = await tokenOf(fixture.ledger, 'admin', ['own']);
    const document = registrationYaml.replace('organization: acme', 'organization: platform');
    expect((await put('own-a', document, {}, own)).status).to.equal(403);
    expect((await put('own-a', document, {}, TOKEN)).status).to.equal(201);
    expect((await put('nobodys', document, {}, TOKEN)).status).to.equal(422);
  });

  it('are no more than the tenant may have', async () => {
    expect((await put('acme', registrationOf('acme'))).status).to.equal(201);
    expect((await put('acme-b', registrationOf('acme', 'labels: [b]\n'))).status).to.equal(201);
    const refused = await put('acme-a', registrationOf('acme', 'labels: [a]\n'));
    expect(refused.status).to.equal(422);
    expect((await problemIn(refused)).problems?.[0]?.message).to.equal(
      'tenant `acme` has 3 registrations, and the limit is 2',
    );
    expect(names()).to.deep.equal(['acme', 'acme-b']);
  });

  it('are as many as the tenant may have, whatever else is in a file of several', async () => {
    const [acme, emca] = [parse(registrationOf('acme', 'labels: [a]\n')), parse(registrationOf('emca'))];
    files['registrations/acme-all.yaml'] = stringify({ registrations: { 'acme-a': acme, emca } });
    expect((await put('acme-b', registrationOf('acme', 'labels: [b]\n'))).status).to.equal(201);
    expect((await put('acme-b', registrationOf('acme', 'labels: [c]\n'))).status).to.equal(200);
    expect(current.quarantined.map(({ name }) => name)).to.deep.equal(['acme-all.yaml emca']);
    expect(names()).to.deep.equal(['acme-a', 'acme-b']);
  });

  it('are changed while another of the tenant is beyond what it may have', async () => {
    expect((await put('acme', registrationOf('acme'))).status).to.equal(201);
    expect((await put('acme-b', registrationOf('acme', 'labels: [b]\n'))).status).to.equal(201);
    files['registrations/acme-a.yaml'] = registrationOf('acme', 'labels: [a]\n');
    expect((await put('acme', registrationOf('acme', 'maxRunners: 2\n'))).status).to.equal(200);
    expect(names()).to.have.members(['acme', 'acme-b']);
    expect((await put('acme-b', registrationOf('acme', 'labels: [other]\n'))).status).to.equal(200);
    expect((await put('acme-c', registrationOf('acme', 'labels: [c]\n'))).status).to.equal(422);
    expect(names()).to.have.members(['acme', 'acme-b']);
  });

  it('are written as their writer knows them, where it says so', async () => {
    const first = await put('acme', registrationOf('acme'), { 'if-none-match': '*' });
    const tag = first.headers.get('etag') ?? '';
    expect(first.status).to.equal(201);
    expect((await put('acme', registrationOf('acme'), { 'if-none-match': '*' })).status).to.equal(412);
    const second = await put('acme', registrationOf('acme', 'maxRunners: 2\n'), { 'if-match': tag });
    expect(second.status).to.equal(200);
    expect((await put('acme', registrationOf('acme', 'maxRunners: 4\n'), { 'if-match': tag })).status).to.equal(412);
    expect((await put('acme-x', registrationOf('acme', 'labels: [x]\n'), { 'if-match': '*' })).status).to.equal(412);
    expect((await remove('acme', { 'if-match': tag })).status).to.equal(412);
    expect((await put('acme', 'x', { 'if-match': 'no tag' })).status).to.equal(400);
    expect(current.registrations[0]?.maxRunners).to.equal(2);
    expect((await remove('acme', { 'if-match': second.headers.get('etag') ?? '' })).status).to.equal(200);
  });

  it('are bounded in size and number, and of a type that is known', async () => {
    expect((await put('acme', `# ${'x'.repeat(300 * 1024)}`)).status).to.equal(413);
    expect((await put('acme', 'x', { 'content-type': 'multipart/form-data' })).status).to.equal(415);
    expect((await put('acme', 'x', { 'content-encoding': 'gzip' })).status).to.equal(415);
    const statuses = new Set<number>();
    for (let count = 0; count < 60; count += 1) statuses.add((await put('acme', 'x')).status);
    expect([...statuses]).to.include(429);
    const emca = await tokenOf(fixture.ledger, 'admin', ['emca']);
    expect((await put('emca', registrationOf('emca'), {}, emca)).status, 'another tenant').to.equal(201);
  });

  it('wait for no secret of another tenant that does not come', async () => {
    const { promise: answer, resolve } = Promise.withResolvers<void>();
    stores = (name) => (name.startsWith('acme') ? answer : Promise.resolve());
    const waiting = Array.from({ length: 12 }, () => put('acme', registrationOf('acme')));
    const emca = await tokenOf(fixture.ledger, 'admin', ['emca']);
    expect((await put('emca', registrationOf('emca'), {}, emca)).status).to.equal(201);
    expect((await remove('emca', {}, emca)).status).to.equal(200);
    resolve();
    const statuses = (await Promise.all(waiting)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 429)).to.have.length(4);
    expect(names()).to.deep.equal(['acme']);
  });

  it('are received while another tenant sends many, and none to its end', async () => {
    const halves = Array.from({ length: 12 }, () => {
      const half = request(`${fixture.url}/api/registrations/acme`, {
        method: 'PUT',
        headers: { 'content-type': 'application/yaml', 'content-length': 1000, authorization: `Bearer ${admin}` },
      });
      half.on('error', () => {});
      half.write('organization: ');
      return half;
    });
    // Those that are refused at once say that the others are being received.
    const answers = halves.map((half) => new Promise((resolve) => half.on('response', resolve)));
    let count = 0;
    await new Promise<void>((resolve) => {
      for (const answer of answers) {
        void answer.then(() => {
          count += 1;
          if (count === 8) resolve();
        });
      }
    });
    const emca = await tokenOf(fixture.ledger, 'admin', ['emca']);
    expect((await put('emca', registrationOf('emca'), {}, emca)).status).to.equal(201);
    for (const half of halves) half.destroy();
  });

  it('have a body read from those alone who may send it', async () => {
    const viewer = await tokenOf(fixture.ledger, 'viewer', ['acme']);
    expect((await put('acme', registrationOf('acme'), {}, viewer)).status).to.equal(403);
    expect((await put('acme', registrationOf('acme'), {}, 'wrong')).status).to.equal(401);
    const other = await fixture.ask('/api/pause', { method: 'POST', body: 'x', ...as(TOKEN) });
    expect(other.status).to.equal(413);
  });

  it('come after those of the folder, which is said', async () => {
    await put('acme', registrationOf('acme', 'maxRunners: 1\n'));
    files['registrations/acme.yaml'] = registrationOf('acme', 'maxRunners: 7\n');
    await put('acme', registrationOf('acme', 'maxRunners: 2\n'));
    expect(current.registrations[0]?.maxRunners).to.equal(7);
    const detail = await detailOf(await get('acme'));
    expect(detail).to.include({ state: 'overridden', source: 'folder' });
    expect(detail.problems[0]?.message).to.equal(
      'it is not in force: /etc/shr/registrations/acme.yaml has the same name and comes first',
    );
    const remove = () => fixture.ask('/api/registrations/acme', { method: 'DELETE', ...as(TOKEN) });
    expect(await (await remove()).json()).to.deep.equal({ name: 'acme', deleted: true, elsewhere: true });
    expect(current.registrations[0]?.maxRunners).to.equal(7);
    const again = await remove();
    expect(again.status).to.equal(404);
    expect(await again.text())
      .to.include('the API was given no registration acme')
      .and.include('kept elsewhere');
    delete files['registrations/acme.yaml'];
    await put('acme', registrationOf('acme', 'maxRunners: 2\n'));
    expect(current.registrations[0]?.maxRunners).to.equal(2);
    expect(current.registrations[0]?.grant?.tenant).to.equal('acme');
  });

  for (const [what, file, has, text] of [
    ['a file of its own', 'acme', 'the same name', registrationOf('acme', 'maxRunners: 7\n')],
    [
      'a file of several',
      'acme-all',
      'a registration of the same name',
      stringify({ registrations: { acme: parse(registrationOf('acme', 'maxRunners: 7\n')) } }),
    ],
  ] as const) {
    it(`come after one that appears in ${what} of the folder, unchanged themselves`, async () => {
      const emca = await tokenOf(fixture.ledger, 'admin', ['emca']);
      await put('acme', registrationOf('acme', 'maxRunners: 2\n'));
      files[`registrations/${file}.yaml`] = text;
      await put('emca', registrationOf('emca'), {}, emca);
      expect(current.registrations.map(({ name, maxRunners }) => [name, maxRunners])).to.deep.include(['acme', 7]);
      expect(await detailOf(await get('acme'))).to.include({ state: 'overridden', source: 'folder' });
      const again = await put('acme', registrationOf('acme', 'maxRunners: 3\n'));
      const detail = await detailOf(again);
      expect(detail).to.include({ state: 'overridden', source: 'folder' });
      expect(detail.problems.map(({ message }) => message)).to.deep.equal([
        `it is not in force: /etc/shr/registrations/${file}.yaml has ${has} and comes first`,
      ]);
      expect(current.registrations.find(({ name }) => name === 'acme')?.maxRunners).to.equal(7);
      delete files[`registrations/${file}.yaml`];
      await put('emca', registrationOf('emca'), {}, emca);
      expect(current.registrations.find(({ name }) => name === 'acme')?.maxRunners).to.equal(3);
    });
  }

  it('stay in force beside a file of several that has their name and does not hold them', async () => {
    await put('acme', registrationOf('acme', 'maxRunners: 2\n'));
    const other = parse(registrationOf('acme', 'labels: [a]\n'));
    files['registrations/acme.yaml'] = stringify({ registrations: { 'acme-a': other } });
    const again = await put('acme', registrationOf('acme', 'maxRunners: 3\n'));
    expect(again.status).to.equal(200);
    expect(await detailOf(again)).to.include({ state: 'in-force', source: 'api' });
    expect(current.registrations.map(({ name, maxRunners }) => [name, maxRunners])).to.have.deep.members([
      ['acme-a', 10],
      ['acme', 3],
    ]);
  });

  it('are kept elsewhere, too, where a file that is set aside has their name', async () => {
    const emca = await tokenOf(fixture.ledger, 'admin', ['emca']);
    await put('emca', registrationOf('emca'), {}, emca);
    await put('acme', registrationOf('acme'));
    expect((await remove('acme-b')).status).to.equal(404);
    files['registrations/acme-b.yaml'] = 'nonsense: 1\n';
    files['registrations/acme.yaml'] = 'nonsense: 1\n';
    expect((await remove('acme', {}, emca)).status).to.equal(404);
    expect(await (await remove('acme')).json()).to.deep.equal({ name: 'acme', deleted: true, elsewhere: true });
    expect(current.kept?.map(({ name }) => name)).to.deep.equal(['acme']);
    expect(current.quarantined.map(({ name }) => name)).to.deep.equal(['acme-b']);
    const absent = await remove('acme-b');
    expect(absent.status).to.equal(404);
    expect(await absent.text())
      .to.include('the API was given no registration acme-b')
      .and.include('kept elsewhere');
    const foreign = await (await remove('acme-b', {}, emca)).text();
    expect(foreign).to.include('no registration acme-b').and.not.include('elsewhere');
  });

  it('are kept nowhere else where what the API was given is set aside itself', async () => {
    await put('acme', registrationOf('acme', 'maxRunners: 5\n'));
    files['dispatcher.yaml'] = PLATFORM.replaceAll('backendKinds: [docker]', 'backendKinds: [process]');
    const emca = await tokenOf(fixture.ledger, 'admin', ['emca']);
    await put('own-a', registrationYaml.replace('organization: acme', 'organization: platform'), {}, TOKEN);
    expect(current.quarantined.map(({ name }) => name)).to.deep.equal(['acme']);
    expect((await remove('acme', {}, emca)).status).to.equal(404);
    expect(await (await remove('acme')).json()).to.deep.equal({ name: 'acme', deleted: true, elsewhere: false });
  });

  it('do not go over to another tenant with their name', async () => {
    await put('acme-b', registrationOf('acme'));
    files['dispatcher.yaml'] = PLATFORM.replace('"acme-*"', '"acme-x"').replace('"emca-*"', '"emca-*", "acme-b"');
    await put('acme', registrationOf('acme', 'labels: [other]\n'));
    expect(names()).to.deep.equal(['acme']);
    const emca = await tokenOf(fixture.ledger, 'admin', ['emca']);
    const detail = await detailOf(await get('acme-b', TOKEN));
    expect(detail.state).to.equal('refused');
    expect(detail.problems[0]?.message).to.include('when its name was of another tenant');
    expect(detail.document?.text).to.equal(registrationOf('acme'));
    const theirs = await get('acme-b', emca);
    expect(await theirs.clone().text())
      .to.not.include('TENANT_ACME')
      .and.not.include(detail.document?.putBy);
    expect((await detailOf(theirs)).state).to.equal('refused');
    expect((await put('acme-b', registrationOf('emca'), {}, emca)).status).to.equal(200);
    expect((await detailOf(await get('acme-b', emca))).document?.text).to.equal(registrationOf('emca'));
    expect(names()).to.have.members(['acme', 'acme-b']);
  });

  it('are shown with the free addresses of their own networks, where the service tells', async () => {
    await put('acme', registrationOf('acme'));
    expect((await detailOf(await get('acme'))).networks).to.deep.equal([
      { backend: 'docker', state: 'known', free: [{ network: 'vsw-of-acme/docker', addresses: 7 }] },
    ]);
    files['dispatcher.yaml'] = PLATFORM.replace(
      'backendKinds: [docker]',
      'backends: [shared]\n    powers: { images: ["*"] }',
    ).replace('tenants:', 'backends: { shared: { kind: docker } }\ntenants:');
    await remove('acme');
    const shared = await put('acme', registrationOf('acme').replace('kind: docker', 'use: shared'));
    expect(shared.status).to.equal(201);
    expect((await detailOf(await get('acme'))).networks).to.deep.equal([
      { backend: 'shared', state: 'unknown', free: [] },
    ]);
    const seen = (await detailOf(await get('acme', TOKEN))).networks[0];
    expect(seen?.state, 'for the platform').to.equal('known');
  });

  it('are there after a restart', async () => {
    await put('acme', registrationOf('acme'));
    const again = new Documents();
    await again.open(fixture.ledger);
    expect(again.files).to.deep.equal(documents.files);
    expect(await again.read('api:acme')).to.equal(registrationOf('acme'));
  });
});
