/** Starts simulators from the command line: `npm run simulators -- github ali-eci`. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { type CloudFlags, clouds } from './command-line/clouds.ts';
import { foreignFolder, REGISTRATION, WEBHOOK_URL, writeConfiguration } from './command-line/configuration.ts';
import { startDocker } from './command-line/docker.ts';
import type { Started } from './command-line/started.ts';
import { startGithubSimulator } from './github/index.ts';

function numberOf(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new InvalidArgumentError('Write a number of 0 or more.');
  return value;
}

function portOf(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value < 65_536) return value;
  throw new InvalidArgumentError('A port is a number from 0 to 65535.');
}

interface GithubFlags {
  port: number;
  host: string;
  publicUrl?: string;
  runnerUrl?: string;
  timeScale: number;
  seed: number;
  webhook?: string;
  secret?: string;
  organization: string;
  repository: string[];
  keys?: string;
}

const folders: string[] = [];

/** For keys and tokens that become worthless when the simulators stop. */
async function ownFolder(prefix: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), prefix));
  folders.push(folder);
  return folder;
}

async function startGithub(flags: GithubFlags): Promise<Started> {
  const secret = process.env['SIMULATOR_WEBHOOK_SECRET'] ?? flags.secret;
  // First: without the folder nobody could use what is started.
  if (flags.keys !== undefined) await mkdir(flags.keys, { recursive: true, mode: 0o700 });
  const simulator = await startGithubSimulator({
    port: flags.port,
    host: flags.host,
    timeScale: flags.timeScale,
    seed: flags.seed,
    ...(flags.publicUrl === undefined ? {} : { publicUrl: flags.publicUrl }),
    ...(flags.runnerUrl === undefined ? {} : { runnerUrl: flags.runnerUrl }),
    owners: [{ login: flags.organization, repositories: flags.repository.map((name) => ({ name })) }],
    enterprises: [{ slug: `${flags.organization}-inc`, organizations: [flags.organization] }],
    apps: [
      flags.webhook === undefined
        ? {}
        : { webhook: { url: flags.webhook, ...(secret === undefined ? {} : { secret }) } },
    ],
    tokens: [{ login: 'admin', owners: ['*'], access: 'admin' }],
  });
  const folder = flags.keys ?? (await ownFolder('github-simulator-'));
  const facts: [string, string][] = [['url', `${simulator.url} (also ${simulator.url}/api/v3)`]];
  for (const app of simulator.apps) {
    const file = path.join(folder, `${app.slug}.private-key.pem`);
    await writeFile(file, app.privateKey, { mode: 0o600 });
    facts.push(['app', `${app.slug}, id ${app.id}, key in ${file}`]);
    for (const { id, account } of app.installations) facts.push(['', `installed on ${account}, installation id ${id}`]);
  }
  const token = simulator.tokens[0] ?? '';
  const tokenFile = path.join(folder, 'token');
  await writeFile(tokenFile, `${token}\n`, { mode: 0o600 });
  facts.push(['token', `an admin's personal access token in ${tokenFile}`]);
  const repository = `${flags.organization}/${flags.repository[0] ?? ''}`;
  facts.push([
    'push',
    `curl -so /dev/null -w '%{http_code}\\n' --data-binary @demo/workflow.yaml ${simulator.url}/_simulator/repos/${repository}/workflows`,
  ]);
  return {
    name: 'github',
    facts,
    github: {
      ...{ url: simulator.url, organization: flags.organization, token },
      ...(flags.webhook === undefined || secret === undefined ? {} : { webhookSecret: secret }),
    },
    close: () => simulator.close(),
  };
}

/** Prints their addresses, and runs until a signal. */
async function run(starting: readonly (() => Promise<Started>)[], folder: string | undefined): Promise<void> {
  const foreign = folder === undefined ? undefined : await foreignFolder(folder);
  if (foreign !== undefined) program.error(`error: ${foreign}`, { exitCode: 2 });
  const started: Started[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(started.map((one) => one.close()));
    for (const own of folders) await rm(own, { recursive: true, force: true });
  };
  const end = (): void => {
    void close().then(() => process.exit(0));
  };
  // Before the first output: its reader may stop us at once.
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  try {
    for (const start of starting) started.push(await start());
  } catch (error) {
    await close();
    const message = error instanceof Error ? error.message : String(error);
    const cure = message.includes('EADDRINUSE')
      ? `. Stop what listens there, or ${starting.length > 1 ? 'use --free-ports' : 'choose another --port'}`
      : '';
    program.error(`error: ${message}${cure}`, { exitCode: 1 });
  }
  for (const { name, facts } of started) {
    if (started.length > 1) console.log(`${name}`);
    for (const [word, text] of facts) console.log(`${word.padEnd(7)} ${text}`);
    const place = name === DOCKER ? 'providers' : 'simulators';
    console.log(`more    ${place}/${name}/README.md: what it does${name === DOCKER ? '' : ', and its faults'}`);
    if (started.length > 1) console.log('');
  }
  if (started.some(({ backend }) => backend !== undefined)) {
    const home = folder ?? (await ownFolder('simulators-'));
    await writeConfiguration(home, started);
    const github = started.some((one) => one.github !== undefined);
    console.log(`config  ${home}${folder === undefined ? ', for as long as this runs (--folder: to keep it)' : ''}`);
    console.log(`        shr verify-live ${home} --registration ${REGISTRATION} --yes`);
    if (github) {
      console.log(`        shr doctor ${home}`);
      console.log(`        shr serve ${home}`);
      console.log(`        shr jobs --token-file ${path.join(home, 'secrets', 'admin-token')}`);
    } else console.log('        with `github` among the simulators also for shr doctor and shr serve');
  }
}

