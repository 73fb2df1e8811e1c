/** What the demo supplies for each kind of provider so that it can run on this machine. */
import { execFile } from 'node:child_process';
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

export class ImageProblem extends DemoProblem {}

/** `say`: told, in a line, what takes a while. */
export function createStage(kind: string, folder: string, say: (line: string) => void): DemoStage {
  const command = [process.execPath, RUNNER];
  return {
    folder,
    command,
    async makeImage(environment) {
      try {
        // A Node for another system would not run in a container: there the base is to have one.
        const node = process.platform === 'linux' ? { NODE: process.execPath } : {};
        const env = { ...process.env, ...node, ...environment };
        const making = promisify(execFile)(join(ROOT, 'demo', 'runner-image.sh'), { env });
        making.child.stderr?.setEncoding('utf8').on('data', (text: string) => say(text.trimEnd()));
        const { stdout } = await making;
        return stdout.trim();
      } catch (error) {
        // Its own words have been told as they came; the error would repeat them.
        const code = error instanceof Error && 'code' in error ? error.code : error;
        throw new ImageProblem(
          `the demo's image could not be made: demo/runner-image.sh ended with ${code}, see above`,
        );
      }
    },
    async simulate() {
      const images = { [IMAGE]: command };
      const service = await startSimulatedService(kind, { images, substitutions: { [OFFICIAL_COMMAND]: RUNNER } });
      return { ...service, image: IMAGE };
    },
  };
}
