/** Deliveries as GitHub sends them, ready to be written to a socket. No two are identical. */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { z } from 'zod';

export const benchmarkSecret = 'a secret for benchmarks';

const stages = [
  { status: 'queued', conclusion: null, runner: false },
  { status: 'in_progress', conclusion: null, runner: true },
  { status: 'completed', conclusion: 'success', runner: true },
] as const;

const loose = z.record(z.string(), z.unknown());
const examplesSchema = z.array(z.object({ name: z.string(), examples: z.array(loose) }));

type Template = ReturnType<typeof readTemplate>;
let known: Template | undefined;

/** One of GitHub's own examples, 8.8 KB long. The file that contains them is several megabytes. */
function template(): Template {
  known ??= readTemplate();
  return known;
}

function readTemplate() {
  const path = createRequire(import.meta.url).resolve('@octokit/webhooks-examples/api.github.com/index.json');
  const examples = examplesSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  const event = examples.find(({ name }) => name === 'workflow_job')?.examples[2];
  return z.looseObject({ workflow_job: loose }).parse(event);
}

/** `count` requests: the three stages of a third as many jobs. `series` separates the jobs of different calls. */
export function signedRequests(series: number, count: number): readonly Buffer[] {
  const event = template();
  const requests: Buffer[] = [];
  for (let index = 0; index < count; index += 1) {
    const job = Math.floor(index / stages.length);
    const stage = stages[index % stages.length] ?? stages[0];
    const id = 10_000_000_000 + series * 1_000_000 + job;
    const body = JSON.stringify({
      ...event,
      action: stage.status,
      workflow_job: {
        ...event.workflow_job,
        id,
        run_id: id + 1,
        status: stage.status,
        conclusion: stage.conclusion,
        runner_id: stage.runner ? job + 1 : null,
        runner_name: stage.runner ? `runner-${series}-${job}` : null,
        labels: ['self-hosted', `lane-${job % 50}`],
      },
    });
    requests.push(Buffer.from(`${head(body, series, index)}${body}`));
  }
  return requests;
}

export interface QueuedJob {
  readonly id: number;
  readonly request: Buffer;
}

/** The delivery of one queued job, with labels derived from its id. */
export function queuedRequest(series: number, index: number, labelsOf: (id: number) => readonly string[]): QueuedJob {
  const event = template();
  const id = 10_000_000_000 + series * 1_000_000 + index;
  const labels = labelsOf(id);
  const createdAt = new Date().toISOString();
  const job = {
    id,
    run_id: id + 1,
    status: 'queued',
    conclusion: null,
    created_at: createdAt,
    started_at: createdAt,
    completed_at: null,
    runner_id: null,
    runner_name: null,
    labels,
  };
  const body = JSON.stringify({ ...event, action: 'queued', workflow_job: { ...event.workflow_job, ...job } });
  return { id, request: Buffer.from(`${head(body, series, index)}${body}`) };
}

function head(body: string, series: number, index: number): string {
  const guid = guidOf(series, index);
  return [
    'POST /webhooks/github HTTP/1.1',
    'Host: dispatcher.example',
    'Accept: */*',
    'User-Agent: GitHub-Hookshot/044aadd',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-GitHub-Delivery: ${guid}`,
    'X-GitHub-Event: workflow_job',
    'X-GitHub-Hook-ID: 292430182',
    'X-GitHub-Hook-Installation-Target-ID: 79929171',
    'X-GitHub-Hook-Installation-Target-Type: repository',
    `X-Hub-Signature-256: sha256=${createHmac('sha256', benchmarkSecret).update(body).digest('hex')}`,
    '',
    '',
  ].join('\r\n');
}

/**
 * Version 1 UUIDs, like GitHub's: they begin with the low half of the time in units of 100 ns, so that the GUIDs of one
 * moment are adjacent, somewhere among the older ones. Here one delivery every 0.1 ms, and each series starts at its
 * own time.
 */
function guidOf(series: number, index: number): string {
  const timeLow = (Math.imul(series + 1, 0x9e3779b1) + index * 1_000) >>> 0;
  return `${timeLow.toString(16).padStart(8, '0')}-70d6-11ee-8955-3c8399${(index % 7).toString(16).padStart(6, '0')}`;
}
