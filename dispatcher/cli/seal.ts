/** `shr seal`: secrets that a tenant writes into its own registration, in a pull request that others can read. */
import { writeFile } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { Command } from 'commander';
import { readYaml } from '../config/document.ts';
import { errorCode, fileProblem, systemFiles } from '../config/files.ts';
import { DISPATCHER_BOUNDS } from '../config/load.ts';
import { dispatcherFile, NAME } from '../config/schema.ts';
import {
  MAX_SEALED_VALUE_BYTES,
  newKeyPair,
  parsePublicKey,
  publicKeyText,
  type SealingKey,
  seal,
} from '../config/sealing.ts';
import { nearest } from '../labels/nearest.ts';
import { configurationFiles, exportedPlatform } from './configuration-files.ts';
import { folderProblem, makeFolder } from './make-folder.ts';
import { printable } from './output.ts';
import { secretWarning, unknownNameWarning } from './seal/warnings.ts';
import { shownPath } from './shown-path.ts';
import type { CommandModule, Terminal } from './terminal.ts';

interface SealOptions {
  readonly registration: string;
  readonly field: string;
  readonly publicKey?: string;
  readonly folder: string;
  readonly config?: string;
}

/** Where a registration has secrets, indexes left out; those below `backends.options` are the provider's to name. */
const FIELDS = [
  'credentials.token',
  'credentials.app.privateKey',
  'credentials.furtherApps.privateKey',
  'webhook.secrets',
];
const OPTIONS = 'backends.options.';

const FOLDER = 'the folder with dispatcher.yaml or platform.json';
const CONFIG = 'a dispatcher.yaml or platform.json outside that folder';
const NAME_FOLDER = 'Name the folder that has one of them, or the file with --config';
const NAME_KEY =
  'Give the platform’s public key with --public-key, or name the folder with --folder or the file with --config';

export const createCommand: CommandModule['createCommand'] = (terminal) => {
  const value = new Command('value')
    .description(
      'read a secret from standard input, and print it sealed for one field of one registration (the default)',
    )
    .requiredOption('--registration <name>', 'the registration, by the name of its file')
    .requiredOption(
      '--field <path>',
      'where it will stand: credentials.token, webhook.secrets, backends.options.NAME …',
    )
    .option('--public-key <key>', 'of the platform, x25519:… (default: that of dispatcher.yaml or platform.json)')
    .option('--folder <folder>', FOLDER, '.')
    .option('--config <file>', CONFIG);
  value.action((options: SealOptions) => sealValue(options, value, terminal));
  const keygen = new Command('keygen')
    .description("make the platform's key pair: the private key goes into a file, the public one is printed")
    .argument('[folder]', 'the folder with dispatcher.yaml', '.')
    .option('--private-key <file>', 'the file to write (default: secrets/sealing-ID.pem)');
  keygen.action((folder: string, { privateKey }: { readonly privateKey?: string }) =>
    makeKeys(folder, privateKey, terminal),
  );
  const key = new Command('key')
    .description('print the public key that seals now, for tenants without these files: they give it with --public-key')
    .argument('[folder]', FOLDER, '.')
    .option('--config <file>', CONFIG);
  key.action(async (folder: string, options: { readonly config?: string }) => {
    const found = await publishedKey({ ...options, folder }, NAME_FOLDER, terminal);
    if (found === undefined) return;
    terminal.out(`${publicKeyText(found)}\n`);
    terminal.exit(0);
  });
  return new Command().addCommand(value, { isDefault: true }).addCommand(keygen).addCommand(key);
};

async function sealValue(options: SealOptions, command: Command, terminal: Terminal): Promise<void> {
  const { registration } = options;
  if (!NAME.test(registration)) {
    return command.error(
      `error: '${registration}' is not a registration's name: 1 to 32 lower-case letters, digits and inner hyphens`,
    );
  }
  const field = knownField(options.field);
  if (field === undefined) {
    const guess = nearest(withoutIndexes(options.field), FIELDS);
    const cure = guess === undefined ? `it is ${FIELDS.join(', ')} or ${OPTIONS}NAME` : `did you mean '${guess}'?`;
    return command.error(`error: a registration has no secret '${options.field}'; ${cure}`);
  }
  const key =
    options.publicKey === undefined
      ? await publishedKey(options, NAME_KEY, terminal)
      : (parsePublicKey(options.publicKey.trim()) ??
        command.error('error: --public-key is not a public key: copy all of what `shr seal key` prints, x25519:…'));
  if (key === undefined) return;
  if (terminal.ask !== undefined) terminal.error('Paste the secret, then press Enter and Ctrl-D.\n');
  const text = await terminal.input?.(MAX_SEALED_VALUE_BYTES).catch(() => undefined);
  if (text === undefined) {
    return refuse(terminal, `standard input is not a text of at most ${MAX_SEALED_VALUE_BYTES} bytes`);
  }
  // As of a secret's file: `echo` and editors end with a newline that is not part of the token.
  const secret = text.replace(/\r?\n$/, '');
  if (secret.trim() === '') return refuse(terminal, 'standard input is empty: pipe the secret in, or type it');
  for (const warning of await warningsOf(secret, { ...options, field }, terminal)) {
    terminal.error(`shr: note: ${printable(warning)}\n`);
  }
  terminal.out(`\${sealed:${seal(secret, { registration, field: field.split('.') }, key)}}\n`);
  terminal.exit(0);
}

