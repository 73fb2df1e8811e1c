/**
 * A tenant that tries to get what is another's or the platform's, once by each way that its registrations can come in: the
 * walls are behind the ways, and none may have a door of its own.
 */
import { inspect } from 'node:util';
import { expect } from 'chai';
import { registrationOf, SECRETS, sealedFor, VICTIMS_FILE, WAYS, type World, worldBy } from './world.ts';

const own = (more = '') => registrationOf('hostile', more);
const token = (reference: string) => own().replace('${env:TENANT_HOSTILE_TOKEN}', reference);
const backend = (written: string) => own().replace(/backends: .*/, `backends: [${written}]`);
const machine = (credentials: string) =>
  backend(
    `{ kind: azure-aci, options: { subscriptionId: ${GUID}, resourceGroup: r, location: westeurope, credentials: ${credentials} } }`,
  );
const GUID = '12121212-3434-4565-8787-909090909090';
const bomb = (levels: number) =>
  [
    'a0: &a0 [x, x, x, x, x, x, x, x, x, x]',
    ...Array.from({ length: levels }, (_, n) => `a${n + 1}: &a${n + 1} [${Array(10).fill(`*a${n}`).join(', ')}]`),
  ].join('\n');

/** What it writes under its own name, and what it is told. */
const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ['a variable of the platform', token('${env:PLATFORM_TOKEN}'), /TENANT_HOSTILE_/],
  ['a variable of the machine', token('${env:GITHUB_TOKEN}'), /TENANT_HOSTILE_/],
  ['the admin token', token('${env:ADMIN_TOKEN}'), /TENANT_HOSTILE_/],
  ['a variable of another tenant', token('${env:TENANT_VICTIM_TOKEN}'), /TENANT_HOSTILE_/],
  ['a file of another tenant', token('${file:secrets/victim/token}'), /secrets\/hostile/],
  ['a file by a way around', token('${file:secrets/hostile/../victim/token}'), /secrets\/hostile/],
  ['a file of the machine', token('${file:/etc/passwd}'), /secrets\/hostile/],
  ['the key that opens what others sealed', token('${file:secrets/now.pem}'), /secrets\/hostile/],
  ['a secret in the middle of a text', token('x${env:TENANT_VICTIM_TOKEN}'), /whole value/],
  [
    'a value that another sealed',
    token(sealedFor('s', { registration: 'victim', field: ['credentials', 'token'] })),
    /it does not open/,
  ],
  [
    'a value of its own at a field that is shown',
    own(`chargeLabels: { a: "${sealedFor('s', { registration: 'hostile', field: ['credentials', 'token'] })}" }\n`),
    /it does not open/,
  ],
  ['a vault by the identity of the machine', token('${azure-key-vault:victim/token}'), /with a key of its own/],
  [
    'a backend by the identity of the machine',
    machine('{ kind: managed-identity }'),
    /tenants may not set this option/,
  ],
  [
    'the engine of the machine',
    backend('{ kind: docker, options: { host: 127.0.0.1, port: 2375 } }'),
    /tenants may not set this/,
  ],
  ['a kind that it was not granted', backend('{ kind: process }'), /was not granted/],
  ['a base of another tenant', own('extends: victim\n'), /it has no base `victim`/],
  ['a base that it was not granted', own('extends: kept\n'), /was not granted the base `kept`/],
  ['more by a base than its grant', own('extends: common\n'), /may not have 500 runners/],
  ['a base by a path', own('extends: ../secrets/victim\n'), /it does not name bases/],
  ['more runners than its grant', own('maxRunners: 21\n'), /may not have 21 runners/],
  [
    'an image of another on a shared backend',
    backend('{ use: shared }').replace('ghcr.io/hostile', 'ghcr.io/victim'),
    /powers\.images/,
  ],
  ['the organization of another', own().replace('organization: hostile', 'organization: victim'), /tenants\.hostile/],
  ['a repository of another', own().replace('organization: hostile', 'repositories: [victim/x]'), /tenants\.hostile/],
  ['the host of another', own('host: ghes.victim.example\n'), /tenants\.hostile/],
  [
    'credentials of the platform at a host of its own',
    own('host: ghes.hostile.example\n').replace(/credentials: .*/, 'credentials: { use: app }'),
    /would be sent to ghes\.hostile\.example/,
  ],
  ['a secret in plain text', token('ghp_0123456789abcdefghijklmnopqrstuvwxyz'), /a secret in plain text/],
  ['the same key twice, for the second to count', own('maxRunners: 5\nmaxRunners: 500\n'), /maxRunners/],
  ['what a merge key brings', own('<<: { maxRunners: 500 }\n'), /<</],
  ['a prototype', own('__proto__: { maxRunners: 500 }\n'), /__proto__/],
  ['a second document', own('---\norganization: victim\n'), /a second document/],
  ['code by a tag', own('labels2: !!js/function "x"\n'), /labels2|tag/],
  ['aliases that multiply', own(bomb(9)), /alias|unknown key/],
  ['brackets without end', own(`x: ${'['.repeat(100_000)}`), /nested too deeply/],
  ['more than a file may hold', own(`# ${'x'.repeat(300 * 1024)}`), /262144/],
];

