/** `ledger` in dispatcher.yaml: a file, or a schema of a PostgreSQL server. */
import { isAbsolute, join } from 'node:path';
import { AddressError, addressOf } from '../ledger/postgres/address.ts';
import type { DispatcherConfig } from '../model/registration.ts';
import type { Reading } from './reading.ts';
import { dispatcherFile } from './schema.ts';

const FILE = 'ledger.db';

/** `folder`: of dispatcher.yaml. `id`: undefined where it is wrong. */
export function readLedger(
  reading: Reading,
  folder: string,
  id: string | undefined,
): Pick<DispatcherConfig, 'ledgerPath' | 'postgres'> {
  const ledger = reading.section(['ledger'], dispatcherFile.shape.ledger) ?? join('data', FILE);
  const from = (path: string) => (isAbsolute(path) ? path : join(folder, path));
  if (typeof ledger === 'string') return { ledgerPath: ledger === ':memory:' ? ledger : from(ledger) };
  const { url, schema, ca, connections } = ledger.postgres;
  const path = ['ledger', 'postgres', 'url'];
  const secret = reading.secret(path, url);
  if (reading.isReference(path) && !reading.unresolved(path)) {
    const problem = problemOf(url);
    if (problem !== undefined) {
      reading.problem(path, problem, 'Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE into what it refers to.');
    }
  }
  return {
    ledgerPath: from(join(ledger.folder ?? 'data', FILE)),
    postgres: {
      url: secret,
      schema: schema ?? schemaOf(id ?? 'shr'),
      ...(ca === undefined ? {} : { ca: reading.secret(['ledger', 'postgres', 'ca'], ca) }),
      connections: connections ?? 5,
    },
  };
}

/** PostgreSQL keeps names that begin with `pg_` for itself. */
function schemaOf(id: string): string {
  const name = id.replaceAll('-', '_');
  return name.startsWith('pg_') ? `shr_${name}` : name;
}

/** Undefined: it is a URL of a server. */
function problemOf(url: string): string | undefined {
  try {
    addressOf(url);
    return undefined;
  } catch (error) {
    if (error instanceof AddressError) return error.message;
    throw error;
  }
}
