import { expect } from 'chai';
import fc from 'fast-check';
import { type CallName, classify, isAbsent } from '../../../providers/docker/errors.ts';
import { FrameReader } from '../../../providers/docker/frames.ts';
import { dockerOptions } from '../../../providers/docker/options.ts';
import { containerBody, refuseBucket } from '../../../providers/docker/request.ts';
import { fromInspected, fromListed } from '../../../providers/docker/state.ts';
import { encodeTags } from '../../../providers/kit/tags.ts';
import type { LaunchRequest, ProviderErrorKind } from '../../../providers/provider.ts';

const request: LaunchRequest = {
  name: 'd1-abc',
  shape: {
    cpu: 1.5,
    memoryGiB: 2,
    architecture: 'x64',
    image: 'ghcr.io/acme/runner:1',
    spot: false,
    dockerInDocker: false,
  },
  tags: {
    dispatcher: 'd1',
    registration: 'acme',
    lane: 'l1',
    scope: 'orgs/acme',
    runner: 'd1-abc',
    createdAtMs: 1,
    deadlineAtMs: 2,
    charge: { team: 'web' },
  },
  environment: { A: '1' },
  secretEnvironment: { B: 'x=y' },
};

describe('docker: errors of the engine', () => {
  // What engines 20.10 to 28 and registries say; `code` are Node's.
  const table: [CallName, { statusCode?: number; code?: string; message: string }, ProviderErrorKind][] = [
    ['create', { statusCode: 404, message: 'No such image: acme/runner:1' }, 'invalid'],
    ['create', { statusCode: 409, message: 'Conflict. The container name "/a" is already in use' }, 'conflict'],
    [
      'create',
      { statusCode: 400, message: 'Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available' },
      'invalid',
    ],
    ['create', { statusCode: 400, message: 'invalid reference format' }, 'invalid'],
    ['create', { statusCode: 500, message: 'mkdir /var/lib/docker/x: no space left on device' }, 'capacity'],
    ['create', { statusCode: 500, message: 'something broke' }, 'transient'],
    ['create', { statusCode: 503, message: 'shutting down' }, 'transient'],
    ['create', { statusCode: 401, message: 'authorization denied by plugin' }, 'unauthorized'],
    ['create', { statusCode: 403, message: 'authorization denied by plugin' }, 'unauthorized'],
    ['create', { statusCode: 429, message: 'slow down' }, 'throttled'],
    ['start', { statusCode: 404, message: 'network shr-net not found' }, 'invalid'],
    ['start', { statusCode: 404, message: 'No such container: abc' }, 'transient'],
    ['start', { statusCode: 409, message: 'container is marked for removal and cannot be started' }, 'transient'],
    [
      'start',
      { statusCode: 400, message: 'OCI runtime create failed: exec: "x": executable file not found in $PATH: unknown' },
      'invalid',
    ],
    [
      'start',
      { statusCode: 500, message: 'OCI runtime create failed: runc: fork/exec: cannot allocate memory' },
      'capacity',
    ],
    ['start', { statusCode: 500, message: "no available IPv4 addresses on this network's address pools" }, 'capacity'],
    ['start', { statusCode: 500, message: 'unable to find user build: no matching entries in passwd file' }, 'invalid'],
    [
      'pull',
      {
        statusCode: 404,
        message: 'pull access denied for acme/runner, repository does not exist or may require docker login',
      },
      'invalid',
    ],
    ['pull', { statusCode: 404, message: 'manifest for acme/runner:9 not found: manifest unknown' }, 'invalid'],
    [
      'pull',
      { statusCode: 500, message: 'Get "https://r.example/v2/": unauthorized: incorrect username or password' },
      'invalid',
    ],
    ['pull', { statusCode: 500, message: 'unauthorized' }, 'invalid'],
    ['pull', { message: 'unauthorized: authentication required' }, 'invalid'],
    ['pull', { statusCode: 401, message: 'authorization denied by plugin' }, 'unauthorized'],
    [
      'pull',
      { statusCode: 500, message: 'Head "https://r.example/v2/a/manifests/1": no basic auth credentials' },
      'invalid',
    ],
    [
      'auth',
      { statusCode: 500, message: 'login attempt to https://r.example/v2/ failed with status: 401 Unauthorized' },
      'unauthorized',
    ],
    ['pull', { statusCode: 500, message: 'toomanyrequests: You have reached your pull rate limit' }, 'throttled'],
    ['pull', { statusCode: 500, message: 'Get "https://r.example/v2/": dial tcp: i/o timeout' }, 'transient'],
    ['pull', { statusCode: 500, message: 'Get "https://r.example/v2/": net/http: TLS handshake timeout' }, 'transient'],
    ['pull', { message: 'no matching manifest for linux/arm64/v8 in the manifest list entries' }, 'invalid'],
    ['pull', { message: 'write /var/lib/docker/tmp/x: no space left on device' }, 'capacity'],
    ['list', { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 10.0.0.1:2376' }, 'transient'],
    ['list', { code: 'ENOENT', message: 'connect ENOENT /var/run/docker.sock' }, 'transient'],
    ['list', { code: 'ECONNRESET', message: 'socket hang up' }, 'transient'],
    ['list', { code: 'EACCES', message: 'connect EACCES /var/run/docker.sock' }, 'unauthorized'],
    ['list', { code: 'DEPTH_ZERO_SELF_SIGNED_CERT', message: 'self-signed certificate' }, 'unauthorized'],
    ['list', { code: 'ERR_TLS_CERT_ALTNAME_INVALID', message: 'Host: b. is not in the cert' }, 'unauthorized'],
    [
      'list',
      { code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', message: 'alert certificate required' },
      'unauthorized',
    ],
    ['network', { statusCode: 404, message: 'network shr-net not found' }, 'invalid'],
  ];
  it('are not what a proxy says with its page, whether it was collected or is a stream', () => {
    const page = '<!DOCTYPE html><title>404</title>';
    const words = `(HTTP code 404) unexpected - ${page}`;
    for (const json of [Buffer.from(page), null]) {
      for (const call of ['inspect', 'create', 'pull'] as const) {
        const said = classify(call, Object.assign(new Error(words), { statusCode: 404, json }));
        expect(said).to.include({ kind: 'transient', code: 'http-404' });
        expect(isAbsent(said)).to.equal(false);
      }
    }
  });

  it('recognize an absent container by the message: an unknown path is 404 too', () => {
    const of = (message: string) =>
      isAbsent(classify('inspect', Object.assign(new Error(''), { statusCode: 404, json: { message } })));
    expect(of('No such container: acme-1')).to.equal(true);
    expect(of('no container with name or ID "acme-1" found: no such container')).to.equal(true);
    expect(of('page not found')).to.equal(false);
  });

  for (const [call, { message, ...fields }, kind] of table) {
    it(`${call} ${fields.statusCode ?? fields.code ?? 'in the stream'} "${message.slice(0, 60)}" is ${kind}`, () => {
      const said = classify(call, Object.assign(new Error(message), fields));
      expect(said.kind).to.equal(kind);
      expect(said.operation).to.equal(`docker ${call}`);
      expect(said.message).to.include(message);
    });
  }

  it('uses the words of the answer, not the misleading ones that docker-modem puts in front', () => {
    const error = Object.assign(new Error('(HTTP code 404) no such container - No such image: a:1 '), {
      statusCode: 404,
      reason: 'no such container',
      json: { message: 'No such image: a:1' },
    });
    expect(classify('create', error).message).to.equal('docker create: No such image: a:1');
  });

  it('classifies any thrown value', () => {
    for (const odd of [undefined, null, 'text', 42, {}, { statusCode: 'x' }]) {
      expect(classify('list', odd).kind).to.equal('transient');
    }
  });
});

describe('docker: log frames', () => {
  const frame = (stream: number, text: string): Buffer => {
    const header = Buffer.alloc(8);
    header.writeUInt8(stream, 0);
    header.writeUInt32BE(Buffer.byteLength(text), 4);
    return Buffer.concat([header, Buffer.from(text)]);
  };
  const read = (chunks: readonly Buffer[]): string => {
    const parts: Buffer[] = [];
    const reader = new FrameReader((bytes) => parts.push(Buffer.from(bytes)));
    for (const chunk of chunks) reader.push(chunk);
    return Buffer.concat(parts).toString();
  };

  it('are joined in their order, wherever the stream is cut', () => {
    const frames = fc.array(fc.tuple(fc.constantFrom(1, 2), fc.string({ unit: 'grapheme', maxLength: 50 })));
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), (parts, cuts) => {
        const all = Buffer.concat(parts.map(([stream, text]) => frame(stream, text)));
        const chunks: Buffer[] = [];
        for (let at = 0, turn = 0; at < all.length; turn += 1) {
          const length = cuts[turn % cuts.length] ?? 1;
          chunks.push(all.subarray(at, at + length));
          at += length;
        }
        expect(read(chunks)).to.equal(Buffer.from(parts.map(([, text]) => text).join('')).toString());
      }),
    );
  });

  it('need no memory for what a frame claims to hold', () => {
    const header = Buffer.from([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    expect(read([header, Buffer.from('only this')])).to.equal('only this');
  });

  it('are passed on as they are where a terminal sends none', () => {
    expect(read([Buffer.from('plain text of a terminal\n'), Buffer.from('more\n')])).to.equal(
      'plain text of a terminal\nmore\n',
    );
  });
});

describe('docker: the request', () => {
  it('bounds cpu, memory without swap, processes and the log', () => {
    const { HostConfig } = containerBody(request, dockerOptions.parse({ pidsLimit: 64 }));
    expect(HostConfig).to.include({ NanoCpus: 1_500_000_000, Memory: 2 ** 31, MemorySwap: 2 ** 31, PidsLimit: 64 });
    expect(HostConfig.LogConfig).to.deep.equal({ Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } });
  });

  it('carries the options of the backend', () => {
    const body = containerBody(
      request,
      dockerOptions.parse({
        network: 'shr',
        extraHosts: ['ghe.local:10.0.0.1'],
        capDrop: ['ALL'],
        readOnlyRootfs: true,
        runtimeUser: '1001:1001',
        command: ['run', 'me'],
        logging: 'engine',
      }),
    );
    expect(body.Cmd).to.deep.equal(['run', 'me']);
    expect(body.User).to.equal('1001:1001');
    expect(body.HostConfig).to.include({ NetworkMode: 'shr', ReadonlyRootfs: true, Privileged: false });
    expect(body.HostConfig.ExtraHosts).to.deep.equal(['ghe.local:10.0.0.1']);
    expect(body.HostConfig.CapDrop).to.deep.equal(['ALL']);
    expect(body.HostConfig.Tmpfs).to.have.all.keys('/tmp', '/run');
    expect(body.HostConfig.LogConfig).to.equal(undefined);
  });

  it('is privileged only where the backend allows it and the job asks for Docker in Docker', () => {
    const privileged = (allowed: boolean, dockerInDocker: boolean): boolean =>
      containerBody(
        { ...request, shape: { ...request.shape, dockerInDocker } },
        dockerOptions.parse({ privileged: allowed }),
      ).HostConfig.Privileged;
    expect(privileged(true, true)).to.equal(true);
    expect(privileged(true, false)).to.equal(false);
    expect(privileged(false, true)).to.equal(false);
  });

  it('mounts a bucket at the work folder under its prefix, and nothing from outside it', () => {
    const options = dockerOptions.parse({ bucketRoot: '/srv/buckets', workFolder: '/home/runner/_work' });
    const shape = { ...request.shape, bucket: 'cache', bucketPrefix: 'acme/web' };
    expect(containerBody({ ...request, shape }, options).HostConfig.Binds).to.deep.equal([
      '/srv/buckets/cache/acme/web:/home/runner/_work',
    ]);
    for (const [bucket, prefix] of [
      ['..', ''],
      ['../etc', ''],
      ['a:b', ''],
      ['a', '../..'],
      ['a', 'x//y'],
      ['a', '/etc'],
      ['.hidden', ''],
    ] as const) {
      expect(refuseBucket(bucket, prefix), `${bucket} ${prefix}`).to.be.a('string');
    }
    expect(refuseBucket('cache', 'acme/web')).to.equal(undefined);
  });
});

describe('docker: options', () => {
  const messages = (options: unknown): string[] => {
    const parsed = dockerOptions.safeParse(options);
    return parsed.success ? [] : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  };

  it('need nothing for the engine of this machine', () => {
    expect(messages({})).to.deep.equal([]);
  });

  it('refuse what they do not know, and what contradicts itself, saying where', () => {
    expect(messages({ netwrok: 'x' }).join()).to.match(/netwrok/);
    expect(messages({ socketPath: '/a', host: 'b', port: 1 }).join()).to.match(/not both/);
    expect(messages({ host: 'b' }).join()).to.match(/port: .*2376/);
    expect(messages({ port: 2376 }).join()).to.match(/give host/);
    expect(messages({ host: 'b', port: 1, cert: '-----BEGIN X' }).join()).to.match(/go together/);
    expect(messages({ host: 'b', port: 1, ca: '/etc/ca.pem' }).join()).to.match(/^ca/);
    expect(messages({ host: 'b', port: 1, protocol: 'http', ca: '-----BEGIN X' }).join()).to.match(/https/);
    expect(messages({ bucketRoot: '/srv' }).join()).to.match(/workFolder/);
    expect(messages({ extraHosts: ['no-colon'] }).join()).to.match(/name:address/);
  });
});

describe('docker: states', () => {
  const labels = encodeTags(request.tags);
  const inspect = (state: Record<string, unknown> & { Status: string }) =>
    fromInspected({ Id: 'f00', Name: '/d1-abc', Config: { Labels: labels }, State: state }, 'd1-abc');

  it('are read from inspect', () => {
    expect(inspect({ Status: 'created' })?.state).to.equal('pending');
    expect(inspect({ Status: 'running', ExitCode: 0 }))
      .to.deep.include({ state: 'running' })
      .and.not.have.key('reason');
    expect(inspect({ Status: 'paused' })?.state).to.equal('running');
    expect(inspect({ Status: 'exited', ExitCode: 0 })?.state).to.equal('succeeded');
    expect(inspect({ Status: 'exited', ExitCode: 3 })?.reason).to.deep.include({ kind: 'exited', exitCode: 3 });
    expect(inspect({ Status: 'exited', ExitCode: 137 })?.reason).to.include({
      kind: 'exited',
      message: 'ended by signal 9',
    });
    expect(inspect({ Status: 'removing' })?.state).to.equal('unknown');
    expect(inspect({ Status: 'frobnicating' })?.state).to.equal('unknown');
  });

  it('tell out of memory also where the first process lived on and exited with 0', () => {
    const seen = inspect({ Status: 'exited', ExitCode: 0, OOMKilled: true });
    expect(seen?.state).to.equal('succeeded');
    expect(seen?.reason).to.include({ kind: 'out-of-memory', exitCode: 0 });
  });

  it('are read from the list, exit code and all', () => {
    const list = (State: string, Status: string) => fromListed({ Id: 'f00', Labels: labels, State, Status });
    expect(list('exited', 'Exited (3) 2 seconds ago')).to.deep.include({ state: 'failed' });
    expect(list('exited', 'Exited (3) 2 seconds ago')?.reason?.exitCode).to.equal(3);
    expect(list('exited', 'Exited (0) About an hour ago')?.state).to.equal('succeeded');
    expect(list('exited', 'words of a later engine')?.state).to.equal('unknown');
    expect(list('running', 'Up 3 seconds')?.state).to.equal('running');
  });

  it('are not ours where the labels are missing or name another runner', () => {
    const container = { Id: 'f00', Name: '/d1-abc', Config: { Labels: labels }, State: { Status: 'running' } };
    expect(fromInspected(container, 'f00')).to.equal(undefined);
    expect(fromInspected({ ...container, Config: { Labels: { a: 'b' } } }, 'd1-abc')).to.equal(undefined);
    expect(fromInspected({ ...container, Config: { Labels: null } }, 'd1-abc')).to.equal(undefined);
  });
});
