import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { knownYaml, readYaml } from '../../dispatcher/config/document.ts';
import { KeptValues, type KnownValues } from '../../dispatcher/config/kept-values.ts';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { dispatcherYaml, registrationYaml, sourcesOf } from './files.ts';

const adminToken = new Secret('an-admin-token-of-32-characters!');

describe('what registrations hold, kept from one start to the next', () => {
  let folder: string;
  const ledger = () => join(folder, 'ledger.db');
  const path = () => `${ledger()}-registrations`;

  async function opened(token = adminToken): Promise<KeptValues> {
    const values = await KeptValues.beside({ ledgerPath: ledger(), adminToken: token });
    if (values === undefined) throw new Error('nothing is kept');
    return values;
  }

  async function kept(values: Readonly<Record<string, unknown>>): Promise<void> {
    const first = await opened();
    for (const [text, value] of Object.entries(values)) first.keep(text, value);
    await first.write();
  }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-kept-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('is found by the text of the file alone', async () => {
    await kept({ 'a: 1': { a: 1 }, '[]': [] });
    const later = await opened();
    expect(later.find('a: 1')).to.deep.equal({ value: { a: 1 } });
    expect(later.find('[]')).to.deep.equal({ value: [] });
    expect(later.find('a: 2')).to.equal(undefined);
    expect(later.find('')).to.equal(undefined);
  });

  it('is a file that only its owner can read, and that shows nothing of what it holds', async () => {
    await kept({ 'option: hunter2-hunter2': { option: 'hunter2-hunter2' } });
    expect((await stat(path())).mode & 0o777).to.equal(0o600);
    const bytes = await readFile(path());
    for (const encoding of ['utf8', 'utf16le', 'latin1'] as const) {
      expect(bytes.toString(encoding)).to.not.include('hunter2').and.not.include('option');
    }
    expect(await readdir(folder)).to.deep.equal(['ledger.db-registrations']);
  });

  it('is taken for nothing with another admin token', async () => {
    await kept({ 'a: 1': { a: 1 } });
    expect((await opened(new Secret('another-admin-token-of-this-test'))).find('a: 1')).to.equal(undefined);
  });

  it('is taken for nothing where one bit of it is another, or a part is missing', async () => {
    await kept({ 'a: 1': { a: 1 } });
    const bytes = await readFile(path());
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await writeFile(path(), changed);
      expect((await opened()).find('a: 1'), `byte ${at}`).to.equal(undefined);
      await writeFile(path(), bytes.subarray(0, at));
      expect((await opened()).find('a: 1'), `the first ${at} bytes`).to.equal(undefined);
    }
    await writeFile(path(), bytes);
    expect((await opened()).find('a: 1')).to.deep.equal({ value: { a: 1 } });
  });

  it('is not read through a link, and replaces whatever is in its place', async () => {
    await kept({ 'a: 1': { a: 1 } });
    await writeFile(join(folder, 'elsewhere'), await readFile(path()));
    await rm(path());
    await symlink(join(folder, 'elsewhere'), path());
    await writeFile(`${path()}.new`, 'left by a start that was killed');
    await chmod(`${path()}.new`, 0o666);
    const values = await opened();
    expect(values.find('a: 1')).to.equal(undefined);
    values.keep('b: 1', { b: 1 });
    await values.write();
    expect((await opened()).find('b: 1')).to.deep.equal({ value: { b: 1 } });
    expect((await stat(path())).mode & 0o777).to.equal(0o600);
  });

  it('forgets what no file holds any more, and is not written where nothing changed', async () => {
    await kept({ 'a: 1': { a: 1 }, 'b: 1': { b: 1 } });
    const second = await opened();
    second.find('a: 1');
    await second.write();
    const third = await opened();
    expect(third.find('b: 1')).to.equal(undefined);
    third.find('a: 1');
    const before = await readFile(path());
    await third.write();
    expect((await readFile(path())).equals(before)).to.equal(true);
  });

  it('does not exist beside a ledger in memory', async () => {
    expect(await KeptValues.beside({ ledgerPath: ':memory:', adminToken })).to.equal(undefined);
  });

  it('holds only what JSON gives back as it was', async () => {
    const shared = { a: 1 };
    const values = {
      nan: Number.NaN,
      infinite: { a: Number.POSITIVE_INFINITY },
      zero: [-0],
      nothing: { a: undefined },
      shared: { one: shared, other: shared },
      half: '\ud800',
    };
    await kept(values);
    const later = await opened();
    for (const name of Object.keys(values)) expect(later.find(name), name).to.equal(undefined);
  });

  it('is what the parser said, whatever a file holds, and so are the places in it', async () => {
    const value = fc.jsonValue({ maxDepth: 4 });
    const options = fc.record({
      indent: fc.constantFrom(2, 4),
      defaultStringType: fc.constantFrom('PLAIN', 'QUOTE_SINGLE', 'BLOCK_LITERAL'),
    });
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(value, options), { minLength: 1, maxLength: 4 }), async (files) => {
        await rm(path(), { force: true });
        const texts = files.map(([content, how]) => stringify(content, how));
        const first = await opened();
        const read = texts.map((text) => readYaml('f', text, 100_000));
        for (const [index, text] of texts.entries()) {
          if (read[index]?.problems.length === 0) first.keep(text, read[index].value);
        }
        await first.write();
        const later = await opened();
        for (const [index, text] of texts.entries()) {
          const found = later.find(text);
          if (found === undefined) continue;
          compared += 1;
          const parsed = readYaml('f', text, 100_000);
          expect(found.value).to.deep.equal(parsed.value);
          const known = knownYaml('f', text, 100_000, found.value);
          parsed.release();
          for (const file of [known, parsed]) {
            expect(file.placesOfKeys([])).to.deep.equal(read[index]?.placesOfKeys([]));
            expect(file.placeOf([0])).to.deep.equal(read[index]?.placeOf([0]));
            expect(file.placeOfKey([], 'a')).to.deep.equal(read[index]?.placeOfKey([], 'a'));
          }
        }
      }),
      { numRuns: 200 },
    );
    expect(compared).to.be.greaterThan(200);
  });

  describe('in a configuration', () => {
    function memory(): KnownValues & { readonly values: Map<string, unknown>; found: number } {
      const values = new Map<string, unknown>();
      return {
        values,
        found: 0,
        find(text) {
          if (!values.has(text)) return undefined;
          this.found += 1;
          return { value: values.get(text) };
        },
        keep: (text, value) => void values.set(text, value),
      };
    }

    const files = {
      'dispatcher.yaml': dispatcherYaml,
      'registrations/acme.yaml': registrationYaml,
      'registrations/labs.yaml': registrationYaml.replace('organization: acme', 'organization: labs'),
    };

    it('gives the same registrations as parsing', async () => {
      const known = memory();
      const load = () => loadConfiguration({ ...sourcesOf(files), knownValues: async () => known });
      const first = await load();
      expect(known.values.size).to.equal(2);
      expect(await load()).to.deep.equal(first);
      expect(known.found).to.equal(2);
    });

    it('is kept only of files without a problem, and holds references, not what they stand for', async () => {
      const known = memory();
      await loadConfiguration({
        ...sourcesOf({
          ...files,
          'registrations/plain.yaml': registrationYaml.replace('${env:GITHUB_TOKEN}', 'ghp_in-plain-text'),
          'registrations/broken.yaml': `${registrationYaml}\n: [`,
        }),
        knownValues: async () => known,
      });
      expect([...known.values.keys()].sort()).to.deep.equal(
        [files['registrations/acme.yaml'], files['registrations/labs.yaml']].sort(),
      );
      expect(JSON.stringify([...known.values.values()]))
        .to.include('${env:GITHUB_TOKEN}')
        .and.not.include('ghp_');
    });

    it('does not keep a problem that comes from elsewhere from being told, at its place', async () => {
      const known = memory();
      const sources = sourcesOf(files);
      await loadConfiguration({ ...sources, knownValues: async () => known });
      for (const changes of [
        { environment: { ...sources.environment, GITHUB_TOKEN: '' } },
        { provider: () => Promise.reject(new Error('the SDK is damaged')) },
      ]) {
        const parsed = await loadConfiguration({ ...sources, ...changes });
        const again = await loadConfiguration({ ...sources, ...changes, knownValues: async () => known });
        expect(again.problems).to.have.length.greaterThan(0);
        expect(again).to.deep.equal(parsed);
      }
    });

    it('does not keep two registrations from conflicting, at the place of the second', async () => {
      const known = memory();
      const both = {
        ...files,
        'registrations/labs.yaml': `# the same\n${registrationYaml}labels: [a, serverless-hosted-runner]\n`,
      };
      const load = () => loadConfiguration({ ...sourcesOf(both), knownValues: async () => known });
      const first = await load();
      expect(first.problems.map(({ file, line }) => [file, line])).to.deep.equal([
        ['/etc/shr/registrations/labs.yaml', 10],
      ]);
      expect(known.values.size).to.equal(2);
      expect(await load()).to.deep.equal(first);
    });
  });
});
