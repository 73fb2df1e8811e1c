/** From a folder with a configuration to what a deployer takes. */
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { type Deployment, DeploymentRefused, type EngineSocket } from '../../../deployers/deployer.ts';
import { loadDeployer, targetKinds } from '../../../deployers/index.ts';
import { slowHash } from '../../../deployers/tags.ts';
import manifest from '../../../package.json' with { type: 'json' };
import { loadProvider } from '../../../providers/index.ts';
import { BUNDLE_FOLDER, BUNDLE_PLACES, canonical, encodeBundle, recordSources } from '../../config/bundle.ts';
import type { Platform } from '../../config/dispatcher.ts';
import { type Files, fileProblem, systemFiles } from '../../config/files.ts';
import { inspectConfiguration, REGISTRATION_BOUNDS } from '../../config/load.ts';
import { isUnresolved } from '../../config/references.ts';
import { sealedReach } from '../../config/sealed-values.ts';
import { tenantLookup } from '../../config/tenants.ts';
import { CertificateError, readCertificateFile, readKeyPair } from '../../http/certificate.ts';
import { formatPath, formatProblem } from '../../model/problem.ts';
import type { Backend, Configuration, Registration } from '../../model/registration.ts';
import { type ConfigurationFiles, configurationFiles } from '../configuration-files.ts';
import { loadedFrom, unknownRegistration } from '../loaded-configuration.ts';
import { printable } from '../output.ts';
import { shownPath } from '../shown-path.ts';
import type { Terminal } from '../terminal.ts';
import { ownAdminToken, ownDispatcherYaml, ownId, withoutSeals } from './own-configuration.ts';
import { packedWayOut } from './way-out.ts';

export interface DeployOptions {
  readonly target?: string;
  readonly registration?: string;
  readonly backend?: string;
  readonly image?: string;
  readonly port?: number;
  readonly cpu: number;
  readonly memory: number;
  readonly network?: string;
  readonly url?: string;
  readonly serviceAccount?: string;
  /** How this environment reaches the internet goes along. */
  readonly proxy?: boolean;
}

export interface Packed {
  readonly target: string;
  /** Of the provider: the account, and where in it. */
  readonly targetOptions: unknown;
  readonly deployment: Deployment;
  readonly configuration: Configuration;
}

/** In the files of a dispatcher for one registration. */
const OWN_TOKEN_FILE = 'secrets/deployment-admin-token';
/** From the stop timeout of the dispatcher to SIGKILL. */
const GRACE_AFTER_SHUTDOWN_S = 10;
/** Of one that is found or drains: no runner is told it, and registrations that need an address need not hear it again. */
const UNUSED_URL = 'https://unused.invalid';
const LOOPBACK = /^(?:127\.|localhost$|::1$)/;

/**
 * Rejects with DeploymentRefused. `to-deploy`: a dispatcher must be able to run with it; for any other purpose the image may
 * be empty, and where it would listen does not matter.
 */
export async function pack(
  folder: string,
  options: DeployOptions,
  purpose: 'to-deploy' | 'to-find',
  terminal: Terminal,
): Promise<Packed> {
  const places = await configurationFiles(resolve(terminal.workingFolder, folder), undefined);
  const { registration } = options;
  const url = options.url ?? (purpose === 'to-find' ? UNUSED_URL : undefined);
  const files =
    registration === undefined
      ? systemFiles
      : await ownFiles(places, { registration, ...(url === undefined ? {} : { url }) }, terminal);
  const recorded = recordSources({ files, environment: terminal.environment }, (path) => placeInBundle(path, places));
  const loaded = await loadedFrom({ ...places, files: recorded.files, environment: recorded.environment }, terminal);
  for (const problem of loaded.problems) terminal.error(`${printable(formatProblem(problem))}\n`);
  if (!loaded.ok) throw new DeploymentRefused('the configuration has problems', 'Correct them, and run it again.');
  const { configuration } = loaded;
  if (registration !== undefined && configuration.quarantined.length > 0) {
    throw new DeploymentRefused(`registration ${registration} has problems`, 'Correct them, and run it again.');
  }
  const target = targetOf(options, configuration);
  await readCertificate(configuration, recorded.files);
  const wayOut = options.proxy === true ? await wayOutOf(terminal) : {};
  const read = recorded.bundle();
  const bundle = { ...read, environment: { ...read.environment, ...wayOut } };
  const { id, publicListen, adminListen, shutdownMs } = configuration.dispatcher;
  const image = options.image ?? (target === 'docker' ? `serverless-hosted-runner:${manifest.version}` : '');
  if (purpose === 'to-deploy') {
    requireImage(image, target);
    requireReachable(configuration, options, places);
  }
  const engineSocket = await engineSocketOf(configuration, target, terminal);
  return {
    target,
    targetOptions: accountOf(options, configuration, target),
    configuration,
    deployment: {
      id,
      image,
      bundle: encodeBundle(bundle),
      bundleHash: slowHash(canonical(bundle), id),
      cpu: options.cpu,
      memoryGiB: options.memory,
      listenPort: publicListen.port,
      ...(publicListen.tls === undefined ? {} : { speaksTls: true as const }),
      adminPort: adminListen.port,
      publicPort: options.port ?? publicListen.port,
      stopGraceS: Math.ceil(shutdownMs / 1000) + GRACE_AFTER_SHUTDOWN_S,
      ...(engineSocket === undefined ? {} : { engineSocket }),
    },
  };
}

