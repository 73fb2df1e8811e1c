import { expect } from 'chai';
import { classify } from '../../../providers/azure-aci/errors.ts';
import type { ProviderErrorKind } from '../../../providers/provider.ts';

/** Codes of the vendor's pages on deployment errors, beside those that pure.test.ts goes through with their odd shapes. */
const table: readonly (readonly [ProviderErrorKind, number, string])[] = [
  ['capacity', 409, 'SkuNotAvailable'],
  ['capacity', 409, 'ZonalAllocationFailed'],
  ['transient', 502, 'BadGateway'],
  ['transient', 503, 'ServerTimeout'],
  ['unauthorized', 401, 'AuthenticationFailed'],
  ['invalid', 400, 'FailedIdentityOperation'],
  ['invalid', 400, 'InvalidContainerGroupName'],
  ['invalid', 400, 'InvalidParameter'],
  ['invalid', 400, 'VirtualNetworkNotFound'],
];

describe('azure-aci errors, by the code of a creation', () => {
  for (const [kind, statusCode, code] of table) {
    it(`take ${statusCode} ${code} for ${kind}`, () => {
      const error = classify('create', { name: 'RestError', message: 'in the service’s words', code, statusCode });
      expect(error).to.deep.include({ kind, code, operation: 'azure-aci create' });
    });
  }
});
