/** Starts simulators from the command line: `npm run simulators -- github --port 4010`. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { demoOptions as aliEciOptions, startAliEciSimulator } from './ali-eci/index.ts';
import { demoOptions as azureAciOptions, startAzureAciSimulator } from './azure-aci/index.ts';
import { demoOptions as gcpBatchOptions, startGcpBatchSimulator } from './gcp-batch/index.ts';
import { demoOptions as cloudRunOptions, startCloudRunSimulator } from './gcp-cloud-run/index.ts';
import { startGithubSimulator } from './github/index.ts';

function numberOf(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new InvalidArgumentError('a number, please');
  return value;
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

const program = new Command('simulators').description('Stand-ins for GitHub and the clouds, on the wire.');

program
  .command('github')
  .description('A GitHub with Apps, runners, workflows and webhooks.')
  .option('--port <port>', 'port to listen on; 0 takes a free one', numberOf, 4010)
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
  .action(async (flags: GithubFlags) => {
    const secret = process.env['SIMULATOR_WEBHOOK_SECRET'] ?? flags.secret;
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
    const folder = flags.keys ?? (await mkdtemp(path.join(tmpdir(), 'github-simulator-')));
    console.log(`url     ${simulator.url} (also ${simulator.url}/api/v3)`);
    for (const app of simulator.apps) {
      const file = path.join(folder, `${app.slug}.private-key.pem`);
      await writeFile(file, app.privateKey, { mode: 0o600 });
      console.log(`app     ${app.slug}, id ${app.id}, key in ${file}`);
      for (const { id, account } of app.installations)
        console.log(`        installed on ${account}, installation id ${id}`);
    }
    const tokenFile = path.join(folder, 'token');
    await writeFile(tokenFile, `${simulator.tokens[0] ?? ''}\n`, { mode: 0o600 });
    console.log(`token   an admin's personal access token in ${tokenFile}`);
    const repository = `${flags.organization}/${flags.repository[0] ?? ''}`;
    console.log(`push    curl --data-binary @workflow.yaml ${simulator.url}/_simulator/repos/${repository}/workflows`);
    const end = (): void => {
      void simulator.close().then(() => process.exit(0));
    };
    process.once('SIGINT', end);
    process.once('SIGTERM', end);
  });

program
  .command('ali-eci')
  .description('An Alibaba Cloud Elastic Container Instance whose containers are local processes.')
  .option('--port <port>', 'port to listen on; 0 takes a free one', numberOf, 4020)
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .option('--region <id>', 'the region it is', 'cn-hangzhou')
  .option('--image <reference>', 'the image that there is; it runs the demo runner', 'demo/runner:latest')
  .action(async (flags: { port: number; host: string; region: string; image: string }) => {
    const runner = path.join(import.meta.dirname, 'github', 'runner.mjs');
    const simulator = await startAliEciSimulator({
      port: flags.port,
      host: flags.host,
      region: flags.region,
      images: { [flags.image]: [process.execPath, runner] },
      substitutions: { '/home/runner/run.sh': `${process.execPath} ${runner}` },
    });
    console.log(`url     ${simulator.url}`);
    console.log(`image   ${flags.image}`);
    console.log(`options of a backend of kind ali-eci:`);
    console.log(JSON.stringify(aliEciOptions(simulator), null, 2));
    console.log(`faults  curl --data '{"kind":"no-stock","times":1}' ${simulator.url}/_simulator/faults`);
    const end = (): void => {
      void simulator.close().then(() => process.exit(0));
    };
    process.once('SIGINT', end);
    process.once('SIGTERM', end);
  });

program
  .command('gcp-batch')
  .description('A Google Batch whose machines are local processes.')
  .option('--port <port>', 'port for gRPC; 0 takes a free one', numberOf, 4050)
  .option('--http-port <port>', 'port for Cloud Logging and control', numberOf, 4051)
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .option('--project <id>', 'the project there is', 'demo-project')
  .option('--region <name>', 'the region there is', 'europe-west4')
  .option('--image <reference>', 'the image that there is; it runs the demo runner', 'demo/runner:latest')
  .action(
    async (flags: { port: number; httpPort: number; host: string; project: string; region: string; image: string }) => {
      const runner = path.join(import.meta.dirname, 'github', 'runner.mjs');
      const simulator = await startGcpBatchSimulator({
        port: flags.port,
        httpPort: flags.httpPort,
        host: flags.host,
        project: flags.project,
        regions: [flags.region],
        images: { [flags.image]: [process.execPath, runner] },
        substitutions: { '/home/runner/run.sh': runner },
      });
      console.log(`grpc    ${simulator.endpoint}`);
      console.log(`image   ${flags.image}`);
      console.log('options of a backend of kind gcp-batch:');
      console.log(JSON.stringify(gcpBatchOptions(simulator), null, 2));
      console.log(`faults  curl --data '{"noStock":"all"}' ${simulator.httpUrl}/_simulator/conditions`);
      const end = (): void => {
        void simulator.close().then(() => process.exit(0));
      };
      process.once('SIGINT', end);
      process.once('SIGTERM', end);
    },
  );

program
  .command('gcp-cloud-run')
  .description("Cloud Run's jobs, with local processes for containers.")
  .option('--port <port>', 'port for gRPC; 0 takes a free one', numberOf, 4040)
  .option('--http-port <port>', 'port for tokens, Cloud Logging and control', numberOf, 4041)
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .option('--project <id>', 'the project there is', 'demo-project')
  .option('--region <name>', 'the region there is', 'europe-west1')
  .option('--image <reference>', 'the image that there is; it runs the demo runner', 'demo/runner:latest')
  .action(
    async (flags: { port: number; httpPort: number; host: string; project: string; region: string; image: string }) => {
      const runner = path.join(import.meta.dirname, 'github', 'runner.mjs');
      const simulator = await startCloudRunSimulator({
        grpcPort: flags.port,
        httpPort: flags.httpPort,
        host: flags.host,
        project: flags.project,
        region: flags.region,
        images: { [flags.image]: [process.execPath, runner] },
        substitutions: { '/home/runner/run.sh': runner },
      });
      console.log(`grpc    ${simulator.endpoint}`);
      console.log(`image   ${flags.image}`);
      console.log('options of a backend of kind gcp-cloud-run:');
      console.log(JSON.stringify(cloudRunOptions(simulator), null, 2));
      console.log(`faults  curl --data '{"next":["no-capacity"]}' ${simulator.httpUrl}/_simulator/doom`);
      const end = (): void => {
        void simulator.close().then(() => process.exit(0));
      };
      process.once('SIGINT', end);
      process.once('SIGTERM', end);
    },
  );

program
  .command('azure-aci')
  .description('Azure Container Instances and the sign-in to it, over https, with local processes for containers.')
  .option('--port <port>', 'port to listen on; 0 takes a free one', numberOf, 4050)
  .option('--location <name>', 'the region it is', 'westeurope')
  .option('--image <reference>', 'the image that there is; it runs the demo runner', 'demo/runner:latest')
  .action(async (flags: { port: number; location: string; image: string }) => {
    const runner = path.join(import.meta.dirname, 'github', 'runner.mjs');
    const simulator = await startAzureAciSimulator({
      port: flags.port,
      location: flags.location,
      images: { [flags.image]: [process.execPath, runner] },
      substitutions: { '/home/runner/run.sh': runner },
    });
    console.log(`url     ${simulator.url}`);
    console.log(`image   ${flags.image}`);
    console.log('options of a backend of kind azure-aci:');
    console.log(JSON.stringify(azureAciOptions(simulator), null, 2));
    // Its certificate is vouched for by itself alone, anew at every start.
    console.log(`faults  curl --insecure --data '{"kind":"no-stock","times":1}' ${simulator.url}/_simulator/faults`);
    const end = (): void => {
      void simulator.close().then(() => process.exit(0));
    };
    process.once('SIGINT', end);
    process.once('SIGTERM', end);
  });

await program.parseAsync();
