import { generateKeyPairSync } from 'node:crypto';
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { type ConfigurationSources, type Loaded, loadConfiguration } from '../../dispatcher/config/load.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import type { Configuration, Registration } from '../../dispatcher/model/registration.ts';
import { ProviderError, type ProviderModule } from '../../providers/provider.ts';

/** Validates like a real one; nothing in these tests launches anything. */
function moduleOf(kind: string): ProviderModule {
  return {
    kind,
    options: z.strictObject({ endpoint: z.url().optional(), accessKeySecret: z.string().min(10).optional() }),
    withCommand: (options) => options,
    demo: () => Promise.reject(new Error('no demo')),
    create: () => {
      throw new Error('the configuration never creates a provider');
    },
  };
}

export const provider: ConfigurationSources['provider'] = async (kind) => {
  if (['docker', 'eci', 'process'].includes(kind)) return moduleOf(kind);
  throw new ProviderError('invalid', 'provider load', `no provider is of kind "${kind}"`);
};

export const dispatcherYaml = `
id: acme-ci
adminToken: \${env:ADMIN_TOKEN}
`;

export const registrationYaml = `
organization: acme
credentials:
  token: \${env:GITHUB_TOKEN}
defaults:
  image: ghcr.io/acme/runner:1
backends:
  - kind: docker
`;

/** Of an App: 2048 bits, as GitHub makes them. */
export const appKey = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
}).privateKey;

const environment = {
  ADMIN_TOKEN: 'an-admin-token-of-32-characters!',
  GITHUB_TOKEN: 'ghp_of-the-platform',
  TENANT_ACME_TOKEN: 'ghp_of-acme',
  TENANT_ACME_LABS_TOKEN: 'ghp_of-acme-labs',
};

/** Loads files that stand in memory under /etc/shr; file names as `registrations/acme.yaml`. */
export function load(
  files: Readonly<Record<string, string>>,
  changes: Partial<ConfigurationSources> = {},
): Promise<Loaded> {
  return loadConfiguration(sourcesOf({ 'dispatcher.yaml': dispatcherYaml, ...files }, changes));
}

/** These files alone, in memory under /etc/shr. A folder without a file is there, and empty. */
export function sourcesOf(
  files: Readonly<Record<string, string>>,
  changes: Partial<ConfigurationSources> = {},
): ConfigurationSources {
  const all = new Map(Object.entries(files).map(([name, text]) => [`/etc/shr/${name}`, text]));
  return {
    dispatcherFile: '/etc/shr/dispatcher.yaml',
    registrationsFolder: '/etc/shr/registrations',
    environment,
    files: {
      read: async (path) => {
        const text = all.get(path);
        if (text === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
        return { text, readableBy: 'owner' };
      },
      list: async (folder) => [...all.keys()].filter((path) => dirname(path) === folder).map((path) => basename(path)),
    },
    provider,
    ...changes,
  };
}

export async function configured(files: Readonly<Record<string, string>>): Promise<Configuration> {
  const loaded = await load(files);
  if (!loaded.ok || loaded.problems.length > 0) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  return loaded.configuration;
}

export async function registered(yaml: string, dispatcher = dispatcherYaml): Promise<Registration> {
  const { registrations } = await configured({ 'dispatcher.yaml': dispatcher, 'registrations/acme.yaml': yaml });
  const [registration] = registrations;
  if (registration === undefined) throw new Error('no registration');
  return registration;
}

/** One line a problem, of what is set aside too, without the folder: `registrations/acme.yaml:2:1: path: message. cure`. */
export async function problemsOf(
  files: Readonly<Record<string, string>>,
  changes: Partial<ConfigurationSources> = {},
): Promise<readonly string[]> {
  const loaded = await load(files, changes);
  return loaded.problems.map((problem) => formatProblem(problem).replace('/etc/shr/', ''));
}