/** The files of the folder, as a dispatcher for one registration sees them. */
async function ownFiles(
  places: ConfigurationFiles,
  { registration: alias, url }: { readonly registration: string; readonly url?: string },
  terminal: Terminal,
): Promise<Files> {
  const { platform, platformProblems, registrations, quarantined, good } = await inspectConfiguration(
    { ...places, environment: terminal.environment, files: systemFiles, provider: loadProvider, secrets: 'optional' },
    'required',
  );
  if (platform.config === undefined) {
    for (const { file, ...rest } of platformProblems) {
      const problem = { ...rest, file: shownPath(terminal.workingFolder, file) };
      terminal.error(`${printable(formatProblem(problem))}\n`);
    }
    throw new DeploymentRefused(
      'nothing can be deployed from this folder as it is',
      'Correct it, or name another one (make: CONFIG=FOLDER).',
    );
  }
  if (![...registrations, ...quarantined].some(({ name }) => name === alias)) {
    throw new DeploymentRefused(unknownRegistration(alias, registrations), 'Name one with --registration.');
  }
  const { id: platformId, adminToken } = platform.config;
  if (isUnresolved(adminToken)) {
    throw new DeploymentRefused('the admin token of dispatcher.yaml is missing', 'Run `shr validate --secrets`.');
  }
  const id = ownId(platformId, alias);
  const { dispatcherFile, registrationsFolder } = places;
  const file = `${alias}.yaml`;
  const tokenFile = join(dirname(dispatcherFile), OWN_TOKEN_FILE);
  const registrationFile = join(registrationsFolder, file);
  // What it extends, and a file of several, stay here.
  const whole = good.find(({ name }) => name === alias)?.text;
  const written = whole ?? (await registrationText(registrationFile, alias));
  const unsealed = unsealedText(written, alias, platform);
  const registration = unsealed?.text ?? written;
  const secrets = new Map(
    [...(unsealed?.secrets ?? [])].map(([path, text]) => [join(dirname(dispatcherFile), path), text]),
  );
  return {
    async read(path, bounds) {
      if (path === tokenFile) return { text: ownAdminToken(adminToken.reveal(), id), readableBy: 'owner' };
      const secret = secrets.get(path);
      if (secret !== undefined) return { text: secret, readableBy: 'owner' };
      if (path === registrationFile) return { text: registration, readableBy: 'owner' };
      const content = await systemFiles.read(path, bounds);
      if (path !== dispatcherFile) return content;
      const adminTokenReference = `\${file:${OWN_TOKEN_FILE}}`;
      return {
        ...content,
        text: ownDispatcherYaml(content.text, {
          ...{ name: alias, id, adminToken: adminTokenReference },
          ...{ registration: written, url },
        }),
      };
    },
    list: async (folder) => (folder === registrationsFolder ? [file] : systemFiles.list(folder)),
  };
}

async function registrationText(file: string, alias: string): Promise<string> {
  try {
    return (await systemFiles.read(file, { mostBytes: REGISTRATION_BOUNDS.bytes })).text;
  } catch {
    throw new DeploymentRefused(`registration ${alias} has problems`, 'Run `shr validate`, and correct them.');
  }
}

/** Undefined if nothing is sealed in it. What does not open is refused: `shr validate --secrets` says why. */
function unsealedText(text: string, alias: string, platform: Platform): ReturnType<typeof withoutSeals> {
  const owner = tenantLookup(platform.tenants ?? [])(alias)[0]?.name ?? alias;
  const reach = sealedReach(alias, platform);
  return withoutSeals(text, `secrets/${owner}`, (sealed, path) => {
    const found = reach.open(sealed, path);
    if (found.outcome === 'value') return found.value;
    const { message, cure } = found.outcome === 'none' ? { message: 'it is empty', cure: 'Seal it again.' } : found;
    throw new DeploymentRefused(`${alias}: ${formatPath(path)}: ${message}`, cure);
  });
}

/** It is not part of the configuration's own reading. */
async function readCertificate({ dispatcher }: Configuration, files: Files): Promise<void> {
  const { tls } = dispatcher.publicListen;
  if (tls === undefined) return;
  try {
    await readKeyPair(tls, (path) => readCertificateFile(files, path));
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    throw new DeploymentRefused(error.message, 'Correct `listen.public.tls` in dispatcher.yaml, or the files.');
  }
}

