/** Whether the PostgreSQL server of the ledger can be used. Nothing is changed, and a dispatcher that runs is not disturbed. */
import { z } from 'zod';
import type { Clock } from '../../../time/clock.ts';
import { addressOf, shownAddress } from '../../ledger/postgres/address.ts';
import type { PostgresConfig } from '../../model/registration.ts';
import { bad, type DoctorFinding, good, wordsOf } from './finding.ts';

const answerSchema = z.tuple([
  z.object({ version: z.int(), exists: z.string(), mayUse: z.string().nullable(), mayCreate: z.string() }),
]);

export async function checkLedgerServer(
  { url, schema, ca }: PostgresConfig,
  { after }: Pick<Clock, 'after'>,
): Promise<readonly DoctorFinding[]> {
  const address = addressOf(url.reveal());
  const shown = shownAddress(address);
  const finding = (message: string, cure: string) => [bad('ledger', 'server', `${shown}: ${message}`, cure)];
  const { Connection } = await import('../../ledger/postgres/connection.ts');
  const { OLDEST_SERVER } = await import('../../ledger/postgres/store.ts');
  try {
    const connection = await Connection.open({ address, ca: ca?.reveal(), after });
    try {
      const { rows } = await connection.ask({
        sql: `select current_setting('server_version_num')::int as version,
          to_regnamespace(quote_ident($1)) is not null as exists,
          has_schema_privilege(to_regnamespace(quote_ident($1)), 'usage')
            and has_schema_privilege(to_regnamespace(quote_ident($1)), 'create') as "mayUse",
          has_database_privilege(current_database(), 'create') as "mayCreate"`,
        parameters: [schema],
      });
      const [{ version, exists, mayUse, mayCreate }] = answerSchema.parse(rows);
      const release = Math.floor(version / 10_000);
      if (version < OLDEST_SERVER) {
        return finding(`it is PostgreSQL ${release}`, `use version ${OLDEST_SERVER / 10_000} or later`);
      }
      if (exists === 't' && mayUse !== 't') {
        return finding(`its user may not use the schema ${schema}`, `as its owner: alter schema ${schema} owner to …`);
      }
      if (exists !== 't' && mayCreate !== 't') {
        const cure = `as an administrator: create schema ${schema} authorization …`;
        return finding(`the schema ${schema} does not exist, and its user may not create it`, cure);
      }
      const found = exists === 't' ? `with the schema ${schema}` : `where the schema ${schema} will be made`;
      return [good('ledger', 'server', `PostgreSQL ${release} answers at ${shown}, ${found}`)];
    } finally {
      await connection.close();
    }
  } catch (error) {
    return finding(wordsOf(error), 'start the server, or correct `ledger.postgres` in dispatcher.yaml');
  }
}
