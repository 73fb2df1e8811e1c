/** What the watching of a tenant's files looks at: real links in a real folder. */
import { mkdir, mkdtemp, realpath, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { leadsOut, systemFiles } from '../../dispatcher/config/files.ts';
import { Stamps } from '../../dispatcher/config/stamps.ts';

describe('a link in a tenant’s folder', () => {
  let folder: string;
  let stamps: Stamps;
  const token = () => join(folder, 'secrets/b/token');
  const own = () => ({ around: join(folder, 'secrets'), name: 'b' });

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'stamps-')));
    for (const name of ['registrations', 'secrets/b', 'elsewhere'])
      await mkdir(join(folder, name), { recursive: true });
    const registrationsFolder = join(folder, 'registrations');
    stamps = new Stamps({ registrationsFolder, files: systemFiles, now: () => Date.now() + 60_000 });
  });
  afterEach(() => rm(folder, { recursive: true }));

  const target = () => join(folder, 'elsewhere/file');
  async function changes(what: () => Promise<unknown>): Promise<boolean> {
    await stamps.look();
    await stamps.look();
    await what();
    await stamps.look();
    return (await stamps.look()).isChanged;
  }
  const touch = async () => {
    await writeFile(target(), 'more');
    await utimes(target(), 1, 1);
  };

  it('that leads out tells neither whether something is there nor when it changes', async () => {
    await symlink(target(), token());
    stamps.confine(token(), own());
    const absent = stamps.of(token());
    expect(await changes(touch)).to.equal(false);
    expect(stamps.of(token())).to.equal(absent);
    expect(await changes(() => rm(target()))).to.equal(false);
  });

  it('that leads out and is put right counts as a change', async () => {
    await symlink(target(), token());
    stamps.confine(token(), own());
    stamps.of(token());
    const mended = async () => {
      await rm(token());
      await writeFile(token(), 'mine');
    };
    expect(await changes(mended)).to.equal(true);
  });

  it('that stays inside is followed, as Kubernetes makes them', async () => {
    await mkdir(join(folder, 'secrets/b/..1'));
    await writeFile(join(folder, 'secrets/b/..1/token'), 'one');
    await symlink('..1', join(folder, 'secrets/b/..data'));
    await symlink('..data/token', token());
    stamps.confine(token(), own());
    stamps.of(token());
    expect(await changes(() => writeFile(join(folder, 'secrets/b/..1/token'), 'another'))).to.equal(true);
  });

  it('of a file that the platform refers to as well is followed', async () => {
    await writeFile(target(), 'one');
    await symlink(target(), token());
    stamps.confine(token(), null);
    stamps.confine(token(), own());
    stamps.of(token());
    expect(await changes(touch)).to.equal(true);
  });

  it('in the place of a registration’s file is not followed out of the folder, unless it is the platform’s', async () => {
    const file = join(folder, 'registrations/b.yaml');
    await symlink(target(), file);
    await stamps.names();
    stamps.of(file);
    expect(await changes(touch)).to.equal(false);
    stamps.confine(file, null);
    await touch();
    expect(await changes(() => writeFile(target(), 'and more'))).to.equal(true);
  });

  for (const [what, link, to, isOut] of [
    ['up and down again', 'token', '../b/x', true],
    ['within', 'token', './x', false],
    ['to a folder in it and back', 'token', 'sub/../x', false],
    ['to itself', 'token', 'token', false],
    ['by a link that leads out, and back from there', 'token', 'out/../b/x', true],
    ['by an absolute path that climbs', 'token', '/ABSOLUTE/../x', true],
  ] as const) {
    it(`${isOut ? 'leads out' : 'stays inside'} ${what}`, async () => {
      await mkdir(join(folder, 'secrets/b/sub'));
      await symlink('../../elsewhere', join(folder, 'secrets/b/out'));
      await symlink(to.replace('/ABSOLUTE', join(folder, 'secrets/b')), join(folder, 'secrets/b', link));
      expect(leadsOut(token(), own())).to.equal(isOut);
    });
  }
});
