/** The last version without problems of each registration. */
import type { RegistrationVersion } from '../ledger.ts';
import * as queries from '../queries/registration-versions.ts';
import * as rows from '../rows.ts';
import { type Context, firstOf, type Step } from './step.ts';

export function* putVersions({ builder, nowMs }: Context, versions: readonly RegistrationVersion[]): Step<void> {
  for (const { hash, name, sealed } of versions) {
    yield queries.putVersion(builder, { name, hash, sealed, keptAtMs: nowMs });
  }
}

export function* version({ builder }: Context, name: string): Step<RegistrationVersion | undefined> {
  return firstOf(yield queries.versionOf(builder, name), rows.registrationVersion);
}

export function* versionHashes({ builder }: Context): Step<ReadonlyMap<string, string>> {
  const { rows: found } = yield queries.versionHashes(builder);
  return new Map(found.map(rows.versionHash).map(({ hash, name }) => [name, hash]));
}

export function* deleteVersions({ builder }: Context, names: readonly string[]): Step<void> {
  for (const name of names) yield queries.deleteVersion(builder, name);
}
