/** What the demo supplies for each kind of provider so that it can run on this machine. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { DemoStage } from '../../../providers/provider.ts';
import { startSimulatedService } from '../../../simulators/index.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const RUNNER = join(ROOT, 'simulators', 'github', 'runner.mjs');
const IMAGE = 'demo/runner:latest';
/** The entry point of the official runner image; here it is the demo's runner. */
const OFFICIAL_COMMAND = '/home/runner/run.sh';

/** The machine lacks something; the message says what to do. */
export class DemoProblem extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DemoProblem';
  }
}

export async function createStage(kind: string, folder: string): Promise<DemoStage> {
  const command = [process.execPath, RUNNER];
  return {
    folder,
    command,
    script: await readFile(join(ROOT, 'simulators', 'github', 'runner.sh'), 'utf8'),
    async makeImage(environment) {
      try {
        const env = { ...process.env, ...environment };
        const { stdout } = await promisify(execFile)(join(ROOT, 'demo', 'image.sh'), { env });
        return stdout.trim();
      } catch (error) {
        const words = error instanceof Error ? error.message : String(error);
        throw new DemoProblem(`the demo's image could not be made: ${words}`);
      }
    },
    async simulate() {
      const images = { [IMAGE]: command };
      const service = await startSimulatedService(kind, { images, substitutions: { [OFFICIAL_COMMAND]: RUNNER } });
      return { ...service, image: IMAGE };
    },
  };
}