/** Besides simulators: this machine's own engine, for the jobs of the simulated GitHub. */
const DOCKER = 'docker';
const names = ['github', ...Object.keys(clouds)];

const program = new Command('simulators')
  .description('Simulators of GitHub and the clouds, on the wire.')
  .usage('NAME [options]\n       simulators NAME NAME … [--folder <path>] [--free-ports]')
  .addHelpText(
    'after',
    `
Several at once, each as it is by default: npm run simulators -- github ali-eci azure-aci gcp-cloud-run gcp-batch
With this machine's Docker engine as the backend (Linux): npm run simulators -- github docker
It writes a configuration that points at them, for shr doctor, shr verify-live and shr serve.`,
  );

program
  .command('github')
  .description('A GitHub with Apps, runners, workflows and webhooks.')
  .option('--port <port>', 'port to listen on; 0 takes a free one', portOf, 4010)
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .option('--public-url <url>', 'what clients are told in links (default: the address it listens on)')
  .option('--runner-url <url>', 'what runners are told in the JIT blob (default: the public URL)')
  .option('--time-scale <factor>', 'simulated time runs this much faster', numberOf, 1)
  .option('--seed <number>', 'the same seed makes the same choices', numberOf, 1)
  .option('--organization <login>', 'the organization there is', 'acme')
  .option('--repository <name...>', 'its repositories', ['web', 'api'])
  .option('--webhook <url>', "the App's webhook")
  .option('--secret <text>', 'its secret; better given as SIMULATOR_WEBHOOK_SECRET')
  .option('--keys <folder>', 'where to write the private keys and tokens (default: a new temporary folder)')
  .action((flags: GithubFlags) => run([() => startGithub(flags)], undefined));

for (const [name, cloud] of Object.entries(clouds)) {
  const command = program
    .command(name)
    .description(cloud.description)
    .option('--port <port>', 'port to listen on; 0 takes a free one', portOf, cloud.port)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--region <name>', 'the region there is', cloud.region)
    .option('--image <reference>', 'the image that there is; it runs the demo runner', 'demo/runner:latest')
    .option('--folder <path>', 'where to write a configuration for it (default: a new temporary folder)')
    .action((flags: CloudFlags & { folder?: string }) => run([() => cloud.start(flags)], flags.folder));
  if (cloud.httpPort !== undefined) {
    command
      .option('--http-port <port>', 'port for tokens, Cloud Logging and control', portOf, cloud.httpPort)
      .option('--project <id>', 'the project there is', 'demo-project');
  }
}

const several = new Command('simulators')
  .argument('<names...>')
  .option('--folder <path>', 'where to write a configuration for them (default: a new temporary folder)')
  .option('--free-ports', 'any that are free, in place of the usual ones')
  .action((wanted: readonly string[], flags: { folder?: string; freePorts?: true }) => {
    const unknown = wanted.find((name) => ![...names, DOCKER].includes(name));
    if (unknown !== undefined) {
      const words = `error: there is no simulator '${unknown}'; there are ${names.join(', ')}, and the engine ${DOCKER}`;
      return program.error(words, { exitCode: 2 });
    }
    return run(
      [...new Set(wanted)].map((name) => byDefault(name, flags.freePorts === true)),
      flags.folder,
    );
  });

function byDefault(name: string, freePorts: boolean): () => Promise<Started> {
  if (name === DOCKER) return startDocker;
  const cloud = clouds[name];
  if (cloud === undefined) {
    return () =>
      startGithub({
        port: freePorts ? 0 : 4010,
        host: '127.0.0.1',
        timeScale: 1,
        seed: 1,
        organization: 'acme',
        repository: ['web', 'api'],
        webhook: WEBHOOK_URL,
        secret: randomBytes(32).toString('hex'),
      });
  }
  const { port, httpPort = 0 } = freePorts ? { port: 0 } : cloud;
  const { region } = cloud;
  return () =>
    cloud.start({ port, httpPort, host: '127.0.0.1', project: 'demo-project', region, image: 'demo/runner:latest' });
}

const [first = '', second = ''] = process.argv.slice(2);
const isSeveral = [...names, DOCKER].includes(first) && second !== '' && !second.startsWith('-');
await (isSeveral ? several : program).parseAsync();
