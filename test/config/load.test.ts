import { expect } from 'chai';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import { appKey, configured, dispatcherYaml, load, problemsOf, registered, registrationYaml } from './files.ts';

function changed(yaml: string, from: string, to: string): string {
  if (!yaml.includes(from)) throw new Error(`the text to change is not there: ${from}`);
  return yaml.replace(from, to);
}

describe('the configuration', () => {
  it('fills in what the files leave open', async () => {
    const { dispatcher, registrations } = await configured({ 'registrations/acme.yaml': registrationYaml });
    expect(dispatcher).to.deep.include({
      id: 'acme-ci',
      ledgerPath: '/etc/shr/data/ledger.db',
      publicListen: { host: '0.0.0.0', port: 8080 },
      adminListen: { host: '127.0.0.1', port: 9090 },
      webhooks: [],
      maxRunners: 1000,
      maxLaunches: 20,
      deliveriesPerMinute: 60_000,
      trustedProxies: [],
      shutdownMs: 20_000,
      logLevel: 'info',
      unsafeProcessBackend: false,
      retention: {
        deliveriesMs: 7 * 86_400_000,
        jobsMs: 30 * 86_400_000,
        runnersMs: 30 * 86_400_000,
        maxDeliveries: 1_000_000,
        maxJobs: 200_000,
        maxRunners: 200_000,
      },
    });
    expect(dispatcher.adminToken.reveal()).to.equal('an-admin-token-of-32-characters!');
    expect(registrations).to.have.length(1);
    const [{ credentials, ...registration } = {}] = JSON.parse(JSON.stringify(registrations));
    expect(credentials).to.deep.equal({ kind: 'token', token: '[secret]', host: 'github.com' });
    expect(registration).to.deep.equal({
      name: 'acme',
      host: 'github.com',
      apiUrl: 'https://api.github.com',
      claim: { kind: 'organization', organization: 'acme' },
      webhookSecrets: [],
      runnerGroup: 'Default',
      labels: ['serverless-hosted-runner'],
      priority: 0,
      defaults: { image: 'ghcr.io/acme/runner:1' },
      images: {},
      shapes: {},
      policy: {
        images: [],
        subnets: [],
        securityGroups: [],
        buckets: [],
        regions: [],
        backends: [],
        architectures: [],
        spot: false,
        dockerInDocker: false,
        publicRepositories: false,
      },
      backends: [{ name: 'docker', kind: 'docker', options: {}, maxRunners: 10 }],
      maxRunners: 10,
      poll: { intervalMs: 30_000, repositories: [] },
      timeouts: { launchMs: 600_000, idleMs: 300_000 },
      chargeLabels: {},
    });
  });

  it('reads what goes with the public address', async () => {
    const written = async (listen: string) => {
      const loaded = await load({ 'dispatcher.yaml': `${dispatcherYaml}listen: ${listen}` });
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      return loaded.configuration.dispatcher.publicListen;
    };
    expect(
      await written(
        '{ public: { url: "https://shr.acme.example/ci/", tls: { certificate: tls.crt, key: /etc/tls.key } } }',
      ),
    ).to.deep.equal({
      host: '0.0.0.0',
      port: 8080,
      url: 'https://shr.acme.example/ci',
      tls: { certificate: '/etc/shr/tls.crt', key: '/etc/tls.key' },
    });
    expect(await written('{ public: { address: "127.0.0.1:81", url: "http://127.0.0.1:81" } }')).to.deep.equal({
      host: '127.0.0.1',
      port: 81,
      url: 'http://127.0.0.1:81',
    });
    expect(await written('{ public: { url: "http://shr:8080", unsafeHttpUrl: true } }')).to.deep.include({
      url: 'http://shr:8080',
    });
  });

  it('lets a registration require the hook where runners can ask', async () => {
    const read = async (listen: string) =>
      await load({
        'dispatcher.yaml': `${dispatcherYaml}${listen}`,
        'registrations/acme.yaml': `${registrationYaml}requireHook: true\n`,
      });
    const able = await read('listen: { public: { url: "https://shr.acme.example" } }\n');
    if (!able.ok) throw new Error(JSON.stringify(able.problems));
    expect(able.configuration.registrations[0]).to.have.property('requireHook', true);
    const unable = await read('');
    expect(JSON.stringify(unable)).to.include('runners cannot ask: dispatcher.yaml does not say where they reach');
    for (const url of ['http://shr.acme.example', 'shr.acme.example']) {
      const wrong = await read(`listen: { public: { url: "${url}" } }\n`);
      expect(JSON.stringify(wrong), url).to.include('listen.public.url').and.not.include('runners cannot ask');
    }
  });

  describe('standby', () => {
    const URL = 'listen: { public: { url: "https://shr.acme.example" } }\n';
    const read = async (standby: string, more = '', listen = URL) =>
      await load({
        'dispatcher.yaml': `${dispatcherYaml}${listen}`,
        'registrations/acme.yaml': `${registrationYaml}${more}standby: ${standby}\n`,
      });

    it('is read, with an age of six hours unless it says otherwise', async () => {
      const loaded = await read('[{ size: 2 }, { labels: [cpu-4], size: 1, maxAge: 2h }]', 'policy: { maxCpu: 8 }\n');
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      expect(loaded.configuration.quarantined).to.deep.equal([]);
      expect(loaded.configuration.registrations[0]?.standby).to.deep.equal([
        { labels: [], size: 2, maxAgeMs: 6 * 3_600_000 },
        { labels: ['cpu-4'], size: 1, maxAgeMs: 2 * 3_600_000 },
      ]);
    });

    it('is read with a size that follows the demand', async () => {
      const loaded = await read(
        '[{ size: { max: 5 } }, { labels: [cpu-1], size: { min: 1, max: 4, within: 5m, over: 7d } }]',
        'policy: { maxCpu: 8 }\n',
      );
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      expect(loaded.configuration.quarantined).to.deep.equal([]);
      expect(
        loaded.configuration.registrations[0]?.standby?.map(({ demand, size }) => ({ demand, size })),
      ).to.deep.equal([
        { size: 0, demand: { max: 5, withinMs: 600_000, overMs: 86_400_000 } },
        { size: 1, demand: { max: 4, withinMs: 300_000, overMs: 604_800_000 } },
      ]);
    });

    for (const [what, standby, more, words] of [
      ['a size without an end', '[{ size: { min: 1 } }]', '', 'standby[0].size'],
      ['a least size above the largest', '[{ size: { min: 3, max: 2 } }]', '', 'it is more than `max` (2)'],
      [
        'a span longer than what is looked at',
        '[{ size: { max: 2, within: 2h, over: 1h } }]',
        '',
        'from a minute to `over`',
      ],
      ['a look further back than is kept', '[{ size: { max: 2, over: 8d } }]', '', 'no longer than a week'],
      ['a size that may grow beyond what it may have', '[{ size: { max: 11 } }]', '', 'want 11 containers'],
      ['beyond the policy', '[{ labels: [cpu-4], size: 1 }]', '', 'cpu-4'],
      ['a label that is no override', '[{ labels: [gpu], size: 1 }]', '', 'changes nothing about a container'],
      ['a label that cannot be read', '[{ labels: [cpu-x], size: 1 }]', '', 'cpu-x'],
      ['a bucket', '[{ labels: [disk-cache], size: 1 }]', 'policy: { buckets: [cache] }\n', 'a bucket is mounted'],
      ['two pools of the same', '[{ size: 1 }, { size: 2, labels: [arch-x64] }]', '', 'standby[0] has the same'],
      ['more than it may have', '[{ size: 11 }]', '', 'want 11 containers'],
      [
        'no time of day',
        '[{ size: 1, schedule: [{ cron: "0 25 * * *", duration: 1h, size: 1 }] }]',
        '',
        'hour `25` is not valid',
      ],
      [
        'an unknown time zone',
        '[{ size: 1, schedule: [{ cron: "0 8 * * *", duration: 1h, timeZone: Mars/Phobos, size: 1 }] }]',
        '',
        'it is not a time zone',
      ],
      [
        'too many at some time',
        '[{ size: 1, schedule: [{ cron: "0 8 * * *", duration: 1h, size: 12 }] }]',
        '',
        'want 12 containers',
      ],
      ['hardly any time', '[{ size: 1, maxAge: 1m }]', '', 'hardly ready before it goes'],
    ] as const) {
      it(`is refused with words: ${what}`, async () => {
        expect(JSON.stringify(await read(standby, more))).to.include(words);
      });
    }

    describe('of registered runners', () => {
      const own = 'serverless-hosted-runner';
      const pool = (labels: string, more = '') => `[{ mode: registered, labels: [${labels}], size: 1${more} }]`;

      it('is read where no container can ask', async () => {
        const loaded = await read(pool(`${own}, cpu-4`), 'policy: { maxCpu: 8 }\n', '');
        if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
        expect(loaded.configuration.quarantined).to.deep.equal([]);
        expect(loaded.configuration.registrations[0]?.standby).to.deep.equal([
          { mode: 'registered', labels: [own, 'cpu-4'], size: 1, maxAgeMs: 6 * 3_600_000 },
        ]);
      });

      for (const [what, labels, words] of [
        ['without a label of its own', 'cpu-1', 'no job of this registration has these labels alone'],
        ['without any label', '', 'no job of this registration has these labels alone'],
        ['with a foreign label', `${own}, gpu`, 'neither its own label nor an override'],
        ['with a label of one job', `${own}, sid-7`, 'belongs to one job'],
        ['with a label of one job in the long form', `${own}, shr=7/cpu=1`, 'belongs to one job'],
        ['beyond the policy', `${own}, cpu-4`, 'cpu-4'],
        ['that cannot be read', `${own}, cpu-x`, 'cpu-x'],
      ] as const) {
        it(`is refused with words: ${what}`, async () => {
          expect(JSON.stringify(await read(pool(labels), '', ''))).to.include(words);
        });
      }

      it('is refused twice for the same jobs, in whatever order their labels are', async () => {
        const both = `[{ mode: registered, labels: [${own}, cpu-1], size: 1 }, { mode: registered, labels: [CPU-1, ${own}], size: 1 }]`;
        expect(JSON.stringify(await read(both, 'policy: { maxCpu: 8 }\n'))).to.include('standby[0] has the same');
      });

      it('is told who may take its runners, unless a group, a repository or the hook keeps others out', async () => {
        const notes = async (more = '', listen = '', from = 'organization: acme', to = from) => {
          const loaded = await load({
            'dispatcher.yaml': `${dispatcherYaml}${listen}`,
            'registrations/acme.yaml': `${registrationYaml.replace(from, to)}${more}standby: ${pool(own)}\n`,
          });
          if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
          expect(loaded.configuration.quarantined).to.deep.equal([]);
          return JSON.stringify(loaded.notes.filter(({ message }) => message.includes('GitHub gives these runners')));
        };
        expect(await notes())
          .to.include('any job with their labels or fewer')
          .and.include('`runnerGroup`');
        expect(await notes('runnerGroup: selected\n')).to.equal('[]');
        expect(await notes('requireHook: true\n', URL)).to.equal('[]');
        expect(await notes('', '', 'organization: acme', 'repositories: [acme/web]')).to.equal('[]');
      });

      it('is refused where its runners have no one place to register at', async () => {
        const loaded = await load({
          'dispatcher.yaml': dispatcherYaml,
          'registrations/acme.yaml': `${registrationYaml.replace('organization: acme', 'user: acme')}standby: ${pool(own)}\n`,
        });
        expect(JSON.stringify(loaded)).to.include('a runner that waits has to be at one of them');
      });
    });

    it('is refused where containers cannot ask, or have no one place to register at', async () => {
      expect(JSON.stringify(await read('[{ size: 1 }]', '', ''))).to.include('its containers cannot ask for a job');
      const files = {
        'dispatcher.yaml': `${dispatcherYaml}${URL}`,
        'registrations/acme.yaml': `${registrationYaml.replace('organization: acme', 'user: acme')}standby: [{ size: 1 }]\n`,
      };
      expect(JSON.stringify(await load(files))).to.include('its runners register at each repository');
    });
  });

  it('reads a grant that demands the hook, where runners can ask', async () => {
    const read = async (grant: string, listen = 'listen: { public: { url: "https://shr.acme.example" } }\n') =>
      await load({ 'dispatcher.yaml': `${dispatcherYaml}${listen}tenants:\n  acme: { ${grant} }\n` });
    const granted = async (grant: string) => {
      const loaded = await read(grant);
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      return loaded.configuration.dispatcher.tenants?.[0]?.grant?.requireHook;
    };
    expect(await granted('owners: [acme]')).to.equal(undefined);
    expect(await granted('requireHook: false')).to.equal(undefined);
    expect(await granted('requireHook: true')).to.deep.equal({ labels: true, images: [] });
    expect(await granted('requireHook: listed, hookImages: ["ghcr.io/acme/*"]')).to.deep.equal({
      labels: false,
      images: ['ghcr.io/acme/*'],
    });
    expect(JSON.stringify(await read('requireHook: true', ''))).to.include('runners cannot ask');
    expect(JSON.stringify(await read('hookImages: ["*"]'))).to.include('this list has no effect');
    expect(JSON.stringify(await read('requireHook: "yes"'))).to.include('requireHook');
  });

  it('reads all that the files can say', async () => {
    const dispatcher = `
id: big
ledger: /var/lib/shr/ledger.db
listen: { public: "[::]:80", admin: 127.0.0.1:0 }
adminToken: \${file:secrets/admin}
logLevel: debug
trustedProxies: [10.0.0.0/8]
webhooks:
  - { host: GHES.acme.example, appId: 12, secrets: ["\${file:secrets/admin}"], owners: [Acme] }
limits: { maxRunners: 50, maxLaunches: 5, shutdown: 1m }
retention: { deliveries: 3d, jobs: 1h, runners: 2h, maxDeliveries: 30, maxJobs: 10, maxRunners: 20 }
shapes: { large: { cpu: 8, memoryGiB: 32, timeLimit: 1h } }
`;
    const registration = `
host: GHES.acme.example
organization: Acme
credentials: { app: { id: 99, privateKey: "\${file:secrets/app.pem}" } }
webhook: { secrets: ["\${env:GITHUB_TOKEN}", "\${env:ADMIN_TOKEN}"] }
runnerGroup: Big
labels: [one, Two]
priority: -3
defaults: { image: a/b, cpu: 0.5, memoryGiB: 1, architecture: arm64, diskGiB: 20, bucket: build-x, subnet: s, securityGroup: g, spot: true, dockerInDocker: true, timeLimit: 90m }
imageRepository: ghcr.io/acme/runner
images: { node: docker.io/library/node:24 }
policy: { maxCpu: 8, maxTimeout: 2h, shapes: ["*"], architectures: [x64], backends: ["*"] }
backends:
  - { name: first, kind: eci, region: cn-shanghai, maxRunners: 3, options: { accessKeySecret: "\${env:GITHUB_TOKEN}" } }
  - { kind: docker }
maxRunners: 7
poll: { interval: off, repositories: [acme/web] }
timeouts: { launch: 2m, idle: 30s }
chargeLabels: { cost-center: "1" }
`;
    const loaded = await load({
      'dispatcher.yaml': dispatcher,
      'registrations/corp.yaml': registration,
      'secrets/admin': 'from-a-file-with-a-newline\n',
      'secrets/app.pem': `${appKey.trimEnd().replaceAll('\n', '\\n')}\n`,
    });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    const { configuration } = loaded;
    expect(configuration.dispatcher.adminToken.reveal()).to.equal('from-a-file-with-a-newline');
    expect(configuration.dispatcher).to.deep.include({
      publicListen: { host: '::', port: 80 },
      adminListen: { host: '127.0.0.1', port: 0 },
      ledgerPath: '/var/lib/shr/ledger.db',
      trustedProxies: ['10.0.0.0/8'],
      maxRunners: 50,
      shutdownMs: 60_000,
      retention: {
        deliveriesMs: 259_200_000,
        jobsMs: 3_600_000,
        runnersMs: 7_200_000,
        maxDeliveries: 30,
        maxJobs: 10,
        maxRunners: 20,
      },
    });
    expect(configuration.dispatcher.webhooks).to.have.length(1);
    expect(configuration.dispatcher.webhooks[0]).to.deep.include({
      host: 'ghes.acme.example',
      appId: '12',
      owners: ['acme'],
    });
    const [corp] = configuration.registrations;
    expect(corp).to.deep.include({
      apiUrl: 'https://ghes.acme.example/api/v3',
      claim: { kind: 'organization', organization: 'Acme' },
      labels: ['one', 'Two'],
      shapes: { large: { cpu: 8, memoryGiB: 32, timeLimitMs: 3_600_000 } },
      poll: { intervalMs: null, repositories: ['acme/web'] },
      timeouts: { launchMs: 120_000, idleMs: 30_000 },
    });
    expect(corp?.policy.images).to.deep.equal(['ghcr.io/acme/runner:*']);
    expect(corp?.defaults.timeLimitMs).to.equal(5_400_000);
    expect(corp?.backends[0]).to.deep.equal({
      name: 'first',
      kind: 'eci',
      region: 'cn-shanghai',
      options: { accessKeySecret: 'ghp_of-the-platform' },
      maxRunners: 3,
    });
    const credentials = corp?.credentials;
    expect(credentials?.kind === 'app' && credentials.privateKey.reveal()).to.equal(appKey.trimEnd());
  });

  for (const [host, url] of [
    ['github.com', 'https://api.github.com'],
    ['acme.ghe.com', 'https://api.acme.ghe.com'],
    ['ghes.acme.example', 'https://ghes.acme.example/api/v3'],
    ['ghes.acme.example:8443', 'https://ghes.acme.example:8443/api/v3'],
  ] as const) {
    it(`knows the API of ${host}`, async () => {
      expect((await registered(`host: ${host}\n${registrationYaml}`)).apiUrl).to.equal(url);
    });
  }

  it('takes another API, without TLS only on this machine', async () => {
    expect((await registered(`apiUrl: http://127.0.0.1:3000/api/\n${registrationYaml}`)).apiUrl).to.equal(
      'http://127.0.0.1:3000/api',
    );
    expect(
      await problemsOf({ 'registrations/acme.yaml': `apiUrl: http://ghes.example\n${registrationYaml}` }),
    ).to.deep.equal([
      'registrations/acme.yaml:1:9: apiUrl: http would send the token unencrypted, and is allowed for loopback only. Write it like https://ghes.acme.example/api/v3.',
    ]);
  });

  it('reads every kind of claim', async () => {
    const claimed = async (yaml: string) =>
      (await registered(changed(registrationYaml, 'organization: acme', yaml))).claim;
    expect(await claimed('enterprise: corp\norganizations: [a, b]')).to.deep.equal({
      kind: 'enterprise',
      enterprise: 'corp',
      organizations: ['a', 'b'],
    });
    expect(await claimed('user: octocat')).to.deep.equal({ kind: 'user', user: 'octocat' });
    expect(await claimed('repositories: [acme/web.js]')).to.deep.equal({
      kind: 'repositories',
      repositories: [{ owner: 'acme', repository: 'web.js' }],
    });
  });

  it('polls rarely beside a webhook, shared or its own', async () => {
    const own = await registered(`webhook: { secrets: ["\${env:GITHUB_TOKEN}"] }\n${registrationYaml}`);
    expect(own.poll.intervalMs).to.equal(300_000);
    const shared = `${dispatcherYaml}webhooks: [{ secrets: ["\${env:GITHUB_TOKEN}"], owners: [ACME] }]\n`;
    expect((await registered(registrationYaml, shared)).poll.intervalMs).to.equal(300_000);
    const others = `${dispatcherYaml}webhooks: [{ secrets: ["\${env:GITHUB_TOKEN}"], owners: [other] }]\n`;
    expect((await registered(registrationYaml, others)).poll.intervalMs).to.equal(30_000);
  });

  it('leaves examples and other files in the folder alone', async () => {
    const { registrations } = await configured({
      'registrations/acme.yaml': registrationYaml,
      'registrations/organization.example.yaml': 'not: read',
      'registrations/README.md': '# hello',
      'registrations/registration.schema.json': '{}',
    });
    expect(registrations.map(({ name }) => name)).to.deep.equal(['acme']);
  });
});

