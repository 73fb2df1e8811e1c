/** What a deployment is known by at a service, and the one tag that tells whether it is what it should be. */
import { scryptSync } from 'node:crypto';
import type { Deployment, Role } from './deployer.ts';

export const DEPLOYMENT_TAG = 'shr.deployment';
export const HASH_TAG = 'shr.deployment.hash';
export const ROLE_TAG = 'shr.deployment.role';

/** Where a deployed dispatcher finds its configuration. */
export const BUNDLE_FILE = '/etc/shr/bundle';
/** A variable for services that show files to many: the bundle is sealed, and this opens it. */
export const BUNDLE_KEY = 'SHR_BUNDLE_KEY';
/** The only place that it writes to. */
export const STATE_FOLDER = '/var/lib/shr';
/** Of the dispatcher's image. */
export const DISPATCHER_USER = 10_001;

/**
 * Of a text with secrets. Slow to compute: tags are read by many, and a short secret must not be found by trying. `id` is
 * the salt, so that the same configuration in two deployments looks different.
 */
export function slowHash(text: string, id: string): string {
  return scryptSync(text, `shr.deployment ${id}`, 16).toString('hex');
}

/** Twelve hexadecimal digits: part of names. `image` is what the reference stands for now, if the service tells. */
export function deploymentHash(deployment: Deployment, role: Role, image = deployment.image): string {
  const { bundle: _, ...open } = deployment;
  return slowHash(JSON.stringify([{ ...open, image }, role]), deployment.id).slice(0, 12);
}

/** `shr` in the dispatcher's image. */
export const PROGRAM: readonly string[] = ['node', '/opt/shr/shr.mjs'];

/** The whole command, for services where the words of a command replace the image's entry point. */
export function programOf(role: Role): readonly string[] {
  return [...PROGRAM, ...commandOf(role)];
}

/** Where the ledger is on the container's own disk. */
export const LEDGER_ENDS =
  'The ledger is on the container’s own disk: the history of jobs, runners and deliveries is lost at an update, or when the service moves it. ' +
  'No job is: what runs is taken up again, and what waits is found by polling.';
export const CERTIFICATE_NOTE =
  'It speaks TLS: GitHub needs a name of its certificate that leads there. When the certificate is renewed, deploy again.';
/** While the old one is gone and the new one is not ready. */
export const GAP = 'nothing is served until the new one is ready; it finds the jobs that came meanwhile';

/** Until it listens, a dispatcher says a few lines at most. */
const MAX_START_CHARACTERS = 65_536;

/** The log says it when everything listens and the ledger is open. Later that line is out of sight. */
export function hasStarted(output: string): boolean {
  return output.includes('"event":"started"') || output.length > MAX_START_CHARACTERS;
}

/** A drain that is complete, where the service starts again what has ended. */
export function hasDrained(output: string): boolean {
  return output.includes('"event":"drained"');
}

/** Where a stack was, and the program that printed it: below the line that says what happened. */
const TRACE = /^\s+at |^Node\.js v\d|^\s*$/;

/** For people, at the end of a message: the last lines of a log that tell something; says so where there are none. */
export function lastLines(output: string): string {
  // A container that was started again and again says the same each time.
  const lines = [...new Set(output.split('\n').filter((line) => !TRACE.test(line)))];
  return lines.length === 0 ? 'It printed nothing.' : `Its last lines:\n${lines.slice(-5).join('\n')}`;
}

export function schemeOf(speaksTls: true | undefined): 'http' | 'https' {
  return speaksTls === true ? 'https' : 'http';
}

/** The words after the image's own entry point. */
export function commandOf(role: Role): readonly string[] {
  return ['serve', '--bundle', BUNDLE_FILE, ...(role === 'drain' ? ['--drain'] : [])];
}

export function readyUrl({ adminPort }: Pick<Deployment, 'adminPort'>): string {
  return `http://127.0.0.1:${adminPort}/readyz`;
}
