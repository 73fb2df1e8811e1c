/** What `shr doctor` prints of images: what the engine has needs no registry. */
import { isLoopbackName } from '../address-kind.ts';
import type { Deadlines } from '../deadlines.ts';
import { parseReference } from '../image-reference.ts';
import { type Finding, type ImageUse, MOST_IMAGES } from '../provider.ts';
import { checkImages, findingOfPlatforms } from '../registry.ts';
import type { DockerSettings } from './docker.ts';
import type { Engine } from './engine.ts';
import { classify } from './errors.ts';

/** Does not reject. */
export async function checkEngineImages(
  images: readonly ImageUse[],
  engine: Pick<Engine, 'architectureOf'>,
  options: DockerSettings,
  deadlines: Deadlines,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const missing: ImageUse[] = [];
  for (const image of images.slice(0, MOST_IMAGES)) {
    const finding = await atEngine(image, engine, options);
    if (finding === undefined) missing.push(image);
    else findings.push(finding);
  }
  const { registryAuth, timeoutMs } = options;
  const puller = {
    logins: registryAuth === undefined ? [] : [registryAuth],
    option: 'registryAuth',
    whenPrivate: 'give its login in registryAuth',
  };
  return [...findings, ...(await checkImages(missing, puller, deadlines, timeoutMs))];
}

/** Undefined where its registry decides. */
async function atEngine(
  image: ImageUse,
  engine: Pick<Engine, 'architectureOf'>,
  { pull, place }: Pick<DockerSettings, 'pull' | 'place'>,
): Promise<Finding | undefined> {
  const { reference } = image;
  const parsed = parseReference(reference);
  if (parsed === undefined) return undefined;
  try {
    const architecture = await engine.architectureOf(reference);
    if (architecture !== undefined) {
      return findingOfPlatforms(image, 'at the engine', architecture === '' ? [] : [architecture]);
    }
  } catch (error) {
    const message = `${reference} was not looked at: ${classify('image', error).message}`;
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
  if (place.found && 'host' in place.address && isLoopbackName(new URL(`http://${parsed.registry}`).hostname)) {
    const message = `${reference} was not looked at: ${parsed.registry} is the engine's machine, not this one`;
    return { subject: 'image', ok: true, message };
  }
  return undefined;
}
