/** The eight `workflow_job` payloads that GitHub's own examples hold, in their order. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { z } from 'zod';

const indexSchema = z.array(z.object({ name: z.string(), examples: z.array(z.record(z.string(), z.unknown())) }));

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export function allExamples() {
  const path = createRequire(import.meta.url).resolve('@octokit/webhooks-examples/api.github.com/index.json');
  return indexSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
}

export function workflowJobExamples(): readonly Record<string, unknown>[] {
  const found = allExamples().find((event) => event.name === 'workflow_job');
  if (found === undefined) throw new Error('@octokit/webhooks-examples holds no workflow_job');
  return found.examples;
}
