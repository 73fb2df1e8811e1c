/** Every provider by its kind. A module, with its vendor's SDK, is imported when a registration first asks for it. */
import { loadPackage, type ProviderPackage } from './package.ts';
import { ProviderError, type ProviderModule } from './provider.ts';

const loaders: Readonly<Record<string, () => Promise<ProviderModule>>> = {
  'ali-eci': async () => (await import('./ali-eci/index.ts')).default,
  'azure-aci': async () => (await import('./azure-aci/index.ts')).default,
  docker: async () => (await import('./docker/index.ts')).default,
  'gcp-batch': async () => (await import('./gcp-batch/index.ts')).default,
  'gcp-cloud-run': async () => (await import('./gcp-cloud-run/index.ts')).default,
  process: async () => (await import('./process/index.ts')).default,
};

/** Sorted, for messages and for the JSON Schema of a registration. */
export const providerKinds: readonly string[] = Object.keys(loaders).sort();

/** An import costs something even when the module is there, and thousands of registrations ask for the same few. */
const loaded = new Map<string, ProviderModule>();

/**
 * Rejects with `invalid` for a kind that is not in `providerKinds`; of a package, with PackageProblem when it cannot be
 * used.
 */
export async function loadProvider(kind: string, from?: ProviderPackage): Promise<ProviderModule> {
  if (from !== undefined) return await loadPackage(kind, from);
  const load = Object.hasOwn(loaders, kind) ? loaders[kind] : undefined;
  if (load === undefined) {
    throw new ProviderError(
      'invalid',
      'provider load',
      `no provider is of kind ${JSON.stringify(kind)}; write one of: ${providerKinds.join(', ')}`,
    );
  }
  const module = loaded.get(kind) ?? (await load());
  loaded.set(kind, module);
  return module;
}
