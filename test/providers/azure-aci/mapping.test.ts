import { expect } from 'chai';
import fc from 'fast-check';
import { type CallName, classify, hasNoLogs, isAbsent } from '../../../providers/azure-aci/errors.ts';
import { azureAciOptions, secretsOf } from '../../../providers/azure-aci/options.ts';
import { Rate } from '../../../providers/azure-aci/rate.ts';
import { containerGroup, refusePlaces } from '../../../providers/azure-aci/request.ts';
import { fitSize, mostOf } from '../../../providers/azure-aci/sizes.ts';
import { group, toInstance } from '../../../providers/azure-aci/state.ts';
import { fromTags, INSTANCE_TAG, toTags } from '../../../providers/azure-aci/tags.ts';
import {
  type InstanceTags,
  ProviderError,
  type ProviderErrorKind,
  type ShapeWish,
} from '../../../providers/provider.ts';
import { launchOf, plainTags } from './fixture.ts';

const minimal = {
  subscriptionId: '11111111-2222-4333-8444-555555555555',
  resourceGroup: 'runners',
  location: 'westeurope',
  credentials: {
    kind: 'secret',
    tenantId: '66666666-7777-4888-9999-aaaaaaaaaaaa',
    clientId: 'bbbbbbbb-cccc-4ddd-8eee-ffffffffffff',
    clientSecret: 'the client secret',
  },
};
const subnetId = '/subscriptions/1/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/hub/subnets/runners';
const identity = '/subscriptions/1/resourceGroups/ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities/pull';
const wish: ShapeWish = { architecture: 'x64', image: 'a:1', spot: false, dockerInDocker: false };

describe('azure-aci options', () => {
  const problem = (changes: Readonly<Record<string, unknown>>): string => {
    const parsed = azureAciOptions.safeParse({ ...minimal, ...changes });
    if (parsed.success) throw new Error('should have been refused');
    return parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n');
  };

  it('take four ways to sign in', () => {
    const { tenantId, clientId } = minimal.credentials;
    const pem = '-----BEGIN PRIVATE KEY-----\nx\n-----BEGIN CERTIFICATE-----';
    for (const credentials of [
      minimal.credentials,
      { kind: 'certificate', tenantId, clientId, certificate: pem },
      { kind: 'managed-identity' },
      { kind: 'managed-identity', clientId },
      { kind: 'workload-identity', tenantId, clientId },
    ]) {
      expect(azureAciOptions.parse({ ...minimal, credentials }).credentials).to.deep.equal(credentials);
    }
  });

  const refused: readonly (readonly [string, Readonly<Record<string, unknown>>, string])[] = [
    ['an unknown key', { regoin: 'x' }, 'regoin'],
    ['credentials of no kind', { credentials: { kind: 'password' } }, 'secret, certificate, managed-identity'],
    [
      'a certificate without its key',
      {
        credentials: {
          ...minimal.credentials,
          kind: 'certificate',
          clientSecret: undefined,
          certificate: '-----BEGIN CERTIFICATE-----',
        },
      },
      'private key',
    ],
    [
      'a path for a token file, which is the platform’s to say',
      {
        credentials: {
          kind: 'workload-identity',
          tenantId: 't',
          clientId: minimal.credentials.clientId,
          tokenFile: '/etc/shadow',
        },
      },
      'tokenFile',
    ],
    ['http', { endpoint: 'http://127.0.0.1:1' }, 'https://'],
    ['privileged without Confidential', { privileged: true }, 'Confidential only'],
    ['Confidential in China', { sku: 'Confidential', cloud: 'china' }, 'China'],
    [
      'an identity in a subnet of the US government’s cloud',
      { cloud: 'us-government', subnetId, registries: [{ server: 's', identity }] },
      'has no managed identities in a subnet',
    ],
    ['a policy for Standard', { ccePolicy: 'YQ==' }, 'Confidential'],
    ['dns without a subnet', { dns: { nameServers: ['10.0.0.1'] } }, 'subnetId'],
    ['a subnet by its name', { subnetId: 'runners' }, 'resource id'],
    [
      'a registry with both ways in',
      { registries: [{ server: 's', username: 'u', password: 'p', identity: 'i' }] },
      'registries',
    ],
    ['a tag of ours', { tags: { 'SHR.lane': 'x' } }, 'shr.'],
    [
      'the dispatcher’s own token for an address of the tenant',
      { credentials: { kind: 'managed-identity' }, endpoint: 'https://collect.example' },
      'may not be set',
    ],
    [
      'the same on this machine, where jobs may listen',
      { credentials: { kind: 'managed-identity' }, endpoint: 'https://127.0.0.1:8443' },
      'may not be set',
    ],
    [
      'the same at the sign-in',
      {
        credentials: { kind: 'workload-identity', tenantId: 't', clientId: minimal.credentials.clientId },
        authorityHost: 'https://collect.example',
      },
      'may not be set',
    ],
    ['an authority for nothing', { ca: '-----BEGIN CERTIFICATE-----' }, 'endpoint or authorityHost'],
  ];
  for (const [what, changes, words] of refused) {
    it(`refuse ${what}`, () => expect(problem(changes)).to.include(words));
  }

  it('know their secrets', () => {
    const options = azureAciOptions.parse({
      ...minimal,
      registries: [{ server: 's', username: 'u', password: 'the registry password' }],
      files: { storageAccount: 'acme', storageAccountKey: 'the storage key' },
      logAnalytics: { workspaceId: minimal.subscriptionId, workspaceKey: 'the workspace key' },
    });
    expect(secretsOf(options)).to.have.members([
      'the client secret',
      'the registry password',
      'the storage key',
      'the workspace key',
    ]);
  });
});

