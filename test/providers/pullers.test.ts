/** Who each cloud pulls as: what `check` may take for a fault, and what it cannot see. */
import { expect } from 'chai';
import { pullerOf as ofEci } from '../../providers/ali-eci/puller.ts';
import { pullerOf as ofAci } from '../../providers/azure-aci/puller.ts';
import { pullerOf as ofBatch } from '../../providers/gcp-batch/puller.ts';
import { pullerOf as ofCloudRun } from '../../providers/gcp-cloud-run/puller.ts';

const headers = async (): Promise<Headers> => new Headers({ authorization: 'Bearer ya29.ours' });
const login = { server: 'ghcr.io', username: 'acme', password: 'p4ss' };
const serviceAccount = 'runner@acme-ci.iam.gserviceaccount.com';

const acr = (more: object = {}) => ({ instanceId: 'cri-1', domains: [], ...more });
const eci = (acrRegistry: ReturnType<typeof acr> | undefined) => {
  const puller = ofEci({ registries: [login], acrRegistry });
  return (registry: string) => puller.identityAt?.(registry);
};

describe('who pulls', () => {
  it('at ECI: the service from an instance of acrRegistry, from its domains alone where they are given', () => {
    const own = 'acme-registry.cn-hangzhou.cr.aliyuncs.com';
    expect(eci(undefined)(own)).to.equal(undefined);
    expect(eci(acr())(own)).to.equal('the service, by the instance cri-1 of acrRegistry,');
    expect(eci(acr())('ghcr.io')).to.equal(undefined);
    expect(eci(acr())('cr.aliyuncs.com.example')).to.equal(undefined);
    expect(eci(acr({ domains: ['images.acme.example'] }))(own)).to.equal(undefined);
    expect(eci(acr({ domains: ['images.acme.example'] }))('images.acme.example')).to.include('cri-1');
  });

  it('at ACI: an identity where registries gives one, else a login', () => {
    const identity =
      '/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller';
    const puller = ofAci({ registries: [login, { server: 'acme.azurecr.io', identity }] });
    expect(puller.logins).to.deep.equal([login]);
    expect(puller.identityAt?.('acme.azurecr.io')).to.equal('the identity puller');
    expect(puller.identityAt?.('ghcr.io')).to.equal(undefined);
  });

  it("at Batch: the machine's account from Google's registries, registryAuth from its server", () => {
    const puller = ofBatch({ serviceAccount }, headers);
    expect(puller.identityAt?.('europe-west4-docker.pkg.dev')).to.equal(serviceAccount);
    expect(puller.identityAt?.('eu.gcr.io')).to.equal(serviceAccount);
    expect(puller.identityAt?.('ghcr.io')).to.equal(undefined);
    const registryAuth = { server: 'ghcr.io', username: 'acme', passwordSecret: 'projects/p/secrets/s/versions/1' };
    const withLogin = ofBatch({ serviceAccount, registryAuth }, headers);
    expect(withLogin.identityAt?.('ghcr.io')).to.equal('acme of registryAuth');
    expect(withLogin.identityAt?.('quay.io')).to.equal(undefined);
    expect(withLogin.identityAt?.('eu.gcr.io')).to.equal(serviceAccount);
  });

  it("at Cloud Run: the service agent from Google's registries", () => {
    const puller = ofCloudRun(headers);
    expect(puller.identityAt?.('us-docker.pkg.dev')).to.include('service agent');
    expect(puller.identityAt?.('docker.io')).to.equal(undefined);
  });

  it('shows the token of a Google backend to registries of Google alone', async () => {
    const strangers = [
      'ghcr.io',
      'docker.io',
      'pkg.dev',
      'acme.pkg.dev',
      'us-docker.pkg.dev.example',
      'us-docker.pkg.dev:8443',
      'evil.example',
      'gcr.io.example',
      'a.b.gcr.io',
      'notgcr.io',
      '127.0.0.1:5000',
    ];
    for (const puller of [ofBatch({ serviceAccount }, headers), ofCloudRun(headers)]) {
      for (const registry of ['us-docker.pkg.dev', 'europe-west4-docker.pkg.dev', 'gcr.io', 'asia.gcr.io']) {
        expect(await puller.tokenAt?.(registry), registry).to.equal('ya29.ours');
      }
      for (const registry of strangers) expect(await puller.tokenAt?.(registry), registry).to.equal(undefined);
    }
  });

  it('does without a token that is not to be had', async () => {
    const none = ofCloudRun(() => Promise.reject(new Error('no credentials')));
    expect(await none.tokenAt?.('gcr.io')).to.equal(undefined);
  });
});
