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
  /** What GitHub leaves out for want of single sign-on is a failure like missing pages, unless the caller tells of it. */
  readonly partial?: 'told';
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
  /** GitHub left out what lies behind an organization's single sign-on. */
  readonly isPartial: boolean;
  /** When the first page was asked for: what came later may be newer, never older. */
  readonly sentAtMs: number;
}

const PER_PAGE = 100;
/** Source: docs.github.com, "Authenticating to the REST API", personal access tokens and SAML single sign-on. */
export const PARTIAL =
  "GitHub tells a part of the list only, as the token is not authorized for an organization's single sign-on: authorize it (Settings → Developer settings → the token → Configure SSO)";

/** Page by page, each with its own ETag. Undefined when the first page is answered with an accepted status. */
export async function listPages<T, I>(requester: Caller, listing: Listing<T, I>): Promise<Listed<I> | undefined> {
  const items: I[] = [];
  let sentAtMs = 0;
  let isPartial = false;
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
    isPartial ||= answer.isPartial;

    const { until } = listing;
    const found = until !== undefined && page.items.some((item) => until(item));
    const more = answer.hasNext || (page.total !== undefined && page.items.length > 0 && items.length < page.total);
    if (found) return { items, complete: !isPartial, isPartial, sentAtMs };
    if (isPartial && listing.beyond === 'fail' && listing.partial !== 'told') {
      throw new GithubError('forbidden', `GET ${listing.route}`, PARTIAL);
    }
    if (!more) return { items, complete: !isPartial, isPartial, sentAtMs };
    if (number === listing.mostPages) {
      if (listing.beyond === 'leave') return { items, complete: false, isPartial, sentAtMs };
      throw new GithubError(
        'invalid',
        `GET ${listing.route}`,
        `the list is longer than ${listing.mostPages * PER_PAGE} entries, more than this program reads`,
      );
    }
  }
}
