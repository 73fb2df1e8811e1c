import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { checkPublicListener } from '../../dispatcher/cli/doctor/listener.ts';
import { makeCertificate } from '../../simulators/azure-aci/certificate.ts';
import { DAY } from '../../time/units.ts';

describe('shr doctor, about the certificate of the public listener', () => {
  const nowMs = Date.now();
  const pair = makeCertificate('shr.example.com');
  let folder: string;
  let tls: { certificate: string; key: string };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'doctor-listener-'));
    tls = { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
    await writeFile(tls.certificate, pair.certificate);
    await writeFile(tls.key, pair.privateKey, { mode: 0o600 });
  });
  afterEach(() => rm(folder, { recursive: true }));

  const check = (url?: string, atMs = nowMs) =>
    checkPublicListener({ tls, ...(url === undefined ? {} : { url }) }, atMs);

  it('says nothing of a listener without TLS', async () => {
    expect(await checkPublicListener({ url: 'https://shr.example.com' }, nowMs)).to.deep.equal([]);
  });

  it('says until when it is valid', async () => {
    const [finding, ...more] = await check('https://shr.example.com:8443/a');
    expect(more).to.deep.equal([]);
    expect(finding).to.include({ about: 'listener', subject: 'certificate', ok: true }).and.not.have.property('note');
    expect(finding?.message).to.match(/tls\.crt is valid until \d{4}-\d\d-\d\d/);
  });

  it('says what keeps the service from starting', async () => {
    await writeFile(tls.key, makeCertificate().privateKey);
    expect((await check())[0]?.message).to.include('tls.key is not the private key of');
    await rm(tls.certificate);
    const [finding] = await check();
    expect(finding?.ok).to.equal(false);
    expect(finding?.message).to.include('tls.crt cannot be read');
    expect(finding?.cure).to.include('listen.public.tls').and.include('does not start');
  });

  it('tells of its end two weeks before', async () => {
    const [soon] = await check(undefined, nowMs + 352 * DAY);
    expect(soon).to.include({ ok: true, note: true });
    expect(soon?.message).to.include('ends on');
    const [ended] = await check(undefined, nowMs + 366 * DAY);
    expect(ended).to.include({ ok: false });
    expect(ended?.message).to.include('ended on');
  });

  it('tells where it is not for the host that runners call', async () => {
    const [, finding] = await check('https://elsewhere.example');
    expect(finding).to.include({ ok: true, note: true });
    expect(finding?.message).to.include('is not for elsewhere.example, the host of `listen.public.url`');
    expect(await check('https://127.0.0.1:8443')).to.have.length(1);
    expect(await check('https://[::1]:8443')).to.have.length(1);
    expect(await check('https://127.0.0.2')).to.have.length(2);
  });

  it('tells of a key that others may read', async () => {
    await chmod(tls.key, 0o644);
    const [, finding] = await check();
    expect(finding).to.include({ ok: true, note: true });
    expect(finding?.cure).to.equal(`chmod 600 ${tls.key}`);
  });
});
