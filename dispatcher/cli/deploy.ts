/** `shr deploy plan|apply|status|logs|destroy`: the dispatcher itself, in a container of its own. */
import { Command, InvalidArgumentError } from 'commander';
import { type Deployed, type Deployer, type Deployment, DeploymentRefused } from '../../deployers/deployer.ts';
import { destroy } from '../../deployers/destroy.ts';
import { loadDeployer, targetKinds } from '../../deployers/index.ts';
import { isProviderError, type ProviderErrorKind } from '../../providers/provider.ts';
import { sleep, systemClock, systemRandom } from '../../time/clock.ts';
import { createProviderPool, providerHost } from '../backends/pool.ts';
import type { Claim, Configuration, Registration } from '../model/registration.ts';
import { type AppWebhook, type AppWebhookOutcome, appWebhooks, setAppWebhook } from './deploy/app-webhook.ts';
import { Interruption } from './deploy/interruption.ts';
import { type DeployOptions, type Packed, pack } from './deploy/pack.ts';
import { leftRunners } from './deploy/runners.ts';
import { wayOutIn } from './deploy/way-out.ts';
import { printable, printFields } from './output.ts';
import type { CommandModule, Terminal } from './terminal.ts';

const HELP = `
With --registration the dispatcher serves that registration alone, by default where its first backend is. Without it, it
serves all of them, and --target says where.
The configuration goes along with every secret that it refers to, and nothing else.
`;

export const createCommand: CommandModule['createCommand'] = (terminal) => {
  const command = new Command().addHelpText('after', HELP);
  const add = (name: string, summary: string, run: Action): Command => {
    const sub = common(command.command(name).description(summary));
    return sub.action((folder: string, options: Options) =>
      withDeployer(folder, options, {
        terminal,
        run,
        purpose: name === 'plan' || name === 'apply' ? 'to-deploy' : 'to-find',
      }),
    );
  };
  add('plan', 'show what apply would do; changes nothing', async (session) => {
    const { out } = session.terminal;
    for (const { action, what, why } of await session.deployer.plan(await withKeptImage(session), 'serve')) {
      out(printable(`${action.padEnd(8)}${what}${why === undefined ? '' : ` (${why})`}`).concat('\n'));
    }
  });
  add('apply', 'deploy the dispatcher, or bring the deployed one up to date', async (session) => {
    const deployed = await session.deployer.apply(await withKeptImage(session), 'serve', session.tell);
    await report(session, deployed);
  }).option('--replace-webhook', 'take over the webhook of a GitHub App that delivers elsewhere');
  add(
    'status',
    'show whether it runs, which image, and the problems of its registrations',
    async ({ deployer, options, packed, terminal }) => {
      const { id } = packed.deployment;
      const status = await deployer.status(id);
      if (status === undefined) {
        terminal.error(`shr: nothing is deployed as ${id}\n`);
        terminal.exit(1);
        return;
      }
      const { role, state, image, hash, message, askWith } = status;
      printFields(terminal, [
        ['deployment', id],
        ['state', role === 'drain' ? `${state}, draining` : state],
        ['image', image],
        ['hash', hash],
        ...(message === undefined ? [] : [['says', message] as const]),
        ...(askWith === undefined ? [] : [['ask it', `${askWith} jobs`] as const]),
      ]);
      // Of one alone, with every problem in full.
      const which = options.registration === undefined ? [] : ['show', options.registration];
      const registrations = await deployer.ask?.(id, ['registrations', ...which]);
      if (registrations !== undefined) terminal.out(`\n${printableLines(registrations)}\n`);
      terminal.exit(state === 'healthy' || state === 'ended' ? 0 : 1);
    },
  );
  add('logs', 'print its last output', async ({ deployer, packed, terminal }) => {
    const output = await deployer.logs(packed.deployment.id);
    if (output === undefined) terminal.exit(1);
    terminal.out(output ?? '');
  });
  add('destroy', 'wait for its jobs, then remove it and everything that it started', async (session) => {
    const { deployer, options, packed, tell } = session;
    refuseUnasked(packed.configuration);
    const deployment = await asItRuns(session);
    const pool = createProviderPool({ clock: systemClock, random: systemRandom });
    try {
      await destroy({
        ...{ deployer, tell },
        deployment,
        now: options.now === true,
        runners: () => leftRunners(packed.configuration, pool),
        sleep: (ms) => sleep(systemClock, ms),
      });
    } finally {
      await pool.close();
    }
  }).option('--now', 'do not wait: kill the jobs that run');
  return command;
};

/** What runs at their backends would be left behind unseen. */
function refuseUnasked({ quarantined }: Configuration): void {
  const [first] = quarantined;
  if (first === undefined) return;
  throw new DeploymentRefused(
    `the backends of registration ${first.name} cannot be asked what they still run`,
    'Correct its file, and run it again.',
  );
}

