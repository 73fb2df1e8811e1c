/**
 * What an image says of itself, for one architecture: the labels of its configuration, as its registry has it. What is
 * addressed by a digest is compared with it; what a label says is the word of whoever built the image.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Deadlines } from '../kit/deadlines.ts';
import { type Architecture, type ImageLabels, ProviderError } from '../provider.ts';
import { type RegistryAnswer, wordsOf } from './bounded-get.ts';
import { DIGEST, parseReference } from './image-reference.ts';
import type { Puller } from './puller.ts';
import { jsonOf, MANIFESTS, statusOf, Visit } from './visit.ts';

const MAX_IMAGE_MS = 10_000;
const MAX_VALUE = 256;

/** The only ones that mean something here: an image may have any number. */
const READ = [
  'org.opencontainers.image.version',
  'serverless-hosted-runner.contract',
  'serverless-hosted-runner.runner',
];

const digest = z.string().regex(DIGEST);
const manifestAnswer = z.object({
  manifests: z
    .array(
      z.object({
        digest,
        platform: z
          .object({ architecture: z.string(), os: z.string().default('linux') })
          .optional()
          .catch(undefined),
      }),
    )
    .max(1000)
    .optional(),
  config: z.object({ digest }).optional(),
});
const configuration = z.object({
  architecture: z.string().optional(),
  config: z.object({ Labels: z.record(z.string(), z.unknown()).nullish() }).nullish(),
});

const GO_NAMES = { x64: 'amd64', arm64: 'arm64' } as const satisfies Record<Architecture, string>;

/** Within `timeoutMs` and 10 s. Does not reject. */
export async function readImageLabels(
  text: string,
  architecture: Architecture,
  puller: Puller,
  { deadlines, timeoutMs }: { readonly deadlines: Deadlines; readonly timeoutMs: number },
): Promise<ImageLabels> {
  const reference = parseReference(text);
  if (reference === undefined) return unknown('it is not a valid image reference');
  const ms = Math.min(timeoutMs, MAX_IMAGE_MS);
  try {
    return await deadlines.run('registry', ms, async (signal) => {
      const visit = new Visit(reference, puller, signal);
      return { kind: 'read', labels: await labelsOf(visit, reference.version, architecture) };
    });
  } catch (error) {
    const why =
      error instanceof ProviderError && error.code === 'timeout' ? `no answer within ${ms / 1000} s` : wordsOf(error);
    return unknown(`${reference.registry}: ${why}`);
  }
}

/** The labels that are read, of an image's configuration or of what an engine says. Values that are no short text are left out. */
export function knownLabels(labels: Readonly<Record<string, unknown>> | null | undefined): Record<string, string> {
  const known: Record<string, string> = {};
  for (const name of READ) {
    const value = labels !== null && labels !== undefined && Object.hasOwn(labels, name) ? labels[name] : undefined;
    if (typeof value === 'string' && value.length <= MAX_VALUE) known[name] = value;
  }
  return known;
}

async function labelsOf(visit: Visit, version: string, architecture: Architecture): Promise<Record<string, string>> {
  const top = readManifest(await visit.read(`manifests/${version}`, MANIFESTS), version);
  const chosen = top.manifests === undefined ? top : await ofArchitecture(visit, top.manifests, architecture);
  if (chosen.config === undefined) throw new Error('its manifest names no configuration');
  const blob = await visit.read(`blobs/${chosen.config.digest}`, '*/*');
  const read = configuration.safeParse(jsonOf(verified(blob, chosen.config.digest).body));
  if (!read.success) throw new Error("the image's configuration cannot be read");
  // Of a single image the manifest does not tell.
  const { architecture: built = GO_NAMES[architecture], config } = read.data;
  if (built !== GO_NAMES[architecture]) throw new Error(`it is not for ${architecture}`);
  return knownLabels(config?.Labels);
}

async function ofArchitecture(
  visit: Visit,
  manifests: NonNullable<z.infer<typeof manifestAnswer>['manifests']>,
  architecture: Architecture,
): Promise<z.infer<typeof manifestAnswer>> {
  // The first, as a pull takes it: https://github.com/opencontainers/image-spec/blob/main/image-index.md
  const found = manifests.find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === GO_NAMES[architecture],
  );
  if (found === undefined) throw new Error(`it has no image for ${architecture}`);
  const manifest = readManifest(await visit.read(`manifests/${found.digest}`, MANIFESTS), found.digest);
  if (manifest.manifests !== undefined) throw new Error('its index leads to another index');
  return manifest;
}

function readManifest(answer: RegistryAnswer, version: string): z.infer<typeof manifestAnswer> {
  const read = manifestAnswer.safeParse(jsonOf(verified(answer, version).body));
  if (!read.success) throw new Error('its answer is not a manifest');
  return read.data;
}

/** `version`: a digest that the body must have, or a tag. */
function verified(answer: RegistryAnswer, version: string): RegistryAnswer {
  if (answer.status !== 200) throw new Error(`it answers ${statusOf(answer)}`);
  if (!DIGEST.test(version)) return answer;
  const [algorithm = '', expected] = version.split(':');
  if (algorithm !== 'sha256' && algorithm !== 'sha512') throw new Error(`its digest ${algorithm} is not computed here`);
  const found = createHash(algorithm).update(answer.body, 'utf8').digest('hex');
  if (found !== expected) throw new Error('what it answers does not have the digest that was asked for');
  return answer;
}

function unknown(why: string): ImageLabels {
  return { kind: 'unknown', why };
}
