/** The last version without problems of each registration. */
import type { RegistrationVersionsTable, Tables } from '../tables.ts';
import type { Builder, Query } from './fixed.ts';

export function putVersion(builder: Builder, version: Tables['registrationVersions']): Query {
  const { hash, keptAtMs, sealed } = version;
  return builder
    .insertInto('registrationVersions')
    .values(version)
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ hash, keptAtMs, sealed }))
    .compile();
}

export function versionOf(builder: Builder, name: RegistrationVersionsTable['name']): Query {
  return builder.selectFrom('registrationVersions').selectAll().where('name', '=', name).compile();
}

export function versionHashes(builder: Builder): Query {
  return builder.selectFrom('registrationVersions').select(['name', 'hash']).orderBy('name').compile();
}

export function deleteVersion(builder: Builder, name: RegistrationVersionsTable['name']): Query {
  return builder.deleteFrom('registrationVersions').where('name', '=', name).compile();
}
