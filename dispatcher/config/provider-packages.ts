/** `providers` of dispatcher.yaml: kinds that npm packages bring. No other file can name a package. */
import { providerKinds } from '../../providers/index.ts';
import { PackageProblem, type ProviderPackage } from '../../providers/package.ts';
import type { Problem } from '../model/problem.ts';
import type { Reading } from './reading.ts';
import { dispatcherFile, PROVIDER_PACKAGE } from './schema.ts';
import type { PackagedKinds, ProviderLookup } from './shared-sections.ts';

export interface Packages {
  readonly packages: PackagedKinds;
  /** A package that cannot be used closes its kind, and nothing else: not a problem of the file. */
  readonly closedKinds: readonly Problem[];
}

export async function readPackages(
  reading: Reading,
  { folder, provider }: { readonly folder: string; readonly provider: ProviderLookup },
): Promise<Packages> {
  const packages = new Map<string, NonNullable<ReturnType<PackagedKinds['get']>>>();
  const closedKinds: Problem[] = [];
  const entries = reading.section(['providers'], dispatcherFile.shape.providers) ?? {};
  for (const [kind, text] of Object.entries(entries)) {
    const path = ['providers', kind];
    const [, name, version] = PROVIDER_PACKAGE.exec(text) ?? [];
    if (name === undefined || version === undefined) continue;
    if (providerKinds.includes(kind)) {
      reading.problem(
        path,
        `the kind \`${kind}\` is built in`,
        'Remove the line, or have the package use another kind.',
      );
      continue;
    }
    const from: ProviderPackage = { name, version, folder };
    try {
      packages.set(kind, { from, module: await provider(kind, from) });
    } catch (error) {
      if (!(error instanceof PackageProblem)) throw error;
      const { message, cure } = error;
      closedKinds.push(reading.finding(path, `backends of kind \`${kind}\` are closed: ${message}`, cure));
      packages.set(kind, { from, closed: `${message}. ${cure}` });
    }
  }
  return { packages, closedKinds };
}
