/** Images, looked up in a registry on the wire. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { expect } from 'chai';
import { Deadlines } from '../../../providers/kit/deadlines.ts';
import { type Architecture, type Finding, MAX_IMAGES } from '../../../providers/provider.ts';
import { type AddressKind, kindOfAddress } from '../../../providers/registry/address-kind.ts';
import { get } from '../../../providers/registry/bounded-get.ts';
import { checkImages } from '../../../providers/registry/check-images.ts';
import { parseReference } from '../../../providers/registry/image-reference.ts';
import type { Puller } from '../../../providers/registry/puller.ts';
import { makeCertificate } from '../../../simulators/azure-aci/certificate.ts';
import { testHost } from '../../conformance/harness.ts';
import { RegistryServer } from '../../registry-server.ts';

const PASSWORD = 'p4ssw0rd-of-the-test';
const USER = { username: 'acme', password: PASSWORD };
const OPEN: Puller = { logins: [], option: 'registries', whenPrivate: 'give its login in registries' };

describe('image references', () => {
  const hex = 'a'.repeat(64);
  const table: [string, string | undefined][] = [
    ['ubuntu', 'docker.io library/ubuntu latest'],
    ['ubuntu:24.04', 'docker.io library/ubuntu 24.04'],
    ['acme/runner:1', 'docker.io acme/runner 1'],
    ['docker.io/ubuntu', 'docker.io library/ubuntu latest'],
    ['index.docker.io/acme/runner', 'docker.io acme/runner latest'],
    ['ghcr.io/acme/runner:2.335-node', 'ghcr.io acme/runner 2.335-node'],
    ['GHCR.io/acme/runner', 'ghcr.io acme/runner latest'],
    ['localhost/runner', 'localhost runner latest'],
    ['127.0.0.1:5000/a/b/c:1', '127.0.0.1:5000 a/b/c 1'],
    ['[::1]:5000/runner', '[::1]:5000 runner latest'],
    [`ghcr.io/acme/runner@sha256:${hex}`, `ghcr.io acme/runner sha256:${hex}`],
    [`ghcr.io/acme/runner:1@sha256:${hex}`, `ghcr.io acme/runner sha256:${hex}`],
    ['', undefined],
    ['Acme/runner', undefined],
    ['ghcr.io/acme/../token', undefined],
    ['ghcr.io/acme/runner?x=1', undefined],
    ['ghcr.io//runner', undefined],
    ['user:word@ghcr.io/acme/runner', undefined],
    ['https://ghcr.io/acme/runner', undefined],
    ['ghcr.io:99999/runner', undefined],
    ['ghcr.io/acme/runner:', undefined],
    ['ghcr.io/acme/runner@sha256:../../x', undefined],
    [`ghcr.io/${'a'.repeat(2000)}`, undefined],
  ];
  for (const [text, expected] of table) {
    it(`${JSON.stringify(text.slice(0, 60))} is ${expected ?? 'none'}`, () => {
      const read = parseReference(text);
      expect(read === undefined ? undefined : Object.values(read).join(' ')).to.equal(expected);
    });
  }
});

describe('addresses', () => {
  const table: Record<AddressKind, readonly string[]> = {
    never: [
      '169.254.169.254',
      '169.254.170.2',
      '::ffff:169.254.169.254',
      '64:ff9b::a9fe:a9fe',
      'fe80::1%eth0',
      'fd00:ec2::254',
      'fd20:ce::254',
      '100.100.100.200',
      '168.63.129.16',
      '0.0.0.0',
      '::',
      '224.0.0.1',
      'no address',
      '',
    ],
    loopback: ['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1'],
    private: ['10.1.2.3', '172.31.0.1', '192.168.0.1', '100.64.0.1', 'fd12::1', '::ffff:10.0.0.1'],
    public: ['140.82.121.33', '172.32.0.1', '2606:50c0:8000::154'],
  };
  for (const [kind, addresses] of Object.entries(table)) {
    it(`are ${kind}: ${addresses.join(', ')}`, () => {
      expect(addresses.filter((address) => kindOfAddress(address) !== kind)).to.deep.equal([]);
    });
  }
});

describe('images in their registry', () => {
  const opened: RegistryServer[] = [];
  const servers: Server[] = [];

  afterEach(async () => {
    for (const registry of opened.splice(0)) await registry.close();
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  async function start(options: Parameters<typeof RegistryServer.start>[0] = {}): Promise<RegistryServer> {
    const registry = await RegistryServer.start({ isPublic: (name) => name.startsWith('open/'), ...options });
    opened.push(registry);
    registry.addIndex('open/both', '1', ['amd64', 'arm64']);
    registry.addIndex('private/both', '1', ['amd64', 'arm64']);
    registry.addImage('open/arm', '1', 'arm64');
    registry.addIndex('open/windows', '1', ['amd64'], 'windows');
    return registry;
  }

  /** Somebody else's server on this machine. */
  async function other(answer: Parameters<typeof createServer>[1]): Promise<string> {
    return `127.0.0.1:${await listen(createServer(answer))}`;
  }

  async function listen(server: Server): Promise<number> {
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async function find(
    references: readonly string[],
    puller: Partial<Puller> = {},
    { architectures = ['x64'], timeoutMs = 5000 }: { architectures?: Architecture[]; timeoutMs?: number } = {},
  ): Promise<readonly Finding[]> {
    const images = references.map((reference) => ({ reference, architectures }));
    return checkImages(images, { ...OPEN, ...puller }, new Deadlines(testHost()), timeoutMs);
  }

  async function one(...asked: Parameters<typeof find>): Promise<Finding> {
    const [finding, ...more] = await find(...asked);
    expect(more).to.deep.equal([]);
    if (finding === undefined) throw new Error('nothing was found');
    expect(finding.subject).to.equal('image');
    expect(finding.cure === undefined).to.equal(finding.ok);
    return finding;
  }

  const login = (registry: RegistryServer, password = PASSWORD) => ({
    logins: [{ server: `https://${registry.server}/v2/`, username: 'acme', password }],
  });

  for (const challenge of ['token', 'basic'] as const) {
    describe(`that asks by ${challenge}`, () => {
      interface Row {
        readonly what: string;
        readonly repository: string;
        readonly puller?: (registry: RegistryServer) => Partial<Puller>;
        readonly architectures?: Architecture[];
        readonly ok: boolean;
        readonly message: RegExp;
        readonly cure?: RegExp;
      }
      const identityAt = () => 'the identity puller';
      const table: readonly Row[] = [
        {
          what: 'an index is there',
          repository: 'open/both:1',
          ok: true,
          message: /open\/both:1 is there, for x64, arm64$/,
        },
        {
          what: 'one image is there',
          repository: 'open/arm:1',
          architectures: ['arm64'],
          ok: true,
          message: /open\/arm:1 is there, for arm64$/,
        },
        {
          what: 'one of the architectures is enough',
          repository: 'open/arm:1',
          architectures: ['x64', 'arm64'],
          ok: true,
          message: /is there, for arm64$/,
        },
        {
          what: 'the architecture is not there',
          repository: 'open/arm:1',
          ok: false,
          message: /open\/arm:1 is there for arm64, not for x64$/,
          cure: /--platform linux\/amd64/,
        },
        {
          what: 'it is for another system',
          repository: 'open/windows:1',
          ok: false,
          message: /open\/windows:1 is there for windows\/amd64, not for x64$/,
          cure: /--platform linux\/amd64/,
        },
        {
          what: 'the tag is not there',
          repository: 'open/both:2',
          ok: false,
          message: /open\/both:2 is not there, says 127\.0\.0\.1:\d+ to an anonymous caller$/,
          cure: /spelling.*a private one can look the same: then give its login in registries$/,
        },
        {
          what: 'a private one is there for its login',
          repository: 'private/both:1',
          puller: (registry) => login(registry),
          ok: true,
          message: /private\/both:1 is there, for x64, arm64$/,
        },
        {
          what: 'a private tag is not there',
          repository: 'private/both:2',
          puller: (registry) => login(registry),
          ok: false,
          message: /private\/both:2 is not there, says \S+ to the login of registries$/,
          cure: /spelling/,
        },
        {
          what: 'our login is refused',
          repository: 'private/both:1',
          puller: (registry) => login(registry, 'wr0ng-of-the-test'),
          ok: false,
          message: /does not let the login of registries read \S+\/private\/both:1$/,
          cure: /^fix registries: /,
        },
        {
          what: 'nobody is let in, and nobody else pulls',
          repository: 'private/both:1',
          ok: false,
          message: /private\/both:1 is not shown by \S+ to anonymous callers$/,
          cure: /then give its login in registries$/,
        },
        {
          what: 'nobody is let in, and an identity pulls',
          repository: 'private/both:1',
          puller: () => ({ identityAt }),
          ok: true,
          message:
            /was not checked: it is not shown by \S+ to anonymous callers, and the identity puller pulls it, whose credentials we do not have$/,
        },
        {
          what: 'an identity pulls what everybody may read',
          repository: 'open/both:1',
          puller: () => ({ identityAt }),
          ok: true,
          message: /is there, for x64, arm64$/,
        },
        {
          what: 'our own account may not look',
          repository: 'private/both:1',
          puller: () => ({ identityAt, tokenAt: async () => 'ya29.of-the-test' }),
          ok: true,
          message:
            /was not checked: \S+ does not let the backend's own account read it, and the identity puller pulls it$/,
        },
        {
          what: 'it is no reference',
          repository: 'Open/both:1',
          ok: false,
          message: /Open\/both:1" is not a valid image reference$/,
          cure: /in lower case/,
        },
      ];
      for (const { what, repository, puller, architectures, ok, message, cure } of table) {
        it(`${ok ? 'ok' : 'not ok'}: ${what}`, async () => {
          const registry = await start({ challenge, user: USER });
          const finding = await one([`${registry.server}/${repository}`], puller?.(registry) ?? {}, {
            architectures: architectures ?? ['x64'],
          });
          expect(finding.ok, finding.message).to.equal(ok);
          expect(finding.note, finding.message).to.equal(
            finding.message.includes('was not checked') ? true : undefined,
          );
          expect(finding.message).to.match(message);
          if (cure !== undefined) expect(finding.cure).to.match(cure);
          expect(JSON.stringify(finding)).to.not.match(/of-the-test|token-/);
          // Nothing but what it takes.
          for (const call of registry.calls) expect(`${call.method} ${call.url}`).to.match(/^GET \/(v2\/|token\?)/);
        });
      }
    });
  }

  it('goes by the name of this machine, too', async () => {
    const registry = await start();
    const reference = `localhost:${registry.server.split(':')[1]}/open/both:1`;
    expect((await one([reference])).message).to.equal(`${reference} is there, for x64, arm64`);
  });

  it('gives a login to a realm by TLS, where the certificate is good', async () => {
    const { certificate, privateKey } = makeCertificate();
    const seen: unknown[] = [];
    const realm = createSecureServer({ cert: certificate, key: privateKey }, ({ url, headers }, response) => {
      seen.push([url, headers.authorization]);
      response.end(JSON.stringify({ access_token: 'one-time' }));
    });
    const port = await listen(realm);
    const registry = await start({ user: USER, realm: `https://localhost:${port}/token?of=acme` });
    const reference = `${registry.server}/private/both:1`;
    expect((await one([reference], login(registry))).message).to.match(/cannot be reached from here \(self-signed/);
    expect(seen).to.deep.equal([]);
    const usual = getCACertificates('default');
    setDefaultCACertificates([...usual, certificate]);
    try {
      // The realm's token is none that this registry knows.
      expect((await one([reference], login(registry))).cure).to.match(/^fix registries/);
    } finally {
      setDefaultCACertificates(usual);
    }
    const scope = 'service=registry+of+the+test&scope=repository%3Aprivate%2Fboth%3Apull';
    const basic = `Basic ${Buffer.from(`acme:${PASSWORD}`).toString('base64')}`;
    expect(seen).to.deep.equal([[`/token?of=acme&${scope}`, basic]]);
    expect(registry.calls.at(-1)?.authorization).to.equal('Bearer one-time');
  });

  it('asks no name whose address is not allowed', async () => {
    const registry = await start();
    const url = new URL(`http://localhost:${registry.server.split(':')[1]}/v2/`);
    const asked: string[] = [];
    const allows = (address: string): boolean => {
      asked.push(address);
      return false;
    };
    const call = get(url, {}, allows, new AbortController().signal);
    const words = await call.then(
      () => 'answered',
      (error: unknown) => String(error),
    );
    expect(words).to.match(/refusing to connect to \S+/);
    expect(asked).to.not.deep.equal([]);
    expect(registry.calls).to.deep.equal([]);
  });

  it('takes a token of ours as it is, and never to the realm', async () => {
    const registry = await start({ user: USER });
    registry.instead = ({ headers, url }, response) => {
      if (headers.authorization !== 'Bearer ya29.ours' || url?.startsWith('/token') === true) return false;
      response.writeHead(404).end();
      return true;
    };
    const asked: string[] = [];
    const tokenAt = async (name: string) => {
      asked.push(name);
      return 'ya29.ours';
    };
    const finding = await one([`${registry.server}/private/both:1`], { tokenAt });
    expect(finding.message).to.match(/is not there, says \S+ to the backend's own account$/);
    expect(asked).to.deep.equal([registry.server]);
    expect(registry.calls.map(({ url }) => url)).to.deep.equal(['/v2/private/both/manifests/1']);
  });

  it('keeps a login from every registry but its own', async () => {
    const [registry, stranger] = [await start({ user: USER }), await start({ user: USER })];
    await one([`${stranger.server}/private/both:1`], login(registry));
    expect(stranger.calls.filter(({ authorization }) => authorization?.startsWith('Basic'))).to.deep.equal([]);
    expect(registry.calls).to.deep.equal([]);
  });

  it('takes no credentials along to another host', async () => {
    const registry = await start({ user: USER });
    const seen: unknown[] = [];
    const elsewhere = await other(({ url, headers }, response) => {
      seen.push([url, headers.authorization]);
      response.end(JSON.stringify({ architecture: 'amd64', os: 'linux' }));
    });
    registry.addImage('private/one', '1', 'amd64');
    registry.instead = ({ url }, response) => {
      if (url?.includes('/blobs/') !== true) return false;
      response.writeHead(307, { location: `http://${elsewhere}/stored?signature=x` }).end();
      return true;
    };
    const finding = await one([`${registry.server}/private/one:1`], login(registry));
    expect(finding.message).to.match(/is there, for x64$/);
    expect(seen).to.deep.equal([['/stored?signature=x', undefined]]);
  });

  it('gives the login to no place that the realm redirects to', async () => {
    const seen: unknown[] = [];
    const elsewhere = await other(({ headers }, response) => {
      seen.push(headers.authorization);
      response.end('{}');
    });
    const registry = await start({ user: USER });
    registry.instead = ({ url }, response) => {
      if (url?.startsWith('/token') !== true) return false;
      response.writeHead(307, { location: `http://${elsewhere}/token` }).end();
      return true;
    };
    const finding = await one([`${registry.server}/private/both:1`], login(registry));
    expect(finding).to.include({ ok: true });
    expect(finding.message).to.match(/cannot be reached from here \(127\.0\.0\.1:\d+ answers 307\)$/);
    expect(seen).to.deep.equal([]);
  });

  describe('calls no address that it must not call', () => {
    const realms: [string, RegExp][] = [
      ['http://auth.example/token', /http:\/\/auth\.example, which is not asked/],
      ['https://169.254.169.254/token', /refusing to connect to 169\.254\.169\.254/],
      ['https://[fe80::1]/token', /refusing to connect to fe80::1/],
      ['https://user:word@127.0.0.1/token', /which is not asked/],
      ['file:///etc/passwd', /file:\/\/, which is not asked/],
      ['no URL', /does not name a token server/],
    ];
    for (const [realm, words] of realms) {
      it(`realm ${realm}`, async () => {
        const registry = await start({ user: USER, realm });
        const finding = await one([`${registry.server}/private/both:1`], login(registry));
        expect(finding.ok).to.equal(true);
        expect(finding.message).to.match(words);
        expect(JSON.stringify(finding)).to.not.include(PASSWORD).and.not.include('word@');
      });
    }

    for (const location of ['http://registry.example/x', 'https://169.254.169.254/latest', '/v2/again']) {
      it(`redirect to ${location}`, async () => {
        const registry = await start({ user: USER });
        registry.instead = (_, response) => {
          response.writeHead(302, { location }).end();
          return true;
        };
        const finding = await one([`${registry.server}/open/both:1`]);
        expect(finding.ok).to.equal(true);
        expect(finding.message).to.match(/which is not asked|refusing to connect|redirects more than 3 times/);
        expect(registry.calls.length).to.be.at.most(4);
      });
    }

    for (const host of ['169.254.169.254', '100.100.100.200', '0.0.0.0:80', '127.0.0.2:5000', '2852039166:443']) {
      it(`reference ${host}/x:1`, async () => {
        const finding = await one([`${host}/x:1`]);
        expect(finding.ok).to.equal(true);
        expect(finding.message).to.include('refusing to connect to');
      });
    }
  });

  it('passes where the registry cannot be reached, and waits for it once', async () => {
    const silent = await other(() => {});
    const before = performance.now();
    const findings = await find(
      Array.from({ length: 12 }, (_, index) => `${silent}/x:${index}`),
      {},
      { timeoutMs: 200 },
    );
    expect(performance.now() - before).to.be.below(1500);
    expect(findings.map(({ ok }) => ok)).to.deep.equal(Array.from({ length: 12 }, () => true));
    for (const { message } of findings)
      expect(message).to.match(/cannot be reached from here \(no answer within 0\.2 s\)$/);
    const closed = await one(['127.0.0.1:1/x:1']);
    expect(closed.message).to.match(/cannot be reached from here \(.*ECONNREFUSED.*\)$/);
  });

  const strange: [string, (registry: RegistryServer) => void, RegExp][] = [
    [
      'an answer without end',
      (registry) => {
        registry.instead = (_, response) => {
          response.writeHead(200);
          const more = (): void => {
            while (!response.destroyed && response.write('x'.repeat(65_536)));
          };
          response.on('drain', more);
          more();
          return true;
        };
      },
      /larger than 4194304 bytes/,
    ],
    [
      'a page for people',
      (registry) => {
        registry.instead = (_, response) => {
          response.end('<html>sign in</html>');
          return true;
        };
      },
      /its answer is not a manifest/,
    ],
    [
      'a limit',
      (registry) => {
        registry.instead = (_, response) => {
          response.writeHead(429).end('{"errors":[{"code":"TOOMANYREQUESTS","message":"you have reached"}]}');
          return true;
        };
      },
      /it answers 429 TOOMANYREQUESTS\)$/,
    ],
    [
      'a token that no header can hold',
      (registry) => {
        registry.instead = ({ url }, response) => {
          if (url?.startsWith('/token') !== true) return false;
          response.end(JSON.stringify({ token: 'a\r\nb' }));
          return true;
        };
      },
      /gives no token/,
    ],
    [
      'a helm chart',
      (registry) => registry.addManifest('open/both', '1', 'x/y', { schemaVersion: 2 }),
      /architectures are unknown$/,
    ],
    [
      'a configuration at a digest that is none',
      (registry) => registry.addManifest('open/both', '1', 'x/y', { config: { digest: '../../../token' } }),
      /its answer is not a manifest/,
    ],
  ];
  for (const [what, prepare, words] of strange) {
    it(`has words for ${what}`, async () => {
      const registry = await start({ user: USER });
      prepare(registry);
      const finding = await one([`${registry.server}/open/both:1`]);
      expect(finding.ok).to.equal(true);
      expect(finding.message).to.match(words);
    });
  }

  it('has words for a token of ours that is not to be had', async () => {
    const registry = await start();
    const tokenAt = () => Promise.reject(new Error('no credentials on this machine'));
    const finding = await one([`${registry.server}/open/both:1`], { tokenAt });
    expect(finding).to.include({ ok: true });
    expect(finding.message).to.include('no credentials on this machine');
  });

  it(`looks at ${MAX_IMAGES} images, and no more`, async () => {
    const registry = await start();
    const references = Array.from({ length: MAX_IMAGES + 5 }, () => `${registry.server}/open/both:1`);
    expect(await find(references)).to.have.length(MAX_IMAGES);
  });
});
