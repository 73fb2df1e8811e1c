import { expect } from 'chai';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { load } from './files.ts';

const some = <T>(...items: readonly T[]) => fc.constantFrom(...items);
/** Mostly the usual value, sometimes another. */
const mostly = <T, U>(usual: T, other: fc.Arbitrary<U>) =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other });
const maybe = <T>(value: fc.Arbitrary<T>) => mostly(undefined, value);

/** Whatever a tenant may write: sensible more often than not, else few files would load. */
const registration = (own: string) =>
  fc.record(
    {
      host: maybe(some('github.com', 'ghes.b.example', 'GHES.other.example')),
      apiUrl: maybe(some('https://evil.example', 'http://127.0.0.1:1')),
      claim: fc.oneof(
        some('acme', 'ACME', 'bee').map((organization) => ({ organization })),
        some('acme', 'bee').map((user) => ({ user })),
        some('acme', 'bee').map((organization) => ({ enterprise: 'corp', organizations: [organization] })),
        fc
          .subarray(['acme/web', 'Acme/WEB', 'acme/api', 'bee/web'], { minLength: 1 })
          .map((repositories) => ({ repositories })),
      ),
      labels: mostly(
        [`${own}-one`, 'serverless-hosted-runner'],
        fc.subarray([`${own}-one`, 'a-one', 'b-one', 'serverless-hosted-runner', '*'], { minLength: 1 }),
      ),
      priority: maybe(fc.integer({ min: -5, max: 1000 })),
      runnerGroup: maybe(some('Default', 'Big')),
      credentials: mostly(
        { use: 'platform' },
        some(
          { use: 'ghes' },
          { token: `\${env:TENANT_${own.toUpperCase()}_TOKEN}` },
          { token: '${env:TENANT_A_TOKEN}' },
        ),
      ),
      defaults: mostly({ image: 'ghcr.io/acme/runner:1' }, some({ image: 'ghcr.io/acme/runner:1', bucket: 'cache' })),
      policy: maybe(some({ dockerInDocker: true }, { maxCpu: 64 }, { images: ['*'] })),
      backends: mostly([{ use: 'host' }], some([{ use: 'other' }], [{ kind: 'docker' }])),
      webhook: maybe(some({ secrets: [`\${env:TENANT_${own.toUpperCase()}_HOOK}`] })),
    },
    { requiredKeys: ['claim', 'labels', 'credentials', 'defaults', 'backends'] },
  );

function fileOf({ claim, ...rest }: { readonly claim: object }): string {
  const present = Object.entries({ ...rest, ...claim }).filter(([, value]) => value !== undefined);
  return stringify(Object.fromEntries(present));
}

const powers = { images: ['ghcr.io/acme/*'] };
const platform = {
  id: 'acme-ci',
  adminToken: '${env:ADMIN_TOKEN}',
  credentials: {
    platform: { token: '${env:PLATFORM_TOKEN}' },
    ghes: { host: 'ghes.b.example', token: '${env:GHES_TOKEN}' },
  },
  backends: { host: { kind: 'docker' }, other: { kind: 'docker' } },
  tenants: {
    a: {
      hosts: ['github.com'],
      repositories: ['acme/web'],
      labels: ['a-*', 'serverless-hosted-runner'],
      credentials: ['platform'],
      backends: ['host'],
      powers,
    },
    b: {
      hosts: ['github.com', 'ghes.b.example'],
      owners: ['acme', 'bee'],
      labels: ['b-*', 'serverless-hosted-runner'],
      runnerGroups: ['Default'],
      credentials: ['platform', 'ghes'],
      backends: ['host'],
      powers,
    },
  },
};
const environment = {
  ADMIN_TOKEN: 'an-admin-token-of-32-characters!',
  PLATFORM_TOKEN: 'ghp_of-the-platform',
  GHES_TOKEN: 'ghp_of-ghes',
  TENANT_A_TOKEN: 'ghp_of-a',
  TENANT_B_TOKEN: 'ghp_of-b',
  TENANT_A_HOOK: 'whsec_of-a-and-long-enough-for-all',
  TENANT_B_HOOK: 'whsec_of-b-and-long-enough-for-all',
};

/** The meaning of a glob, said another way than dispatcher/labels/glob.ts does. */
const meaningOf = (glob: string): RegExp =>
  new RegExp(`^${[...glob].map((one) => (one === '*' ? '.*' : one === '?' ? '.' : one)).join('')}$`);

