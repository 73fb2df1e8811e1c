/**
 * A whole configuration as one text: what a deployed dispatcher reads in place of a folder. It holds secrets. The files
 * are in memory at both ends, so that one file, or one secret of a service's store, carries everything.
 */
import { isAbsolute, join, relative, sep } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import { FileRefused, type Files, type ReadBounds } from './files.ts';

/** Where the files seem to be: relative paths in dispatcher.yaml, the ledger's among them, are inside this folder. */
export const BUNDLE_FOLDER = '/var/lib/shr';
export const BUNDLE_PLACES = {
  dispatcherFile: join(BUNDLE_FOLDER, 'dispatcher.yaml'),
  registrationsFolder: join(BUNDLE_FOLDER, 'registrations'),
} as const;

/** Packed and unpacked: 20,000 registrations stay far below it. */
export const MAX_BUNDLE_BYTES = 64 * 1024 * 1024;

const bundleSchema = z.strictObject({
  version: z.literal(1),
  /** By absolute path. */
  files: z.record(z.string().startsWith('/'), z.string()),
  /** The variables that the files refer to. */
  environment: z.record(z.string(), z.string()),
});

export type Bundle = z.infer<typeof bundleSchema>;

/** The same configuration always gives the same text. */
export function encodeBundle(bundle: Bundle): string {
  return gzipSync(canonical(bundle)).toString('base64');
}

/** What two bundles with the same meaning have in common. */
export function canonical({ version, files, environment }: Bundle): string {
  return JSON.stringify({ version, files: sorted(files), environment: sorted(environment) });
}

/** Undefined if it is not a bundle, or one of a newer version. */
export function decodeBundle(text: string): Bundle | undefined {
  try {
    const json = gunzipSync(Buffer.from(text, 'base64'), { maxOutputLength: MAX_BUNDLE_BYTES }).toString('utf8');
    return bundleSchema.parse(JSON.parse(json));
  } catch {
    return undefined;
  }
}

/** Read by its owner alone, and without links. */
export function bundleFiles({ files }: Pick<Bundle, 'files'>): Files {
  return {
    async read(path, bounds) {
      const text = files[path];
      if (text === undefined) throw absent(path);
      refuseOutside(path, bounds.within);
      const bytes = Buffer.byteLength(text);
      if (bytes > bounds.mostBytes) {
        throw new FileRefused(
          'too-large',
          `it has ${bytes} bytes, and ${bounds.mostBytes} is the limit`,
          'Shorten it.',
        );
      }
      return { text, readableBy: 'owner' };
    },
    async list(folder) {
      const names = new Set<string>();
      for (const path of Object.keys(files)) {
        const inside = relative(folder, path);
        if (inside !== '' && !leaves(inside)) names.add(inside.split(sep)[0] ?? inside);
      }
      if (names.size === 0) throw absent(folder);
      return [...names];
    },
  };
}

export interface RecordedSources {
  readonly files: Files;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What was read since it was made. */
  bundle(): Bundle;
}

/**
 * Notes what is read, so that a bundle holds what this configuration needs and nothing else. `place` gives the path of a
 * file in the bundle; undefined: the file stays where it is.
 */
export function recordSources(
  sources: { readonly files: Files; readonly environment: Readonly<Record<string, string | undefined>> },
  place: (path: string) => string | undefined,
): RecordedSources {
  const files: Record<string, string> = {};
  const environment: Record<string, string> = {};
  return {
    files: {
      async read(path, bounds) {
        const content = await sources.files.read(path, bounds);
        files[place(path) ?? path] = content.text;
        return content;
      },
      list: (folder) => sources.files.list(folder),
    },
    environment: new Proxy(sources.environment, {
      get(target, name) {
        const value = typeof name === 'string' ? target[name] : undefined;
        if (typeof name === 'string' && value !== undefined) environment[name] = value;
        return value;
      },
    }),
    bundle: () => ({ version: 1, files: { ...files }, environment: { ...environment } }),
  };
}

function refuseOutside(path: string, within: ReadBounds['within']): void {
  if (within === undefined || !leaves(relative(join(within.around, within.name), path))) return;
  throw new FileRefused('outside', 'it is outside its folder', 'Put the file itself there.');
}

function leaves(inside: string): boolean {
  return inside === '' || inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside);
}

function absent(path: string): Error {
  return Object.assign(new Error(`${path}: there is no such file`), { code: 'ENOENT' });
}

function sorted(record: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).sort(([one], [other]) => (one < other ? -1 : 1)));
}
