/** Which version of the runner is in the images that registrations name, as the images' labels say. */
import type { Architecture, ImageLabels, Provider } from '../../../providers/provider.ts';
import { mapLimited } from '../../../time/workers.ts';
import type { ProviderPool } from '../../backends/pool.ts';
import { isUnresolved } from '../../config/references.ts';
import type { Backend, Registration } from '../../model/registration.ts';
import { wordsOf } from '../doctor/finding.ts';
import { imagesFor } from '../doctor/images.ts';

export interface LabelledImage {
  readonly registration: string;
  readonly host: string;
  readonly image: string;
  /** Undefined: `why`. */
  readonly version: string | undefined;
  readonly why?: string;
}

export interface LabelledImages {
  readonly images: readonly LabelledImage[];
  readonly notes: readonly string[];
}

const AT_ONCE = 4;
/** Over all registrations: each is a few requests at a registry. */
const MOST_IMAGES = 200;
const VERSION = /^\d{1,4}\.\d{1,4}\.\d{1,4}$/;

interface Question {
  readonly registration: Registration;
  readonly provider: Provider;
  readonly image: string;
  readonly architecture: Architecture;
}

/** Does not reject. `each` is called before each look. */
export async function labelledImages(
  registrations: readonly Registration[],
  backends: Pick<ProviderPool, 'of'>,
  each: (image: string) => void,
): Promise<LabelledImages> {
  const notes: string[] = [];
  const questions = new Map<string, Question>();
  for (const registration of registrations) {
    for (const backend of registration.backends) {
      for (const question of await questionsOf(registration, backend, backends, notes)) {
        const key = JSON.stringify([registration.name, question.image]);
        if (!questions.has(key)) questions.set(key, question);
      }
    }
  }
  const asked = [...questions.values()].slice(0, MOST_IMAGES);
  const left = questions.size - asked.length;
  if (left > 0) notes.push(`${left} more images are named, and were not looked at: the limit is ${MOST_IMAGES}`);
  const images: LabelledImage[] = [];
  await mapLimited(asked, AT_ONCE, async ({ registration, provider, image, architecture }) => {
    each(image);
    const labels = await provider.imageLabels?.(image, architecture);
    images.push({ registration: registration.name, host: registration.host, image, ...readVersion(labels) });
  });
  return { images, notes };
}

async function questionsOf(
  registration: Registration,
  backend: Backend,
  backends: Pick<ProviderPool, 'of'>,
  notes: string[],
): Promise<readonly Question[]> {
  const name = `${registration.name}, backend ${backend.name}`;
  if (backend.closed !== undefined || isUnresolved(backend.options)) {
    notes.push(`${name}: its images were not looked at: the backend cannot be used`);
    return [];
  }
  try {
    const provider = await backends.of(registration, backend.name);
    if (provider.imageLabels === undefined) return [];
    return imagesFor(registration, name, provider).images.map(
      ({ reference, architectures: [architecture = 'x64'] }) => ({
        ...{ registration, provider, architecture },
        image: reference,
      }),
    );
  } catch (error) {
    notes.push(`${name}: its images were not looked at: ${wordsOf(error)}`);
    return [];
  }
}

/** A base image may have a version of its own: without our label, nothing says that it is the runner's. */
export function readVersion(labels: ImageLabels | undefined): Pick<LabelledImage, 'version' | 'why'> {
  if (labels === undefined) return { version: undefined, why: 'its kind of backend has no labels' };
  if (labels.kind === 'unknown') return { version: undefined, why: labels.why };
  const { labels: said } = labels;
  const isOurs = said['serverless-hosted-runner.contract'] !== undefined;
  const version =
    said['serverless-hosted-runner.runner'] ?? (isOurs ? said['org.opencontainers.image.version'] : undefined);
  if (version === undefined) return { version: undefined, why: 'its labels do not say' };
  return VERSION.test(version) ? { version } : { version: undefined, why: 'its label is not a version of the runner' };
}