describe('globs on backends', () => {
  // W4
  it('let a tenant use what they match and nothing else, whatever its file names', async () => {
    const letters = (...of: readonly string[]) =>
      fc.array(some(...of), { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));
    const globs = fc.array(letters('a', 'b', '*', '?', '-a'), { minLength: 1, maxLength: 3 });
    const names = fc.uniqueArray(letters('a', 'b', 'a-b'), { minLength: 1, maxLength: 4 });
    let served = 0;
    await fc.assert(
      fc.asyncProperty(
        globs,
        names,
        fc.nat(),
        mostly(undefined, letters('a', '*', '?', '.')),
        async (granted, known, pick, odd) => {
          const used = odd ?? known[pick % known.length] ?? '';
          const { a } = platform.tenants;
          const usable = granted.filter(
            (glob) => /^[a-z0-9*?]/.test(glob) && (/[*?]/.test(glob) || known.includes(glob)),
          );
          const loaded = await load(
            {
              'dispatcher.yaml': stringify({
                ...platform,
                backends: Object.fromEntries(known.map((name) => [name, { kind: 'docker' }])),
                tenants: { a: { ...a, backends: usable } },
              }),
              'registrations/a.yaml': stringify({
                repositories: ['acme/web'],
                labels: ['a-one'],
                credentials: { use: 'platform' },
                defaults: { image: 'ghcr.io/acme/runner:1' },
                backends: [{ use: used }],
              }),
            },
            { environment },
          );
          const may = known.includes(used) && usable.some((glob) => meaningOf(glob).test(used));
          const uses = loaded.ok ? loaded.configuration.registrations.flatMap(({ backends }) => backends) : [];
          expect(uses.map(({ name, shared }) => ({ name, shared }))).to.deep.equal(
            may ? [{ name: used, shared: true }] : [],
          );
          if (may) served += 1;
        },
      ),
      { numRuns: 300 },
    );
    expect(served).to.be.greaterThan(20);
  });
});

describe('two tenants with any files', () => {
  // W4, W5, W6
  it('get no job of each other, no host but their own, and no credentials for another', async () => {
    let served = 0;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(registration('a'), registration('b'), async (a, b) => {
        const loaded = await load(
          {
            'dispatcher.yaml': stringify(platform),
            'registrations/a.yaml': fileOf(a),
            'registrations/b.yaml': fileOf(b),
          },
          { environment },
        );
        if (!loaded.ok) {
          refused += 1;
          return;
        }
        const { dispatcher, registrations, quarantined } = loaded.configuration;
        for (const {
          host,
          apiUrl,
          credentials,
          grant,
          defaults,
          backends,
          labels,
          runnerGroup,
          claim,
        } of registrations) {
          expect(grant?.hosts).to.include(host);
          expect(credentials.host).to.equal(host);
          expect(apiUrl).to.equal(host === 'github.com' ? 'https://api.github.com' : `https://${host}/api/v3`);
          const secret = credentials.kind === 'token' ? credentials.token.reveal() : '';
          if (secret === environment.PLATFORM_TOKEN) expect(host).to.equal('github.com');
          if (secret === environment.GHES_TOKEN) expect(host).to.equal('ghes.b.example');
          expect(secret).to.not.equal(grant?.tenant === 'a' ? environment.TENANT_B_TOKEN : environment.TENANT_A_TOKEN);
          expect(backends.map(({ name }) => name)).to.deep.equal(['host']);
          expect(defaults.bucket).to.equal(undefined);
          const foreign = grant?.tenant === 'a' ? 'b-one' : 'a-one';
          expect(labels).to.not.include.members([foreign]).and.not.include('*');
          if (claim.kind === 'organization') expect(runnerGroup).to.equal('Default');
        }
        const setAside = quarantined.flatMap(({ claims }) => claims ?? []);
        const admit = createAdmit(registrations, { tenants: dispatcher.tenants, setAside });
        for (const [owner, repository] of [
          ['acme', 'web'],
          ['Acme', 'Web'],
          ['acme', 'api'],
          ['bee', 'web'],
        ] as const) {
          for (const label of ['a-one', 'b-one', 'serverless-hosted-runner']) {
            for (const host of ['github.com', 'ghes.b.example']) {
              const admission = admit({ host, owner, repository, labels: [label], visibility: 'private' });
              if (admission.outcome !== 'lane') continue;
              served += 1;
              const ofA = host === 'github.com' && `${owner}/${repository}`.toLowerCase() === 'acme/web';
              expect(admission.lane.registration).to.equal(ofA ? 'a' : 'b');
              if (label !== 'serverless-hosted-runner') expect(label[0]).to.equal(admission.lane.registration);
            }
          }
        }
      }),
      { numRuns: 400 },
    );
    expect(served).to.be.at.least(20);
    expect(refused).to.be.at.least(20);
  });
});
