import { inspect } from 'node:util';
import { expect } from 'chai';
import { exportPlatform } from '../../dispatcher/config/export-platform.ts';
import { inspectConfiguration } from '../../dispatcher/config/load.ts';
import { References } from '../../dispatcher/config/reference.ts';
import { resolveReferences } from '../../dispatcher/config/references.ts';
import { fieldOf, newKeyPair, publicKeyText, type SealingKey, seal } from '../../dispatcher/config/sealing.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import { dispatcherYaml, load, problemsOf, registrationYaml, sourcesOf } from './files.ts';

const now = newKeyPair();
const before = newKeyPair();
const TOKEN = 'ghp_a-secret-of-the-tenant';

const entry = ({ key }: { readonly key: SealingKey }, file: string) =>
  `    - { publicKey: "${publicKeyText(key)}", privateKey: "\${file:${file}}" }\n`;
const sealing = `sealing:\n  keys:\n${entry(now, 'secrets/now.pem')}${entry(before, 'secrets/before.pem')}`;
const grant = `hosts: [github.com], owners: [acme], labels: ["*"], runnerGroups: [Default], backendKinds: [docker]`;
const platform = `${dispatcherYaml}${sealing}tenants: { acme: { ${grant} }, labs: { ${grant.replace('acme', 'labs')} } }\n`;
const secrets = { 'secrets/now.pem': now.privateKeyPem, 'secrets/before.pem': before.privateKeyPem };

function sealed(value: string, field: string, registration = 'acme', keys = now): string {
  return `\${sealed:${seal(value, { registration, field: field.split('.') }, keys.key)}}`;
}

function acme(token: string, more = ''): string {
  return `${registrationYaml.replace('${env:GITHUB_TOKEN}', token)}${more}`;
}

const labs = registrationYaml.replace('${env:GITHUB_TOKEN}', '${env:TENANT_LABS_TOKEN}').replace('acme', 'labs');
const environment = { ...sourcesOf({}).environment, TENANT_LABS_TOKEN: 'ghp_of-labs' };

async function tokenOf(yaml: string, dispatcher = platform): Promise<string | undefined> {
  const files = { 'dispatcher.yaml': dispatcher, ...secrets, 'registrations/acme.yaml': yaml };
  const loaded = await load(files, { environment });
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  expect(loaded.problems.map(formatProblem)).to.deep.equal([]);
  const [registration] = loaded.configuration.registrations;
  return registration?.credentials.kind === 'token' ? registration.credentials.token.reveal() : undefined;
}

/** Of the registration `acme`, which must be the only one that is set aside. */
async function refusal(yaml: string, dispatcher = platform): Promise<string> {
  const files = {
    'dispatcher.yaml': dispatcher,
    ...secrets,
    'registrations/acme.yaml': yaml,
    'registrations/labs.yaml': labs,
  };
  const loaded = await load(files, { environment });
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  expect(loaded.configuration.registrations.map(({ name }) => name)).to.deep.equal(['labs']);
  expect(loaded.configuration.quarantined.map(({ name }) => name)).to.deep.equal(['acme']);
  const lines = loaded.problems.map((problem) => formatProblem(problem).replace('/etc/shr/', ''));
  expect(inspect(loaded, { depth: 20 })).not.to.include(TOKEN);
  expect(lines).to.have.length(1);
  return lines[0] ?? '';
}

