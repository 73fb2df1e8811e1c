/** Everything that can be checked of the dispatcher and of each registration without changing anything. */

import type { Clock, Random } from '../../../time/clock.ts';
import { withDeadline } from '../../../time/deadline.ts';
import type { ProviderPool } from '../../backends/pool.ts';
import { type ProxySettings, proxyInWords } from '../../config/proxy.ts';
import { isUnresolved } from '../../config/references.ts';
import { BudgetPool } from '../../github/budget-pool.ts';
import { GithubTimes } from '../../github/github-time.ts';
import type { Backend, Credentials, DispatcherConfig, Registration } from '../../model/registration.ts';
import { type AddressAsking, checkAddress } from './address.ts';
import { checkCredentials } from './credentials.ts';
import { bad, type DoctorFinding, good, note, wordsOf } from './finding.ts';
import { checkHooks } from './hook.ts';
import { imagesFor } from './images.ts';
import { checkIntake } from './intake.ts';
import { checkLedgerDisk } from './ledger-disk.ts';
import { checkLedgerServer } from './ledger-server.ts';
import { checkPublicListener } from './listener.ts';
import { checkOidc } from './oidc.ts';
import { checkOrganization } from './organization.ts';
import { checkRedelivery } from './redelivery.ts';
import { checkRepositories, type Ways } from './repositories.ts';
import { checkRunners } from './runners.ts';
import { checkSources } from './sources.ts';

export interface Examination {
  readonly dispatcher: Pick<DispatcherConfig, 'webhooks'> & Partial<Pick<DispatcherConfig, 'publicListen'>>;
  readonly backends: ProviderPool;
  readonly clock: Clock;
  readonly random: Random;
}

/** Using one set of credentials. */
const GITHUB_MS = 120_000;
/** For one backend: a check is a handful of calls, each bounded by the backend's own timeout. */
const BACKEND_MS = 90_000;

/** Does not reject. */
export async function examine(registration: Registration, tools: Examination): Promise<readonly DoctorFinding[]> {
  const [github, ...backends] = await Promise.all([
    inTime('github', GITHUB_MS * eachOf(registration.credentials).length, tools.clock, () =>
      checkGithub(registration, tools),
    ),
    ...registration.backends.map((backend) =>
      inTime(`backend ${backend.name}`, BACKEND_MS, tools.clock, () => checkBackend(registration, backend, tools)),
    ),
  ]);
  return [...github, ...backends.flat()];
}

async function checkGithub(registration: Registration, tools: Examination): Promise<readonly DoctorFinding[]> {
  const reports: ByCredential[] = [];
  for (const credentials of eachOf(registration.credentials)) {
    const report = await checkWith({ ...registration, credentials }, tools);
    reports.push({ ...report, credentials });
  }
  return [
    ...merged(reports),
    // Webhooks come from the first App.
    ...checkIntake(registration, tools.dispatcher, reports[0]?.events),
    ...(reports[0]?.usable === true ? await checkRedelivery(registration, tools.dispatcher, waysOf(tools)) : []),
  ];
}

interface ByCredential {
  readonly credentials: Credentials;
  readonly findings: readonly DoctorFinding[];
  readonly events: readonly string[] | undefined;
  readonly usable: boolean;
}

/** Each App by itself: asked together, the others would hide one that GitHub refuses. */
function eachOf(credentials: Credentials): readonly Credentials[] {
  if (credentials.kind === 'token') return [credentials];
  const { others = [], ...first } = credentials;
  return [first, ...others.map((key) => ({ ...first, ...key }))];
}

/** Findings common to all are reported once; a finding of one among several names its App. */
function merged(reports: readonly ByCredential[]): readonly DoctorFinding[] {
  const key = ({ about, subject, ok, message }: DoctorFinding) => JSON.stringify([about, subject, ok, message]);
  const said = reports.map(({ findings }) => new Set(findings.map(key)));
  return reports.flatMap(({ credentials, findings }, index) =>
    findings.flatMap((finding) => {
      if (said.every((all) => all.has(key(finding)))) return index === 0 ? [finding] : [];
      if (credentials.kind === 'token') return [finding];
      return [{ ...finding, subject: `${finding.subject} of App ${credentials.appId}` }];
    }),
  );
}

