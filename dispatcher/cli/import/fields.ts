/** The fields of another system's configuration, each with what became of it: one verdict for each, none forgotten. */

export type Verdict = 'taken over' | 'to do' | 'no equivalent';

export interface Fate {
  readonly field: string;
  readonly verdict: Verdict;
  /** Where it is now; what to do; why there is none. */
  readonly words: string;
}

export interface Fates {
  /** Of each value, once. */
  readonly each: readonly Fate[];
  /** For people: one for all that is in a field, where it is the same. */
  readonly merged: readonly Fate[];
}

type Path = readonly (string | number)[];

/** What is known of fields that were not read. `*` in a path is any one step; all below the path is meant. */
export interface Known {
  readonly paths: readonly string[];
  readonly verdict: Exclude<Verdict, 'taken over'>;
  readonly words: string;
}

export function toDo(words: string, ...paths: readonly string[]): Known {
  return { paths, verdict: 'to do', words };
}

export function none(words: string, ...paths: readonly string[]): Known {
  return { paths, verdict: 'no equivalent', words };
}

/** The same, for what is further down in a file. */
export function below(prefix: Path, known: readonly Known[]): readonly Known[] {
  const start = prefix.map((step) => `${step}.`).join('');
  return known.map((one) => ({ ...one, paths: one.paths.map((path) => `${start}${path}`) }));
}

const EMPTY = { verdict: 'no equivalent', words: 'it is empty' } as const;
export const UNKNOWN = '`shr import` does not know it: see whether your jobs need it';

export class Fields {
  readonly #root: unknown;
  readonly #known: Rule = { next: new Map() };
  readonly #marks = new Map<string, Omit<Fate, 'field'>>();

  constructor(root: unknown, known: readonly Known[] = []) {
    this.#root = root;
    for (const { paths, verdict, words } of known) {
      for (const path of paths) {
        let rule = this.#known;
        for (const step of path.split('.')) {
          const next = rule.next.get(step) ?? { next: new Map() };
          rule.next.set(step, next);
          rule = next;
        }
        rule.fate ??= { verdict, words };
      }
    }
  }

  get(...path: Path): unknown {
    return path.reduce<unknown>((value, key) => {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
      return Object.entries(value).find(([name]) => name === String(key))?.[1];
    }, this.#root);
  }

  text(...path: Path): string | undefined {
    const value = this.get(...path);
    return typeof value === 'string' && value !== '' ? value : typeof value === 'number' ? String(value) : undefined;
  }

  number(...path: Path): number | undefined {
    const value = this.get(...path);
    return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
  }

  list(...path: Path): readonly unknown[] {
    const value = this.get(...path);
    return Array.isArray(value) ? value : [];
  }

  /** `as`: the field of the registration. */
  taken(path: Path, as: string): void {
    this.#mark(path, 'taken over', as);
  }

  toDo(path: Path, words: string): void {
    this.#mark(path, 'to do', words);
  }

  none(path: Path, words: string): void {
    this.#mark(path, 'no equivalent', words);
  }

  fates(): Fates {
    const each: Fate[] = [];
    /** Those of the value, and what they have in common, which then stands for all of them. */
    const walk = (value: unknown, path: Path): readonly Fate[] => {
      if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) {
        const fate = { field: shown(path), ...this.#fateOf(value, path) };
        if (path.length > 0) each.push(fate);
        return path.length > 0 ? [fate] : [];
      }
      const entries = Object.entries(value);
      const found = entries.flatMap(([key, item]) => walk(item, [...path, Array.isArray(value) ? Number(key) : key]));
      const [first] = found;
      const isOne = found.every((fate) => fate.verdict === first?.verdict && fate.words === first?.words);
      return isOne && first !== undefined && path.length > 0 ? [{ ...first, field: shown(path) }] : found;
    };
    const merged = walk(this.#root, []);
    return { each, merged };
  }

  #mark(path: Path, verdict: Verdict, words: string): void {
    this.#marks.set(keyOf(path), { verdict, words });
  }

  /** What was said of the field itself counts, or of the closest part that it is in. */
  #fateOf(value: unknown, path: Path): Omit<Fate, 'field'> {
    const isEmpty = value === null || value === '' || typeof value === 'object';
    for (let length = path.length; length > 0; length -= 1) {
      const mark = this.#marks.get(keyOf(path.slice(0, length)));
      if (mark !== undefined) return isEmpty && mark.verdict !== 'taken over' ? EMPTY : mark;
    }
    return isEmpty ? EMPTY : (fateIn(this.#known, path) ?? { verdict: 'to do', words: UNKNOWN });
  }
}

interface Rule {
  fate?: Omit<Fate, 'field'>;
  readonly next: Map<string, Rule>;
}

/** The longest path that matches; at each step a name goes before `*`. */
function fateIn(rule: Rule, path: Path): Omit<Fate, 'field'> | undefined {
  const [step, ...more] = path;
  if (step === undefined) return rule.fate;
  for (const next of [rule.next.get(String(step)), rule.next.get('*')]) {
    const fate = next && fateIn(next, more);
    if (fate !== undefined) return fate;
  }
  return rule.fate;
}

function keyOf(path: Path): string {
  return JSON.stringify(path.map(String));
}

/** `template.spec.nodeSelector["kubernetes.io/arch"]`: no two fields look the same. */
function shown(path: Path): string {
  return path
    .map((step, index) => {
      if (typeof step === 'number') return `[${step}]`;
      if (!/^[\w-]+$/.test(step)) return `[${JSON.stringify(step)}]`;
      return index === 0 ? step : `.${step}`;
    })
    .join('');
}

const MAX_SHOWN = 8;

/** For people: what has the same fate in one line. */
export function fateLines({ merged }: Fates, verdict: Verdict): readonly string[] {
  const grouped = Map.groupBy(
    merged.filter((fate) => fate.verdict === verdict),
    ({ words }) => words,
  );
  return [...grouped].map(([words, same]) => {
    const names = same.slice(0, MAX_SHOWN).map(({ field }) => field);
    const more = same.length > MAX_SHOWN ? ` and ${same.length - MAX_SHOWN} more` : '';
    return `${names.join(', ')}${more}${verdict === 'taken over' ? ' as ' : ': '}${words}`;
  });
}
