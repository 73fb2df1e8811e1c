/**
 * `shr explain`: what a job with these labels in this repository would get, or why not. By the files, or by a dispatcher that
 * runs, where one is named.
 */
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { loadProvider } from '../../providers/index.ts';
import { createAdmit } from '../admission/admit.ts';
import type { BackendFit } from '../admission/backend-choice.ts';
import { type GrantedBy, grantedBy } from '../admission/granted.ts';
import { presetsUsed, type UsedPreset } from '../admission/presets.ts';
import { whyWithheld } from '../admission/tenant-grant.ts';
import { shapeInWords } from '../admission/wish-words.ts';
import type { Platform } from '../config/dispatcher.ts';
import { systemFiles } from '../config/files.ts';
import { type Inspection, inspectConfiguration, unreadSources } from '../config/load.ts';
import type { Admission, JobSubject, LaneSpec } from '../jobs/lane.ts';
import { scopePath } from '../jobs/scope.ts';
import { isBuiltIn, readLabels } from '../labels/grammar.ts';
import { collectOverrides } from '../labels/overrides.ts';
import { foldLabel } from '../labels/values.ts';
import type { Registration } from '../model/registration.ts';
import { localUrl } from './admin-target.ts';
import { configurationFiles, exportedPlatform } from './configuration-files.ts';
import { explainRunning, type JobOptions, type RunningOptions } from './explain-running.ts';
import { loadFits } from './fits.ts';
import { printFields, printJson, printTable } from './output.ts';
import { shownPath } from './shown-path.ts';
import { type SizeLimits, sizeLimitsInWords, sizeLimitsOf } from './size-limits.ts';
import { type CommandModule, collect, type Terminal } from './terminal.ts';
import { unclaimedCure } from './unclaimed.ts';

interface ExplainOptions extends JobOptions, RunningOptions {
  readonly labels?: readonly string[];
  readonly label?: readonly string[];
  readonly folder: string;
  readonly config?: string;
  readonly platform?: string;
}

export const createCommand: CommandModule['createCommand'] = (terminal) => {
  const command = new Command()
    .requiredOption('--repo <owner/name>', "the job's repository (required)", parseRepository)
    .option('--labels <a,b>', 'the labels of `runs-on`, separated by commas', splitLabels)
    .option(
      '--label <label>',
      'one label as it is, commas included; may be repeated, in place of --labels or beside it',
      collect,
    )
    .option('--host <host>', 'the GitHub host', 'github.com')
    .option('--public', 'the repository is public (default: private)')
    .option('--fork', 'its code comes from a fork, as that of a pull request may (default: from the repository itself)')
    .option('--workflow <name>', 'the name of the workflow, where a policy depends on it')
    .option('--branch <name>', 'the branch of the commit, where a policy depends on it')
    .option('--event <name>', 'what starts the run, such as push, where a policy depends on it')
    .option('--actor <login>', 'who starts the run, where a policy depends on it')
    .option('--folder <folder>', 'the folder with dispatcher.yaml and registrations/', '.')
    .option('--config <file>', 'a dispatcher.yaml outside that folder')
    .addOption(
      new Option('--platform <file>', 'a platform.json in the place of dispatcher.yaml: see shr validate').conflicts(
        'config',
      ),
    )
    .addOption(running('--url <url>', 'ask the dispatcher at this admin listener, in place of files'))
    .addOption(running('--token-file <path>', 'likewise, with the token in this file'))
    .addOption(running('--profile <name>', 'ask a dispatcher that `shr login` keeps, in place of files'))
    .option('--json', 'print { outcome, … }');
  return command.action(async (options: ExplainOptions) => {
    const labels = [...(options.labels ?? []), ...(options.label ?? [])];
    // `--labels ""` is a job without labels: only `runs-on: group:`.
    if (options.labels === undefined && options.label === undefined) {
      command.error("error: name the job's labels with --labels or --label");
    }
    const isRunning = [options.url, options.tokenFile, options.profile].some((flag) => flag !== undefined);
    if (isRunning) await explainRunning(labels, options, terminal);
    else await explain(labels, options, terminal);
  });
};

/** Files say nothing of what a running dispatcher has in force. */
function running(flags: string, description: string): Option {
  return new Option(flags, description).conflicts(['config', 'platform', 'folder']);
}

