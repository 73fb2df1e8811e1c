/** What only Docker has, against a real engine, with a proxy for the bad days. The rest: test/conformance. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { z } from 'zod';
import dockerModule from '../../../providers/docker/index.ts';
import { type LaunchRequest, type Provider, ProviderError } from '../../../providers/provider.ts';
import { testHost } from '../../conformance/harness.ts';
import { ask, ENGINE_SOCKET, engineProblem, testImage } from '../../docker/engine.ts';
import { EngineProxy } from '../../docker/engine-proxy.ts';
import { type PulledFrom, startRegistry } from '../../docker/registry.ts';

const run = promisify(execFile);
const OWNER = `dk${process.pid}`;

describe('provider docker, with an engine', () => {
  let place: string;
  let proxy: EngineProxy;
  let image: string;
  let count = 0;
  const host = testHost();

  before(async function () {
    const problem = await engineProblem();
    if (problem !== undefined) {
      console.log(`      skipped: ${problem}`);
      this.skip();
    }
    image = await testImage();
    place = await mkdtemp(join(tmpdir(), 'shr-docker-'));
    proxy = new EngineProxy(join(place, 'engine.sock'));
    await proxy.listen();
  });

  afterEach(async () => {
    host.hurry = false;
    const direct = create({ socketPath: ENGINE_SOCKET });
    const left = await direct.list({ dispatcher: OWNER });
    await Promise.all(left.map((instance) => direct.stop(instance.ref)));
  });

  after(async () => {
    if (proxy === undefined) return;
    await proxy.close();
    await rm(place, { recursive: true });
  });

  function create(options: Record<string, unknown> = {}): Provider {
    return dockerModule.create(
      dockerModule.options.parse({
        socketPath: proxy.socketPath,
        command: ['sh', '-c', 'trap "exit 143" TERM; sleep 600 & wait'],
        // Without a network a container starts twice as fast.
        network: 'none',
        pull: 'never',
        stopGraceS: 1,
        ...options,
      }),
      host,
    );
  }

  function request(changes: Partial<LaunchRequest['shape']> = {}): LaunchRequest {
    count += 1;
    const name = `${OWNER}-${count}`;
    return {
      name,
      shape: {
        cpu: 0.5,
        memoryGiB: 0.0625,
        architecture: 'x64',
        image,
        spot: false,
        dockerInDocker: false,
        ...changes,
      },
      tags: {
        dispatcher: OWNER,
        registration: 'acme',
        lane: 'l1',
        scope: 'orgs/acme',
        runner: name,
        createdAtMs: 1,
        deadlineAtMs: 2,
        charge: {},
      },
      environment: {},
      secretEnvironment: {},
    };
  }

  const refusal = async (promise: Promise<unknown>): Promise<ProviderError> => {
    const answer = await promise.catch((error: unknown) => error);
    if (answer instanceof ProviderError) return answer;
    throw new Error(`not refused: ${JSON.stringify(answer)}`);
  };

  const hurryOn = (): void => {
    host.hurry = true;
  };

  it('says transient when the answer to start is lost, and a repeat finds it running', async () => {
    const provider = create();
    const wanted = request();
    proxy.failNext('POST', /\/start$/, { kind: 'lose-answer', onEffect: hurryOn });
    expect((await refusal(provider.launch(wanted))).kind).to.equal('transient');
    host.hurry = false;
    expect((await provider.launch(wanted)).state).to.equal('running');
    expect(await provider.list({ dispatcher: OWNER })).to.have.length(1);
  });

  it('says transient when the connection is cut after the effect, and a repeat finds the one container', async () => {
    const provider = create();
    const wanted = request();
    proxy.failNext('POST', /\/containers\/create/, { kind: 'cut' });
    expect((await refusal(provider.launch(wanted))).kind).to.equal('transient');
    expect((await provider.inspect({ name: wanted.name }))?.state).to.equal('pending');
    await provider.launch(wanted);
    expect(await provider.list({ dispatcher: OWNER })).to.have.length(1);
  });

  it('does not wait for ever for the rest of an answer', async () => {
    const provider = create();
    proxy.failNext('GET', /\/containers\/json/, { kind: 'stall', onEffect: hurryOn });
    const error = await refusal(provider.list({ dispatcher: OWNER }));
    expect(error).to.include({ kind: 'transient', code: 'timeout', operation: 'docker list' });
  });

  it('does not wait for ever for the rest of a log', async () => {
    const provider = create({ command: ['sh', '-c', 'echo hello; sleep 600'] });
    const { ref } = await provider.launch(request());
    await until(async () => (await provider.logs(ref)) === 'hello\n');
    proxy.failNext('GET', /\/logs/, { kind: 'stall', onEffect: hurryOn });
    expect((await refusal(provider.logs(ref))).kind).to.equal('transient');
  });

  it('leaves nothing behind when the engine refuses to start what it created', async () => {
    const provider = create({ command: ['/no/such/program'] });
    const error = await refusal(provider.launch(request()));
    expect(error.kind).to.equal('invalid');
    expect(error.message).to.include('/no/such/program');
    expect(await provider.list({ dispatcher: OWNER })).to.deep.equal([]);
  });

  it('refuses an unknown network with the words of the engine, and leaves nothing behind', async () => {
    const provider = create({ network: 'no-such-network' });
    const error = await refusal(provider.launch(request()));
    expect(error.kind).to.equal('invalid');
    expect(error.message).to.include('no-such-network');
    expect(await provider.list({ dispatcher: OWNER })).to.deep.equal([]);
    const finding = (await provider.check()).find((one) => one.subject === 'network');
    expect(finding).to.deep.include({ ok: false, cure: 'docker network create no-such-network' });
  });

  it('refuses more cores than the engine has with its words', async () => {
    const error = await refusal(create().launch(request({ cpu: 1000 })));
    expect(error.kind).to.equal('invalid');
    expect(error.message).to.match(/CPUs/);
  });

  it('refuses a missing image with the words of the engine, not with those of the client', async () => {
    const error = await refusal(create().launch(request({ image: 'shr-test:nope' })));
    expect(error.kind).to.equal('invalid');
    expect(error.message).to.include('No such image').and.not.include('no such container');
  });

  it('sends the request in the body alone: the URL holds nothing but the name', async () => {
    const wanted = { ...request(), secretEnvironment: { SECRET: 's3cr3t' } };
    proxy.calls.length = 0;
    await create().launch(wanted);
    const create1 = proxy.calls.find((call) => call.url.startsWith('/containers/create'));
    expect(create1?.url).to.equal(`/containers/create?name=${wanted.name}`);
  });

  it('does not let DOCKER_HOST of the dispatcher lead it to another engine', async () => {
    process.env['DOCKER_HOST'] = 'tcp://127.0.0.1:9';
    try {
      expect((await create().check()).filter((finding) => !finding.ok)).to.deep.equal([]);
    } finally {
      delete process.env['DOCKER_HOST'];
    }
  });

  it('holds the container to its cpu, memory, processes, user and rights', async () => {
    const provider = create({ pidsLimit: 99, capDrop: ['ALL'], readOnlyRootfs: true, runtimeUser: '1001:1001' });
    const wanted = request();
    await provider.launch(wanted);
    const seen = z
      .object({ HostConfig: z.record(z.string(), z.unknown()), Config: z.object({ User: z.string() }) })
      .parse(await ask('GET', `/containers/${wanted.name}/json`));
    expect(seen.HostConfig).to.deep.include({
      NanoCpus: 500_000_000,
      Memory: 64 * 2 ** 20,
      PidsLimit: 99,
      CapDrop: ['ALL'],
      ReadonlyRootfs: true,
      Privileged: false,
      AutoRemove: false,
    });
    expect(seen.Config.User).to.equal('1001:1001');
  });

  it('lets a read-only container write to /tmp, and nowhere else', async () => {
    const provider = create({
      readOnlyRootfs: true,
      command: ['sh', '-c', 'echo a >/tmp/a && echo tmp; echo b >/b || echo root refused'],
    });
    const { ref } = await provider.launch(request());
    await until(async () => (await provider.inspect(ref))?.state === 'succeeded');
    expect(await provider.logs(ref))
      .to.include('tmp')
      .and.include('root refused');
  });

  it('tells that a step ran out of memory, though the first process went on and exited with 0', async () => {
    const provider = create({ command: ['sh', '-c', 'tail /dev/zero; echo went on; exit 0'] });
    const { ref } = await provider.launch(request());
    await until(async () => (await provider.inspect(ref))?.state === 'succeeded');
    expect((await provider.inspect(ref))?.reason).to.include({ kind: 'out-of-memory', exitCode: 0 });
  });

  it('mounts the bucket of a job at its work folder', async () => {
    const provider = create({
      bucketRoot: join(place, 'buckets'),
      workFolder: '/work',
      command: ['sh', '-c', 'echo kept >/work/file'],
    });
    expect(provider.capabilities.bucket).to.equal(true);
    const { ref } = await provider.launch(request({ bucket: 'cache', bucketPrefix: 'acme/web' }));
    await until(async () => (await provider.inspect(ref))?.state === 'succeeded');
    expect(await readFile(join(place, 'buckets/cache/acme/web/file'), 'utf8')).to.equal('kept\n');
  });

  it('allows Docker in Docker only where the backend is set to privileged', () => {
    const wish = { architecture: 'x64', image, spot: false, dockerInDocker: true } as const;
    expect(create().fit(wish).fits).to.equal(false);
    expect(create({ privileged: true }).fit(wish).fits).to.equal(true);
  });

  describe('pulls', () => {
    let pulled: PulledFrom;

    before(async () => {
      pulled = await startRegistry({ username: 'acme', password: 'p4ss' });
    });
    after(() => pulled?.registry.close());
    afterEach(async () => {
      await ask('DELETE', `/images/${pulled.image}?force=1`, undefined, [404]);
    });

    const auth = (password: string) => ({
      pull: 'missing',
      command: ['/bin/echo', 'pulled and run'],
      registryAuth: { server: pulled.registry.server, username: 'acme', password },
    });

    it('an image that is missing, once for many launches, with the credentials of the backend', async () => {
      const provider = create(auth('p4ss'));
      expect((await provider.check()).filter((finding) => !finding.ok)).to.deep.equal([]);
      const [first] = await Promise.all(
        Array.from({ length: 3 }, () => provider.launch(request({ image: pulled.image }))),
      );
      if (first === undefined) throw new Error('nothing was launched');
      await until(async () => (await provider.inspect(first.ref))?.state === 'succeeded');
      expect(await provider.logs(first.ref)).to.equal('pulled and run\n');
      expect(pulled.layerReads(), 'the layer was sent').to.equal(1);
    });

    it('nothing where the image is there', async () => {
      const reads = pulled.registry.requests;
      await create(auth('p4ss')).launch(request());
      expect(pulled.registry.requests).to.equal(reads);
    });

    it('nothing where the registry says no, and tells whose fault it is', async () => {
      const provider = create(auth('wrong'));
      const error = await refusal(provider.launch(request({ image: pulled.image })));
      expect(error.kind).to.equal('invalid');
      expect(error.message).to.not.include('wrong');
      expect(await provider.list({ dispatcher: OWNER })).to.deep.equal([]);
      const finding = (await provider.check()).find((one) => one.subject === 'credentials');
      expect(finding?.ok).to.equal(false);
      expect(JSON.stringify(finding)).to.not.include('wrong');
    });

    it('nothing where the tag is unknown: invalid, with the words of the registry', async () => {
      const error = await refusal(create(auth('p4ss')).launch(request({ image: `${pulled.image}-nope` })));
      expect(error.kind).to.equal('invalid');
      expect(error.message).to.match(/not found|unknown/);
    });
  });

  describe('over TLS', () => {
    let server: Server;
    let port: number;
    let pem: { ca: string; cert: string; key: string; strangerCa: string };

    before(async () => {
      pem = await certificates(join(place, 'tls'));
      server = createServer({ ...pem, requestCert: true, rejectUnauthorized: true }, (socket) => {
        const engine = connect(ENGINE_SOCKET);
        socket.on('error', () => engine.destroy());
        engine.on('error', () => socket.destroy());
        socket.pipe(engine).pipe(socket);
      });
      await new Promise<void>((resolve) => {
        server.listen(0, '127.0.0.1', resolve);
      });
      const address: AddressInfo | string | null = server.address();
      if (address === null || typeof address === 'string') throw new Error('no port');
      port = address.port;
    });
    after(() => server?.close());

    const remote = (tls: Record<string, string>): Provider =>
      create({ socketPath: undefined, host: '127.0.0.1', port, protocol: 'https', ...tls });

    it('launches on a remote engine that wants a client certificate', async () => {
      const provider = remote({ ca: pem.ca, cert: pem.cert, key: pem.key });
      const wanted = request();
      expect((await provider.launch(wanted)).state).to.equal('running');
      await provider.stop({ name: wanted.name });
      expect(await provider.inspect({ name: wanted.name })).to.equal(undefined);
    });

    it('closes the backend when the engine is not the one that the certificate names, or wants a certificate', async () => {
      for (const tls of [{ ca: pem.strangerCa, cert: pem.cert, key: pem.key }, { ca: pem.ca }]) {
        const provider = remote(tls);
        expect((await refusal(provider.list({ dispatcher: OWNER }))).kind).to.equal('unauthorized');
        const [finding] = await provider.check();
        expect(finding).to.include({ ok: false, subject: 'credentials' });
        expect(finding?.cure).to.include('ca, cert and key');
      }
    });
  });

  async function until(done: () => Promise<boolean>): Promise<void> {
    const giveUpAt = Date.now() + 15_000;
    while (!(await done())) {
      if (Date.now() > giveUpAt) throw new Error('did not come to pass');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
});

/** One CA, a certificate of it for server and client alike, and the CA of somebody else. */
async function certificates(folder: string): Promise<{ ca: string; cert: string; key: string; strangerCa: string }> {
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  await run('mkdir', ['-p', folder]);
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl('req', '-x509', ...ec, '-subj', '/CN=test CA', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2');
  await openssl(
    'req',
    '-x509',
    ...ec,
    '-subj',
    '/CN=stranger',
    '-keyout',
    'x.key',
    '-out',
    'stranger.pem',
    '-days',
    '2',
  );
  await openssl(
    'req',
    ...ec,
    '-subj',
    '/CN=engine',
    '-keyout',
    'key.pem',
    '-out',
    'csr.pem',
    '-addext',
    'subjectAltName=IP:127.0.0.1',
  );
  await openssl(
    'x509',
    '-req',
    '-in',
    'csr.pem',
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-copy_extensions',
    'copy',
    '-out',
    'cert.pem',
    '-days',
    '2',
  );
  const read = (name: string) => readFile(join(folder, name), 'utf8');
  const [ca, cert, key, strangerCa] = await Promise.all(['ca.pem', 'cert.pem', 'key.pem', 'stranger.pem'].map(read));
  if (ca === undefined || cert === undefined || key === undefined || strangerCa === undefined)
    throw new Error('openssl');
  return { ca, cert, key, strangerCa };
}
