import { type CallPurpose, GithubError } from './github.ts';
import type { Caller, GithubCall } from './requester.ts';

interface Page<I> {
  readonly items: readonly I[];
  /** Of all pages; undefined if the endpoint does not say. */
  readonly total: number | undefined;
}

export interface Listing<T, I> {
  readonly route: string;
  readonly parameters: GithubCall<T>['parameters'];
  readonly purpose: CallPurpose;
  readonly answer: GithubCall<T>['answer'];
  readonly page: (data: T) => Page<I>;
  readonly mostPages: number;
  /**
   * More pages than that are a failure if the whole list matters, because with half a list things seem gone;
   * otherwise they are left unread.
   */
  readonly beyond: 'fail' | 'leave';
  /** What GitHub omits for lack of single sign-on is a failure like missing pages, unless the caller reports it. */
  readonly partial?: 'told';
  readonly signal?: AbortSignal;
  /** How each page is requested; without it a rate limit is a failure, and the pages read before it are wasted. */
  readonly patience?: <R>(work: () => Promise<R>) => Promise<R>;
  /** Stops early. */
  readonly until?: (item: I) => boolean;
  readonly accept?: readonly number[];
}

export interface Listed<I> {
  readonly items: readonly I[];
  readonly complete: boolean;
  /** GitHub left out what requires an organization's single sign-on. */
  readonly isPartial: boolean;
  /** When the first page was requested: later pages may be newer, never older. */
  readonly sentAtMs: number;
}

const PER_PAGE = 100;
/**
 * Of all pages together, as JSON. The longest lists that GitHub has take half of it; a tenant's own server could put
 * megabytes into each page, or into each name.
 */
const MAX_CHARACTERS = 16 * 1024 * 1024;
/** Source: docs.github.com, "Authenticating to the REST API", personal access tokens and SAML single sign-on. */
export const PARTIAL =
  "GitHub tells a part of the list only, as the token is not authorized for an organization's single sign-on: authorize it (Settings → Developer settings → the token → Configure SSO)";

/** Page by page, each with its own ETag. Undefined if the first page is answered with an accepted status. */
export async function listPages<T, I>(requester: Caller, listing: Listing<T, I>): Promise<Listed<I> | undefined> {
  const items: I[] = [];
  let sentAtMs = 0;
  let isPartial = false;
  let characters = 0;
  const mostItems = listing.mostPages * PER_PAGE;
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
    // Not with `push(...)`: a server that ignores `per_page` may answer with more than there may be arguments.
    for (const item of page.items) items.push(item);
    characters += answer.characters;
    isPartial ||= answer.isPartial;

    const { until } = listing;
    const found = until !== undefined && page.items.some((item) => until(item));
    const more = answer.hasNext || (page.total !== undefined && page.items.length > 0 && items.length < page.total);
    if (found) return { items, complete: !isPartial, isPartial, sentAtMs };
    if (isPartial && listing.beyond === 'fail' && listing.partial !== 'told') {
      throw new GithubError('forbidden', `GET ${listing.route}`, PARTIAL);
    }
    const isTooLong =
      items.length > mostItems || (more && (number === listing.mostPages || items.length === mostItems));
    if (isTooLong || characters > MAX_CHARACTERS) {
      if (listing.beyond === 'leave') {
        return { items: items.slice(0, mostItems), complete: false, isPartial, sentAtMs };
      }
      const most = isTooLong ? `${mostItems} entries` : `${MAX_CHARACTERS} characters`;
      const words = `the list is longer than ${most}, more than this program reads`;
      throw new GithubError('invalid', `GET ${listing.route}`, words);
    }
    if (!more) return { items, complete: !isPartial, isPartial, sentAtMs };
  }
}
