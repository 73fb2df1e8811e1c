#!/usr/bin/env node
/**
 * The demo runner: the simulator's counterpart of actions/runner. Plain JavaScript without dependencies, so that it
 * runs on any node from version 20.
 *
 * `runner.mjs` alone takes the JIT blob and runs the job in the same process. `runner.mjs run`, as bin/Runner.Listener of
 * the stand-in release starts it (runner-release/), behaves as the real one also in what stands around it: the blob's files
 * in the runner's root, `.env`, a log in `_diag/`, a worker process (`runner.mjs worker`) and the hooks of the job.
 *
 * It takes the JIT blob from ACTIONS_RUNNER_INPUT_JITCONFIG, runs one job, and exits as the real listener does:
 * 0 done or stopped while idle, 1 terminated (no registration, bad blob), 2 retryable (the server does not answer),
 * 5 session conflict; with ACTIONS_RUNNER_RETURN_JOB_RESULT_FOR_HOSTED=true 100 + result.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const exitCodes = { ok: 0, terminated: 1, retryable: 2, conflict: 5 };
const jobResults = { success: 100, failure: 102, cancelled: 103, gone: 105 };
const pollSeconds = 20;
const attempts = 8;
/** Like the real one: INT, then TERM after 7.5 s, then a kill after another 2.5 s. */
const interruptMs = 7_500;
const terminateMs = 2_500;
const outputPieceBytes = 32 * 1024;

/** `run` and `worker` are the programs of the stand-in release, whose root is the folder above `bin/`. */
const role = process.argv[2];
const version = '2.335.0';
const releaseRoot = role === undefined ? undefined : path.dirname(path.dirname(process.argv[1] ?? ''));
const second = () => new Date().toISOString().slice(0, 19);

function say(text) {
  process.stdout.write(`${second()}Z: ${text}\n`);
  trace(`WRITE LINE: ${second()}Z: ${text}`);
}

/** Into the log of the listener, where the release has one. */
function trace(text) {
  const log = process.env.RUNNER_STAND_IN_LOG;
  if (log) appendFileSync(log, `[${second()}Z INFO Runner] ${text}\n`);
}

function prepareRelease() {
  process.title = 'Runner.Listener';
  const file = path.join(releaseRoot, '.env');
  for (const line of existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []) {
    const equals = line.indexOf('=');
    if (equals > 0) process.env[line.slice(0, equals)] = line.slice(equals + 1);
  }
  mkdirSync(path.join(releaseRoot, '_diag'), { recursive: true });
  const stamp = `${second().replaceAll(/[-:]/g, '').replace('T', '-')}-utc`;
  process.env.RUNNER_STAND_IN_LOG = path.join(releaseRoot, '_diag', `Runner_${stamp}.log`);
  trace(`Runner of the simulated GitHub, in ${releaseRoot}`);
}

/** The blob is a map of files for the runner's root, where they may be already. */
function unpackBlob(blob) {
  if (blob) {
    try {
      for (const [name, content] of Object.entries(JSON.parse(Buffer.from(blob, 'base64').toString())))
        writeFileSync(path.join(releaseRoot, path.basename(name)), Buffer.from(content, 'base64'));
    } catch {
      throw new Error('ACTIONS_RUNNER_INPUT_JITCONFIG is not a JIT configuration');
    }
  }
  const needed = ['.runner', '.credentials', '.credentials_rsaparams', '.simulator'];
  if (needed.some((name) => !existsSync(path.join(releaseRoot, name)))) throw new Error('Runner is not configured.');
  return fieldsOf(readFileSync(path.join(releaseRoot, '.simulator'), 'utf8'));
}

function fieldsOf(text) {
  const lines = text.trim().split('\n');
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]));
}

function readBlob() {
  const blob = process.env.ACTIONS_RUNNER_INPUT_JITCONFIG;
  // Keep it away from the listener's children and from later readers of /proc.
  delete process.env.ACTIONS_RUNNER_INPUT_JITCONFIG;
  if (releaseRoot !== undefined) return unpackBlob(blob);
  if (!blob) throw new Error('ACTIONS_RUNNER_INPUT_JITCONFIG is not set');
  try {
    const files = JSON.parse(Buffer.from(blob, 'base64').toString());
    return fieldsOf(Buffer.from(files['.simulator'], 'base64').toString());
  } catch {
    throw new Error('ACTIONS_RUNNER_INPUT_JITCONFIG is not a JIT configuration of the GitHub simulator');
  }
}

class Unreachable extends Error {}