/** With its own budget: it runs alongside the service, or before it. */
function waysOf({ clock, random }: Pick<Examination, 'clock' | 'random'>, times = new GithubTimes({ clock })): Ways {
  return { budgets: new BudgetPool(clock), times, clock, random };
}

async function checkWith(
  registration: Registration,
  { clock, random }: Examination,
): Promise<Omit<ByCredential, 'credentials'>> {
  if (isUnresolved(registration.credentials)) {
    return {
      findings: [note('github', 'credentials', 'not checked: the key or token is missing')],
      events: undefined,
      usable: false,
    };
  }
  const times = new GithubTimes({ clock });
  const caller = { ...registration, clock, time: times.at(registration.apiUrl), random };
  const credentials = await checkCredentials(caller, registration.claim);
  const ways = waysOf({ clock, random }, times);
  const repositories = credentials.usable ? await checkRepositories(registration, ways) : undefined;
  const runners = credentials.usable ? await checkRunners(registration, repositories?.names ?? [], ways) : [];
  const organization = credentials.usable ? await checkOrganization(registration, ways) : [];
  return {
    findings: [...credentials.findings, ...(repositories?.findings ?? []), ...runners, ...organization],
    events: credentials.events,
    usable: credentials.usable,
  };
}

/** Of the dispatcher itself, whatever the registration. `proxy`: absent without one. */
export async function examineDispatcher({
  dispatcher: { id, ledgerPath, postgres, publicListen, sources, ...admin },
  clock,
  environment,
  proxy,
  asking,
}: {
  readonly dispatcher: Pick<
    DispatcherConfig,
    'adminListen' | 'id' | 'ledgerPath' | 'oidc' | 'postgres' | 'publicListen' | 'sources'
  >;
  readonly clock: Clock;
  /** Git's path and proxies are in it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly proxy?: ProxySettings | undefined;
  readonly asking: Omit<AddressAsking, 'hasProxy'>;
}): Promise<readonly DoctorFinding[]> {
  return [
    ...checkProxy(proxy),
    ...(await (postgres === undefined ? checkLedgerDisk(ledgerPath) : checkLedgerServer(postgres, clock))),
    ...(await checkPublicListener(publicListen, clock.now())),
    ...(await checkAddress({ id, url: publicListen.url }, { ...asking, hasProxy: proxy?.shown !== undefined })),
    ...(await checkOidc(admin, clock)),
    ...(await checkSources(sources === undefined ? {} : { sources }, { clock, environment })),
  ];
}

function checkProxy(proxy: ProxySettings | undefined): readonly DoctorFinding[] {
  if (proxy === undefined) return [];
  return [
    ...(proxy.shown === undefined ? [] : [good('network', 'proxy', proxyInWords(proxy.shown))]),
    ...proxy.problems.map((problem) => bad('network', 'proxy', problem, 'correct the variable of the environment')),
    ...proxy.notes.map((limit) =>
      note('network', 'proxy', limit, 'see "Proxy and certificates" in docs/configuration.md'),
    ),
  ];
}

async function checkBackend(
  registration: Registration,
  backend: Backend,
  { backends }: Examination,
): Promise<readonly DoctorFinding[]> {
  const about = `backend ${backend.name}`;
  if (backend.closed !== undefined) return [bad(about, 'check', 'its kind is closed', backend.closed)];
  if (isUnresolved(backend.options)) return [note(about, 'check', 'not checked: a secret in its options is missing')];
  const provider = await backends.of(registration, backend.name);
  const asked = imagesFor(registration, about, provider);
  const findings = await provider.check({ images: asked.images });
  return [
    ...findings.map(({ subject, ok, note: noted, message, cure }) =>
      ok ? (noted ? note : good)(about, subject, message) : bad(about, subject, message, cure ?? 'see the message'),
    ),
    ...asked.findings,
    ...(await checkHooks(registration, about, provider, asked.images)),
  ];
}

async function inTime(
  about: string,
  ms: number,
  clock: Clock,
  check: () => Promise<readonly DoctorFinding[]>,
): Promise<readonly DoctorFinding[]> {
  try {
    return await withDeadline(clock, ms, () => new Error(`not done within ${ms / 1000} s`), undefined, check);
  } catch (error) {
    return [bad(about, 'check', wordsOf(error), 'look at the network and at the registration, and try again')];
  }
}
