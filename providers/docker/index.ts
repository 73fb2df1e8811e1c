import { arch } from 'node:os';
import type { ProviderModule } from '../provider.ts';
import { DockerProvider } from './docker.ts';
import { type DockerOptions, dockerOptions } from './options.ts';

const module: ProviderModule<DockerOptions> = {
  kind: 'docker',
  options: dockerOptions,
  create: (options, host) =>
    new DockerProvider(
      { ...options, architecture: options.architecture ?? (arch() === 'arm64' ? 'arm64' : 'x64') },
      host,
    ),
};

export default module;
