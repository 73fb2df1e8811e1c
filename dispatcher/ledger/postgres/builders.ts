/** What compiles the queries for PostgreSQL, without running any. */
import {
  DataTypeNode,
  DummyDriver,
  Kysely,
  type KyselyPlugin,
  OperationNodeTransformer,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
} from 'kysely';
import type { Builder } from '../queries/fixed.ts';
import type { Tables } from '../tables.ts';

const compiling = () =>
  new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  });

/** Every table with its schema: a pooler hands each transaction another session, so none has a `search_path` of ours. */
export function postgresBuilder(schema: string): Builder {
  return compiling().withSchema(schema);
}

function textsByTheirBytes(): KyselyPlugin {
  const transformer = new TextCollation();
  return {
    transformQuery: ({ node }) => transformer.transformNode(node),
    transformResult: async ({ result }) => result,
  };
}

class TextCollation extends OperationNodeTransformer {
  protected override transformColumnDefinition(
    ...[node, queryId]: Parameters<OperationNodeTransformer['transformColumnDefinition']>
  ) {
    const definition = super.transformColumnDefinition(node, queryId);
    const { dataType } = definition;
    if (!DataTypeNode.is(dataType) || dataType.dataType !== 'text') return definition;
    return { ...definition, dataType: sql`text collate "C"`.toOperationNode() };
  }
}

/**
 * For the migrations, whose statements name tables in text too: they run with a `search_path` that lasts as long as their
 * transaction. Texts are ordered by their bytes, as SQLite orders them: ranges of keys depend on it, and a
 * database's own collation changes with the operating system.
 */
export const migrationBuilder: Builder = compiling().withPlugin(textsByTheirBytes());
