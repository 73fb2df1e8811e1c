import { type CallPurpose, GithubError } from './github.ts';
import type { Call, Caller } from './requester.ts';

interface Page<I> {
  readonly items: readonly I[];
  /** Of all pages; undefined where the endpoint does not tell. */
  readonly total: number | undefined;
}

export interface Listing<T, I> {
  readonly route: string;
  readonly parameters: Call<T>['parameters'];
  readonly purpose: CallPurpose;
  readonly answer: Call<T>['answer'];
  readonly page: (data: T) => Page<I>;
  readonly mostPages: number;
  /**
   * More pages than that are a failure where the whole list matters, because half a list looks like things gone; or
   * are left unread.
   */
  readonly beyond: 'fail' | 'leave';
  readonly signal?: AbortSignal;
  /** How each page is asked for; without it a limit is a failure, and the pages before it were read for nothing. */
  readonly patience?: <R>(work: () => Promise<R>) => Promise<R>;
  /** Stops early. */
  readonly until?: (item: I) => boolean;
  readonly accept?: readonly number[];
}

export interface Listed<I> {
  readonly items: readonly I[];
  readonly complete: boolean;
  /** When the first page was asked for: what came later may be newer, never older. */
  readonly sentAtMs: number;
}

const PER_PAGE = 100;

/** Page by page, each with its own ETag. Undefined when the first page is answered with an accepted status. */
export async function listPages<T, I>(requester: Caller, listing: Listing<T, I>): Promise<Listed<I> | undefined> {
  const items: I[] = [];
  let sentAtMs = 0;
  const patience = listing.patience ?? ((work) => work());
  for (let number = 1; ; number += 1) {
    const answer = await patience(() =>
      requester.call({
        method: 'GET',
        route: listing.route,
        parameters: { ...listing.parameters, per_page: PER_PAGE, page: number },
        purpose: listing.purpose,
        answer: listing.answer,
        conditional: (data) => listing.page(data).items.length,
        ...(listing.signal === undefined ? {} : { signal: listing.signal }),
        ...(listing.accept === undefined ? {} : { accept: listing.accept }),
      }),
    );
    if (answer.accepted) return undefined;
    if (number === 1) sentAtMs = answer.sentAtMs;
    const page = listing.page(answer.data);
    items.push(...page.items);

    const { until } = listing;
    const found = until !== undefined && page.items.some((item) => until(item));
    const more = answer.hasNext || (page.total !== undefined && page.items.length > 0 && items.length < page.total);
    if (!more || found) return { items, complete: true, sentAtMs };
    if (number === listing.mostPages) {
      if (listing.beyond === 'leave') return { items, complete: false, sentAtMs };
      throw new GithubError(
        'invalid',
        `GET ${listing.route}`,
        `the list is longer than ${listing.mostPages * PER_PAGE} entries, more than this program reads`,
      );
    }
  }
}