describe('azure-aci sizes', () => {
  const sizeOf = (changes: Partial<ShapeWish>, options: Parameters<typeof mostOf>[0] = { sku: 'Standard' }) => {
    const given = { ...wish, ...changes };
    const answer = fitSize(given, mostOf(options, given.spot));
    return answer.fits ? [answer.shape.cpu, answer.shape.memoryGiB, answer.note ?? ''] : answer.reason;
  };

  const table: readonly (readonly [string, ReturnType<typeof sizeOf>, ReturnType<typeof sizeOf>])[] = [
    ['nothing wished', sizeOf({}), [1, 2, '']],
    [
      'less than is sold',
      sizeOf({ cpu: 0.5, memoryGiB: 0.25 }),
      [1, 1, '0.5 cores become 1; 0.25 GiB become 1, which is billed'],
    ],
    ['tenths', sizeOf({ cpu: 1.31, memoryGiB: 3.3 }), [1.4, 3.3, '1.31 cores become 1.4, which is billed']],
    ['cpu alone', sizeOf({ cpu: 4 }), [4, 8, '']],
    ['memory alone', sizeOf({ memoryGiB: 10 }), [2.5, 10, '']],
    ['all memory there is', sizeOf({ memoryGiB: 240 }), [31, 240, '']],
    ['too many cores', sizeOf({ cpu: 32 }), '32 cores: the largest container group here has 31 cores and 240 GiB'],
    [
      'too much for Confidential',
      sizeOf({ cpu: 2, memoryGiB: 181 }, { sku: 'Confidential' }),
      '181 GiB: the largest container group here has 31 cores and 180 GiB',
    ],
    [
      'too much for spot',
      sizeOf({ cpu: 5, memoryGiB: 17, spot: true }),
      '5 cores and 17 GiB: the largest spot container group here has 4 cores and 16 GiB',
    ],
    [
      'a subscription with less',
      sizeOf({ cpu: 5 }, { sku: 'Standard', mostCpu: 4, mostMemoryGiB: 16 }),
      '5 cores: the largest container group here has 4 cores and 16 GiB',
    ],
  ];
  for (const [what, given, expected] of table) it(`answer ${what}`, () => expect(given).to.deep.equal(expected));
});