/** An image that was named at an earlier run stays, until another one is named. The usual one gets newer by itself. */
async function withKeptImage({ deployer, options, packed: { deployment }, tell }: Session): Promise<Deployment> {
  if (options.image !== undefined) return deployment;
  const image = (await deployer.status(deployment.id))?.image ?? deployment.image;
  if (image === deployment.image) return deployment;
  if (withoutTag(image) === withoutTag(deployment.image)) {
    tell(`the image changes from ${image} to ${deployment.image}: --image (make: IMAGE=) names another one`);
    return deployment;
  }
  tell(`the image stays ${image}: --image (make: IMAGE=) names another one`);
  return { ...deployment, image };
}

function withoutTag(reference: string): string {
  return reference.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
}

/** The image that runs drains, unless another one is named: the default one may be newer, or not be there. */
async function asItRuns({ deployer, options, packed }: Session): Promise<Deployment> {
  const { deployment } = packed;
  if (options.image !== undefined || options.now === true) return deployment;
  const image = (await deployer.status(deployment.id))?.image ?? deployment.image;
  return { ...deployment, image };
}

type Options = DeployOptions & { readonly now?: boolean; readonly replaceWebhook?: boolean };

interface Session {
  readonly deployer: Deployer;
  readonly packed: Packed;
  readonly options: Options;
  readonly tell: (line: string) => void;
  readonly terminal: Terminal;
}
type Action = (session: Session) => Promise<void>;

function common(command: Command): Command {
  return command
    .argument('[folder]', 'the folder with dispatcher.yaml and registrations/', '.')
    .option('--target <kind>', `where it runs: ${targetKinds.join(', ')}`)
    .option('--registration <name>', 'serve this one alone')
    .option('--backend <name>', 'the backend whose account it runs in')
    .option('--image <reference>', 'of the dispatcher')
    .option('--port <number>', 'where webhooks come to, if not the port of `listen.public`', wholeNumber)
    .option('--cpu <cores>', 'of the dispatcher', positive, 1)
    .option('--memory <GiB>', 'of the dispatcher', positive, 1)
    .option('--url <url>', 'with --registration: where the internet reaches it, for webhooks and call-backs')
    .option('--service-account <email>', 'gcp-cloud-run: of the dispatcher, which gets to read its secret')
    .option('--proxy', 'the proxy and the authorities (NODE_EXTRA_CA_CERTS) of this environment go along')
    .option('--network <name>', 'docker: a network of the engine, or `host`');
}

async function withDeployer(
  folder: string,
  options: Options,
  { run, terminal, purpose }: { run: Action; terminal: Terminal; purpose: 'to-deploy' | 'to-find' },
): Promise<void> {
  let deployer: Deployer | undefined;
  const interruption = new Interruption(terminal);
  try {
    const packed = await pack(folder, options, purpose, terminal);
    const module = await loadDeployer(packed.target);
    deployer = module.create(
      {
        options: packed.targetOptions,
        environment: terminal.environment,
        ...(options.network === undefined ? {} : { network: options.network }),
        ...(options.serviceAccount === undefined ? {} : { serviceAccount: options.serviceAccount }),
      },
      providerHost(systemClock, systemRandom),
    );
    const tell = (line: string) => {
      interruption.told(line);
      terminal.error(`${printable(line)}\n`);
    };
    await run({ deployer, packed, options, terminal, tell });
  } catch (error) {
    terminal.error(`shr: ${problemWords(error, deployer)}\n`);
    terminal.exit(1);
  } finally {
    interruption.end();
    await deployer?.close();
  }
}

function problemWords(error: unknown, deployer: Deployer | undefined): string {
  if (error instanceof DeploymentRefused) return `${error.message}. ${error.cure}`;
  if (!isProviderError(error)) throw error;
  return `${error.message}\n${deployer?.cure?.(error) ?? cures[error.kind]}`;
}

const AGAIN = 'run it again: it goes on where it stopped.';
const cures: Readonly<Record<ProviderErrorKind, string>> = {
  unauthorized: `Give these credentials what the page of the target lists, and ${AGAIN}`,
  capacity: `Wait for stock, or choose another place, and ${AGAIN}`,
  quota: `Ask the service for a larger quota, and ${AGAIN}`,
  throttled: `Wait a minute, and ${AGAIN}`,
  transient: `R${AGAIN.slice(1)}`,
  invalid: `Correct what it says, and ${AGAIN}`,
  conflict: `Remove or rename what has the name, and ${AGAIN}`,
};

