import { expect } from 'chai';
import { type Stamp, Stamps } from '../../dispatcher/config/stamps.ts';

const FOLDER = '/etc/shr/registrations';

describe('the versions of files', () => {
  let found: Map<string, Stamp>;
  let listable: boolean;
  let now: number;
  let stamps: Stamps;

  beforeEach(() => {
    found = new Map([[`${FOLDER}/acme.yaml`, { text: '1', changedAtMs: 0 }]]);
    listable = true;
    now = 1_000_000;
    stamps = new Stamps({
      registrationsFolder: FOLDER,
      files: {
        list: async () => {
          if (!listable) throw new Error('not now');
          return [...found.keys()]
            .filter((path) => path.startsWith(FOLDER))
            .map((path) => path.slice(FOLDER.length + 1));
        },
      },
      now: () => now,
      stampNow: (path) => found.get(path),
    });
  });

  const put = (name: string, text: string, changedAtMs = 0) => found.set(`${FOLDER}/${name}`, { text, changedAtMs });
  const look = async () => {
    const { isChanged, isPending } = await stamps.look();
    return isChanged ? 'changed' : isPending ? 'pending' : 'same';
  };

  it('are those of the start, until two looks have found another one the same', async () => {
    expect(await stamps.names()).to.deep.equal(['acme.yaml']);
    const first = stamps.of(`${FOLDER}/acme.yaml`);
    expect(await look()).to.equal('same');
    put('acme.yaml', '2');
    expect(await look()).to.equal('pending');
    expect(stamps.of(`${FOLDER}/acme.yaml`)).to.equal(first);
    put('acme.yaml', '3');
    expect(await look(), 'it is still being written').to.equal('pending');
    expect(await look()).to.equal('changed');
    expect(stamps.of(`${FOLDER}/acme.yaml`)).to.not.equal(first);
    expect(await look()).to.equal('same');
  });

  it('of one file do not wait for another that is written all the time', async () => {
    await stamps.names();
    for (const name of ['acme.yaml', 'busy.yaml']) stamps.of(`${FOLDER}/${name}`);
    await look();
    put('acme.yaml', '2');
    put('busy.yaml', 'a');
    await look();
    put('busy.yaml', 'b');
    expect(await look()).to.equal('changed');
    expect(await stamps.names(), 'not half of a file').to.deep.equal(['acme.yaml']);
  });

  it('take a file that comes or goes after two looks too', async () => {
    await stamps.names();
    stamps.of(`${FOLDER}/acme.yaml`);
    await look();
    put('emca.yaml', '1');
    expect(await stamps.names()).to.deep.equal(['acme.yaml']);
    await look();
    await look();
    expect(await stamps.names()).to.have.members(['acme.yaml', 'emca.yaml']);
    found.delete(`${FOLDER}/acme.yaml`);
    expect(await look()).to.equal('pending');
    expect(await stamps.names(), 'perhaps it is only being replaced').to.have.members(['acme.yaml', 'emca.yaml']);
    expect(await look()).to.equal('changed');
    expect(await stamps.names()).to.deep.equal(['emca.yaml']);
  });

  it('count at once where an operator asks', async () => {
    await stamps.names();
    stamps.of(`${FOLDER}/acme.yaml`);
    put('acme.yaml', '2');
    expect(await stamps.look(true)).to.deep.equal({ isChanged: true, isPending: false });
  });

  it('change once more for a file that was written shortly before: some file systems count in seconds', async () => {
    await stamps.names();
    stamps.of(`${FOLDER}/acme.yaml`);
    await look();
    put('acme.yaml', '2', now);
    await look();
    expect(await look()).to.equal('changed');
    const young = stamps.of(`${FOLDER}/acme.yaml`);
    now += 2_400;
    expect(await look()).to.equal('same');
    now += 200;
    expect(await look()).to.equal('changed');
    expect(stamps.of(`${FOLDER}/acme.yaml`)).to.not.equal(young);
    now += 60_000;
    expect(await look()).to.equal('same');
  });

  it('change where the folder cannot be listed any more, and again when it can', async () => {
    await stamps.names();
    stamps.of(`${FOLDER}/acme.yaml`);
    await look();
    listable = false;
    expect(await look()).to.equal('changed');
    expect(await look()).to.equal('same');
    listable = true;
    expect(await look()).to.equal('changed');
  });

  it('watch a file that is referred to, wherever it is', async () => {
    await stamps.names();
    const absent = stamps.of('/run/secrets/token');
    await look();
    found.set('/run/secrets/token', { text: '1', changedAtMs: 0 });
    await look();
    expect(await look()).to.equal('changed');
    expect(stamps.of('/run/secrets/token')).to.not.equal(absent);
  });
});
