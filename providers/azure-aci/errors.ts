/** Classifies Azure's errors by what to do about them. Pure. */
import { z } from 'zod';
import { redact } from '../kit/redact.ts';
import { ProviderError, type ProviderErrorKind } from '../provider.ts';

export type CallName = 'create' | 'get' | 'list' | 'delete' | 'logs' | 'usage' | 'capabilities' | 'subnet';

/** RestError of the SDK, and what @azure/identity throws. */
const restError = z.object({
  name: z.string().default(''),
  message: z.string().default(''),
  code: z.string().optional().catch(undefined),
  statusCode: z.number().optional().catch(undefined),
  details: z.unknown().optional(),
  // Kept opaque: the SDK's headers are an object with internal state.
  response: z
    .object({ headers: z.custom<Headers>(isHeaders) })
    .optional()
    .catch(undefined),
});

/** The body of a refusal, as the SDK parsed it: `{"error":{"code","message","details":[…],"innererror":{…}}}`. */
const bodySchema = z.object({ error: z.unknown().optional() });
const saidSchema = z.object({
  code: z.string().optional().catch(undefined),
  message: z.string().optional().catch(undefined),
  details: z.array(z.unknown()).optional().catch(undefined),
  innererror: z.unknown().optional(),
});

interface Headers {
  get(name: string): string | undefined;
}

function isHeaders(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'get' in value && typeof value.get === 'function';
}

type Sort = ProviderErrorKind | ((call: CallName, text: string) => ProviderErrorKind);

const onlyOf =
  (calls: readonly CallName[], kind: ProviderErrorKind, otherwise: ProviderErrorKind): Sort =>
  (call) =>
    calls.includes(call) ? kind : otherwise;

/**
 * Codes of Azure Resource Manager and of the service, from the vendor's pages ("Troubleshoot common issues", "Resolve
 * errors for resource already exists / quota / throttling", "Common deployment errors") and from answers in public
 * issues. The first that matches wins.
 */
const codes: readonly (readonly [RegExp, Sort])[] = [
  [
    /^ContainerGroup(Region)?QuotaReached$|Quota(Exceeded|Reached)$|^Exceeding\w*Quota|^RegionDoesNotAllowProvisioning$/i,
    'quota',
  ],
  [
    /^(InsufficientCapacity\.?|(Zonal)?AllocationFailed|OverconstrainedAllocationRequest|SkuNotAvailable|ResourceNotAvailable(InRegion)?|NotEnoughCapacity)$/i,
    'capacity',
  ],
  [/^(SubnetIsFull|SubnetIpAddressesExhausted|InsufficientSubnetAddresses|NotEnoughIpAddresses\w*)$/i, 'capacity'],
  [/^(TooManyRequests|\w*Throttled|RateLimitExceeded)$/i, 'throttled'],

  // A create finds the name taken, or two arrived at once: the caller looks.
  [
    /^(ContainerGroupTransitioning|InvalidContainerGroupUpdate|PreconditionFailed|InvalidResourceLocation|ContainerGroupAlreadyExists|PropertyChangeNotAllowed)$/i,
    onlyOf(['create'], 'conflict', 'transient'),
  ],

  [/^(AuthorizationFailed|LinkedAuthorizationFailed|AuthorizationPermissionMismatch|Forbidden)$/i, 'unauthorized'],
  [
    /^(InvalidAuthenticationToken\w*|ExpiredAuthenticationToken|AuthenticationFailed\w*|Unauthorized)$/i,
    'unauthorized',
  ],
  [
    /^(SubscriptionNotFound|InvalidSubscriptionId|ReadOnlyDisabledSubscription|SubscriptionNotRegistered)$/i,
    'unauthorized',
  ],
  [/^(ResourceGroupNotFound|ResourceGroupBeingDeleted|ScopeLocked)$/i, 'unauthorized'],
  [
    /^(MissingSubscriptionRegistration|MissingRegistrationForLocation|InvalidSubscriptionRegistrationState)$/i,
    'unauthorized',
  ],
  [/^(AadPremiumLicenseRequired|DisabledSubscription|AccountSuspended|SpendingLimitReached)$/i, 'unauthorized'],

  [/^(RequestDisallowedBy(Policy|Azure)|DisallowedByPolicy)$/i, 'invalid'],
  // The registry did not answer the service properly: this says nothing about the image yet.
  [/^(RegistryErrorResponse|RegistryUnavailable|ImageRegistryTimeout)$/i, 'transient'],
  [
    /^(InaccessibleImage|OsVersionNotSupported|ImageTooLarge|ImageNotFound|InvalidImageName|MissingImage\w*|DuplicateImage\w*)$/i,
    'invalid',
  ],
  [/^(LocationNotAvailableForResourceType|NoRegisteredProviderFound|InvalidApiVersionParameter)$/i, 'invalid'],
  [/^(Subnet\w*|VirtualNetwork\w*|NetworkProfile\w*|InUseSubnet\w*|PrivateIPAddress\w*|VnetNotFound)$/i, 'invalid'],
  [
    /^(Invalid\w*|Malformed\w*|Missing\w*|Unsupported\w*|\w*NotSupported|BadRequest\w*|\w*ValidationFailed)$/i,
    'invalid',
  ],
  [/^(Resource(Some)?Requests?\w*|RequestContentTooLarge|LinkedInvalidPropertyId|StorageAccount\w*)$/i, 'invalid'],
  [/^(FailedIdentityOperation|\w*IdentityNotFound|KeyVault\w*)$/i, 'invalid'],
  // Another resource referenced by the create, such as an identity.
  [/^(ResourceNotFound|NotFound)$/i, onlyOf(['create'], 'invalid', 'transient')],

  [
    /^(InternalServerError|InternalError|ServerTimeout|GatewayTimeout|BadGateway|ServerBusy|RequestTimeout)$/i,
    'transient',
  ],
  [/^(Conflict|AnotherOperationInProgress|OperationPreempted|RetryableError)$/i, 'transient'],
];

