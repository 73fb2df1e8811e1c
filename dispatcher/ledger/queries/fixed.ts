/**
 * Queries whose text is constant are compiled once per dialect: compiling forty columns costs ten times as much as
 * running them, and a lane's four counts cost as much as the rest of its planning.
 */
import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Tables } from '../tables.ts';

/** Builds queries, without a connection. */
export type Builder = Kysely<Tables>;

export interface Query {
  readonly sql: string;
  readonly parameters: readonly unknown[];
  /** What is asked after it, whatever the answer: a store may send them together. */
  readonly ahead?: readonly Query[];
}

interface Compilable {
  compile(): Query;
}

/** An insert of a full row. */
export function wholeRow<Row>(
  columns: readonly (keyof Row & string)[],
  build: (builder: Builder, values: RawBuilder<unknown>) => Compilable,
): (builder: Builder, row: Row) => Query {
  return ofRow<Row>(columns, (builder, row) => {
    const parameters = columns.map((column) => row[column]);
    return build(builder, sql`values (${sql.join(parameters)})`);
  });
}

/** A query that binds these fields of a row, each once, in this order. Everything else is literal text. */
export function ofRow<Row>(
  fields: readonly (keyof Row & string)[],
  build: (builder: Builder, row: Row) => Compilable,
): (builder: Builder, row: Row) => Query {
  const texts = new WeakMap<Builder, string>();
  return (builder, row) => {
    const parameters = fields.map((field) => row[field]);
    let text = texts.get(builder);
    if (text === undefined) {
      text = textOf(build(builder, row), parameters);
      texts.set(builder, text);
    }
    return { sql: text, parameters };
  };
}

/** A query that binds its values, each once, in this order. Everything else is literal text. */
export function fixed<Values extends readonly unknown[]>(
  build: (builder: Builder, ...values: Values) => Compilable,
): (builder: Builder, ...values: Values) => Query {
  const texts = new WeakMap<Builder, string>();
  return (builder, ...values) => {
    let text = texts.get(builder);
    if (text === undefined) {
      text = textOf(build(builder, ...values), values);
      texts.set(builder, text);
    }
    return { sql: text, parameters: values };
  };
}

/** Likewise with a limit, which is literal text: there are few different limits. */
export function fixedUpTo<Values extends readonly unknown[]>(
  build: (limit: number, builder: Builder, ...values: Values) => Compilable,
): (builder: Builder, limit: number, ...values: Values) => Query {
  const queries = new Map<number, (builder: Builder, ...values: Values) => Query>();
  return (builder, limit, ...values) => {
    let query = queries.get(limit);
    if (query === undefined) {
      query = fixed<Values>((one, ...bound) => build(limit, one, ...bound));
      if (queries.size < MAX_LIMITS) queries.set(limit, query);
    }
    return query(builder, ...values);
  };
}

const MAX_LIMITS = 100;

function textOf(query: Compilable, values: readonly unknown[]): string {
  const { parameters, sql: text } = query.compile();
  const same =
    parameters.length === values.length && parameters.every((parameter, index) => parameter === values[index]);
  if (!same) throw new Error(`a fixed query binds its values in their order, each once: ${text}`);
  return text;
}
