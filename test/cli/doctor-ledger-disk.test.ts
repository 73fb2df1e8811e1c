import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { checkLedgerDisk } from '../../dispatcher/cli/doctor/ledger-disk.ts';

const MIB = 1024 * 1024;

describe('shr doctor, about the disk of the ledger', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'doctor-disk-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const withFree = (freeMiB: number) =>
    checkLedgerDisk('/data/ledger.db', async (asked) => {
      expect(asked).to.equal('/data');
      return { bavail: (freeMiB * MIB) / 4096, bsize: 4096 };
    });

  it('finds nothing to complain of from 256 MiB on', async () => {
    const [finding, ...more] = await withFree(256);
    expect(more).to.deep.equal([]);
    expect(finding).to.deep.equal({
      about: 'ledger',
      subject: 'disk',
      ok: true,
      message: '256 MiB free for /data/ledger.db',
    });
  });

  it('says below that what to do, before it is full', async () => {
    const [finding] = await withFree(255.9);
    expect(finding).to.include({ ok: false, message: '255 MiB free for /data/ledger.db: less than 256 MiB' });
    expect(finding?.cure).to.include('free space there').and.include('`ledger`').and.include('`retention`');
  });

  it('looks at the folder above where the one of the ledger will be created', async () => {
    const [finding] = await checkLedgerDisk(join(folder, 'absent', 'data', 'ledger.db'));
    expect(finding?.message).to.match(/^\d+ MiB free for .*absent.data.ledger\.db/);
  });

  it('notes that it could not look', async () => {
    const [finding] = await checkLedgerDisk('/data/ledger.db', () => Promise.reject(new Error('EACCES: not for you')));
    expect(finding).to.include({ ok: true, note: true });
    expect(finding?.message).to.include('/data/ledger.db was not checked: EACCES');
  });

  // Where a process may have a mount namespace of its own, it gets a real disk, of 1 MB.
  const [unshare, ...inNamespace] = ['unshare', '--user', '--map-root-user', '--mount'] as const;
  if (spawnSync(unshare, [...inNamespace, 'mount', '-t', 'tmpfs', 'none', tmpdir()]).status === 0) {
    it('looks at the disk itself', () => {
      const module = new URL('../../dispatcher/cli/doctor/ledger-disk.ts', import.meta.url).pathname;
      const program = `import { checkLedgerDisk } from '${module}';
        console.log(JSON.stringify(await checkLedgerDisk('${folder}/ledger.db')));`;
      const script = 'mount -t tmpfs -o size=1m none "$0" && "$@"';
      const command = ['/bin/sh', '-c', script, folder, process.execPath, '--input-type=module', '-e', program];
      const { stdout } = spawnSync(unshare, [...inNamespace, ...command], { encoding: 'utf8' });
      expect(JSON.parse(stdout)[0]).to.include({
        ok: false,
        message: `1 MiB free for ${folder}/ledger.db: less than 256 MiB`,
      });
    });
  }
});
