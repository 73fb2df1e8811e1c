/**
 * Ways to break one adapter that would lose containers, run a job twice or give secrets away. The conformance suite must
 * notice each: they are the test of the suite. The adapter is `ali-eci`, but nothing in the cases is about it.
 */

export interface AdapterMutant {
  /** The adapter then … */
  readonly what: string;
  readonly file: string;
  /** Each occurs once in the file. */
  readonly changes: readonly { readonly search: string; readonly replace: string }[];
  /** Part of the titles of the cases that are tried. */
  readonly cases: string;
}

const ADAPTER = 'providers/ali-eci/provider.ts';
const GROUPS = 'providers/ali-eci/groups.ts';
const ERRORS = 'providers/ali-eci/errors.ts';
const one = (search: string, replace: string) => [{ search, replace }];

export const adapterMutants: readonly AdapterMutant[] = [
  {
    what: 'takes a service that cannot be reached for "gone" in inspect by id',
    file: ADAPTER,
    changes: one(
      `const [found] = await this.#find(ref, 'inspect');`,
      `const [found] = await (ref.id === undefined ? this.#find(ref, 'inspect') : this.#find(ref, 'inspect').catch(() => []));`,
    ),
    cases: 'cannot be reached',
  },
  {
    what: 'takes a service that cannot be reached for "gone" in stop by id',
    file: ADAPTER,
    changes: one(
      `for (const instance of await this.#find(ref, 'stop')) {`,
      `for (const instance of await this.#find(ref, 'stop').catch((error: unknown) => { if (ref.id === undefined) throw error; return []; })) {`,
    ),
    cases: 'cannot be reached',
  },
  {
    what: 'takes a service that cannot be reached for "no output" in logs by id',
    file: ADAPTER,
    changes: one(
      `const [instance] = await this.#find(ref, 'logs');`,
      `const [instance] = await this.#find(ref, 'logs').catch((error: unknown) => { if (ref.id === undefined) throw error; return []; });`,
    ),
    cases: 'cannot be reached',
  },
  {
    what: 'has no time limit',
    file: 'providers/ali-eci/calls.ts',
    changes: one(
      'this.#deadlines.run(`ali-eci ${action}`, this.#options.timeoutMs,',
      'this.#deadlines.run(`ali-eci ${action}`, 86_400_000,',
    ),
    cases: 'says nothing',
  },
  {
    what: 'reads a 403 as "gone"',
    file: ADAPTER,
    changes: one(
      `const [found] = await this.#find(ref, 'inspect');`,
      `const [found] = await this.#find(ref, 'inspect').catch((error: unknown) => { if (error instanceof ProviderError && error.kind === 'unauthorized') return []; throw error; });`,
    ),
    cases: 'want of a permission',
  },
  {
    what: 'takes an unknown 5xx for a definite refusal',
    file: ERRORS,
    changes: one(
      `if (status >= 500 || call === 'CreateContainerGroup') return 'transient';`,
      `if (status >= 500) return 'invalid';`,
    ),
    cases: 'nobody has described',
  },
  {
    what: 'acts on whatever has the id, although its name is another',
    file: ADAPTER,
    changes: one('.filter((found) => found.ref.name === ref.name);', ';'),
    cases: 'the id and another name',
  },
  {
    what: 'takes a part of a name for the name',
    file: ADAPTER,
    changes: [
      { search: 'this.#groups.describe({ ContainerGroupName: name })', replace: 'this.#groups.describe({})' },
      { search: 'group.ContainerGroupName === name', replace: 'group.ContainerGroupName?.startsWith(name) === true' },
      { search: '.filter((found) => found.ref.name === ref.name);', replace: ';' },
    ],
    cases: 'part of a name',
  },
  {
    what: 'takes a longer name for the name',
    file: ADAPTER,
    changes: [
      { search: 'this.#groups.describe({ ContainerGroupName: name })', replace: 'this.#groups.describe({})' },
      { search: 'group.ContainerGroupName === name', replace: `name.startsWith(group.ContainerGroupName ?? 'x')` },
      { search: '.filter((found) => found.ref.name === ref.name);', replace: ';' },
    ],
    cases: 'part of a name',
  },
  {
    what: 'shows the secret in base64 in a tag',
    file: ADAPTER,
    changes: one(
      'createParameters(request, this.#options, token)',
      `createParameters({ ...request, tags: { ...tags, charge: { ...tags.charge, jit: Buffer.from('x' + Object.values(request.secretEnvironment).join('')).toString('base64').slice(0, 600) } } }, this.#options, token)`,
    ),
    cases: 'shows no secret',
  },
  {
    what: 'repeats in its message what the service repeats',
    file: ERRORS,
    changes: one('redact(`${said}: ${message}`, hide)', '`${said}: ${message}`'),
    cases: 'repeats in its words',
  },
  {
    what: 'reads a proxy’s page as the service’s word on the request',
    file: ERRORS,
    changes: one(
      'code === undefined ? kindOfPage(statusCode) : kindOf',
      'statusCode < 0 ? kindOfPage(statusCode) : kindOf',
    ),
    cases: 'answers 404',
  },
  {
    what: 'lists the first page alone',
    file: GROUPS,
    changes: one(`if (following === '' || following === next) return groups;`, 'return groups;'),
    cases: 'all pages',
  },
  {
    what: 'lists nothing where the service fails',
    file: ADAPTER,
    changes: [
      {
        search: 'const groups = await this.#groups.describe(filter);',
        replace: 'const groups = await this.#groups.describe(filter).catch(() => []);',
      },
      { search: 'if (groups.length === 0) await this.#groups.requireTrulyEmpty(filter);', replace: '' },
    ],
    cases: 'cannot be reached',
  },
  {
    what: 'lists other dispatchers’ instances',
    file: ADAPTER,
    changes: [
      {
        search: 'const filter = { Tag: [{ Key: DISPATCHER_TAG, Value: owner.dispatcher }] };',
        replace: 'const filter = {};',
      },
      { search: '.filter(({ tags }) => tags?.dispatcher === owner.dispatcher);', replace: ';' },
    ],
    cases: 'all pages',
  },
  {
    what: 'adopts what another dispatcher launched',
    file: ADAPTER,
    changes: one(
      'if (instance?.tags?.dispatcher === request.tags.dispatcher) return instance;',
      'if (instance !== undefined) return instance;',
    ),
    cases: 'says conflict',
  },
  {
    what: 'makes two instances of one name',
    file: ADAPTER,
    changes: one('clientToken(tags.dispatcher, name,', 'clientToken(tags.dispatcher, `${name}${Math.random()}`,'),
    cases: 'at once',
  },
  {
    what: 'says that a launch failed for good when its answer was lost',
    file: ERRORS,
    changes: one(`        ? 'unauthorized'\n        : 'transient';`, `        ? 'unauthorized'\n        : 'capacity';`),
    cases: 'answer is lost',
  },
  {
    what: 'reads a state that it does not know as an end',
    file: 'providers/ali-eci/state.ts',
    changes: one(`    default:\n      return 'unknown';`, `    default:\n      return 'succeeded';`),
    cases: 'state that it does not know',
  },
  {
    what: 'accepts a stop and ends nothing',
    file: ADAPTER,
    changes: one(
      "    for (const instance of await this.#find(ref, 'stop')) {",
      "    for (const instance of (await this.#find(ref, 'stop')).slice(1)) {",
    ),
    cases: 'inspect or list could see|ignores SIGTERM',
  },
  {
    what: 'gives all of a long output',
    file: ADAPTER,
    changes: one('tailText(Buffer.from(Content), LOG_BYTES)', 'Content'),
    cases: 'end of much output',
  },
  {
    what: 'cuts tags that are long',
    file: 'providers/ali-eci/tags.ts',
    changes: one(`'g')) ?? [];`, `'g'))?.slice(0, 4) ?? [];`),
    cases: 'each tag back',
  },
  {
    what: 'promises in fit what it cannot do, and launches it with less',
    file: ADAPTER,
    changes: [
      {
        search: 'return refusal === undefined ? fitSize(wish) : { fits: false, reason: refusal };',
        replace: 'return refusal === undefined ? fitSize(wish) : fitSize(wish);',
      },
      {
        search: `if (refusal !== undefined) throw new ProviderError('invalid', 'ali-eci launch', refusal);`,
        replace: '',
      },
    ],
    cases: 'capabilities say',
  },
  {
    what: 'launches with less what fit refuses',
    file: ADAPTER,
    changes: one(`if (refusal !== undefined) throw new ProviderError('invalid', 'ali-eci launch', refusal);`, ''),
    cases: 'capabilities say',
  },
  {
    what: 'finds everything well in check',
    file: ADAPTER,
    changes: one(
      'return [...findings, ...ofImages];',
      'return [...findings, ...ofImages].map((found) => ({ ...found, ok: true }));',
    ),
    cases: 'and the cure',
  },
  {
    what: 'has a harness whose public traces are not of the instance',
    file: 'test/conformance/ali-eci.test.ts',
    changes: one('const raw = JSON.stringify(await client.describe(name));', `const raw = JSON.stringify(name);`),
    cases: 'others can read',
  },
];