describe('a sealed value in a registration’s file', () => {
  it('is the secret that was sealed', async () => {
    expect(await tokenOf(acme(sealed(TOKEN, 'credentials.token')))).to.equal(TOKEN);
  });

  it('opens with the old key too, while the new one seals', async () => {
    expect(await tokenOf(acme(sealed(TOKEN, 'credentials.token', 'acme', before)))).to.equal(TOKEN);
  });

  it('may be folded over several lines', async () => {
    const text = sealed(TOKEN, 'credentials.token');
    const folded = `>-\n    ${text.slice(0, 60)}\n    ${text.slice(60)}`;
    expect(await tokenOf(acme(folded))).to.equal(TOKEN);
  });

  it('works in a registration of the platform’s own, and where there are no tenants', async () => {
    const alone = `${dispatcherYaml}${sealing}`;
    expect(await tokenOf(acme(sealed(TOKEN, 'credentials.token')), alone)).to.equal(TOKEN);
  });

  it('may be one of two webhook secrets, at either place', async () => {
    const [one, two] = ['first', 'second'].map((name) =>
      sealed(`the-${name}-secret-of-the-webhook`, 'webhook.secrets'),
    );
    for (const list of [
      [one, two],
      [two, one],
    ]) {
      const webhook = `webhook: { secrets: [${list.map((text) => `"${text}"`).join(', ')}] }\n`;
      expect(await tokenOf(acme('${env:TENANT_ACME_TOKEN}', webhook))).to.equal('ghp_of-acme');
    }
  });

  it('is not opened for another registration: what one tenant copies from another stays shut', async () => {
    expect(await refusal(acme(sealed(TOKEN, 'credentials.token', 'labs')))).to.match(
      /^registrations\/acme\.yaml:4:10: credentials\.token: it does not open as `credentials\.token` of registration `acme`: it was sealed for another registration or field, or changed since\. Seal the secret again: `shr seal --registration acme --field credentials\.token`\.$/,
    );
  });

  it('is not opened at another field, such as one that is shown', async () => {
    const shown = `chargeLabels: { team: "${sealed(TOKEN, 'credentials.token')}" }\n`;
    expect(await refusal(acme('${env:TENANT_ACME_TOKEN}', shown))).to.include(
      'chargeLabels.team: it does not open as `chargeLabels.team` of registration `acme`',
    );
  });

  it('sets its registration aside when it is cut off', async () => {
    const text = sealed(TOKEN, 'credentials.token');
    for (const cut of [`${text.slice(0, -9)}}`, `${text.slice(0, 14)}}`, `${text.slice(0, 40)}}`]) {
      expect(await refusal(acme(cut))).to.match(
        /credentials\.token: (?:the sealed value is incomplete|it does not open)/,
      );
    }
  });

  it('sets its registration aside when it was sealed for a key that is not there', async () => {
    const gone = newKeyPair();
    expect(await refusal(acme(sealed(TOKEN, 'credentials.token', 'acme', gone)))).to.include(
      `it was sealed for the key ${gone.key.id}, and dispatcher.yaml has ${now.key.id}, ${before.key.id}. Seal the secret again`,
    );
    const none = platform.replace(sealing, '');
    expect(await refusal(acme(sealed(TOKEN, 'credentials.token')), none)).to.include('has no `sealing.keys`');
  });

  it('must be the whole value', async () => {
    expect(await refusal(acme(`ghp_${sealed(TOKEN, 'credentials.token')}`))).to.include(
      'a reference must be the whole value',
    );
  });

  it('must be long enough where a secret can be guessed', async () => {
    const webhook = `webhook: { secrets: ["${sealed('short', 'webhook.secrets')}"] }\n`;
    expect(await refusal(acme('${env:TENANT_ACME_TOKEN}', webhook))).to.include('has fewer than 16 characters');
  });

  it('is opened once for each field, and no more often than other references are looked up', async () => {
    const opened: string[] = [];
    const reach = {
      kind: 'platform',
      sealed: {
        open: (text: string, path: readonly (string | number)[]) => {
          opened.push(`${text} ${path.join('.')}`);
          return { outcome: 'value', value: TOKEN } as const;
        },
      },
    } as const;
    const { environment: variables, files } = sourcesOf({});
    const references = new References({ environment: variables, files, folder: '/etc/shr' });
    const value = { list: ['${sealed:1}', '${sealed:1}'], other: '${sealed:1}', more: '${sealed:1}' };
    const found = await resolveReferences(value, reach, references, { bytes: 1000, values: 100, references: 2 });
    expect(opened).to.deep.equal(['1 list.0', '1 other']);
    expect(found.value).to.deep.equal({ list: [TOKEN, TOKEN], other: TOKEN, more: 'unresolved-reference' });
    expect(found.findings.map(({ message }) => message)).to.deep.equal([
      'the file has more than 2 different references',
    ]);
  });

  it('is told where its end was not copied, and so is every reference', async () => {
    const text = sealed(TOKEN, 'credentials.token').slice(0, -1);
    const found = await refusal(acme(text));
    expect(found)
      .to.include(
        'credentials.token: the reference `${sealed:…` has no closing brace. Copy all that `shr seal` printed',
      )
      .and.not.include(text.slice(0, 20));
    expect(await refusal(acme('${env:TENANT_ACME_TOKEN'))).to.include(
      'the reference `${env:…` has no closing brace. Put a `}` at its end.',
    );
  });

  it('says in a note that nothing is amiss where the private key is not, and in a problem where to check it', async () => {
    const text = acme(sealed(TOKEN, 'credentials.token'));
    const files = { 'dispatcher.yaml': platform, ...secrets, 'registrations/acme.yaml': text };
    const exported = await exportPlatform(sourcesOf(files));
    if (!exported.ok) throw new Error('it was not exported');
    const tenants = { 'platform.json': JSON.stringify(exported.exported), 'registrations/acme.yaml': text };
    const check = (needed: 'optional' | 'required', texts: Readonly<Record<string, string>> = tenants) =>
      inspectConfiguration(
        { ...sourcesOf(texts), exportedPlatform: '/etc/shr/platform.json', secrets: needed },
        'optional',
      );
    const found = await check('optional');
    expect(found.problems.map(formatProblem)).to.deep.equal([]);
    expect(found.notes.map(({ message, cure }) => [message, cure])).to.deep.equal([
      [
        `it is sealed for the platform’s key ${now.key.id} and looks whole, which is all that can be checked without the private key`,
        'Nothing has to be done here: the dispatcher opens it.',
      ],
    ]);
    const [problem] = (await check('required')).problems;
    expect(problem).to.include({
      message: `the private key ${now.key.id} is not here to open it`,
      cure: 'Run `shr validate --secrets` where the platform’s private key is.',
    });
    const gone = acme(sealed(TOKEN, 'credentials.token', 'acme', newKeyPair()));
    const [wrong] = (await check('optional', { ...tenants, 'registrations/acme.yaml': gone })).problems;
    expect(wrong?.message).to.include(`and dispatcher.yaml has ${now.key.id}, ${before.key.id}`);
    // Without the private key, too.
    const short = acme(`\${sealed:1.${now.key.id}.${'A'.repeat(64)}}`);
    const [cut] = (await check('optional', { ...tenants, 'registrations/acme.yaml': short })).problems;
    expect(cut?.message).to.include('the sealed value is incomplete');
  });

  it('is a note where the private key is not: on a machine that only validates', async () => {
    const files = { 'dispatcher.yaml': platform, 'registrations/acme.yaml': acme(sealed(TOKEN, 'credentials.token')) };
    for (const [texts, words] of [
      [files, `it is sealed for the platform’s key ${now.key.id} and looks whole`],
      [
        { 'registrations/acme.yaml': files['registrations/acme.yaml'] },
        'it is sealed and looks whole; for which keys it may be is not known without dispatcher.yaml or platform.json',
      ],
    ] as const) {
      const found = await inspectConfiguration({ ...sourcesOf(texts), secrets: 'optional' }, 'optional');
      expect(found.problems.map(formatProblem)).to.deep.equal([]);
      expect(found.notes.map(({ message }) => message).join()).to.include(words);
    }
  });

  it('is refused in dispatcher.yaml, for which nothing can be sealed', async () => {
    const text = sealed('an-admin-token-of-32-characters!', 'adminToken', 'dispatcher');
    const dispatcher = platform.replace('${env:ADMIN_TOKEN}', text);
    const files = {
      'dispatcher.yaml': dispatcher,
      ...secrets,
      'registrations/acme.yaml': acme('${env:TENANT_ACME_TOKEN}'),
    };
    expect((await problemsOf(files))[0]).to.include('a value is sealed for a registration, and this file is not one');
  });
});

