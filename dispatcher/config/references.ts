/** Resolves all references in a file, and collects the findings. */
import { formatPath, type Path } from '../model/problem.ts';
import { type Reach, type ReferenceSources, type Resolution, resolveReference } from './reference.ts';

/** The limits for one file. */
export interface FileBounds {
  readonly bytes: number;
  /** Including aliases: a few lines can expand to very many. */
  readonly values: number;
  /** Distinct ones; each may be a file to read. */
  readonly references: number;
}

export interface ReferenceFinding {
  readonly path: Path;
  /** `absent`: valid, but missing. `exposed`: present, but other users can read it. */
  readonly kind: 'absent' | 'wrong' | 'exposed';
  readonly message: string;
  readonly cure: string;
}

export interface ResolvedReferences {
  readonly value: unknown;
  /** By formatted path: whether the reference there has a value. */
  readonly references: ReadonlyMap<string, boolean>;
  /** The values, which must never be displayed. */
  readonly revealed: readonly string[];
  readonly findings: readonly ReferenceFinding[];
}

/** Placeholder for a reference without a value: `validate` runs on machines that do not have the secrets. */
const UNRESOLVED = 'unresolved-reference';
const DEEPEST = 32;
/** Anything shorter is too common to be redacted from messages. */
const MIN_REVEALED_LENGTH = 4;
const NO_REFERENCE: Resolution = { outcome: 'none' };

export async function resolveReferences(
  root: unknown,
  reach: Reach,
  sources: ReferenceSources,
  bounds: FileBounds,
): Promise<ResolvedReferences> {
  const references = new Map<string, boolean>();
  const revealed = new Set<string>();
  const findings: ReferenceFinding[] = [];
  const known = new Map<string, Resolution>();
  let values = 0;

  async function resolve(text: string): Promise<Resolution> {
    const before = known.get(text);
    if (before !== undefined) return before;
    if (known.size >= bounds.references) return tooMany(bounds.references);
    const resolution = await resolveReference(text, reach, sources);
    if (resolution.outcome !== 'none') known.set(text, resolution);
    return resolution;
  }

  async function resolveText(text: string, path: Path): Promise<string> {
    // Most texts are not references, and do not need a turn of the event loop.
    const resolution = text.includes('${') ? await resolve(text) : NO_REFERENCE;
    if (resolution.outcome === 'none') return text;
    references.set(formatPath(path), resolution.outcome === 'value');
    if (resolution.outcome !== 'value') {
      findings.push({ path, kind: resolution.outcome, message: resolution.message, cure: resolution.cure });
      return UNRESOLVED;
    }
    if (resolution.value.length >= MIN_REVEALED_LENGTH) revealed.add(resolution.value);
    if (resolution.exposed !== undefined) findings.push({ path, kind: 'exposed', ...exposure(resolution.exposed) });
    return resolution.value;
  }

  async function walk(value: unknown, path: Path): Promise<unknown> {
    values += 1;
    if (values === bounds.values + 1) {
      const message = `the file has more than ${bounds.values} values, its aliases followed`;
      findings.push({ path, kind: 'wrong', message, cure: 'Write out what is needed, without aliases.' });
    }
    if (values > bounds.values) return undefined;
    if (typeof value === 'string') return resolveText(value, path);
    if (typeof value !== 'object' || value === null) return value;
    if (path.length >= DEEPEST) {
      findings.push({ path, kind: 'wrong', message: 'it is nested too deeply', cure: 'Flatten it.' });
      return undefined;
    }
    if (Array.isArray(value)) {
      const items: unknown[] = [];
      for (const [index, item] of value.entries()) items.push(await walk(item, [...path, index]));
      return items;
    }
    const entries: [string, unknown][] = [];
    for (const [key, item] of Object.entries(value)) entries.push([key, await walk(item, [...path, key])]);
    return Object.fromEntries(entries);
  }

  const value = await walk(root, []);
  return { value, references, revealed: [...revealed], findings };
}

function tooMany(most: number): Resolution {
  return {
    outcome: 'wrong',
    message: `the file has more than ${most} different references`,
    cure: 'Name only what it needs.',
  };
}

function exposure({ file, to }: { readonly file: string; readonly to: 'everybody' | 'group' }): {
  readonly message: string;
  readonly cure: string;
} {
  const readers = to === 'everybody' ? 'every user of this machine' : "every member of the file's group";
  return {
    message: `${readers} may read or change the secret file ${file}`,
    cure: `Run \`chmod 600 ${file}\` (in Kubernetes: \`defaultMode: 0400\` at the volume).`,
  };
}
