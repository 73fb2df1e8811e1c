/** Classifies the service's errors by what to do about them. Pure. */
import { z } from 'zod';
import { redact } from '../kit/redact.ts';
import { ProviderError, type ProviderErrorKind } from '../provider.ts';

export type CallName =
  | 'CreateContainerGroup'
  | 'DescribeContainerGroups'
  | 'DescribeContainerGroupStatus'
  | 'DeleteContainerGroup'
  | 'DescribeContainerLog'
  | 'CreateImageCache'
  | 'DescribeImageCaches'
  | 'DescribeRegions'
  | 'ListUsage'
  | 'DescribeVSwitches';

/**
 * By code. The documented ones of eci 2018-08-08 (a test holds this table against the description), and those that the
 * gateway in front of every service returns. `DryRunOperation` and `DryRun.Success` are how a dry run succeeds: see
 * `isDryRunSuccess`; met elsewhere they mean that nothing was created.
 */
export const codes: Readonly<Record<string, ProviderErrorKind>> = {
  // No stock or capacity.
  'OperationDenied.NoStock': 'capacity',
  'Zone.NotOnSale': 'capacity',
  'Spot.NotMatched': 'capacity',
  'InvalidVSwitchId.IpNotEnough': 'capacity',
  'RecommendEmpty.InstanceTypeFamilyNotMatched': 'capacity',
  EipAddressPoolIpNotEnough: 'capacity',
  'PrivateIpAddress.Already.InUse': 'capacity',

  // A limit of the account.
  QuotaExceeded: 'quota',
  'Throttling.Vcpu.PerDay': 'quota',
  'DiskNumber.LimitExceed': 'quota',
  HighCpuMemConfigRequired: 'quota',

  // Rate limits.
  Throttling: 'throttled',
  EipPurchaseFlowControl: 'throttled',

  // The account or its permissions: affects every job.
  'Account.Arrearage': 'unauthorized',
  ServiceNotEnabled: 'unauthorized',
  'InvalidPaymentMethod.InsufficientBalance': 'unauthorized',
  'Payfor.CreditPayInsufficientBalance': 'unauthorized',
  EipPayInsufficientBalance: 'unauthorized',
  NoPermission: 'unauthorized',
  'OperationFailed.RiskControl': 'unauthorized',
  'RISK.RISK_CONTROL_REJECTION': 'unauthorized',
  'Forbidden.RiskControl': 'unauthorized',
  'Forbidden.SubUser': 'unauthorized',
  'Forbidden.OnlyForInvitedTest': 'unauthorized',
  'Forbidden.UserBussinessStatus': 'unauthorized',
  'Forbidden.UserNotRealNameAuthentication': 'unauthorized',
  'Forbidden.AccountClosed': 'unauthorized',
  'Forbidden.Unauthorized': 'unauthorized',
  'InvalidUser.PassRoleForbidden': 'unauthorized',
  'SecurityRisk.3DVerification': 'unauthorized',
  'CreateServiceLinkedRole.Denied': 'unauthorized',
  RegionDissolved: 'unauthorized',

  // The request itself: repeating it gets the same answer.
  DryRunOperation: 'invalid',
  'DryRun.Success': 'invalid',
  'InvalidParameter.CPU.Memory': 'invalid',
  'InvalidParameter.DuplicatedName': 'invalid',
  'InvalidParameter.DuplicatedVolumeName': 'invalid',
  'InvalidParameter.NotFound': 'invalid',
  'InvalidParameter.MismatchInstanceType': 'invalid',
  InvalidParameter: 'invalid',
  MissingParameter: 'invalid',
  InvalidAction: 'invalid',
  InvalidSpotCpuMemorySpec: 'invalid',
  'ImageSnapshot.NotSupport': 'invalid',
  'ImageSnapshot.NotFound': 'invalid',
  ImageCacheNotSupport: 'invalid',
  'DiskVolume.NotSupport': 'invalid',
  'DiskVolume.NotInSameZone': 'invalid',
  'InvalidDiskId.NotFound': 'invalid',
  'RamRole.NotSupport': 'invalid',
  LocalDiskAmountNotMatch: 'invalid',
  'InvalidOperation.KMS.InstanceTypeNotSupport': 'invalid',
  'InvalidParameter.Encrypted.KmsNotEnabled': 'invalid',
  'InvalidParameter.KMS.EncryptedIllegal': 'invalid',
  'InvalidParameter.KMS.KeyId.Forbidden': 'invalid',
  'InvalidParameter.KMS.KeyId.NotFound': 'invalid',
  Ipv6AddressNotSupportVsw: 'invalid',
  Ipv6AddressNotSupport: 'invalid',
  Ipv6AddressNotSupportInstanceType: 'invalid',
  JobInstanceBatchCreateNotSupport: 'invalid',
  JobInstanceDiskNotSupport: 'invalid',
  JobInstanceEipNotSupport: 'invalid',
  JobInstanceFeatureNotMatch: 'invalid',
  JobInstanceImageCacheNotSupport: 'invalid',
  JobInstanceIPv6NotSupport: 'invalid',
  JobInstanceRamRoleNotSupport: 'invalid',
  JobInstanceRegionNotSupport: 'invalid',
  JobInstanceSpotNotSupport: 'invalid',
  JobInstanceEcsInstanceTypeNotSupport: 'invalid',
  InvalidInstanceTypeForEciSpotDurationBuy: 'invalid',
  InvalidInstanceTypeForEciBuy: 'invalid',
  InvalidInstanceTypeForRaid: 'invalid',
  InstanceTypeNotMatchCpuArch: 'invalid',
  PrivatePoolInstanceSpotNotSupport: 'invalid',
  IncorrectOperation: 'invalid',
  FeatureBasedConstraintConflict: 'invalid',
  FeatureAccessRestricted: 'invalid',
  'OperationDenied.VswZoneMisMatch': 'invalid',
  'OperationDenied.SecurityGroupMisMatch': 'invalid',
  'InvalidOperation.ResourceManagedByCloudProduct': 'invalid',

  // From DescribeVSwitches.
  'Forbidden.VpcNotFound': 'invalid',
  InvalidTagKey: 'invalid',
  InvalidTagValue: 'invalid',
  'IellgalParameter.OwnerAccount': 'invalid',
  'IllegalParam.OwnerId': 'invalid',
  'InvalidVpcIdNumber.NotSupported': 'invalid',
  'InvalidVSwitchIdNumber.NotSupported': 'invalid',
  'InvalidVSwitchId.NotFound': 'invalid',

  // The resource changed concurrently: look again.
  IncorrectStatus: 'transient',
  'ImageSnapshot.IncorrectStatus': 'transient',
  'ImageCache.IncorrectStatus': 'transient',
  OperationConflict: 'transient',
  'Request Timeout': 'transient',
  // The token has already created something with different parameters: find it by its name.
  IdempotentParameterMismatch: 'transient',
  'Idempotence.ParamNotMatch': 'transient',
};