function parseRepository(text: string): { readonly owner: string; readonly repository: string } {
  const [owner, repository, ...more] = text.split('/');
  if (!owner || !repository || more.length > 0) throw new InvalidArgumentError('Write it as owner/name.');
  return { owner, repository };
}

function splitLabels(text: string, before: readonly string[] = []): readonly string[] {
  const labels = text.split(',').map((label) => label.trim());
  return [...before, ...labels.filter((label) => label !== '')];
}

async function explain(labels: readonly string[], options: ExplainOptions, terminal: Terminal): Promise<void> {
  const at = (path: string): string => resolve(terminal.workingFolder, path);
  const config = options.config === undefined ? undefined : at(options.config);
  const platform = options.platform === undefined ? undefined : at(options.platform);
  const files = await configurationFiles(at(options.folder), config);
  const inspection = await inspectConfiguration(
    {
      ...files,
      exportedPlatform: await exportedPlatform(files, { config, platform }),
      environment: terminal.environment,
      files: systemFiles,
      provider: loadProvider,
      secrets: 'optional',
    },
    options.config === undefined ? 'optional' : 'required',
  );
  if (inspection.problems.length > 0) {
    const count = inspection.problems.length === 1 ? 'a problem' : `${inspection.problems.length} problems`;
    terminal.error(`The configuration has ${count}; what follows may not hold. See \`shr validate\`.\n`);
  }
  const job: JobSubject = {
    host: options.host.toLowerCase(),
    ...options.repo,
    labels,
    workflow: options.workflow ?? null,
    branch: options.branch ?? null,
    event: options.event ?? null,
    actors: options.actor === undefined ? null : [options.actor],
    isFork: options.fork === true,
    visibility: options.public === true ? 'public' : 'private',
  };
  // As `serve` would: a registration that is set aside gets nothing, and keeps its jobs from other registrations.
  const aside = new Set(inspection.quarantined.map(({ name }) => name));
  const registrations = inspection.registrations.filter(({ name }) => !aside.has(name));
  const { tenants } = inspection.platform;
  const setAside = inspection.quarantined.flatMap(({ claims }) => (claims === undefined ? [] : [claims]));
  const unread = inspection.quarantined.flatMap(({ name, claims }) => (claims === undefined ? [name] : []));
  // The matching registration determines whose providers to load; they then take part in the decision.
  const matched = registrationOf(createAdmit(registrations, { tenants, setAside })(job), registrations);
  const fits = matched === undefined ? undefined : await loadFits(matched);
  try {
    const providers: ReadonlyMap<string, BackendFit> = fits?.providers ?? new Map();
    const backendFit = (_: string, backend: string) => providers.get(backend);
    const admission = await placed(
      createAdmit(registrations, { tenants, setAside, unread, backendFit })(job),
      inspection,
      terminal,
    );
    const unreadNotes = notRead(admission, job, files.dispatcherFile, inspection.platform);
    const found: Found = {
      fits: providers,
      observes: matched?.observe === true,
      granted: admission.outcome === 'lane' ? grantedBy(admission.lane, job, registrations, tenants) : undefined,
      presets: presetsOf(matched, labels),
      unclaimed: admission.outcome === 'not-ours' ? unclaimedCure(job, registrations) : undefined,
      notes: [...[organizationNote(admission, registrations)].filter((one) => one !== undefined), ...unreadNotes],
      isPartial: unreadNotes.length > 0,
      limits: matched && sizeLimitsOf(matched),
      unsized: (backend) => whyUnsized(matched, backend, inspection.platformFile?.isExport === true),
      withheld: (lane, backend) => (matched === undefined ? undefined : whyWithheld(matched, backend, job, lane.wish)),
    };
    if (options.json === true) printJson(terminal, describe(admission, found));
    else print(admission, found, terminal);
    terminal.exit(admission.outcome === 'lane' ? 0 : 1);
  } finally {
    await fits?.close();
  }
}

/** With the line of the registration's file, if one of its fields decided. */
async function placed(admission: Admission, { placeOf }: Inspection, terminal: Terminal): Promise<Admission> {
  if (admission.outcome !== 'refused' || admission.field === undefined || admission.place !== undefined) {
    return admission;
  }
  const { field, registration } = admission;
  const found = await placeOf(registration, field.split('.'));
  if (found === undefined) return admission;
  // Of a base of dispatcher.yaml, the words say where that stands.
  const { file, line, column, message } = found;
  const place = `${shownPath(terminal.workingFolder, file)}:${line}:${column}`;
  return { ...admission, place: `${place} (${field})${message}` };
}