describe('azure-aci tags', () => {
  const text = fc.string({ unit: 'binary', maxLength: 300 });
  const tagged = (charge: Record<string, string>): InstanceTags => ({ ...plainTags, runner: 'fixture-1', charge });

  it('survive encoding and decoding with any charge labels', () => {
    fc.assert(
      fc.property(fc.dictionary(text, text, { maxKeys: 8 }), (charge) => {
        const given = toTags(tagged(charge), 'abc', { Mine: 'x' });
        // Azure may give the names back in any case.
        const shouted = Object.fromEntries(Object.entries(given).map(([name, value]) => [name.toUpperCase(), value]));
        expect(fromTags(given)).to.deep.equal({ tags: tagged(charge), instance: 'abc' });
        expect(fromTags(shouted)).to.deep.equal({ tags: tagged(charge), instance: 'abc' });
      }),
    );
  });

  it('keep to what Azure takes', () => {
    fc.assert(
      fc.property(fc.dictionary(text, text, { maxKeys: 8 }), (charge) => {
        const names = Object.keys(toTags(tagged(charge), 'abc', {}));
        expect(new Set(names.map((name) => name.toLowerCase())).size).to.equal(names.length);
        for (const [name, value] of Object.entries(toTags(tagged(charge), 'abc', {}))) {
          expect(name).to.match(/^[^<>%&\\?/]{1,512}$/);
          expect(value.length).to.be.at.most(256);
        }
      }),
    );
  });

  it('keep two apart that differ in case alone', () => {
    const charge = { Owner: 'a', owner: 'b' };
    expect(fromTags(toTags(tagged(charge), 'abc', {}))?.tags.charge).to.deep.equal(charge);
  });

  it('are refused where they are too many, naming the longest', () => {
    const charge = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`label-${index}`, 'x'.repeat(index)]));
    expect(() => toTags(tagged(charge), 'abc', {}))
      .to.throw(ProviderError, '"label-59"')
      .with.property('kind', 'invalid');
  });

  it('are not ours when they are missing or damaged', () => {
    const given = toTags(tagged({ Odd: '€' }), 'abc', {});
    for (const damaged of [
      {},
      { owner: 'x' },
      { ...given, [INSTANCE_TAG]: undefined },
      { ...given, 'shr.more.1': '!' },
      { ...given, 'shr.created-at-ms': 'soon' },
    ]) {
      const texts = Object.fromEntries(
        Object.entries(damaged).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
      );
      expect(fromTags(texts)).to.equal(undefined);
    }
  });
});

describe('azure-aci requests', () => {
  it('refuse a variable whose name the service does not take', () => {
    const options = azureAciOptions.parse(minimal);
    for (const name of ['a.b', '1A', 'ä', 'x'.repeat(64), '']) {
      const request = launchOf('fixture-1', { environment: { [name]: 'x' } });
      expect(() => containerGroup(request, options, 'abc')).to.throw(ProviderError, 'environment variable');
    }
  });

  it('never say a secret variable in clear, also when both have the name', () => {
    const options = azureAciOptions.parse(minimal);
    const request = launchOf('fixture-1', { environment: { A: 'plain' }, secretEnvironment: { A: 'secret' } });
    const [container] = containerGroup(request, options, 'abc').containers;
    expect(container?.environmentVariables).to.deep.equal([{ name: 'A', secureValue: 'secret' }]);
  });

  it('take another subnet of the virtual network by its name, and any by its id', () => {
    const options = azureAciOptions.parse({ ...minimal, subnetId });
    const other = subnetId.replace('hub', 'spoke');
    for (const [wished, expected] of [
      [undefined, subnetId],
      ['other', subnetId.replace(/runners$/, 'other')],
      [other, other],
    ] as const) {
      const shape = { ...launchOf('x').shape, ...(wished === undefined ? {} : { subnet: wished }) };
      expect(containerGroup(launchOf('fixture-1', { shape }), options, 'abc').subnetIds).to.deep.equal([
        { id: expected },
      ]);
    }
  });

  it('refuse shares, folders and subnets that cannot be', () => {
    for (const odd of [
      { bucket: 'Upper' },
      { bucket: 'a--b' },
      { bucket: 'ab' },
      { bucket: 'share', bucketPrefix: 'acme/../web' },
      { bucket: 'share', bucketPrefix: 'acme/w eb' },
      { bucket: 'share', bucketPrefix: './web' },
      { bucket: 'share', bucketPrefix: 'acme/web.' },
      { subnet: 'a/b' },
      { subnet: '$(id)' },
    ]) {
      expect(refusePlaces({ ...wish, ...odd }), JSON.stringify(odd)).to.match(/\w{3,}/);
    }
    for (const bucketPrefix of ['acme/web.site', 'acme/.github', 'acme/-web']) {
      expect(refusePlaces({ ...wish, bucket: 'share', bucketPrefix, subnet: 'runners' }), bucketPrefix).to.equal(
        undefined,
      );
    }
  });
});

