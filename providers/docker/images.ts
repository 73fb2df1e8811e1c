/** What `shr doctor` prints about images, and their labels: those that the engine already has need no registry. */

import type { Deadlines } from '../kit/deadlines.ts';
import { type Architecture, type Finding, type ImageLabels, type ImageUse, MAX_IMAGES } from '../provider.ts';
import { isLoopbackName } from '../registry/address-kind.ts';
import { checkImages } from '../registry/check-images.ts';
import { findingOfPlatforms } from '../registry/image-findings.ts';
import { knownLabels, readImageLabels } from '../registry/image-labels.ts';
import { type ImageReference, parseReference } from '../registry/image-reference.ts';
import type { Puller } from '../registry/puller.ts';
import type { Engine } from './calls.ts';
import { classify } from './errors.ts';
import type { DockerSettings } from './settings.ts';

/** Does not reject. */
export async function checkEngineImages(
  images: readonly ImageUse[],
  engine: Pick<Engine, 'imageOf'>,
  options: DockerSettings,
  deadlines: Deadlines,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const missing: ImageUse[] = [];
  for (const image of images.slice(0, MAX_IMAGES)) {
    const finding = await atEngine(image, engine, options);
    if (finding === undefined) missing.push(image);
    else findings.push(finding);
  }
  return [...findings, ...(await checkImages(missing, pullerOf(options), deadlines, options.timeoutMs))];
}

function pullerOf({ registryAuth }: Pick<DockerSettings, 'registryAuth'>): Puller {
  return {
    logins: registryAuth === undefined ? [] : [registryAuth],
    option: 'registryAuth',
    whenPrivate: 'give its login in registryAuth',
  };
}

/** Of the image that a container would be made of: the engine's, or the registry's where that is pulled. Does not reject. */
export async function labelsAtEngine(
  reference: string,
  architecture: Architecture,
  engine: Pick<Engine, 'imageOf'>,
  options: DockerSettings,
  deadlines: Deadlines,
): Promise<ImageLabels> {
  const parsed = parseReference(reference);
  if (parsed === undefined) return { kind: 'unknown', why: 'it is not a valid image reference' };
  try {
    const found = await engine.imageOf(reference);
    if (found !== undefined) return { kind: 'read', labels: knownLabels(found.labels) };
  } catch (error) {
    return { kind: 'unknown', why: classify('image', error).message };
  }
  if (options.pull === 'never')
    return { kind: 'unknown', why: 'it is not at the engine, and the option pull is never' };
  if (isEnginesOwn(parsed, options)) {
    return { kind: 'unknown', why: `${parsed.registry} is the engine's machine, not this one` };
  }
  return await readImageLabels(reference, architecture, pullerOf(options), { deadlines, timeoutMs: options.timeoutMs });
}

/** A registry on loopback, as seen by an engine that is elsewhere. */
function isEnginesOwn({ registry }: ImageReference, { place }: Pick<DockerSettings, 'place'>): boolean {
  return place.found && 'host' in place.address && isLoopbackName(new URL(`http://${registry}`).hostname);
}

/** Undefined if the registry decides. */
async function atEngine(
  image: ImageUse,
  engine: Pick<Engine, 'imageOf'>,
  { pull, place, command }: Pick<DockerSettings, 'pull' | 'place' | 'command'>,
): Promise<Finding | undefined> {
  const { reference } = image;
  const parsed = parseReference(reference);
  if (parsed === undefined) return undefined;
  try {
    const found = await engine.imageOf(reference);
    if (found !== undefined) {
      const { architecture } = found;
      const idle = command === 'image' ? whyIdle(found.command) : undefined;
      if (idle !== undefined) {
        const message = `${reference} ${idle}, and the option command is image: its containers end at once`;
        const cure = 'leave the option command out for the start script of a runner, or name that of this image';
        return { subject: 'image', ok: false, message, cure };
      }
      return findingOfPlatforms(image, 'at the engine', architecture === '' ? [] : [architecture]);
    }
  } catch (error) {
    const message = `${reference} was not checked: ${classify('image', error).message}`;
    return { subject: 'image', ok: false, message, cure: `try it with: docker image inspect ${reference}` };
  }
  if (pull === 'never') {
    return {
      subject: 'image',
      ok: false,
      message: `${reference} is not at the engine, and the option pull is never`,
      cure: `docker pull ${reference} there, or set the option pull to missing`,
    };
  }
  if (isEnginesOwn(parsed, { place })) {
    const message = `${reference} was not checked: ${parsed.registry} is the engine's machine, not this one`;
    return { subject: 'image', ok: true, note: true, message };
  }
  return undefined;
}

const SHELL = /^(\/(usr\/)?bin\/)?(ba|da|a|z)?sh$/;

/** Without a terminal, a shell exits at the end of its input, and so does the official runner image's own command. */
function whyIdle(command: readonly string[]): string | undefined {
  const [program, ...rest] = command;
  if (program === undefined) return 'has no command of its own';
  return rest.length === 0 && SHELL.test(program) ? `runs ${program} by itself` : undefined;
}