/** They are at GitHub, and a running dispatcher has read them. */
function organizationNote(admission: Admission, registrations: readonly Registration[]): string | undefined {
  if (admission.outcome === 'not-ours') return undefined;
  const name = admission.outcome === 'lane' ? admission.lane.registration : admission.registration;
  const mode = registrations.find((one) => one.name === name)?.organizationDefaults;
  return mode === undefined
    ? undefined
    : `the defaults of the organization (${mode}) are not read here: ask a running dispatcher with --url or --profile`;
}

/** Registrations that are not in the files: of sources, and what the API of a dispatcher that serves these files was given. */
function notRead(
  admission: Admission,
  job: JobSubject,
  dispatcherFile: string,
  { config, known }: Platform,
): readonly string[] {
  const sources = unreadSources(dispatcherFile, config);
  if (sources.length > 0) return sources.map(({ message }) => `${message}: ask the dispatcher with --url or --profile`);
  // Whatever the API was given: no registration has a label that every self-hosted runner has.
  const couldBeTheirs = job.labels.some((label) => !isBuiltIn(foldLabel(label)));
  if (!known || admission.outcome !== 'not-ours' || !couldBeTheirs) return [];
  const url = config === undefined ? undefined : localUrl(config.adminListen)?.origin;
  const ask = `ask it with --url${url === undefined ? '' : ` ${url}`} or --profile`;
  return [`registrations that the API of a running dispatcher was given are not read here: ${ask}`];
}

function registrationOf(admission: Admission, registrations: readonly Registration[]): Registration | undefined {
  if (admission.outcome !== 'lane') return undefined;
  return registrations.find(({ name }) => name === admission.lane.registration);
}

/** Why a backend does not say which size it has for a job. */
function whyUnsized(registration: Registration | undefined, name: string, isExport: boolean): string {
  const backend = registration?.backends.find((one) => one.name === name);
  const why = (): string => {
    if (backend?.closed !== undefined) return backend.closed;
    if (isExport && backend?.shared === true) return 'platform.json has no options of the platform’s backends';
    return 'a secret in its options is not here; `shr validate` names it';
  };
  return `its size is not known: ${why()}`;
}

interface BackendAnswer {
  readonly backend: string;
  readonly cpu: number | undefined;
  readonly memoryGiB: number | undefined;
  readonly note: string | undefined;
}

/** Additional information besides the admission. */
interface Found {
  /** That the labels name. */
  readonly presets: readonly UsedPreset[];
  readonly fits: ReadonlyMap<string, BackendFit>;
  /** The registration only observes. */
  readonly observes: boolean;
  readonly granted: GrantedBy | undefined;
  /** What to do, if no registration claims the repository. */
  readonly unclaimed: string | undefined;
  /** What files do not say. */
  readonly notes: readonly string[];
  /** There are registrations that files do not say. */
  readonly isPartial: boolean;
  /** Undefined: no registration takes the job. */
  readonly limits: SizeLimits | undefined;
  /** Why a backend among them has no fit. */
  readonly unsized: (backend: string) => string;
  /** Why the tenant may not have this on a shared backend. */
  readonly withheld: (lane: LaneSpec, backend: string) => string | undefined;
}

function answers(lane: LaneSpec, { fits, unsized, withheld }: Found): readonly BackendAnswer[] {
  const taken = lane.backends.map((backend): BackendAnswer => {
    const fit = fits.get(backend)?.fit(lane.wish);
    if (fit === undefined) return { backend, cpu: undefined, memoryGiB: undefined, note: unsized(backend) };
    if (!fit.fits) return { backend, cpu: undefined, memoryGiB: undefined, note: fit.reason };
    return { backend, cpu: fit.shape.cpu, memoryGiB: fit.shape.memoryGiB, note: fit.note };
  });
  const leftOut = [...fits].flatMap(([backend, provider]): readonly BackendAnswer[] => {
    if (lane.backends.includes(backend)) return [];
    const fit = provider.fit(lane.wish);
    const reason = withheld(lane, backend) ?? (fit.fits ? undefined : fit.reason);
    return reason === undefined ? [] : [{ backend, cpu: undefined, memoryGiB: undefined, note: `left out: ${reason}` }];
  });
  return [...taken, ...leftOut];
}