describe('azure-aci errors', () => {
  const rest = (statusCode: number, code?: string, message = 'words') => ({
    name: 'RestError',
    statusCode,
    code,
    message,
  });
  const stock =
    "The requested resource is not available in the location 'westeurope' at this moment. Please retry with a different resource request or in another location.";
  const quota =
    "Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota 'StandardCores' exceeded in region 'eastus'. Limit: '10', Usage: '10' Requested: '1'.";

  const table: readonly (readonly [ProviderErrorKind, CallName, unknown])[] = [
    ['quota', 'create', rest(400, 'ContainerGroupQuotaReached', quota)],
    ['quota', 'create', rest(409, 'ServiceUnavailable', quota)],
    ['quota', 'create', rest(403, 'QuotaExceeded')],
    ['quota', 'create', rest(403, 'ResourceQuotaExceeded')],
    ['quota', 'create', rest(403, 'RegionDoesNotAllowProvisioning')],
    ['quota', 'create', rest(409, 'OperationNotAllowed', 'Operation results in exceeding quota limits of Core.')],
    ['capacity', 'create', rest(409, 'ServiceUnavailable', stock)],
    ['capacity', 'create', rest(409, 'ServiceUnavailable', 'something else')],
    ['capacity', 'create', rest(503, 'ServiceUnavailable', stock)],
    ['capacity', 'create', rest(409, 'InsufficientCapacity.', 'x')],
    ['capacity', 'create', rest(409, 'AllocationFailed', 'x')],
    ['capacity', 'create', rest(409, 'ZonalAllocationFailed', 'x')],
    ['capacity', 'create', rest(409, 'SkuNotAvailable', 'x')],
    ['capacity', 'create', rest(400, 'SubnetIsFull', 'x')],
    ['throttled', 'create', rest(429, 'TooManyRequests')],
    ['throttled', 'get', rest(429, undefined)],
    ['throttled', 'list', rest(429, 'SubscriptionRequestsThrottled')],
    ['conflict', 'create', rest(409, 'ContainerGroupTransitioning')],
    ['conflict', 'create', rest(400, 'InvalidContainerGroupUpdate')],
    ['conflict', 'create', rest(412, 'PreconditionFailed')],
    ['conflict', 'create', rest(409, 'InvalidResourceLocation')],
    ['conflict', 'create', rest(409, 'PropertyChangeNotAllowed')],
    ['transient', 'delete', rest(409, 'ContainerGroupTransitioning')],
    ['transient', 'delete', rest(409, 'Conflict')],
    ['unauthorized', 'get', rest(401, 'InvalidAuthenticationToken')],
    ['unauthorized', 'get', rest(401, 'ExpiredAuthenticationToken')],
    ['unauthorized', 'create', rest(401, 'AuthenticationFailed')],
    ['unauthorized', 'get', rest(401, 'InvalidAuthenticationTokenTenant')],
    ['unauthorized', 'create', rest(403, 'AuthorizationFailed')],
    ['unauthorized', 'create', rest(403, 'LinkedAuthorizationFailed')],
    ['unauthorized', 'create', rest(403, 'SomethingNew')],
    ['unauthorized', 'list', rest(404, 'ResourceGroupNotFound')],
    ['unauthorized', 'list', rest(404, 'SubscriptionNotFound')],
    ['unauthorized', 'create', rest(409, 'MissingSubscriptionRegistration')],
    ['unauthorized', 'create', rest(409, 'MissingRegistrationForLocation')],
    ['unauthorized', 'create', rest(409, 'InvalidSubscriptionRegistrationState')],
    ['unauthorized', 'delete', rest(409, 'ScopeLocked')],
    ['unauthorized', 'create', rest(409, 'ReadOnlyDisabledSubscription')],
    ['invalid', 'create', rest(403, 'RequestDisallowedByPolicy')],
    ['invalid', 'create', rest(400, 'InaccessibleImage')],
    ['invalid', 'create', rest(400, 'OsVersionNotSupported')],
    ['invalid', 'create', rest(400, 'InvalidRequestContent')],
    ['invalid', 'create', rest(400, 'ResourceRequestsNotSupported')],
    ['invalid', 'create', rest(400, 'LocationNotAvailableForResourceType')],
    ['invalid', 'create', rest(400, 'InvalidContainerEnvironmentVariable')],
    ['invalid', 'create', rest(400, 'InvalidContainerGroupName')],
    ['invalid', 'create', rest(400, 'InvalidParameter')],
    ['invalid', 'create', rest(400, 'ResourceSomeRequestsNotSpecified')],
    ['invalid', 'create', rest(400, 'FailedIdentityOperation')],
    ['invalid', 'create', rest(400, 'LinkedInvalidPropertyId')],
    ['invalid', 'create', rest(404, 'StorageAccountNotFound')],
    ['invalid', 'create', rest(400, 'SubnetNotFound')],
    ['invalid', 'create', rest(400, 'VirtualNetworkNotFound')],
    ['invalid', 'create', rest(404, 'ResourceNotFound')],
    ['invalid', 'create', rest(413, 'x')],
    ['transient', 'create', rest(400, 'RegistryErrorResponse')],
    ['transient', 'create', rest(500, 'InternalServerError')],
    ['transient', 'create', rest(503, 'ServiceUnavailable', 'The service is unavailable.')],
    ['transient', 'create', rest(502, 'BadGateway')],
    ['transient', 'create', rest(503, 'ServerTimeout')],
    ['transient', 'create', rest(504, 'GatewayTimeout')],
    ['transient', 'create', rest(400, 'NobodyEverSaidThis')],
    ['transient', 'get', rest(404, 'NotFound')],
    ['transient', 'create', { name: 'RestError', code: 'ECONNRESET', message: 'reset' }],
    ['transient', 'create', { name: 'RestError', code: 'REQUEST_SEND_ERROR', message: 'connect ECONNREFUSED' }],
    ['transient', 'create', { name: 'RestError', code: 'PARSE_ERROR', statusCode: 200, message: 'x' }],
    ['transient', 'create', { name: 'AbortError', message: 'The operation was aborted.' }],
    ['transient', 'create', 'not even an error'],
    [
      'unauthorized',
      'get',
      { name: 'RestError', code: 'DEPTH_ZERO_SELF_SIGNED_CERT', message: 'self-signed certificate' },
    ],
    [
      'unauthorized',
      'get',
      {
        name: 'AuthenticationRequiredError',
        message: 'invalid_client: 7000215 - AADSTS7000215: Invalid client secret provided.',
      },
    ],
    ['unauthorized', 'get', { name: 'CredentialUnavailableError', message: 'is unavailable. Identity not found' }],
    ['unauthorized', 'get', { name: 'AuthenticationError', statusCode: 401, message: 'unauthorized_client' }],
    ['transient', 'get', { name: 'AuthenticationError', statusCode: 503, message: 'unknown_error' }],
    [
      'transient',
      'get',
      { name: 'CredentialUnavailableError', message: 'endpoints_resolution_error: Endpoints cannot be resolved' },
    ],
    [
      'transient',
      'get',
      { name: 'AuthenticationRequiredError', message: 'network_error: connect ECONNREFUSED 127.0.0.1:1' },
    ],
  ];
  for (const [kind, call, error] of table) {
    it(`sort ${call} ${JSON.stringify(error).slice(0, 90)} as ${kind}`, () => {
      const said = classify(call, error);
      expect(said.kind).to.equal(kind);
      expect(said.operation).to.equal(`azure-aci ${call}`);
    });
  }

  // Case 02
  it('are read to the code that says what went wrong, however it is wrapped', () => {
    const full = { error: { code: 'SubnetIsFull', message: 'Subnet runners has no free addresses' } };
    const wrapped = [
      rest(400, 'BadRequest', JSON.stringify(full)),
      rest(400, 'BadRequest', `The request is not valid: ${JSON.stringify(full)}`),
      { ...rest(400, 'BadRequest', 'see details'), details: { error: { code: 'BadRequest', details: [full.error] } } },
      { ...rest(400, 'BadRequest', 'see inside'), details: { error: { code: 'BadRequest', innererror: full.error } } },
      {
        ...rest(409, 'DeploymentFailed', 'At least one operation failed'),
        details: {
          error: { code: 'DeploymentFailed', details: [{ code: 'BadRequest', message: JSON.stringify(full) }] },
        },
      },
    ];
    for (const error of wrapped) {
      const said = classify('create', error);
      expect([said.kind, said.code], JSON.stringify(error)).to.deep.equal(['capacity', 'SubnetIsFull']);
    }
    const image = { error: { code: 'InaccessibleImage', message: 'no' } };
    expect(classify('create', rest(400, 'BadRequest', JSON.stringify(image)))).to.include({ kind: 'invalid' });
    expect(classify('create', rest(400, 'BadRequest', 'cpu must be a number'))).to.include({
      kind: 'invalid',
      code: 'BadRequest',
    });
    // A code in the words of another refusal says nothing.
    const quoted = rest(400, 'InaccessibleImage', JSON.stringify(full));
    expect(classify('create', quoted)).to.include({ kind: 'invalid', code: 'InaccessibleImage' });
    const deep = '{"error":{"code":"BadRequest","message":'.repeat(50);
    expect(classify('create', rest(400, 'BadRequest', deep)).kind).to.equal('invalid');
  });

  // J11
  it('keep the id by which the vendor finds the request', () => {
    const headers = { get: (name: string) => ({ 'x-ms-request-id': 'r-1' })[name] };
    expect(classify('create', { ...rest(400, 'BadRequest'), response: { headers } }).requestId).to.equal('r-1');
    expect(classify('create', rest(400, 'BadRequest')).requestId).to.equal(undefined);
  });

  it('keep the code of the service', () => {
    expect(classify('create', rest(400, 'SubnetIsFull')).code).to.equal('SubnetIsFull');
    expect(classify('create', rest(418)).code).to.equal('418');
  });

  it('say how long to wait, where the service does', () => {
    const headers = { get: (name: string) => (name === 'retry-after' ? '17' : undefined) };
    expect(classify('create', { ...rest(429), response: { headers } }).retryAfterMs).to.equal(17_000);
    expect(classify('create', rest(429)).retryAfterMs).to.equal(undefined);
  });

  it('hold no secret, wherever the service put it', () => {
    const said = classify('create', rest(400, 'InvalidRequestContent', "the value 'JIT-BLOB-1' of 'X'"), [
      'JIT-BLOB-1',
    ]);
    expect(said.message).to.include('[secret]').and.not.include('JIT-BLOB-1');
    expect(JSON.stringify(said.cause) + String(said.cause)).to.not.include('JIT-BLOB-1');
  });

  it('tell what is gone from what cannot be seen', () => {
    expect(isAbsent(classify('get', rest(404, 'ResourceNotFound')))).to.equal(true);
    for (const code of [
      'ResourceGroupNotFound',
      'SubscriptionNotFound',
      'NotFound',
      'InvalidResourceType',
      undefined,
    ]) {
      expect(isAbsent(classify('get', rest(404, code))), code).to.equal(false);
    }
    expect(hasNoLogs(classify('logs', rest(409, 'ContainerGroupTransitioning')))).to.equal(true);
    expect(hasNoLogs(classify('logs', rest(403, 'AuthorizationFailed')))).to.equal(false);
  });
});

