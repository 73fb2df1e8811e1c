/** `shr init [folder]`: a first configuration that `shr validate` accepts. Never overwrites anything. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { errorCode } from '../config/files.ts';
import { jsonSchemaOf, NAME } from '../config/schema.ts';
import { printable, printJson } from './output.ts';
import type { CommandModule, Terminal } from './terminal.ts';

interface InitOptions {
  readonly name?: string;
  readonly organization?: string;
  readonly repo?: string;
  readonly json?: boolean;
}

/** The examples are the templates: one text to keep right, and tests hold it so. */
const EXAMPLES = new URL('../../', import.meta.url);

export const createCommand: CommandModule['createCommand'] = (terminal) =>
  new Command()
    .argument('[folder]', 'where to write', '.')
    .option('--name <name>', 'of the first registration (default: after its organization or repository)', parseName)
    .addOption(new Option('--organization <name>', 'serve this organization').conflicts('repo'))
    .option('--repo <owner/name>', 'serve this repository alone', parseRepository)
    .option('--json', 'print { written, kept }')
    .action((folder: string, options: InitOptions) => init(folder, options, terminal));

function parseName(text: string): string {
  if (NAME.test(text)) return text;
  throw new InvalidArgumentError('Use 1 to 32 lower-case letters, digits and inner hyphens.');
}

function parseRepository(text: string): string {
  if (/^[\w-]+\/[\w.-]+$/.test(text)) return text;
  throw new InvalidArgumentError('Write it as owner/name.');
}

async function init(folder: string, options: InitOptions, terminal: Terminal): Promise<void> {
  const root = resolve(terminal.workingFolder, folder);
  const owner = options.organization ?? options.repo?.split('/')[0] ?? 'acme';
  const name = options.name ?? (NAME.test(owner.toLowerCase()) ? owner.toLowerCase() : 'first');
  const files = await filesOf(root, name, owner, options);
  const written: string[] = [];
  const kept: string[] = [];
  try {
    await mkdir(join(root, 'secrets', name), { recursive: true, mode: 0o700 });
    await mkdir(join(root, 'registrations'), { recursive: true });
    for (const file of files) {
      ((await writeNew(file)) ? written : kept).push(relative(terminal.workingFolder, file.path) || file.path);
    }
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    terminal.error(`shr: ${printable(root)} cannot be written (${code}). Name a folder that you may write to.\n`);
    terminal.exit(1);
    return;
  }
  if (options.json === true) {
    printJson(terminal, { written, kept });
    return;
  }
  for (const path of written) terminal.out(`wrote ${path}\n`);
  for (const path of kept) terminal.out(`kept ${path}, it was there\n`);
  terminal.out(next(name, folder, options));
}

interface NewFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

async function filesOf(root: string, name: string, owner: string, options: InitOptions): Promise<readonly NewFile[]> {
  const example = options.repo === undefined ? 'organization' : 'repositories';
  const registration = (await readFile(new URL(`registrations/${example}.example.yaml`, EXAMPLES), 'utf8'))
    .replaceAll('secrets/acme/', `secrets/${name}/`)
    .replace('organization: acme', `organization: ${owner}`)
    .replace('- acme/web', `- ${options.repo ?? ''}`);
  const dispatcher = await readFile(new URL('dispatcher.example.yaml', EXAMPLES), 'utf8');
  return [
    { path: join(root, 'dispatcher.yaml'), text: dispatcher, mode: 0o644 },
    { path: join(root, 'registrations', `${name}.yaml`), text: registration, mode: 0o644 },
    { path: join(root, 'registrations', 'registration.schema.json'), text: schemaText('registration'), mode: 0o644 },
    { path: join(root, 'registrations', 'dispatcher.schema.json'), text: schemaText('dispatcher'), mode: 0o644 },
    { path: join(root, '.gitignore'), text: 'data/\nsecrets/\n.env\n', mode: 0o644 },
    { path: join(root, 'secrets', 'admin-token'), text: newSecret(), mode: 0o600 },
    { path: join(root, 'secrets', name, 'webhook-secret'), text: newSecret(), mode: 0o600 },
  ];
}

/** Editors check against it; the registration's first line names it. */
function schemaText(file: 'registration' | 'dispatcher'): string {
  return `${JSON.stringify(jsonSchemaOf(file), null, 2)}\n`;
}

function newSecret(): string {
  return `${randomBytes(32).toString('hex')}\n`;
}

/** False when there is one already, whatever it is: `wx` neither follows nor replaces it. */
async function writeNew(file: NewFile): Promise<boolean> {
  await mkdir(dirname(file.path), { recursive: true });
  try {
    await writeFile(file.path, file.text, { flag: 'wx', mode: file.mode });
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

function next(name: string, folder: string, options: InitOptions): string {
  const at = folder === '.' ? '' : ` ${folder}`;
  const here = folder === '.' ? '' : `, all in ${folder}`;
  const placeholder =
    options.repo === undefined && options.organization === undefined
      ? `In registrations/${name}.yaml, put your organization in the place of \`acme\`.\n  `
      : '';
  return `
What next${here}:
  ${placeholder}Put a GitHub token into secrets/${name}/github-token, or a GitHub App into registrations/${name}.yaml.
  Set \`defaults.image\` to your runner image.
  At GitHub, add a webhook for \`workflow_job\` to https://YOUR-HOST/webhooks/github/${name},
  content type application/json, with the secret in secrets/${name}/webhook-secret.
  shr validate${at} --secrets
  shr explain${at === '' ? '' : ` --folder${at}`} --labels serverless-hosted-runner --repo ${options.repo ?? `${options.organization ?? 'acme'}/web`}
  shr doctor${at}
  shr serve${at}
`;
}
