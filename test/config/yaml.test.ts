import { expect } from 'chai';
import { readYaml } from '../../dispatcher/config/document.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import { dispatcherYaml, problemsOf, registrationYaml } from './files.ts';

const BYTES = 256 * 1024;

function told(text: string): readonly string[] {
  return readYaml('f', text, BYTES).problems.map((problem) => formatProblem(problem).replace(/^f:/, ''));
}

/** Each what a person really writes, and all that is told of it. */
const MISTAKES: readonly (readonly [what: string, text: string, ...told: string[]])[] = [
  ['a tab', 'a:\n\tb: 1\n', '2:1: tab in the indentation. Indent with spaces.'],
  [
    'tabs in two places',
    'a:\n  b: 1\n  \tc: 2\nd:\n\te: 3\n',
    '3:3: tab in the indentation. Indent with spaces.',
    '5:1: tab in the indentation. Indent with spaces.',
  ],
  ['a tab between braces', 'a: {\n\tb: 1\n}\n', '2:1: tab in the indentation. Indent with spaces.'],
  [
    'a key indented too far',
    'policy:\n  maxCpu: 1\n   maxDiskGiB: 2\n',
    '3:4: the line is indented by 3 spaces, which does not match any line above. Indent it exactly like the lines it belongs with.',
  ],
  [
    'a key indented too little',
    'policy:\n  maxCpu: 1\n maxDiskGiB: 2\n',
    '3:2: the line is indented by 1 space, which does not match any line above. Indent it exactly like the lines it belongs with.',
  ],
  [
    'an entry indented too little',
    'labels:\n  - a\n - b\n',
    '3:2: the line is indented by 1 space, which does not match any line above. Indent it exactly like the lines it belongs with.',
  ],
  [
    'a key of an entry indented too little',
    'backends:\n  - kind: docker\n    name: x\n   options: {}\n',
    '4:4: the line is indented by 3 spaces, which does not match any line above. Indent it exactly like the lines it belongs with.',
  ],
  [
    'a key below a value',
    'organization: acme\n  labels: [a]\n',
    '2:3: the line is indented by 2 spaces, which does not match any line above. Indent it exactly like the lines it belongs with.',
  ],
  [
    'a key indented too far, below an empty line',
    'policy:\n  maxCpu: 4\n\n backends:\n  - kind: docker\n',
    '4:2: the line is indented by 1 space, which does not match any line above. Indent it exactly like the lines it belongs with.',
  ],
  [
    'a key indented too far, below a comment and an empty line with spaces',
    'labels:\r\n  - a\r\n# Where:\r\n  \r\n backends:\r\n  - kind: docker\r\n',
    '5:2: the line is indented by 1 space, which does not match any line above. Indent it exactly like the lines it belongs with.',
  ],
  [
    'a key indented too little, whose neighbours are right',
    'a:\n  b:\n    c: 1\n    d: 2\n\n  e: 1\n    f: 2\n    g: 3\n',
    '7:5: the line is indented by 4 spaces, and line 6 above it by 2: one of the two is wrong. Indent both exactly like the lines they belong with.',
  ],
  [
    'no colon before a brace',
    'a: 1\ndefaults { image: x:1, cpu: 2 }\n',
    '2:10: there is no colon before the `{`. Write `KEY: { … }`.',
  ],
  [
    'no colon before a brace with a single key',
    'a: 1\ndefaults { image: x }\n',
    '2:10: there is no colon before the `{`. Write `KEY: { … }`.',
  ],
  [
    'no colon before a brace of several lines',
    'defaults {\n  image: x\n}\n',
    '1:10: there is no colon before the `{`. Write `KEY: { … }`.',
  ],
  [
    'no colon before a bracket',
    'a: 1\nlabels [a, b]\nc: 1\n',
    '2:8: there is no colon before the `[`. Write `KEY: [ … ]`.',
  ],
  ['a bracket alone that is not closed', '[a: b', '1:1: the `[` is never closed. Close it with `]`.'],
  [
    'a key written twice',
    'a: 1\nb: 2\na: 3\n',
    '3:1: the key `a` appears twice, first on line 1. Keep one of the two.',
  ],
  ['an alias', 'images: *acme\n', '1:9: `*` is read as the start of a YAML alias. Put the value in quotes.'],
  ['a star alone', 'owners: [acme, *]\n', '1:16: `*` is read as the start of a YAML alias. Put the value in quotes.'],
  ['a glob', 'images:\n  - */runner\n', '2:5: `*` is read as the start of a YAML alias. Put the value in quotes.'],
  [
    'an alias in its own anchor',
    'a: &a [*a, *a]\n',
    '1:8: the alias refers to a value that contains it. Write the value out.',
    '1:12: the alias refers to a value that contains it. Write the value out.',
  ],
  ['an anchor', 'a: & b\n', '1:4: `&` is read as the start of a YAML anchor. Put the value in quotes.'],
  ['a tag', 'password: !abc\n', '1:11: `!` is read as the start of a YAML tag. Put the value in quotes.'],
  ['a missing brace', 'a: { b: 1\nc: 2\n', '1:4: the `{` is never closed. Close it with `}`.'],
  ['a missing bracket', 'labels: [a, b\norganization: x\n', '1:9: the `[` is never closed. Close it with `]`.'],
  ['a missing bracket at the end', 'labels: [a, b', '1:9: the `[` is never closed. Close it with `]`.'],
  ['a missing brace inside', 'a: [ { b: 1 ]\nc: 1\n', '1:6: the `{` is never closed. Close it with `}`.'],
  ['a brace too many', 'a: { b: 1 }}\n', '1:12: the `}` closes nothing. Remove it, or add the one that opens it.'],
  ['a missing comma', 'a: ["x" "y"]\n', '1:9: a comma is missing here. Separate the entries with commas.'],
  ['a comma too many', 'a: [x,, y]\n', '1:7: nothing comes before the comma. Remove the comma.'],
  [
    'a reference in a list',
    'secrets: [${env:X}]\n',
    '1:11: between brackets, a reference needs quotes. Write `"${env:X}"`.',
  ],
  [
    'a reference to a secret store in a list',
    'secrets: [${gcp-secret:projects/p/secrets/s}]\n',
    '1:11: between brackets, a reference needs quotes. Write `"${gcp-secret:projects/p/secrets/s}"`.',
  ],
  [
    'a reference in a map',
    'credentials: { token: ${file:secrets/x} }\n',
    '1:23: between brackets, a reference needs quotes. Write `"${file:secrets/x}"`.',
  ],
  [
    'a colon in a value',
    'image: runner: latest\n',
    '1:8: the value has a colon followed by a space in it. Put the value in quotes.',
  ],
  [
    'no space after the colon',
    'id: a\nledger:b\nlogLevel: info\n',
    '2:1: there is no space after the colon. Write `ledger: VALUE`.',
  ],
  [
    'no space after the last colon',
    'id: a\nledger:b\n',
    '2:1: there is no space after the colon. Write `ledger: VALUE`.',
  ],
  [
    'no colon',
    'organization acme\ncredentials: x\n',
    '1:1: the line has no key: there is no colon in it. Write `KEY: VALUE`, or begin the item of a list with `- `.',
  ],
  [
    'an item among keys',
    'a: 1\n- b\n',
    '2:1: list item among the keys of a mapping. Put the list under a key of its own, or indent it below its key.',
  ],
  ['a quote that is not closed', 'a: "foo\nb: 1\n', '1:4: the quote is never closed. Close it with `"`.'],
  ['a single quote', "a: 'foo\nb: 1\n", "1:4: the quote is never closed. Close it with `'`."],
  [
    'text after a quote',
    'a: "foo" bar\n',
    '1:10: text after the closing quote. Put the whole value in one pair of quotes.',
  ],
  ['an at sign', 'a: @foo\n', '1:4: a value cannot begin with `@`. Put the value in quotes.'],
  [
    'an address of IPv6',
    'listen:\n  public: [::]:8080\n',
    '2:11: `[` is read as the start of a list. Put the value in quotes.',
  ],
  [
    'an address of IPv6 between braces',
    'listen: { public: [::]:8080 }\n',
    '1:23: a value goes on after its bracket. Put the value in quotes.',
  ],
  [
    'a backslash',
    'a: "C:\\d"\n',
    '1:7: `\\d` is not an escape that double quotes know. Write single quotes, or `\\\\` for a backslash.',
  ],
  ['a comment against a quote', 'a: "b"#c\n', '1:7: there is no space before `#`. Put a space before the comment.'],
  [
    'a second document',
    'a: 1\n---\nb: 2\n',
    '2:1: a second document begins here (`---`). Keep one document in a file.',
  ],
  [
    'a list as a key',
    '? [a]\n: 1\n',
    '1:3: a list or a mapping is used as a key. Write `KEY: VALUE`, and put a text with `{` or `[` in quotes.',
  ],
];

