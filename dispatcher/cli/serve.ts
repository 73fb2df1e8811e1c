/**
 * `shr serve`: runs the service. Exits with 0 after SIGTERM or SIGINT; a drain only when it is complete, which is how a
 * container engine and `shr deploy destroy` know it. A second signal ends it at once.
 */

import { access, constants, stat } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import { dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { BUNDLE_KEY } from '../../deployers/tags.ts';
import { type Clock, sleep, systemClock, systemRandom } from '../../time/clock.ts';
import { RefusedBackend } from '../backends/unsafe-process.ts';
import { BUNDLE_PLACES, type Bundle, bundleFiles } from '../config/bundle.ts';
import { type Files, fileProblem, systemFiles } from '../config/files.ts';
import { KeptValues } from '../config/kept-values.ts';
import type { ConfigurationSources } from '../config/load.ts';
import type { ProxySettings } from '../config/proxy.ts';
import { CertificateError } from '../http/certificate.ts';
import { openFilesLimit } from '../http/open-files.ts';
import { LedgerError } from '../ledger/ledger.ts';
import { LastGoodVersions } from '../live/last-good.ts';
import { LiveFiles } from '../live/live-files.ts';
import { Reloading } from '../live/reloading.ts';
import { VersionKeeping } from '../live/version-keeping.ts';
import type { Log } from '../log.ts';
import { type Dispatcher, startDispatcher } from '../main.ts';
import { formatProblem } from '../model/problem.ts';
import type { Configuration, DispatcherConfig } from '../model/registration.ts';
import { createLog } from '../observability/log.ts';
import { Documents, fileOf } from '../sources/documents.ts';
import { Sources } from '../sources/sources.ts';
import { EarlyLedger } from '../wiring.ts';
import { readBundleFile } from './bundle-file.ts';
import { takeWayOut } from './deploy/way-out.ts';
import { type LoadedConfiguration, loadedFrom, sourcesIn } from './loaded-configuration.ts';
import { folderProblem, makeFolder } from './make-folder.ts';
import { counted, printable } from './output.ts';
import { systemSecretValues } from './secret-values.ts';
import { spareMemory, systemMemory } from './spare-memory.ts';
import type { Terminal } from './terminal.ts';

const MAX_NAMED = 20;
const LOOK_MS = 1_000;
const DRAINED = 'drained';

interface ServeOptions {
  readonly config?: string;
  readonly bundle?: string;
  readonly drain?: boolean;
}

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  return new Command('serve')
    .argument('[folder]', 'the folder with dispatcher.yaml and registrations/', '.')
    .option('--config <file>', 'a dispatcher.yaml outside that folder')
    .option('--bundle <file>', 'the configuration as `shr deploy` packs it, in place of a folder')
    .option('--drain', 'launch nothing, wait for the jobs that run, remove idle runners, then end')
    .addHelpText(
      'after',
      '\nThe log goes to standard output, one line of JSON per event. SIGTERM stops it gracefully: exit code 0, or 1 before a drain is complete.\n',
    )
    .action(async (folder: string, options: ServeOptions) => {
      const unusable = terminal.proxy?.problems ?? [];
      for (const problem of unusable) terminal.error(`shr: ${problem}\n`);
      if (unusable.length > 0) {
        terminal.exit(1);
        return;
      }
      // Before anything is read: the signal would end a process that does not listen to it.
      const hangUp = new HangUp();
      let keptValues: KeptValues | undefined;
      const early = new KeptVersions(clock, (line) => terminal.out(line));
      const live =
        options.bundle === undefined ? await liveFiles(folder, options, terminal, { clock, early }) : undefined;
      const loaded = await load(options, terminal, live, {
        knownValues: async (config) => {
          keptValues = await KeptValues.beside(config);
          return keptValues;
        },
        lastGood: (config, name, tenant) => early.of(config, name, tenant),
        asideBefore: (config) => early.aside(config),
        severalBefore: (config) => early.several(config),
      });
      if (loaded === undefined) {
        live?.places.stop();
        await early.close();
        terminal.exit(1);
        return;
      }
      const { configuration, files, proxy } = loaded;
      const log = createLog({ level: configuration.dispatcher.logLevel, clock, write: (line) => terminal.out(line) });
      if (live !== undefined) live.places.log = log;
      else if ((configuration.dispatcher.sources ?? []).length > 0) {
        const cure = 'Serve it from a folder: `shr serve FOLDER`.';
        log.warn('sources-ignored', { reason: 'a bundle is read at the start alone, and its sources are not', cure });
      }
      await tellWayOut({ ...terminal, ...(proxy === undefined ? {} : { proxy }) }, log);
      let dispatcher: Dispatcher;
      let reloading: Reloading | undefined;
      try {
        await preparePlace(configuration.dispatcher.ledgerPath, log);
        const openFiles = await openFilesLimit();
        dispatcher = await startDispatcher({
          ...{ configuration, files, clock, random: systemRandom, log, openFiles },
          ...(early.ledger === undefined ? {} : { ledger: early.ledger }),
          draining: options.drain === true,
          proxied: (proxy ?? terminal.proxy)?.shown !== undefined,
          onPush: (source) => void live?.places.pushed(source)?.wake(),
          ...(live === undefined
            ? {}
            : {
                documents: documentsOf(live, () => reloading?.soon()),
                keptSecretsOf: (registration) => live.files.keptSecretsOf(registration),
              }),
        });
      } catch (error) {
        const problem = startProblem(error, configuration.dispatcher);
        live?.places.stop();
        await early.close();
        if (problem === undefined) throw error;
        terminal.error(`shr: ${problem}\n`);
        terminal.exit(1);
        return;
      }
      const written = keptValues?.write().catch((error: unknown) => {
        log.warn('values-not-kept', { reason: 'the next start has to parse every registration again', error });
      });
      const keeping = new VersionKeeping({ clock, log, versions: dispatcher.versions });
      reloading =
        live === undefined ? undefined : reloadingOf(live, { configuration, dispatcher, keeping, clock, log });
      reloading?.start();
      if (reloading !== undefined) live?.sources.secretValues?.start(log);
      // In the background.
      void keeping.keep(loaded, configuration);
      hangUp.follow(() => reload(reloading, log));
      // Not at the end alone: a process that is killed would keep nothing for the next start.
      flushCompileCache();
      const endSpareMemory = spareMemory({
        clock,
        ...systemMemory(),
        failed: (error) => log.warn('memory-not-given-back', { error }),
      });
      const drained = options.drain === true ? emptied(dispatcher, clock, log) : new Promise<never>(() => {});
      const signal = await Promise.race([nextSignal(), drained]);
      endSpareMemory();
      if (signal !== DRAINED) log.info('signal', { signal });
      process.once('SIGTERM', () => process.exit(1));
      process.once('SIGINT', () => process.exit(1));
      // Not waited for: where files are slow to read, it must not take the time of the runners.
      void reloading?.stop();
      live?.places.stop();
      await Promise.all([dispatcher.stop(), written, keeping.stop()]);
      // Long polls of SDKs and keep-alive sockets must not keep a stopped service running.
      process.exit(options.drain === true && signal !== DRAINED ? 1 : 0);
    });
}

