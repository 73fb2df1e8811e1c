/** The file that a deployed dispatcher has its whole configuration in. */
import { BUNDLE_KEY } from '../../deployers/tags.ts';
import { unseal } from '../../providers/kit/sealed-text.ts';
import { type Bundle, decodeBundle, MAX_BUNDLE_BYTES } from '../config/bundle.ts';
import { systemFiles } from '../config/files.ts';

/** Undefined if it is not a bundle that this version reads. Rejects with the system's error. */
export async function readBundleFile(
  file: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Bundle | undefined> {
  const { text } = await systemFiles.read(file, { mostBytes: MAX_BUNDLE_BYTES });
  const key = environment[BUNDLE_KEY];
  const opened = key === undefined ? text.trim() : unseal(text.trim(), key);
  return opened === undefined ? undefined : decodeBundle(opened);
}
