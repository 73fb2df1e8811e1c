/** Takes a deployment down: the jobs end first, then nothing is left of it, and that is looked up. */
import { type Deployer, type Deployment, DeploymentRefused, type DeploymentStatus, type Tell } from './deployer.ts';

/** A runner's container at one of the deployment's backends. */
export interface LeftRunner {
  readonly name: string;
  readonly state: string;
  stop(): Promise<void>;
}

export interface Destruction {
  readonly deployer: Pick<Deployer, 'apply' | 'status' | 'remove' | 'left'>;
  readonly deployment: Deployment;
  /** Does not wait for jobs: they are killed. */
  readonly now: boolean;
  /** Every container that carries the dispatcher's id, asked anew. A failure never looks like an empty list. */
  readonly runners: () => Promise<readonly LeftRunner[]>;
  readonly sleep: (ms: number) => Promise<void>;
  readonly tell: Tell;
}

/** The dispatcher is about to be replaced by one that waits for its jobs. */
export const DRAINING = 'draining: nothing is launched any more, jobs run to their end';
const WAITS_FOR = 'waiting for ';
const WAITS_FOR_PROOF = 'waiting until GitHub and the backends confirm';

/** Whether a line that was told means that the dispatcher itself waits now, also without the command. */
export function saysItWaits(line: string): boolean {
  return line.startsWith(WAITS_FOR) || line === WAITS_FOR_PROOF;
}

const LOOK_MS = 2_000;
/** Services take their time to end what they accepted to end. */
const LOOKS_FOR_NOTHING = 150;
/** A dispatcher that was restarted, or whose GitHub does not answer, gets healthy again. */
const LOOKS_FOR_HEALTH = 450;

export async function destroy(destruction: Destruction): Promise<void> {
  const { deployer, deployment, now, tell } = destruction;
  if (now) await deployer.remove(deployment.id, tell);
  else await drain(destruction);
  await removeRunners(destruction);
  await deployer.remove(deployment.id, tell);
  const left = await deployer.left(deployment.id);
  if (left.length > 0) {
    throw new DeploymentRefused(`this is left: ${left.join(', ')}`, 'Run the command again, or remove it by hand.');
  }
  tell('nothing is left: no dispatcher, no ledger, no runner');
}

/** The dispatcher itself waits, so that an interrupted command leaves nothing undone. */
async function drain({ deployer, deployment, runners, sleep, tell }: Destruction): Promise<void> {
  const { id } = deployment;
  if ((await deployer.status(id)) === undefined && (await runners()).length === 0) {
    tell(`nothing is deployed as ${id}`);
    return;
  }
  if (deployment.image === '') {
    throw new DeploymentRefused(
      'runners are left, and no dispatcher that could wait for them',
      'Name an image of the dispatcher with --image, or kill them with --now.',
    );
  }
  tell(DRAINING);
  await deployer.apply(deployment, 'drain', tell);
  let said = '';
  let unhealthy = 0;
  // Jobs may take days; what must not is a dispatcher that cannot wait for them.
  for (;;) {
    const status = await deployer.status(id);
    if (status?.state === 'ended') return;
    unhealthy = status?.state === 'healthy' ? 0 : unhealthy + 1;
    requireDraining(status, unhealthy);
    const waiting = (await runners()).map(({ name, state }) => `${name} (${state})`);
    const words = waiting.length === 0 ? WAITS_FOR_PROOF : `${WAITS_FOR}${waiting.join(', ')}`;
    if (words !== said) tell(words);
    said = words;
    await sleep(LOOK_MS);
  }
}

/** Without it nothing is proved: what still runs would be killed. */
function requireDraining(status: DeploymentStatus | undefined, looksUnhealthy: number): void {
  if (status !== undefined && status.state !== 'stopped' && looksUnhealthy < LOOKS_FOR_HEALTH) return;
  const what =
    status === undefined
      ? 'was removed by somebody else'
      : status.state === 'stopped'
        ? 'was stopped by somebody else'
        : `has not been healthy for ${(LOOKS_FOR_HEALTH * LOOK_MS) / 60_000} minutes`;
  const message = status?.message === undefined ? '' : ` (${status.message})`;
  throw new DeploymentRefused(
    `the dispatcher that waits for the jobs ${what}${message}`,
    'Run the command again: it starts one that waits. `shr deploy logs` shows what it says, and --now kills the jobs.',
  );
}

async function removeRunners({ runners, sleep, tell, now }: Destruction): Promise<void> {
  for (let look = 0; ; look += 1) {
    const left = await runners();
    if (left.length === 0) return;
    if (look >= LOOKS_FOR_NOTHING) {
      const names = left.map(({ name }) => name).join(', ');
      throw new DeploymentRefused(`these runners cannot be removed: ${names}`, 'Remove them at the service by hand.');
    }
    for (const runner of left) {
      // Without --now the dispatcher has proved that nothing runs in it.
      if (look === 0) tell(`${now ? 'killing' : 'removing'} the runner ${runner.name} (${runner.state})`);
      await runner.stop();
    }
    await sleep(LOOK_MS);
  }
}
