/** `sealing` of dispatcher.yaml, and what a sealed value in a registration's file stands for. */
import type { KeyObject } from 'node:crypto';
import type { Path } from '../model/problem.ts';
import type { Resolution, SealedReach } from './reach.ts';
import type { Reading } from './reading.ts';
import { dispatcherFile } from './schema.ts';
import { fieldOf, keyIdIn, open, parsePrivateKey, parsePublicKey, type SealingKey } from './sealing.ts';

/** The first one seals; all of them open. */
export type SealingKeys = readonly (SealingKey & {
  /** Undefined: this machine does not have it. */
  readonly privateKey: KeyObject | undefined;
})[];

/** Undefined without the section. */
export function readSealing(reading: Reading): SealingKeys | undefined {
  const file = reading.section(['sealing'], dispatcherFile.shape.sealing);
  if (file === undefined) return undefined;
  return file.keys.flatMap((entry, index) => {
    const path = ['sealing', 'keys', index];
    const key = parsePublicKey(entry.publicKey);
    const privateKey = readPrivateKey(reading, [...path, 'privateKey'], entry.privateKey, key);
    if (key !== undefined) return [{ ...key, privateKey }];
    reading.problem(
      [...path, 'publicKey'],
      'it is not a public key of `shr seal keygen`',
      'Copy the whole line that it printed, `x25519:…`.',
    );
    return [];
  });
}

function readPrivateKey(reading: Reading, path: Path, pem: string, key: SealingKey | undefined): KeyObject | undefined {
  if (reading.unresolved(path)) return undefined;
  const secret = reading.secret(path, pem.includes('\n') ? pem : pem.replaceAll('\\n', '\n'));
  if (!reading.isReference(path)) return undefined;
  const found = parsePrivateKey(secret.reveal());
  if (found === undefined) {
    reading.problem(
      path,
      'the reference does not resolve to a private key of X25519 in PEM format',
      'Use the file that `shr seal keygen` wrote.',
    );
  } else if (key !== undefined && found.key.id !== key.id) {
    reading.problem(
      path,
      'it is not the private key of `publicKey`',
      'Write both as `shr seal keygen` made them together.',
    );
  }
  return found?.privateKey;
}

/** Not `complete`: there is no dispatcher.yaml, or it has problems of its own. Without `config` it is an exported one. */
export function sealedReach(
  registration: string,
  {
    sealing,
    complete,
    config,
  }: { readonly sealing: SealingKeys | undefined; readonly complete: boolean; readonly config: unknown },
): SealedReach {
  const keys = complete ? (sealing ?? []) : undefined;
  const isExport = config === undefined;
  return { open: (text, path) => opened(text, { registration, field: fieldOf(path) }, { keys, isExport }) };
}

const WHERE_THE_KEY_IS = 'Run `shr validate --secrets` where the platform’s private key is.';
const THE_DISPATCHER_OPENS_IT = 'Nothing has to be done here: the dispatcher opens it.';

const CUT = {
  outcome: 'wrong',
  message: 'the sealed value is incomplete, or not one that `shr seal` printed',
  cure: 'Copy all of its output, or seal the secret again.',
} as const;

function opened(
  text: string,
  place: { readonly registration: string; readonly field: readonly string[] },
  { keys, isExport }: { readonly keys: SealingKeys | undefined; readonly isExport: boolean },
): Resolution {
  const id = keyIdIn(text);
  if (id === undefined) return CUT;
  if (keys === undefined) {
    return {
      outcome: 'absent',
      message: 'the sealed value was not opened: there is no dispatcher.yaml here with the key',
      cure: WHERE_THE_KEY_IS,
      asNote: {
        message:
          'it is sealed and looks whole; for which keys it may be is not known without dispatcher.yaml or platform.json',
        cure: THE_DISPATCHER_OPENS_IT,
      },
    };
  }
  const key = keys.find((one) => one.id === id);
  if (key === undefined) {
    const present = keys.map((one) => one.id).join(', ');
    return {
      outcome: 'wrong',
      message: `it was sealed for the key ${id}, and dispatcher.yaml has ${present === '' ? 'no `sealing.keys`' : present}`,
      cure: 'Seal the secret again, for the public key that the platform publishes now.',
    };
  }
  if (key.privateKey === undefined) {
    return {
      outcome: 'absent',
      message: `the private key ${id} is not here to open it`,
      cure: isExport ? WHERE_THE_KEY_IS : 'Provide it as dispatcher.yaml says in `sealing.keys`.',
      asNote: {
        message: `it is sealed for the platform’s key ${id} and looks whole, which is all that can be checked without the private key`,
        cure: THE_DISPATCHER_OPENS_IT,
      },
    };
  }
  const found = open(text, place, { key, privateKey: key.privateKey });
  if (found.ok) return { outcome: 'value', value: found.value };
  if (found.why === 'unreadable') return CUT;
  const field = place.field.join('.');
  return {
    outcome: 'wrong',
    message: `it does not open as \`${field}\` of registration \`${place.registration}\`: it was sealed for another registration or field, or changed since`,
    cure: `Seal the secret again: \`shr seal --registration ${place.registration} --field ${field}\`.`,
  };
}
