/** A public listener that speaks TLS, with real sockets and certificates. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { expect } from 'chai';
import { CertificateError, ListenerCertificate } from '../../dispatcher/http/certificate.ts';
import { createPublicListener, type PublicListener } from '../../dispatcher/http/public.ts';
import { createIntake } from '../../dispatcher/intake/webhook.ts';
import { makeCertificate } from '../../simulators/azure-aci/certificate.ts';
import { systemClock } from '../../time/clock.ts';
import { DAY, SECOND } from '../../time/units.ts';
import { VirtualClock } from '../github/virtual-clock.ts';
import { Counts, exampleBody, LogLines, nextGuid, plainEndpoint, Recorder, sign } from '../intake/intake-fixture.ts';

const LOOK_MS = 30 * SECOND;

describe('a public listener with a certificate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shr-tls-'));
  const files = { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
  const first = makeCertificate();
  let clock: VirtualClock;
  let log: LogLines;
  let recorder: Recorder;
  let listener: PublicListener;
  let port: number;

  function put(pair: Partial<ReturnType<typeof makeCertificate>>): void {
    if (pair.certificate !== undefined) writeFileSync(files.certificate, pair.certificate);
    if (pair.privateKey !== undefined) writeFileSync(files.key, pair.privateKey);
  }

  beforeEach(async () => {
    put(first);
    clock = new VirtualClock(Date.now());
    log = new LogLines();
    recorder = new Recorder();
    const metrics = new Counts();
    const endpoint = plainEndpoint();
    const intake = createIntake({
      ...{ ledger: recorder, clock: systemClock, log, metrics },
      endpoints: () => [endpoint],
      registrations: () => [],
      onRecorded: () => {},
    });
    listener = createPublicListener({
      ...{ intake, clock: systemClock, metrics },
      certificate: new ListenerCertificate({ files, clock, log }),
      limits: { maxUnfinishedPerAddress: 2 },
    });
    port = await listener.listen('127.0.0.1', 0);
  });
  afterEach(() => listener.close(0));
  after(() => rmSync(folder, { recursive: true }));

  function deliver(ca: string): Promise<number> {
    const body = exampleBody();
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          ...{ host: '127.0.0.1', port, ca, method: 'POST', path: '/webhooks/github', agent: false },
          headers: {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(body),
            'x-github-delivery': nextGuid(),
            'x-github-event': 'workflow_job',
            'x-hub-signature-256': sign(body),
          },
        },
        (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode ?? 0));
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  /** The certificate that a new connection sees. */
  function shown(): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
        resolve(`-----BEGIN CERTIFICATE-----${socket.getPeerCertificate().raw.toString('base64')}`);
        socket.destroy();
      });
      socket.on('error', reject);
    });
  }
  const flat = (pem: string) => pem.replace(/\n|-----END CERTIFICATE-----/g, '');

  /** The files are read by the system meanwhile. */
  async function lookAgain(until: () => boolean): Promise<void> {
    await clock.advance(LOOK_MS);
    while (!until()) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const events = () => log.lines.map(({ event }) => event);

  it('takes deliveries of a sender that trusts it', async () => {
    expect(await deliver(first.certificate)).to.equal(202);
    expect(recorder.recorded).to.have.length(1);
  });

  it('answers plain HTTP with nothing, and goes on', async () => {
    const said = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connectPlain(port, '127.0.0.1', () => socket.write('POST / HTTP/1.1\r\nHost: a\r\n\r\n'));
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve(text));
    });
    expect(said).not.to.include('HTTP/1.1');
    expect(await deliver(first.certificate)).to.equal(202);
  });

  it('takes up a renewed certificate without a restart, when both files have been replaced', async () => {
    const second = makeCertificate();
    put({ certificate: second.certificate });
    await lookAgain(() => events().includes('certificate-unusable'));
    expect(flat(await shown())).to.equal(flat(first.certificate));
    put({ privateKey: second.privateKey });
    await lookAgain(() => events().includes('certificate-renewed'));
    expect(flat(await shown())).to.equal(flat(second.certificate));
    expect(await deliver(second.certificate)).to.equal(202);
  });

  it('says once that the files are unusable, and keeps the certificate that it has', async () => {
    put({ certificate: 'not a certificate' });
    await lookAgain(() => events().includes('certificate-unusable'));
    await clock.advance(LOOK_MS);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(events().filter((event) => event === 'certificate-unusable')).to.have.length(1);
    expect(JSON.stringify(log.lines)).to.include(`${files.certificate} is not a PEM certificate`);
    expect(await deliver(first.certificate)).to.equal(202);
  });

  it('takes a connection from a port whose last one was only just reset', async () => {
    const reset = connectPlain({ port, host: '127.0.0.1' });
    await new Promise((resolve) => reset.once('connect', resolve));
    await deliver(first.certificate);
    const { localPort = 0 } = reset;
    const closed = new Promise((resolve) => reset.once('close', resolve));
    // The listener finds the end of the one and the beginning of the other in one turn.
    reset.resetAndDestroy();
    const socket = connect({
      socket: connectPlain({ port, host: '127.0.0.1', localPort }),
      host: '127.0.0.1',
      ca: first.certificate,
    });
    const end = await new Promise((resolve) => {
      socket.once('error', resolve).once('close', () => resolve('closed'));
      socket.once('data', (answer) => resolve(answer.toString().split('\r\n')[0]));
      socket.once('secureConnect', () => socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    });
    socket.destroy();
    await closed;
    expect(end).to.equal('HTTP/1.1 404 Not Found');
  });

  it('counts a connection before its handshake: the oldest of an address gives way', async () => {
    const idle = [0, 1, 2].map(() => connectPlain(port, '127.0.0.1'));
    await new Promise((resolve) => idle[0]?.on('error', () => {}).on('close', resolve));
    for (const socket of idle) socket.destroy();
  });
});

describe('the certificate of a listener', () => {
  const { certificate, privateKey } = makeCertificate();
  const other = makeCertificate();

  async function opened(cert: string, key: string, nowMs = Date.now()): Promise<LogLines> {
    const log = new LogLines();
    const one = new ListenerCertificate({
      files: { certificate: 'tls.crt', key: 'tls.key' },
      clock: new VirtualClock(nowMs),
      log,
      read: async (path) => (path === 'tls.crt' ? cert : key),
    });
    try {
      await one.open(() => {});
    } finally {
      one.close();
    }
    return log;
  }
  async function problemOf(cert: string, key: string): Promise<string> {
    try {
      await opened(cert, key);
    } catch (error) {
      if (error instanceof CertificateError) return error.message;
      throw error;
    }
    throw new Error('it was taken');
  }

  it('must be one, with its own key', async () => {
    expect(await problemOf('canary', privateKey)).to.equal('tls.crt is not a PEM certificate');
    expect(await problemOf(certificate, 'canary')).to.equal('tls.key is not a PEM private key without a password');
    expect(await problemOf(certificate, other.privateKey)).to.equal('tls.key is not the private key of tls.crt');
  });

  it('is warned of 14 days before its end, and after it', async () => {
    expect((await opened(certificate, privateKey, Date.now() + 350 * DAY)).lines).to.deep.equal([]);
    const soon = await opened(certificate, privateKey, Date.now() + 352 * DAY);
    expect(soon.lines).to.have.length(1);
    expect(JSON.stringify(soon.lines)).to.include('ends soon');
    expect(JSON.stringify((await opened(certificate, privateKey, Date.now() + 366 * DAY)).lines)).to.include(
      'has ended',
    );
  });
});
