/** Configurations in YAML or JSON: which format each document has, and what is never read. */
import { readYaml } from '../../config/document.ts';
import { isRecord } from '../../config/salvage.ts';
import { runnerSet } from './arc.ts';
import { type Draft, foreignReference, type Imported, type Names } from './draft.ts';
import { garmPool, isGarm } from './garm.ts';
import { isRunners, runnerDeployment } from './runner-deployments.ts';
import { tfaws } from './tfaws.ts';

const MAX_DOCUMENTS = 100;
const MAX_VALUES = 20_000;
const MAX_DEPTH = 40;
/** Of one file. */
const MAX_REGISTRATIONS = 1000;

export interface DocumentOptions {
  readonly file: string;
  readonly text: string;
  readonly mostBytes: number;
  /** Where the file does not say it. */
  readonly organization: string | undefined;
}

export function importDocuments(stem: string, options: DocumentOptions, names: Names): Imported {
  const problems: string[] = [];
  const items = itemsIn(options, problems);
  const autoscalers = new Autoscalers(items);
  const drafts: Draft[] = [];
  for (const item of items) {
    for (const draft of draftsOf(item, { stem, organization: options.organization, autoscalers }, names)) {
      const problem = typeof draft === 'string' ? draft : referenceIn(draft);
      if (problem !== undefined) problems.push(problem);
      else if (typeof draft !== 'string') drafts.push(draft);
    }
  }
  problems.push(...autoscalers.unused());
  if (drafts.length > MAX_REGISTRATIONS) problems.push(`only the first ${MAX_REGISTRATIONS} registrations were taken`);
  return { drafts: drafts.slice(0, MAX_REGISTRATIONS), problems };
}

/** Of each document, and of the lists that `kubectl get` and `garm-cli` print. */
function itemsIn(options: DocumentOptions, problems: string[]): readonly unknown[] {
  const parts = options.text.split(/^---(?:[ \t].*)?\r?$/m).filter((part) => part.trim() !== '');
  if (parts.length > MAX_DOCUMENTS) problems.push(`only the first ${MAX_DOCUMENTS} documents were read`);
  return parts.slice(0, MAX_DOCUMENTS).flatMap((part) => {
    const { value, problems: wrong } = readYaml(options.file, part, options.mostBytes);
    const [first] = wrong;
    if (first !== undefined) {
      problems.push(`${first.message}. ${first.cure}`);
      return [];
    }
    if (!isTree(value)) {
      problems.push('it is nested too deeply, refers to itself, or holds too much');
      return [];
    }
    return listed(textAsValue(value));
  });
}

/** `terraform console` prints what `jsonencode` returns as a text. */
function textAsValue(value: unknown): unknown {
  if (typeof value !== 'string' || !/^[[{]/.test(value)) return value;
  try {
    const parsed: unknown = JSON.parse(value);
    return isTree(parsed) ? parsed : value;
  } catch {
    return value;
  }
}

function listed(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value.map((item: unknown) => item);
  const { kind, items } = isRecord(value) ? value : { kind: undefined, items: undefined };
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)
    ? items.map((item: unknown) => item)
    : [value];
}

function referenceIn({ registration, secrets }: Draft): string | undefined {
  const ours = new Set(secrets.map(({ variable }) => `\${env:${variable}}`));
  return foreignReference(registration, (reference) => ours.has(reference));
}

/** No cycles, and no more than can be walked through. */
function isTree(root: unknown): boolean {
  let values = 0;
  const walk = (value: unknown, depth: number): boolean => {
    values += 1;
    if (values > MAX_VALUES || depth > MAX_DEPTH) return false;
    if (typeof value !== 'object' || value === null) return true;
    return Object.values(value).every((item) => walk(item, depth + 1));
  };
  return walk(root, 0);
}

interface Surroundings {
  readonly stem: string;
  readonly organization: string | undefined;
  readonly autoscalers: Autoscalers;
}

function draftsOf(
  item: unknown,
  { stem, organization, autoscalers }: Surroundings,
  names: Names,
): readonly (Draft | string)[] {
  const fields = isRecord(item) ? item : {};
  const kind = typeof fields['kind'] === 'string' ? fields['kind'] : undefined;
  if (kind === 'AutoscalingRunnerSet') return [runnerSet(item, ['spec'], stem, names)];
  if (typeof fields['githubConfigUrl'] === 'string' && fields['githubConfigUrl'] !== '')
    return [runnerSet(item, [], stem, names)];
  if (isRunners(kind)) return [runnerDeployment(kind, item, autoscalers.of(kind, item), names)];
  if (kind === AUTOSCALER) return [];
  if (isGarm(fields)) return [garmPool(item, names)];
  const entries = tfaws(item, { stem, organization }, names);
  if (entries !== undefined) return entries;
  if (kind !== undefined) return [`a ${kind} has no equivalent`];
  return ['it is none of the formats that can be read: see shr import --help'];
}

const AUTOSCALER = 'HorizontalRunnerAutoscaler';

/** Documents of their own, that say how many runners another one has. */
class Autoscalers {
  readonly #byTarget = new Map<string, unknown>();
  readonly #used = new Set<string>();

  constructor(items: readonly unknown[]) {
    for (const item of items) {
      if (!isRecord(item) || item['kind'] !== AUTOSCALER) continue;
      const spec = isRecord(item['spec']) ? item['spec'] : {};
      const target = isRecord(spec['scaleTargetRef']) ? spec['scaleTargetRef'] : {};
      const key = keyOf(target['kind'] ?? 'RunnerDeployment', target['name']);
      if (!this.#byTarget.has(key)) this.#byTarget.set(key, item);
    }
  }

  of(kind: string, item: unknown): unknown {
    const metadata = isRecord(item) && isRecord(item['metadata']) ? item['metadata'] : {};
    const key = keyOf(kind, metadata['name']);
    this.#used.add(key);
    return this.#byTarget.get(key);
  }

  unused(): readonly string[] {
    return [...this.#byTarget.keys()]
      .filter((key) => !this.#used.has(key))
      .map((key) => `a ${AUTOSCALER} is for ${key}, which is not in this file`);
  }
}

function keyOf(kind: unknown, name: unknown): string {
  return `${String(kind)} ${String(name)}`;
}