/** One exchange of the protocol in `sessions.ts`; retried on server errors, which every verb allows. */
async function ask(config, verb, fields, { text, signal, tries = attempts } = {}) {
  const lines = [`token ${config.token}`, ...Object.entries(fields).map(([key, value]) => `${key} ${value}`)];
  const body = text === undefined ? lines.join('\n') : `${lines.join('\n')}\n\n${text}`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const timeout = AbortSignal.timeout((pollSeconds + 15) * 1_000);
      const response = await fetch(`${config.url}/_runner/${verb}`, {
        method: 'POST',
        headers: { 'content-type': 'text/plain' },
        body,
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      });
      if (response.ok) return await response.text();
      await response.body?.cancel();
    } catch {
      if (signal?.aborted) return '';
    }
    if (attempt >= tries) throw new Unreachable(`no answer to ${verb} from ${config.url}`);
    await sleep(Math.min(5_000, 100 * 2 ** attempt) * (0.75 + Math.random() / 2));
  }
}

function parse(reply) {
  const lines = reply.trimEnd().split('\n');
  const [word = '', ...rest] = (lines[0] ?? '').split(' ');
  const fields = Object.fromEntries(
    lines.slice(1).map((line) => [line.split(' ', 1)[0], line.slice(line.indexOf(' ') + 1)]),
  );
  return { word, rest: rest.join(' '), fields };
}

/** State that a signal or the server changes to end it. */
const stop = { requested: false, idle: new AbortController(), step: undefined, worker: undefined };

function interruptStep() {
  const child = stop.step;
  if (!child?.pid) return;
  const kill = (signal) => {
    try {
      process.kill(-child.pid, signal);
    } catch {
      // The group has ended.
    }
  };
  kill('SIGINT');
  // A shell that has just started defers the first signal until its first command has ended.
  const again = setInterval(() => kill('SIGINT'), 500);
  const term = setTimeout(() => kill('SIGTERM'), interruptMs);
  const last = setTimeout(() => kill('SIGKILL'), interruptMs + terminateMs);
  child.once('close', () => {
    clearInterval(again);
    clearTimeout(term);
    clearTimeout(last);
  });
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    if (stop.requested) return;
    stop.requested = true;
    say(`${signal}: shutting down`);
    stop.idle.abort();
    stop.worker?.kill('SIGINT');
    interruptStep();
  });
}

/** Runs one step in its own process group; true when it succeeded. */
async function runScript(config, scriptPath, workFolder, isCancelled, environment = process.env) {
  const stdio = ['ignore', 'pipe', 'pipe'];
  const child = spawn('sh', ['-e', scriptPath], { cwd: workFolder, detached: true, stdio, env: environment });
  stop.step = child;
  if (stop.requested || isCancelled()) interruptStep();
  let sending = Promise.resolve();
  const onOutput = (piece) => {
    process.stdout.write(piece);
    for (let from = 0; from < piece.length; from += outputPieceBytes) {
      const text = piece.subarray(from, from + outputPieceBytes).toString();
      sending = sending.then(() => ask(config, 'log', {}, { text, tries: 2 })).catch(() => undefined);
    }
  };
  child.stdout.on('data', onOutput);
  child.stderr.on('data', onOutput);
  const code = await new Promise((resolve) => {
    child.once('error', () => resolve(127));
    child.once('close', (status) => resolve(status ?? 143));
  });
  stop.step = undefined;
  await sending;
  return code === 0;
}

async function runJob(config, job, heartbeatMs, root) {
  const workFolder = path.join(root, '_work', job.directory);
  await mkdir(workFolder, { recursive: true });
  const scripts = await mkdtemp(path.join(root, '_work', '_temp-'));
  let cancelled = false;
  const over = new AbortController();
  const heart = (async () => {
    while (!over.signal.aborted) {
      const { word } = parse(await ask(config, 'beat', {}, { tries: 3, signal: over.signal }).catch(() => ''));
      if (word === 'cancel' && !cancelled) {
        cancelled = true;
        trace(`Job cancellation request ${job.name} received, cancellation timeout 5 minutes.`);
        say('The job is being cancelled');
        interruptStep();
      }
      await sleep(heartbeatMs, undefined, { signal: over.signal }).catch(() => undefined);
    }
  })();
  const hook = await hooksOf(config, scripts, workFolder);
  try {
    let after = 1;
    let completed = releaseRoot === undefined ? 'done' : 'ask';
    // A hook that fails fails the job before its first step.
    let outcome = (await hook('ACTIONS_RUNNER_HOOK_JOB_STARTED')) ? 'success' : 'refused';
    for (;;) {
      if (stop.requested) outcome = 'terminated';
      const reply = parse(await ask(config, 'next', { after, outcome, completed }));
      if (reply.word === 'end') return reply.rest;
      if (reply.word === 'complete') {
        await hook('ACTIONS_RUNNER_HOOK_JOB_COMPLETED');
        completed = 'done';
        continue;
      }
      if (reply.word !== 'run') return 'gone';
      const [number = '', ...name] = reply.rest.split(' ');
      say(`Step: ${name.join(' ')}`);
      const scriptPath = path.join(scripts, `${number}.sh`);
      await writeFile(scriptPath, await ask(config, 'script', { step: number }));
      await chmod(scriptPath, 0o700);
      if (stop.requested) continue;
      // A step that the server starts despite the cancellation has to run in any case.
      const allowed = 'cancelled' in reply.fields;
      cancelled ||= allowed;
      const succeeded = await runScript(config, scriptPath, workFolder, () => cancelled && !allowed);
      after = Number(number);
      outcome = succeeded ? 'success' : cancelled && !allowed ? 'cancelled' : 'failure';
    }
  } finally {
    over.abort();
    await rm(scripts, { recursive: true, force: true });
    await heart;
  }
}