async function wayOutOf({ environment }: Terminal): Promise<Readonly<Record<string, string>>> {
  try {
    return await packedWayOut(environment);
  } catch (error) {
    const { message, cure } = fileProblem(error);
    throw new DeploymentRefused(`the file that NODE_EXTRA_CA_CERTS names cannot be packed: ${message}`, cure);
  }
}

function placeInBundle(path: string, { dispatcherFile, registrationsFolder }: ConfigurationFiles): string | undefined {
  if (path === dispatcherFile) return BUNDLE_PLACES.dispatcherFile;
  if (dirname(path) === registrationsFolder) return join(BUNDLE_PLACES.registrationsFolder, basename(path));
  const inside = relative(dirname(dispatcherFile), path);
  return inside === '..' || inside.startsWith(`..${sep}`) ? undefined : join(BUNDLE_FOLDER, inside);
}

function targetOf({ target, registration }: DeployOptions, { registrations }: Configuration): string {
  const own = registration === undefined ? undefined : registrations[0]?.backends[0]?.kind;
  const chosen = target ?? own;
  if (chosen !== undefined && targetKinds.includes(chosen)) return chosen;
  const cure = `Write --target ${targetKinds.join(' or ')} (make: TARGET=${targetKinds[0]}).`;
  throw chosen === undefined
    ? new DeploymentRefused('it does not say where the dispatcher should run', cure)
    : new DeploymentRefused(`a dispatcher cannot be deployed to ${chosen}`, cure);
}

/** The account that the named backend uses, or the first one of the target's kind, those of dispatcher.yaml first. */
function accountOf({ backend: name }: DeployOptions, { registrations }: Configuration, target: string): unknown {
  const all = registrations.flatMap(({ backends }) => backends);
  const fitting = all.filter(
    (backend) =>
      backend.kind === target && backend.closed === undefined && (name === undefined || backend.name === name),
  );
  const chosen: Backend | undefined = fitting.find(({ shared }) => shared === true) ?? fitting[0];
  if (chosen !== undefined) return chosen.options;
  // This machine's engine.
  if (target === 'docker' && name === undefined) return {};
  throw new DeploymentRefused(
    `no registration has a backend ${name === undefined ? '' : `${name} `}of kind ${target}, whose account would be used`,
    'Add one, or choose another target.',
  );
}

function requireImage(image: string, target: string): void {
  if (image !== '') return;
  throw new DeploymentRefused(
    `it does not say which image ${target} should run`,
    'Push the dispatcher’s image where the service can pull it (`make dispatcher-image TAG=… PUSH=1`), and name it with --image.',
  );
}

function requireReachable(
  { dispatcher }: Configuration,
  { network }: DeployOptions,
  { dispatcherFile }: ConfigurationFiles,
): void {
  const { publicListen, adminListen, ledgerPath } = dispatcher;
  if (publicListen.port === 0 || adminListen.port === 0) {
    throw new DeploymentRefused(
      'port 0 takes any free port, which nothing outside knows',
      'Give `listen` fixed ports.',
    );
  }
  if (LOOPBACK.test(publicListen.host) && network !== 'host') {
    throw new DeploymentRefused(
      `the dispatcher would listen on ${publicListen.host} of its own container alone`,
      `Write \`listen: { public: 0.0.0.0:${publicListen.port} }\` into dispatcher.yaml.`,
    );
  }
  const inConfiguration = !relative(dirname(dispatcherFile), ledgerPath).startsWith('..');
  if (ledgerPath !== ':memory:' && !inConfiguration && !ledgerPath.startsWith(`${BUNDLE_FOLDER}/`)) {
    throw new DeploymentRefused(
      `the ledger ${ledgerPath} is outside the one folder that a deployed dispatcher may write to`,
      `Give \`ledger\` in dispatcher.yaml a relative path, or one in ${BUNDLE_FOLDER}/.`,
    );
  }
}

async function engineSocketOf(
  { registrations }: Configuration,
  target: string,
  { environment }: Terminal,
): Promise<EngineSocket | undefined> {
  const module = await loadDeployer('docker');
  const found = registrations.flatMap((registration: Registration) =>
    registration.backends.flatMap(({ kind, name, options, closed }) => {
      if (kind !== 'docker' || closed !== undefined) return [];
      const socket = module.engineSocket?.(options, environment);
      return socket === undefined ? [] : [{ socket, where: `${registration.name}/${name}` }];
    }),
  );
  const [first] = found;
  if (first === undefined) return undefined;
  if (target !== 'docker') {
    throw new DeploymentRefused(
      `backend ${first.where} uses the Docker engine of the dispatcher's own machine, and ${target} has none`,
      'Give it the `host` of an engine, or choose --target docker.',
    );
  }
  const other = found.find(({ socket }) => socket.source !== first.socket.source);
  if (other !== undefined) {
    throw new DeploymentRefused(
      `${first.where} and ${other.where} use two engines of one machine`,
      'Give one of them the `host` of its engine.',
    );
  }
  return first.socket;
}
