/** A process that may open few files, and strangers who would take them all. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'chai';
import { connectionShares, openFilesLimit } from '../../dispatcher/http/open-files.ts';
import { secret, send } from '../intake/intake-fixture.ts';

const PROGRAM = new URL('../../dispatcher/cli/shr.mjs', import.meta.url).pathname;

const configuration = `
id: few-files
adminToken: \${env:ADMIN_TOKEN}
listen: { public: '127.0.0.1:0', admin: '127.0.0.1:0' }
webhooks:
  - secrets: ['\${env:WEBHOOK_SECRET}']
    owners: ['*']
`;

interface Line {
  readonly event: string;
  readonly publicPort: number;
  readonly adminPort: number;
  readonly [field: string]: unknown;
}

/** `shr serve` under a hard limit of open files, until it listens. */
async function serve(
  folder: string,
  openFiles: number,
): Promise<{ child: ChildProcess; lines: Line[]; started: Line }> {
  const command = `ulimit -n ${openFiles}; exec "$0" "$@"`;
  const child = spawn('sh', ['-c', command, process.execPath, PROGRAM, 'serve', folder], {
    env: { PATH: process.env['PATH'], ADMIN_TOKEN: 'a token of the admins', WEBHOOK_SECRET: secret },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const lines: Line[] = [];
  for await (const text of createInterface({ input: child.stdout })) {
    const line = JSON.parse(text) as Line;
    lines.push(line);
    if (line.event === 'started') {
      child.stdout.resume();
      return { child, lines, started: line };
    }
  }
  throw new Error(`it did not start: ${JSON.stringify(lines)}`);
}

describe('open files', function () {
  this.timeout(60_000);

  it('leave room for everything else when strangers open more connections than there are files', async function () {
    if (process.platform !== 'linux') this.skip();
    const folder = await mkdtemp(join(tmpdir(), 'shr-few-files-'));
    await mkdir(join(folder, 'registrations'));
    await writeFile(join(folder, 'dispatcher.yaml'), configuration);
    const { child, lines, started } = await serve(folder, 512);
    const sockets: Socket[] = [];
    const agent = new Agent();
    try {
      expect(lines.find(({ event }) => event === 'few-open-files')).to.include({ openFiles: 512, connections: 256 });
      const idle = (await readdir(`/proc/${child.pid}/fd`)).length;
      for (let index = 0; index < 600; index += 1) {
        const port = index % 4 === 0 ? started.adminPort : started.publicPort;
        const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${1 + (index % 3)}` });
        sockets.push(socket.on('error', () => {}).resume());
        await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
      }
      expect((await send(started.publicPort, agent, {})).status).to.equal(202);
      expect((await fetch(`http://127.0.0.1:${started.adminPort}/readyz`)).status).to.equal(200);
      const held = (await readdir(`/proc/${child.pid}/fd`)).length;
      expect(held - idle).to.be.within(250, 384 + 32);
    } finally {
      for (const socket of sockets) socket.destroy();
      agent.destroy();
      child.kill();
      await once(child, 'exit');
      await rm(folder, { recursive: true });
    }
  });

  for (const [openFiles, connections, backlog, admin] of [
    [Number.POSITIVE_INFINITY, 2_048, 4_096, 128],
    [8_192, 2_048, 4_096, 128],
    [4_096, 2_048, 1_024, 128],
    [1_024, 512, 256, 32],
  ] as const) {
    it(`are shared: of ${openFiles} the public listener may hold ${connections}, and a quarter is left alone`, () => {
      expect(connectionShares(openFiles)).to.deep.equal({
        public: { maxConnections: connections, backlog },
        admin: { maxConnections: admin },
      });
    });
  }

  for (const [what, text, limit] of [
    ['the soft limit', 'Max open files            1024                 524288               files     \n', 1_024],
    ['without end', 'Max open files            unlimited            unlimited            files     \n', Infinity],
    ['not told', 'Max processes             62987                62987                processes \n', Infinity],
  ] as const) {
    it(`have the limit that the system tells: ${what}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'shr-limits-'));
      try {
        await writeFile(join(folder, 'limits'), text);
        expect(await openFilesLimit(join(folder, 'limits'))).to.equal(limit);
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }

  it('are unlimited where the system does not say', async () => {
    expect(await openFilesLimit(join(tmpdir(), 'shr-no-such-file'))).to.equal(Number.POSITIVE_INFINITY);
  });
});
