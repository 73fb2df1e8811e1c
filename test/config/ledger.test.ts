import { expect } from 'chai';
import { fingerprint } from '../../dispatcher/config/fingerprint.ts';
import { AddressError, addressOf, shownAddress } from '../../dispatcher/ledger/postgres/address.ts';
import { configured, dispatcherYaml, problemsOf } from './files.ts';

const URL = 'postgresql://shr:p%40ss@db.example.com/ci';
const at = (ledger: string) => ({ 'dispatcher.yaml': `${dispatcherYaml}\nledger: ${ledger}\n` });

describe('the ledger in dispatcher.yaml', () => {
  it('may be a schema of a PostgreSQL server, by default that of the id', async () => {
    const files = { ...at('{ postgres: { url: "${file:secrets/url}" } }'), 'secrets/url': `${URL}\n` };
    const { dispatcher } = await configured(files);
    const { url, ...postgres } = dispatcher.postgres ?? {};
    expect(url?.reveal()).to.equal(URL);
    expect(postgres).to.deep.equal({ schema: 'acme_ci', connections: 5 });
    expect(dispatcher.ledgerPath, 'for what is kept beside it').to.equal('/etc/shr/data/ledger.db');
    expect(JSON.stringify(dispatcher)).to.not.include('p%40ss');
    const other = await configured({ ...files, 'secrets/url': URL.replace('p%40ss', 'other') });
    expect(fingerprint(other.dispatcher.postgres)).to.not.equal(fingerprint(dispatcher.postgres));
  });

  it('is in a schema that PostgreSQL allows, whatever the id begins with', async () => {
    const yaml = dispatcherYaml.replace('id: acme-ci', 'id: pg-ci');
    expect(yaml).to.not.equal(dispatcherYaml);
    const { dispatcher } = await configured({
      'dispatcher.yaml': `${yaml}\nledger: { postgres: { url: "\${file:secrets/url}" } }\n`,
      'secrets/url': URL,
    });
    expect(dispatcher.postgres?.schema).to.equal('shr_pg_ci');
  });

  it('may say the schema, authorities, connections and the folder of what is beside it', async () => {
    const { dispatcher } = await configured({
      ...at(
        '{ postgres: { url: "${file:secrets/url}", schema: ci_2, ca: "${file:secrets/ca}", connections: 9 }, folder: /var/lib/shr }',
      ),
      'secrets/url': URL,
      'secrets/ca': 'PEM',
    });
    expect(dispatcher.ledgerPath).to.equal('/var/lib/shr/ledger.db');
    expect(dispatcher.postgres).to.deep.include({ schema: 'ci_2', connections: 9 });
    expect(dispatcher.postgres?.ca?.reveal()).to.equal('PEM');
  });

  it('keeps its URL out of the file, and refuses what is none without repeating it', async () => {
    const [plain] = await problemsOf(at(`{ postgres: { url: "${URL}" } }`));
    expect(plain).to.include('ledger.postgres.url').and.not.include('p%40ss');
    const [wrong] = await problemsOf({
      ...at('{ postgres: { url: "${file:secrets/url}" } }'),
      'secrets/url': 'mysql://shr:hunter2@db/ci',
    });
    expect(wrong).to.include('it is not a URL of the form postgresql://').and.not.include('hunter2');
  });

  for (const schema of ['Upper', 'pg_ours', '1st', 'a-b', 'x"; drop table jobs']) {
    it(`takes no schema ${schema}`, async () => {
      const ledger = JSON.stringify({ postgres: { url: '${file:secrets/url}', schema } });
      expect(await problemsOf({ ...at(ledger), 'secrets/url': URL })).to.have.length(1);
    });
  }
});

describe('the URL of a PostgreSQL server', () => {
  it('says where it is, and who we are', () => {
    expect(addressOf(URL)).to.deep.equal({
      ...{ host: 'db.example.com', port: 5432, user: 'shr', password: 'p@ss', database: 'ci', encrypted: true },
    });
    expect(addressOf('postgres://u@[::1]:6432/d')).to.include({ host: '::1', port: 6432, encrypted: false });
    expect(addressOf('postgres://u@x/d?host=%2Frun%2Fpostgresql')).to.include({ host: '/run/postgresql' });
  });

  it('is shown without its password', () => {
    expect(shownAddress(addressOf(URL))).to.equal('shr@db.example.com:5432/ci');
  });

  it('means TLS with a certificate that is checked, unless it says otherwise or the server is this machine', () => {
    const encrypted = (url: string) => addressOf(url).encrypted;
    expect(encrypted('postgres://u@db/d')).to.equal(true);
    for (const mode of ['require', 'verify-ca', 'verify-full']) {
      expect(encrypted(`postgres://u@127.0.0.1/d?sslmode=${mode}`)).to.equal(true);
    }
    for (const host of ['localhost', '127.0.0.1', '[::1]']) expect(encrypted(`postgres://u@${host}/d`)).to.equal(false);
    for (const host of ['127.0.0.1.example.com', 'localhost.example.com', '10.0.0.1']) {
      expect(encrypted(`postgres://u@${host}/d`)).to.equal(true);
    }
    expect(encrypted('postgres://u@db/d?sslmode=disable')).to.equal(false);
  });

  for (const url of [
    ...['', 'db', 'http://u@db/d', 'postgres://db/d', 'postgres://u@/d', 'postgres://u@db', 'postgres://u@db/a/b'],
    ...['postgres://u@db/d?sslmode=prefer', 'postgres://u@db/d?options=-csearch_path=x', 'postgres://u:%zz@db/d'],
  ]) {
    it(`is not ${JSON.stringify(url)}`, () => {
      expect(() => addressOf(url)).to.throw(AddressError);
    });
  }
});
