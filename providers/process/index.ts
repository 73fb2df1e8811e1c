import { arch, availableParallelism, tmpdir, totalmem, userInfo } from 'node:os';
import { join } from 'node:path';
import type { ProviderModule } from '../provider.ts';
import { type ProcessOptions, processOptions } from './options.ts';
import { ProcessProvider } from './provider.ts';

const module: ProviderModule<ProcessOptions> = {
  kind: 'process',
  options: processOptions,
  create: (options, host) =>
    new ProcessProvider(
      {
        ...options,
        root: options.root ?? join(tmpdir(), `shr-${userInfo().uid}`),
        architecture: arch() === 'arm64' ? 'arm64' : 'x64',
        cores: availableParallelism(),
        memoryGiB: totalmem() / 2 ** 30,
        // The dispatcher's own environment holds its secrets, so only these variables are passed on.
        inherited: {
          PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
          ...(process.env['LANG'] === undefined ? {} : { LANG: process.env['LANG'] }),
        },
      },
      host,
    ),
  withCommand: (options, command) => ({ ...options, command: [...command] }),
  demo: async ({ folder, command }) => ({
    options: { command, root: join(folder, 'instances') },
    image: 'demo/runner:latest',
    runnerUrl: (port) => `http://127.0.0.1:${port}`,
    open: async () => {},
    close: async () => {},
  }),
};

export default module;
