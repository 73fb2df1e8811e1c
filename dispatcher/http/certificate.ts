/** The certificate of a listener that speaks TLS: two PEM files, read again when they change. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Clock } from '../../time/clock.ts';
import { DAY, MINUTE, SECOND } from '../../time/units.ts';
import { type Files, systemFiles } from '../config/files.ts';
import type { Log } from '../log.ts';

export interface CertificateFiles {
  /** Paths of PEM files: the certificate with its chain, and its private key. */
  readonly certificate: string;
  readonly key: string;
}

/** What a TLS server takes. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export interface ListenerCertificateOptions {
  readonly files: CertificateFiles;
  readonly clock: Clock;
  readonly log: Pick<Log, 'info' | 'warn'>;
  read?(path: string): Promise<string>;
}

/** The pair cannot be used. The message names the file, and never quotes it. */
export class CertificateError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CertificateError';
  }
}

/** How often the files are looked at: tools that renew certificates replace them days before the old one ends. */
const LOOK_MS = 30 * SECOND;
/** Let's Encrypt's clients renew 30 days before the end: one that is this close to it was not renewed. */
export const SOON_MS = 14 * DAY;
/** Certificates with long chains have some 10 KB. */
const MOST_BYTES = 1_048_576;

export class ListenerCertificate {
  readonly #options: ListenerCertificateOptions;
  #pair: KeyPair | undefined;
  #trouble: string | undefined;
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(options: ListenerCertificateOptions) {
    this.#options = options;
  }

  /** Rejects with CertificateError. From then on `renewed` is called whenever the files hold another usable pair. */
  async open(renewed: (pair: KeyPair) => void): Promise<KeyPair> {
    const pair = await this.#read();
    this.#pair = pair;
    this.#warnOfEnd(pair);
    this.#lookLater(renewed);
    return pair;
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  #lookLater(renewed: (pair: KeyPair) => void): void {
    if (this.#closed) return;
    this.#cancel = this.#options.clock.after(LOOK_MS, () => {
      void this.#look(renewed).finally(() => this.#lookLater(renewed));
    });
  }

  /** Between the replacement of one file and of the other the pair does not match: the present one stays. */
  async #look(renewed: (pair: KeyPair) => void): Promise<void> {
    const { files, log } = this.#options;
    try {
      const pair = await this.#read();
      this.#trouble = undefined;
      if (pair.cert !== this.#pair?.cert || pair.key !== this.#pair.key) {
        renewed(pair);
        this.#pair = pair;
        log.info('certificate-renewed', { certificate: files.certificate, until: endOf(pair).toISOString() });
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== this.#trouble) {
        log.warn('certificate-unusable', { reason, cure: 'the certificate in use stays: correct the files' });
      }
      this.#trouble = reason;
    }
    if (this.#pair !== undefined) this.#warnOfEnd(this.#pair);
  }

  #warnOfEnd(pair: KeyPair): void {
    const { clock, files, log } = this.#options;
    const end = endOf(pair);
    const leftMs = end.getTime() - clock.now();
    if (leftMs > SOON_MS || clock.now() - this.#warnedAtMs < DAY - MINUTE) return;
    this.#warnedAtMs = clock.now();
    log.warn('certificate-ends', {
      certificate: files.certificate,
      until: end.toISOString(),
      reason: leftMs > 0 ? 'the certificate ends soon' : 'the certificate has ended: GitHub refuses to deliver to it',
      cure: 'replace the files: they are read again without a restart',
    });
  }

  #read(): Promise<KeyPair> {
    const { files, read } = this.#options;
    return readKeyPair(files, read);
  }
}

/** Rejects with CertificateError. */
export async function readKeyPair(
  files: CertificateFiles,
  read = (path: string) => readCertificateFile(systemFiles, path),
): Promise<KeyPair> {
  const [cert, key] = await Promise.all([textOf(files.certificate, read), textOf(files.key, read)]);
  const certificate = parsed(() => new X509Certificate(cert), `${files.certificate} is not a PEM certificate`);
  const privateKey = parsed(() => createPrivateKey(key), `${files.key} is not a PEM private key without a password`);
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new CertificateError(`${files.key} is not the private key of ${files.certificate}`);
  }
  return { cert, key };
}

export async function readCertificateFile(files: Pick<Files, 'read'>, path: string): Promise<string> {
  return (await files.read(path, { mostBytes: MOST_BYTES })).text;
}

async function textOf(path: string, read: (path: string) => Promise<string>): Promise<string> {
  try {
    return await read(path);
  } catch (error) {
    throw new CertificateError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** OpenSSL's own words would say where in the file it stopped, and nothing else that helps. */
function parsed<T>(parse: () => T, problem: string): T {
  try {
    return parse();
  } catch {
    throw new CertificateError(problem);
  }
}

export function endOf({ cert }: KeyPair): Date {
  return new Date(new X509Certificate(cert).validTo);
}