function describe(admission: Admission, found: Found): unknown {
  const { granted, notes, unclaimed } = found;
  const noted = notes.length === 0 ? {} : { note: notes.join('; ') };
  if (admission.outcome !== 'lane') {
    const reason = reasonOf(admission, found);
    return { ...admission, reason, ...(unclaimed === undefined ? {} : { cure: unclaimed }), ...noted };
  }
  const { lane } = admission;
  const limits = unknownSizes(lane, found);
  return {
    outcome: 'lane',
    lane: { ...lane, scope: scopePath(lane.scope) },
    backends: answers(lane, found),
    ...(found.presets.length === 0 ? {} : { presets: found.presets }),
    ...(found.observes ? { observes: true } : {}),
    ...(granted === undefined ? {} : { granted }),
    ...(limits === undefined ? {} : { limits }),
    ...noted,
  };
}

/** Where a backend does not say which size a runner has, what bounds it all the same. */
function unknownSizes({ backends }: LaneSpec, { fits, limits }: Found): SizeLimits | undefined {
  return backends.every((backend) => fits.has(backend)) ? undefined : limits;
}

/** Of those that were read: another one may claim it. */
function reasonOf({ reason }: { readonly reason: string }, { isPartial }: Found): string {
  return isPartial ? reason.replace(/^no registration claims/, 'no registration that was read claims') : reason;
}

function print(admission: Admission, found: Found, terminal: Terminal): void {
  switch (admission.outcome) {
    case 'not-ours':
      printFields(terminal, [
        [
          'outcome',
          found.isPartial ? 'not ours, by the registrations that were read' : 'not ours: no runner will be started',
        ],
        ['reason', reasonOf(admission, found)],
        ...rowOf('cure', found.unclaimed),
        ...notesOf(found),
      ]);
      return;
    case 'refused':
      printFields(terminal, [
        ['outcome', `refused (${admission.code})`],
        ['registration', admission.registration],
        ['reason', admission.reason],
        ['cure', admission.cure],
        ...rowOf('decided by', admission.place),
        ...notesOf(found),
      ]);
      return;
    case 'lane': {
      const { lane } = admission;
      const limits = unknownSizes(lane, found);
      const lines = found.granted?.lines.map(({ field, place }) => `${field} (${place})`).join(', ');
      printFields(terminal, [
        [
          'outcome',
          found.observes ? 'a runner, if the registration did not only observe: none is launched' : 'a runner',
        ],
        ['registration', lane.registration],
        ...rowOf('tenant', found.granted?.tenant),
        ...rowOf('granted by', lines),
        ['lane', lane.key],
        ['registers at', `${lane.host}/${scopePath(lane.scope)}, runner group ${lane.runnerGroup}`],
        ['labels', lane.labels.join(', ')],
        ['shape', shapeInWords(lane.wish)],
        ...rowOf('limits', limits && sizeLimitsInWords(limits)),
        ...rowOf('presets', presetsInWords(found.presets)),
        ...notesOf(found),
      ]);
      terminal.out('\n');
      printTable(terminal, answers(lane, found), [
        { title: 'backend', value: ({ backend }) => backend },
        { title: 'cores', value: ({ cpu }) => cpu, align: 'right' },
        { title: 'GiB', value: ({ memoryGiB }) => memoryGiB, align: 'right' },
        { title: 'note', value: ({ note }) => note ?? '' },
      ]);
    }
  }
}

/** Those of labels that are the registration's own name none. */
function presetsOf(registration: Registration | undefined, labels: readonly string[]): readonly UsedPreset[] {
  if (registration === undefined) return [];
  const own = new Set(registration.labels.map(foldLabel));
  const { overrides } = collectOverrides(readLabels(labels).filter(({ folded }) => !own.has(folded)));
  return presetsUsed(registration, overrides);
}

function presetsInWords(presets: readonly UsedPreset[]): string | undefined {
  if (presets.length === 0) return undefined;
  return presets
    .map(({ label, place, allowedBy = 'the policy allows its parts' }) => `${label} (${place}; ${allowedBy})`)
    .join(', ');
}

function notesOf({ notes }: Found): readonly (readonly [string, string])[] {
  return notes.map((note) => ['note', note] as const);
}

function rowOf(name: string, value: string | undefined): readonly (readonly [string, string])[] {
  return value === undefined ? [] : [[name, value]];
}
