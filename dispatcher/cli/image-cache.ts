/** `shr image-cache`: has a service keep an image close to its machines, so that runners start without a pull. */
import { Command } from 'commander';
import { ProviderError } from '../../providers/provider.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { providerHost } from '../backends/pool.ts';
import type { Backend } from '../model/registration.ts';
import { loadedRegistration } from './loaded-configuration.ts';
import { printable, printJson, printTable } from './output.ts';
import { showProgress } from './progress.ts';
import type { CommandModule, Terminal } from './terminal.ts';

interface ImageCacheOptions {
  readonly registration: string;
  readonly backend?: string;
  readonly image?: string;
  readonly config?: string;
  readonly wait?: boolean;
  readonly json?: boolean;
}

interface Cached {
  readonly backend: string;
  readonly image: string;
  readonly id: string;
  readonly status: string;
  readonly progress?: string;
}

/** So far the only kind whose service keeps images on request. */
const KIND = 'ali-eci';
/** Between polls; the first ones come sooner. */
const LOOK_MS = 10_000;
/** A large image takes minutes; after an hour something is wrong. */
const MAX_LOOKS = 360;

export const createCommand: CommandModule['createCommand'] = (terminal) => {
  const command = new Command()
    .argument('[folder]', 'the folder with dispatcher.yaml and registrations/', '.')
    .requiredOption('--registration <name>', 'the registration whose backends to use')
    .option('--backend <name>', `only this one; else every backend of kind ${KIND}`)
    .option('--image <reference>', "the image to use in place of the registration's default")
    .option('--config <file>', 'a dispatcher.yaml outside that folder')
    .option('--wait', 'wait until it is ready')
    .option('--json', 'print { ok, caches }')
    .addHelpText(
      'after',
      '\nA cache is billed as a snapshot for as long as it exists. Repeat the command to see how far it is.\n',
    );
  return command.action(async (folder: string, options: ImageCacheOptions) => {
    const registration = await loadedRegistration(folder, options, command, terminal);
    if (registration === undefined) return;
    const backends = registration.backends.filter(
      ({ name, kind }) => kind === KIND && (options.backend === undefined || options.backend === name),
    );
    if (backends.length === 0) {
      return command.error(
        `error: ${registration.name} has no backend of kind ${KIND}${options.backend === undefined ? '' : ` named '${options.backend}'`}`,
      );
    }
    const image = options.image ?? registration.defaults.image;
    if (image === undefined)
      return command.error(`error: ${registration.name} has no default image: name one with --image`);
    await cacheAll(backends, image, options, terminal);
  });
};

async function cacheAll(
  backends: readonly Backend[],
  image: string,
  options: ImageCacheOptions,
  terminal: Terminal,
): Promise<void> {
  const caches: Cached[] = [];
  let ok = true;
  for (const backend of backends) {
    try {
      const cached = await cache(backend, image, options.wait === true, terminal);
      caches.push(cached);
      ok &&= cached.status !== 'Failed';
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      ok = false;
      terminal.error(`shr: ${printable(`backend ${backend.name}: ${error.message}`)}\n`);
    }
  }
  if (options.json === true) printJson(terminal, { ok, caches });
  else if (caches.length > 0) {
    printTable(terminal, caches, [
      { title: 'BACKEND', value: ({ backend }) => backend },
      { title: 'IMAGE', value: (cached) => cached.image },
      { title: 'CACHE', value: ({ id }) => id },
      { title: 'STATUS', value: ({ status }) => status },
      { title: 'PROGRESS', value: ({ progress }) => progress },
    ]);
  }
  terminal.exit(ok ? 0 : 1);
}

async function cache(backend: Backend, image: string, wait: boolean, terminal: Terminal): Promise<Cached> {
  const { createImageCache, default: module } = await import('../../providers/ali-eci/index.ts');
  const options = module.options.parse(backend.options);
  const host = providerHost(systemClock, systemRandom);
  const progress = showProgress(terminal);
  try {
    for (let look = 1; ; look += 1) {
      const { name: _, ...made } = await createImageCache(options, host, image);
      const done = made.status === 'Ready' || made.status === 'Failed';
      if (!wait || done || look >= MAX_LOOKS) return { backend: backend.name, image, ...made };
      progress.show(`${backend.name}: ${made.status} ${made.progress ?? ''}`);
      await host.sleep(Math.min(LOOK_MS, 500 * 2 ** (look - 1)));
    }
  } finally {
    progress.end();
  }
}
