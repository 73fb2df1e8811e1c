/** Whether the public listener can start with its certificate, and whom callers would find behind it. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { systemFiles } from '../../config/files.ts';
import { CertificateError, endOf, readKeyPair, SOON_MS } from '../../http/certificate.ts';
import type { DispatcherConfig } from '../../model/registration.ts';
import { bad, type DoctorFinding, good, note } from './finding.ts';

type PublicListen = Pick<DispatcherConfig['publicListen'], 'url' | 'tls'>;

export async function checkPublicListener(
  { url, tls }: PublicListen,
  nowMs: number,
): Promise<readonly DoctorFinding[]> {
  if (tls === undefined) return [];
  try {
    const pair = await readKeyPair(tls);
    return [
      endFinding(tls.certificate, endOf(pair), nowMs),
      ...(url === undefined ? [] : hostFindings(tls.certificate, new X509Certificate(pair.cert), new URL(url))),
      ...(await keyFindings(tls.key)),
    ];
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    const cure = 'correct `listen.public.tls` in dispatcher.yaml, or the files: until then `shr serve` does not start';
    return [bad('listener', 'certificate', error.message, cure)];
  }
}

function endFinding(file: string, end: Date, nowMs: number): DoctorFinding {
  const day = end.toISOString().slice(0, 10);
  const leftMs = end.getTime() - nowMs;
  const cure = 'replace the files: the service reads them again without a restart';
  if (leftMs <= 0) return bad('listener', 'certificate', `${file} ended on ${day}: callers refuse it`, cure);
  if (leftMs <= SOON_MS) return note('listener', 'certificate', `${file} ends on ${day}`, cure);
  return good('listener', 'certificate', `${file} is valid until ${day}`);
}

/** Only a note: a proxy with a certificate of its own may stand in between. */
function hostFindings(file: string, certificate: X509Certificate, { hostname }: URL): readonly DoctorFinding[] {
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const names = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host);
  if (names !== undefined) return [];
  const message = `${file} is not for ${host}, the host of \`listen.public.url\``;
  const cure =
    'get a certificate for that host, unless a proxy with one stands in between: runners refuse another, and their jobs wait 5 minutes for an answer';
  return [note('listener', 'certificate', message, cure)];
}

async function keyFindings(file: string): Promise<readonly DoctorFinding[]> {
  const { readableBy } = await systemFiles.read(file, { mostBytes: Number.POSITIVE_INFINITY });
  if (readableBy === 'owner') return [];
  const readers = readableBy === 'everybody' ? 'every user of this machine' : "every member of the file's group";
  return [note('listener', 'certificate', `${readers} may read or change the key ${file}`, `chmod 600 ${file}`)];
}
