import { expect } from 'chai';
import { type Call, classify, hasNoLogs, isAbsent, isTransitioning } from '../../../providers/azure-aci/errors.ts';
import { ProviderError, type ProviderErrorKind } from '../../../providers/provider.ts';

const refused = (statusCode: number, code: string, message = 'in the words of the service', retryAfter?: string) => ({
  name: 'RestError',
  message,
  code,
  statusCode,
  response: { headers: { get: (name: string) => (name === 'retry-after' ? retryAfter : undefined) } },
});

describe('azure-aci errors', () => {
  const notAvailable =
    "The requested resource is not available in the location 'westeurope' at this moment. Please retry with a different resource request or in another location.";

  /** Codes of Resource Manager's and the service's pages, and the odd shapes that clients have reported. */
  const table: readonly (readonly [ProviderErrorKind, number, string, string?, Call?])[] = [
    ['quota', 400, 'ContainerGroupQuotaReached', "container group quota 'StandardCores' exceeded in region"],
    ['quota', 409, 'QuotaExceeded'],
    ['quota', 409, 'ServiceUnavailable', "Resource type container group quota 'ContainerGroups' exceeded in region"],
    ['quota', 409, 'OperationNotAllowed', 'Operation results in exceeding quota limits of Core'],
    ['capacity', 409, 'ServiceUnavailable', notAvailable],
    ['capacity', 409, 'ServiceUnavailable', 'no more words'],
    ['capacity', 409, 'InsufficientCapacity.'],
    ['capacity', 409, 'AllocationFailed'],
    ['capacity', 409, 'ZonalAllocationFailed'],
    ['capacity', 409, 'SkuNotAvailable'],
    ['capacity', 400, 'SubnetIsFull'],
    ['throttled', 429, 'TooManyRequests'],
    ['throttled', 429, 'SubscriptionRequestsThrottled'],
    ['throttled', 429, 'a code that nobody has described'],
    ['transient', 500, 'InternalServerError'],
    ['transient', 502, 'BadGateway'],
    ['transient', 503, 'ServiceUnavailable', 'The service is unavailable.'],
    ['transient', 504, 'GatewayTimeout'],
    ['transient', 503, 'ServerTimeout'],
    ['transient', 400, 'a code that nobody has described'],
    ['transient', 400, 'RegistryErrorResponse'],
    ['unauthorized', 401, 'InvalidAuthenticationToken'],
    ['unauthorized', 401, 'InvalidAuthenticationTokenTenant'],
    ['unauthorized', 401, 'ExpiredAuthenticationToken'],
    ['unauthorized', 401, 'AuthenticationFailed'],
    ['unauthorized', 403, 'AuthorizationFailed'],
    ['unauthorized', 403, 'LinkedAuthorizationFailed'],
    ['unauthorized', 403, 'a code that nobody has described'],
    ['unauthorized', 404, 'SubscriptionNotFound'],
    ['unauthorized', 404, 'ResourceGroupNotFound'],
    ['unauthorized', 409, 'MissingSubscriptionRegistration'],
    ['unauthorized', 409, 'ReadOnlyDisabledSubscription'],
    ['unauthorized', 409, 'ScopeLocked'],
    ['invalid', 403, 'RequestDisallowedByPolicy'],
    ['invalid', 400, 'InaccessibleImage'],
    ['invalid', 400, 'OsVersionNotSupported'],
    ['invalid', 400, 'InvalidRequestContent'],
    ['invalid', 400, 'InvalidParameter'],
    ['invalid', 400, 'InvalidContainerGroupName'],
    ['invalid', 400, 'LocationNotAvailableForResourceType'],
    ['invalid', 400, 'ResourceRequestsNotSupported'],
    ['invalid', 400, 'SubnetNotFound'],
    ['invalid', 400, 'VirtualNetworkNotFound'],
    ['invalid', 400, 'FailedIdentityOperation'],
    ['invalid', 404, 'ResourceNotFound', 'an identity that the creation names'],
    ['conflict', 409, 'ContainerGroupTransitioning'],
    ['conflict', 412, 'PreconditionFailed'],
    ['conflict', 400, 'InvalidContainerGroupUpdate'],
    ['transient', 409, 'ContainerGroupTransitioning', 'still transitioning', 'delete'],
    ['transient', 409, 'Conflict', 'in the words of the service', 'delete'],
  ];
  for (const [kind, status, code, message = 'in the words of the service', call = 'create'] of table) {
    it(`takes ${status} ${code} (“${message.slice(0, 40)}”) of ${call} for ${kind}`, () => {
      const error = classify(call, refused(status, code, message));
      expect(error).to.be.instanceOf(ProviderError);
      expect(error).to.deep.include({ kind, code, operation: `azure-aci ${call}` });
      expect(error.message).to.include(message);
    });
  }

  const withoutAnswer: readonly (readonly [ProviderErrorKind, string, string, string?])[] = [
    ['transient', 'RestError', 'connect ECONNREFUSED 127.0.0.1:1', 'ECONNREFUSED'],
    ['transient', 'RestError', 'socket hang up', 'ECONNRESET'],
    ['transient', 'Error', 'what nobody has seen'],
    ['unauthorized', 'RestError', 'self-signed certificate in certificate chain', 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['unauthorized', 'AuthenticationError', 'AADSTS7000215: Invalid client secret provided.'],
    ['unauthorized', 'CredentialUnavailableError', 'ManagedIdentityCredential: no managed identity endpoint found.'],
    ['transient', 'AuthenticationError', 'network_error: connect ECONNREFUSED'],
  ];
  for (const [kind, name, message, code] of withoutAnswer) {
    it(`takes ${name} “${message}” for ${kind}`, () => {
      const error = classify('get', { name, message, ...(code === undefined ? {} : { code }) });
      expect(error.kind).to.equal(kind);
    });
  }

  it('hands on when to come back, where the service says it in seconds', () => {
    const waits = (header?: string) => classify('create', refused(429, 'TooManyRequests', 'slow', header)).retryAfterMs;
    expect(waits('17')).to.equal(17_000);
    expect(waits('Wed, 21 Oct 2026 07:28:00 GMT')).to.equal(undefined);
    expect(waits()).to.equal(undefined);
  });

  it('takes secrets out of the words, and keeps nothing of the request', () => {
    const error = classify('create', refused(400, 'InvalidParameter', 'the value jit-blob-123 is too long'), [
      'jit-blob-123',
    ]);
    const all = `${error.message} ${error.stack} ${String(error.cause)} ${JSON.stringify(error)}`;
    expect(all).to.include('[secret]').and.not.include('jit-blob-123');
  });

  it('tells what is absent from what cannot be seen', () => {
    const absent = (status: number, code: string) => isAbsent(classify('get', refused(status, code)));
    expect(absent(404, 'ResourceNotFound')).to.equal(true);
    expect(absent(404, 'ResourceGroupNotFound')).to.equal(false);
    expect(absent(404, 'SubscriptionNotFound')).to.equal(false);
    expect(absent(403, 'AuthorizationFailed')).to.equal(false);
    expect(isTransitioning(classify('delete', refused(409, 'ContainerGroupTransitioning')))).to.equal(true);
    expect(hasNoLogs(classify('logs', refused(404, 'ContainerLogNotAvailable')))).to.equal(true);
    expect(hasNoLogs(classify('logs', refused(503, 'ServiceUnavailable')))).to.equal(false);
  });
});
