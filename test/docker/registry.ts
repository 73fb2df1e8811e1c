/** A registry on loopback with one image, for pulls. Engines trust 127.0.0.0/8 without TLS. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { digestOf, RegistryServer } from '../registry-server.ts';
import { testImage } from './engine.ts';

const REPOSITORY = 'shr-test/pulled';

export interface PulledFrom {
  readonly registry: RegistryServer;
  readonly image: string;
  /** How often the layer was read. */
  layerReads(): number;
}

/** Of the test image. */
export async function startRegistry(user: { username: string; password: string }): Promise<PulledFrom> {
  const registry = await RegistryServer.start({ user, challenge: 'basic' });
  const tar = await rootOf(await testImage());
  const layer = gzipSync(tar);
  registry.addImage(REPOSITORY, '1', process.arch === 'arm64' ? 'arm64' : 'amd64', {
    bytes: layer,
    diffId: digestOf(tar),
  });
  return {
    registry,
    image: `${registry.server}/${REPOSITORY}:1`,
    layerReads: () => registry.readsOf(digestOf(layer)),
  };
}

/** The files of an image as one tar: the layer to offer. */
async function rootOf(image: string): Promise<Buffer> {
  const run = promisify(execFile);
  const container = (await run('docker', ['create', '--network', 'none', image])).stdout.trim();
  try {
    return (await run('docker', ['export', container], { encoding: 'buffer', maxBuffer: 64 * 2 ** 20 })).stdout;
  } finally {
    await run('docker', ['rm', container]);
  }
}