/** Families of codes of the gateway and its services, for codes missing from the table. First match wins. */
const families: readonly (readonly [RegExp, ProviderErrorKind])[] = [
  [/^Throttling(\.|$)|^ServiceUnavailable.*Throttl|^Concurrent/i, 'throttled'],
  [/NoStock|NotOnSale|Sold.?Out|IpNotEnough/i, 'capacity'],
  [/Quota.*(Exceed|Full)|LimitExceed(ed)?$/i, 'quota'],
  [
    /^(InvalidAccessKeyId|SignatureDoesNotMatch|SignatureNonceUsed|IncompleteSignature|InvalidTimeStamp|InvalidSecurityToken|MissingSecurityToken|MissingAccessKeyId|InvalidCredentials|Forbidden|NoPermission|Unauthorized|AccessDenied)(\.|$)/i,
    'unauthorized',
  ],
  [/^(ServiceUnavailable|InternalError|InternalServer|UnknownError|Timeout)/i, 'transient'],
  [/^(Missing|Invalid|Illegal|Malformed|Unsupported|NotSupport)/i, 'invalid'],
];

/** Handles refusals as `calls.ts` throws them, Node's socket errors, and the SDK's credential errors. */
const thrown = z.object({
  name: z.string().optional(),
  code: z.string().optional().catch(undefined),
  statusCode: z.number().optional().catch(undefined),
  message: z.string().default(''),
  requestId: z.string().optional().catch(undefined),
  retryAfter: z.number().nonnegative().optional().catch(undefined),
});

/** Node's codes for a connection that was never established. */
const refusedByTls = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)|^EPROTO$/;

/** `hide`: strings to redact from the message, in case the service repeats them. */
export function classify(call: CallName, error: unknown, hide: readonly string[] = []): ProviderError {
  if (error instanceof ProviderError) return error;
  const operation = `ali-eci ${call}`;
  const parsed = thrown.safeParse(error);
  if (!parsed.success) return new ProviderError('transient', operation, 'unreadable answer');
  const { name, code, statusCode, message, requestId, retryAfter } = parsed.data;
  if (statusCode === undefined) {
    // Neither the message nor the error itself is passed on: libraries put URLs, with everything in them, into both.
    const kind =
      refusedByTls.test(code ?? '') || code === 'InvalidCredentials' || isAboutCredentials(message)
        ? 'unauthorized'
        : 'transient';
    const text = kind === 'unauthorized' ? 'invalid credentials or certificate' : 'no answer';
    return new ProviderError(
      kind,
      operation,
      `${text} (${code ?? name ?? 'error'})`,
      code === undefined ? {} : { code },
    );
  }
  const said = code ?? `HTTP ${statusCode}`;
  // Every refusal of the service has a code, so this is a proxy's page: whether the request arrived is unknown.
  const kind = code === undefined ? kindOfPage(statusCode) : kindOf(call, statusCode, code);
  return new ProviderError(kind, operation, redact(`${said}: ${message}`, hide), {
    code: said,
    ...(requestId === undefined ? {} : { requestId }),
    ...(retryAfter === undefined ? {} : { retryAfterMs: retryAfter }),
  });
}

export function isDryRunSuccess(error: unknown): boolean {
  return error instanceof ProviderError && (error.code === 'DryRunOperation' || error.code === 'DryRun.Success');
}

/** The service says that there is no such container group. The code is undocumented, so match it by its form. */
export function isAbsent(error: unknown): boolean {
  return error instanceof ProviderError && /ContainerGroup.*NotFound|^InvalidContainerGroupId/.test(error.code ?? '');
}

function kindOf(call: CallName, status: number, code: string): ProviderErrorKind {
  const known = Object.hasOwn(codes, code) ? codes[code] : undefined;
  if (known !== undefined) return known;
  const family = families.find(([pattern]) => pattern.test(code))?.[1];
  if (family !== undefined) return family;
  if (status === 429) return 'throttled';
  if (status === 401 || status === 403) return 'unauthorized';
  // An undocumented code: something may have been created.
  if (status >= 500 || call === 'CreateContainerGroup') return 'transient';
  return 'invalid';
}

function kindOfPage(status: number): ProviderErrorKind {
  if (status === 401 || status === 403) return 'unauthorized';
  return status === 429 ? 'throttled' : 'transient';
}

function isAboutCredentials(message: string): boolean {
  return /get (sts token|credential|session)|metadata|RAM ?role|refresh.*credential/i.test(message);
}