for (const way of WAYS) {
  describe(`a hostile tenant whose registrations come by ${way}`, function () {
    this.timeout(60_000);
    let world: World;
    let rightful: unknown;

    const open = async () => {
      world = await worldBy(way);
      const written = await world.write('victim', 'victim', registrationOf('victim'));
      expect(written).to.deep.equal({ isServed: true, words: '' });
      rightful = victims();
    };
    const victims = () => world.current().registrations.find(({ name }) => name === 'victim');
    const untouched = () => expect(victims(), 'the registration of the other').to.equal(rightful);

    describe('under its own name', () => {
      before(open);
      after(() => world.close());
      afterEach(untouched);
      for (const [what, text, told] of REFUSED) {
        it(`does not get ${what}`, async () => {
          const { isServed, words } = await world.write('hostile', 'hostile', text);
          expect(words).to.match(told);
          expect(isServed).to.equal(false);
          expect(world.names()).to.deep.equal(['victim']);
          const all = `${words}${inspect(world.current(), { depth: 20 })}`;
          for (const secret of [...Object.values(SECRETS), VICTIMS_FILE]) expect(all).to.not.include(secret);
        });
      }

      for (const name of ['victim', 'victim-x', 'own-x', 'nobody']) {
        // Whoever writes into the one folder of all is trusted with the names of its files.
        const isTheirs = way === 'folder' && name === 'victim';
        if (!isTheirs)
          it(`does not get the name ${name}`, async () => {
            const { isServed } = await world.write('hostile', name, own('priority: 1\n'));
            expect(isServed).to.equal(false);
            expect(world.names()).to.deep.equal(['victim']);
          });

        it(`does not get the name ${name} among several in a file of its own`, async () => {
          const text = `registrations:\n  ${name}:\n    ${own().trim().replaceAll('\n', '\n    ')}\n`;
          const { isServed } = await world.write('hostile', 'hostile', text);
          expect(isServed).to.equal(false);
          expect(world.names()).to.deep.equal(['victim']);
        });
      }
    });

    describe('beside the other', () => {
      beforeEach(open);
      afterEach(async () => {
        untouched();
        await world.close();
      });

      it('is served as it may be', async () => {
        expect(await world.write('hostile', 'hostile', own())).to.deep.equal({ isServed: true, words: '' });
        expect(world.names()).to.deep.equal(['hostile', 'victim']);
      });

      it('has no more registrations than it was granted', async () => {
        for (let count = 0; count < 7; count += 1)
          await world.write(
            'hostile',
            `hostile-${count}`,
            own().replace('labels: [hostile]', `labels: [h${count}]`).concat('maxRunners: 1\n'),
          );
        expect(world.names().filter((name) => name !== 'victim')).to.deep.equal(
          [0, 1, 2, 3, 4].map((n) => `hostile-${n}`),
        );
      });

      it('leaves no text behind that is served when its name comes to another', async () => {
        expect((await world.write('hostile', 'hostile-x', own())).isServed).to.equal(true);
        await world.platform((yaml) =>
          yaml.replace('"hostile-*"', '"hostile-y"').replace('"victim-*"', '"victim-*", "hostile-x"'),
        );
        expect(world.names()).to.deep.equal(['victim']);
      });
    });
  });
}
