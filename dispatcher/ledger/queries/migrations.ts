/** The history of the schema. */
import type { Tables } from '../tables.ts';
import type { Builder, Query } from './fixed.ts';

export function createMigrations({ schema }: Builder): Query {
  return schema
    .createTable('migrations')
    .ifNotExists()
    .addColumn('version', 'bigint', (column) => column.notNull().primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('appliedAtMs', 'bigint', (column) => column.notNull())
    .compile();
}

export function appliedMigrations(builder: Builder): Query {
  return builder.selectFrom('migrations').select('version').orderBy('version').compile();
}

export function insertMigration(builder: Builder, migration: Tables['migrations']): Query {
  return builder.insertInto('migrations').values(migration).compile();
}
