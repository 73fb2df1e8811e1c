import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';

const root = join(import.meta.dirname, '..', '..');

/** What a new label such as `gpu` would add, if its author stopped at the types. */
const added = `
import '${root}/providers/provider.ts';
import '${root}/dispatcher/model/registration.ts';

declare module '${root}/providers/provider.ts' {
  interface ShapeWish { readonly gpu?: number }
  interface Capabilities { readonly gpu: boolean }
}
declare module '${root}/dispatcher/model/registration.ts' {
  interface Limits { readonly maxGpu: number | undefined }
  interface Powers { readonly gpus: readonly string[] }
  interface Policy { readonly maxGpu: number | undefined; readonly gpus: readonly string[] }
}
`;

/** Per file, how many of its lists have to say what becomes of the field. */
const lists: Readonly<Record<string, number>> = {
  'dispatcher/admission/backend-choice.ts': 1,
  'dispatcher/admission/granted.ts': 1,
  'dispatcher/admission/grants.ts': 1,
  'dispatcher/admission/organization.ts': 2,
  'dispatcher/admission/wish-words.ts': 1,
  'dispatcher/admission/wish.ts': 1,
  'dispatcher/backends/pool.ts': 1,
  'dispatcher/config/held-runners.ts': 4,
  'dispatcher/config/registration-runners.ts': 1,
  'dispatcher/config/schema.ts': 4,
  'dispatcher/config/shared-sections.ts': 1,
  'dispatcher/config/tenants.ts': 2,
  'dispatcher/ledger/rows.ts': 1,
  'providers/ali-eci/provider.ts': 1,
  'providers/azure-aci/provider.ts': 1,
  'providers/docker/provider.ts': 1,
  'providers/gcp-batch/provider.ts': 1,
  'providers/gcp-cloud-run/provider.ts': 1,
  'providers/kit/wish.ts': 1,
  'providers/process/provider.ts': 1,
};

describe('a field that is added to a wish, a limit, a power or a policy', () => {
  it('is named by the compiler wherever it was forgotten', async function () {
    this.timeout(180_000);
    const folder = await mkdtemp(join(tmpdir(), 'shr-field-'));
    try {
      await writeFile(join(folder, 'added.ts'), added);
      const config = {
        extends: join(root, 'tsconfig.json'),
        compilerOptions: { typeRoots: [join(root, 'node_modules', '@types')] },
        include: [],
        files: ['added.ts', join(root, 'dispatcher/cli/explain.ts'), join(root, 'dispatcher/ledger/rows.ts')],
      };
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
      expect(await errorsByFile(folder)).to.deep.equal(lists);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

/** Counts the objects that lack the field; an error that only follows from one is not counted. */
async function errorsByFile(project: string): Promise<Readonly<Record<string, number>>> {
  const words = ['--noEmit', '--pretty', 'false', '-p', project];
  const output = await promisify(execFile)(join(root, 'node_modules/.bin/tsc'), words, { cwd: root }).then(
    ({ stdout }) => stdout,
    (error: { readonly stdout: string }) => error.stdout,
  );
  const counts: Record<string, number> = {};
  for (const [, file = ''] of output.matchAll(/^(\S+?)\(\d+,\d+\): error TS27(?:39|41): .*\b(?:gpus?|maxGpu)\b/gm)) {
    counts[file] = (counts[file] ?? 0) + 1;
  }
  return counts;
}