/** For codes that are too vague: the text of `ServiceUnavailable` tells quota, capacity and a broken gateway apart. */
const words: readonly (readonly [RegExp, ProviderErrorKind])[] = [
  [/quota\b.*\b(exceed|reached)|exceed\w* .*quota/i, 'quota'],
  [/not available in the location|insufficient capacity|allocation failed/i, 'capacity'],
  [/no (more )?(free|available) (ip )?address|subnet .*(is full|exhausted)/i, 'capacity'],
  [/too many requests|request(s)? (was|were|is|are) throttled/i, 'throttled'],
];

const speaking = /^(ServiceUnavailable|OperationNotAllowed|Failed|ResourceOperationFailure|DeploymentFailed)$/i;

/** Node's codes for a connection that was never established. */
const refusedByTls = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)|^EPROTO$/;
const tlsWords =
  /self[- ]signed certificate|unable to (verify|get local)|certificate has expired|does not match certificate/i;
const network =
  /ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EPIPE|EHOST|socket hang up|network[_ ]error|endpoints_resolution|timed? ?out/i;
const ofIdentity =
  /^(AuthenticationError|AggregateAuthenticationError|AuthenticationRequiredError|CredentialUnavailableError|ClientAuthError|ClientConfigurationError|ServerError|AuthError|InteractionRequiredAuthError)$/;

const MAX_WORDS = 2000;

/**
 * `secrets` are redacted from the message, wherever they came from. The SDK's own error is dropped because it holds the
 * request.
 */
