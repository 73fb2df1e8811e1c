/** `shr init [folder]`: a first configuration that `shr validate` accepts. Never overwrites anything. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import { NAME } from '../config/schema.ts';
import { replacedExport } from './configuration-files.ts';
import { parseName, parseOrganization, parseRepository } from './init/names.ts';
import { gitWarnings, type NewFile, schemaText, writeNew } from './init/new-file.ts';
import { tenantCommand } from './init/tenant.ts';
import { folderProblem, makeFolder } from './make-folder.ts';
import { printable, printJson } from './output.ts';
import { shownPath } from './shown-path.ts';
import type { CommandModule, Terminal } from './terminal.ts';

interface InitOptions {
  readonly name?: string;
  readonly organization?: string;
  readonly repo?: string;
  readonly json?: boolean;
}

/** The examples are the templates: a single source of truth, which tests verify. */
const EXAMPLES = new URL('../../', import.meta.url);

export const createCommand: CommandModule['createCommand'] = (terminal) =>
  new Command()
    .argument('[folder]', 'where to write', '.')
    .option('--name <name>', 'name of the first registration (default: that of its organization or owner)', parseName)
    .addOption(
      new Option('--organization <name>', 'serve this organization').conflicts('repo').argParser(parseOrganization),
    )
    .option('--repo <owner/name>', 'serve this repository alone', parseRepository)
    .option('--json', 'print { written, kept, warnings }')
    .action((folder: string, options: InitOptions) => init(folder, options, terminal))
    // Both have --name and --organization: those after `tenant` are its own.
    .enablePositionalOptions()
    .addCommand(tenantCommand(terminal));

async function init(folder: string, options: InitOptions, terminal: Terminal): Promise<void> {
  const root = resolve(terminal.workingFolder, folder);
  const replaced = await replacedExport(root);
  if (replaced !== undefined) {
    const file = shownPath(terminal.workingFolder, replaced);
    const message = `${file} is there, as in a tenants' repository: a dispatcher.yaml would take its place, and registrations would no longer be checked by what the platform grants`;
    const cure =
      'To register, write registrations/NAME.yaml: docs/tenants.md shows how. For a dispatcher of your own, name another folder.';
    terminal.error(`shr: ${printable(`${message}. ${cure}`)}\n`);
    terminal.exit(1);
    return;
  }
  const owner = options.organization ?? options.repo?.split('/')[0] ?? 'acme';
  const name = options.name ?? (NAME.test(owner.toLowerCase()) ? owner.toLowerCase() : 'first');
  const files = await filesOf(root, name, owner, options);
  const written: string[] = [];
  const kept: string[] = [];
  try {
    await makeFolder(join(root, 'secrets', name), 0o700);
    await makeFolder(join(root, 'data'), 0o700);
    await makeFolder(join(root, 'registrations'));
    for (const file of files) {
      ((await writeNew(file)) ? written : kept).push(shownPath(terminal.workingFolder, file.path));
    }
  } catch (error) {
    const problem = await folderProblem(root, error);
    if (problem === undefined) throw error;
    terminal.error(`shr: ${printable(`${problem.message}. ${problem.cure}`)}\n`);
    terminal.exit(1);
    return;
  }
  // The token that is put there next represents everything that is not written yet.
  const token = { path: join(root, 'secrets', 'github-token'), git: 'never' } as const;
  const warnings = await gitWarnings(root, [...files, token]);
  if (warnings.length > 0) terminal.exit(1);
  if (options.json === true) {
    printJson(terminal, { written, kept, warnings });
    return;
  }
  for (const path of written) terminal.out(`wrote ${path}\n`);
  for (const path of kept) terminal.out(`kept ${path}, it was there\n`);
  terminal.out(next(name, folder, options));
  for (const warning of warnings) terminal.error(`shr: ${printable(warning)}\n`);
}

async function filesOf(root: string, name: string, owner: string, options: InitOptions): Promise<readonly NewFile[]> {
  const example = options.repo === undefined ? 'organization' : 'repositories';
  const registration = (await readFile(new URL(`registrations/${example}.example.yaml`, EXAMPLES), 'utf8'))
    .replaceAll('secrets/acme/', `secrets/${name}/`)
    // Quoted if YAML would read the name as a number.
    .replace('organization: acme', `organization: ${stringify(owner).trim()}`)
    .replace('- acme/web', `- ${options.repo ?? ''}`);
  const dispatcher = await readFile(new URL('dispatcher.example.yaml', EXAMPLES), 'utf8');
  const shared = { mode: 0o644, git: 'always' } as const;
  const secret = { mode: 0o600, git: 'never' } as const;
  return [
    { path: join(root, 'dispatcher.yaml'), text: dispatcher, ...shared },
    { path: join(root, 'registrations', `${name}.yaml`), text: registration, ...shared },
    { path: join(root, 'registrations', 'registration.schema.json'), text: schemaText('registration'), ...shared },
    { path: join(root, 'registrations', 'dispatcher.schema.json'), text: schemaText('dispatcher'), ...shared },
    { path: join(root, '.gitignore'), text: 'data/\nsecrets/\n.env\n', ...shared },
    // In the folders themselves too: an existing .gitignore does not mention them.
    { path: join(root, 'secrets', '.gitignore'), text: '*\n', ...secret },
    { path: join(root, 'data', '.gitignore'), text: '*\n', ...secret },
    { path: join(root, 'secrets', 'admin-token'), text: newSecret(), ...secret },
    { path: join(root, 'secrets', name, 'webhook-secret'), text: newSecret(), ...secret },
  ];
}

function newSecret(): string {
  return `${randomBytes(32).toString('hex')}\n`;
}

function next(name: string, folder: string, options: InitOptions): string {
  const quoted = /^[\w./-]+$/.test(folder) ? folder : `'${folder.replaceAll("'", "'\\''")}'`;
  const at = folder === '.' ? '' : ` ${quoted}`;
  const here = folder === '.' ? '' : `, all in ${quoted}`;
  const placeholder =
    options.repo === undefined && options.organization === undefined
      ? `In registrations/${name}.yaml, put your organization in the place of \`acme\`.\n  `
      : '';
  return `
What next${here}:
  ${placeholder}Put a GitHub token into secrets/${name}/github-token, or a GitHub App into registrations/${name}.yaml.
  Set \`defaults.image\` to your runner image.
  ${options.repo === undefined ? webhookStep(name) : pollingStep(name)}
  shr validate${at} --secrets
  shr explain${at === '' ? '' : ` --folder${at}`} --labels serverless-hosted-runner --repo ${options.repo ?? `${options.organization ?? 'acme'}/web`}
  shr doctor${at}
  shr serve${at}
  shr jobs${at === '' ? '' : ` --token-file ${quoted}/secrets/admin-token`}
`;
}

const webhookAt = (
  name: string,
) => `At GitHub, add a webhook for \`workflow_job\` to https://YOUR-HOST/webhooks/github/${name},
  content type application/json, with the secret in secrets/${name}/webhook-secret.`;

/** As the file says: it has a webhook, and polls seldom beside it. */
const webhookStep = (name: string) => `${webhookAt(name)}
  Without a public address, remove \`webhook\` from registrations/${name}.yaml instead:
  then it polls GitHub every 30 s, not every 5 min.`;

/** As the file says: it polls, and its webhook is commented out. */
const pollingStep = (
  name: string,
) => `It polls GitHub every 30 s, and nothing has to reach it from outside. For jobs that start sooner, take the \`#\` off
  \`webhook\` in registrations/${name}.yaml first. ${webhookAt(name)}`;