/** How outgoing connections are made, and which certificate authorities they trust in addition to the default ones. */
async function tellWayOut({ proxy, environment }: Terminal, log: Log): Promise<void> {
  if (proxy?.shown !== undefined) log.info('proxy', { ...proxy.shown });
  for (const reason of proxy?.notes ?? []) log.warn('proxy-in-part', { reason });
  const file = environment['NODE_EXTRA_CA_CERTS'];
  if (file === undefined || file === '') return;
  const readable = await access(file, constants.R_OK).then(
    () => true,
    () => false,
  );
  if (readable) log.info('authorities', { file });
  else
    log.warn('authorities', { file, reason: 'NODE_EXTRA_CA_CERTS names a file that cannot be read: it is not used' });
}

/** The ledger's folder, accessible only to its owner if it has to be created. */
async function preparePlace(ledgerPath: string, log: Log): Promise<void> {
  if (ledgerPath === ':memory:') return;
  const folder = dirname(ledgerPath);
  const { mode } = await makeFolder(folder, 0o700)
    .then(() => stat(folder))
    .catch(async (error: unknown) => {
      const problem = await folderProblem(folder, error);
      if (problem === undefined) throw error;
      const words = `the folder of the ledger cannot be used: ${problem.message}`;
      throw new LedgerError(
        'unavailable',
        `${words}. ${problem.cure} It is set by \`ledger\` in dispatcher.yaml.`,
        error,
      );
    });
  // A sticky folder, such as /tmp, lets others add files but not replace this one.
  const replaceable = (mode & 0o022) !== 0 && (mode & 0o1000) === 0;
  if (!replaceable) return;
  log.warn('ledger-folder-open', {
    folder,
    reason: 'other users of this machine can replace the ledger',
    cure: `chmod go-w ${folder}`,
  });
}

