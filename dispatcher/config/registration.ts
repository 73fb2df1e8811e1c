/**
 * `registrations/<name>.yaml`: the parts are in the files beside it, and a tenant's is checked against its grant (`held`).
 */
import { defined } from '../model/defined.ts';
import type { JobClaims, Registration } from '../model/registration.ts';
import { holdClaim } from './held-claim.ts';
import { holdDefaults, holdImages, holdPolicy } from './held-runners.ts';
import { NO_PRESETS } from './presets.ts';
import type { Reading } from './reading.ts';
import { readApiUrl, readOwnCredentials } from './registration-access.ts';
import { readBackends } from './registration-backends.ts';
import { readCanary } from './registration-canary.ts';
import { readClaim, readLabels } from './registration-claim.ts';
import { noCallbackWords, type RegistrationContext } from './registration-context.ts';
import { readMaintenance } from './registration-maintenance.ts';
import { readPoll } from './registration-poll.ts';
import {
  checkPlaceholders,
  policyOf,
  readDefaults,
  readMaxRunners,
  readRunnerGroup,
  takeImages,
  takeShapes,
} from './registration-runners.ts';
import { readStandby } from './registration-standby.ts';
import { readShare } from './reservations.ts';
import { durationMs, registrationFile } from './schema.ts';

const LAUNCH_MS = 10 * 60_000;
const IDLE_MS = 5 * 60_000;

const form = registrationFile.shape;

export interface RegistrationRead {
  /** Undefined when something essential is missing. */
  readonly registration: Registration | undefined;
  /** Undefined if missing or invalid. */
  readonly claims: JobClaims | undefined;
}

/** The fields that determine whose jobs a registration claims. */
const CLAIM_KEYS = [
  'host',
  'enterprise',
  'organizations',
  'organization',
  'user',
  'repositories',
  'labels',
  'priority',
] as const;

/** Its problems are in the reading. */
export async function readRegistration(reading: Reading, context: RegistrationContext): Promise<RegistrationRead> {
  if (!reading.readable || !reading.topLevel(registrationFile)) return { registration: undefined, claims: undefined };
  const host = (reading.section(['host'], form.host) ?? 'github.com').toLowerCase();
  const apiUrl = readApiUrl(reading, host, context);
  const claim = readClaim(reading);
  const { grant } = context;
  const credentials = readOwnCredentials(reading, host, context);
  if (claim?.kind === 'enterprise' && credentials?.kind === 'app') {
    reading.problem(
      ['credentials'],
      'a GitHub App cannot register runners at an enterprise',
      'Use a classic token with the scope `manage_runners:enterprise`, or a registration for each organization.',
    );
  }
  const webhook = reading.section(['webhook'], form.webhook);
  const webhookSecrets = (webhook?.secrets ?? []).map((text, index) =>
    reading.chosenSecret(['webhook', 'secrets', index], text),
  );
  const maxRunners = readMaxRunners(reading, grant);
  const backends = await readBackends(reading, context, maxRunners);
  const imageRepository = reading.section(['imageRepository'], form.imageRepository);
  const organizationDefaults = readOrganizationDefaults(reading, claim);
  const defaults = readDefaults(reading, backends, organizationDefaults !== undefined);
  const images = reading.section(['images'], form.images) ?? {};
  const observes = reading.section(['observe'], form.observe) === true;
  if (!observes) checkPlaceholders(reading, defaults, images);
  const policyFile = reading.section(['policy'], form.policy);
  const policy = policyOf(reading, policyFile, imageRepository);
  const runnerGroup = readRunnerGroup(reading, claim);
  const labels = readLabels(reading);
  const priority = reading.section(['priority'], form.priority) ?? 0;
  if (grant !== undefined) {
    if (claim !== undefined) holdClaim(reading, grant, { host, claim, labels, priority, runnerGroup });
    holdDefaults(reading, grant, defaults, backends);
    holdImages(reading, grant, images, backends);
    holdPolicy(reading, grant, policy, backends);
  }
  const shapes = takeShapes(reading, policyFile?.shapes ?? [], backends, context);
  const presetImages = takeImages(reading, policyFile?.imagePresets ?? [], backends, context);
  const { presets } = context.platform;
  const timeouts = reading.section(['timeouts'], form.timeouts);
  const poll = readPoll(reading, { host, webhook: reading.mentions(['webhook']), claim, context });
  const registration = {
    name: context.name,
    host,
    apiUrl,
    webhookSecrets,
    runnerGroup,
    labels,
    priority,
    defaults,
    imageRepository,
    images,
    shapes,
    ...(Object.keys(presetImages).length === 0 ? {} : { presetImages }),
    ...(presets === NO_PRESETS ? {} : { presets }),
    policy,
    backends,
    maxRunners,
    poll,
    timeouts: { launchMs: durationMs(timeouts?.launch, LAUNCH_MS), idleMs: durationMs(timeouts?.idle, IDLE_MS) },
    chargeLabels: reading.section(['chargeLabels'], form.chargeLabels) ?? {},
    ...readRequireHook(reading, context),
    ...defined<Pick<Registration, 'maxLaunchesPerMinute' | 'maxRunnersPerRun'>>({
      maxRunnersPerRun: reading.section(['maxRunnersPerRun'], form.maxRunnersPerRun),
      maxLaunchesPerMinute: reading.section(['maxLaunchesPerMinute'], form.maxLaunchesPerMinute),
    }),
    ...readShare(reading, grant, maxRunners),
    ...(await readMaintenance(reading)),
    ...(reading.section(['redelivery'], form.redelivery) === false ? { redelivery: false as const } : {}),
    ...(observes ? { observe: true as const } : {}),
    ...(organizationDefaults === undefined ? {} : { organizationDefaults }),
  };
  if (claim === undefined) return { registration: undefined, claims: undefined };
  const granted = grant === undefined ? {} : { grant };
  const wrong = CLAIM_KEYS.some((key) => reading.isWrong(key));
  const claims = wrong ? undefined : { name: context.name, host, claim, labels, priority, ...granted };
  if (credentials === undefined || backends.length === 0) return { registration: undefined, claims };
  const whole = { ...registration, ...granted, claim, credentials };
  const standby = await readStandby(reading, context, whole);
  return { registration: { ...whole, ...standby, ...readCanary(reading, whole) }, claims };
}

/** There is one organization to ask, and its credentials see it. */
function readOrganizationDefaults(
  reading: Reading,
  claim: JobClaims['claim'] | undefined,
): Registration['organizationDefaults'] {
  const mode = reading.section(['organizationDefaults'], form.organizationDefaults) ?? 'off';
  if (mode === 'off') return undefined;
  if (claim !== undefined && claim.kind !== 'organization') {
    reading.problem(
      ['organizationDefaults'],
      'only a registration with `organization` has one whose defaults could be read',
      'Remove it, or claim `organization`.',
    );
    return undefined;
  }
  return mode;
}

/** Where containers cannot ask, every job would fail. */
function readRequireHook(reading: Reading, { platform }: RegistrationContext): Pick<Registration, 'requireHook'> {
  const required = reading.section(['requireHook'], form.requireHook) ?? false;
  if (!required) return {};
  if (platform.complete && platform.publicUrl === undefined) {
    const { why, cure } = noCallbackWords(platform);
    reading.problem(['requireHook'], `runners cannot ask: ${why}`, cure);
  }
  return { requireHook: true };
}
