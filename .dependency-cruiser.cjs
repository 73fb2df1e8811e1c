// Import boundaries: who may import whom. Each rule's comment says why.

/** From the ground up. A room imports rooms below it and never one of its own level or above. ARCHITECTURE.md shows them. */
const levels = [
  ['^time/', '^dispatcher/log.ts$'],
  ['^providers/(provider|secret-store|shape-words).ts$'],
  ['^dispatcher/failures/', '^dispatcher/jobs/', '^dispatcher/labels/'],
  ['^dispatcher/ledger/'],
  ['^dispatcher/model/'],
  ['^dispatcher/admission/', '^dispatcher/github/'],
  ['^dispatcher/backends/', '^dispatcher/config/'],
  ['^dispatcher/lifecycle/'],
  ['^dispatcher/callbacks/', '^dispatcher/intake/', '^dispatcher/sources/', '^dispatcher/versions/'],
  ['^dispatcher/observability/'],
  ['^dispatcher/http/'],
  ['^dispatcher/wiring.ts$'],
  ['^dispatcher/main.ts$'],
  ['^dispatcher/cli/'],
];

const downwards = levels.flatMap((rooms, level) =>
  rooms.flatMap((room) => {
    const forbidden = levels
      .slice(level)
      .flat()
      .filter((other) => other !== room);
    if (forbidden.length === 0) return [];
    return [
      {
        name: `downwards from ${room.replace(/[\^$]/g, '')}`,
        comment: 'Imports point down, types included: what stands below can be read and changed alone.',
        severity: 'error',
        from: { path: room },
        to: { path: forbidden },
      },
    ];
  }),
);

const pure = '^dispatcher/(labels|admission)/|^dispatcher/lifecycle/(planner|machine|machine/[a-z-]+|drain-plan)\\.ts$';

module.exports = {
  forbidden: [
    ...downwards,
    {
      name: 'no-cycle',
      comment: 'A cycle hides who depends on whom, types included.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'pure-modules-do-no-io',
      comment: 'labels, admission, planner and machine decide; they neither read nor write.',
      severity: 'error',
      from: { path: pure },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?crypto$' },
    },
    {
      name: 'pure-modules-import-pure-modules',
      comment: 'Types and constants from elsewhere are fine, code is not. crypto: hashing is a pure function.',
      severity: 'error',
      from: { path: pure },
      to: {
        pathNot: `${pure}|^time/(backoff|units)\\.ts$|^dispatcher/(failures/failure|model/(registration|defined)|jobs/(scope|facts)|ledger/ledger)\\.ts$|^providers/(provider|shape-words)\\.ts$|^node_modules/@scure/base/|^(node:)?crypto$`,
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'provider-imports-the-contract-alone',
      comment: 'A provider knows its SDK and the contract, nothing of the dispatcher.',
      severity: 'error',
      from: { path: '^providers/' },
      to: { path: '^(dispatcher|simulators|test|bench)/' },
    },
    {
      name: 'providers-do-not-know-each-other',
      comment: 'google/ is no provider: it is what those of Google share (credentials, errors, logs).',
      severity: 'error',
      from: { path: '^providers/([^/]+)/' },
      to: { path: '^providers/([^/]+)/', pathNot: '^providers/($1|google|kit|registry)/' },
    },
    {
      name: 'only-providers-of-google-use-google',
      severity: 'error',
      from: { path: '^providers/', pathNot: '^providers/(google|gcp-[^/]+)/' },
      to: { path: '^providers/google/' },
    },
    {
      name: 'only-demo-tests-benchmarks-import-simulators',
      severity: 'error',
      from: { path: '^(dispatcher|providers)/', pathNot: '^dispatcher/cli/demo' },
      to: { path: '^simulators/' },
    },
    {
      name: 'tests-are-not-imported',
      severity: 'error',
      from: { path: '^(dispatcher|providers|simulators)/' },
      to: { path: '^(test|bench)/' },
    },
    {
      name: 'simulators-stand-alone',
      comment: 'A simulator is judged against the vendor, not against our reading of it.',
      severity: 'error',
      from: { path: '^simulators/' },
      to: { path: '^(dispatcher|providers)/' },
    },
    {
      name: 'deployers-stand-on-providers',
      comment:
        'A deployer knows the clients of the adapters; a bundle is to it a text. Only the command line knows deployers.',
      severity: 'error',
      from: { path: '^deployers/' },
      to: { path: '^(dispatcher|simulators|test|bench)/' },
    },
    {
      name: 'only-the-command-line-deploys',
      severity: 'error',
      from: { path: '^(time|dispatcher|providers|simulators)/', pathNot: '^dispatcher/cli/' },
      to: { path: '^deployers/' },
    },
    {
      name: 'a-deployer-uses-its-own-provider',
      severity: 'error',
      from: { path: '^deployers/([^/]+)/' },
      to: { path: '^(providers|deployers)/([^/]+)/', pathNot: '^(providers|deployers)/($1|google|kit|registry)/' },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.cjs', '.mjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
};