describe('azure-aci states', () => {
  const tags = toTags({ ...plainTags, runner: 'fixture-1', charge: {} }, 'abc', {});
  const read = (changes: Readonly<Record<string, unknown>>, view?: Readonly<Record<string, unknown>>) => {
    const containers = view === undefined ? [{}] : [{ instanceView: view }];
    const instance = toInstance(group.parse({ name: 'fixture-1', tags, containers, ...changes }));
    return [instance?.state, instance?.reason?.kind, instance?.reason?.exitCode];
  };
  const done = 'Succeeded';
  const at = (provisioningState: string, state: string, more: object = {}) => ({
    provisioningState,
    instanceView: { state, ...more },
  });
  const ended = (exitCode: number, detailStatus = 'Error') => ({
    currentState: { state: 'Terminated', exitCode, detailStatus },
  });
  const event = (name: string, message = '') => ({ events: [{ name, message, type: 'Warning' }] });
  const stock = "The requested resource is not available in the location 'uksouth' at this moment.";

  const table: readonly (readonly [string, unknown[], unknown[]])[] = [
    ['waits for a machine', read(at('Pending', 'Pending')), ['pending', undefined, undefined]],
    [
      'is being made',
      read(at('Creating', 'Pending'), { currentState: { state: 'Waiting' } }),
      ['pending', undefined, undefined],
    ],
    ['runs', read(at(done, 'Running'), { currentState: { state: 'Running' } }), ['running', undefined, undefined]],
    ['exits with 0', read(at(done, 'Succeeded'), ended(0, 'Completed')), ['succeeded', 'exited', 0]],
    ['exits with 3', read(at(done, 'Failed'), ended(3)), ['failed', 'exited', 3]],
    [
      'is terminated without a code',
      read(at(done, 'Failed'), { currentState: { state: 'Terminated' } }),
      ['unknown', undefined, undefined],
    ],
    ['is out of memory by name', read(at(done, 'Failed'), ended(137, 'OOMKilled')), ['failed', 'out-of-memory', 137]],
    ['is out of memory by code', read(at(done, 'Failed'), ended(137)), ['failed', 'out-of-memory', 137]],
    [
      'lost a step to the memory limit',
      read(at(done, 'Succeeded'), { ...ended(0), ...event('OOMKilled', 'a process') }),
      ['succeeded', 'out-of-memory', 0],
    ],
    [
      'found no room',
      read(at('Failed', 'Pending', event('InsufficientCapacity.', stock))),
      ['failed', 'no-stock', undefined],
    ],
    [
      'found the quota used up, late',
      read(at('Failed', 'Pending', event('QuotaReached', 'quota x exceeded'))),
      ['failed', 'no-stock', undefined],
    ],
    [
      'cannot pull, and goes on trying',
      read(at('Creating', 'Pending'), {
        currentState: { state: 'Waiting' },
        ...event('Failed', 'Failed to pull image "x": denied'),
      }),
      ['pending', 'image-pull-failed', undefined],
    ],
    [
      'has given up pulling',
      read(at('Failed', 'Pending'), { currentState: { state: 'Waiting', detailStatus: 'ImagePullBackOff' } }),
      ['failed', 'image-pull-failed', undefined],
    ],
    ['failed without a word', read(at('Failed', 'Pending')), ['failed', 'unknown', undefined]],
    [
      'failed to be made, but runs',
      read(at('Failed', 'Running'), { currentState: { state: 'Running' } }),
      ['running', undefined, undefined],
    ],
    ['was ended by the platform', read(at(done, 'Failed'), ended(7147)), ['failed', 'unknown', 7147]],
    [
      'was spot and ended by the platform',
      read({ ...at(done, 'Failed'), priority: 'Spot' }, ended(7148)),
      ['failed', 'spot-reclaimed', 7148],
    ],
    [
      'was spot, evicted and started again',
      read({ ...at(done, 'Running'), priority: 'Spot' }, { currentState: { state: 'Running' }, restartCount: 1 }),
      ['running', 'spot-reclaimed', undefined],
    ],
    [
      'was started again by the service',
      read(at(done, 'Running'), { currentState: { state: 'Running' }, restartCount: 2 }),
      ['running', 'unknown', undefined],
    ],
    [
      'is spot, of an image with a name that sounds like an end',
      read(
        { ...at(done, 'Running'), priority: 'Spot' },
        {
          currentState: { state: 'Running' },
          events: [
            { name: 'Pulling', message: 'pulling image "acme/preemption:1"', type: 'Normal' },
            { name: 'Pulled', message: 'Successfully pulled image "acme/preemption:1"', type: 'Normal' },
          ],
        },
      ),
      ['running', undefined, undefined],
    ],
    ['was stopped', read(at(done, 'Stopped')), ['failed', 'stopped', undefined]],
    [
      'is being deleted',
      read(at('Deleting', 'Running'), { currentState: { state: 'Running' } }),
      ['running', 'stopped', undefined],
    ],
    ['is being moved', read(at('Repairing', 'Pending')), ['unknown', undefined, undefined]],
    [
      'says what nobody knows',
      read(at(done, 'Dreaming'), { currentState: { state: 'Dreaming' } }),
      ['unknown', undefined, undefined],
    ],
    ['is listed, without a view', read({ provisioningState: done }), ['unknown', undefined, undefined]],
    ['is nobody’s', read({ ...at(done, 'Running'), tags: { owner: 'x' } }), [undefined, undefined, undefined]],
    ['has the tags of another', read({ ...at(done, 'Running'), name: 'fixture-2' }), [undefined, undefined, undefined]],
  ];
  // J9: Azure's own example of a failed group [vendor's page "Troubleshoot common issues"], and its like.
  const pulled = { name: 'Pulled', message: 'Successfully pulled image "acme/failed:1"', type: 'Normal' };
  const mount = {
    name: 'FailedMount',
    message: 'Failed to mount Azure File Volume. mount error(2): Permission denied',
    type: 'Normal',
  };
  for (const [what, events] of [
    ['before what went well', [mount, pulled]],
    ['after it', [pulled, mount]],
  ] as const) {
    it(`names the event that tells of the failure, ${what}`, () => {
      const seen = toInstance(
        group.parse({ name: 'fixture-1', tags, containers: [{}], ...at('Failed', 'Failed', { events }) }),
      );
      expect(seen?.reason).to.deep.equal({ kind: 'unknown', message: `FailedMount: ${mount.message}` });
    });
  }

  it('says no success where no event tells of the failure', () => {
    const seen = toInstance(
      group.parse({ name: 'fixture-1', tags, containers: [{}], ...at('Failed', 'Failed', { events: [pulled] }) }),
    );
    expect(seen?.reason?.message).to.equal('the service says Failed, without a reason');
  });

  for (const [what, given, expected] of table) it(`read one that ${what}`, () => expect(given).to.deep.equal(expected));
});