async function report(
  { options, packed: { configuration }, terminal }: Session,
  { changed, url: given, urlNote, ledgerNote }: Deployed,
): Promise<void> {
  const { dispatcher, registrations } = configuration;
  const hasWebhooks = dispatcher.webhooks.length > 0 || registrations.some((one) => one.webhookSecrets.length > 0);
  const known = dispatcher.publicListen.url;
  const url = known ?? given;
  terminal.out(changed ? 'the dispatcher is deployed, and ready\n' : 'nothing to change: the dispatcher is ready\n');
  // An address without TLS that was not named is one that GitHub does not reach.
  const isReached = known !== undefined || url.startsWith('https://');
  const settable = isReached ? appWebhooks(configuration, url) : [];
  const set = new Set<string | undefined>();
  for (const webhook of settable) {
    const ways = { clock: systemClock, random: systemRandom, replace: options.replaceWebhook === true };
    const outcome = await setAppWebhook(webhook, ways);
    if (outcome.kind === 'set') set.add(webhook.registration);
    terminal.out(printable(`${webhook.registration ?? 'shared endpoint'}: ${outcomeWords(webhook, outcome)}\n`));
  }
  for (const registration of registrations) {
    const { name, webhookSecrets } = registration;
    if (set.has(name)) continue;
    if (webhookSecrets.length === 0) {
      terminal.out(`${name}: has no webhook secret of its own; ${served(dispatcher)}\n`);
      continue;
    }
    terminal.out(`${name}: add this webhook at ${settingsOf(registration)}\n`);
    printFields(terminal, [
      ['  Payload URL', `${url}/webhooks/github/${name}`],
      ['  Content type', 'application/json'],
      ['  Secret', 'the one that `webhook.secrets` of the registration refers to'],
      ['  Events', 'Workflow jobs'],
    ]);
  }
  // Where all of them poll, nothing has to reach it.
  if (known === undefined && urlNote !== undefined && hasWebhooks) terminal.out(`${urlNote}\n`);
  for (const note of [ledgerNote, ...notTaken(options, terminal)]) terminal.out(`${note}\n`);
}

/** What a dispatcher printed, perhaps in a tenant's account. */
function printableLines(text: string): string {
  return text.trimEnd().split('\n').map(printable).join('\n');
}

function notTaken({ proxy }: Options, { environment }: Terminal): readonly string[] {
  const left = proxy === true ? [] : wayOutIn(environment);
  return [
    ...(left.length === 0
      ? []
      : [`${left.join(' and ')} of this environment did not go along: with --proxy the dispatcher uses the same.`]),
    ...((environment['DATABASE_URL'] ?? '') === ''
      ? []
      : ['DATABASE_URL is set, and is not used: the ledger cannot be in PostgreSQL yet.']),
  ];
}

function served({ webhooks }: Configuration['dispatcher']): string {
  return webhooks.length === 0 ? 'it polls' : 'the shared endpoint serves it, if its webhook speaks for its owner';
}

function outcomeWords({ credentials: { appId }, url }: AppWebhook, outcome: AppWebhookOutcome): string {
  switch (outcome.kind) {
    case 'set': {
      const rest = [
        outcome.subscribes ? '' : "It does not subscribe to jobs: tick 'Workflow job' on the App's page.",
        outcome.isNew ? "It had no webhook: tick 'Active' on the App's page, if it is not ticked." : '',
      ].filter((words) => words !== '');
      return [`App ${appId} delivers to ${url}: set by API.`, ...rest].join(' ');
    }
    case 'elsewhere':
      return `App ${appId} delivers to ${withoutQuery(outcome.url)}, and still does: --replace-webhook has it deliver here.`;
    case 'failed':
      return `the webhook of App ${appId} could not be set: ${outcome.reason}`;
  }
}

/** It may have a token in it. */
function withoutQuery(url: string): string {
  const parsed = URL.parse(url);
  return parsed === null ? 'another address' : `${parsed.origin}${parsed.pathname}`;
}

function settingsOf({ host, claim }: Registration): string {
  return placesOf(claim)
    .map((place) => `https://${host}/${place}`)
    .join(', ');
}

function placesOf(claim: Claim): readonly string[] {
  switch (claim.kind) {
    case 'enterprise':
      return [`enterprises/${claim.enterprise}/settings/hooks`];
    case 'organization':
      return [`organizations/${claim.organization}/settings/hooks/new`];
    case 'user':
      return [`${claim.user}/<repository>/settings/hooks/new`];
    case 'repositories':
      return claim.repositories.map(({ owner, repository }) => `${owner}/${repository}/settings/hooks/new`);
  }
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65_535) throw new InvalidArgumentError('Write 1 to 65535.');
  return value;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('Write a number above 0.');
  return value;
}