describe('what is wrong with a configuration', () => {
  it('is reported all at once, over all files, with line and column', async () => {
    const problems = await problemsOf({
      'dispatcher.yaml': 'id: Not Good\nadminToken: ${env:ADMIN_TOKEN}\nlogLevl: info\n',
      'registrations/acme.yaml': changed(registrationYaml, 'organization: acme', 'organisation: acme'),
      'registrations/other.yaml': `${changed(registrationYaml, 'kind: docker', 'kind: dokker')}maxRunners: 0\n`,
    });
    expect(problems).to.deep.equal([
      'dispatcher.yaml:1:5: id: the id has at most 20 lower-case letters, digits and inner hyphens, and begins with a letter. Write it like `shr`.',
      'dispatcher.yaml:3:1: logLevl: unknown key `logLevl`. Did you mean `logLevel`?',
      'registrations/acme.yaml:2:1: organisation: unknown key `organisation`. Did you mean `organization`?',
      'registrations/other.yaml:8:11: backends[0].kind: unknown kind `dokker`. Did you mean `docker`?',
      'registrations/other.yaml:9:13: maxRunners: 0 is too small. Write 1 or more.',
    ]);
  });

  for (const [what, from, to, expected] of [
    [
      'an unknown key deep inside',
      '  image: ghcr.io/acme/runner:1',
      '  image: x\n  memory: 4',
      'defaults.memory: unknown key `memory`. Did you mean `memoryGiB`?',
    ],
    [
      'an unknown option of a provider',
      '- kind: docker',
      '- kind: docker\n    options: { endpont: x }',
      'backends[0].options.endpont: unknown key `endpont`. Did you mean `endpoint`?',
    ],
    [
      'a wrong option of a provider',
      '- kind: docker',
      '- kind: docker\n    options: { endpoint: x }',
      'backends[0].options.endpoint: it is not valid. Correct the value.',
    ],
    [
      'a number in the place of a text',
      'organization: acme',
      'organization: 42',
      'organization: it must be text, not a number. Put the value in quotes.',
    ],
    [
      'a text in the place of a number',
      'organization: acme',
      'organization: acme\npriority: high',
      'priority: it must be a number, not text. Write a number, such as `1`.',
    ],
    [
      'a missing section',
      'credentials:\n  token: ${env:GITHUB_TOKEN}\n',
      '',
      'credentials: it is missing. Add it, such as `credentials: { token:',
    ],
    [
      'a duration without unit',
      'organization: acme',
      'organization: acme\ntimeouts: { idle: "90" }',
      'timeouts.idle: 90 has no unit. Write `90s`, `90m` or `90h`.',
    ],
    ['two claims', 'organization: acme', 'organization: acme\nuser: acme', 'user: it has organization and user'],
    [
      'an enterprise without organizations',
      'organization: acme',
      'enterprise: acme',
      'enterprise: it does not name the organizations',
    ],
    [
      'organizations without enterprise',
      'organization: acme',
      'organization: acme\norganizations: [a]',
      'organizations: `organizations` requires `enterprise`',
    ],
    ['no image', '  image: ghcr.io/acme/runner:1', '  cpu: 1', 'defaults: there is no default image'],
    [
      'App and token',
      '  token: ${env:GITHUB_TOKEN}',
      '  token: ${env:GITHUB_TOKEN}\n  app: { id: 1, privateKey: "${file:secrets/app.pem}" }',
      'credentials: it names an App and a token',
    ],
    [
      'an App at an enterprise',
      'organization: acme\ncredentials:\n  token: ${env:GITHUB_TOKEN}',
      'enterprise: acme\norganizations: [acme]\ncredentials:\n  app: { id: 1, privateKey: "${file:secrets/app.pem}" }',
      'credentials: a GitHub App cannot register runners at an enterprise',
    ],
    [
      'a key that is no key',
      '  token: ${env:GITHUB_TOKEN}',
      '  app: { id: 1, privateKey: "${env:GITHUB_TOKEN}" }',
      'credentials.app.privateKey: the reference does not resolve to a private key in PEM format',
    ],
    [
      'a key that is cut off',
      '  token: ${env:GITHUB_TOKEN}',
      '  app: { id: 1, privateKey: "${file:secrets/half.pem}" }',
      'credentials.app.privateKey: the private key is damaged, or it is not an RSA key. Use the whole .pem file that GitHub created for the App.',
    ],
    [
      'a built-in label',
      'organization: acme',
      'organization: acme\nlabels: [Linux]',
      "labels[0]: Linux is one of GitHub's built-in labels, which every self-hosted runner has: it cannot select this registration. Choose a label of your own, and add it to `runs-on`",
    ],
    ['a doubled label', 'organization: acme', 'organization: acme\nlabels: [a, A]', 'labels[1]: labels[0] is the same'],
    [
      'labels in one',
      'organization: acme',
      'organization: acme\nlabels: ["a, b"]',
      'labels[0]: a label must not contain a comma',
    ],
    [
      'a one-label form as label',
      'organization: acme',
      'organization: acme\nlabels: ["shr=x"]',
      'labels[0]: `shr=…` is the one-label form',
    ],
    [
      'a runner group of a repository',
      'organization: acme',
      'repositories: [acme/web]\nrunnerGroup: Big',
      'runnerGroup: runner groups exist only at organizations and enterprises',
    ],
    [
      'neither webhook nor polling',
      'organization: acme',
      'organization: acme\npoll: { interval: off }',
      'poll.interval: without polling and without a webhook, no job is ever found',
    ],
    [
      'polling too often',
      'organization: acme',
      'organization: acme\npoll: { interval: 10ms }',
      'poll.interval: it is less than a second',
    ],
    [
      'polling what is not claimed',
      'organization: acme',
      'organization: acme\npoll: { repositories: [other/x] }',
      'poll.repositories[0]: other/x is not among what the registration claims',
    ],
    [
      'two backends of one name',
      '- kind: docker',
      '- kind: docker\n  - kind: docker',
      'backends[1].name: backends[0] is called `docker` too',
    ],
    ['a backend without kind', '- kind: docker', '- name: x', 'backends[0]: the backend has neither `kind` nor `use`'],
    [
      'a process backend',
      '- kind: docker',
      '- kind: process',
      "backends[0].kind: a process backend runs jobs as the dispatcher's own user",
    ],
    [
      'unknown shared credentials',
      '  token: ${env:GITHUB_TOKEN}',
      '  use: nobody',
      'credentials.use: dispatcher.yaml has no credentials `nobody`',
    ],
    [
      'an unknown shared backend',
      '- kind: docker',
      '- use: nowhere',
      'backends[0].use: dispatcher.yaml has no backend `nowhere`',
    ],
    [
      'an unknown shape',
      'organization: acme',
      'organization: acme\npolicy: { shapes: [large] }',
      'policy.shapes[0]: dispatcher.yaml has no shape `large`',
    ],
    ['an API without URL', 'organization: acme', 'organization: acme\napiUrl: "ghes"', 'apiUrl: it is not a valid URL'],
    [
      'an API with credentials',
      'organization: acme',
      'organization: acme\napiUrl: "https://u:p@ghes.example"',
      'apiUrl: it carries credentials',
    ],
  ] as const) {
    it(`names ${what}`, async () => {
      const problems = await problemsOf({
        'registrations/acme.yaml': changed(registrationYaml, from, to),
        'secrets/app.pem': appKey,
        'secrets/half.pem': appKey.slice(0, 600),
      });
      expect(problems.join('\n')).to.include(expected);
      expect(problems, problems.join('\n')).to.have.length(1);
      expect(problems[0]).to.match(/^registrations\/acme\.yaml:\d+:\d+: /);
    });
  }

  for (const [what, yaml, expected] of [
    ['no YAML', 'a: [1', 'the `[` is never closed. Close it with `]`.'],
    [
      'a key written twice',
      `${registrationYaml}organization: x\n`,
      'the key `organization` appears twice, first on line 2. Keep one of the two.',
    ],
    ['an empty file', '', 'the file is empty'],
    ['a list', '- a', 'the file must be a mapping of keys to values'],
    [
      'aliases that expand without end',
      `a: &a [x,x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
        .split('')
        .map((key, index) => `${key}: &${key} [${Array(10).fill(`*${'abcdefgh'[index]}`).join(',')}]`)
        .join('\n')}`,
      'alias',
    ],
  ] as const) {
    it(`may be ${what}`, async () => {
      const problems = await problemsOf({ 'registrations/acme.yaml': yaml });
      expect(problems[0]).to.include(expected);
    });
  }

  it('may be the name of a file', async () => {
    const problems = await problemsOf({
      'registrations/Not_Good.yaml': registrationYaml,
      'registrations/x.yml': registrationYaml,
      'registrations/y.YAML': registrationYaml,
    });
    expect(problems).to.deep.equal([
      'registrations/Not_Good.yaml: the file name is not a valid registration name. Rename it to 1 to 32 lower-case letters, digits and inner hyphens, and `.yaml`.',
      'registrations/x.yml: registrations end in .yaml. Rename it to x.yaml, or move it elsewhere.',
      'registrations/y.YAML: registrations end in .yaml. Rename it to y.yaml, or move it elsewhere.',
    ]);
  });

  it('may be a file or folder that is not there', async () => {
    const problems = await problemsOf({}, { dispatcherFile: '/nowhere/dispatcher.yaml' });
    expect(problems[0]).to.equal(
      '/nowhere/dispatcher.yaml: there is no such file. Name the file with `--config`, or write one: dispatcher.example.yaml shows every key.',
    );
  });

  for (const [what, yaml, expected] of [
    [
      'a short admin token',
      changed(dispatcherYaml, '${env:ADMIN_TOKEN}', '${env:SHORT}'),
      'adminToken: the secret has fewer than 16 characters, and can be guessed. Make a new one with `openssl rand -hex 32`.',
    ],
    [
      'a port out of range',
      `${dispatcherYaml}listen: { admin: "127.0.0.1:99999" }`,
      'listen.admin: 99999 is not a valid port',
    ],
    [
      'two webhooks of one App',
      `${dispatcherYaml}webhooks:\n${'  - { appId: 1, secrets: ["${env:ADMIN_TOKEN}"], owners: ["*"] }\n'.repeat(2)}`,
      'webhooks[1].appId: webhooks[0] has the same App',
    ],
    ['three secrets', `${dispatcherYaml}webhooks: [{ secrets: [a, b, c], owners: ["*"] }]`, 'webhooks[0].secrets'],
    [
      'a tenant with unknown credentials',
      `${dispatcherYaml}tenants: { acme: { owners: [acme], backendKinds: [docker], credentials: [x] } }`,
      'tenants.acme.credentials[0]: there are no credentials `x`',
    ],
    [
      'a tenant with an unknown backend',
      `${dispatcherYaml}tenants: { acme: { owners: [acme], backendKinds: [docker], backends: [x] } }`,
      'tenants.acme.backends[0]: there is no backend `x`',
    ],
  ] as const) {
    it(`may be ${what} in dispatcher.yaml`, async () => {
      const [problem] = await problemsOf(
        { 'dispatcher.yaml': yaml },
        { environment: { SHORT: 'short', ADMIN_TOKEN: 'x'.repeat(32) } },
      );
      expect(problem).to.include(expected);
    });
  }

  describe('two registrations with the same right to a job', () => {
    const other = changed(
      registrationYaml,
      'organization: acme',
      'organization: ACME\nlabels: [big, SERVERLESS-hosted-runner]',
    );

    it('are reported at the second one', async () => {
      expect(
        await problemsOf({ 'registrations/a.yaml': registrationYaml, 'registrations/b.yaml': other }),
      ).to.deep.equal([
        'registrations/b.yaml:3:9: labels: it conflicts with registration `a`: both claim jobs with the label `SERVERLESS-hosted-runner` at the same priority, so those jobs are refused. Give one of them another label, or a higher `priority`.',
      ]);
    });

    it('are none with another priority, level or host', async () => {
      for (const change of [
        'priority: 1\norganization: acme',
        'repositories: [acme/web]',
        'host: ghes.example\norganization: acme',
      ]) {
        const yaml = changed(registrationYaml, 'organization: acme', change);
        expect(
          await problemsOf({ 'registrations/a.yaml': registrationYaml, 'registrations/b.yaml': yaml }),
        ).to.deep.equal([]);
      }
    });
  });
});

