/** `shr platform export`: what dispatcher.yaml offers to tenants, as a file that a tenants' repository can be checked with. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { loadProvider } from '../../providers/index.ts';
import { exportPlatform } from '../config/export-platform.ts';
import { errorCode, systemFiles } from '../config/files.ts';
import { formatProblem } from '../model/problem.ts';
import { configurationFiles } from './configuration-files.ts';
import { folderProblem } from './make-folder.ts';
import { printable } from './output.ts';
import { shownPath } from './shown-path.ts';
import type { CommandModule, Terminal } from './terminal.ts';

interface ExportOptions {
  readonly config?: string;
  readonly out?: string;
}

export const createCommand: CommandModule['createCommand'] = (terminal) => {
  const platform = new Command();
  platform.addCommand(
    new Command('export')
      .description('write what tenants may use, without secrets and addresses: platform.json')
      .argument('[folder]', 'the folder with dispatcher.yaml', '.')
      .option('--config <file>', 'a dispatcher.yaml outside that folder')
      .option('--out <file>', 'where to write it (default: standard output)')
      .action((folder: string, options: ExportOptions) => exportTo(folder, options, terminal)),
  );
  return platform;
};

async function exportTo(folder: string, options: ExportOptions, terminal: Terminal): Promise<void> {
  const at = (path: string): string => resolve(terminal.workingFolder, path);
  const { dispatcherFile } = await configurationFiles(
    at(folder),
    options.config === undefined ? undefined : at(options.config),
  );
  const { environment } = terminal;
  const answer = await exportPlatform({ dispatcherFile, environment, files: systemFiles, provider: loadProvider });
  if (!answer.ok) {
    for (const problem of answer.problems) {
      const file = shownPath(terminal.workingFolder, problem.file);
      terminal.error(`${printable(formatProblem({ ...problem, file }))}\n`);
    }
    terminal.exit(1);
    return;
  }
  const text = `${JSON.stringify(answer.exported, null, 2)}\n`;
  if (options.out === undefined) {
    terminal.out(text);
    return;
  }
  const path = at(options.out);
  const draft = `${path}.new`;
  try {
    await writeFile(draft, text);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    const problem = errorCode(error) === 'ENOENT' ? NO_FOLDER : await folderProblem(path, error);
    if (problem === undefined) throw error;
    terminal.error(`shr: ${printable(`${problem.message}. ${problem.cure}`)}\n`);
    terminal.exit(1);
    return;
  }
  terminal.out(`wrote ${printable(shownPath(terminal.workingFolder, path))}\n`);
}

const NO_FOLDER = { message: 'the folder of that file does not exist', cure: 'Make it, or name another file.' };