describe('a mistake in YAML has one message, its place and one cure', () => {
  for (const [what, text, ...expected] of MISTAKES) {
    it(what, () => {
      expect(told(text)).to.deep.equal(expected);
      expect(told(text.replaceAll('\n', '\r\n'))).to.deep.equal(expected);
    });
  }

  it('repeats no value: it may be a secret', () => {
    for (const text of [
      'token:hunter2\nb: 1\n',
      'token: hunter2: x\n',
      'token: *hunter2\n',
      'token: !hunter2\n',
      'token: "hunter2\n',
      'token: "x" hunter2\n',
      'token: [x, hunter2\n',
      'token: @hunter2\n',
      'token: | hunter2\n',
      'a: 1\nhunter2\nb: 2\n',
    ]) {
      expect(told(text), text).to.have.length(1);
      expect(told(text).join(), text).to.not.include('hunter2');
    }
  });

  it('takes what is right: anchors, comments, a byte order mark, Windows line ends, JSON', () => {
    const text = '\ufeffa: &a { b: [1, "*"] } # said\r\nc: *a\r\n"d": {"e": null,}\r\n';
    expect(told(text)).to.deep.equal([]);
    expect(readYaml('f', text, BYTES).value).to.deep.equal({ a: { b: [1, '*'] }, c: { b: [1, '*'] }, d: { e: null } });
  });
});