type StartedWith = Extract<LoadedConfiguration, { readonly ok: true }>;

/** What registrations said last without a problem, before the dispatcher has started. */
class KeptVersions {
  readonly #clock: Clock;
  readonly #write: (line: string) => void;
  #opening: Promise<LastGoodVersions | undefined> | undefined;
  /** Undefined: it did not have to be opened. */
  ledger: EarlyLedger | undefined;

  constructor(clock: Clock, write: (line: string) => void) {
    this.#clock = clock;
    this.#write = write;
  }

  async of(dispatcher: DispatcherConfig, name: string, tenant?: string): Promise<string | undefined> {
    this.#opening ??= this.#open(dispatcher);
    return await (await this.#opening)?.of(name, tenant);
  }

  async aside(dispatcher: DispatcherConfig): Promise<ReadonlySet<string>> {
    this.#opening ??= this.#open(dispatcher);
    return (await (await this.#opening)?.aside()) ?? new Set();
  }

  async several(dispatcher: DispatcherConfig): Promise<ReadonlyMap<string, readonly string[]>> {
    this.#opening ??= this.#open(dispatcher);
    return (await (await this.#opening)?.several()) ?? new Map();
  }

  /** Undefined: there is none yet. */
  async ledgerOf(dispatcher: DispatcherConfig): Promise<EarlyLedger | undefined> {
    this.#opening ??= this.#open(dispatcher);
    await this.#opening;
    return this.ledger;
  }

  /** Where the start ends: another dispatcher may have the ledger open still, and goes on with it. Never rejects. */
  async close(): Promise<void> {
    await this.#opening;
    await this.ledger?.ledger.close().catch(() => {});
  }

  async #open(dispatcher: DispatcherConfig): Promise<LastGoodVersions | undefined> {
    try {
      if (dispatcher.postgres === undefined) await access(dispatcher.ledgerPath);
      const log = createLog({ level: dispatcher.logLevel, clock: this.#clock, write: this.#write });
      this.ledger = await EarlyLedger.open(dispatcher, this.#clock, log);
      return new LastGoodVersions(this.ledger.ledger, dispatcher);
    } catch {
      // There is none yet; or the start meets the same, and says it.
      return undefined;
    }
  }
}

/** SIGHUP: one that comes before there is anything to do is not forgotten. */
class HangUp {
  #came = false;
  #action: (() => void) | undefined;

  constructor() {
    process.on('SIGHUP', () => {
      if (this.#action === undefined) this.#came = true;
      else this.#action();
    });
  }

  follow(action: () => void): void {
    this.#action = action;
    if (this.#came) action();
  }
}

function reload(reloading: Reloading | undefined, log: Log): void {
  if (reloading !== undefined) {
    log.info('signal', { signal: 'SIGHUP' });
    void reloading.now();
    return;
  }
  log.warn('signal-ignored', {
    signal: 'SIGHUP',
    reason: 'the configuration is in a bundle, which is read at the start',
    cure: 'deploy it again to change it',
  });
}

interface ReloadedParts {
  readonly configuration: Configuration;
  readonly dispatcher: Dispatcher;
  readonly keeping: VersionKeeping;
  readonly clock: Clock;
  readonly log: Log;
}

async function liveFiles(
  folder: string,
  { config }: ServeOptions,
  terminal: Terminal,
  { clock, early }: { readonly clock: Clock; readonly early: KeptVersions },
): Promise<LiveConfigurationFiles> {
  const places = new Sources({ clock, environment: terminal.environment });
  const documents = new Documents();
  let isStarted = false;
  const sources = {
    ...(await sourcesIn(folder, config, terminal)),
    elsewhere: async (dispatcher: DispatcherConfig) => {
      const git = await places.follow(dispatcher);
      if (!isStarted) {
        const found = await early.ledgerOf(dispatcher);
        if (found !== undefined) await documents.open(found.ledger);
      }
      isStarted = true;
      return [...git, documents];
    },
  };
  const files = new LiveFiles(sources, { now: () => clock.now(), elsewhere: () => [...places.all, documents] });
  return { sources, files, places, documents };
}

/** `apply`: nothing happens where the dispatcher has not started, or has stopped. */
function documentsOf({ documents, files }: LiveConfigurationFiles, apply: () => Promise<void> | undefined) {
  return {
    kept: documents,
    check: (name: string, text: string, present: Configuration) =>
      files.check({ name, file: fileOf(name), text }, present),
    apply: async () => await apply(),
  };
}

interface LiveConfigurationFiles {
  readonly sources: ConfigurationSources;
  readonly files: LiveFiles;
  readonly places: Sources;
  readonly documents: Documents;
}

function reloadingOf(
  { sources, files }: LiveConfigurationFiles,
  { configuration, dispatcher, keeping, clock, log }: ReloadedParts,
): Reloading {
  const { dispatcherFile, registrationsFolder } = sources;
  return new Reloading({
    ...{ clock, log, dispatcherFile, registrationsFolder },
    stamps: files.stamps,
    read: (what) => files.read(what, dispatcher.versions),
    versions: keeping,
    started: configuration,
    apply: (next) => dispatcher.reconfigure(next),
  });
}

function bundleSources(packed: Bundle, terminal: Terminal): Omit<ConfigurationSources, 'provider'> {
  const environment = { ...terminal.environment, ...packed.environment };
  return { ...BUNDLE_PLACES, environment, files: bundleFiles(packed), secretValues: systemSecretValues(environment) };
}

interface LoadedForService extends Pick<StartedWith, 'configuration' | 'good' | 'isComplete' | 'several'> {
  /** Where its files are. */
  readonly files: Files;
  /** Of a bundle. */
  readonly proxy: ProxySettings | undefined;
}

async function load(
  { bundle }: ServeOptions,
  terminal: Terminal,
  live: LiveConfigurationFiles | undefined,
  memories: Pick<ConfigurationSources, 'asideBefore' | 'knownValues' | 'lastGood' | 'severalBefore'>,
): Promise<LoadedForService | undefined> {
  const packed = bundle === undefined ? undefined : await readBundle(resolve(terminal.workingFolder, bundle), terminal);
  if (bundle !== undefined && packed === undefined) return undefined;
  const proxy = takeWayOut(packed?.environment ?? {});
  for (const problem of proxy?.problems ?? []) terminal.error(`shr: ${problem}\n`);
  if (proxy !== undefined && proxy.problems.length > 0) return undefined;
  const files = packed === undefined ? systemFiles : bundleFiles(packed);
  const sources =
    packed === undefined ? live && { ...live.sources, memory: live.files.memory } : bundleSources(packed, terminal);
  if (sources === undefined) return undefined;
  const loaded = await loadedFrom({ ...sources, ...memories }, terminal);
  for (const problem of loaded.problems) terminal.error(`${printable(formatProblem(problem))}\n`);
  for (const note of loaded.notes) terminal.error(`note: ${printable(formatProblem(note))}\n`);
  if (!loaded.ok) {
    const count = loaded.problems.length;
    terminal.error(`shr: not started: ${counted(count, 'problem')} in the configuration\n`);
    return undefined;
  }
  const { registrations, quarantined } = loaded.configuration;
  if (quarantined.length > 0) {
    const names = quarantined.map(({ name }) => printable(name)).slice(0, MAX_NAMED);
    const more = quarantined.length > names.length ? `, and ${quarantined.length - names.length} more` : '';
    terminal.error(`shr: set aside until their problems are corrected: ${names.join(', ')}${more}\n`);
    terminal.error(`shr: serving ${registrations.length} of ${registrations.length + quarantined.length}\n`);
  }
  for (const { name, problems } of loaded.configuration.kept ?? []) {
    const count = counted(problems.length, 'problem');
    terminal.error(`shr: ${printable(name)}: its file has ${count}, and its last version without them is in force\n`);
  }
  const { configuration, good, isComplete, several } = loaded;
  return { configuration, good, isComplete, several, files, proxy };
}

/** Undefined after the problem was printed. */
async function readBundle(file: string, terminal: Terminal): Promise<Bundle | undefined> {
  let bundle: Bundle | undefined;
  try {
    bundle = await readBundleFile(file, terminal.environment);
  } catch (error) {
    const { message, cure } = fileProblem(error);
    terminal.error(`shr: the bundle ${file} cannot be read: ${message}. ${cure}\n`);
    return undefined;
  }
  // Child processes need not have it.
  delete process.env[BUNDLE_KEY];
  if (bundle === undefined) {
    terminal.error(`shr: ${file} is not a bundle that this version reads. Deploy again with \`shr deploy apply\`.\n`);
  }
  return bundle;
}

/** Resolves when everything that runs somewhere was listed, and nothing is left of it. */
async function emptied(dispatcher: Dispatcher, clock: Clock, log: Log): Promise<typeof DRAINED> {
  let said = '';
  for (;;) {
    const left = await dispatcher.left();
    if (left.length === 0) break;
    const words = left.join('; ');
    if (words !== said) log.info('draining', { left });
    said = words;
    await sleep(clock, LOOK_MS);
  }
  log.info(DRAINED, { reason: 'nothing runs any more' });
  return DRAINED;
}

/** A message for the operator; undefined for a defect of the program. */
function startProblem(error: unknown, dispatcher: DispatcherConfig): string | undefined {
  if (error instanceof LedgerError || error instanceof RefusedBackend) return error.message;
  if (error instanceof CertificateError) return `${error.message}. Correct \`listen.public.tls\` in dispatcher.yaml.`;
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  const { publicListen, adminListen } = dispatcher;
  const port = 'port' in error ? error.port : undefined;
  const both = publicListen.port === adminListen.port;
  // The admin listener is opened first.
  const [key, { host }] =
    port === adminListen.port && !both ? (['admin', adminListen] as const) : (['public', publicListen] as const);
  const address = `${host}:${port}`;
  const setting = `\`listen.${key}\` in dispatcher.yaml`;
  switch (error.code) {
    case 'EADDRINUSE':
      return `another program listens on ${address}. Stop it, or change ${setting}.`;
    case 'EACCES':
      return `permission to listen on ${address} is denied. Set ${setting} to a port above 1023.`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${host} is not an address of this machine. Correct ${setting}.`;
    default:
      return undefined;
  }
}

function nextSignal(): Promise<string> {
  return new Promise((resolve) => {
    const end = (signal: string) => {
      process.off('SIGTERM', end);
      process.off('SIGINT', end);
      resolve(signal);
    };
    process.on('SIGTERM', end);
    process.on('SIGINT', end);
  });
}
