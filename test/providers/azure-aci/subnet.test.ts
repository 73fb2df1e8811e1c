/** A subnet that `shr doctor` cannot read: the service is another, answers something else, or keeps it from us. */
import { createHttpHeaders, type HttpClient } from '@azure/core-rest-pipeline';
import { expect } from 'chai';
import { network } from '../../../providers/azure-aci/check.ts';
import { azureAciOptions } from '../../../providers/azure-aci/options.ts';
import { readSubnet, subnetAnswer } from '../../../providers/azure-aci/subnet.ts';
import { ProviderError } from '../../../providers/provider.ts';

const subnetId = '/subscriptions/1/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/hub/subnets/runners';
const options = azureAciOptions.parse({
  subscriptionId: '11111111-1111-1111-1111-111111111111',
  resourceGroup: 'runners',
  location: 'westeurope',
  credentials: { kind: 'managed-identity' },
  subnetId,
});

describe('a subnet of azure-aci that cannot be read', () => {
  const credential = { getToken: async () => ({ token: 't', expiresOnTimestamp: Date.now() + 3_600_000 }) };

  const read = (status: number, bodyAsText: string) => {
    const httpClient: HttpClient = {
      sendRequest: async (request) => ({ request, status, headers: createHttpHeaders(), bodyAsText }),
    };
    return readSubnet(subnetId, options, { credential, httpClient }, new AbortController().signal);
  };

  for (const [what, body] of [
    ['a page of a proxy', '<html>Sign in</html>'],
    ['JSON of something else', '{"value":[]}'],
    ['delegations that are no list', '{"properties":{"delegations":"none"}}'],
    ['nothing', ''],
  ] as const) {
    it(`is not taken for one without a delegation: ${what}`, async () => {
      expect(subnetAnswer.safeParse(await read(200, body)).success).to.equal(false);
    });
  }

  for (const [what, status, body, code] of [
    ['in the words of Resource Manager', 403, '{"error":{"code":"AuthorizationFailed"}}', 'AuthorizationFailed'],
    ['without words', 403, '', '403'],
    ['with a page of a proxy', 502, '<html>Bad gateway</html>', '502'],
  ] as const) {
    it(`is refused ${what}, with a code`, async () => {
      const refused = await read(status, body).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(refused).to.be.an('error').and.include({ statusCode: status, code });
    });
  }

  describe('in a finding', () => {
    const findingOf = (code: string, words = 'no words') => {
      const error = new ProviderError('transient', 'azure-aci subnet', words, { code });
      return network({ subnetId }, { subnet: () => Promise.reject(error) });
    };

    for (const code of ['AuthorizationFailed', 'Forbidden', '403']) {
      it(`is a note that names the permission, after ${code}`, async () => {
        expect(await findingOf(code)).to.deep.equal({
          subject: 'network',
          ok: true,
          note: true,
          message: 'the subnet runners was not checked: that requires Microsoft.Network/virtualNetworks/subnets/read',
        });
      });
    }

    it('is not good where the answer makes no sense, and says that launches go on', async () => {
      const found = await findingOf('unreadable', 'the answer cannot be read');
      expect(found).to.deep.equal({
        subject: 'network',
        ok: false,
        message: 'azure-aci subnet: the answer cannot be read',
        cure: 'try again; launches go on meanwhile',
      });
    });

    it('is looked up by its id where it does not exist', async () => {
      expect(await findingOf('ResourceNotFound')).to.include({
        ok: false,
        cure: `check subnetId: az network vnet subnet show --ids ${subnetId}`,
      });
    });
  });
});
