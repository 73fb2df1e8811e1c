/** Whether images are in their registries, for `check`. Every provider may use it. */
import { z } from 'zod';
import { mapLimited } from '../../time/workers.ts';
import type { Deadlines } from '../kit/deadlines.ts';
import { type Finding, type ImageUse, MAX_IMAGES, ProviderError } from '../provider.ts';
import { type RegistryAnswer, wordsOf } from './bounded-get.ts';
import { findingOf, malformed, type Seen } from './image-findings.ts';
import { DIGEST, type ImageReference, parseReference } from './image-reference.ts';
import type { Puller } from './puller.ts';
import { jsonOf, MANIFESTS, statusOf, Visit } from './visit.ts';

const AT_ONCE = 4;
const MAX_IMAGE_MS = 10_000;

/** One finding per image. At most MAX_IMAGES, each within `timeoutMs` and 10 s. Does not reject. */
export async function checkImages(
  images: readonly ImageUse[],
  puller: Puller,
  deadlines: Deadlines,
  timeoutMs: number,
): Promise<readonly Finding[]> {
  const asked = images.slice(0, MAX_IMAGES);
  const findings = new Map<ImageUse, Finding>();
  /** Waits only once for a registry that does not answer. */
  const silent = new Map<string, string>();
  await mapLimited(asked, AT_ONCE, async (image) => {
    const reference = parseReference(image.reference);
    if (reference === undefined) {
      findings.set(image, malformed(image.reference));
      return;
    }
    const { registry } = reference;
    const known = silent.get(registry);
    const seen = known === undefined ? await look(reference, puller, deadlines, timeoutMs) : unseen(known);
    if (seen.kind === 'unseen' && seen.silent) silent.set(registry, seen.why);
    findings.set(image, findingOf(image, registry, seen, puller));
  });
  return asked.flatMap((image) => findings.get(image) ?? []);
}

function unseen(why: string, silent = false): Seen {
  return { kind: 'unseen', why, silent };
}

async function look(reference: ImageReference, puller: Puller, deadlines: Deadlines, timeoutMs: number): Promise<Seen> {
  const ms = Math.min(timeoutMs, MAX_IMAGE_MS);
  try {
    return await deadlines.run('registry', ms, (signal) => see(reference, new Visit(reference, puller, signal)));
  } catch (error) {
    return error instanceof ProviderError && error.code === 'timeout'
      ? unseen(`no answer within ${ms / 1000} s`, true)
      : unseen(wordsOf(error));
  }
}

const descriptor = z.object({ digest: z.string().regex(DIGEST) });
const platformName = z.string().regex(/^\w[\w.-]{0,31}$/);
const platform = z.object({ architecture: platformName, os: platformName.default('linux') });
/** An index has `manifests`, the manifest of a single image has `config`. */
const manifestAnswer = z.object({
  manifests: z
    .array(z.object({ platform: platform.optional().catch(undefined) }))
    .max(1000)
    .optional(),
  config: descriptor.optional(),
});
/** An index also lists attestations beside its images, for `unknown`. */
function nameOf({ os, architecture }: z.infer<typeof platform>): readonly string[] {
  if (os === 'unknown') return [];
  return [os === 'linux' ? architecture : `${os}/${architecture}`];
}

async function see({ version }: ImageReference, visit: Visit): Promise<Seen> {
  const answer = await visit.read(`manifests/${version}`, MANIFESTS);
  switch (answer.status) {
    case 200:
      return { kind: 'there', architectures: await architecturesIn(answer, visit) };
    case 404:
      return { kind: 'absent', caller: visit.caller };
    case 401:
    case 403:
      return { kind: 'refused', caller: visit.caller };
    default:
      return unseen(`it answers ${statusOf(answer)}`);
  }
}

async function architecturesIn(answer: RegistryAnswer, visit: Visit): Promise<readonly string[]> {
  const manifest = manifestAnswer.safeParse(jsonOf(answer.body));
  if (!manifest.success) throw new Error('its answer is not a manifest');
  const { manifests, config } = manifest.data;
  if (manifests !== undefined) {
    return [...new Set(manifests.flatMap((one) => (one.platform === undefined ? [] : nameOf(one.platform))))];
  }
  if (config === undefined) return [];
  const blob = await visit.read(`blobs/${config.digest}`, '*/*');
  const told = platform.safeParse(blob.status === 200 ? jsonOf(blob.body) : undefined);
  return told.success ? nameOf(told.data) : [];
}
