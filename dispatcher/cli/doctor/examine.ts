/** Everything that can be told of one registration without changing anything. */
import type { Backends } from '../../backends.ts';
import type { Clock, Random } from '../../clock.ts';
import type { Backend, DispatcherConfig, Registration } from '../../config/model.ts';
import { type ProxySettings, proxyInWords } from '../../config/proxy.ts';
import { BudgetPool } from '../../github/budget-pool.ts';
import { withDeadline } from '../../github/deadline.ts';
import { GithubTimes } from '../../github/github-time.ts';
import { checkCredentials } from './credentials.ts';
import { bad, type DoctorFinding, good, wordsOf } from './finding.ts';
import { imagesFor } from './images.ts';
import { checkIntake } from './intake.ts';
import { checkRepositories } from './repositories.ts';
import { checkRunners } from './runners.ts';

export interface Examination {
  readonly dispatcher: Pick<DispatcherConfig, 'webhooks'>;
  readonly backends: Backends;
  readonly clock: Clock;
  readonly random: Random;
  readonly proxy?: ProxySettings | undefined;
}

const GITHUB_MS = 120_000;
/** Of one backend: a check is a handful of calls, each bounded by the backend's own timeout. */
const BACKEND_MS = 90_000;

/** Does not reject. */
export async function examine(registration: Registration, tools: Examination): Promise<readonly DoctorFinding[]> {
  const [github, ...backends] = await Promise.all([
    inTime('github', GITHUB_MS, tools.clock, () => checkGithub(registration, tools)),
    ...registration.backends.map((backend) =>
      inTime(`backend ${backend.name}`, BACKEND_MS, tools.clock, () => checkBackend(registration, backend, tools)),
    ),
  ]);
  return [...github, ...backends.flat()];
}

async function checkGithub(registration: Registration, tools: Examination): Promise<readonly DoctorFinding[]> {
  const { clock, random, dispatcher } = tools;
  const times = new GithubTimes({ clock });
  const caller = { ...registration, clock, time: times.at(registration.apiUrl), random };
  const credentials = await checkCredentials(caller, registration.claim);
  // With a budget of its own: it runs beside the service, or before it.
  const ways = { budgets: new BudgetPool(clock), times, clock, random };
  const repositories = credentials.usable ? await checkRepositories(registration, ways) : undefined;
  return [
    ...wayOut(tools.proxy),
    ...credentials.findings,
    ...(repositories?.findings ?? []),
    ...(credentials.usable ? await checkRunners(registration, repositories?.names ?? [], ways) : []),
    ...checkIntake(registration, dispatcher, credentials.events),
  ];
}

/** Empty where there is no proxy. */
function wayOut(proxy: ProxySettings | undefined): readonly DoctorFinding[] {
  if (proxy === undefined) return [];
  return [
    ...(proxy.shown === undefined ? [] : [good('network', 'proxy', proxyInWords(proxy.shown))]),
    ...proxy.problems.map((problem) => bad('network', 'proxy', problem, 'correct the variable of the environment')),
    ...proxy.notes.map((note) =>
      bad('network', 'proxy', note, 'see "Proxy and certificates" in docs/configuration.md'),
    ),
  ];
}

async function checkBackend(
  registration: Registration,
  backend: Backend,
  { backends }: Examination,
): Promise<readonly DoctorFinding[]> {
  const about = `backend ${backend.name}`;
  const provider = await backends.of(registration, backend.name);
  const asked = imagesFor(registration, about, provider);
  const findings = await provider.check({ images: asked.images });
  return [
    ...findings.map(({ subject, ok, message, cure }) =>
      ok ? good(about, subject, message) : bad(about, subject, message, cure ?? 'see the message'),
    ),
    ...asked.findings,
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