/** Only the release has hooks: it knows the job's context, and GitHub's event as a file. */
async function hooksOf(config, scripts, workFolder) {
  const context = releaseRoot === undefined ? '' : await ask(config, 'context', {});
  if (!context.startsWith('{')) return async () => true;
  const { variables, event } = JSON.parse(context);
  const eventPath = path.join(scripts, 'event.json');
  await writeFile(eventPath, JSON.stringify(event));
  const environment = { ...process.env, ...variables, GITHUB_EVENT_PATH: eventPath };
  return async (name) => {
    const script = process.env[name];
    if (!script) return true;
    say(`A ${name.endsWith('STARTED') ? 'job started' : 'job completed'} hook has been configured`);
    return await runScript(config, script, workFolder, () => false, environment);
  };
}

/** The job in a process of its own, told what to do by its standard input; it ends with 100 + result. */
async function runWorker(config, job, heartbeatMs) {
  const child = spawn(process.execPath, [process.argv[1] ?? '', 'worker'], { stdio: ['pipe', 'inherit', 'inherit'] });
  child.stdin.end(JSON.stringify({ config, job, heartbeatMs }));
  stop.worker = child;
  if (stop.requested) child.kill('SIGINT');
  const code = await new Promise((resolve) => child.once('close', (status) => resolve(status ?? 137)));
  const found = Object.entries(jobResults).find(([, number]) => number === code);
  return found?.[0] ?? 'gone';
}

async function work() {
  process.title = 'Runner.Worker';
  const { config, job, heartbeatMs } = JSON.parse(readFileSync(0, 'utf8'));
  return jobResults[await runJob(config, job, heartbeatMs, releaseRoot)] ?? jobResults.gone;
}

async function connect(config) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const reply = parse(await ask(config, 'hello', { os: 'Linux', version }));
    if (reply.word !== 'conflict' || Date.now() > deadline || stop.requested) return reply;
    await sleep(1_000);
  }
}

async function main() {
  if (role === '--version') {
    console.log(version);
    return exitCodes.ok;
  }
  // The real one loads every assembly, and leaves.
  if (role === 'warmup') return exitCodes.ok;
  if (role === 'worker') return await work();
  if (role === 'run') prepareRelease();
  // What the real one needs to load itself, where someone wants to measure with it.
  await sleep(Number(process.env.RUNNER_STAND_IN_LOAD_MS) || 0);
  const config = readBlob();
  const hello = await connect(config);
  if (hello.word === 'conflict') {
    say('A session for this runner already exists');
    return exitCodes.conflict;
  }
  if (hello.word !== 'session') {
    say('The runner registration has been deleted from the server');
    return exitCodes.terminated;
  }
  const session = hello.rest;
  say(`Runner ${config.name} is connected. Listening for Jobs`);
  const heartbeatMs = Number(hello.fields.heartbeat) || 5_000;
  while (!stop.requested) {
    const message = parse(await ask(config, 'poll', { session, wait: pollSeconds }, { signal: stop.idle.signal }));
    if (message.word === 'gone') {
      say('The runner registration has been deleted from the server');
      return exitCodes.terminated;
    }
    if (message.word !== 'job' || stop.requested) continue;
    const taken = parse(await ask(config, 'take', { session, job: message.rest }));
    if (taken.word !== 'ok') continue;
    say(`Running job: ${taken.fields.name}`);
    const result = releaseRoot
      ? await runWorker(config, taken.fields, heartbeatMs)
      : await runJob(config, taken.fields, heartbeatMs, await writableRoot());
    say(`Job ${taken.fields.name} completed with result: ${result}`);
    const wantsResult = process.env.ACTIONS_RUNNER_RETURN_JOB_RESULT_FOR_HOSTED === 'true';
    return wantsResult ? (jobResults[result] ?? exitCodes.terminated) : exitCodes.ok;
  }
  // Like the real one: an idle runner that is stopped ends its session and keeps its registration.
  await ask(config, 'bye', { session }, { tries: 2 }).catch(() => undefined);
  return exitCodes.ok;
}

async function writableRoot() {
  const root = process.env.RUNNER_ROOT ?? process.cwd();
  try {
    await mkdir(path.join(root, '_work'), { recursive: true });
    return root;
  } catch {
    return await mkdtemp(path.join(tmpdir(), 'runner-'));
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = error instanceof Unreachable ? exitCodes.retryable : exitCodes.terminated;
}
// Keep-alive sockets of fetch must not keep the process alive.
process.exit();
