import { expect } from 'chai';
import { parse } from 'yaml';
import {
  ownAdminToken,
  ownDispatcherYaml,
  ownId,
  withoutSeals,
} from '../../dispatcher/cli/deploy/own-configuration.ts';

const PLATFORM = `
# The platform's own file.
id: shr
adminToken: \${file:secrets/admin-token}
sealing: { keys: [{ publicKey: "x25519:AAAA", privateKey: "\${file:secrets/sealing.pem}" }] }
oidc: { issuer: 'https://login.example', clientId: shr, clientSecret: "\${env:LOGIN}", url: 'https://shr.example' }
webhooks: [{ appId: 1, secrets: ["\${env:SHARED}"], owners: [acme] }]
credentials:
  ours: { host: github.com, token: "\${env:OURS}" }
  theirs: { host: github.com, token: "\${env:THEIRS}" }
backends:
  shared: { kind: docker }
  other: { kind: gcp-batch }
tenants:
  acme: { credentials: [ours], backends: [shared, other] }
  mobile: { credentials: [theirs] }
limits: { maxRunners: 7 }
listen: { public: { address: '0.0.0.0:8081', url: 'https://platform.example' } }
`;
const OWN = { name: 'acme', id: 'shr-acme', adminToken: '${file:secrets/own}', url: undefined };

describe('the configuration of a dispatcher for one registration', () => {
  it('keeps of the shared credentials and backends those that the registration uses', () => {
    const registration = 'credentials: { use: ours }\nbackends: [{ kind: process }, { use: shared }]\n';
    const own: unknown = parse(ownDispatcherYaml(PLATFORM, { ...OWN, registration }));
    expect(own).to.deep.equal({
      id: 'shr-acme',
      adminToken: '${file:secrets/own}',
      credentials: { ours: { host: 'github.com', token: '${env:OURS}' } },
      backends: { shared: { kind: 'docker' } },
      tenants: { acme: { credentials: ['ours'], backends: ['shared'] } },
      limits: { maxRunners: 7 },
      listen: { public: { address: '0.0.0.0:8081' } },
    });
  });

  it('keeps no credentials that are called like a backend of the registration, and no backend called like its credentials', () => {
    const platform = `
adminToken: \${file:secrets/admin-token}
credentials: { main: { token: "\${env:PLATFORM}" }, ours: { token: "\${env:OURS}" } }
backends: { main: { kind: docker }, ours: { kind: ali-eci } }
`;
    const registration = 'credentials: { use: ours }\nbackends: [{ use: main }]\n';
    const own: unknown = parse(ownDispatcherYaml(platform, { ...OWN, registration }));
    expect(own)
      .to.have.property('credentials')
      .that.deep.equals({ ours: { token: '${env:OURS}' } });
    expect(own)
      .to.have.property('backends')
      .that.deep.equals({ main: { kind: 'docker' } });
  });

  it('keeps only what is written for it: no comment, no other tenant, and what an anchor elsewhere said', () => {
    const platform = `
# the old token was hunter2
adminToken: \${file:secrets/admin-token}
backends:
  other: { kind: docker, options: &options { network: runners } } # for mobile
  mine: { kind: docker, options: *options }
tenants:
  other: { registrations: ['ac*'], owners: [secret-project] }
  acme: { owners: [acme] }
`;
    const registration = 'backends: [{ use: mine }]\n';
    const text = ownDispatcherYaml(platform, { ...OWN, registration });
    expect(text).to.not.match(/#|hunter2|mobile|secret-project/);
    const own: unknown = parse(text);
    expect(own)
      .to.have.property('backends')
      .that.deep.equals({ mine: { kind: 'docker', options: { network: 'runners' } } });
    expect(own)
      .to.have.property('tenants')
      .that.deep.equals({ acme: { owners: ['acme'] } });
  });

  it('has the platform’s ledger file for its own, and never its ledger on a server, which it would take over', () => {
    const ledgerOf = (ledger: string): unknown =>
      parse(ownDispatcherYaml(`adminToken: x\nledger: ${ledger}\n`, { ...OWN, registration: 'labels: [a]\n' }))?.ledger;
    expect(ledgerOf('data/ledger.db')).to.equal('data/ledger.db');
    expect(ledgerOf('{ postgres: { url: "${env:URL}" } }')).to.equal(undefined);
  });

  it('is reached where it is said to be, not where the platform is', () => {
    const registration = 'backends: [{ kind: docker }]\n';
    const url = 'https://own.example';
    const own: unknown = parse(ownDispatcherYaml(PLATFORM, { ...OWN, registration, url }));
    expect(own)
      .to.have.property('listen')
      .that.deep.equals({ public: { address: '0.0.0.0:8081', url } });
    const plain = 'id: shr\nlisten: { public: 0.0.0.0:8082 }\n';
    const other: unknown = parse(ownDispatcherYaml(plain, { ...OWN, registration, url }));
    expect(other)
      .to.have.property('listen')
      .that.deep.equals({ public: { address: '0.0.0.0:8082', url } });
    const silent: unknown = parse(ownDispatcherYaml('id: shr\n', { ...OWN, registration, url }));
    expect(silent).to.have.property('listen').that.deep.equals({ public: { url } });
  });

  it('has no shared section where the registration uses nothing of it', () => {
    const registration = 'credentials: { token: "${env:TENANT_ACME_TOKEN}" }\nbackends: [{ kind: docker }]\n';
    const own: unknown = parse(ownDispatcherYaml(PLATFORM, { ...OWN, registration }));
    expect(own).to.not.have.any.keys('credentials', 'backends', 'webhooks');
  });

  it('has an id of its own, of at most 20 characters, and always the same', () => {
    expect(ownId('shr', 'acme')).to.equal('shr-acme');
    const long = ownId('shr', 'acme-mobile-and-more');
    expect(long).to.match(/^acme-mobile-a[\w-]*-[0-9a-f]{6}$/);
    expect(long.length).to.be.at.most(20);
    expect(ownId('shr', 'acme-mobile-and-more')).to.equal(long);
    expect(ownId('shr', 'acme-mobile-and-less')).to.not.equal(long);
  });

  it('has an admin token that does not tell the platform’s', () => {
    const token = ownAdminToken('the-platform-token', 'shr-acme');
    expect(token).to.match(/^[0-9a-f]{64}$/);
    expect(ownAdminToken('the-platform-token', 'shr-other')).to.not.equal(token);
  });
});

describe('a registration with sealed values, in a dispatcher of its own', () => {
  it('gets them as files, since the keys that open what others sealed stay with the platform', () => {
    const registration =
      'credentials: { token: "${sealed:1.a.b}" }\nwebhook: { secrets: ["${env:ONE}", "${sealed:1.c.d}"] }\n';
    const own = withoutSeals(registration, 'secrets/acme', (sealed, path) => `${sealed} at ${path.join('.')}`);
    expect(parse(own?.text ?? '')).to.deep.equal({
      credentials: { token: '${file:secrets/acme/sealed-1}' },
      webhook: { secrets: ['${env:ONE}', '${file:secrets/acme/sealed-2}'] },
    });
    expect([...(own?.secrets ?? [])]).to.deep.equal([
      ['secrets/acme/sealed-1', '1.a.b at credentials.token'],
      ['secrets/acme/sealed-2', '1.c.d at webhook.secrets.1'],
    ]);
  });

  it('stays as it is where nothing is sealed', () => {
    expect(withoutSeals('# mine\norganization: acme\n', 'secrets/acme', () => '')).to.equal(undefined);
  });
});
