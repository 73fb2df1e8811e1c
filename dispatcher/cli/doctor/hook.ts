/** Whether the images of a backend carry the hook that asks before a job's first step, as their labels say. */
import type { ImageUse, Provider } from '../../../providers/provider.ts';
import { mapLimited } from '../../../time/workers.ts';
import { listsHook } from '../../admission/grants.ts';
import { CONTRACT_LABEL, carriesHook } from '../../lifecycle/hook-proofs.ts';
import { type Registration, requiresHook } from '../../model/registration.ts';
import { bad, type DoctorFinding, good, note } from './finding.ts';

const AT_ONCE = 4;
const CURE = 'build the image from ours: docs/runner-image.md';

/** `images`: those that were found fit for the backend, few. Rejects as little as the provider does. */
export async function checkHooks(
  registration: Registration,
  about: string,
  provider: Pick<Provider, 'imageLabels'>,
  images: readonly ImageUse[],
): Promise<readonly DoctorFinding[]> {
  // A kind without images; where the hook is demanded, the launch says so.
  if (provider.imageLabels === undefined) return [];
  const findings = new Map<ImageUse, DoctorFinding>();
  await mapLimited(images, AT_ONCE, async (image) => {
    findings.set(image, await checkHook(registration, about, provider, image));
  });
  return images.flatMap((image) => findings.get(image) ?? []);
}

async function checkHook(
  registration: Registration,
  about: string,
  provider: Pick<Provider, 'imageLabels'>,
  { reference, architectures: [architecture = 'x64'] }: ImageUse,
): Promise<DoctorFinding> {
  const { grant } = registration;
  if (grant !== undefined && listsHook(grant, reference)) {
    return good(about, 'hook', `${reference} carries the hooks, says dispatcher.yaml`);
  }
  const labels = await provider.imageLabels?.(reference, architecture);
  if (labels?.kind !== 'read') {
    return note(
      about,
      'hook',
      `whether ${reference} carries the hooks is not known: ${labels?.why ?? 'it has no labels'}`,
    );
  }
  if (carriesHook(labels.labels)) return good(about, 'hook', `${reference} carries the hooks, says its label`);
  const lacks = `${reference} has no label ${CONTRACT_LABEL} of ours`;
  return requiresHook(registration)
    ? bad(about, 'hook', `${lacks}, and requireHook demands the hook`, CURE)
    : note(about, 'hook', `${lacks}: no job that GitHub hands to its runners is stopped there`, CURE);
}