/** Undefined if a registration has no secret there. */
function knownField(text: string): string | undefined {
  const field = withoutIndexes(text);
  const ofOptions =
    field.startsWith(OPTIONS) &&
    field
      .slice(OPTIONS.length)
      .split('.')
      .every((part) => part !== '');
  return ofOptions || FIELDS.includes(field) ? field : undefined;
}

function withoutIndexes(field: string): string {
  return field.replaceAll(/\[\d*\]|\.\d+(?=\.|$)/g, '');
}

async function warningsOf(secret: string, options: SealOptions, terminal: Terminal): Promise<readonly string[]> {
  const { registrationsFolder } = await configurationFiles(resolve(terminal.workingFolder, options.folder), undefined);
  const isKnown = basename(registrationsFolder) === 'registrations';
  return [
    isKnown ? await unknownNameWarning(options.registration, registrationsFolder) : undefined,
    secretWarning(secret, options.field),
  ].filter((warning) => warning !== undefined);
}

/** The one that seals now. Undefined after the reason was printed. */
async function publishedKey(
  { config, folder }: Pick<SealOptions, 'config' | 'folder'>,
  cure: string,
  terminal: Terminal,
): Promise<SealingKey | undefined> {
  const at = (path: string): string => resolve(terminal.workingFolder, path);
  const files = await configurationFiles(at(folder), config === undefined ? undefined : at(config));
  const file = (await exportedPlatform(files, { config, platform: undefined })) ?? files.dispatcherFile;
  const shown = shownPath(terminal.workingFolder, file);
  let text: string;
  try {
    ({ text } = await systemFiles.read(file, { mostBytes: DISPATCHER_BOUNDS.bytes }));
  } catch (error) {
    const none = config === undefined && errorCode(error) === 'ENOENT';
    const place = shownPath(terminal.workingFolder, at(folder));
    const why = none
      ? `there is neither dispatcher.yaml nor platform.json in ${place === '.' ? 'this folder' : place}`
      : `${shown}: ${fileProblem(error).message}`;
    refuse(terminal, `${why}. ${cure}`);
    return undefined;
  }
  // Its private key is not needed here, and mostly elsewhere.
  const { value, problems } = readYaml(file, text, DISPATCHER_BOUNDS.bytes);
  const section = typeof value === 'object' && value !== null && 'sealing' in value ? value.sealing : undefined;
  const sealing = dispatcherFile.shape.sealing.safeParse(section);
  const inFile = sealing.success ? sealing.data?.keys[0]?.publicKey : undefined;
  // A platform.json has only the public keys.
  const [first]: readonly unknown[] = Array.isArray(section) ? section : [];
  const published = typeof first === 'string' ? first : inFile;
  const key = published === undefined ? undefined : parsePublicKey(published);
  if (key === undefined) {
    const why = problems.length > 0 ? 'it is not valid YAML' : 'it has no valid key in `sealing`';
    refuse(terminal, `${shown}: ${why}. \`shr seal keygen\` makes a key, \`shr validate\` checks the file`);
  }
  return key;
}

async function makeKeys(folder: string, wanted: string | undefined, terminal: Terminal): Promise<void> {
  const { key, privateKeyPem } = newKeyPair();
  const root = resolve(terminal.workingFolder, folder);
  const file =
    wanted === undefined ? join(root, 'secrets', `sealing-${key.id}.pem`) : resolve(terminal.workingFolder, wanted);
  try {
    await makeFolder(dirname(file), 0o700);
    await writeFile(file, privateKeyPem, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return refuse(terminal, `${file} exists already; nothing was written`);
    const problem = await folderProblem(dirname(file), error);
    if (problem === undefined) throw error;
    return refuse(terminal, `${problem.message}. ${problem.cure}`);
  }
  const inside = relative(root, file);
  const reference = inside.startsWith('..') || isAbsolute(inside) ? file : inside;
  terminal.out(`wrote ${relative(terminal.workingFolder, file) || file}, which only the dispatcher may have

Write into dispatcher.yaml, as the first of \`sealing.keys\` (the first one seals, both open):
sealing:
  keys:
    - publicKey: ${publicKeyText(key)}
      privateKey: \${file:${reference}}
`);
  terminal.exit(0);
}

function refuse(terminal: Terminal, words: string): void {
  terminal.error(`shr: ${printable(words)}\n`);
  terminal.exit(1);
}