describe('what an import left to do', () => {
  const file = (more = '') =>
    `organization: acme\ncredentials: { app: { id: APP-ID, privateKey: "\${env:KEY}" } }\ndefaults: { image: registry.invalid/runner:latest }\nbackends: [{ kind: docker }]\n${more}`;
  const notesOf = async (text: string): Promise<readonly string[]> => {
    const { notes } = await load({ 'dispatcher.yaml': dispatcherYaml, 'registrations/acme.yaml': text });
    return notes.map(formatProblem).filter((note) => /placeholder|App's id/.test(note));
  };
  const id =
    "/etc/shr/registrations/acme.yaml:2:27: credentials.app.id: it is neither an App's id nor a client id: GitHub would refuse it. Write what the App's page shows.";
  const image =
    '/etc/shr/registrations/acme.yaml:3:20: defaults.image: the image is a placeholder, and jobs would fail: nothing can be pulled from a host below `.invalid`. Write the reference of your runner image: docs/runner-image.md. Or write `observe: true`, which starts nothing.';

  it('is noted: an image that cannot be pulled, and an App that is none', async () => {
    expect(await notesOf(file())).to.have.members([id, image]);
    expect(await notesOf(file('images: { other: r.invalid:5000/other:1 }\n'))).to.have.length(3);
  });

  it('is noted of the App alone where nothing is started', async () => {
    expect(await notesOf(file('observe: true\n'))).to.deep.equal([id]);
  });

  it('is no id of any App, and no image that may be there', async () => {
    for (const right of ['123456', 'Iv23liAbc0', 'Iv1.8a61f9b3a7aba766']) {
      const text = file().replace('APP-ID', right).replace('registry.invalid/', 'registry.invalid.acme.example/');
      expect(await notesOf(text)).to.deep.equal([]);
    }
  });
});
