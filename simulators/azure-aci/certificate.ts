/**
 * A certificate for this machine, generated on demand: Azure's SDK only supports https. X.509 in DER, without a
 * library.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

export interface Certificate {
  /** PEM; self-signed. */
  readonly certificate: string;
  readonly privateKey: string;
}

/**
 * For 127.0.0.1, ::1 and `host`, valid from a day ago until a year from now. Each has a unique subject: of two CAs with
 * the same name, TLS only uses the first.
 */
export function makeCertificate(host = 'localhost', nowMs = Date.now()): Certificate {
  const name = `azure-aci simulator ${randomBytes(8).toString('hex')}`;
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return signedBy(privateKey, ECDSA_SHA256, name, nowMs, host);
}

/** With an RSA key, for a service principal to sign in with. */
export function makeClientCertificate(name: string, nowMs = Date.now()): Certificate {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return signedBy(privateKey, RSA_SHA256, name, nowMs);
}

function signedBy(key: KeyObject, algorithm: Buffer, name: string, nowMs: number, host = 'localhost'): Certificate {
  const day = 86_400_000;
  const subject = sequence(tlv(0x31, sequence(objectId('2.5.4.3'), tlv(0x0c, Buffer.from(name)))));
  const serial = randomBytes(8);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x01;
  const toBeSigned = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, serial),
    algorithm,
    subject,
    sequence(time(nowMs - day), time(nowMs + 365 * day)),
    subject,
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    tlv(
      0xa3,
      sequence(
        extension('2.5.29.19', true, sequence(tlv(0x01, Buffer.from([0xff])))),
        extension(
          '2.5.29.17',
          false,
          sequence(
            tlv(0x82, Buffer.from(host)),
            tlv(0x87, Buffer.from([127, 0, 0, 1])),
            tlv(0x87, Buffer.concat([Buffer.alloc(15), Buffer.from([1])])),
          ),
        ),
      ),
    ),
  );
  const signature = sign('sha256', toBeSigned, key);
  const whole = sequence(toBeSigned, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
    privateKey: String(key.export({ type: 'pkcs8', format: 'pem' })),
  };
}

function tlv(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, (length >> 8) & 0xff, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [40 * first + second];
  for (const number of rest) {
    const septets = [number & 0x7f];
    for (let left = number >> 7; left > 0; left >>= 7) septets.unshift((left & 0x7f) | 0x80);
    bytes.push(...septets);
  }
  return tlv(0x06, Buffer.from(bytes));
}

/** UTCTime, which ends in 2049. */
function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return tlv(0x17, Buffer.from(text.slice(2)));
}

function extension(id: string, critical: boolean, content: Buffer): Buffer {
  return sequence(objectId(id), ...(critical ? [tlv(0x01, Buffer.from([0xff]))] : []), tlv(0x04, content));
}

const ECDSA_SHA256 = sequence(objectId('1.2.840.10045.4.3.2'));
const RSA_SHA256 = sequence(objectId('1.2.840.113549.1.1.11'), tlv(0x05, Buffer.alloc(0)));
