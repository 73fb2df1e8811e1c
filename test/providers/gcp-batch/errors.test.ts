import { expect } from 'chai';
import { classify, isAbsent } from '../../../providers/gcp-batch/errors.ts';
import { ProviderError, type ProviderErrorKind } from '../../../providers/provider.ts';

const grpc = (code: number, details: string, reason?: string): object => ({
  code,
  message: `${code} NAME: ${details}`,
  details,
  ...(reason === undefined ? {} : { reason }),
});

describe('gcp-batch errors', () => {
  // https://cloud.google.com/batch/docs/troubleshooting and google.rpc.Code; first what Batch says itself.
  const table: readonly [string, object, ProviderErrorKind][] = [
    ['no stock', grpc(8, 'CODE_GCE_ZONE_RESOURCE_POOL_EXHAUSTED: try another zone'), 'capacity'],
    ['no resources', grpc(14, 'The zone does not have enough resources available'), 'capacity'],
    ['a stockout', grpc(9, 'GCE stockout'), 'capacity'],
    ['a quota of Compute Engine', grpc(8, "Quota 'CPUS' exceeded.  Limit: 24.0 in region europe-west4."), 'quota'],
    ['its code', grpc(3, 'CODE_GCE_QUOTA_EXCEEDED'), 'quota'],
    [
      'too many creations',
      grpc(
        8,
        "Quota exceeded for quota metric 'Mutation requests' and limit 'Mutation requests per minute per region'",
      ),
      'throttled',
    ],
    ['too many calls', grpc(8, 'slow down', 'RATE_LIMIT_EXCEEDED'), 'throttled'],
    [
      'an account that may not be used',
      grpc(3, "The user does not have access to service account 'x'"),
      'unauthorized',
    ],
    ['actAs', grpc(7, "Permission 'iam.serviceAccounts.actAs' denied on service account x"), 'unauthorized'],
    [
      'a policy of the organization',
      grpc(9, 'Constraint constraints/compute.vmExternalIpAccess violated'),
      'unauthorized',
    ],
    [
      'a location without Batch',
      grpc(5, 'Location mars-east1 is not found or access is unauthorized.'),
      'unauthorized',
    ],
    [
      'a key that is not there',
      grpc(5, 'CryptoKey projects/p/locations/l/keyRings/r/cryptoKeys/k not found.'),
      'unauthorized',
    ],
    ['no permission', grpc(7, "Permission 'batch.jobs.create' denied on resource"), 'unauthorized'],
    ['no credentials', grpc(16, 'Request had invalid authentication credentials.'), 'unauthorized'],
    [
      'an API that is off',
      grpc(7, 'Batch API has not been used in project 1 before', 'SERVICE_DISABLED'),
      'unauthorized',
    ],
    ['a field that is wrong', grpc(3, 'Invalid value for field job.task_groups'), 'invalid'],
    ['a name that is taken', grpc(6, "Resource 'projects/p/locations/l/jobs/j' already exists"), 'conflict'],
    ['a precondition', grpc(9, 'job is already being deleted'), 'transient'],
    ['a conflict of transactions', grpc(10, 'aborted'), 'transient'],
    ['an error of theirs', grpc(13, 'internal'), 'transient'],
    ['a service that is away', grpc(14, 'The service is currently unavailable.'), 'transient'],
    ['a deadline', grpc(4, 'Deadline exceeded after 20s'), 'transient'],
    ['something unknown', grpc(2, 'unknown'), 'transient'],
    ['a broken connection', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }), 'transient'],
  ];
  for (const [what, error, kind] of table) {
    it(`sorts ${what} as ${kind}`, () => {
      const said = classify('CreateJob', error);
      expect(said.kind, said.message).to.equal(kind);
      expect(said.operation).to.equal('gcp-batch CreateJob');
    });
  }

  it('takes only the absence of a job for its absence', () => {
    const absent = (text: string): boolean => isAbsent(classify('GetJob', grpc(5, text)));
    expect(absent("Resource 'projects/p/locations/l/jobs/j' was not found")).to.equal(true);
    expect(absent('Requested entity was not found.')).to.equal(true);
    expect(absent('Location mars-east1 is not found or access is unauthorized.')).to.equal(false);
    expect(absent('Project acme was not found')).to.equal(false);
    expect(isAbsent(new ProviderError('transient', 'x', 'not found'))).to.equal(false);
  });
});
