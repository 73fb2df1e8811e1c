import { expect } from 'chai';
import { parse } from 'yaml';
import { z } from 'zod';
import { dispatcherFile, registrationFile } from '../../dispatcher/config/schema.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import { loadProvider, providerKinds } from '../../providers/index.ts';
import { load, problemsOf, registrationYaml } from './files.ts';

/** Keys that must be there, at any depth that a value of its own reaches. */
function needed(schema: unknown, path: readonly string[] = []): readonly (readonly [string, z.ZodType])[] {
  if (schema instanceof z.ZodArray) return needed(schema.element, path);
  if (schema instanceof z.ZodRecord) return needed(schema.valueType, path);
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return needed(schema.unwrap(), path);
  }
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(schema.shape).flatMap(([key, value]) => {
    if (!(value instanceof z.ZodType)) return [];
    const at = [...path, key];
    const missing = value.safeParse(undefined).success ? [] : [[at.join('.'), value] as const];
    return [...missing, ...needed(value, at)];
  });
}

function exampleOf(schema: z.ZodType): unknown {
  const examples = schema.meta()?.examples;
  return Array.isArray(examples) ? examples[0] : undefined;
}

// Section 2: an example where an option is missing.
describe('what must be there has an example that the schema itself takes', () => {
  for (const [what, schema] of [
    ['dispatcher.yaml', dispatcherFile],
    ['a registration', registrationFile],
  ] as const) {
    for (const [key, value] of needed(schema)) {
      it(`${what}: ${key}`, () => {
        expect(value.safeParse(exampleOf(value)).success).to.equal(true);
      });
    }
  }

  for (const kind of providerKinds) {
    it(`the options of ${kind}`, async () => {
      const { options } = await loadProvider(kind);
      // Groups of options (a registry's login) say themselves what belongs to them.
      for (const [key, value] of needed(options).filter(([at]) => !at.includes('.'))) {
        expect(value.safeParse(exampleOf(value)).success, key).to.equal(true);
      }
    });
  }
});