describe('the work that a file can make is bounded', () => {
  const full = (text: string): string => text.repeat(Math.ceil(BYTES / text.length)).slice(0, BYTES);
  const laugh = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${[...'bcdefgh']
    .map((key, index) => `${key}: &${key} [${Array(10).fill(`*${'abcdefgh'[index]}`).join(',')}]`)
    .join('\n')}`;
  for (const [what, text, expected] of [
    ['brackets in brackets', full('['), 'nested too deeply'],
    ['lists in lists', full('- '), 'nested too deeply'],
    ['keys in keys', full('? '), 'nested too deeply'],
    ['maps in maps', full('{a: '), 'nested too deeply'],
    ['words', full('a: 1\n'), 'more than 87381 words, brackets and line ends'],
    ['empty lines', full('\n'), 'more than 87381 words, brackets and line ends'],
    ['documents', full('---\n'), 'a second document begins here'],
    ['aliases', `a: &a 1\nb:\n${'- *a\n'.repeat(101)}`, 'more than 100 aliases'],
    ['aliases that expand without end', laugh, 'its aliases expand to too much'],
    [
      'aliases that expand to more than a hundred values',
      `a: &a [x]\nb: &b [${'*a,'.repeat(10)}]\nc: [${'*b,'.repeat(11)}]\n`,
      'its aliases expand to too much',
    ],
    ['aliases of nothing', `b:\n${'- *a\n'.repeat(9000)}`, '`*` is read as the start of a YAML alias'],
  ] as const) {
    it(what, () => {
      const problems = told(text);
      expect(problems[0]).to.include(expected);
      expect(problems).to.have.length.of.at.most(20);
    });
  }

  it('reads 10,000 repositories', () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `acme/repo-number-${index}`);
    const yaml = readYaml('f', `repositories:\n${names.map((name) => `  - ${name}\n`).join('')}`, BYTES);
    expect(yaml.problems).to.deep.equal([]);
    expect(yaml.value).to.deep.equal({ repositories: names });
  });
});

// Section 2: what is valid YAML, and not what was meant.
describe('a value that is not what was meant has one message and one cure', () => {
  for (const [what, from, to, expected] of [
    [
      'a duration without unit',
      'timeouts: {}',
      'timeouts: { idle: 30 }',
      'timeouts.idle: 30 has no unit. Write `30s`, `30m` or `30h`.',
    ],
    [
      'a poll interval without unit',
      'poll: {}',
      'poll: { interval: 30 }',
      'poll.interval: 30 has no unit. Write `30s`, `30m` or `30h`.',
    ],
    [
      'neither the one word nor the duration that it may be',
      'poll: {}',
      'poll: { interval: true }',
      'poll.interval: a duration is written like 90s, 10m, 2h or 1h30m. Write it like `10m`.',
    ],
    [
      'a duration in other words',
      'timeouts: {}',
      'timeouts: { idle: 5 minutes }',
      'timeouts.idle: a duration is written like 90s, 10m, 2h or 1h30m. Write it like `10m`.',
    ],
    [
      'yes',
      'policy: {}',
      'policy: { spot: yes }',
      'policy.spot: it must be true or false, not text. Write `true`, without quotes.',
    ],
    [
      'a number in quotes',
      'policy: {}',
      'policy: { maxCpu: "8" }',
      'policy.maxCpu: it must be a number, not text. Write the number alone, without quotes or unit: `8`.',
    ],
    [
      'a number with a unit',
      'policy: {}',
      'policy: { maxMemoryGiB: 8Gi }',
      'policy.maxMemoryGiB: it must be a number, not text. Write the number alone, without quotes or unit: `8`.',
    ],
    [
      'one value for a list',
      'labels: [a]',
      'labels: a',
      'labels: it must be a list, not text. Write a list, such as `labels: [VALUE]`.',
    ],
    [
      'a list without spaces',
      'labels: [a]',
      'labels:\n  -a\n  -b',
      'labels: it must be a list, not text. Put a space after each `-`.',
    ],
    [
      'true for a text',
      'labels: [a]',
      'labels: [true]',
      'labels[0]: it must be text, not true or false. Put the value in quotes.',
    ],
    [
      'a number in a list, which quotes would not make right',
      'poll: {}',
      'poll: { repositories: [12] }',
      'poll.repositories[0]: a repository is written owner/name. Correct the value.',
    ],
    [
      'a map for a list',
      'labels: [a]',
      'labels: { a: b }',
      'labels: it must be a list, not a mapping. Write a list, such as `labels: [VALUE]`.',
    ],
    [
      'text for a map',
      'policy: {}',
      'policy: none',
      'policy: it must be a mapping, not text. Write `KEY: VALUE` lines below it, indented.',
    ],
    [
      'no space after a colon below',
      'policy: {}',
      'policy:\n  maxCpu:8',
      'policy: it must be a mapping, not text. Put a space after each colon.',
    ],
    [
      'an unknown architecture',
      'policy: {}',
      'policy: { architectures: [arm46] }',
      'policy.architectures[0]: `arm46` is not a valid value. Did you mean `arm64`? Valid are `x64`, `arm64`.',
    ],
    [
      'an architecture far from both',
      'policy: {}',
      'policy: { architectures: [riscv] }',
      'policy.architectures[0]: `riscv` is not a valid value. Write one of `x64`, `arm64`.',
    ],
    [
      'a number that is too small',
      'policy: {}',
      'policy: { maxCpu: 0 }',
      'policy.maxCpu: 0 is too small. Write more than 0.',
    ],
    [
      'a number that is too large',
      'policy: {}',
      'policy: { maxCpu: 2000 }',
      'policy.maxCpu: 2000 is too large. Write 1024 or less.',
    ],
    [
      'a fraction for a whole number',
      'labels: [a]',
      'priority: 1.6',
      'priority: 1.6 is not a whole number. Write a whole number, such as `2`.',
    ],
    ['an empty list', 'labels: [a]', 'labels: []', 'labels: it is empty. Add at least 1 entry.'],
    ['an empty value', 'labels: [a]', 'labels:', 'labels: it is empty. Write a list, such as `labels: [VALUE]`.'],
    [
      'the name of an image',
      'labels: [a]',
      'images: { a b: x }',
      'images.a b: a name of an image has 1 to 63 letters, digits, `.`, `_` and `-`, and begins with a letter or digit. Correct the value.',
    ],
    [
      'a misspelt claim',
      'organization: acme',
      'organisation: acme',
      'organisation: unknown key `organisation`. Did you mean `organization`?',
    ],
    ['a misspelt default', 'image: ghcr', 'imgae: ghcr', 'defaults.imgae: unknown key `imgae`. Did you mean `image`?'],
    [
      'a misspelt kind of a backend',
      'kind: docker',
      'knid: docker',
      'backends[0].knid: unknown key `knid`. Did you mean `kind`?',
    ],
    ['a misspelt token', 'token: $', 'tokne: $', 'credentials.tokne: unknown key `tokne`. Did you mean `token`?'],
    [
      'an unknown kind',
      'kind: docker',
      'kind: dokcer',
      'backends[0].kind: unknown kind `dokcer`. Did you mean `docker`?',
    ],
    [
      'a kind far from all',
      'kind: docker',
      'kind: kubernetes',
      'backends[0].kind: unknown kind `kubernetes`. Write one of ali-eci, azure-aci, docker, gcp-batch, gcp-cloud-run, process.',
    ],
  ] as const) {
    it(what, async () => {
      const base = `${registrationYaml}timeouts: {}\npoll: {}\npolicy: {}\nlabels: [a]\n`;
      if (!base.includes(from)) throw new Error(`not there: ${from}`);
      const problems = await problemsOf({ 'registrations/acme.yaml': base.replace(from, to) });
      expect(problems.map((problem) => problem.replace(/^registrations\/acme\.yaml:\d+:\d+: /, ''))).to.deep.equal([
        expected,
      ]);
    });
  }

  for (const [what, listen, expected] of [
    [
      'a port alone',
      '{ admin: 9090 }',
      'listen.admin: an address is written host:port, such as 127.0.0.1:9090. Write it like `"127.0.0.1:9090"`.',
    ],
    [
      'plain http over a network',
      '{ public: { url: "http://shr.acme.example" } }',
      'listen.public.url: over plain http, tokens and runner configurations can be read on the way. Write `https://`, with `tls` here or a proxy that speaks TLS. On a network that you trust, add `unsafeHttpUrl: true`.',
    ],
    [
      'a URL of plain http with a certificate',
      '{ public: { url: "http://127.0.0.1:8080", tls: { certificate: a.crt, key: a.key } } }',
      'listen.public.url: the listener speaks TLS, and this URL does not. Write `https://`.',
    ],
    [
      'a certificate without its key',
      '{ public: { tls: { certificate: a.crt } } }',
      'listen.public.tls.key: it is missing. Add it, such as `key: secrets/tls.key`.',
    ],
    [
      'a URL that is none',
      '{ public: { url: shr.acme.example } }',
      'listen.public.url: the URL is written https://HOST, with a port or path where it has one. Write it like `https://shr.example.com`.',
    ],
    ['two ports', '{ public: 80:90 }', 'listen.public: 80 is not an address to listen on. Write `0.0.0.0:90`.'],
    [
      'a port without address',
      '{ public: ":8080" }',
      'listen.public: an address is written host:port, such as 127.0.0.1:9090. Write it like `"127.0.0.1:9090"`.',
    ],
  ] as const) {
    it(`${what} to listen on`, async () => {
      const problems = await problemsOf({
        'dispatcher.yaml': `${dispatcherYaml}listen: ${listen}\n`,
        'registrations/acme.yaml': registrationYaml,
      });
      expect(problems.map((problem) => problem.replace(/^dispatcher\.yaml:\d+:\d+: /, ''))).to.deep.equal([expected]);
    });
  }

  it('a file without a space after its colons', async () => {
    const problems = await problemsOf({ 'registrations/acme.yaml': 'organization:acme\n' });
    expect(problems).to.deep.equal([
      'registrations/acme.yaml:1:1: the file must be a mapping of keys to values. Put a space after each colon.',
    ]);
  });

  it('a key that is not a scalar, shortened', async () => {
    const [problem = ''] = await problemsOf({
      'registrations/acme.yaml': `${registrationYaml}${'x'.repeat(900)}: 1\n`,
    });
    const shown = 'x'.repeat(64);
    expect(problem).to.include(`: ${shown}: unknown key \`${shown}\`. `);
  });

  it('a file of plain text', async () => {
    const problems = await problemsOf({ 'registrations/acme.yaml': 'organization acme\n' });
    expect(problems).to.deep.equal([
      'registrations/acme.yaml:1:1: the file must be a mapping of keys to values. Write `KEY: VALUE` lines, as in the file that `shr init` writes.',
    ]);
  });
});
