import type { Builder, Query } from '../queries/fixed.ts';

/** One step of the schema's history. It never changes after its release: the next change is a new one. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  statements(builder: Builder): readonly Query[];
}
