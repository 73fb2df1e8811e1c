import Sqlite from 'better-sqlite3';
import { expect } from 'chai';
import { LedgerError } from '../../dispatcher/ledger/ledger.ts';
import { diskErrorFrom, ledgerErrorFrom } from '../../dispatcher/ledger/sqlite-errors.ts';

const PATH = '/var/lib/shr/ledger.db';

function kindAndWords(error: unknown): readonly [kind: string, message: string] {
  if (!(error instanceof LedgerError)) throw new TypeError('it was not translated', { cause: error });
  return [error.kind, error.message];
}

describe('a failure of the store, told to the one who has to mend it', () => {
  for (const [code, kind] of [
    ['SQLITE_FULL', 'full'],
    ['SQLITE_BUSY', 'locked'],
    ['SQLITE_BUSY_SNAPSHOT', 'locked'],
    ['SQLITE_NOTADB', 'corrupt'],
    ['SQLITE_CORRUPT_INDEX', 'corrupt'],
    ['SQLITE_IOERR_WRITE', 'unavailable'],
    ['SQLITE_READONLY_DIRECTORY', 'unavailable'],
  ] as const) {
    it(`names the file and the code ${code}`, () => {
      const [found, message] = kindAndWords(ledgerErrorFrom(new Sqlite.SqliteError('said so', code), PATH));
      expect(found).to.equal(kind);
      expect(message).to.include(PATH);
      if (kind !== 'locked') expect(message).to.include(`${code}: said so`);
    });
  }

  it('leaves a mistake of the program as it is', () => {
    for (const error of [new TypeError('x is undefined'), new Sqlite.SqliteError('syntax error', 'SQLITE_ERROR')]) {
      expect(ledgerErrorFrom(error, PATH)).to.equal(error);
    }
  });

  it('tells a full disk from a broken one also where only the sync failed', () => {
    const failed = (code: string) => Object.assign(new Error(`${code}: fdatasync`), { code });
    for (const code of ['ENOSPC', 'EDQUOT']) {
      const [kind, message] = kindAndWords(diskErrorFrom(failed(code), PATH));
      expect(kind).to.equal('full');
      expect(message).to.include(`${code}: fdatasync`).and.include('Free space');
    }
    expect(kindAndWords(diskErrorFrom(failed('EIO'), PATH))[0]).to.equal('unavailable');
  });

  it('tells in the words for it what SQLite met when it wrote the log anew', () => {
    expect(kindAndWords(diskErrorFrom(new Sqlite.SqliteError('disk full', 'SQLITE_FULL'), PATH))[0]).to.equal('full');
    expect(kindAndWords(diskErrorFrom(new Sqlite.SqliteError('malformed', 'SQLITE_CORRUPT'), PATH))[0]).to.equal(
      'corrupt',
    );
  });
});