describe('azure-aci budget', () => {
  const clock = () => {
    let now = 1_000_000;
    const slept: number[] = [];
    return {
      slept,
      advance: (ms: number) => {
        now += ms;
      },
      host: {
        now: () => now,
        after: () => () => {},
        random: () => 0,
        sleep: async (ms: number) => {
          slept.push(ms);
        },
      },
    };
  };
  const tries = async (budget: Rate, call: CallName, count: number) => {
    const answers = await Promise.allSettled(Array.from({ length: count }, () => budget.permit(call)));
    return answers.filter(({ status }) => status === 'fulfilled').length;
  };

  it('lets 100 creations go in 5 minutes and 300 in an hour, and says when the next may', async () => {
    const { host, advance } = clock();
    const budget = new Rate(host, { per5Minutes: 100, perHour: 300 }, 1, 0);
    expect(await tries(budget, 'create', 150)).to.equal(100);
    advance(299_000);
    const error = await budget.permit('create').catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(ProviderError).and.include({ kind: 'throttled', retryAfterMs: 1000 });
    advance(1000);
    expect(await tries(budget, 'create', 150)).to.equal(100);
    advance(300_000);
    expect(await tries(budget, 'create', 150)).to.equal(100);
    advance(300_000);
    expect(await tries(budget, 'create', 150), 'the hour').to.equal(0);
    advance(3_600_000 - 900_000);
    expect(await tries(budget, 'create', 150)).to.equal(100);
  });

  it('does not wait for a time that a clock set back has made the future', async () => {
    const { host, advance, slept } = clock();
    const budget = new Rate(host, { per5Minutes: 100, perHour: 300 }, 1, 20_000);
    expect(await tries(budget, 'get', 3)).to.equal(3);
    advance(-600_000);
    expect(await tries(budget, 'get', 3)).to.equal(3);
    expect(slept).to.deep.equal([]);
  });

  it('counts deletions and creations apart, and takes its share alone', async () => {
    const { host } = clock();
    const budget = new Rate(host, { per5Minutes: 100, perHour: 300 }, 0.25, 0);
    expect(await tries(budget, 'create', 200)).to.equal(25);
    expect(await tries(budget, 'delete', 200)).to.equal(25);
    expect(await tries(budget, 'get', 200)).to.equal(200);
  });

  it('never lets more than the limit into any window, waits included', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 120_000 }), { maxLength: 60 }), async (gaps) => {
        const { host, advance, slept } = clock();
        const budget = new Rate(host, { per5Minutes: 5, perHour: 12 }, 1, 60_000);
        const sentAt: number[] = [];
        for (const gap of gaps) {
          advance(gap);
          slept.length = 0;
          const let_ = await budget.permit('create').then(
            () => true,
            () => false,
          );
          if (let_) sentAt.push(host.now() + (slept[0] ?? 0));
        }
        for (const [ms, most] of [
          [300_000, 5],
          [3_600_000, 12],
        ] as const) {
          for (const at of sentAt) {
            expect(sentAt.filter((other) => other > at - ms && other <= at).length).to.be.at.most(most);
          }
        }
      }),
    );
  });
});
