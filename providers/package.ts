/** A provider in an npm package of its own, of the platform's choice: `providers` in dispatcher.yaml names it. */
import { readFile } from 'node:fs/promises';
import { createRequire, findPackageJSON } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { CONTRACT_VERSION, type ProviderModule } from './provider.ts';

export interface ProviderPackage {
  /** As npm knows it: `acme-runners`, `@acme/runners`. */
  readonly name: string;
  /** Exactly this one. */
  readonly version: string;
  /** Of dispatcher.yaml. The package is in `node_modules` there or further up, or beside the dispatcher's own packages. */
  readonly folder: string;
}

/** A package that cannot be used. Its kind is closed; all others go on. */
export class PackageProblem extends Error {
  readonly cure: string;

  constructor(message: string, cure: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'PackageProblem';
    this.cure = cure;
  }
}

const manifestSchema = z.object({ version: z.string() });

const isFunction = (value: unknown): boolean => typeof value === 'function';
/** Of another copy of zod, too. */
const schemaSchema = z.custom((value) => {
  return typeof value === 'object' && value !== null && '~standard' in value && 'prefault' in value;
});
const moduleSchema = z.object({
  default: z.looseObject({
    kind: z.string(),
    options: schemaSchema,
    create: z.custom(isFunction),
    withCommand: z.custom(isFunction),
    demo: z.custom(isFunction),
  }),
});
const contractSchema = z.object({ default: z.object({ contract: z.unknown() }) });

/** Rejects only with PackageProblem, whatever the package does when it is imported. */
export async function loadPackage(kind: string, from: ProviderPackage): Promise<ProviderModule> {
  const { name, version } = from;
  const install = `Install it in the folder of dispatcher.yaml (\`npm install --save-exact ${name}@${version}\`), and restart the dispatcher.`;
  const place = placeOf(from);
  if (place === undefined) throw new PackageProblem(`the package ${name} is not installed`, install);
  const installed = await versionAt(place.manifest);
  if (installed !== version) {
    throw new PackageProblem(`${name} is installed in version ${installed ?? 'unknown'}, not ${version}`, install);
  }
  if (place.entry === undefined) {
    throw new PackageProblem(
      `${name}@${version} has no entry that can be imported`,
      'Let `exports` (or `main`) in its package.json name the module of the provider.',
    );
  }
  let imported: unknown;
  try {
    imported = await import(pathToFileURL(place.entry).href);
  } catch (error) {
    const words = error instanceof Error ? `${error.name}: ${error.message.split('\n')[0]?.slice(0, 300)}` : 'no error';
    throw new PackageProblem(
      `${name}@${version} cannot be imported (${words})`,
      'Correct the package, or install a version that works.',
      error,
    );
  }
  holdContract(`${name}@${version}`, imported);
  const found = moduleSchema.safeParse(imported);
  if (!found.success || !isModule(imported)) {
    const parts = found.error?.issues.map(({ path }) => path.slice(1).join('.') || 'default') ?? [];
    throw new PackageProblem(
      `${name}@${version} exports no provider: ${[...new Set(parts)].join(', ')} missing or wrong`,
      'Let its default export be a ProviderModule: see providers/README.md.',
    );
  }
  if (imported.default.kind !== kind) {
    const theirs = imported.default.kind;
    throw new PackageProblem(
      `the provider of ${name}@${version} is of kind \`${theirs}\``,
      `Write \`${theirs}: ${name}@${version}\`.`,
    );
  }
  return imported.default;
}

function holdContract(spec: string, imported: unknown): void {
  const contract = contractSchema.safeParse(imported).data?.default.contract;
  if (contract === CONTRACT_VERSION) return;
  const theirs = typeof contract === 'number' ? `version ${contract}` : 'no version';
  throw new PackageProblem(
    `${spec} is written for ${theirs} of the provider contract, and this dispatcher has version ${CONTRACT_VERSION}`,
    typeof contract === 'number' && contract > CONTRACT_VERSION
      ? 'Upgrade the dispatcher, or install an older version of the package.'
      : `Install a version of the package for it. Its module says \`contract: CONTRACT_VERSION\`.`,
  );
}

function isModule(imported: unknown): imported is { readonly default: ProviderModule } {
  return moduleSchema.safeParse(imported).success;
}

/** The folder of dispatcher.yaml comes first: it is the platform's, as the file is. */
function placeOf({
  name,
  folder,
}: ProviderPackage): { readonly manifest: string; readonly entry: string | undefined } | undefined {
  for (const base of [pathToFileURL(join(folder, 'dispatcher.yaml')).href, import.meta.url]) {
    const manifest = found(() => findPackageJSON(name, base));
    if (manifest !== undefined) return { manifest, entry: found(() => createRequire(base).resolve(name)) };
  }
  return undefined;
}

function found(look: () => string | undefined): string | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

async function versionAt(manifest: string): Promise<string | undefined> {
  try {
    return manifestSchema.safeParse(JSON.parse(await readFile(manifest, 'utf8'))).data?.version;
  } catch {
    return undefined;
  }
}