describe('what is missing is told with an example that is valid YAML', () => {
  for (const kind of providerKinds) {
    it(`in a backend of kind ${kind}`, async () => {
      const yaml = registrationYaml.replace('kind: docker', `kind: ${kind}`);
      const dispatcher = 'id: a\nadminToken: ${env:ADMIN_TOKEN}\nunsafeProcessBackend: true\n';
      const loaded = await load(
        { 'dispatcher.yaml': dispatcher, 'registrations/acme.yaml': yaml },
        { provider: loadProvider },
      );
      for (const problem of loaded.problems) {
        const example = /such as `([^`]+)`\.$/.exec(problem.cure)?.[1];
        if (example === undefined) throw new Error(`no example: ${formatProblem(problem)}`);
        expect(parse(example), example).to.have.all.keys(problem.path.split('.').slice(-1));
      }
      expect(loaded.problems.length === 0).to.equal(kind === 'docker');
    });
  }

  it('in the files', async () => {
    expect(
      await problemsOf({ 'dispatcher.yaml': 'logLevel: info\n', 'registrations/acme.yaml': 'organization: acme\n' }),
    ).to.deep.equal([
      'dispatcher.yaml:1:1: id: it is missing. Add it, such as `id: shr`.',
      'dispatcher.yaml:1:1: adminToken: it is missing. Add it, such as `adminToken: "${file:secrets/NAME}"`.',
      'registrations/acme.yaml:1:1: credentials: it is missing. Add it, such as `credentials: { token: "${file:secrets/NAME/github-token}" }`.',
      'registrations/acme.yaml:1:1: backends: it is missing. Add it, such as `backends: [{ kind: docker }]`.',
      'registrations/acme.yaml:1:1: defaults: there is no default image. Add `defaults.image`, the full reference of a runner image.',
    ]);
  });
});

// J7
describe('a mistake hides no other', () => {
  it('in two sections that are wrong and say more', async () => {
    const problems = await problemsOf({
      'registrations/acme.yaml': `
organization: acme
credentials: { token: "\${env:GITHUB_TOKEN}", tokn: x }
webhook: { secrets: ["\${env:GITHUB_TOKEN}", plain, 7] }
labels: [good, "", Linux, good]
priority: high
defaults: { memory: 4, cpu: -1, timeLimit: 30 }
imageRepository: "not an image"
policy: { maxCpus: 4, maxCpu: many, spot: yes, shapes: [nothing] }
backends:
  - { kind: docker, weight: 0, options: { endpont: x, accessKeySecret: "\${env:GITHUB_TOKEN}" } }
  - { kind: dokker, weight: 2 }
  - { use: nowhere, nam: x, weight: 3 }
maxRunners: 0
poll: { interval: 10, repositories: [other/x, nonsense] }
timeouts: { launch: 10, idel: 5m }
chargeLabels: { "9": x }
`,
    });
    const paths = problems.map(
      (problem) => /^registrations\/acme\.yaml:\d+:\d+: ([^ :]+): /.exec(problem)?.[1] ?? problem,
    );
    expect(paths).to.deep.equal([
      'credentials.tokn',
      'webhook.secrets',
      'webhook.secrets[1]',
      'labels[1]',
      'labels[2]',
      'labels[3]',
      'priority',
      'defaults',
      'defaults.memory',
      'defaults.cpu',
      'defaults.timeLimit',
      'imageRepository',
      'policy.maxCpus',
      'policy.maxCpu',
      'policy.spot',
      'policy.shapes[0]',
      'backends[0].weight',
      'backends[0].options.endpont',
      'backends[1].kind',
      'backends[2].use',
      'backends[2].nam',
      'maxRunners',
      'poll.interval',
      'poll.repositories[0]',
      'poll.repositories[1]',
      'timeouts.launch',
      'timeouts.idel',
      'chargeLabels.9',
    ]);
  });

  it('in the checks of a provider that look at several options', async () => {
    const options =
      'region: cn-hangzhou, vSwitchIds: [vsw-1], securityGroupId: sg-1, accessKeyId: x, rateShare: 7, nonsense: 1';
    const problems = await problemsOf(
      {
        'registrations/acme.yaml': registrationYaml.replace(
          'kind: docker',
          `kind: ali-eci\n    options: { ${options} }`,
        ),
      },
      { provider: loadProvider },
    );
    expect(
      problems.map((problem) => problem.replace(/^.*?: backends\[0\]\.options/, '').replace(/region, .*/, 'region, …')),
    ).to.deep.equal([
      '.accessKeySecret: accessKeyId and accessKeySecret go together. Add it, such as `accessKeySecret: VALUE`.',
      '.rateShare: 7 is too large. Write 1 or less.',
      '.nonsense: unknown key `nonsense`. Known here: region, …',
    ]);
  });

  it('in the options of a provider where keys are missing, misspelt and wrong', async () => {
    const options =
      'regoin: cn-hangzhou, securityGroupId: 7, imageCache: always, acrRegistry: { instnaceId: x }, registries: [{ sever: a, username: b }]';
    const problems = await problemsOf(
      {
        'registrations/acme.yaml': registrationYaml.replace(
          'kind: docker',
          `kind: ali-eci\n    options: { ${options} }`,
        ),
      },
      { provider: loadProvider },
    );
    expect(problems.map((problem) => problem.replace(/^.*?: backends\[0\]\.options/, ''))).to.deep.equal([
      '.vSwitchIds: it is missing. Add it, such as `vSwitchIds: [vsw-bp1abc]`.',
      '.regoin: unknown key `regoin`. Did you mean `region`?',
      '.securityGroupId: it is not valid. Write an id such as sg-bp1abc.',
      '.imageCache: `always` is not a valid value. Write one of `auto`, `off`.',
      '.acrRegistry.instnaceId: unknown key `instnaceId`. Did you mean `instanceId`?',
      '.registries[0].password: it is missing. Add it, such as `password: VALUE`.',
      '.registries[0].sever: unknown key `sever`. Did you mean `server`?',
    ]);
  });

  it('invents none: what is wrong is not missing', async () => {
    for (const [from, to] of [
      ['token: ${env:GITHUB_TOKEN}', 'token: 7'],
      ['kind: docker', 'kind: ""'],
      ['image: ghcr.io/acme/runner:1', 'image: "no image"'],
      ['organization: acme', 'organization: "no organization"'],
      ['organization: acme', 'organization: acme\npoll: { interval: off }\nwebhook: { secrets: [] }'],
    ] as const) {
      const problems = await problemsOf({ 'registrations/acme.yaml': registrationYaml.replace(from, to) });
      expect(problems, problems.join('\n')).to.have.length(1);
    }
  });

  it('are listed up to a hundred, with the number of the rest', async () => {
    const images = Array.from({ length: 400 }, (_, index) => `  "bad name ${index}": x\n`).join('');
    const problems = await problemsOf({ 'registrations/acme.yaml': `${registrationYaml}images:\n${images}` });
    expect(problems).to.have.length(101);
    expect(problems.join('\n')).to.include('there are 300 more problems in this file. Correct these first.');
  });
});

// W10
describe('what one registration may hold is bounded', () => {
  const many = (count: number, entry: (index: number) => string) =>
    Array.from({ length: count }, (_, index) => entry(index)).join('');
  for (const [what, text, expected] of [
    ['images', `images:\n${many(501, (index) => `  n${index}: a/b\n`)}`, 'images: it has more than 500 entries'],
    [
      'labels',
      `labels:\n${many(101, (index) => `  - l${index}\n`)}`,
      'labels: it has 101 entries, and 100 is the limit. Leave out',
    ],
    [
      'globs',
      `policy:\n  images:\n${many(1001, (index) => `    - g${index}\n`)}`,
      'policy.images: it has 1001 entries, and 1000 is the limit',
    ],
    [
      'charge labels',
      `chargeLabels:\n${many(17, (index) => `  l${index}: x\n`)}`,
      'chargeLabels: it has more than 16 entries',
    ],
    [
      'references',
      `images:\n${many(201, (index) => `  n${index}: "\${file:f${index}}"\n`)}`,
      'the file has more than 200 different references',
    ],
    [
      'a text',
      `runnerGroup: ${'x'.repeat(256)}\n`,
      'runnerGroup: it has 256 characters, and 255 is the limit. Shorten it.',
    ],
    // T10: the bounds that the schema really has.
    ['a label', `labels: [${'x'.repeat(257)}]\n`, 'labels[0]: it has 257 characters, and 256 is the limit'],
    [
      'a glob',
      `policy: { images: [${'x'.repeat(513)}] }\n`,
      'policy.images[0]: it has 513 characters, and 512 is the limit',
    ],
  ] as const) {
    it(`in ${what}`, async () => {
      const files = { 'registrations/acme.yaml': registrationYaml + text };
      const problems = await problemsOf(files, { secrets: 'optional' });
      expect(problems.join('\n')).to.include(expected);
    });
  }

  it('and takes what is at the bound', async () => {
    const yaml = `${registrationYaml}labels:\n${many(99, (index) => `  - l${index}\n`)}  - ${'x'.repeat(256)}\nimages:\n${many(500, (index) => `  n${index}: a/b\n`)}policy: { images: [${'x'.repeat(512)}] }\n`;
    expect(await problemsOf({ 'registrations/acme.yaml': yaml })).to.deep.equal([]);
  });

  it('in backends', async () => {
    const backends = many(21, (index) => `  - { kind: docker, name: b${index} }\n`);
    const yaml = registrationYaml.replace('  - kind: docker\n', backends);
    expect((await problemsOf({ 'registrations/acme.yaml': yaml })).join('\n')).to.include(
      'backends: it has 21 entries, and 20 is the limit',
    );
  });
});
