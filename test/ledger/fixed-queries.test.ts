import { expect } from 'chai';
import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler, sql } from 'kysely';
import { type Builder, fixed, fixedUpTo, ofRow } from '../../dispatcher/ledger/queries/fixed.ts';
import { sqliteBuilder } from '../../dispatcher/ledger/sqlite.ts';

/** Another dialect, as far as the queries can tell. */
const otherBuilder: Builder = new Kysely({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});

describe('a query whose text is always the same', () => {
  let compiled: number;

  beforeEach(() => {
    compiled = 0;
  });

  const byKey = (builder: Builder, key: string) => {
    compiled += 1;
    return builder.selectFrom('jobs').select('key').where('key', '=', key);
  };

  it('is compiled once a dialect, and binds the values of each call', () => {
    const query = fixed(byKey);
    const [one, two] = [query(sqliteBuilder, 'one'), query(sqliteBuilder, 'two')];
    expect(compiled).to.equal(1);
    expect(two.sql).to.equal(one.sql);
    expect([one.parameters, two.parameters]).to.deep.equal([['one'], ['two']]);
    query(otherBuilder, 'one');
    query(otherBuilder, 'two');
    expect(compiled).to.equal(2);
  });

  it('is compiled once for all rows', () => {
    const query = ofRow<{ readonly key: string }>(['key'], (builder, { key }) => byKey(builder, key));
    expect(query(sqliteBuilder, { key: 'one' }).parameters).to.deep.equal(['one']);
    expect(query(sqliteBuilder, { key: 'two' }).parameters).to.deep.equal(['two']);
    expect(compiled).to.equal(1);
  });

  it('is compiled once for each of a hundred limits, and is right with any other', () => {
    const query = fixedUpTo((limit, builder, key: string) => byKey(builder, key).limit(sql.lit(limit)));
    const askedTwice = (limit: number) => {
      const [first, second] = [query(sqliteBuilder, limit, 'k'), query(sqliteBuilder, limit, 'k')];
      expect(second).to.deep.equal(first);
      expect(first.sql).to.match(new RegExp(` limit ${limit}$`));
    };
    for (let limit = 1; limit <= 100; limit += 1) askedTwice(limit);
    expect(compiled).to.equal(100);
    askedTwice(101);
    expect(compiled, 'what is kept is bounded').to.equal(102);
  });

  it('is refused where it would bind a value twice, not at all, or in another order', () => {
    const jobs = (builder: Builder) => builder.selectFrom('jobs').select('key');
    const wrong = [
      fixed((builder, key: string, _other: string) => jobs(builder).where('key', '=', key)),
      fixed((builder, key: string, other: string) =>
        jobs(builder).where('key', '=', key).where('host', '=', other).where('owner', '=', key),
      ),
      fixed((builder, key: string, other: string) => jobs(builder).where('key', '=', other).where('host', '=', key)),
    ];
    for (const query of wrong) expect(() => query(sqliteBuilder, 'a', 'b')).to.throw('binds its values in their order');
  });
});
