/** What `shr seal` can say of a secret and its place before anybody opens it: once it is sealed, only the dispatcher can. */
import { basename, join } from 'node:path';
import { readYaml } from '../../config/document.ts';
import { systemFiles } from '../../config/files.ts';
import { SEVERAL } from '../../config/layers.ts';
import { REGISTRATION_BOUNDS } from '../../config/load.ts';
import { MIN_SECRET_LENGTH } from '../../config/reading.ts';
import { isRecord } from '../../config/salvage.ts';
import { nearest } from '../../labels/nearest.ts';

/** Of a folder: beyond it a name that no file has may be in one that was not looked at. */
const MAX_FILES = 1_000;

/** Undefined: the registration is there, or which are there is not known. */
export async function unknownNameWarning(name: string, folder: string): Promise<string | undefined> {
  const names = await namesIn(folder, name);
  if (names === undefined || names.includes(name)) return undefined;
  const guess = nearest(name, names);
  const meant = guess === undefined ? '' : ` (did you mean '${guess}'?)`;
  return `${basename(folder)}/ has no registration '${name}'${meant}: the value opens under that name alone`;
}

/** Its words hold nothing of the secret but its length. */
export function secretWarning(secret: string, field: string): string | undefined {
  if (field.endsWith('privateKey')) {
    return secret.includes('PRIVATE KEY-----')
      ? undefined
      : 'the secret is not a private key in PEM format: seal the whole file that GitHub gave you';
  }
  if (secret.length < MIN_SECRET_LENGTH) {
    return `the secret has only ${secret.length} characters: check that it is the whole secret${field === 'webhook.secrets' ? `, as the dispatcher takes none with fewer than ${MIN_SECRET_LENGTH}` : ''}`;
  }
  return field === 'credentials.token' && /\s/.test(secret)
    ? 'the secret has a space or a line end in it, and a token has none: check that it is the token alone'
    : undefined;
}

async function namesIn(folder: string, wanted: string): Promise<readonly string[] | undefined> {
  const entries = await systemFiles.list(folder).catch(() => undefined);
  const files = entries?.filter((entry) => /(?<!\.example|\.base)\.yaml$/.test(entry));
  if (files === undefined || files.length > MAX_FILES) return undefined;
  const own = files.includes(`${wanted}.yaml`) ? await namesOf(join(folder, `${wanted}.yaml`)) : [];
  if (own.includes(wanted)) return own;
  return (await Promise.all(files.map((entry) => namesOf(join(folder, entry))))).flat();
}

/** Of a file that holds several registrations, theirs. */
async function namesOf(file: string): Promise<readonly string[]> {
  const own = [basename(file, '.yaml')];
  const read = await systemFiles.read(file, { mostBytes: REGISTRATION_BOUNDS.bytes }).catch(() => undefined);
  if (read === undefined || !read.text.includes(SEVERAL)) return own;
  const { value } = readYaml(file, read.text, REGISTRATION_BOUNDS.bytes);
  const held = isRecord(value) ? value[SEVERAL] : undefined;
  return isRecord(held) ? Object.keys(held) : own;
}
