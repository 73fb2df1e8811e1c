/**
 * `shr.yaml` of an organization: text that anyone may have written who can write to that repository. It has a form of its own,
 * in which nothing can be allowed, and no references.
 */
import { createHash } from 'node:crypto';
import { isGlob, MAX_GLOB_CHARACTERS } from '../labels/glob.ts';
import { defined } from '../model/defined.ts';
import type { Path, Problem } from '../model/problem.ts';
import type { OrganizationFile, OrganizationPolicy, OrganizationShape } from '../model/registration.ts';
import { readYaml } from './document.ts';
import { noReferences } from './exported-platform.ts';
import { Reading } from './reading.ts';
import { durationMs, organizationFile } from './schema.ts';

export const ORGANIZATION_FILE_BYTES = 65_536;
const BOUNDS = { bytes: ORGANIZATION_FILE_BYTES, values: 10_000, references: 1 };

export type OrganizationRead =
  | { readonly ok: true; readonly file: OrganizationFile }
  /** At least one. */
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** `file`: `acme/.github-private/shr.yaml`. */
export async function readOrganizationFile(file: string, text: string): Promise<OrganizationRead> {
  if (Buffer.byteLength(text) > BOUNDS.bytes) {
    const message = `the file has more than ${BOUNDS.bytes} bytes`;
    return {
      ok: false,
      problems: [{ file, line: 0, column: 0, path: '', message, cure: 'Use fewer and shorter globs.' }],
    };
  }
  const yaml = readYaml(file, text, BOUNDS.bytes);
  const referring = yaml.problems.length > 0 ? undefined : firstReference(yaml.value);
  if (referring !== undefined) {
    const message = 'it looks like a reference, and this file has none';
    const { line, column } = yaml.placeOf(referring);
    const path = referring.map(String).join('.').slice(0, 200);
    return {
      ok: false,
      problems: [{ file, line, column, path, message, cure: 'Write the value itself, without `${`.' }],
    };
  }
  const reading = await Reading.start(yaml, { kind: 'platform' }, noReferences, 'required', BOUNDS);
  if (!reading.readable || !reading.topLevel(organizationFile)) return { ok: false, problems: reading.problems };
  const { shape } = organizationFile;
  const policy = policyOf(reading.section(['policy'], shape.policy));
  const defaults = defaultsOf(reading.section(['defaults'], shape.defaults));
  const maxRunnersPerRun = reading.section(['maxRunnersPerRun'], shape.maxRunnersPerRun);
  boundGlobs(reading, policy);
  if (reading.problemCount > 0) return { ok: false, problems: reading.problems };
  const folder = file.slice(0, file.lastIndexOf('/') + 1);
  const places = [...reading.placesOfKeys([])].map(([key, place]) => [key, `${folder}${place}`] as const);
  const known = places.filter(([key]) => FIELDS.has(key));
  return {
    ok: true,
    file: {
      ...{ file, blob: blobOf(text), policy, defaults, places: Object.fromEntries(known) },
      ...(maxRunnersPerRun === undefined ? {} : { maxRunnersPerRun }),
    },
  };
}

const FIELDS: ReadonlySet<string> = new Set([
  ...Object.keys(organizationFile.shape),
  ...Object.keys(organizationFile.shape.policy.unwrap().shape).map((key) => `policy.${key}`),
  ...Object.keys(organizationFile.shape.defaults.unwrap().shape).map((key) => `defaults.${key}`),
]);

type PolicyForm = ReturnType<typeof organizationFile.shape.policy.parse>;
type DefaultsForm = ReturnType<typeof organizationFile.shape.defaults.parse>;

function policyOf(form: PolicyForm): OrganizationPolicy {
  if (form === undefined) return {};
  return defined<OrganizationPolicy>({
    maxCpu: form.maxCpu,
    maxMemoryGiB: form.maxMemoryGiB,
    maxDiskGiB: form.maxDiskGiB,
    maxTimeLimitMs: form.maxTimeout === undefined ? undefined : durationMs(form.maxTimeout, 0),
    images: form.images,
    subnets: form.subnets,
    securityGroups: form.securityGroups,
    workflows: form.workflows,
    branches: form.branches,
    events: form.events,
    actors: form.actors,
    spot: form.spot,
    dockerInDocker: form.dockerInDocker,
    publicRepositories: form.publicRepositories,
    forks: form.forks,
  });
}

function defaultsOf(form: DefaultsForm): OrganizationShape {
  if (form === undefined) return {};
  return defined<OrganizationShape>({
    cpu: form.cpu,
    memoryGiB: form.memoryGiB,
    architecture: form.architecture,
    image: form.image,
    timeLimitMs: form.timeLimit === undefined ? undefined : durationMs(form.timeLimit, 0),
  });
}

/** Each job is compared with each of these, on the thread that serves all tenants. */
function boundGlobs(reading: Reading, policy: OrganizationPolicy): void {
  const lists = Object.values(policy).filter((value) => Array.isArray(value));
  const characters = lists.flat().reduce((sum, glob) => sum + (isGlob(glob) ? glob.length : 0), 0);
  if (characters <= MAX_GLOB_CHARACTERS) return;
  reading.problem(
    ['policy'],
    `its globs have ${characters} characters together, and the limit is ${MAX_GLOB_CHARACTERS}`,
    'Use fewer and shorter globs; names without `*` and `?` do not count.',
  );
}

/** The path of the first text with `${` in it. Beyond the bound on values, the reading says so. */
function firstReference(root: unknown): Path | undefined {
  const rest: { readonly value: unknown; readonly path: Path }[] = [{ value: root, path: [] }];
  for (let seen = 0; seen < BOUNDS.values; seen += 1) {
    const next = rest.pop();
    if (next === undefined) return undefined;
    const { path, value } = next;
    if (typeof value === 'string' && value.includes('${')) return path;
    if (typeof value !== 'object' || value === null) continue;
    const entries: Iterable<[string | number, unknown]> = Array.isArray(value)
      ? value.entries()
      : Object.entries(value);
    for (const [key, item] of entries) rest.push({ value: item, path: [...path, key] });
  }
  return undefined;
}

/** As `git hash-object` has it. */
function blobOf(text: string): string {
  const bytes = Buffer.from(text);
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}
