/** Which images a registration's jobs can get on a backend, as far as its configuration names them. Pure. */
import { type Architecture, type ImageUse, MAX_IMAGES, type Provider } from '../../../providers/provider.ts';
import type { Registration, ShapeDefaults } from '../../model/registration.ts';
import { bad, type DoctorFinding, note } from './finding.ts';

export interface AskedImages {
  readonly images: readonly ImageUse[];
  /** Images that are not checked. */
  readonly findings: readonly DoctorFinding[];
}

/** The default image first, then those of named shapes, named images, and what the policy allows without a glob. */
export function imagesFor(
  registration: Registration,
  about: string,
  provider: Pick<Provider, 'capabilities' | 'fit'>,
): AskedImages {
  const findings: DoctorFinding[] = [];
  const fitting = usesOf(registration, provider.capabilities.architectures).filter(({ reference, architectures }) => {
    const [architecture = 'x64'] = architectures;
    const fit = provider.fit({ image: reference, architecture, spot: false, dockerInDocker: false });
    if (fit.fits) return true;
    const message = `${reference} cannot run on this backend: ${fit.reason}`;
    findings.push(
      registration.backends.length > 1
        ? note(about, 'image', message)
        : bad(
            about,
            'image',
            message,
            'name another image in the registration, or give it a backend that runs this one',
          ),
    );
    return false;
  });
  if (fitting.length > MAX_IMAGES) {
    const message = `${fitting.length - MAX_IMAGES} more are named, and were not checked: the limit is ${MAX_IMAGES}`;
    findings.push(note(about, 'image', message));
  }
  return { images: fitting.slice(0, MAX_IMAGES), findings: findings.slice(0, MAX_IMAGES) };
}

function usesOf(registration: Registration, sold: readonly Architecture[]): readonly ImageUse[] {
  const { canary, defaults, shapes, images, policy, presetImages = {} } = registration;
  const bases: readonly ShapeDefaults[] = [
    defaults,
    ...Object.values(shapes).map((shape) => ({ ...defaults, ...shape })),
    ...(canary === undefined ? [] : [{ ...defaults, image: canary.image }]),
  ];
  const usual = bases.map(({ architecture }) => architecture ?? 'x64');
  /** What labels can select. */
  const possible = [...new Set([...usual, ...policy.architectures])].filter((one) => sold.includes(one));
  const chosen = new Map<string, ImageUse>();
  for (const [index, { image }] of bases.entries()) {
    const architecture = usual[index];
    if (image === undefined || architecture === undefined) continue;
    // A job without a label for it gets this one; if the backend lacks it, only jobs with such a label can run there.
    const architectures = sold.includes(architecture) ? [architecture] : possible;
    chosen.set(JSON.stringify([image, architectures]), { reference: image, architectures });
  }
  const known = new Set([...chosen.values()].map(({ reference }) => reference));
  // Distinguishes a full reference from a tag as admission does.
  const allowed = policy.images.filter((pattern) => !/[*?]/.test(pattern) && /[/:@]/.test(pattern));
  for (const reference of [...Object.values(images), ...Object.values(presetImages), ...allowed]) {
    if (!known.has(reference)) chosen.set(reference, { reference, architectures: possible });
  }
  return [...chosen.values()].filter(({ architectures }) => architectures.length > 0);
}
