/**
 * What an invalid value was probably meant to say. The closest meaning, else undefined: a wrong cure is worse than
 * no cure.
 */
import { formatDuration, parseDuration } from './duration.ts';

/** A number with a typo: `-4`, `=4`, `"4"`, `+4`, `.5`, `4.`; with what follows it. */
const NUMBER = /^[-+=:_"'\s]*(\d{1,9}(?:\.\d{1,3})?|\.\d{1,3})\.?[-_"'\s]*([a-z]*)["'.\s]*$/i;

function numberAndUnit(value: string): { readonly number: number; readonly unit: string } | undefined {
  const match = NUMBER.exec(value.replace(/(?<=\d),(?=\d)/, '.'));
  if (match?.[1] === undefined) return undefined;
  return { number: Number(match[1]), unit: (match[2] ?? '').toLowerCase() };
}

/** `4c`, `4 cores`, `500m` (thousandths, as Kubernetes writes them). */
export function meantCores(value: string): string | undefined {
  const read = numberAndUnit(value);
  if (read === undefined) return undefined;
  if (/^(?:|c|core|cores|cpu|cpus|v|vcpu|vcpus|x)$/.test(read.unit)) return plain(read.number);
  return read.unit === 'm' ? plain(read.number / 1000) : undefined;
}

/** `8G`, `8 GB`, `512MB` (half a GiB), `1T`. */
export function meantGibibytes(value: string): string | undefined {
  const read = numberAndUnit(value);
  if (read === undefined) return undefined;
  if (/^(?:|g|gb|gi|gib|gig|gigs)$/.test(read.unit)) return plain(read.number);
  if (/^(?:t|tb|ti|tib)$/.test(read.unit)) return plain(read.number * 1024);
  if (!/^(?:m|mb|mi|mib)$/.test(read.unit)) return undefined;
  // Thousands of MB are meant as GB: 4000MB does not mean 3.906 GiB.
  return plain(read.number >= 1000 && read.number % 1000 === 0 ? read.number / 1000 : read.number / 1024);
}

/** Labels accept three decimal places. A value too small for them becomes nothing. */
function plain(number: number): string | undefined {
  const rounded = Math.round(number * 1000) / 1000;
  return rounded > 0 ? String(rounded) : undefined;
}

const UNITS: readonly (readonly [words: RegExp, unit: string, ms: number])[] = [
  [/^(?:w|wk|wks|week|weeks)$/, 'w', 7 * 86_400_000],
  [/^(?:d|day|days)$/, 'd', 86_400_000],
  [/^(?:h|hr|hrs|hour|hours)$/, 'h', 3_600_000],
  [/^(?:m|min|mins|minute|minutes)$/, 'm', 60_000],
  [/^(?:s|sec|secs|second|seconds)$/, 's', 1000],
];

/** `30min`, `2 hours`, `1.5h`, `1h30`, `PT90M`, `1h-30m`. Rounded to the closest valid duration. */
export function meantDuration(value: string): string | undefined {
  const text = value
    .toLowerCase()
    .replace(/^[-+=:_"'\s]+|["'.\s]+$/g, '')
    .replace(/^pt?(?=\d)/, '');
  const part = /(\d{1,6}(?:\.\d{1,3})?)[-_\s]*([a-z]*)[-_\s]*(?:and[-_\s]+)?/y;
  let ms = 0;
  let before = -1;
  let short = '';
  while (part.lastIndex < text.length) {
    const match = part.exec(text);
    if (match === null) return undefined;
    const [, digits = '', word = ''] = match;
    // `1h30` is 1 hour and 30 minutes. A bare number has no unit to go by.
    const at = word === '' && before >= 0 ? before + 1 : UNITS.findIndex(([words]) => words.test(word));
    const unit = UNITS[at];
    if (unit === undefined || at <= before) return undefined;
    ms += Number(digits) * unit[2];
    short += `${digits}${unit[1]}`;
    before = at;
  }
  return parseDuration(short) === ms ? short : formatDuration(Math.round(ms / 1000) * 1000);
}

const X64 = /^(?:x64|amd64|amd|x86|x86_64|x86-64|x8664|x86_x64|intel|intel64|em64t)$/;
const ARM64 = /^(?:arm64|arm|arm-64|arm_64|aarch64|arm64v8|armv8|armv9|graviton)$/;

/** In any case. Undefined for anything else, such as `arm32` and `i386`. */
export function meantArchitecture(value: string): 'x64' | 'arm64' | undefined {
  const folded = value.toLowerCase().replace(/^[-+=:_"'\s]+|["'.\s]+$/g, '');
  if (X64.test(folded)) return 'x64';
  return ARM64.test(folded) ? 'arm64' : undefined;
}
