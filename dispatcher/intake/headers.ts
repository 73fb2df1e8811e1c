/** What the headers of a delivery say. Unsigned: nothing is believed because of them. */
import type { DeliveryAnswer } from './answer.ts';
import { malformed, wrongContentType } from './answers.ts';
import type { HookHeaders } from './endpoints.ts';

/** Header names in lower case, as node:http gives them. */
export type DeliveryHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** One value; undefined if the header is missing or was sent more than once. */
export function header(headers: DeliveryHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

export function hookOf(headers: DeliveryHeaders): HookHeaders {
  return {
    targetType: header(headers, 'x-github-hook-installation-target-type'),
    targetId: header(headers, 'x-github-hook-installation-target-id'),
    enterpriseHost: header(headers, 'x-github-enterprise-host'),
  };
}

/** The answer to a body that is not plain JSON; undefined if it is announced as such. */
export function refuseContent(headers: DeliveryHeaders): DeliveryAnswer | undefined {
  const encoding = header(headers, 'content-encoding')?.toLowerCase() ?? 'identity';
  if (encoding !== 'identity') return wrongContentType('compressed bodies are not taken');
  const type = header(headers, 'content-type')?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === 'application/json') return undefined;
  return wrongContentType(
    type === 'application/x-www-form-urlencoded'
      ? "the webhook sends forms: set its content type to application/json in GitHub's settings"
      : 'the content type must be application/json',
  );
}

/** The digit is for `projects_v2_item`. */
const eventName = /^[a-z0-9_]{1,64}$/;
/** A UUID on GitHub; wider here, because the ledger only needs it to be short and plain. */
const deliveryGuid = /^[0-9A-Za-z-]{1,72}$/;

/** What a delivery is about, and which one it is; an answer where the headers do not say. */
export function identityOf(
  headers: DeliveryHeaders,
): { readonly event: string; readonly guid: string } | DeliveryAnswer {
  const event = header(headers, 'x-github-event');
  const guid = header(headers, 'x-github-delivery');
  if (event === undefined || !eventName.test(event)) return malformed('X-GitHub-Event is missing or no event name');
  if (guid === undefined || !deliveryGuid.test(guid)) return malformed('X-GitHub-Delivery is missing or no GUID');
  return { event, guid };
}
