/** The real command against a server of releases, which can be slow, broken or hostile. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { shr } from './process.ts';

const VERSION = '2.338.1';
const RELEASES: Readonly<Record<string, Buffer>> = {
  'linux-arm64': Buffer.alloc(300_000, 'arm'),
  'linux-x64': Buffer.alloc(200_000, 'x64'),
};
const nameOf = (platform: string, version = VERSION) => `actions-runner-${platform}-${version}.tar.gz`;
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('shr runner-dist mirror', () => {
  let folder: string;
  let server: Server;
  let calls: string[];
  /** Answers in place of the server where it returns true. */
  let instead: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-mirror-'));
    calls = [];
    instead = undefined;
    server = createServer((request, response) => {
      const { url = '', headers } = request;
      calls.push(headers.range === undefined ? url : `${url} ${headers.range}`);
      if (instead?.(request, response) === true) return;
      const platform = Object.keys(RELEASES).find((one) => url.includes(one));
      const bytes = platform === undefined ? undefined : RELEASES[platform];
      const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
      if (bytes === undefined) response.writeHead(404).end();
      else if (start === 0) response.end(bytes);
      else if (start >= bytes.length) response.writeHead(416).end();
      else {
        response.writeHead(206, { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` });
        response.end(bytes.subarray(start));
      }
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    await pin(Object.fromEntries(Object.entries(RELEASES).map(([platform, bytes]) => [platform, sha256(bytes)])));
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });

  const pin = (sums: Readonly<Record<string, string>>) =>
    writeFile(
      join(folder, 'pin'),
      Object.entries(sums)
        .map(([platform, sum]) => `${sum}  ${nameOf(platform)}\n`)
        .join(''),
    );
  const url = () => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('it does not listen');
    return `http://127.0.0.1:${address.port}`;
  };
  const mirror = (...more: string[]) =>
    shr(['runner-dist', 'mirror', '--to', 'mirror', '--pin-file', 'pin', '--from', `${url()}/`, ...more], folder);
  const place = (version = VERSION) => join(folder, 'mirror', `v${version}`);
  const files = () => readdir(place());
  const part = (platform: string) => join(place(), `.${nameOf(platform)}.0123456789ab.part`);

  /** As a process leaves it that was killed. */
  async function leave(platform: string, bytes: Buffer, secondsAgo = 600): Promise<void> {
    await mkdir(place(), { recursive: true });
    await writeFile(part(platform), bytes);
    const at = Date.now() / 1000 - secondsAgo;
    await utimes(part(platform), at, at);
  }

  it('downloads both, as GitHub lays them out, and leaves them the next time', async () => {
    const first = await mirror();
    expect(first.error).to.equal('');
    expect(first.out).to.equal(
      [
        `mirror/v${VERSION}/${nameOf('linux-arm64')}: downloaded, checksum verified`,
        `mirror/v${VERSION}/${nameOf('linux-x64')}: downloaded, checksum verified`,
        'build with it: MIRROR=mirror make image',
        '',
      ].join('\n'),
    );
    expect(first.code).to.equal(0);
    expect(await files()).to.have.members([nameOf('linux-arm64'), nameOf('linux-x64')]);
    for (const [platform, bytes] of Object.entries(RELEASES)) {
      expect(await readFile(join(place(), nameOf(platform)))).to.deep.equal(bytes);
    }
    const asked = calls.length;
    expect((await mirror()).out).to.include(`${nameOf('linux-x64')}: there already, checksum verified`);
    expect(calls.length).to.equal(asked);
  });

  it('replaces a file that is not the release', async () => {
    await mkdir(place(), { recursive: true });
    await writeFile(join(place(), nameOf('linux-x64')), 'not the release');
    expect((await mirror()).code).to.equal(0);
    expect(await readFile(join(place(), nameOf('linux-x64')))).to.deep.equal(RELEASES['linux-x64']);
  });

  it('goes on where it was interrupted, and leaves nothing beside the releases', async () => {
    const bytes = RELEASES['linux-x64'] ?? Buffer.alloc(0);
    await leave('linux-x64', bytes.subarray(0, 150_000));
    expect((await mirror()).code).to.equal(0);
    expect(calls).to.include(`/v${VERSION}/${nameOf('linux-x64')} bytes=150000-`);
    expect(await files()).to.have.members([nameOf('linux-arm64'), nameOf('linux-x64')]);
  });

  it('goes on in one run where the connection is lost', async () => {
    const bytes = RELEASES['linux-x64'] ?? Buffer.alloc(0);
    let broken = false;
    instead = ({ url: path = '' }, response) => {
      if (broken || !path.includes('linux-x64')) return false;
      broken = true;
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 100));
      return true;
    };
    expect((await mirror()).code).to.equal(0);
    expect(calls.at(-1)).to.match(/linux-x64.* bytes=\d+-$/);
  });

  it('takes what is there in full after an interruption just before its end', async () => {
    await leave('linux-x64', RELEASES['linux-x64'] ?? Buffer.alloc(0));
    expect((await mirror()).code).to.equal(0);
    expect(calls.at(-1)).to.match(/bytes=200000-$/);
  });

  it('begins again where the server knows no ranges', async () => {
    await leave('linux-x64', Buffer.alloc(150_000, 'rubbish'));
    instead = ({ url: path = '' }, response) => {
      if (!path.includes('linux-x64')) return false;
      response.end(RELEASES['linux-x64']);
      return true;
    };
    expect((await mirror()).code).to.equal(0);
  });

  it('does not write to what another process is writing', async () => {
    await leave('linux-x64', Buffer.from('of another process'), 5);
    expect((await mirror()).code).to.equal(0);
    expect(await readFile(part('linux-x64'), 'utf8')).to.equal('of another process');
  });

  it('refuses what does not have the pinned checksum, keeps none of it, and says so', async () => {
    await pin({ 'linux-arm64': 'a'.repeat(64), 'linux-x64': sha256(RELEASES['linux-x64'] ?? Buffer.alloc(0)) });
    const { code, error } = await mirror();
    expect(error).to.match(
      /^shr: actions-runner-linux-arm64\S+ from http:\S+ is not the release with the checksum a{64}\n$/,
    );
    expect(code).to.equal(1);
    expect(await files()).to.deep.equal([]);
  });

  it('does not take a rest with a wrong beginning for the release', async () => {
    await leave('linux-x64', Buffer.alloc(150_000, 'rubbish'));
    const { code, error } = await mirror();
    expect(error).to.include('is not the release');
    expect(code).to.equal(1);
    // It was thrown away: the next run begins anew.
    expect((await mirror()).code).to.equal(0);
  });

  it('takes no more than a release has', async () => {
    instead = (_, response) => {
      response.writeHead(200, { 'content-length': 2 ** 31 });
      response.write('x');
      return true;
    };
    const { code, error } = await mirror();
    expect(error).to.include('is larger than 1024 MiB');
    expect(code).to.equal(1);
  });

  it('says what the server answers', async () => {
    instead = (_, response) => {
      response.writeHead(403).end();
      return true;
    };
    const { error } = await mirror();
    expect(error).to.match(/^shr: http:\S+linux-arm64\S+ answers 403\n$/);
  });

  it('says what to do without a pin, or with a pin of one architecture', async () => {
    await writeFile(join(folder, 'pin'), '# nothing\n');
    expect((await mirror()).error).to.include(
      'pin pins no release: run `shr runner-dist pin`, or name one with --version',
    );
    await pin({ 'linux-x64': 'a'.repeat(64) });
    expect((await mirror()).error).to.include(`there is not one checksum of runner ${VERSION} for linux-arm64, but 0`);
    expect(calls).to.deep.equal([]);
  });

  it('says that the folder cannot be written', async () => {
    await writeFile(join(folder, 'mirror'), 'a file');
    const { code, error } = await mirror();
    expect(error).to.match(/^shr: E(NOTDIR|EXIST)/);
    expect(code).to.equal(1);
  });

  it('downloads from no plain address but of this machine', async () => {
    const { code, error } = await mirror('--from', 'http://mirror.example.com/runner');
    expect(error).to.include('--from wants https://HOST/PATH');
    expect(code).to.equal(2);
  });

  describe('of another release than the pinned one', () => {
    const OTHER = '2.339.0';
    const assets = () =>
      Object.entries(RELEASES).map(([platform, bytes]) => ({
        name: nameOf(platform, OTHER),
        digest: `sha256:${sha256(bytes)}`,
      }));
    function answer(text: string): void {
      instead = ({ url: path = '' }, response) => {
        if (!path.startsWith('/repos/actions/runner/releases/tags/')) return false;
        response.end(text);
        return true;
      };
    }
    const ofOther = () => mirror('--version', OTHER, '--api', url());

    it('takes the checksums that GitHub shows for it', async () => {
      answer(JSON.stringify({ tag_name: `v${OTHER}`, assets: [...assets(), { name: 'notes.txt', digest: null }] }));
      const { code } = await ofOther();
      expect(calls[0]).to.equal(`/repos/actions/runner/releases/tags/v${OTHER}`);
      expect(code).to.equal(0);
      expect(await readFile(join(place(OTHER), nameOf('linux-x64', OTHER)))).to.deep.equal(RELEASES['linux-x64']);
    });

    for (const [what, text, words] of [
      ['no release', '<html>', 'does not answer with a release'],
      [
        'a release without checksums',
        JSON.stringify({ tag_name: `v${OTHER}`, assets: [{ name: nameOf('linux-x64', OTHER) }] }),
        'not one checksum',
      ],
      [
        'names that are paths',
        JSON.stringify({ tag_name: `v${OTHER}`, assets: [{ name: '../../x', digest: `sha256:${'a'.repeat(64)}` }] }),
        'not one checksum',
      ],
      ['another release', JSON.stringify({ tag_name: 'v2.1.0', assets: assets() }), 'not one checksum'],
      ['more than fits', `"${'x'.repeat(5 * 2 ** 20)}"`, 'tags/v'],
    ] as const) {
      it(`downloads nothing where it answers with ${what}`, async () => {
        answer(text);
        const { code, error } = await ofOther();
        expect(error).to.include(words);
        expect(code).to.equal(1);
        expect(await stat(place(OTHER)).catch(() => undefined)).to.equal(undefined);
      });
    }

    it('downloads nothing where there is no such release', async () => {
      instead = (_, response) => {
        response.writeHead(404).end();
        return true;
      };
      expect((await ofOther()).error).to.include('there is no such release');
    });
  });

  describe('and shr runner-dist pin --public', () => {
    const pinPublic = (...more: string[]) =>
      shr(['runner-dist', 'pin', '--public', '--api', url(), '--into', 'pin', ...more], folder);

    function newest(answer: object): void {
      instead = ({ url: path = '' }, response) => {
        expect(path).to.equal('/repos/actions/runner/releases/latest');
        response.end(JSON.stringify(answer));
        return true;
      };
    }
    const asset = (platform: string) => ({ name: nameOf(platform, '2.339.0'), digest: `sha256:${'c'.repeat(64)}` });

    it('pins the newest release without credentials, and the mirror takes it from there', async () => {
      newest({ tag_name: 'v2.339.0', assets: ['linux-x64', 'linux-arm64', 'win-x64'].map(asset) });
      expect((await pinPublic()).out).to.equal('runner 2.339.0 is pinned in pin; build with: make image\n');
      expect((await readFile(join(folder, 'pin'), 'utf8')).split('\n').slice(2)).to.deep.equal([
        `${'c'.repeat(64)}  ${nameOf('linux-arm64', '2.339.0')}`,
        `${'c'.repeat(64)}  ${nameOf('linux-x64', '2.339.0')}`,
        '',
      ]);
    });

    it('pins nothing where a checksum is missing, or the file belongs to another release', async () => {
      const before = await readFile(join(folder, 'pin'), 'utf8');
      newest({ tag_name: 'v2.339.0', assets: [asset('linux-x64'), { name: nameOf('linux-arm64', '2.339.0') }] });
      expect((await pinPublic()).error).to.equal('shr: GitHub offers no runner for linux-arm64; nothing was written\n');
      newest({ tag_name: 'v2.340.0', assets: ['linux-x64', 'linux-arm64'].map(asset) });
      expect((await pinPublic()).code).to.equal(1);
      expect(await readFile(join(folder, 'pin'), 'utf8')).to.equal(before);
    });

    it('is asked with a registration or without, and not both', async () => {
      const { code, error } = await pinPublic('--registration', 'acme');
      expect(error).to.include('name a registration whose credentials to ask with (--registration), or ask without');
      expect(code).to.equal(2);
    });
  });
});
