/** Cloud Logging, limited to reading: `POST /v2/entries:list` over the output of the simulated containers. */
import { z } from 'zod';
import { parseFilter } from './filter.ts';
import { GoogleRefusal } from './status.ts';

export interface LogEntry {
  /** `projects/P/logs/ID`, the id percent-encoded. */
  readonly logName: string;
  readonly resource: { readonly type: string; readonly labels: Readonly<Record<string, string>> };
  readonly labels: Readonly<Record<string, string>>;
  readonly timestamp: string;
  readonly insertId: string;
  readonly severity?: string;
  readonly textPayload: string;
}

/** One container's output; its lines become entries on demand. */
export interface LogSource {
  readonly logName: string;
  readonly resource: LogEntry['resource'];
  readonly labels: LogEntry['labels'];
  readonly startedAtMs: number;
  /** All of its output. */
  output(): string;
}

const request = z.object({
  resourceNames: z.array(z.string()).min(1).max(100),
  filter: z.string().max(20_000).default(''),
  orderBy: z.enum(['timestamp asc', 'timestamp desc']).default('timestamp asc'),
  pageSize: z.int().min(1).max(1000).default(50),
  pageToken: z.string().regex(/^\d+$/, 'page_token is invalid').optional(),
});

export class Logs {
  readonly #sources = new Set<LogSource>();

  /** The returned function removes it; the real service keeps entries for 30 days. */
  add(source: LogSource): () => void {
    this.#sources.add(source);
    return () => this.#sources.delete(source);
  }

  list(body: unknown): object {
    const parsed = request.safeParse(body);
    if (!parsed.success) throw new GoogleRefusal('INVALID_ARGUMENT', parsed.error.issues[0]?.message ?? 'invalid');
    const { resourceNames, filter, orderBy, pageSize, pageToken } = parsed.data;
    const condition = parseFilter(filter);
    const entries = [...this.#sources]
      .filter((source) => resourceNames.some((name) => source.logName.startsWith(`${name}/`)))
      // All entries of a source only differ in time and text, as far as filters are concerned.
      .flatMap((source) => entriesOf(source).filter(condition))
      .sort((a, b) => compare(a.timestamp, b.timestamp) || compare(a.insertId, b.insertId));
    if (orderBy === 'timestamp desc') entries.reverse();
    const from = Number(pageToken ?? 0);
    const page = entries.slice(from, from + pageSize);
    const more = from + pageSize < entries.length;
    return {
      ...(page.length === 0 ? {} : { entries: page }),
      ...(more ? { nextPageToken: String(from + pageSize) } : {}),
    };
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Cached, because a client that reads many pages asks for the same entries many times. */
const made = new WeakMap<LogSource, { readonly output: string; readonly entries: LogEntry[] }>();

function entriesOf(source: LogSource): LogEntry[] {
  const output = source.output();
  const known = made.get(source);
  if (known?.output === output) return known.entries;
  const entries = read(source, output);
  made.set(source, { output, entries });
  return entries;
}

function read(source: LogSource, output: string): LogEntry[] {
  const lines = output.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((textPayload, index) => {
    const nanos = String((index % 1000) * 1000).padStart(6, '0');
    const at = new Date(source.startedAtMs + Math.floor(index / 1000)).toISOString().replace('Z', `${nanos}Z`);
    return {
      logName: source.logName,
      resource: source.resource,
      labels: source.labels,
      timestamp: at,
      insertId: index.toString(36).padStart(12, '0'),
      textPayload,
    };
  });
}
