/** Runs the steps of a workflow's job as GitHub's runner would: expressions, files and the shell are real, actions are played. */
import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import {
  type ExpressionContext,
  expandText,
  expandValue,
  holds,
  type Value,
} from '../../simulators/github/expressions.ts';

const texts = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({});
const step = z.object({
  id: z.string().optional(),
  name: z.string().optional(),
  if: z.string().optional(),
  uses: z.string().optional(),
  run: z.string().optional(),
  with: texts,
  env: texts,
});
const workflow = z.object({
  env: texts,
  defaults: z.object({ run: z.object({ shell: z.literal('bash') }) }),
  jobs: z.record(z.string(), z.object({ if: z.string().optional(), env: texts, steps: z.array(step) })),
});

/** What an action does: given its inputs, in the job's workspace. */
export type Action = (inputs: Readonly<Record<string, string>>, workspace: string) => Promise<void>;

export interface JobOptions {
  /** An empty folder: `work` in it is the workspace, `temp` the runner's temporary folder. */
  readonly folder: string;
  readonly job: string;
  /** `github`, `inputs`, `secrets`, `vars`. */
  readonly contexts: Readonly<Record<string, Value>>;
  /** By what is before the `@`. */
  readonly actions: Readonly<Record<string, Action>>;
  /** As the runner sets it: PATH, GITHUB_API_URL … */
  readonly environment: Readonly<Record<string, string>>;
}

export interface JobResult {
  readonly outcome: 'skipped' | 'success' | 'failure';
  /** Of all steps. */
  readonly log: string;
  readonly summary: string;
  /** The step that failed. */
  readonly failed: string | undefined;
}

const FOLDER = join(import.meta.dirname, '..', '..', '.github', 'workflows');

export async function runJob(file: string, options: JobOptions): Promise<JobResult> {
  const { env: common, jobs } = workflow.parse(parse(await readFile(join(FOLDER, file), 'utf8')));
  const job = jobs[options.job];
  if (job === undefined) throw new Error(`${file} has no job ${options.job}`);
  const [work, temp] = [join(options.folder, 'work'), join(options.folder, 'temp')];
  for (const path of [work, temp]) await mkdir(path, { recursive: true });
  const files = Object.fromEntries(
    ['ENV', 'OUTPUT', 'PATH', 'STEP_SUMMARY', 'STATE'].map((name) => [`GITHUB_${name}`, join(options.folder, name)]),
  );
  await writeFile(files['GITHUB_STEP_SUMMARY'] ?? '', '');
  const outputs: Record<string, Record<string, string>> = {};
  let outcome: 'success' | 'failure' = 'success';
  let failed: string | undefined;
  let log = '';
  const context = (env: Readonly<Record<string, Value>>): ExpressionContext => ({
    names: {
      ...options.contexts,
      env,
      runner: { temp },
      job: { status: outcome },
      steps: Object.fromEntries(Object.entries(outputs).map(([id, values]) => [id, { outputs: values }])),
    },
    outcome,
  });
  const expanded = (map: z.infer<typeof texts>, env: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(map).map(([key, value]) => [key, expandText(String(value), context(env))]));
  if (job.if !== undefined && !holds(job.if, context({}))) return { outcome: 'skipped', log, summary: '', failed };
  const env = { ...expanded(common, {}), ...expanded(job.env, {}) };
  for (const one of job.steps) {
    if (!holds(one.if ?? 'success()', context(env))) continue;
    try {
      if (one.uses !== undefined) {
        const action = options.actions[one.uses.slice(0, one.uses.indexOf('@'))];
        if (action === undefined) throw new Error(`nobody plays ${one.uses}`);
        const inputs = Object.entries(one.with).map(([key, value]) => [
          key,
          String(expandValue(String(value), context(env)) ?? ''),
        ]);
        await action(Object.fromEntries(inputs), work);
        continue;
      }
      await writeFile(files['GITHUB_OUTPUT'] ?? '', '');
      const { code, out } = await bash(one.run ?? '', work, options.folder, {
        ...options.environment,
        ...files,
        ...env,
        ...expanded(one.env, env),
        GITHUB_WORKSPACE: work,
        RUNNER_TEMP: temp,
      });
      log += out;
      const written = await readFile(files['GITHUB_OUTPUT'] ?? '', 'utf8');
      if (one.id !== undefined) outputs[one.id] = parseOutputs(written);
      if (code !== 0) throw new Error(`it exits with ${code}`);
    } catch (error) {
      if (one.uses !== undefined) throw error;
      outcome = 'failure';
      failed ??= one.name;
    }
  }
  return { outcome, log, summary: await readFile(files['GITHUB_STEP_SUMMARY'] ?? '', 'utf8'), failed };
}

/** https://docs.github.com/actions/reference/workflow-syntax-for-github-actions#jobsjob_idstepsshell */
async function bash(
  script: string,
  cwd: string,
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly out: string }> {
  const path = join(folder, 'step.sh');
  await writeFile(path, script);
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['--noprofile', '--norc', '-eo', 'pipefail', path], {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        out += text;
      });
    }
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out }));
  });
}

/** `name=value` lines; the last of a name counts. */
function parseOutputs(text: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => line.includes('='));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}
