/** The building blocks of ledger methods: see steps.ts. */
import type { AreStrangers } from '../jobs/facts.ts';
import type { Builder, Query } from './queries.ts';

export interface Answer {
  readonly rows: readonly unknown[];
  /** How many rows a write affected. */
  readonly changed: number;
}

export type Step<Result> = Generator<Query, Result, Answer>;

export interface Context {
  readonly builder: Builder;
  readonly nowMs: number;
  readonly areStrangers: AreStrangers;
  readonly mostOpenJobs: number;
}