describe('the sealing keys of dispatcher.yaml', () => {
  const problems = (dispatcher: string, more = {}) =>
    problemsOf({ 'dispatcher.yaml': dispatcher, ...secrets, ...more, 'registrations/acme.yaml': registrationYaml });

  for (const [what, dispatcher, words] of [
    [
      'are pairs',
      `${dispatcherYaml}sealing:\n  keys:\n${entry(now, 'secrets/before.pem')}`,
      'it is not the private key of `publicKey`',
    ],
    [
      'are of `shr seal keygen`',
      `${dispatcherYaml}${sealing.replace(publicKeyText(now.key), 'x25519:AAAA')}`,
      'it is not a public key of `shr seal keygen`',
    ],
    ['are at most two', `${dispatcherYaml}${sealing}${entry(now, 'secrets/now.pem')}`, 'at most two'],
    [
      'stay secret',
      `${dispatcherYaml}sealing:\n  keys: [{ publicKey: "${publicKeyText(now.key)}", privateKey: "plain" }]\n`,
      'it is a secret in plain text',
    ],
  ] as const) {
    it(what, async () => {
      expect((await problems(dispatcher)).join('\n')).to.include(words);
    });
  }

  it('show nothing of a private key that cannot be read', async () => {
    const lines = await problems(`${dispatcherYaml}${sealing}`, { 'secrets/now.pem': 'a-damaged-key-that-is-secret' });
    expect(lines).to.have.length(1);
    expect(lines[0]).to.include('does not resolve to a private key of X25519').and.not.include('damaged-key');
  });
});

describe('a field', () => {
  it('is named for `shr seal` without the indexes of lists', () => {
    expect(fieldOf(['credentials', 'furtherApps', 3, 'privateKey']).join('.')).to.equal(
      'credentials.furtherApps.privateKey',
    );
  });
});
