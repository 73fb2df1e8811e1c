/**
 * The end of a container's output, from Cloud Logging, the only place where Cloud Run and Batch keep it. Calls REST
 * with the SDK's own credentials, which avoids loading another SDK for one method.
 */
import { z } from 'zod';
import { tailText } from '../kit/tail.ts';
import { LOG_BYTES, ProviderError } from '../provider.ts';
import type { GoogleAuth } from './connection.ts';

/** Page limit of `entries.list`. */
const PAGE = 1000;
/** A project gets 60 calls a minute (https://cloud.google.com/logging/quotas), so one read uses few. */
const MAX_PAGES = 20;

const answer = z.object({
  entries: z
    .array(
      z.object({
        textPayload: z.string().optional(),
        // Output that is JSON lines is stored as structured data.
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
  /** Runs one call with a deadline; see providers/kit/deadlines.ts. */
  call(request: (signal: AbortSignal) => Promise<{ data: unknown }>): Promise<{ data: unknown }>;
}

/** Empty if nothing has arrived (yet): entries take some seconds. */
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
          // Newest first, so that reading a log of gigabytes costs no more than reading its end.
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
    // A short or empty page may be followed by more.
    pageToken = parsed.data.nextPageToken;
    if (pageToken === undefined || pageToken === '') break;
  }
  return tailText(Buffer.from(lines.reverse().join('')));
}

/** A quoted string in a filter. */
export function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
