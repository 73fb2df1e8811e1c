/**
 * The end of a container's output, from Cloud Logging: the only place where Cloud Run and Batch keep it. By REST with
 * the SDK's own credentials, so that no further SDK is loaded for one method.
 */
import { z } from 'zod';
import { tailText } from '../kit/tail.ts';
import { LOG_BYTES, ProviderError } from '../provider.ts';
import type { GoogleAuth } from './connection.ts';

/** `entries.list` gives at most so many at once. */
const PAGE = 1000;
/** 60 calls a minute are free for a whole project (https://cloud.google.com/logging/quotas), so one read takes few. */
const MAX_PAGES = 20;

const answer = z.object({
  entries: z
    .array(
      z.object({
        textPayload: z.string().optional(),
        // A container that writes JSON lines is read as such.
        jsonPayload: z.record(z.string(), z.unknown()).optional(),
      }),
    )
    .default([]),
  nextPageToken: z.string().optional(),
});

export interface LogQuery {
  readonly auth: Pick<GoogleAuth, 'request'>;
  /** `https://logging.googleapis.com`, or a simulator. */
  readonly endpoint: string;
  readonly project: string;
  /** In the query language of Cloud Logging. */
  readonly filter: string;
  /** Runs one call within a deadline; see providers/kit/deadlines.ts. */
  call(request: (signal: AbortSignal) => Promise<{ data: unknown }>): Promise<{ data: unknown }>;
}

/** Empty where nothing has arrived (yet): entries take some seconds. */
export async function readLog(query: LogQuery): Promise<string> {
  const lines: string[] = [];
  let bytes = 0;
  let pageToken: string | undefined;
  for (let page = 0; page < MAX_PAGES && bytes <= LOG_BYTES; page += 1) {
    const { data } = await query.call((signal) =>
      query.auth.request({
        url: `${query.endpoint}/v2/entries:list`,
        method: 'POST',
        data: {
          resourceNames: [`projects/${query.project}`],
          filter: query.filter,
          // The newest first, so that a log of gigabytes costs no more than its end.
          orderBy: 'timestamp desc',
          pageSize: PAGE,
          ...(pageToken === undefined ? {} : { pageToken }),
        },
        signal,
        retry: false,
      }),
    );
    const parsed = answer.safeParse(data);
    if (!parsed.success) {
      throw new ProviderError('transient', 'google logging', `an answer that cannot be read: ${parsed.error.message}`);
    }
    for (const entry of parsed.data.entries) {
      const line = `${entry.textPayload ?? JSON.stringify(entry.jsonPayload ?? {})}\n`;
      lines.push(line);
      bytes += Buffer.byteLength(line);
    }
    // A page may be short or empty, and more may follow.
    pageToken = parsed.data.nextPageToken;
    if (pageToken === undefined || pageToken === '') break;
  }
  return tailText(Buffer.from(lines.reverse().join('')));
}

/** A text of a filter, quoted. */
export function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
