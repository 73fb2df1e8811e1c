/** Whether deliveries that GitHub could not make can be found in its log, and asked for again. */
import { appCaller, requestersFor } from '../../github/credential.ts';
import { deliveryLogCure, findHooks, isNotAllowed, readLog } from '../../github/delivery-log.ts';
import { GithubError } from '../../github/github.ts';
import { EndpointIndex } from '../../intake/endpoints.ts';
import { ownHook, type WatchedLog, watchedLogs } from '../../intake/redelivery/watched-logs.ts';
import type { DispatcherConfig, Registration } from '../../model/registration.ts';
import { type DoctorFinding, githubWords, good, note } from './finding.ts';
import type { Ways } from './repositories.ts';

const WEBHOOK = 'webhook';
const SUBJECT = 'redelivery';
/** Of a claim by repositories: the others are like these. */
const MOST_PLACES = 3;

/** Nothing is asked for again. */
export async function checkRedelivery(
  registration: Registration,
  dispatcher: Pick<DispatcherConfig, 'webhooks'> & Partial<Pick<DispatcherConfig, 'publicListen'>>,
  ways: Ways,
): Promise<readonly DoctorFinding[]> {
  const logs = watchedLogs([registration], new EndpointIndex(dispatcher.webhooks, [registration]));
  const findings: DoctorFinding[] = [];
  for (const log of logs.slice(0, MOST_PLACES + 1)) {
    const finding = await checkLog(registration, log, dispatcher.publicListen?.url, ways);
    if (finding === undefined) continue;
    findings.push(finding);
    // No other webhook is expected beside the one of the App.
    if (log.place.kind === 'app') break;
  }
  return findings.slice(0, MOST_PLACES);
}

/** Undefined: an App whose webhook, if any, leads elsewhere. */
async function checkLog(
  registration: Registration,
  { place, path }: WatchedLog,
  publicUrl: string | undefined,
  ways: Ways,
): Promise<DoctorFinding | undefined> {
  const options = { ...registration, ...ways };
  const where =
    place.kind === 'app'
      ? 'the App'
      : place.kind === 'organization'
        ? place.organization
        : `${place.owner}/${place.repository}`;
  try {
    const caller =
      place.kind === 'app'
        ? appCaller(options)
        : requestersFor(options)(place.kind === 'organization' ? place.organization : place.owner);
    if (caller === undefined) return undefined;
    const hook = ownHook(await findHooks(caller, place), path, publicUrl);
    if (hook === 'none' || hook === 'several') {
      if (place.kind === 'app') return undefined;
      const found = hook === 'none' ? `no webhook of ${where} leads` : `several webhooks of ${where} lead`;
      return note(WEBHOOK, SUBJECT, `${found} to ${path}: what it misses cannot be found in GitHub's log`);
    }
    await readLog(caller, { place, hook: hook.id });
    return good(WEBHOOK, SUBJECT, `GitHub shows its log of deliveries (${where}): what was missed is asked for again`);
  } catch (error) {
    if (!(error instanceof GithubError)) throw error;
    const words = `GitHub's log of deliveries (${where}) cannot be read: ${githubWords(error)}`;
    return note(WEBHOOK, SUBJECT, words, isNotAllowed(error) ? deliveryLogCure(place, error) : 'try again later');
  }
}