export function classify(call: CallName, error: unknown, secrets: readonly string[] = []): ProviderError {
  if (error instanceof ProviderError) return error;
  const parsed = restError.safeParse(error);
  const given = parsed.success ? parsed.data : { name: '', message: String(error) };
  const text = redact(given.message.trim() || 'unreadable answer', secrets).slice(0, MAX_WORDS);
  const {
    code: outer,
    statusCode,
    details,
    response,
  } = {
    code: undefined,
    statusCode: undefined,
    details: undefined,
    response: undefined,
    ...given,
  };
  const code = tellingCode(outer, details, given.message);
  const retryAfterMs = retryAfterOf(response?.headers.get('retry-after'));
  const requestId = response?.headers.get('x-ms-correlation-request-id') ?? response?.headers.get('x-ms-request-id');
  return new ProviderError(kindOf(call, { name: given.name, code, statusCode, text }), `azure-aci ${call}`, text, {
    ...(code === undefined ? (statusCode === undefined ? {} : { code: String(statusCode) }) : { code }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(requestId === undefined ? {} : { requestId }),
    cause: new Error(`${given.name || 'Error'}: ${text}`),
  });
}

/** Codes that only say that something failed: the cause is in the inner error or in the text. */
const envelope =
  /^(BadRequest|InvalidRequest|DeploymentFailed|Failed|ResourceDeploymentFailure|ResourceOperationFailure|Conflict)$/i;
const MAX_DEPTH = 5;

/**
 * The code that says what went wrong. Resource Manager wraps the refusals of other services: a full subnet has come as
 * `BadRequest` whose text is the JSON of another error, `{"error":{"code":"SubnetIsFull",…}}` (azure-docs #88211).
 */
function tellingCode(outer: string | undefined, body: unknown, text: string): string | undefined {
  if (outer !== undefined && !envelope.test(outer)) return outer;
  const parsed = bodySchema.safeParse(body);
  const inner = [...(parsed.success ? codesIn(parsed.data.error, 0) : []), ...codesInText(text, 0)];
  return inner.findLast((code) => !envelope.test(code) && codes.some(([pattern]) => pattern.test(code))) ?? outer;
}

function codesIn(error: unknown, depth: number): readonly string[] {
  const parsed = saidSchema.safeParse(error);
  if (!parsed.success || depth >= MAX_DEPTH) return [];
  const { code, message, details, innererror } = parsed.data;
  return [
    ...(code === undefined ? [] : [code]),
    ...(message === undefined ? [] : codesInText(message, depth + 1)),
    ...(details ?? []).flatMap((detail) => codesIn(detail, depth + 1)),
    ...codesIn(innererror, depth + 1),
  ];
}

/** The text may be the JSON of another refusal, possibly after a few words. */
function codesInText(text: string, depth: number): readonly string[] {
  const start = text.indexOf('{');
  const end = text.lastIndexOf('}');
  if (start < 0 || end < start || depth >= MAX_DEPTH) return [];
  let inner: unknown;
  try {
    inner = JSON.parse(text.slice(start, end + 1));
  } catch {
    return [];
  }
  const body = bodySchema.safeParse(inner);
  return codesIn(body.success && body.data.error !== undefined ? body.data.error : inner, depth + 1);
}

function kindOf(
  call: CallName,
  said: {
    readonly name: string;
    readonly code: string | undefined;
    readonly statusCode: number | undefined;
    readonly text: string;
  },
): ProviderErrorKind {
  const { name, code, statusCode: status, text } = said;
  if (ofIdentity.test(name)) {
    if (tlsWords.test(text)) return 'unauthorized';
    return network.test(text) || (status !== undefined && status >= 500)
      ? 'transient'
      : status === 429
        ? 'throttled'
        : 'unauthorized';
  }
  if (status === undefined) {
    return refusedByTls.test(code ?? '') || tlsWords.test(text) ? 'unauthorized' : 'transient';
  }
  if (status === 429) return 'throttled';
  const found = codes.find(([pattern]) => pattern.test(code ?? ''))?.[1];
  if (found !== undefined) return typeof found === 'function' ? found(call, text) : found;
  if (status === 401 || status === 403) return 'unauthorized';
  const spoken = words.find(([pattern]) => pattern.test(text))?.[1];
  if (spoken !== undefined) return spoken;
  // With 409, a create has only ever returned this for capacity; with 503 it is the gateway's own.
  if (speaking.test(code ?? '') && status === 409 && call === 'create') return 'capacity';
  if (status === 409 || status === 412) return call === 'create' ? 'conflict' : 'transient';
  if (status === 413 || status === 414) return 'invalid';
  // An unknown code is not a definite refusal.
  return 'transient';
}

/** The service says that there is no such container group (not that its resource group or subscription is missing). */
export function isAbsent(error: unknown): boolean {
  return error instanceof ProviderError && /^(ResourceNotFound|ContainerGroupNotFound)$/i.test(error.code ?? '');
}

/** Another operation on the container group is in progress. */
export function isRefusedInTransition(error: unknown): boolean {
  return error instanceof ProviderError && /^ContainerGroupTransitioning$/i.test(error.code ?? '');
}

/** No logs to read: it has not started, or no longer exists. */
export function hasNoLogs(error: unknown): boolean {
  return (
    error instanceof ProviderError &&
    (isAbsent(error) ||
      /^(ContainerLogNotAvailable|ContainerGroupDeploymentNotReady|ContainerGroupTransitioning|ContainerNotFound|ContainerGroupStopped)$/i.test(
        error.code ?? '',
      ))
  );
}

/** Seconds; the header's other form, a date, is ignored. */
function retryAfterOf(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,6}$/.test(header)) return undefined;
  return Number(header) * 1000;
}
